"""Public market data by REST: mark prices and candles. Nothing here is signed, and every read gives way to closes."""

from decimal import Decimal, InvalidOperation
from itertools import pairwise
from typing import Any, Final
from urllib.parse import urlencode

from sureclose.domain.harvest.klines import Kline
from sureclose.domain.safety import Mark
from sureclose.venue.client import SignedClient, decode
from sureclose.venue.endpoints import PREMIUM_INDEX, klines_endpoint
from sureclose.venue.errors import VenueUnreachable
from sureclose.venue.port import Purpose
from sureclose.venue.schemas import PremiumRow

_FIELDS: Final = 7
"""Of a candle that are read; the venue sends twelve."""


class MarketReads:
    """One venue's market data. Each read raises ``VenueError`` rather than to answer for a failure."""

    def __init__(self, client: SignedClient) -> None:
        self._client = client

    async def marks(self) -> dict[str, Mark]:
        """The mark price of every symbol, with the venue's own time of each."""
        body = await self._client.unsigned("GET", PREMIUM_INDEX, Purpose.OBSERVE)
        return {row.symbol: row.mark() for row in decode(list[PremiumRow], body, PREMIUM_INDEX.path)}

    async def klines(self, symbol: str, interval: str, limit: int) -> list[Kline]:
        """The last so many candles, oldest first; the newest may not be over.

        GET /fapi/v1/klines, which doesn't say of which symbol an answer is: it stands in the request alone. What is out of
        order or has no price is no answer.
        """
        endpoint = klines_endpoint(limit)
        query = urlencode({"symbol": symbol, "interval": interval, "limit": limit})
        body = await self._client.unsigned("GET", endpoint, Purpose.OBSERVE, query)
        rows = decode(list[list[Any]], body, endpoint.path)
        try:
            found = [_kline(row) for row in rows]
        except (ValueError, TypeError, InvalidOperation) as error:
            raise VenueUnreachable(f"{endpoint.path}: a candle of {symbol} is unreadable: {error}") from None
        if len(found) > limit or any(
            later.opened_at <= earlier.opened_at for earlier, later in pairwise(found)
        ):
            raise VenueUnreachable(f"{endpoint.path}: the candles of {symbol} are not in order")
        return found


def _kline(row: list[Any]) -> Kline:
    if len(row) < _FIELDS:
        raise ValueError(f"it has {len(row)} fields")
    opened_at, closes_at = row[0], row[6]
    if type(opened_at) is not int or type(closes_at) is not int or closes_at <= opened_at:
        raise ValueError(f"it opens at {opened_at} and closes at {closes_at}")
    opened, high, low, close = (_price(text) for text in row[1:5])
    if not low <= min(opened, close) or not max(opened, close) <= high:
        raise ValueError(f"open {opened}, high {high}, low {low}, close {close}")
    return Kline(opened_at=opened_at, open=opened, high=high, low=low, close=close, closes_at=closes_at)


def _price(text: object) -> Decimal:
    if not isinstance(text, str):
        raise TypeError(f"{text!r} is no price")
    price = Decimal(text)
    if not price.is_finite() or price <= 0:
        raise ValueError(f"{text} is no price")
    return price
