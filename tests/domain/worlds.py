"""A model of the venue, for histories of a close that tests write or draw.

Nothing here is asynchronous and nothing sleeps: time is a number. What the venue *is* (``World``) and what it *shows*
are two things: reads lag, answers get lost, news comes late, twice or never. ``scripts`` has what a history is made of,
``shelf`` the account's resting orders, ``drivers`` the close itself.
"""

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import count

import msgspec

from sureclose.domain import steps
from sureclose.domain.facts import Sending, Via
from sureclose.domain.market import Class, OrderReport, Position, Refusal, RestingOrder, Trade
from sureclose.domain.quantity import ZERO, on_step
from sureclose.domain.words import PositionSide, Side
from tests.domain.scripts import (
    MARK,
    RULES,
    START,
    SYMBOL,
    Fate,
    Foreign,
    Reply,
    Script,
    milli,
)
from tests.domain.shelf import Shelf

FRESH_MS = 1_000
"""How recently the stream must have been heard to be believed."""

__all__ = ["START", "Fate", "Reply", "Script", "World"]


@dataclass
class VenueOrder:
    order_id: int
    client_order_id: str
    side: Side
    quantity: Decimal
    own: bool
    position_side: PositionSide = PositionSide.BOTH
    limit: bool = False
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
        self.amounts = {script.side: ZERO}
        self.all_moves: dict[PositionSide, list[tuple[int, Decimal]]] = {script.side: [(self.now, ZERO)]}
        if script.hedge:
            self.amounts[script.other_side] = ZERO
            self.all_moves[script.other_side] = [(self.now, ZERO)]
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
            "resting": list(script.resting_lags),
        }
        self._prices = list(script.prices)
        opening = [Foreign(script.opened, script.position)] if script.position else []
        if script.hedge and script.other:
            sign = 1 if script.other_side is PositionSide.LONG else -1
            opening.append(Foreign(script.opened, sign * script.other, other=True))
        for trade in (*opening, *script.foreign):
            self.at(START + trade.at, lambda trade=trade: self._foreign(trade))  # type: ignore[misc]
        self.shelf = Shelf(script, self)

    @property
    def amount(self) -> Decimal:
        """The position that the decision is about."""
        return self.amounts[self.script.side]

    @property
    def moves(self) -> list[tuple[int, Decimal]]:
        return self.all_moves[self.script.side]

    @property
    def its_trades(self) -> list[Trade]:
        """The trades of the position that the decision is about."""
        return [trade for trade in self.trades if trade.position_side is self.script.side]

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
        """The account's own hand, another program with its key, or the venue itself."""
        position_side = self.script.other_side if trade.other else self.script.side
        side = Side.BUY if trade.thousandths > 0 else Side.SELL
        client = f"{trade.client}{self.now}"
        order_id = self.book(client, side, position_side, milli(abs(trade.thousandths)))
        self.fill(order_id, reduces=False)

    def book(self, client_order_id: str, side: Side, position_side: PositionSide, quantity: Decimal) -> int:
        """Put somebody's order into the order book, and give it a number."""
        order = VenueOrder(
            next(self._ids), client_order_id, side, quantity, own=False, position_side=position_side
        )
        self.orders[order.order_id] = order
        self._report(order, "NEW")
        return order.order_id

    def fill(self, order_id: int, *, reduces: bool) -> None:
        """Fill an order of the book, as far as it may be filled: no side of hedge mode goes through zero."""
        order = self.orders[order_id]
        room = self._room(order)
        quantity = order.quantity or room
        if reduces or (order.position_side is not PositionSide.BOTH and self._closes(order)):
            quantity = min(quantity, room)
        if quantity:
            self._fill(order, quantity)
        self._report(order, "FILLED" if quantity else "EXPIRED")

    def cancel(self, order_id: int) -> None:
        """Take an order out of the book."""
        self._report(self.orders[order_id], "CANCELED")

    def _closes(self, order: VenueOrder) -> bool:
        return (order.side is Side.SELL) is (order.position_side is PositionSide.LONG)

    def _room(self, order: VenueOrder) -> Decimal:
        """How much the order can reduce its position by."""
        sign = 1 if order.side is Side.BUY else -1
        return max(ZERO, -sign * self.amounts[order.position_side])

    def _fill(self, order: VenueOrder, quantity: Decimal) -> None:
        trade = Trade(
            trade_id=next(self._trade_ids),
            order_id=order.order_id,
            symbol=SYMBOL,
            side=order.side,
            position_side=order.position_side,
            quantity=quantity,
            price=MARK,
            realized_pnl=ZERO,
            commission=ZERO,
            commission_asset="USDT",
            time=self.now,
        )
        self.trades.append(trade)
        self.amounts[order.position_side] += trade.signed
        self.all_moves[order.position_side].append((self.now, self.amounts[order.position_side]))

    def _report(self, order: VenueOrder, status: str) -> None:
        executed = self.filled_by(order.order_id)
        report = OrderReport(
            order_id=order.order_id,
            client_order_id=order.client_order_id,
            symbol=SYMBOL,
            side=order.side,
            position_side=order.position_side,
            status=status,
            order_type="LIMIT" if order.limit else "MARKET",
            reduce_only=order.own and not self.script.hedge,
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
        assert sending.position.position_side is self.script.side, "the position that was decided on"
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
            return self._answer_refusal(fate, refusal(fate.code, fate.refusal, fate.retry_after))
        if began + fate.delay > sending.deadline:
            self.advance(began + 5)
            return self._answer_refusal(fate, refusal(-1021, Class.RETRY))
        unpriced = self._priced(sending)
        if unpriced is not None:
            return self._answer_refusal(fate, unpriced)
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

    def _priced(self, sending: Sending) -> Refusal | None:
        """Why the price is not taken, if it isn't: the venue's band and tick, and what the script says."""
        price = sending.limit_price
        if price is None:
            outside = self.script.band_until is not None and self.now < START + self.script.band_until
            return refusal(-4131, Class.RETRY) if outside else None
        assert price % RULES.tick == 0, "on the tick"
        edge = RULES.multiplier_up if sending.side is Side.BUY else RULES.multiplier_down
        assert min(MARK, MARK * edge) <= price <= max(MARK, MARK * edge), "inside the band, on its own side"
        return refusal(self._prices.pop(0), Class.FIX) if self._prices else None

    def _execute(self, sending: Sending, fate: Fate) -> VenueOrder | Refusal:
        """The venue's own rule stands last: what would not reduce the position is refused, never filled."""
        position_side = sending.position.position_side
        order = VenueOrder(
            0,
            sending.client_order_id,
            sending.side,
            sending.quantity,
            own=True,
            position_side=position_side,
            limit=sending.limit_price is not None,
        )
        blocked = self.shelf.blocking(sending.side, position_side)
        if not self._room(order) or blocked is not None:
            del self.pending[sending.client_order_id]
            return refusal(blocked or -2022, Class.FLAT_CHECK)
        order.order_id = next(self._ids)
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
            quantity = min(part, left, self._room(order))
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
        """The position that the decision is about."""
        return self.positions(requested_at)[0]

    def positions(self, requested_at: int) -> tuple[Position, ...]:
        """One answer: the position that the decision is about, and in hedge mode the other one."""
        lag = self._lag("position")
        torn = self.script.torn and bool(self._lags["position"])
        return tuple(self._position(side, self.now - lag, requested_at, torn=torn) for side in self.amounts)

    def told(self, earliest: int) -> Position | None:
        """The position that the decision is about, as the stream tells it; never zero, and no side that was not named.

        ``earliest`` is a venue time that has passed. Of two states of one millisecond the stream tells neither.
        """
        telling, script = self.script.telling, self.script
        if telling is None or (script.hedge and not script.named):
            return None
        age = self.now - START + telling.silent
        if age >= FRESH_MS:
            return None
        cut, side = self.now - telling.late, script.side
        at = max((time for time, _ in self.moves if time <= cut), default=0)
        amounts = {amount for time, amount in self.moves if time == at}
        if len(amounts) != 1 or not any(amounts):
            return None
        known = self._position(side, cut, earliest - age - 1, torn=False)
        return msgspec.structs.replace(known, told=True)

    def _position(self, side: PositionSide, cut: int, requested_at: int, *, torn: bool) -> Position:
        moves = self.all_moves[side]
        shown = [move for move in moves if move[0] <= cut] or moves[:1]
        if torn and len(shown) > 1 and shown[-1][0] == shown[-2][0]:
            shown.pop()
        time, amount = shown[-1]
        return Position(
            symbol=SYMBOL,
            position_side=side,
            amount=amount,
            entry_price=MARK,
            mark_price=MARK,
            update_time=0 if self.script.timeless and not amount else time,
            requested_at=requested_at,
        )

    def resting(self) -> tuple[RestingOrder, ...]:
        return self.shelf.listed(self.now - self._lag("resting"))

    def trades_since(self, since: int) -> tuple[Trade, ...]:
        """Those of the position that the decision is about; the list of the symbol has both."""
        cut = self.now - self._lag("trades")
        return tuple(trade for trade in self.its_trades if since <= trade.time <= cut)

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


def refusal(code: int, kind: Class, retry_after: int = 0) -> Refusal:
    """A definite no, with the name of its class for a message."""
    return Refusal(kind=kind, http_status=400, code=code, message=kind, retry_after_ms=retry_after)
