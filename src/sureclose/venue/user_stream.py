"""The user data stream: what the venue tells without being asked, and what it means when it doesn't."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, Protocol, TypeVar
from urllib.parse import quote

import aiohttp
import msgspec
import structlog
from yarl import URL

from sureclose.venue.clock import steady_seconds
from sureclose.venue.codes import INVALID_LISTEN_KEY
from sureclose.venue.environments import VenueSettings, addresses
from sureclose.venue.errors import VenueError
from sureclose.venue.stream_events import (
    BrokenFrame,
    Connected,
    Disconnected,
    KeyExpired,
    Silent,
    StreamEvent,
    read_frame,
)

_FRAME_LIMIT: Final = 4 * 1024 * 1024
_CONNECT_S: Final = 10.0
_FIRST_PAUSE_S: Final = 0.5
_LONGEST_PAUSE_S: Final = 30.0
_STEADY_AFTER_S: Final = 60.0
"""A connection that lived so long ends a row of failures."""
_EXTEND_AGAIN_S: Final = 60.0

Handler = Callable[[StreamEvent], Awaitable[None]]
_T = TypeVar("_T")
_log = structlog.get_logger(__name__)


class ListenKeys(Protocol):
    """Who makes and extends listen keys; ``BinanceRest`` does."""

    async def create_listen_key(self) -> str: ...

    async def extend_listen_key(self) -> str: ...


class StreamHealth(msgspec.Struct, frozen=True, kw_only=True):
    """The stream now. Moments are seconds of the steady clock, ``None`` while there is no connection.

    The connection was provably alive from ``connected_at`` to ``heard_at``, the last frame of any kind, pongs included.
    """

    connected_at: float | None
    heard_at: float | None
    event_at: float | None
    connections: int
    frames: int
    broken_frames: int


class _Life:
    """The clocks of one connection, in seconds of the steady clock."""

    __slots__ = ("began", "event", "heard")

    def __init__(self, now: float) -> None:
        self.began = self.heard = self.event = now


class UserStream:
    """Calls a handler with typed events, in the order of their arrival, over as many connections as it takes.

    ``chance`` gives numbers in [0, 1) for the jitter of reconnects, ``steady`` is a clock in seconds that nobody sets.
    """

    def __init__(
        self,
        settings: VenueSettings,
        keys: ListenKeys,
        *,
        chance: Callable[[], float] = random.random,
        steady: Callable[[], float] = steady_seconds,
    ) -> None:
        self._settings = settings
        self._keys = keys
        self._chance = chance
        self._steady = steady
        self._base = addresses(settings).stream
        self._life: _Life | None = None
        self._connections = 0
        self._frames = 0
        self._broken = 0

    @property
    def health(self) -> StreamHealth:
        life = self._life
        return StreamHealth(
            connected_at=None if life is None else life.began,
            heard_at=None if life is None else life.heard,
            event_at=None if life is None else life.event,
            connections=self._connections,
            frames=self._frames,
            broken_frames=self._broken,
        )

    async def run(self, handler: Handler, stop: asyncio.Event) -> None:
        """Deliver events until ``stop`` is set; a call of the handler is never cut short by it.

        The handler gets ``Connected`` before anything else of a connection. It should be quick: while it runs no
        ping is answered. What it raises ends ``run`` and is raised from it; faults of network and venue are events.
        """
        failures = 0
        stopping = asyncio.create_task(stop.wait(), name="venue-stream-stop")
        try:
            async with aiohttp.ClientSession(
                cookie_jar=aiohttp.DummyCookieJar(), trust_env=False, headers={"User-Agent": "sureclose"}
            ) as session:
                while not stopping.done():
                    began = self._steady()
                    reason = await self._connection(session, handler, stopping)
                    await handler(Disconnected(reason))
                    if self._steady() - began >= _STEADY_AFTER_S:
                        failures = 0
                    pause = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2 ** min(failures, 10))
                    failures += 1
                    await asyncio.wait({stopping}, timeout=pause * (0.5 + self._chance() / 2))
        finally:
            stopping.cancel()

    async def _connection(
        self, session: aiohttp.ClientSession, handler: Handler, stopping: asyncio.Task[Any]
    ) -> str:
        """One connection from key to end; returns why it ended."""
        connecting = asyncio.create_task(self._connect(session), name="venue-stream-connect")
        try:
            await asyncio.wait({connecting, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not connecting.done():
                return "stopped"
            key, socket = connecting.result()
        except VenueError as error:
            return str(error)
        except (aiohttp.ClientError, OSError) as error:  # its text may contain the key
            return f"no connection: {type(error).__name__}"
        finally:
            await _end(connecting)
        try:
            self._connections += 1
            self._life = life = _Life(self._steady())
            await handler(Connected(self._connections))
            return await self._listen(socket, key, life, handler, stopping)
        except (aiohttp.ClientError, ConnectionError) as error:
            return f"connection broken: {type(error).__name__}"
        finally:
            self._life = None
            await socket.close()

    async def _connect(self, session: aiohttp.ClientSession) -> tuple[str, aiohttp.ClientWebSocketResponse]:
        key = await self._keys.create_listen_key()
        path = self._settings.stream_path.format(listen_key=quote(key, safe=""))
        async with asyncio.timeout(_CONNECT_S):
            socket = await session.ws_connect(
                URL(self._base + path, encoded=True),
                autoping=False,
                max_msg_size=_FRAME_LIMIT,
                timeout=aiohttp.ClientWSTimeout(ws_close=2.0),
            )
        return key, socket

    async def _listen(
        self,
        socket: aiohttp.ClientWebSocketResponse,
        key: str,
        life: _Life,
        handler: Handler,
        stopping: asyncio.Task[Any],
    ) -> str:
        """Take frames and mind the clocks until the connection is of no more use; returns why."""
        settings = self._settings
        heartbeat = settings.stream_heartbeat_ms / 1000
        ping = min(settings.stream_ping_ms / 1000, heartbeat)
        idle = settings.stream_idle_ms / 1000
        now = self._steady()
        ends, extends, pinged, silent = now + settings.stream_max_age_ms / 1000, now, now, now
        extends += settings.stream_keepalive_ms / 1000
        receiving = _task(socket.receive(), "venue-stream-receive")
        extending: asyncio.Task[str] | None = None
        try:
            while True:
                due = min(life.heard + 2 * heartbeat, max(life.heard, pinged) + ping, ends)
                due = min(due, max(life.event, silent) + idle, extends if extending is None else ends)
                awaited = {receiving, stopping} | ({extending} if extending is not None else set())
                await asyncio.wait(
                    awaited,
                    timeout=max(0.001, due - self._steady()),
                    return_when=asyncio.FIRST_COMPLETED,
                )
                if stopping.done():
                    return "stopped"
                if receiving.done():
                    if (reason := await self._take(socket, receiving.result(), life, handler)) is not None:
                        return reason
                    receiving = _task(socket.receive(), "venue-stream-receive")
                if extending is not None and extending.done():
                    again, extending = self._extended(extending, key), None
                    if again is None:
                        await handler(KeyExpired())
                        return "the listen key is gone"
                    extends = self._steady() + again
                now = self._steady()
                if now >= ends:
                    return "renewed before the venue ends it"
                if now - life.heard >= 2 * heartbeat:
                    return "no answer to pings"
                if now >= max(life.heard, pinged) + ping:
                    pinged = now
                    await socket.ping()
                if now >= max(life.event, silent) + idle:
                    silent = now
                    extends = min(extends, now)  # silence may mean that another program deleted the key
                    await handler(Silent(round((now - life.event) * 1000)))
                if extending is None and now >= extends:
                    extending = _task(self._keys.extend_listen_key(), "venue-stream-extend")
        finally:
            await _end(receiving)
            if extending is not None:
                await _end(extending)

    async def _take(
        self,
        socket: aiohttp.ClientWebSocketResponse,
        message: aiohttp.WSMessage,
        life: _Life,
        handler: Handler,
    ) -> str | None:
        """One frame; returns why the connection is over, if it is."""
        life.heard = self._steady()
        match message.type:
            case aiohttp.WSMsgType.PING:
                await socket.pong(message.data)
            case aiohttp.WSMsgType.PONG:
                pass
            case aiohttp.WSMsgType.TEXT | aiohttp.WSMsgType.BINARY:
                life.event = life.heard
                self._frames += 1
                try:
                    event = read_frame(message.data)
                except ValueError as error:
                    self._broken += 1
                    _log.warning("venue_stream_frame_broken", total=self._broken, reason=str(error))
                    await handler(BrokenFrame(str(error), self._broken))
                    return None
                if event is not None:
                    await handler(event)
                if isinstance(event, KeyExpired):
                    return "the listen key expired"
            case _:
                return f"closed by the other side: {message.type.name}, code {socket.close_code}"
        return None

    def _extended(self, extending: asyncio.Task[str], key: str) -> float | None:
        """Seconds until the next extension; ``None`` when the key is gone."""
        try:
            told = extending.result()
        except VenueError as error:
            if error.code == INVALID_LISTEN_KEY:
                return None
            _log.warning("venue_listen_key_not_extended", reason=str(error))
            return min(_EXTEND_AGAIN_S, self._settings.stream_keepalive_ms / 1000)
        return None if told and told != key else self._settings.stream_keepalive_ms / 1000


def _task(work: Coroutine[Any, Any, _T], name: str) -> asyncio.Task[_T]:
    return asyncio.create_task(work, name=name)


async def _end(task: asyncio.Task[Any]) -> None:
    """Cancel what still runs and wait until it has ended; what it raised is known or of no more use."""
    if not task.done():
        task.cancel()
    await asyncio.wait({task})
    if not task.cancelled():
        task.exception()
