"""Which symbols have resting orders, as the user data stream tells it: a close that leaves none behind need not ask.

A symbol that is said to have none may be wrong when an event was lost, so whoever asks must know that the stream
delivers; one that is said to have some is asked about anyway.
"""

from collections.abc import Callable, Iterable

from sureclose.domain.market import RestingOrder
from sureclose.venue.book import DISTRUST_S, LATE_MS
from sureclose.venue.stream_events import AlgoUpdate, OrderUpdate

_Key = tuple[bool, int]


class RestingBook:
    """The account's open orders, conditional ones included. ``steady`` is a clock in seconds that nobody sets."""

    def __init__(self, steady: Callable[[], float]) -> None:
        self._steady = steady
        self._symbols: dict[_Key, str] = {}
        self._whole = False
        self._distrusted_until = 0.0
        self._before: set[_Key] | None = None
        """What was known when a list was asked for; nothing while none is."""
        self._ended: set[_Key] = set()
        """What has ended since."""

    def forget(self) -> None:
        """A connection began or ended: the next list of all orders begins anew."""
        self._symbols.clear()
        self._whole = False
        self._before = None

    def distrust(self) -> None:
        """The stream lost something, was late, or was not understood."""
        self.forget()
        self._distrusted_until = self._steady() + DISTRUST_S

    def take(self, event: OrderUpdate | AlgoUpdate) -> None:
        if isinstance(event, AlgoUpdate):
            self._note((True, event.algo_id), event.symbol, ended=event.ended)
        else:
            self._note((False, event.report.order_id), event.report.symbol, ended=event.report.terminal)

    def ask(self) -> None:
        """A list of all orders is about to be asked for."""
        self._before, self._ended = set(self._symbols), set()

    def check(self, orders: Iterable[RestingOrder], requested_at: int) -> None:
        """That list, asked for at a venue time. An order in it that should have been told long before is proof.

        What was known before and is not in it is gone. A list that was begun before another connection says nothing.
        """
        if self._before is None:
            return
        listed = {(order.conditional, order.order_id): order for order in orders}
        for key, order in listed.items():
            if key in self._ended:
                continue
            if self._whole and key not in self._symbols and requested_at - order.time > LATE_MS:
                self.distrust()
                return
            self._symbols[key] = order.symbol
        for key in self._before - listed.keys():
            self._symbols.pop(key, None)
        self._whole, self._before = True, None

    def has_none(self, symbol: str) -> bool:
        """Whether nothing rests in the symbol, as far as was told."""
        trusted = self._whole and self._steady() >= self._distrusted_until
        return trusted and symbol not in self._symbols.values()

    def _note(self, key: _Key, symbol: str, *, ended: bool) -> None:
        if ended:
            if self._before is not None:
                self._ended.add(key)
            self._symbols.pop(key, None)
        else:
            self._symbols[key] = symbol
