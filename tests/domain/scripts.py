"""What a history of a close is made of: the decision, the faults, the other hands on the account."""

from decimal import Decimal
from enum import StrEnum

import msgspec

from sureclose.domain.events import Decision, EntryRef
from sureclose.domain.market import Class, SymbolRules
from sureclose.domain.policy import Policy
from sureclose.domain.words import AgeSource, PositionSide, Verdict

SYMBOL = "BTCUSDT"
START = 1_700_000_000_000
"""When the decision arrives."""
RECV_WINDOW = 2_000
POLICY = Policy(account="paper:main")
ENTRY = EntryRef("quantum:stream:apply.result", "1-0")
MARK = Decimal(100)
RULES = SymbolRules(
    symbol=SYMBOL,
    status="TRADING",
    step=Decimal("0.001"),
    min_qty=Decimal("0.001"),
    max_qty=Decimal(4),
    tick=Decimal("0.1"),
    multiplier_up=Decimal("1.05"),
    multiplier_down=Decimal("0.95"),
)


def milli(thousandths: int) -> Decimal:
    return Decimal(thousandths).scaleb(-3)


def decision(
    *,
    fraction: str | None = "1",
    quantity: str | None = None,
    origin_at: int = START - 100,
    expires_at: int | None = None,
    position_amt: str | None = None,
    position_update_time: int | None = None,
    position_side: PositionSide = PositionSide.BOTH,
    plan_id: str = "plan",
) -> Decision:
    return Decision(
        intent_id="intent",
        plan_id=plan_id,
        symbol=SYMBOL,
        position_side=position_side,
        action="CLOSE" if fraction == "1" else "PARTIAL_CLOSE",
        fraction=None if fraction is None else Decimal(fraction),
        quantity=None if quantity is None else Decimal(quantity),
        origin_at=origin_at,
        age_source=AgeSource.FIELD,
        expires_at=expires_at,
        position_amt=None if position_amt is None else Decimal(position_amt),
        position_update_time=position_update_time,
        verdict=Verdict.CLOSE,
        approved=True,
    )


class Reply(StrEnum):
    """What comes back of one request, whatever became of it."""

    GIVEN = "given"
    EARLY = "early"
    """The order as it was accepted, before any fill."""
    LOST = "lost"
    SLOW = "slow"
    """Lost, and that takes two seconds to say."""
    STRANGE = "strange"
    """An answer that names another order."""


class Fate(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of one request. The default is an order that fills at once.

    ``delay`` is from sending to execution; what would be accepted after the window is refused. ``parts`` are per cent
    of what is executable, filled ``gap`` milliseconds apart; what is left over expires. ``refusal`` is the class and
    ``code`` the code of a definite no, ``retry_after`` its wish to wait.
    """

    delay: int = 5
    arrives: bool = True
    refusal: Class | None = None
    code: int = -1
    retry_after: int = 0
    parts: tuple[int, ...] = (100,)
    gap: int = 0
    reply: Reply = Reply.GIVEN


class Gate(StrEnum):
    """What the log does with one pass of the gate."""

    OPEN = "open"
    SLOW = "slow"
    BUSY = "busy"
    WRITTEN_UNHEARD = "written_unheard"
    UNWRITTEN_UNHEARD = "unwritten_unheard"


class Foreign(msgspec.Struct, frozen=True):
    """A trade of somebody else with the same account: when (milliseconds from the start), and how much, signed.

    ``other`` is of the other position in hedge mode; ``client`` begins its order's client order id.
    """

    at: int
    thousandths: int
    other: bool = False
    client: str = "web_"


class Crash(msgspec.Struct, frozen=True):
    """The process dies at its ``step``-th effect, ``before`` or after doing it, and is away for ``down`` ms."""

    step: int
    before: bool
    down: int = 1_000


class Cancel(StrEnum):
    """What becomes of one request to cancel."""

    DONE = "done"
    LOST = "lost"
    """It never arrives."""
    LATE = "late"
    """It takes effect a moment after its answer."""
    BEATEN = "beaten"
    """The order is filled first."""


class Resting(msgspec.Struct, frozen=True, kw_only=True):
    """An order of the account that waits at the venue: placed at ``at``, and filled at ``fires`` (ms from the start).

    ``thousandths`` of zero closes whatever is there. ``closing`` is on the side that closes the position that the
    decision is about, or with ``other`` the other one of hedge mode. While it rests, no order of ours on its side is
    taken when it ``blocks``, with that code; a ``stubborn`` one can't be cancelled.
    """

    at: int = -5_000
    thousandths: int = 1_000
    closing: bool = True
    reducing: bool = True
    conditional: bool = False
    other: bool = False
    blocks: int | None = None
    stubborn: bool = False
    fires: int | None = None


class Telling(msgspec.Struct, frozen=True, kw_only=True):
    """How the stream tells the position: changes younger than ``late`` ms are on their way, or lost.

    It was heard last ``silent`` ms before the start, and nothing that it says shows that it is late.
    """

    late: int = 0
    silent: int = 0


class Script(msgspec.Struct, frozen=True, kw_only=True):
    """One history. Lists are used up in order, and what comes after their end is without fault."""

    position: int = 10_000
    opened: int = -10_000
    """When a trade of that size opened it; the decision says that it was made 2.5 s before the start."""
    hedge: bool = False
    other: int = 0
    """How much the other position of hedge mode has, unsigned; opened with the first."""
    named: bool = False
    """Whether the decision names the position side."""
    fraction: str | None = "1"
    quantity: int | None = None
    known: bool = False
    """Whether the decision says which position it was made for."""
    expires: int | None = None
    fates: tuple[Fate, ...] = ()
    gates: tuple[Gate, ...] = ()
    permits: tuple[Gate, ...] = ()
    foreign: tuple[Foreign, ...] = ()
    crashes: tuple[Crash, ...] = ()
    failing_reads: frozenset[int] = frozenset()
    position_lags: tuple[int, ...] = ()
    trade_lags: tuple[int, ...] = ()
    order_lags: tuple[int, ...] = ()
    resting_lags: tuple[int, ...] = ()
    torn: bool = False
    """Whether a position read may show only a part of what one millisecond brought."""
    timeless: bool = False
    """Whether a flat row says nothing of when it became so."""
    news: tuple[int | None, ...] = ()
    """How late each piece of news of our orders is; ``None`` never comes."""
    echoes: int = 0
    """How often each piece of news is repeated, later."""
    telling: Telling | None = None
    """Whether the stream is believed where it may size an order, and how it tells the position then."""
    latency: int = 3
    clock_error: int = 0
    frozen_from: int | None = None
    resting: tuple[Resting, ...] = ()
    cancels: tuple[Cancel, ...] = ()
    band_until: int | None = None
    """Until when (ms from the start) the book lies outside the price band, so that no MARKET order is taken."""
    prices: tuple[int, ...] = ()
    """The codes with which LIMIT orders are refused for their price."""

    @property
    def full(self) -> bool:
        return self.fraction == "1" and self.quantity is None

    @property
    def side(self) -> PositionSide:
        """The venue's word for the position that the decision is about."""
        if not self.hedge:
            return PositionSide.BOTH
        return PositionSide.LONG if self.position >= 0 else PositionSide.SHORT

    @property
    def other_side(self) -> PositionSide:
        return PositionSide.SHORT if self.side is PositionSide.LONG else PositionSide.LONG
