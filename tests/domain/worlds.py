"""A model of the venue, for histories of a close that tests write or draw.

Nothing here is asynchronous and nothing sleeps: time is a number. What the venue *is* (``World``) and what it *shows*
are two things: reads lag, answers get lost, news comes late, twice or never. ``drivers`` has the close itself.
"""

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from itertools import count

import msgspec

from sureclose.domain import steps
from sureclose.domain.events import Decision, EntryRef
from sureclose.domain.facts import Sending, Via
from sureclose.domain.market import Class, OrderReport, Position, Refusal, SymbolRules, Trade
from sureclose.domain.policy import Policy
from sureclose.domain.quantity import ZERO, on_step
from sureclose.domain.words import AgeSource, PositionSide, Side, Verdict

SYMBOL = "BTCUSDT"
START = 1_700_000_000_000
"""When the decision arrives."""
RECV_WINDOW = 2_000
POLICY = Policy(account="paper:main")
ENTRY = EntryRef("quantum:stream:apply.result", "1-0")
RULES = SymbolRules(
    symbol=SYMBOL,
    status="TRADING",
    step=Decimal("0.001"),
    min_qty=Decimal("0.001"),
    max_qty=Decimal(4),
    tick=Decimal("0.1"),
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


# What a history is made of -------------------------------------------------------------------------------------------


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
    the wish to wait of a definite no.
    """

    delay: int = 5
    arrives: bool = True
    refusal: Class | None = None
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
    """A trade of somebody else with the same account: when (milliseconds from the start), and how much, signed."""

    at: int
    thousandths: int


class Crash(msgspec.Struct, frozen=True):
    """The process dies at its ``step``-th effect, ``before`` or after doing it, and is away for ``down`` ms."""

    step: int
    before: bool
    down: int = 1_000


class Script(msgspec.Struct, frozen=True, kw_only=True):
    """One history. Lists are used up in order, and what comes after their end is without fault."""

    position: int = 10_000
    opened: int = -10_000
    """When a trade of that size opened it; the decision says that it was made 2.5 s before the start."""
    fraction: str | None = "1"
    quantity: int | None = None
    known: bool = False
    """Whether the decision says which position it was made for."""
    expires: int | None = None
    fates: tuple[Fate, ...] = ()
    gates: tuple[Gate, ...] = ()
    foreign: tuple[Foreign, ...] = ()
    crashes: tuple[Crash, ...] = ()
    failing_reads: frozenset[int] = frozenset()
    position_lags: tuple[int, ...] = ()
    trade_lags: tuple[int, ...] = ()
    order_lags: tuple[int, ...] = ()
    torn: bool = False
    """Whether a position read may show only a part of what one millisecond brought."""
    news: tuple[int | None, ...] = ()
    """How late each piece of news of our orders is; ``None`` never comes."""
    echoes: int = 0
    """How often each piece of news is repeated, later."""
    latency: int = 3
    clock_error: int = 0
    frozen_from: int | None = None


# The venue -----------------------------------------------------------------------------------------------------------


@dataclass
class VenueOrder:
    order_id: int
    client_order_id: str
    side: Side
    quantity: Decimal
    own: bool
    reports: list[tuple[int, OrderReport]] = field(default_factory=list)

    def as_of(self, time: int) -> OrderReport | None:
        shown = [report for at, report in self.reports if at <= time]
        return shown[-1] if shown else None

    @property
    def ended(self) -> bool:
        return bool(self.reports) and self.reports[-1][1].terminal


class World:
    """What is so at the venue, and what it shows."""

    def __init__(self, script: Script, tell: Callable[[OrderReport], None]) -> None:
        self.script = script
        self.now = START - 30_000
        self.amount = ZERO
        self.moves: list[tuple[int, Decimal]] = [(self.now, self.amount)]
        self.trades: list[Trade] = []
        self.orders: dict[int, VenueOrder] = {}
        self.sent: list[Sending] = []
        self.pending: dict[str, int] = {}
        """Requests on their way that may still execute, by client order id."""
        self._tell = tell
        self._agenda: list[tuple[int, int, Callable[[], None]]] = []
        self._order = count()
        self._ids = count(1)
        self._trade_ids = count(1)
        self._fates = list(script.fates)
        self._news = list(script.news)
        self._reads = count()
        self._lags = {
            "position": list(script.position_lags),
            "trades": list(script.trade_lags),
            "orders": list(script.order_lags),
        }
        opening = (Foreign(script.opened, script.position),) if script.position else ()
        for trade in (*opening, *script.foreign):
            self.at(START + trade.at, lambda trade=trade: self._foreign(trade))  # type: ignore[misc]

    # Time

    def at(self, time: int, what: Callable[[], None]) -> None:
        heapq.heappush(self._agenda, (time, next(self._order), what))

    def advance(self, to: int) -> None:
        while self._agenda and self._agenda[0][0] <= to:
            time, _, what = heapq.heappop(self._agenda)
            self.now = max(self.now, time)
            what()
        self.now = max(self.now, to)

    def next_at(self) -> int | None:
        return self._agenda[0][0] if self._agenda else None

    # What happens

    def _foreign(self, trade: Foreign) -> None:
        """The account's own hand, or another program with its key."""
        quantity = milli(abs(trade.thousandths))
        side = Side.BUY if trade.thousandths > 0 else Side.SELL
        order = VenueOrder(next(self._ids), f"web_{self.now}", side, quantity, own=False)
        self.orders[order.order_id] = order
        self._fill(order, quantity)
        self._report(order, "FILLED")

    def _fill(self, order: VenueOrder, quantity: Decimal) -> None:
        trade = Trade(
            trade_id=next(self._trade_ids),
            order_id=order.order_id,
            symbol=SYMBOL,
            side=order.side,
            position_side=PositionSide.BOTH,
            quantity=quantity,
            price=Decimal(100),
            realized_pnl=ZERO,
            commission=ZERO,
            commission_asset="USDT",
            time=self.now,
        )
        self.trades.append(trade)
        self.amount += trade.signed
        self.moves.append((self.now, self.amount))

    def _report(self, order: VenueOrder, status: str) -> None:
        executed = self.filled_by(order.order_id)
        report = OrderReport(
            order_id=order.order_id,
            client_order_id=order.client_order_id,
            symbol=SYMBOL,
            side=order.side,
            position_side=PositionSide.BOTH,
            status=status,
            order_type="MARKET",
            reduce_only=order.own,
            orig_qty=order.quantity,
            executed_qty=executed,
            update_time=self.now,
        )
        order.reports.append((self.now, report))
        if not order.own:
            return
        delay = self._news.pop(0) if self._news else 8
        if delay is not None:
            for echo in range(self.script.echoes + 1):
                self.at(self.now + delay + 40 * echo, lambda: self._tell(report))

    def filled_by(self, order_id: int) -> Decimal:
        return sum((trade.quantity for trade in self.trades if trade.order_id == order_id), ZERO)

    def own_filled(self) -> Decimal:
        return sum((trade.quantity for trade in self.trades if self.orders[trade.order_id].own), ZERO)

    def truth_at(self, time: int) -> Decimal:
        """The position after everything up to and including a time."""
        return [amount for at, amount in self.moves if at <= time or at == self.moves[0][0]][-1]

    # An order

    def place(self, sending: Sending) -> steps.AnyEvent:
        """One request: what becomes of it may be later than what is answered."""
        fate = self._fates.pop(0) if self._fates else Fate()
        reducing = Side.SELL if sending.position.amount > 0 else Side.BUY
        assert sending.side is reducing, "I5: an order must reduce"
        assert ZERO < sending.quantity <= abs(sending.position.amount), "I5: never larger than the read"
        assert sending.quantity == on_step(sending.quantity, RULES), "the venue's step"
        assert sending.quantity <= RULES.max_qty, "the venue's maximum"
        assert sending.client_order_id not in {before.client_order_id for before in self.sent}, (
            "I1: sent twice"
        )
        assert not self.pending, f"I2: {self.pending} can still execute"
        assert all(order.ended for order in self.orders.values() if order.own), "I2: an order still works"
        self.sent.append(sending)
        began = self.now
        if not fate.arrives:
            return self._no_answer(fate)
        if fate.refusal is not None:
            refusal = Refusal(
                kind=fate.refusal,
                http_status=400,
                code=-1,
                message=fate.refusal,
                retry_after_ms=fate.retry_after,
            )
            return self._answer_refusal(fate, refusal)
        if began + fate.delay > sending.deadline:
            self.advance(began + 5)
            late = Refusal(kind=Class.RETRY, http_status=400, code=-1021, message="outside of recvWindow")
            return self._answer_refusal(fate, late)
        self.pending[sending.client_order_id] = began + fate.delay
        box: list[VenueOrder | Refusal] = []
        self.at(began + fate.delay, lambda: box.append(self._execute(sending, fate)))
        if fate.reply in {Reply.LOST, Reply.SLOW}:
            return self._no_answer(fate)
        self.advance(began + fate.delay)
        if fate.reply is Reply.GIVEN:
            self.advance(self.now + fate.gap * len(fate.parts))
        (result,) = box
        self.advance(self.now + self.script.latency)
        if isinstance(result, Refusal):
            return steps.Refused(now=self.now, refusal=result)
        report = result.reports[0 if fate.reply is Reply.EARLY else -1][1]
        if fate.reply is Reply.STRANGE:
            report = msgspec.structs.replace(report, order_id=9_999_999, client_order_id="somebody-elses")
        return steps.OrderSeen(now=self.now, order=report, via=Via.ANSWER)

    def _no_answer(self, fate: Fate) -> steps.AnyEvent:
        self.advance(self.now + (2_000 if fate.reply is Reply.SLOW else self.script.latency))
        return steps.Unanswered(now=self.now, reason="no answer")

    def _answer_refusal(self, fate: Fate, refusal: Refusal) -> steps.AnyEvent:
        if fate.reply in {Reply.LOST, Reply.SLOW}:
            return self._no_answer(fate)
        self.advance(self.now + self.script.latency)
        return steps.Refused(now=self.now, refusal=refusal)

    def _execute(self, sending: Sending, fate: Fate) -> VenueOrder | Refusal:
        """The venue's own rule stands last: what would not reduce the position is refused, never filled."""
        sign = 1 if sending.side is Side.BUY else -1
        if sign * self.amount >= 0:
            del self.pending[sending.client_order_id]
            return Refusal(kind=Class.FLAT_CHECK, http_status=400, code=-2022, message="ReduceOnly rejected")
        order = VenueOrder(next(self._ids), sending.client_order_id, sending.side, sending.quantity, own=True)
        self.orders[order.order_id] = order
        self._report(order, "NEW")
        for index, part in enumerate(fate.parts):
            last = index == len(fate.parts) - 1
            fill = self._filler(order, on_step(sending.quantity * part / 100, RULES), last=last)
            if fate.gap and index:
                self.at(self.now + fate.gap * index, fill)
            else:
                fill()
        return order

    def _filler(self, order: VenueOrder, part: Decimal, *, last: bool) -> Callable[[], None]:
        def fill() -> None:
            left = order.quantity - self.filled_by(order.order_id)
            sign = 1 if order.side is Side.BUY else -1
            room = max(ZERO, -sign * self.amount)
            quantity = min(part, left, room)
            if quantity:
                self._fill(order, quantity)
            whole = self.filled_by(order.order_id) == order.quantity
            if last:
                del self.pending[order.client_order_id]
            if last or quantity:
                status = "FILLED" if whole and last else "EXPIRED" if last else "PARTIALLY_FILLED"
                self._report(order, status)

        return fill

    # Reads

    def _lag(self, kind: str) -> int:
        return self._lags[kind].pop(0) if self._lags[kind] else 0

    def failing(self) -> bool:
        return next(self._reads) in self.script.failing_reads

    def position(self, requested_at: int) -> Position:
        cut = self.now - self._lag("position")
        shown = [move for move in self.moves if move[0] <= cut] or self.moves[:1]
        if self.script.torn and len(shown) > 1 and shown[-1][0] == shown[-2][0] and self._lags["position"]:
            shown.pop()
        time, amount = shown[-1]
        return Position(
            symbol=SYMBOL,
            position_side=PositionSide.BOTH,
            amount=amount,
            entry_price=Decimal(100),
            mark_price=Decimal(100),
            update_time=time,
            requested_at=requested_at,
        )

    def trades_since(self, since: int) -> tuple[Trade, ...]:
        cut = self.now - self._lag("trades")
        return tuple(trade for trade in self.trades if since <= trade.time <= cut)

    def trades_of(self, order_id: int) -> tuple[Trade, ...]:
        cut = self.now - self._lag("trades")
        return tuple(trade for trade in self.trades if trade.order_id == order_id and trade.time <= cut)

    def order(self, client_order_id: str) -> OrderReport | None:
        cut = self.now - self._lag("orders")
        for order in self.orders.values():
            if order.client_order_id == client_order_id:
                return order.as_of(cut)
        return None

    def orders_since(self, since: int) -> list[OrderReport]:
        cut = self.now - self._lag("orders")
        shown = [order.as_of(cut) for order in self.orders.values() if order.reports]
        begun = [order.reports[0][0] for order in self.orders.values() if order.reports]
        return [report for report, at in zip(shown, begun, strict=True) if report is not None and at >= since]

    def order_by_id(self, order_id: int) -> OrderReport | None:
        return self.orders[order_id].as_of(self.now - self._lag("orders"))
