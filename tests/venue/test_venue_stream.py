"""The user data stream: what it says is typed, what it doesn't say is an event too."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import WSMsgType, web

from sureclose.venue.errors import VenueError, VenueUnreachable
from sureclose.venue.stream_events import (
    AccountUpdate,
    BrokenFrame,
    Connected,
    Disconnected,
    KeyExpired,
    OrderUpdate,
    Silent,
    StreamEvent,
)
from sureclose.venue.user_stream import UserStream
from tests.venue.venue_stubs import ACCOUNT_EVENT, ORDER_EVENT, settings


class Keys:
    """Listen keys under a test's control."""

    def __init__(self) -> None:
        self.made = 0
        self.extended = 0
        self.refuse: VenueError | None = None
        self.other_key = ""
        self.unmakeable: VenueError | None = None

    async def create_listen_key(self) -> str:
        self.made += 1
        if self.unmakeable is not None:
            raise self.unmakeable
        return f"secretkey{self.made}"

    async def extend_listen_key(self) -> str:
        self.extended += 1
        if self.refuse is not None:
            raise self.refuse
        return self.other_key or f"secretkey{self.made}"


Serve = Callable[[web.WebSocketResponse, int], Awaitable[None]]


class Stage:
    """A stream server, a stream, and the events that came out of it."""

    def __init__(self, url: str, keys: Keys, **changes: Any) -> None:
        self.keys = keys
        self.events: list[StreamEvent] = []
        self.arrived = asyncio.Condition()
        self.stop = asyncio.Event()
        self.stream = UserStream(
            settings("http://127.0.0.1:1", stream_url=url, **changes), keys, chance=lambda: 0.0
        )

    async def handle(self, event: StreamEvent) -> None:
        async with self.arrived:
            self.events.append(event)
            self.arrived.notify_all()

    async def until(self, kind: type[Any], count: int = 1) -> Any:
        async with asyncio.timeout(5), self.arrived:
            await self.arrived.wait_for(lambda: len(self.of(kind)) >= count)
        return self.of(kind)[count - 1]

    def of(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]


@asynccontextmanager
async def stage(
    serve: Serve, keys: Keys | None = None, *, autoping: bool = True, **changes: Any
) -> AsyncIterator[Stage]:
    paths: list[str] = []

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        paths.append(request.path_qs)
        socket = web.WebSocketResponse(autoping=autoping)
        await socket.prepare(request)
        await serve(socket, len(paths))
        return socket

    runner = web.ServerRunner(web.Server(handler, access_log=None), shutdown_timeout=0.05)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    it = Stage(f"ws://{host}:{port}", keys or Keys(), **changes)
    task = asyncio.create_task(it.stream.run(it.handle, it.stop))
    try:
        yield it
    finally:
        it.stop.set()
        async with asyncio.timeout(5):
            await task
        await runner.cleanup()
    assert all(path.startswith("/private/ws?listenKey=secretkey") for path in paths)


async def stay(socket: web.WebSocketResponse, _number: int) -> None:
    async for _message in socket:
        pass


def sending(*frames: Any) -> Serve:
    async def serve(socket: web.WebSocketResponse, number: int) -> None:
        for frame in frames:
            if isinstance(frame, bytes):
                await socket.send_bytes(frame)
            else:
                await socket.send_str(frame if isinstance(frame, str) else json.dumps(frame))
        await stay(socket, number)

    return serve


async def test_a_connection_begins_with_connected_and_events_come_in_order() -> None:
    async with stage(sending(ORDER_EVENT, {"stream": "K", "data": ACCOUNT_EVENT})) as it:
        await it.until(AccountUpdate)
        assert [type(event) for event in it.events] == [Connected, OrderUpdate, AccountUpdate]
        health = it.stream.health
        assert health.connected_at is not None
        assert (health.connections, health.frames, health.broken_frames) == (1, 2, 0)
    assert it.events[-1] == Disconnected("stopped")
    assert it.stream.health.connected_at is None


async def test_after_every_reconnect_comes_connected_again() -> None:
    async def cut(socket: web.WebSocketResponse, number: int) -> None:
        await socket.send_str(json.dumps(ORDER_EVENT))
        if number == 1:
            assert socket._req is not None
            assert socket._req.transport is not None
            socket._req.transport.close()
        else:
            await stay(socket, number)

    async with stage(cut) as it:
        await it.until(OrderUpdate, 2)
    assert [type(event) for event in it.events] == [
        Connected, OrderUpdate, Disconnected, Connected, OrderUpdate, Disconnected,
    ]  # fmt: skip
    assert it.events[3] == Connected(2)


async def test_broken_frames_are_counted_and_told_and_end_nothing() -> None:
    async with stage(sending("{", b"\xff\xfe", ORDER_EVENT)) as it:
        await it.until(OrderUpdate)
        assert [type(event) for event in it.events] == [Connected, BrokenFrame, BrokenFrame, OrderUpdate]
        assert it.events[2].total == 2  # type: ignore[union-attr]
        assert it.stream.health.broken_frames == 2


async def test_an_expired_key_is_told_and_replaced() -> None:
    async def expire(socket: web.WebSocketResponse, number: int) -> None:
        if number == 1:
            await socket.send_str(json.dumps({"e": "listenKeyExpired", "E": 1, "listenKey": "secretkey1"}))
        await stay(socket, number)

    async with stage(expire) as it:
        await it.until(Connected, 2)
        assert [type(event) for event in it.events] == [Connected, KeyExpired, Disconnected, Connected]
        assert it.keys.made == 2
    assert "secretkey" not in repr(it.events)


@pytest.mark.parametrize("how", ["gone", "replaced"])
async def test_a_key_that_another_program_deleted_is_noticed_when_it_is_extended(how: str) -> None:
    keys = Keys()
    if how == "gone":
        keys.refuse = VenueError("no such key", http_status=400, code=-1125)
    else:
        keys.other_key = "somebody elses"
    async with stage(stay, keys, stream_keepalive_ms=20) as it:
        await it.until(Connected, 2)
        assert [type(event) for event in it.events][:4] == [Connected, KeyExpired, Disconnected, Connected]


async def test_a_key_that_could_not_be_extended_is_tried_again() -> None:
    keys = Keys()
    keys.refuse = VenueUnreachable("HTTP 502")
    async with stage(stay, keys, stream_keepalive_ms=5) as it:
        await it.until(Connected)
        while keys.extended < 3:
            await asyncio.sleep(0.002)
        keys.refuse = None
        while keys.extended < 5:
            await asyncio.sleep(0.002)
        assert it.events == [Connected(1)]


async def test_a_stream_that_answers_pings_but_says_nothing_is_reported_and_kept() -> None:
    async with stage(stay, stream_idle_ms=450, stream_heartbeat_ms=200) as it:
        first: Silent = await it.until(Silent)
        second: Silent = await it.until(Silent, 2)
        assert 450 <= first.silent_ms < second.silent_ms
        assert [type(event) for event in it.events] == [Connected, Silent, Silent]
        health = it.stream.health
        assert health.heard_at is not None
        assert health.event_at is not None
        assert health.heard_at > health.event_at


async def test_silence_asks_at_once_whether_the_key_is_still_there() -> None:
    keys = Keys()
    keys.refuse = VenueError("no such key", http_status=400, code=-1125)
    async with stage(stay, keys, stream_idle_ms=100, stream_heartbeat_ms=5000) as it:
        await it.until(Connected, 2)
        assert [type(event) for event in it.events][:5] == [
            Connected, Silent, KeyExpired, Disconnected, Connected,
        ]  # fmt: skip
        assert keys.extended == 1


async def test_silence_with_a_key_that_is_there_goes_on_and_keeps_extending_it() -> None:
    async with stage(stay, stream_idle_ms=50, stream_heartbeat_ms=5000) as it:
        await it.until(Silent, 3)
        assert it.keys.extended >= 2
        assert it.of(KeyExpired) == []
        assert it.of(Disconnected) == []


async def test_a_stream_that_answers_no_pings_is_given_up() -> None:
    async def deaf(socket: web.WebSocketResponse, _number: int) -> None:
        while (await socket.receive()).type is not WSMsgType.CLOSE:
            pass

    async with stage(deaf, autoping=False, stream_heartbeat_ms=50) as it:
        await it.until(Connected, 2)
        assert it.events[1] == Disconnected("no answer to pings")


async def test_pings_of_the_venue_are_answered() -> None:
    answered = asyncio.Event()

    async def ask(socket: web.WebSocketResponse, _number: int) -> None:
        await socket.ping(b"are you there")
        async for message in socket:
            if message.type is WSMsgType.PONG and message.data == b"are you there":
                answered.set()

    async with stage(ask, autoping=False, stream_heartbeat_ms=5000):
        async with asyncio.timeout(5):
            await answered.wait()


async def test_the_connection_is_renewed_before_the_venue_ends_it() -> None:
    async with stage(stay, stream_max_age_ms=30) as it:
        await it.until(Connected, 2)
        assert it.events[1] == Disconnected("renewed before the venue ends it")


async def test_what_can_not_be_reached_is_tried_again_with_growing_pauses_and_can_be_stopped() -> None:
    keys = Keys()
    keys.unmakeable = VenueUnreachable("nobody there")
    async with stage(stay, keys) as it:
        await it.until(Disconnected, 2)
        assert it.of(Connected) == []
        keys.unmakeable = None
    stopped_at = len(it.events)
    assert it.events[0] == Disconnected("nobody there")
    await asyncio.sleep(0)
    assert len(it.events) == stopped_at


async def test_a_refused_connection_does_not_name_the_key() -> None:
    it = Stage("ws://127.0.0.1:1", Keys())
    task = asyncio.create_task(it.stream.run(it.handle, it.stop))
    event = await it.until(Disconnected)
    it.stop.set()
    await task
    assert "ClientConnectorError" in event.reason
    assert "secretkey" not in event.reason


async def test_what_the_handler_raises_ends_the_stream_and_reaches_the_supervisor() -> None:
    async with stage(sending(ORDER_EVENT)) as it:

        async def faulty(event: StreamEvent) -> None:
            if isinstance(event, OrderUpdate):
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await it.stream.run(faulty, asyncio.Event())


async def test_a_stop_waits_for_the_handler() -> None:
    entered, leave = asyncio.Event(), asyncio.Event()
    seen: list[str] = []
    async with stage(sending(ORDER_EVENT)) as it:

        async def slow(event: StreamEvent) -> None:
            if isinstance(event, OrderUpdate):
                entered.set()
                await leave.wait()
                seen.append("whole")

        stop = asyncio.Event()
        task = asyncio.create_task(it.stream.run(slow, stop))
        await entered.wait()
        stop.set()
        await asyncio.sleep(0)
        leave.set()
        await task
    assert seen == ["whole"]
