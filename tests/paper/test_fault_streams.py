"""What faults make of user events: late, twice, in another order, lost with their socket."""

import asyncio
import time
from typing import Any

import aiohttp
import pytest

from sureclose.paper import PaperExchange

from .bare import Bare

ORDER, LITE, ACCOUNT = "ORDER_TRADE_UPDATE", "TRADE_LITE", "ACCOUNT_UPDATE"


async def arm(client: Bare, fault: str, **more: Any) -> None:
    status, answer = await client.control("POST", "faults", {"fault": fault, **more})
    assert status == 200, answer


@pytest.fixture
async def socket(client: Bare, exchange: PaperExchange) -> aiohttp.ClientWebSocketResponse:
    _, answer = await client.raw("POST", "/fapi/v1/listenKey")
    return await client.session.ws_connect(f"{exchange.stream}/private/ws/{answer['listenKey']}")


async def hear(socket: aiohttp.ClientWebSocketResponse, count: int) -> list[Any]:
    return [await socket.receive_json(timeout=5) for _ in range(count)]


def told(events: list[Any]) -> list[str]:
    """Each event's type, and of orders the execution."""
    return [event["o"]["x"] if event["e"] == ORDER else event["e"] for event in events]


async def close(client: Bare, symbol: str = "ETHUSDT") -> Any:
    side = "SELL" if symbol == "ETHUSDT" else "BUY"
    return await client.market(symbol, side, "0.001", reduceOnly="true")


async def test_a_late_event_keeps_its_place_among_its_type(
    client: Bare, socket: aiohttp.ClientWebSocketResponse
) -> None:
    await arm(client, "stream_late", ms=200, count=1)
    begin = time.monotonic()
    await close(client)
    assert told(await hear(socket, 4)) == [LITE, ACCOUNT, "NEW", "TRADE"]
    assert time.monotonic() - begin >= 0.2


async def test_all_late_events_come_in_their_order(
    client: Bare, socket: aiohttp.ClientWebSocketResponse
) -> None:
    await arm(client, "stream_late", ms=100)
    first, second = await close(client), await close(client)
    events = await hear(socket, 8)
    assert told(events) == ["NEW", LITE, "TRADE", ACCOUNT] * 2
    orders = [event["o"]["i"] for event in events if event["e"] == ORDER]
    assert orders == [first["orderId"]] * 2 + [second["orderId"]] * 2
    await client.control("DELETE", "faults")
    begin = time.monotonic()
    await close(client)
    await hear(socket, 4)
    assert time.monotonic() - begin < 0.1


async def test_an_event_comes_twice(client: Bare, socket: aiohttp.ClientWebSocketResponse) -> None:
    await arm(client, "stream_doubled", match={"event": ACCOUNT, "symbol": "ETHUSDT"})
    await close(client, "BTCUSDT")
    await close(client)
    assert told(await hear(socket, 9)) == [
        "NEW",
        LITE,
        "TRADE",
        ACCOUNT,
        "NEW",
        LITE,
        "TRADE",
        ACCOUNT,
        ACCOUNT,
    ]


async def test_the_account_is_told_before_the_order(
    client: Bare, socket: aiohttp.ClientWebSocketResponse
) -> None:
    await arm(client, "stream_reordered", ms=4_000)
    begin = time.monotonic()
    await close(client)
    await close(client)
    assert told(await hear(socket, 8)) == [LITE, ACCOUNT, "NEW", "TRADE", "NEW", LITE, "TRADE", ACCOUNT]
    assert time.monotonic() - begin < 3


async def test_a_held_event_comes_after_its_time_when_nothing_else_happens(
    client: Bare, socket: aiohttp.ClientWebSocketResponse
) -> None:
    await arm(client, "stream_reordered", ms=150)
    begin = time.monotonic()
    await client.limit("ETHUSDT", "BUY", "0.1", "2300")
    assert told(await hear(socket, 1)) == ["NEW"]
    assert time.monotonic() - begin >= 0.15


async def test_the_match_names_the_event_that_is_held(
    client: Bare, socket: aiohttp.ClientWebSocketResponse
) -> None:
    await arm(client, "stream_reordered", ms=4_000, match={"event": ACCOUNT})
    await close(client)
    await close(client)
    assert told(await hear(socket, 8)) == ["NEW", LITE, "TRADE", "NEW", ACCOUNT, LITE, "TRADE", ACCOUNT]


async def test_a_cut_stream_loses_the_event_and_its_socket(
    client: Bare, exchange: PaperExchange, socket: aiohttp.ClientWebSocketResponse
) -> None:
    await arm(client, "stream_cut", match={"event": ACCOUNT})
    await close(client)
    assert told(await hear(socket, 3)) == ["NEW", LITE, "TRADE"]
    message = await socket.receive(timeout=5)
    assert message.type in {aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR, aiohttp.WSMsgType.CLOSE}
    async with asyncio.timeout(5):
        while exchange.streams.listeners:
            await asyncio.sleep(0.005)
    _, answer = await client.raw("POST", "/fapi/v1/listenKey")
    again = await client.session.ws_connect(f"{exchange.stream}/private/ws/{answer['listenKey']}")
    await close(client)
    assert told(await hear(again, 4)) == ["NEW", LITE, "TRADE", ACCOUNT]


async def test_a_silent_stream_pongs_and_delivers_nothing(
    client: Bare, socket: aiohttp.ClientWebSocketResponse
) -> None:
    await arm(client, "stream_silent")
    for _ in range(3):
        await close(client)
    await socket.send_json({"method": "LIST_SUBSCRIPTIONS", "id": 1})
    assert (await hear(socket, 1))[0]["id"] == 1


async def test_events_are_lost_at_a_rate(client: Bare, socket: aiohttp.ClientWebSocketResponse) -> None:
    await arm(client, "stream_silent", rate="0.5")
    for _ in range(20):
        await close(client)
    await socket.send_json({"method": "LIST_SUBSCRIPTIONS", "id": 1})
    heard = 0
    while "id" not in (await hear(socket, 1))[0]:
        heard += 1
    assert 15 <= heard <= 65
