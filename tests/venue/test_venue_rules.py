"""exchangeInfo: the rules of each symbol, read when needed."""

import asyncio
from decimal import Decimal
from typing import Any

import pytest
from structlog.testing import capture_logs

from sureclose.domain.market import SymbolRules
from sureclose.venue.errors import VenueError
from tests.venue.venue_stubs import answering, by_path, client, http, market_order, position_row, raw_venue

FILTERS = [
    {"filterType": "PRICE_FILTER", "minPrice": "0.1", "maxPrice": "1000", "tickSize": "0.10"},
    {"filterType": "LOT_SIZE", "minQty": "0.001", "maxQty": "1000", "stepSize": "0.001"},
    {"filterType": "MARKET_LOT_SIZE", "minQty": "0.002", "maxQty": "120", "stepSize": "0.002"},
    {
        "filterType": "PERCENT_PRICE",
        "multiplierUp": "1.0500",
        "multiplierDown": "0.9500",
        "multiplierDecimal": "4",
    },
    {"filterType": "MAX_NUM_ORDERS", "limit": 200},
    {"filterType": "SOMETHING_NEW", "shape": {"unknown": True}},
]


def info(*symbols: dict[str, Any], **more: Any) -> bytes:
    return http(200, {"timezone": "UTC", "symbols": list(symbols), **more})


def listed(symbol: str = "BTCUSDT", **changes: Any) -> dict[str, Any]:
    return {"symbol": symbol, "status": "TRADING", "filters": FILTERS, **changes}


async def test_rules_are_the_tighter_of_the_two_lot_sizes() -> None:
    async with raw_venue(answering(info(listed()))) as stub, client(stub.url) as venue:
        assert await venue.rules("BTCUSDT") == SymbolRules(
            symbol="BTCUSDT",
            status="TRADING",
            step=Decimal("0.002"),
            min_qty=Decimal("0.002"),
            max_qty=Decimal(120),
            tick=Decimal("0.10"),
            min_price=Decimal("0.1"),
            max_price=Decimal(1000),
            multiplier_up=Decimal("1.05"),
            multiplier_down=Decimal("0.95"),
        )


async def test_what_a_symbol_has_no_filter_for_is_zero() -> None:
    bare = [FILTERS[1], {"filterType": "PRICE_FILTER", "tickSize": "0.10"}]
    async with raw_venue(answering(info(listed(filters=bare)))) as stub, client(stub.url) as venue:
        rules = await venue.rules("BTCUSDT")
    assert rules is not None
    assert rules.tick == Decimal("0.10")
    assert {rules.min_price, rules.max_price, rules.multiplier_up, rules.multiplier_down} == {Decimal(0)}


async def test_an_unlisted_symbol_has_no_rules_and_does_not_make_us_ask_for_ever() -> None:
    async with raw_venue(answering(info(listed()))) as stub, client(stub.url) as venue:
        for _ in range(5):
            assert await venue.rules("NOPEUSDT") is None
        await asyncio.gather(*(venue.rules("BTCUSDT") for _ in range(20)))
        assert len(stub.seen("GET", "/exchangeInfo")) == 1


@pytest.mark.parametrize(
    "strange",
    [
        listed("BADUSDT", filters=[]),
        listed(
            "BADUSDT", filters=[{"filterType": "LOT_SIZE", "minQty": "x", "maxQty": "1", "stepSize": "1"}]
        ),
        listed(
            "BADUSDT", filters=[{"filterType": "LOT_SIZE", "minQty": "1", "maxQty": "10", "stepSize": "0"}]
        ),
        listed(
            "BADUSDT", filters=[{"filterType": "LOT_SIZE", "minQty": "9", "maxQty": "1", "stepSize": "1"}]
        ),
        {"symbol": "BADUSDT"},
        {"symbol": "BADUSDT", "status": 5, "filters": {}},
    ],
)
async def test_a_strange_symbol_is_unreadable_alone(strange: dict[str, Any]) -> None:
    async with (
        raw_venue(answering(info(strange, {"noSymbol": 1}, listed()))) as stub,
        client(stub.url) as venue,
    ):
        assert await venue.rules("BTCUSDT") is not None
        with pytest.raises(VenueError, match="BADUSDT"):
            await venue.rules("BADUSDT")


async def test_refused_quantities_make_the_rules_be_read_again() -> None:
    routes = {
        "GET /fapi/v1/exchangeInfo": info(listed()),
        "POST /fapi/v1/order": http(400, {"code": -4023, "msg": "Qty not increased by step size."}),
    }
    async with raw_venue(by_path(routes)) as stub, client(stub.url, rules_doubt_ms=1) as venue:
        assert await venue.rules("BTCUSDT") is not None
        await venue.place(market_order())
        await asyncio.sleep(0.005)
        coarser = [{"filterType": "LOT_SIZE", "minQty": "1", "maxQty": "10", "stepSize": "1"}]
        routes["GET /fapi/v1/exchangeInfo"] = info(listed(filters=coarser))
        rules = await venue.rules("BTCUSDT")
        assert rules is not None
        assert rules.step == 1


async def test_old_rules_outlive_a_failed_read_and_that_is_said() -> None:
    answers = answering(info(listed()), http(502, "<html>"))
    async with raw_venue(answers) as stub, client(stub.url, rules_max_age_ms=1, rules_retry_ms=1) as venue:
        first = await venue.rules("BTCUSDT")
        await asyncio.sleep(0.005)
        with capture_logs() as logs:
            assert await venue.rules("BTCUSDT") == first
        assert [entry["event"] for entry in logs] == ["venue_rules_kept"]
        await asyncio.sleep(0.005)
        with pytest.raises(VenueError):
            await venue.rules("NOPEUSDT")


async def test_the_limits_of_exchange_info_are_taken_over() -> None:
    limits = [{"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 10}]
    routes = {
        "GET /fapi/v1/exchangeInfo": info(rateLimits=limits),
        "GET /fapi/v2/positionRisk": http(200, [position_row()], X_MBX_USED_WEIGHT_1M="10"),
    }
    async with raw_venue(by_path(routes)) as stub, client(stub.url) as venue:
        stub.to_the_middle_of_a_minute()
        await venue.measure_clock()
        await venue.rules("X")
        await venue.positions()
        assert venue.limits.weight_used() == 10
