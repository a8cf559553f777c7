"""Faults inside the exchange: what rests blocks, MARKET is rejected, the venue liquidates, lists lag."""

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from sureclose.paper import PaperExchange

from .bare import Bare

RO = {"reduceOnly": "true"}
STOP = {"algoType": "CONDITIONAL", "symbol": "ETHUSDT", "side": "SELL", "type": "STOP_MARKET", "triggerPrice": "2000"}  # fmt: skip


async def arm(client: Bare, fault: str, **more: Any) -> None:
    status, answer = await client.control("POST", "faults", {"fault": fault, **more})
    assert status == 200, answer


@pytest.mark.parametrize("code", [-4118, -2022])
async def test_a_close_is_blocked_until_what_rests_beside_it_is_cancelled(client: Bare, code: int) -> None:
    await arm(client, "blocked_by_resting", code=code)
    resting = await client.limit("ETHUSDT", "SELL", "0.5", "2500", **RO)
    assert resting["status"] == "NEW", "nothing rests beside the first"
    waiting = await client.post("/fapi/v1/algoOrder", **STOP, closePosition="true")
    for _ in range(2):
        assert (await client.market("ETHUSDT", "SELL", "0.5", **RO))["code"] == code
    assert (await client.limit("ETHUSDT", "SELL", "0.5", "2390", timeInForce="IOC", **RO))["code"] == code
    assert (await client.market("ETHUSDT", "SELL", "0.1"))["status"] == "FILLED", "not a reducing order"
    await client.delete("/fapi/v1/allOpenOrders", symbol="ETHUSDT")
    assert (await client.market("ETHUSDT", "SELL", "0.4", **RO))["code"] == code
    await client.delete("/fapi/v1/algoOrder", algoId=waiting["algoId"])
    assert (await client.market("ETHUSDT", "SELL", "0.4", **RO))["status"] == "FILLED"
    _, told = await client.control("GET", "faults")
    assert [(one["fault"], one["struck"]) for one in told["armed"]] == [("blocked_by_resting", 4)]


async def test_only_orders_of_the_same_symbol_and_side_block(client: Bare) -> None:
    await arm(client, "blocked_by_resting")
    await client.limit("ETHUSDT", "BUY", "0.5", "2300")
    await client.limit("BTCUSDT", "BUY", "0.01", "62000", **RO)
    assert (await client.market("ETHUSDT", "SELL", "0.5", **RO))["status"] == "FILLED"
    assert (await client.market("BTCUSDT", "BUY", "0.01", **RO))["code"] == -4118


async def test_market_orders_are_rejected_while_a_limit_inside_the_band_trades(client: Bare) -> None:
    await arm(client, "market_rejected", match={"symbol": "ETHUSDT"})
    for _ in range(2):
        assert (await client.market("ETHUSDT", "SELL", "0.5", **RO))["code"] == -4131
    assert (await client.market("BTCUSDT", "BUY", "0.01", **RO))["status"] == "FILLED"
    answer = await client.limit("ETHUSDT", "SELL", "0.5", "2390", timeInForce="IOC", **RO)
    assert await client.position("ETHUSDT") == "0", answer
    _, records = await client.control("GET", "records")
    assert [one["fault"] for one in records["requests"]] == ["market_rejected", "market_rejected", None, None]


async def test_market_orders_can_be_rejected_so_many_times(client: Bare) -> None:
    await arm(client, "market_rejected", count=1)
    assert (await client.market("ETHUSDT", "SELL", "0.5", **RO))["code"] == -4131
    assert (await client.market("ETHUSDT", "SELL", "0.5", **RO))["status"] == "FILLED"


async def test_a_market_order_may_expire_with_nothing_filled(client: Bare) -> None:
    await arm(client, "partial_fill", fraction="0")
    answer = await client.market("ETHUSDT", "SELL", "0.5", **RO)
    assert (answer["status"], answer["executedQty"]) == ("EXPIRED", "0.000")
    _, records = await client.control("GET", "records")
    assert records["requests"][0]["fault"] == "partial_fill"
    assert records["orders"][0]["reason"] == "9"


@pytest.mark.parametrize("adl", [False, True])
async def test_the_position_may_be_liquidated_just_before_the_order(
    client: Bare, exchange: PaperExchange, *, adl: bool
) -> None:
    await arm(client, "liquidated", adl=adl)
    assert (await client.market("ETHUSDT", "SELL", "0.5", **RO))["code"] == -2022
    assert await client.position("ETHUSDT") == "0"
    (order,) = exchange.desk.ledger.orders.values()
    assert order.client_id.startswith("adl_autoclose" if adl else "autoclose-")
    assert (await client.market("BTCUSDT", "BUY", "0.01", **RO))["status"] == "FILLED", "it struck once"


async def test_a_part_of_the_position_may_be_liquidated(client: Bare, exchange: PaperExchange) -> None:
    await arm(client, "liquidated", fraction="0.5")
    answer = await client.market("ETHUSDT", "SELL", "0.5", **RO)
    assert (answer["status"], answer["executedQty"]) == ("FILLED", "0.250")
    assert [trade.quantity for trade in exchange.desk.ledger.trades] == [Decimal("0.25"), Decimal("0.25")]


async def test_lists_do_not_show_what_is_young(client: Bare) -> None:
    await arm(client, "list_lag", ms=600)
    order = await client.market("ETHUSDT", "SELL", "0.5", newClientOrderId="young", **RO)
    lists = ("/fapi/v1/allOrders", "/fapi/v1/userTrades")
    for path in lists:
        assert await client.get(path, symbol="ETHUSDT") == []
        assert await client.get(path, symbol="ETHUSDT", orderId=order["orderId"]) == []
    assert (await client.get("/fapi/v1/order", symbol="ETHUSDT", orderId=order["orderId"]))[
        "status"
    ] == "FILLED"
    async with asyncio.timeout(10):
        for path in lists:
            while not await client.get(path, symbol="ETHUSDT"):
                await asyncio.sleep(0.02)
    _, records = await client.control("GET", "records")
    assert {one["fault"] for one in records["requests"] if one["path"] in lists} == {"list_lag"}


async def test_a_storm_strikes_at_its_rate_and_the_books_stay_right(
    client: Bare, exchange: PaperExchange
) -> None:
    """Faults before and after the execution at once: exactly what was executed is in the books."""
    await arm(client, "unknown_503_not_executed", rate="0.3")
    await arm(client, "unknown_503", rate="0.3")
    answers = [await client.market("ETHUSDT", "SELL", "0.001", **RO) for _ in range(120)]
    _, told = await client.control("GET", "faults")
    before, after = told["armed"]
    assert (before["count"], after["count"]) == (None, None)
    assert 15 <= before["struck"] <= 60
    assert len(exchange.desk.ledger.trades) == 120 - before["struck"]
    assert sum(answer.get("code") == -1000 for answer in answers) >= before["struck"]
    _, records = await client.control("GET", "records")
    assert sum(one["fault"] is not None for one in records["requests"]) <= before["struck"] + after["struck"]
