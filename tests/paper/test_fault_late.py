"""An execution that is put off happens at its time of venue time, inside its window or never."""

import asyncio
import time
from typing import Any

import aiohttp
import pytest

from sureclose.paper import PaperExchange

from .bare import Bare

ORDER = {"symbol": "ETHUSDT", "side": "SELL", "type": "MARKET", "quantity": "0.5", "reduceOnly": "true"}


async def arm(client: Bare, **more: Any) -> None:
    status, answer = await client.control("POST", "faults", {"fault": "execution_delayed", **more})
    assert status == 200, answer


async def send(client: Bare, window: int, timestamp: int) -> tuple[int, Any]:
    body = client.signed({**ORDER, "recvWindow": window, "timestamp": timestamp, "newClientOrderId": "late"})
    return await client.raw("POST", "/fapi/v1/order", body)


async def venue_time(client: Bare) -> int:
    return int((await client.raw("GET", "/fapi/v1/time"))[1]["serverTime"])


async def until(client: Bare, moment: int) -> None:
    """Ask for the venue's time until it shows that `moment` is there."""
    async with asyncio.timeout(10):
        while await venue_time(client) < moment:
            await asyncio.sleep(0.005)


async def record(client: Bare) -> dict[str, Any]:
    _, records = await client.control("GET", "records")
    (posted,) = [one for one in records["requests"] if one["method"] == "POST"]
    return dict(posted)


@pytest.mark.parametrize("before", [0, 1, 200])
async def test_inside_the_window_it_executes_at_exactly_that_time(client: Bare, before: int) -> None:
    await arm(client, until_deadline_ms=before)
    stamp = time.time_ns() // 1_000_000
    status, answer = await send(client, 400, stamp)
    assert (status, answer["code"]) == (503, -1000)
    waiting = await record(client)
    due = stamp + 400 - before
    assert (waiting["status"], waiting["later"]) == (503, {"at": due, "state": "waiting"})
    assert await client.position("ETHUSDT") == "0.500"
    await until(client, due)
    found = await client.get("/fapi/v1/order", symbol="ETHUSDT", origClientOrderId="late")
    assert (found["status"], found["time"], found["updateTime"]) == ("FILLED", due, due)
    done = await record(client)
    assert (done["status"], done["code"], done["fault"]) == (200, 0, "execution_delayed")
    assert done["later"] == {"at": due, "state": "executed"}


async def test_outside_the_window_it_is_refused_and_never_executes(client: Bare) -> None:
    await arm(client, until_deadline_ms=-1)
    stamp = time.time_ns() // 1_000_000
    assert (await send(client, 150, stamp))[0] == 503
    await until(client, stamp + 151)
    refused = await record(client)
    assert (refused["status"], refused["code"]) == (400, -5028)
    assert refused["later"] == {"at": stamp + 151, "state": "refused"}
    assert await client.position("ETHUSDT") == "0.500"
    assert (await client.get("/fapi/v1/order", symbol="ETHUSDT", origClientOrderId="late"))["code"] == -2013


async def test_milliseconds_count_from_the_arrival(client: Bare) -> None:
    await arm(client, ms=120)
    stamp = time.time_ns() // 1_000_000
    await send(client, 5_000, stamp)
    later = (await record(client))["later"]
    assert stamp + 120 <= later["at"] <= time.time_ns() // 1_000_000 + 120
    await until(client, later["at"])
    assert await client.position("ETHUSDT") == "0"


async def test_the_connection_may_close_instead_of_an_answer(client: Bare) -> None:
    await arm(client, ms=50, answer="hang_up")
    with pytest.raises((aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)):
        await send(client, 5_000, time.time_ns() // 1_000_000)
    await until(client, (await record(client))["later"]["at"])
    assert await client.position("ETHUSDT") == "0"


async def test_what_is_refused_at_the_door_is_not_put_off(client: Bare, exchange: PaperExchange) -> None:
    await arm(client, until_deadline_ms=0)
    status, answer = await send(client, 1_000, time.time_ns() // 1_000_000 - 2_000)
    assert (status, answer["code"]) == (400, -1021)
    assert (await client.raw("POST", "/fapi/v1/order", "symbol=ETHUSDT&timestamp=1&signature=0"))[1][
        "code"
    ] == -1022
    assert exchange.faults, "it waits for a request that is entitled"


async def test_a_window_that_is_nearly_over_is_executed_at_once(client: Bare) -> None:
    await arm(client, until_deadline_ms=4_999)
    stamp = time.time_ns() // 1_000_000 - 50
    await send(client, 5_000, stamp)
    assert (await record(client))["later"]["state"] == "executed"
    assert await client.position("ETHUSDT") == "0"


async def test_nobody_sees_a_later_time_before_it_was_tried(client: Bare, exchange: PaperExchange) -> None:
    """The timer is held up by a busy process; the clock jumps past the due time in between."""
    await arm(client, until_deadline_ms=0)
    stamp = time.time_ns() // 1_000_000
    await send(client, 60_000, stamp)
    assert (await client.control("POST", "clock", {"offset_ms": 59_000}))[0] == 200
    assert exchange.desk.ledger.trades == []
    await client.control("POST", "clock", {"offset_ms": 61_000})
    assert await venue_time(client) > stamp + 60_000
    (trade,) = exchange.desk.ledger.trades
    assert trade.time == stamp + 60_000


async def test_several_are_tried_in_the_order_of_their_times(client: Bare, exchange: PaperExchange) -> None:
    await client.control("POST", "faults", {"fault": "execution_delayed", "ms": 150})
    await client.control("POST", "faults", {"fault": "execution_delayed", "ms": 60})
    for name in ("second", "first"):
        await client.market("ETHUSDT", "SELL", "0.1", newClientOrderId=name)
    async with asyncio.timeout(5):
        while len(exchange.desk.ledger.orders) < 2:
            await asyncio.sleep(0.01)
    assert [order.client_id for order in exchange.desk.ledger.orders.values()] == ["first", "second"]


async def test_the_websocket_api_puts_off_as_well(client: Bare, exchange: PaperExchange) -> None:
    await arm(client, until_deadline_ms=0, match={"route": "order.place"})
    params: dict[str, Any] = {"apiKey": client.key, "recvWindow": "200", **ORDER}
    params["timestamp"] = str(time.time_ns() // 1_000_000)
    params["signature"] = client.sign("&".join(f"{name}={params[name]}" for name in sorted(params)))
    async with client.session.ws_connect(exchange.ws_api) as socket:
        await socket.send_json({"id": 1, "method": "order.place", "params": params})
        answer = await socket.receive_json(timeout=5)
    assert (answer["status"], answer["error"]["code"]) == (503, -1000)
    await until(client, int(params["timestamp"]) + 200)
    assert await client.position("ETHUSDT") == "0"
