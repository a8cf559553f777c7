"""Candles of one symbol, as the venue gives them."""

from decimal import Decimal

import msgspec


class Kline(msgspec.Struct, frozen=True, kw_only=True):
    """One candle; times in venue milliseconds, ``closes_at`` its last one.

    Source: Binance docs, ``GET /fapi/v1/klines``, fields 0 to 4 and 6.
    """

    opened_at: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    closes_at: int
