"""User data and market streams on every form of address."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from sureclose.paper import PaperExchange, PaperSettings

from .bare import Bare, bare


async def listen_key(client: Bare) -> str:
    status, answer = await client.raw("POST", "/fapi/v1/listenKey")
    assert status == 200
    return str(answer["listenKey"])


async def connect(client: Bare, exchange: PaperExchange, path: str) -> aiohttp.ClientWebSocketResponse:
    return await client.session.ws_connect(exchange.stream + path)


async def next_of(socket: aiohttp.ClientWebSocketResponse) -> Any:
    return await socket.receive_json(timeout=5)


async def close(client: Bare) -> Any:
    return await client.market("ETHUSDT", "SELL", "0.1", reduceOnly="true")


FORMS = [
    ("/ws/{key}", False),
    ("/ws?listenKey={key}", False),
    ("/stream?streams={key}", True),
    ("/stream?streams=ethusdt@markPrice/{key}", True),
    ("/private/ws/{key}", False),
    ("/private/ws?listenKey={key}", False),
    ("/private/stream?streams={key}", True),
    ("/private/stream?listenKey={key}", True),
    ("/private/stream?listenKey=other&events=TRADE_LITE&listenKey={key}", True),
]


@pytest.mark.parametrize(("form", "wrapped"), FORMS)
async def test_every_form_of_address_hears_the_close(
    client: Bare, exchange: PaperExchange, form: str, *, wrapped: bool
) -> None:
    key = await listen_key(client)
    socket = await connect(client, exchange, form.format(key=key))
    answer = await close(client)
    heard = [await next_of(socket) for _ in range(4)]
    if wrapped:
        assert {message["stream"] for message in heard} == {key}
        heard = [message["data"] for message in heard]
    assert [event["e"] for event in heard] == [
        "ORDER_TRADE_UPDATE",
        "TRADE_LITE",
        "ORDER_TRADE_UPDATE",
        "ACCOUNT_UPDATE",
    ]
    assert heard[2]["o"]["i"] == answer["orderId"]
    assert heard[3]["a"]["P"][0]["pa"] == "0.400"


async def test_events_narrow_what_is_heard(client: Bare, exchange: PaperExchange) -> None:
    key = await listen_key(client)
    socket = await connect(client, exchange, f"/private/ws?listenKey={key}&events=ACCOUNT_UPDATE/TRADE_LITE")
    await close(client)
    assert [(await next_of(socket))["e"] for _ in range(2)] == ["TRADE_LITE", "ACCOUNT_UPDATE"]


@pytest.mark.parametrize("number", [7, "0b6c-uuid"])
async def test_control_messages_are_answered_under_integer_and_string_ids(
    client: Bare, exchange: PaperExchange, number: int | str
) -> None:
    key = await listen_key(client)
    socket = await connect(client, exchange, "/private/stream")

    async def ask(method: str, params: Any = None) -> Any:
        await socket.send_json({"method": method, "params": params or [], "id": number})
        return await next_of(socket)

    assert await ask("SUBSCRIBE", [key]) == {"result": None, "id": number}
    assert await ask("LIST_SUBSCRIPTIONS") == {"result": [key], "id": number}
    await close(client)
    assert {(await next_of(socket))["stream"] for _ in range(4)} == {key}
    assert await ask("SET_PROPERTY", ["combined", False]) == {"result": None, "id": number}
    assert await ask("GET_PROPERTY", ["combined"]) == {"result": False, "id": number}
    await close(client)
    assert [(await next_of(socket))["e"] for _ in range(4)][3] == "ACCOUNT_UPDATE"
    assert await ask("UNSUBSCRIBE", [key]) == {"result": None, "id": number}
    await close(client)
    assert await ask("LIST_SUBSCRIPTIONS") == {"result": [], "id": number}


@pytest.mark.parametrize(
    "frame", ["", "{", "[]", "7", '{"method":"SUBSCRIBE","params":[1],"id":1}', '{"id":{}}', "\x00"]
)
async def test_a_broken_control_message_is_answered_and_the_socket_lives(
    client: Bare, exchange: PaperExchange, frame: str
) -> None:
    socket = await connect(client, exchange, "/ws")
    await socket.send_str(frame)
    assert (await next_of(socket))["error"]["code"] == 2
    await socket.send_json({"method": "LIST_SUBSCRIPTIONS", "id": 1})
    assert await next_of(socket) == {"result": [], "id": 1}


async def test_configuration_changes_are_told(client: Bare, exchange: PaperExchange) -> None:
    socket = await connect(client, exchange, f"/ws/{await listen_key(client)}")
    await client.post("/fapi/v1/leverage", symbol="ETHUSDT", leverage=7)
    event = await next_of(socket)
    assert (event["e"], event["ac"]) == ("ACCOUNT_CONFIG_UPDATE", {"s": "ETHUSDT", "l": 7})


async def test_a_listen_key_is_kept_extended_and_stopped(client: Bare) -> None:
    key = await listen_key(client)
    assert await listen_key(client) == key
    assert await client.raw("PUT", f"/fapi/v1/listenKey?listenKey={key}") == (200, {"listenKey": key})
    assert await client.raw("DELETE", "/fapi/v1/listenKey") == (200, {})
    status, answer = await client.raw("PUT", "/fapi/v1/listenKey")
    assert (status, answer["code"]) == (400, -1125)
    assert (await client.raw("POST", "/fapi/v1/listenKey", key=None))[0] == 401
    assert await listen_key(client) != key


async def test_a_deleted_listen_key_closes_its_stream(client: Bare, exchange: PaperExchange) -> None:
    socket = await connect(client, exchange, f"/private/ws/{await listen_key(client)}")
    await client.raw("DELETE", "/fapi/v1/listenKey")
    assert (await socket.receive(timeout=5)).type is aiohttp.WSMsgType.CLOSE


async def test_strict_streams_are_silent_outside_private() -> None:
    settings = PaperSettings(strict_streams=True, price_step_ppm=0)
    async with PaperExchange(settings) as exchange, aiohttp.ClientSession() as session:
        client = bare(session, exchange)
        key = await listen_key(client)
        old = await connect(client, exchange, f"/ws/{key}")
        new = await connect(client, exchange, f"/private/ws?listenKey={key}")
        await client.market("ETHUSDT", "BUY", "0.1")
        assert (await next_of(new))["e"] == "ORDER_TRADE_UPDATE"
        await old.send_json({"method": "GET_PROPERTY", "params": ["combined"], "id": 1})
        assert await next_of(old) == {"result": False, "id": 1}


async def test_a_silent_stream_loses_as_many_events_as_asked(client: Bare, exchange: PaperExchange) -> None:
    socket = await connect(client, exchange, f"/ws/{await listen_key(client)}")
    fault = {"fault": "stream_silent", "count": 1, "match": {"event": "ACCOUNT_UPDATE"}}
    await client.control("POST", "faults", fault)
    await close(client)
    await close(client)
    kinds = [(await next_of(socket))["e"] for _ in range(7)]
    assert kinds.count("ACCOUNT_UPDATE") == 1


class Clock:
    def __init__(self) -> None:
        self.ahead = 0

    def __call__(self) -> int:
        return time.time_ns() // 1_000_000 + self.ahead


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def moved(clock: Clock, settings: PaperSettings) -> AsyncIterator[PaperExchange]:
    async with PaperExchange(settings, clock=clock) as exchange:
        yield exchange


async def test_a_listen_key_expires_after_sixty_minutes_and_says_so(
    clock: Clock, moved: PaperExchange
) -> None:
    async with aiohttp.ClientSession() as session:
        client = bare(session, moved)
        key = await listen_key(client)
        socket = await connect(client, moved, f"/stream?streams={key}")
        clock.ahead = 3_600_001
        message = await next_of(socket)
        assert (message["data"]["e"], message["data"]["listenKey"]) == ("listenKeyExpired", key)
        assert (await client.raw("PUT", "/fapi/v1/listenKey"))[1]["code"] == -1125


async def test_market_streams_tick_every_second(client: Bare, exchange: PaperExchange) -> None:
    socket = await connect(client, exchange, "/market/stream?streams=ethusdt@markPrice@1s/ethusdt@bookTicker")
    heard = [await next_of(socket) for _ in range(2)]
    assert {message["stream"] for message in heard} == {"ethusdt@markPrice@1s", "ethusdt@bookTicker"}
    assert heard[0]["data"]["s"] == "ETHUSDT"


async def test_many_listeners_hear_the_same_in_the_same_order(client: Bare, exchange: PaperExchange) -> None:
    key = await listen_key(client)
    sockets = [await connect(client, exchange, f"/private/ws/{key}") for _ in range(5)]
    await asyncio.gather(*(close(client) for _ in range(5)))
    heard = [[await next_of(socket) for _ in range(20)] for socket in sockets]
    assert all(events == heard[0] for events in heard)


async def test_a_listener_that_stops_reading_is_dropped_and_nobody_else_waits(
    client: Bare, exchange: PaperExchange
) -> None:
    key = await listen_key(client)
    await connect(client, exchange, f"/ws/{key}")
    (asleep,) = exchange.streams.listeners
    awake = await connect(client, exchange, f"/ws/{key}")
    for _ in range(20_001):
        asleep.put(key, {})
    while asleep in exchange.streams.listeners:
        await asyncio.sleep(0.01)
    await close(client)
    assert (await next_of(awake))["e"] == "ORDER_TRADE_UPDATE"
