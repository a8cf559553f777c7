"""What the user data stream told of one close's orders, kept until the close asks for it."""

import asyncio
from typing import Final

from sureclose.domain.market import OrderReport, Trade
from sureclose.domain.quantity import ZERO

FILLS_GRACE_S: Final = 0.5
"""How long the stream's fills may lag behind the answer before they are asked for, at the weight of five queries."""


class Heard:
    """News of orders in the order of arrival, and the fills that came with it.

    The stream's fills are the venue's own trades, so an order whose fills are all here needs no read of them.
    """

    def __init__(self) -> None:
        self._news: asyncio.Queue[OrderReport] = asyncio.Queue()
        self._trades: dict[int, dict[int, Trade]] = {}
        self._filled = asyncio.Event()
        self.delivers = False
        """Whether the stream told the last order's end to the full: it delivers, as of then."""

    @property
    def waiting(self) -> bool:
        return not self._news.empty()

    def tell(self, order: OrderReport, trade: Trade | None) -> None:
        if trade is not None:
            self._trades.setdefault(trade.order_id, {})[trade.trade_id] = trade
            self._filled.set()
        self._news.put_nowait(order)

    async def next(self) -> OrderReport:
        return await self._news.get()

    def put_back(self, news: list[OrderReport]) -> None:
        for order in news:
            self._news.put_nowait(order)

    async def end_of(self, client_order_id: str, kept: list[OrderReport]) -> OrderReport:
        """The stream's word that this order has ended. Other news is kept, and has its turn after the answer."""
        while True:
            news = await self._news.get()
            if news.client_order_id == client_order_id and news.terminal:
                return news
            kept.append(news)

    async def fills_of(self, order: OrderReport, grace_s: float) -> tuple[Trade, ...] | None:
        """All trades of an order that has ended, oldest first; ``None`` when the stream has not told all of them by then."""
        self.delivers = False
        if not order.executed_qty:
            return None
        try:
            async with asyncio.timeout(grace_s):
                while (fills := self._complete(order)) is None:
                    self._filled.clear()
                    await self._filled.wait()
        except TimeoutError:
            return None
        self.delivers = True
        return fills

    def _complete(self, order: OrderReport) -> tuple[Trade, ...] | None:
        fills = self._trades.get(order.order_id, {}).values()
        if sum((trade.quantity for trade in fills), ZERO) != order.executed_qty:
            return None
        return tuple(sorted(fills, key=lambda trade: (trade.time, trade.trade_id)))
