"""GET /fapi/v1/klines: the candles of a minute, put together to those of the interval that was asked for."""

from typing import Any

from sureclose.paper.call import Call
from sureclose.paper.candles import MINUTE_MS, Candle
from sureclose.paper.errors import VenueError
from sureclose.paper.params import Params
from sureclose.paper.symbols import Contract

_INTERVALS = {
    "1m": 1, "3m": 3, "5m": 5, "15m": 15, "30m": 30, "1h": 60, "2h": 120, "4h": 240, "6h": 360, "8h": 480,
    "12h": 720, "1d": 1440, "3d": 4320, "1w": 10080, "1M": 43200,
}  # fmt: skip
_BY_DEFAULT = 500
_MOST = 1_500


def klines(call: Call) -> Any:
    """By opening time; the last one is not over yet unless `endTime` leaves it out. Nothing of ours was traded: no volume."""
    contract = call.desk.contract(call.params)
    length = _INTERVALS[call.params.required_choice("interval", _INTERVALS, -1120)] * MINUTE_MS
    limit = call.params.integer("limit", least=1) or _BY_DEFAULT
    if limit > _MOST:
        raise VenueError(-1130, name="limit")
    end = min(call.params.integer("endTime") or call.now, call.now)
    begin = call.params.integer("startTime")
    last = end - end % length
    first = last - (limit - 1) * length if begin is None else begin + -begin % length
    last = min(last, first + (limit - 1) * length)
    known = _together(call, contract, length)
    still = Candle.flat(next(iter(known.values())).open)
    return [
        _row(contract, opened, known.get(opened, still), length)
        for opened in range(max(first, 0), last + 1, length)
    ]


def _together(call: Call, contract: Contract, length: int) -> dict[int, Candle]:
    """The candles of that length, as far as minutes are known, by opening time."""
    found: dict[int, Candle] = {}
    for opened, minute in call.desk.candles.of(contract.symbol):
        candle = found.get(opened - opened % length)
        if candle is None:
            found[opened - opened % length] = Candle(minute.open, minute.high, minute.low, minute.close)
            continue
        candle.high, candle.low = max(candle.high, minute.high), min(candle.low, minute.low)
        candle.close = minute.close
    return found


def _row(contract: Contract, opened: int, candle: Candle, length: int) -> list[Any]:
    prices = (contract.money(price) for price in (candle.open, candle.high, candle.low, candle.close))
    zero = contract.quantity(contract.step * 0)
    return [opened, *prices, zero, opened + length - 1, "0", 0, zero, "0", "0"]


def weight(params: Params) -> int:
    """By `limit`: below 100 1, below 500 2, up to 1000 5, above 10 (Binance docs, kline data)."""
    limit = params.as_dict().get("limit", str(_BY_DEFAULT))
    number = int(limit) if limit.isascii() and limit.isdigit() and len(limit) < 6 else _MOST
    return 1 if number < 100 else 2 if number < 500 else 5 if number <= 1_000 else 10
