"""What can be said of a close: the facts its journal holds, in the order they became true."""

from decimal import Decimal
from enum import StrEnum

import msgspec

from sureclose.domain.events import Decision, EntryRef
from sureclose.domain.evidence import Evidence
from sureclose.domain.market import OrderReport, Position, RestingOrder, Trade
from sureclose.domain.outcome import Outcome
from sureclose.domain.words import Side


class Fact(msgspec.Struct, frozen=True, kw_only=True, tag_field="fact", tag=str.upper):
    """One thing that is so. Facts are appended and never changed; a close is what its facts say."""


class Admitted(Fact, frozen=True, kw_only=True):
    """The decision was taken in, with its payload, so that a trimmed entry loses nothing."""

    decision: Decision
    entry: EntryRef


class Sized(Fact, frozen=True, kw_only=True):
    """The target was fixed on a position that the venue showed. Again only when that read proved stale."""

    position: Position
    target: Decimal
    side: Side
    rebuilt: bool = False
    """Whether it was worked out from the venue's orders and trades, after a loss of the log."""


class Sending(Fact, frozen=True, kw_only=True):
    """One attempt passed the gate; whether its bytes left is not known from this alone.

    ``timestamp`` is what the request carries, ``deadline`` is when the venue must refuse it: venue milliseconds.
    With a ``limit_price`` it is a LIMIT order that fills at once or not at all (IOC), without one a MARKET order.
    """

    attempt: int
    client_order_id: str
    side: Side
    quantity: Decimal
    timestamp: int
    deadline: int
    position: Position
    limit_price: Decimal | None = None
    rebuilt: bool = False
    """Whether the log had lost it, and the order at the venue says that it was sent. Its times are then the order's."""


class WouldSend(Fact, frozen=True, kw_only=True):
    """A dry run came to the gate: this is the attempt that would have been sent, had ``gate`` said nothing against it."""

    attempt: int
    client_order_id: str
    side: Side
    quantity: Decimal
    position: Position
    limit_price: Decimal | None = None
    gate: str = ""
    """Why the account's own gate would have stopped it now; empty when it would have passed."""


class NotSent(Fact, frozen=True, kw_only=True):
    """It is certain that no byte of the attempt left, so it is dead without further proof."""

    attempt: int
    reason: str


class Answer(StrEnum):
    REFUSED = "refused"
    UNKNOWN = "unknown"


class Answered(Fact, frozen=True, kw_only=True):
    """The venue's answer to an attempt when it was not an order: a definite no, or nothing to build on."""

    attempt: int
    answer: Answer
    http_status: int = 0
    code: int | None = None
    message: str = ""
    setback: bool = True
    """Whether it counts as an attempt that came to nothing; being told to wait does not."""


class Via(StrEnum):
    """How an order was seen."""

    ANSWER = "answer"
    QUERY = "query"
    STREAM = "stream"
    ORDER_LIST = "order_list"


class Seen(Fact, frozen=True, kw_only=True):
    """The venue has the order."""

    via: Via
    order: OrderReport


class Filled(Fact, frozen=True, kw_only=True):
    """An order reached its end and these are all its trades; there may be none."""

    order: OrderReport
    trades: tuple[Trade, ...]


class Dead(Fact, frozen=True, kw_only=True):
    """Proof that an attempt never became an order and never will; ``doubt`` holds the rules."""

    attempt: int
    not_found: int
    first_not_found_at: int
    last_not_found_at: int
    evidence_begun_at: int
    orders_read: int
    position: Position
    foreign_moves: Decimal


class Why(StrEnum):
    """Why resting orders are cancelled."""

    BLOCKING = "blocking"
    """The venue refused to close because of them."""
    LEFTOVER = "leftover"
    """The position that they protected is gone."""


class Clearing(Fact, frozen=True, kw_only=True):
    """These resting orders are about to be cancelled. Written before the first of them is."""

    why: Why
    orders: tuple[RestingOrder, ...]


class Cleared(Fact, frozen=True, kw_only=True):
    """A list read afterwards no longer has those that are ``gone``; what is ``left`` could not be cancelled.

    What was not ``listed`` is not known: the list could not be read.
    """

    why: Why
    gone: tuple[RestingOrder, ...] = ()
    left: tuple[RestingOrder, ...] = ()
    listed: bool = True


class Resumed(Fact, frozen=True, kw_only=True):
    """A process took the close up again."""

    worker: str
    epoch: int


class Ended(Fact, frozen=True, kw_only=True):
    """The outcome. ``position_after`` is the read that it rests on, where there is one.

    ``evidence`` is what could not be reconciled, when the close was parked for a person.
    """

    outcome: Outcome
    position_after: Position | None = None
    evidence: Evidence | None = None


class Resolved(Fact, frozen=True, kw_only=True):
    """A person settled a parked close, after a fresh read of the venue.

    ``trades`` are all of its own orders' fills as the venue lists them then; ``outcome`` takes the place of PARKED.
    """

    actor: str
    reason: str
    outcome: Outcome
    orders: tuple[OrderReport, ...]
    trades: tuple[Trade, ...]
    position: Position


AnyFact = (
    Admitted
    | Sized
    | Sending
    | WouldSend
    | NotSent
    | Answered
    | Seen
    | Filled
    | Dead
    | Clearing
    | Cleared
    | Resumed
    | Ended
    | Resolved
)
