"""Orders of the account that wait at the model venue: how they block, are cancelled, or are filled by themselves."""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from itertools import count
from typing import Protocol

from sureclose.domain.market import RestingOrder
from sureclose.domain.quantity import ZERO
from sureclose.domain.words import PositionSide, Side
from tests.domain.scripts import START, SYMBOL, Cancel, Resting, Script, milli

LATE_MS = 300


class Venue(Protocol):
    """What the shelf needs of the world around it."""

    now: int

    def at(self, time: int, what: Callable[[], None]) -> None: ...

    def book(self, client_order_id: str, side: Side, position_side: PositionSide, quantity: Decimal) -> int:
        """Put somebody's order into the order book, and give it a number."""
        ...

    def fill(self, order_id: int, *, reduces: bool) -> None:
        """Fill an order of the book, as far as it may be filled."""
        ...

    def cancel(self, order_id: int) -> None:
        """Take an order out of the book."""
        ...


@dataclass
class Waiting:
    """One of them: ``ended_at`` is when it left, ``cancelled`` whether our request was the reason."""

    order: RestingOrder
    script: Resting
    ended_at: int | None = None
    cancelled: bool = False
    fired: bool = False

    def rests_at(self, time: int) -> bool:
        return self.order.time <= time and (self.ended_at is None or time < self.ended_at)


class Shelf:
    """All of them, from when they are placed."""

    def __init__(self, script: Script, venue: Venue) -> None:
        self.orders: list[Waiting] = []
        self.asked: list[tuple[int, RestingOrder]] = []
        """The requests to cancel that arrived or not, with their times."""
        self._venue = venue
        self._script = script
        self._algo_ids = count(1)
        self._cancels = list(script.cancels)
        for number, resting in enumerate(script.resting):
            venue.at(START + resting.at, lambda n=number, r=resting: self._place(n, r))  # type: ignore[misc]

    def _place(self, number: int, resting: Resting) -> None:
        long = (self._script.position >= 0) is not resting.other
        side = Side.SELL if long is resting.closing else Side.BUY
        position_side, client, quantity = (
            self._position_side(resting),
            f"rest_{number}",
            milli(resting.thousandths),
        )
        by_flag = resting.reducing and not self._script.hedge
        order = RestingOrder(
            order_id=(
                next(self._algo_ids)
                if resting.conditional
                else self._venue.book(client, side, position_side, quantity)
            ),
            client_order_id=client,
            conditional=resting.conditional,
            symbol=SYMBOL,
            side=side,
            position_side=position_side,
            order_type="STOP_MARKET" if resting.conditional else "LIMIT",
            reduce_only=by_flag and bool(quantity),
            close_position=resting.reducing and not quantity,
            quantity=quantity,
            price=ZERO,
            trigger_price=ZERO,
            time=self._venue.now,
        )
        waiting = Waiting(order, resting)
        self.orders.append(waiting)
        if resting.fires is not None:
            self._venue.at(START + max(resting.fires, resting.at), lambda: self._fire(waiting))

    def _position_side(self, resting: Resting) -> PositionSide:
        if not self._script.hedge:
            return PositionSide.BOTH
        return self._script.other_side if resting.other else self._script.side

    def blocking(self, side: Side, position_side: PositionSide) -> int | None:
        """The code with which an order of this side is refused, if one is in its way."""
        codes = (
            waiting.script.blocks
            for waiting in self.orders
            if waiting.ended_at is None
            and (waiting.order.side, waiting.order.position_side) == (side, position_side)
        )
        return next((code for code in codes if code is not None), None)

    def listed(self, cut: int) -> tuple[RestingOrder, ...]:
        """Those that rest, as a list shows it that lags."""
        return tuple(waiting.order for waiting in self.orders if waiting.rests_at(cut))

    def cancel(self, order: RestingOrder) -> None:
        """One request to cancel. Its answer doesn't matter: what failed shows in the list."""
        self.asked.append((self._venue.now, order))
        fate = self._cancels.pop(0) if self._cancels else Cancel.DONE
        (waiting,) = [known for known in self.orders if known.order == order]
        if fate is Cancel.BEATEN:
            self._fire(waiting)
        elif fate is Cancel.LATE:
            self._venue.at(self._venue.now + LATE_MS, lambda: self._end(waiting))
        elif fate is Cancel.DONE:
            self._end(waiting)

    def _end(self, waiting: Waiting) -> None:
        if waiting.ended_at is None and not waiting.script.stubborn:
            waiting.ended_at, waiting.cancelled = self._venue.now, True
            if not waiting.order.conditional:
                self._venue.cancel(waiting.order.order_id)

    def _fire(self, waiting: Waiting) -> None:
        if waiting.ended_at is not None:
            return
        waiting.ended_at, waiting.fired = self._venue.now, True
        order = waiting.order
        number = order.order_id
        if order.conditional:
            client = f"fired_{order.client_order_id}"
            number = self._venue.book(client, order.side, order.position_side, order.quantity)
        self._venue.fill(number, reduces=order.reduces)
