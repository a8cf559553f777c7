"""Klines: what the price did, in the venue's own shape, with its refusals and weights."""

import time
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import pytest

from sureclose.paper import PaperExchange, PaperSettings
from sureclose.paper.candles import KEPT

from .bare import Bare

MINUTE = 60_000


@pytest.fixture
async def exchange(settings: PaperSettings) -> AsyncIterator[PaperExchange]:
    """In the middle of one minute."""
    now = time.time_ns() // 1_000_000
    async with PaperExchange(settings, clock=lambda: now - now % MINUTE + MINUTE // 2) as running:
        yield running


async def pass_minute(client: Bare, **candles: tuple[str, str, str, str]) -> None:
    status, answer = await client.control(
        "POST", "candles", {"candles": {symbol: [one] for symbol, one in candles.items()}}
    )
    assert status == 200, answer


async def klines(client: Bare, **query: Any) -> list[list[Any]]:
    found: list[list[Any]] = await client.get("/fapi/v1/klines", symbol="ETHUSDT", **query)
    return found


async def test_minutes_that_went_by_are_candles_and_the_last_one_is_not_over(client: Bare) -> None:
    await pass_minute(client, ETHUSDT=("2400", "2420", "2390", "2410"))
    await pass_minute(client, ETHUSDT=("2410", "2415", "2405", "2406"))
    found = await klines(client, interval="1m", limit=3)
    prices = [[Decimal(price) for price in row[1:5]] for row in found]
    assert prices == [[2400, 2420, 2390, 2410], [2410, 2415, 2405, 2406], [2406] * 4]
    now = (await client.get("/fapi/v1/time"))["serverTime"]
    assert found[-1][0] <= now <= found[-1][6]
    assert [row[6] - row[0] + 1 for row in found] == [MINUTE] * 3
    assert [row[0] % MINUTE for row in found] == [0] * 3
    mark = await client.get("/fapi/v1/premiumIndex", symbol="ETHUSDT")
    assert Decimal(mark["markPrice"]) == 2406


async def test_longer_candles_hold_the_minutes_within_them(client: Bare) -> None:
    for high in (2420, 2450, 2430):
        await pass_minute(client, ETHUSDT=("2400", str(high), "2399", "2400"))
    found = await klines(client, interval="1d", limit=2)
    assert max(Decimal(row[2]) for row in found) == 2450
    assert Decimal(found[-1][4]) == 2400
    assert found[-1][0] - found[0][0] == 1_440 * MINUTE


async def test_a_window_has_the_candles_that_open_in_it(client: Bare) -> None:
    everything = await klines(client, interval="1m", limit=10)
    within = await klines(client, interval="1m", startTime=everything[2][0], endTime=everything[5][0])
    assert within == everything[2:6]
    assert await klines(client, interval="1m", endTime=everything[4][0], limit=2) == everything[3:5]


async def test_what_the_venue_refuses_is_refused(client: Bare) -> None:
    for query, code in (
        ({}, -1102),
        ({"interval": "7m"}, -1120),
        ({"interval": "1m", "limit": "1501"}, -1130),
        ({"interval": "1m", "limit": "0"}, -1130),
    ):
        status, answer = await client.raw(
            "GET", f"/fapi/v1/klines?{urlencode({'symbol': 'ETHUSDT', **query})}"
        )
        assert (status, answer["code"]) == (400, code), query


async def test_klines_weigh_by_how_many_are_asked_for(client: Bare, exchange: PaperExchange) -> None:
    used = []
    for limit in (99, 100, 499, 500, 1_000, 1_001):
        before = await _weight(client)
        await klines(client, interval="1m", limit=limit)
        used.append(await _weight(client) - before - 1)
    assert used == [1, 2, 2, 5, 5, 10]
    assert len(exchange.desk.candles.of("ETHUSDT")) == KEPT


async def _weight(client: Bare) -> int:
    await client.raw("GET", "/fapi/v1/time")
    found = {name.upper(): value for name, value in client.headers.items()}
    return int(found["X-MBX-USED-WEIGHT-1M"])


async def test_a_candle_that_is_none_changes_nothing(client: Bare) -> None:
    before = await klines(client, interval="1m", limit=2)
    wrong = {"candles": {"ETHUSDT": [["2400", "2410", "2390", "2395"], ["2400", "2399", "2390", "2395"]]}}
    status, answer = await client.control("POST", "candles", wrong)
    assert status == 400
    assert "open and close must lie between" in answer["msg"]
    assert await klines(client, interval="1m", limit=2) == before
