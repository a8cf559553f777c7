"""Which symbols have resting orders, as the user data stream tells it: a close that leaves none behind need not ask.

A symbol that is said to have none may be wrong when an event was lost, so whoever asks must know that the stream
delivers; one that is said to have some is asked about anyway.
"""

from collections.abc import Callable, Iterable
from typing import Final

from sureclose.domain.market import RestingOrder
from sureclose.venue.stream_events import AlgoUpdate, OrderUpdate

LATE_MS: Final = 1_000
"""How long an event may be on its way before a list that shows its order proves it late or lost."""
DISTRUST_S: Final = 60.0

_Key = tuple[bool, int]


class RestingBook:
    """The account's open orders, conditional ones included. ``steady`` is a clock in seconds that nobody sets."""

    def __init__(self, steady: Callable[[], float]) -> None:
        self._steady = steady
        self._symbols: dict[_Key, str] = {}
        self._whole = False
        self._distrusted_until = 0.0

    def forget(self) -> None:
        """A connection began or ended: the next list of all orders begins anew."""
        self._symbols.clear()
        self._whole = False

    def distrust(self) -> None:
        """The stream lost something, was late, or was not understood."""
        self.forget()
        self._distrusted_until = self._steady() + DISTRUST_S

    def take(self, event: OrderUpdate | AlgoUpdate) -> None:
        if isinstance(event, AlgoUpdate):
            self._note((True, event.algo_id), event.symbol, ended=event.ended)
        else:
            self._note((False, event.report.order_id), event.report.symbol, ended=event.report.terminal)

    def check(self, orders: Iterable[RestingOrder], requested_at: int) -> None:
        """A list of all orders that rest, asked for at a venue time. One that should have been told long before is proof."""
        for order in orders:
            key = order.conditional, order.order_id
            if self._whole and key not in self._symbols and requested_at - order.time > LATE_MS:
                self.distrust()
                return
            self._symbols[key] = order.symbol
        self._whole = True

    def has_none(self, symbol: str) -> bool:
        """Whether nothing rests in the symbol, as far as was told."""
        trusted = self._whole and self._steady() >= self._distrusted_until
        return trusted and symbol not in self._symbols.values()

    def _note(self, key: _Key, symbol: str, *, ended: bool) -> None:
        if ended:
            self._symbols.pop(key, None)
        else:
            self._symbols[key] = symbol
