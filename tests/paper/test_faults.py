"""Faults strike where their table says, as often as asked, and nowhere else."""

import asyncio
import json
import time
from typing import Any

import aiohttp
import pytest

from sureclose.paper import PaperExchange
from sureclose.paper.actions import ACTIONS
from sureclose.paper.faults import Faults
from sureclose.paper.kinds import KINDS, When

from .bare import Bare

HANG_UP = (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)


async def arm(client: Bare, fault: str, **more: Any) -> None:
    status, answer = await client.control("POST", "faults", {"fault": fault, **more})
    assert status == 200, answer


async def close(client: Bare) -> Any:
    return await client.market("ETHUSDT", "SELL", "0.5", reduceOnly="true", newClientOrderId="one")


async def test_an_unknown_fault_is_refused_with_the_names_of_all(client: Bare) -> None:
    status, answer = await client.control("POST", "faults", {"fault": "explode"})
    assert status == 400
    assert all(name in answer["msg"] for name in KINDS)
    for wrong in (
        {"count": 0},
        {"count": "1"},
        {"ms": -1},
        {"match": 1},
        {"fraction": "2"},
        {"fraction": "x"},
        {"x": 1},
        {"rate": "1.5"},
        {"rate": "NaN"},
        {"code": -2022},
        {"fault": "refused"},
        {"fault": "refused", "code": -9999},
        {"fault": "refused", "code": True},
        {"fault": "blocked_by_resting", "code": -1008},
        {"fault": "execution_delayed", "until_deadline_ms": "0"},
        {"fault": "execution_delayed", "until_deadline_ms": 0, "ms": 5},
        {"fault": "execution_delayed", "answer": "shrug"},
        {"fault": "liquidated", "adl": "yes"},
    ):
        status, _ = await client.control("POST", "faults", {"fault": "answer_delayed", **wrong})
        assert status == 400, wrong


async def test_the_table_is_told_with_its_actions(client: Bare) -> None:
    _, told = await client.control("GET", "faults")
    assert told["known"].keys() == told["kinds"].keys() == KINDS.keys()
    assert told["kinds"]["list_lag"]["lasting"] is True
    assert told["actions"].keys() == ACTIONS.keys()
    assert all(one["meaning"] for one in told["actions"].values())


async def test_every_kind_can_be_armed_and_cleared_and_shows_what_it_was_given(client: Bare) -> None:
    for name, kind in KINDS.items():
        own = {"code": -2022} if "code" in kind.takes else {}
        status, told = await client.control("POST", "faults", {"fault": name, "skip": 9, **own})
        assert status == 200, name
        (armed,) = told["armed"]
        assert (armed["fault"], armed["count"], armed["skip"]) == (name, None if kind.lasting else 1, 9)
        assert kind.takes <= armed.keys()
        await client.control("DELETE", "faults")


async def test_a_rate_strikes_that_share_of_the_chances_and_the_same_ones_for_the_same_seed() -> None:
    def storm(seed: int) -> list[bool]:
        faults = Faults(seed)
        faults.arm({"fault": "unknown_503", "rate": "0.25"}, 0)
        return [faults.first(When.AFTER, "order.place", {}, 0) is not None for _ in range(400)]

    assert storm(1) == storm(1) != storm(2)
    assert 60 <= sum(storm(1)) <= 140
    never = Faults()
    never.arm({"fault": "unknown_503", "rate": "0"}, 0)
    assert never.strikes("unknown_503", "order.place", {}, 0) is None


async def test_one_fault_draws_the_same_whether_another_is_armed_after_it_or_not() -> None:
    def draws(*, storm: bool) -> list[bool]:
        faults = Faults()
        faults.arm({"fault": "unknown_503", "rate": 0.5}, 0)
        if storm:
            faults.arm({"fault": "request_dropped", "rate": "0.5"}, 0)
        struck = []
        for _ in range(50):
            faults.first(When.BEFORE, "order.place", {}, 0)
            struck.append(faults.first(When.AFTER, "order.place", {}, 0) is not None)
        return struck

    assert draws(storm=True) == draws(storm=False)


async def test_a_request_meets_one_fault_before_and_one_after_and_its_record_names_both(client: Bare) -> None:
    await arm(client, "refused", code=-2022)
    await arm(client, "refused", code=-4118)
    await arm(client, "answer_truncated")
    await arm(client, "unknown_503")
    with pytest.raises(json.JSONDecodeError):
        await close(client)
    assert (await close(client))["code"] == -1000
    assert (await close(client))["status"] == "FILLED"
    _, records = await client.control("GET", "records")
    assert [(one["fault"], one["faults"], one["code"]) for one in records["requests"]] == [
        ("refused", ["refused", "answer_truncated"], -2022),
        ("refused", ["refused", "unknown_503"], -4118),
        (None, [], 0),
    ]


async def test_a_match_may_end_in_a_star(client: Bare) -> None:
    await arm(client, "refused", code=-2022, match={"newClientOrderId": "sc-*"})
    assert (await client.market("ETHUSDT", "SELL", "0.1"))["status"] == "FILLED"
    assert (await client.market("ETHUSDT", "SELL", "0.1", newClientOrderId="other"))["status"] == "FILLED"
    assert (await client.market("ETHUSDT", "SELL", "0.1", newClientOrderId="sc-1"))["code"] == -2022


async def test_a_dropped_request_uses_up_no_fault_of_the_answer(client: Bare) -> None:
    await arm(client, "request_dropped")
    await arm(client, "unknown_503")
    with pytest.raises(HANG_UP):
        await close(client)
    assert (await close(client))["code"] == -1000


async def test_a_delayed_answer_was_executed_before_it_came(client: Bare, exchange: PaperExchange) -> None:
    await arm(client, "answer_delayed", ms=300)
    begin = time.monotonic()
    task = asyncio.create_task(close(client))
    while not exchange.desk.ledger.trades:
        await asyncio.sleep(0.005)
    assert time.monotonic() - begin < 0.25
    assert (await task)["status"] == "FILLED"
    assert time.monotonic() - begin >= 0.3


async def test_a_dropped_answer_was_executed(client: Bare) -> None:
    await arm(client, "answer_dropped")
    with pytest.raises(HANG_UP):
        await close(client)
    assert (await client.get("/fapi/v1/order", symbol="ETHUSDT", origClientOrderId="one"))[
        "status"
    ] == "FILLED"


async def test_a_dropped_request_was_not_executed(client: Bare) -> None:
    await arm(client, "request_dropped")
    with pytest.raises(HANG_UP):
        await close(client)
    assert await client.position("ETHUSDT") == "0.500"
    assert (await close(client))["status"] == "FILLED"


@pytest.mark.parametrize(("fault", "left"), [("unknown_503", "0"), ("unknown_503_not_executed", "0.500")])
async def test_a_503_of_unknown_outcome_comes_with_and_without_execution(
    client: Bare, fault: str, left: str
) -> None:
    await arm(client, fault)
    body = client.signed(
        {"symbol": "ETHUSDT", "side": "SELL", "type": "MARKET", "quantity": "0.5", "reduceOnly": "true"}
    )
    status, answer = await client.raw("POST", "/fapi/v1/order", body)
    assert (status, answer["msg"]) == (503, "Unknown error, please check your request or try again later.")
    assert await client.position("ETHUSDT") == left
    _, records = await client.control("GET", "records")
    assert [one["fault"] for one in records["requests"]] == [fault]


async def test_a_lagging_read_does_not_find_a_fresh_order(client: Bare) -> None:
    await arm(client, "read_lag", ms=1000)
    await close(client)
    query = {"symbol": "ETHUSDT", "origClientOrderId": "one"}
    assert (await client.get("/fapi/v1/order", **query))["code"] == -2013
    async with asyncio.timeout(10):
        while (found := await client.get("/fapi/v1/order", **query)).get("code") == -2013:
            await asyncio.sleep(0.02)
    assert found["status"] == "FILLED"


async def test_a_lagging_position_shows_the_past(client: Bare) -> None:
    await arm(client, "position_lag", ms=1000)
    await close(client)
    assert await client.position("ETHUSDT") == "0.500"
    async with asyncio.timeout(10):
        while (amount := await client.position("ETHUSDT")) == "0.500":
            await asyncio.sleep(0.02)
    assert amount == "0"


async def test_a_partial_fill_expires_with_reason_9(client: Bare, exchange: PaperExchange) -> None:
    await arm(client, "partial_fill", fraction="0.333")
    answer = await close(client)
    assert (answer["status"], answer["executedQty"], answer["origQty"]) == ("EXPIRED", "0.166", "0.500")
    assert [order.reason for order in exchange.desk.ledger.orders.values()] == ["9"]
    assert await client.position("ETHUSDT") == "0.334"


async def test_match_skip_and_count_choose_the_requests(client: Bare) -> None:
    await arm(
        client, "unknown_503_not_executed", match={"symbol": "ETHUSDT", "side": "SELL"}, skip=1, count=2
    )
    codes = [(await client.market("ETHUSDT", "SELL", "0.1")).get("code", 0) for _ in range(5)]
    assert codes == [0, -1000, -1000, 0, 0]
    await arm(
        client, "request_dropped", match={"path": "/fapi/v1/time", "method": "GET"}, count=2
    )  # aiohttp asks again once
    with pytest.raises(HANG_UP):
        await client.raw("GET", "/fapi/v1/time")
    await arm(client, "unknown_503", count=None)
    assert len((await client.control("GET", "faults"))[1]["armed"]) == 1
    assert (await client.control("DELETE", "faults"))[1]["armed"] == []
    assert (await client.market("ETHUSDT", "SELL", "0.1"))["status"] == "FILLED"


@pytest.mark.parametrize("fault", ["request_dropped", "answer_dropped"])
async def test_the_websocket_api_has_the_same_faults(
    client: Bare, exchange: PaperExchange, fault: str
) -> None:
    await arm(client, fault, match={"route": "order.place"})
    async with client.session.ws_connect(exchange.ws_api) as socket:
        params: dict[str, Any] = {
            "apiKey": client.key,
            "quantity": "0.5",
            "reduceOnly": "true",
            "side": "SELL",
            "symbol": "ETHUSDT",
            "timestamp": time.time_ns() // 1_000_000,
            "type": "MARKET",
        }
        params["signature"] = client.sign("&".join(f"{name}={value}" for name, value in params.items()))
        await socket.send_json({"id": 1, "method": "order.place", "params": params})
        assert (await socket.receive(timeout=5)).type is not aiohttp.WSMsgType.TEXT
    assert len(exchange.desk.ledger.trades) == (fault == "answer_dropped")
