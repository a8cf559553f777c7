"""The exchange's own records, by which a journal is judged: orders and trades in Binance's words."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec

from sureclose.domain.market import TERMINAL_STATUSES
from sureclose.domain.words import PositionSide, Side


class BooksUnreadable(ValueError):
    """The file is not what an exchange records. Give orders and trades as Binance's allOrders and userTrades list them."""


class BookOrder(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One element of GET /fapi/v1/allOrders. ``time`` is when it was accepted, 0 when that was not told."""

    order_id: int
    client_order_id: str
    symbol: str
    side: Side
    reduce_only: bool
    status: str
    orig_qty: Decimal
    executed_qty: Decimal
    time: int = 0
    update_time: int = 0
    position_side: PositionSide = PositionSide.BOTH
    type: str = ""

    @property
    def ended(self) -> bool:
        return self.status in TERMINAL_STATUSES

    @property
    def reduces(self) -> bool:
        """Whether it can only make a position smaller: by its flag, or in hedge mode by its side."""
        if self.position_side is PositionSide.BOTH:
            return self.reduce_only
        return (self.side is Side.SELL) is (self.position_side is PositionSide.LONG)


class BookTrade(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One element of GET /fapi/v1/userTrades."""

    id: int
    order_id: int
    symbol: str
    side: Side
    qty: Decimal
    price: Decimal
    time: int
    position_side: PositionSide = PositionSide.BOTH

    @property
    def signed(self) -> Decimal:
        """What the trade did to the position."""
        return self.qty if self.side is Side.BUY else -self.qty


Span = tuple[int, int]
"""From when to when a list is complete, both included: venue milliseconds."""

_WHOLE: Final = frozenset({"orders", "trades", "positions"})


class Books:
    """Orders and trades, found by what the journal knows of them.

    ``order_spans`` and ``trade_spans`` say for each symbol between which times nothing is missing; ``whole`` says
    that nothing is missing at all. ``taken_at`` is when reading began, where that is known.
    """

    def __init__(
        self,
        orders: Sequence[BookOrder] | None,
        trades: Sequence[BookTrade] | None,
        *,
        whole: bool,
        order_spans: dict[str, Span],
        trade_spans: dict[str, Span],
    ) -> None:
        self.has_orders, self.has_trades, self.whole = orders is not None, trades is not None, whole
        self.orders = tuple({(order.symbol, order.order_id): order for order in orders or ()}.values())
        self._spans = order_spans, trade_spans
        self._orders: defaultdict[tuple[str, str], list[BookOrder]] = defaultdict(list)
        for order in self.orders:
            self._orders[order.symbol, order.client_order_id].append(order)
        self._trades = {(trade.symbol, trade.id): trade for trade in trades or ()}
        self._fills: defaultdict[tuple[str, int], list[BookTrade]] = defaultdict(list)
        for trade in self._trades.values():
            self._fills[trade.symbol, trade.order_id].append(trade)

    def named(self, symbol: str, client_order_id: str) -> list[BookOrder]:
        """The orders of that id: one, unless it was never accepted or used twice."""
        return self._orders.get((symbol, client_order_id), [])

    def trade(self, symbol: str, trade_id: int) -> BookTrade | None:
        return self._trades.get((symbol, trade_id))

    def fills(self, symbol: str, order_id: int) -> list[BookTrade]:
        return self._fills.get((symbol, order_id), [])

    def trades_of(self, symbol: str) -> list[BookTrade]:
        """All of one symbol."""
        return [trade for trade in self._trades.values() if trade.symbol == symbol]

    def shows_order(self, symbol: str, at: int) -> bool:
        """Whether an order of that time would be here."""
        return self.has_orders and self._shows(self._spans[0], symbol, at)

    def shows_trade(self, symbol: str, at: int) -> bool:
        """Whether a trade of that time would be here."""
        return self.has_trades and self._shows(self._spans[1], symbol, at)

    def _shows(self, spans: dict[str, Span], symbol: str, at: int) -> bool:
        if self.whole:
            return True
        span = spans.get(symbol)
        return span is not None and span[0] <= at <= span[1]


def parse(documents: Iterable[bytes]) -> Books:
    """The books that the files make up together; raises ``BooksUnreadable``.

    A document is ``{"orders": [...], "trades": [...], "positions": [...]}``, which speaks for the whole account when it
    has all three, or a list as allOrders or userTrades give it, which speaks for its symbols from its first row to its
    last.
    """
    orders: list[BookOrder] | None = None
    trades: list[BookTrade] | None = None
    whole = False
    for document in documents:
        found = _sorted_out(document)
        whole = whole or found.keys() >= _WHOLE
        try:
            if "orders" in found:
                orders = [*(orders or ()), *msgspec.convert(found["orders"], list[BookOrder])]
            if "trades" in found:
                trades = [*(trades or ()), *msgspec.convert(found["trades"], list[BookTrade])]
        except msgspec.ValidationError as error:
            raise BooksUnreadable(f"{error}; give rows as Binance's allOrders and userTrades do") from None
    return Books(
        orders,
        trades,
        whole=whole,
        order_spans=_spans((order.symbol, order.time) for order in orders or ()),
        trade_spans=_spans((trade.symbol, trade.time) for trade in trades or ()),
    )


def _sorted_out(document: bytes) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(document)
    except msgspec.DecodeError as error:
        raise BooksUnreadable(f"not JSON: {error}") from None
    if isinstance(found, dict) and found.keys() & {"orders", "trades"}:
        return found
    if isinstance(found, list) and all(isinstance(row, dict) for row in found):
        orders = [row for row in found if "clientOrderId" in row]
        trades = [row for row in found if "clientOrderId" not in row]
        return ({"orders": orders} if orders else {}) | ({"trades": trades} if trades else {})
    raise BooksUnreadable("expected an object with orders and trades, or a list of one of them")


def _spans(times: Iterable[tuple[str, int]]) -> dict[str, Span]:
    spans: dict[str, Span] = {}
    for symbol, time in times:
        first, last = spans.get(symbol, (time, time))
        spans[symbol] = min(first, time), max(last, time)
    return spans
