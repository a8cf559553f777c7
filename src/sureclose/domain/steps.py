"""What can happen to a close (events) and what is to be done about it (effects): commands are data."""

from decimal import Decimal

import msgspec

from sureclose.domain.close import State
from sureclose.domain.events import Decision, EntryRef
from sureclose.domain.evidence import Evidence
from sureclose.domain.facts import AnyFact, Ended, Sending, Via, Why
from sureclose.domain.market import OrderReport, Position, Refusal, RestingOrder, SymbolRules, Trade
from sureclose.domain.words import PositionSide, Side

# Events ------------------------------------------------------------------------------------------------------------


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Something happened. ``now`` is the log's clock, which ages are judged by.

    ``ahead`` is how far the venue's clock is ahead of it; both are milliseconds.
    """

    now: int
    ahead: int = 0


class Received(Event, frozen=True, kw_only=True):
    """An approved decision arrived for a close that is new, or was only skipped before."""

    decision: Decision
    entry: EntryRef
    orphan: OrderReport | None = None
    """An order that was sent for it in a history that the log has lost."""


class Taken(Event, frozen=True, kw_only=True):
    """A process took an unfinished close up: after a restart, a takeover or a lost answer of the log."""

    worker: str
    epoch: int


class PositionRead(Event, frozen=True, kw_only=True):
    position: Position
    rules: SymbolRules


class SideUnclear(Event, frozen=True, kw_only=True):
    """The account is in hedge mode and holds both sides of the symbol, and the decision doesn't say which is meant."""


class NotListed(Event, frozen=True, kw_only=True):
    """The venue answered that it has no such symbol."""


class HistoryRead(Event, frozen=True, kw_only=True):
    """The account's trades of the symbol since a time, all of them, and the position they lead to."""

    position: Position
    rules: SymbolRules
    trades: tuple[Trade, ...]
    closed_by: OrderReport | None = None
    """The order of the last of the trades, where the position is flat."""


class RestingRead(Event, frozen=True, kw_only=True):
    """All resting orders of the symbol, conditional ones included; the position was read before."""

    position: Position
    rules: SymbolRules
    orders: tuple[RestingOrder, ...]


class ReadFailed(Event, frozen=True, kw_only=True):
    """A read did not succeed. It says nothing about what it asked for."""

    reason: str


class GatePassed(Event, frozen=True, kw_only=True):
    """The SENDING record is durable."""

    sending: Sending


class GateRefused(Event, frozen=True, kw_only=True):
    """The gate said no; nothing was written. ``passing`` marks reasons that go away by themselves.

    ``other`` is the plan that stands in the way, where one does.
    """

    reason: str
    passing: bool = False
    other: str = ""


class Withheld(Event, frozen=True, kw_only=True):
    """The gate was passed and no byte was sent."""

    reason: str


class OrderSeen(Event, frozen=True, kw_only=True):
    order: OrderReport
    via: Via


class Refused(Event, frozen=True, kw_only=True):
    refusal: Refusal


class Unanswered(Event, frozen=True, kw_only=True):
    """The request may have been executed, and the answer doesn't say."""

    reason: str
    http_status: int = 0
    code: int | None = None


class OrderMissing(Event, frozen=True, kw_only=True):
    """The venue answered that it has no such order, to a question asked after ``asked_at``.

    ``asked_at`` is a time read from the venue itself before the question, not an estimate.
    """

    asked_at: int


class EvidenceRead(Event, frozen=True, kw_only=True):
    """Everything the venue can say about an attempt of unknown fate."""

    evidence: Evidence


class TradesRead(Event, frozen=True, kw_only=True):
    """The trades of the order being worked, as the venue lists them now."""

    trades: tuple[Trade, ...]


class Orphaned(Event, frozen=True, kw_only=True):
    """The venue has an order of a later attempt of this close, and the log had lost it."""

    order: OrderReport


class OrphanRead(Event, frozen=True, kw_only=True):
    """What the venue shows of the position and its trades since before the orphan."""

    evidence: Evidence
    rules: SymbolRules


class Adopted(Event, frozen=True, kw_only=True):
    """What makes the orphan an attempt of this close is durable."""

    facts: tuple[AnyFact, ...]


class Published(Event, frozen=True, kw_only=True):
    """Outcome, confirmation, record and acknowledgement are durable together."""

    ended: Ended


AnyEvent = (
    Received
    | Taken
    | PositionRead
    | SideUnclear
    | NotListed
    | HistoryRead
    | RestingRead
    | ReadFailed
    | GatePassed
    | GateRefused
    | Withheld
    | OrderSeen
    | Refused
    | Unanswered
    | OrderMissing
    | EvidenceRead
    | TradesRead
    | Orphaned
    | OrphanRead
    | Adopted
    | Published
)

# Effects -----------------------------------------------------------------------------------------------------------


class Effect(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to do next. ``delay`` is waited first, unless news of the order comes in between."""

    delay: int = 0


class ReadPosition(Effect, frozen=True, kw_only=True):
    """Read the position from the venue, by a request made after now.

    ``position_side`` is the venue's word for the position this close is of, once something of it was filled; before,
    it follows from the decision and the account's mode.
    """

    position_side: PositionSide | None = None


class ReadHistory(Effect, frozen=True, kw_only=True):
    """Read the account's trades of the symbol since ``since``; the position was read before."""

    since: int
    position: Position
    rules: SymbolRules


class ReadResting(Effect, frozen=True, kw_only=True):
    """List all resting orders of the symbol. Leftovers can wait where the venue's weight is short, blockers can't."""

    why: Why
    position: Position
    rules: SymbolRules


class CancelResting(Effect, frozen=True, kw_only=True):
    """Cancel these orders, if this close may still act at all, and list what rests then."""

    why: Why
    orders: tuple[RestingOrder, ...]
    position: Position
    rules: SymbolRules


class PassGate(Effect, frozen=True, kw_only=True):
    """Hold a connection and a rate token, take the time, and pass the gate with a SENDING record."""

    attempt: int
    client_order_id: str
    side: Side
    quantity: Decimal
    position: Position
    expires_at: int | None
    limit_price: Decimal | None = None


class Send(Effect, frozen=True, kw_only=True):
    """Send the attempt, once, with the journalled timestamp."""

    sending: Sending


class QueryOrder(Effect, frozen=True, kw_only=True):
    """Read the venue's time, then ask for the order by its client order id."""

    client_order_id: str


class GatherEvidence(Effect, frozen=True, kw_only=True):
    """Read the venue's time, the position, then all orders and trades since ``since``."""

    since: int
    position_side: PositionSide


class ReadTrades(Effect, frozen=True, kw_only=True):
    """Read the trades of one order."""

    order_id: int


class ReadOrphan(Effect, frozen=True, kw_only=True):
    """Read the position and the trades since ``since``, to see what the orphan was sent for."""

    since: int
    position_side: PositionSide


class Adopt(Effect, frozen=True, kw_only=True):
    """Write the facts that make the orphan an attempt; ``sending`` is one of them."""

    sending: Sending
    facts: tuple[AnyFact, ...]


class Publish(Effect, frozen=True, kw_only=True):
    """Publish the outcome; it is durable or it is not the outcome."""

    ended: Ended


class Rest(Effect, frozen=True, kw_only=True):
    """Nothing more to do."""


AnyEffect = (
    ReadPosition
    | ReadHistory
    | ReadResting
    | CancelResting
    | PassGate
    | Send
    | QueryOrder
    | GatherEvidence
    | ReadTrades
    | ReadOrphan
    | Adopt
    | Publish
    | Rest
)


class Step(msgspec.Struct, frozen=True):
    """What ``decide`` says: the new state, the facts to journal, and the one effect."""

    state: State
    facts: tuple[AnyFact, ...]
    effect: AnyEffect
