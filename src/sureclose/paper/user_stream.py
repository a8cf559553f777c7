"""WebSocket streams: who is connected, what each one listens to, and the control messages they send."""

import asyncio
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from aiohttp import WSMsgType, web

from sureclose.paper.call import House
from sureclose.paper.events import Event
from sureclose.paper.stream_faults import Trouble
from sureclose.paper.wire import encode

_BASES = ("/public", "/market", "/private", "")
_MOST_STREAMS = 1024
_MOST_WAITING = 20_000
_PING_S = 180.0
_CLOSE_S = 0.5
_CUT = b""  # no message is empty


def is_stream_path(path: str) -> bool:
    return _form(path) is not None


def _form(path: str) -> tuple[str, bool, list[str]] | None:
    """Base ("/private", ...), whether payloads are wrapped in an envelope, and streams named in the path."""
    for base in _BASES:
        rest = path.removeprefix(base) if path.startswith(base) else path
        for kind, wrapped in (("/ws", False), ("/stream", True)):
            if rest == kind or rest.startswith(f"{kind}/"):
                return base, wrapped, [name for name in rest[len(kind) :].split("/") if name]
    return None


class Listener:
    """One socket. Its messages leave in the order they were put in; a peer that stops reading is dropped."""

    def __init__(
        self,
        socket: web.WebSocketResponse,
        transport: asyncio.Transport | None,
        *,
        private: bool = False,
        wrapped: bool = False,
    ) -> None:
        self.socket = socket
        self._transport = transport
        self.private = private
        self.wrapped = wrapped
        self.streams: dict[str, frozenset[str] | None] = {}
        self._waiting: asyncio.Queue[bytes | None] = asyncio.Queue(_MOST_WAITING)

    def put(self, stream: str, payload: Any) -> None:
        self.answer({"stream": stream, "data": payload} if self.wrapped else payload)

    def answer(self, message: Any) -> None:
        self._leave(encode(message))

    def finish(self) -> None:
        """Close when all that waits is sent."""
        self._leave(None)

    def cut(self) -> None:
        """Break the connection, without a close frame, when all that waits is sent."""
        self._leave(_CUT)

    def _leave(self, message: bytes | None) -> None:
        try:
            self._waiting.put_nowait(message)
        except asyncio.QueueFull:
            self.abort()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    async def write(self) -> None:
        while not self.socket.closed:
            message = await self._waiting.get()
            if message is None:
                await self.socket.close()
                return
            if message is _CUT:
                self.abort()
                return
            try:
                await self.socket.send_str(message.decode())
            except ConnectionError:
                return


class UserStreams:
    """All sockets of the stream side. Events reach every socket that listens to a valid key."""

    def __init__(self, house: House) -> None:
        self._house = house
        self.listeners: set[Listener] = set()
        self._trouble = Trouble(house.faults, self._send, self._cut)
        house.listen_keys.when_stopped = self.end_key

    def announce(self, events: list[Event]) -> None:
        if not self.listeners:
            return
        for event in events:
            if self._trouble:
                self._trouble.meet(event, self._house.desk.clock())
            else:
                self._send(event)

    def expire_keys(self, now: int) -> None:
        """Tell listeners of keys that ran out; they hear nothing more, their sockets stay open."""
        for key in self._house.listen_keys.expire(now):
            for listener in self.listeners:
                if key in listener.streams:
                    listener.put(key, {"e": "listenKeyExpired", "E": now, "listenKey": key})
                    del listener.streams[key]

    def end_key(self, key: str) -> None:
        """A deleted key closes the sockets that listened to nothing else."""
        for listener in self.listeners:
            if key in listener.streams:
                del listener.streams[key]
                if not listener.streams:
                    listener.finish()

    def _send(self, event: Event) -> None:
        for listener, stream in self._hearing(event):
            listener.put(stream, event)

    def _cut(self, event: Event) -> None:
        for listener, _ in self._hearing(event):
            listener.cut()

    def _hearing(self, event: Event) -> Iterator[tuple[Listener, str]]:
        """Who hears an event now, and under which names; a socket may listen under several."""
        now = self._house.desk.clock()
        for listener in self.listeners:
            for stream, kinds in listener.streams.items():
                if self._may_hear(listener, stream, now) and (kinds is None or event["e"] in kinds):
                    yield listener, stream

    async def close(self) -> None:
        self._trouble.close()
        closing = [one.socket.close(code=1001, message=b"exchange stops") for one in self.listeners]
        await asyncio.gather(*closing)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        path, _, query = request.raw_path.partition("?")
        form = _form(path)
        assert form is not None
        base, wrapped, named = form
        socket = web.WebSocketResponse(heartbeat=_PING_S, timeout=_CLOSE_S, max_msg_size=1 << 20)
        if not socket.can_prepare(request).ok:
            return web.Response(status=400, text="WebSocket expected")
        await socket.prepare(request)
        listener = Listener(socket, request.transport, private=base == "/private", wrapped=wrapped)
        listener.streams = dict.fromkeys(named[:_MOST_STREAMS]) | _queried(query)
        self.listeners.add(listener)
        writer = asyncio.create_task(listener.write(), name="paper stream writer")
        try:
            async for message in socket:
                if message.type in {WSMsgType.TEXT, WSMsgType.BINARY}:
                    listener.answer(_control(listener, message.data))
        finally:
            self.listeners.discard(listener)
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)
        return socket

    def _may_hear(self, listener: Listener, key: str, now: int) -> bool:
        if not listener.private and self._house.desk.settings.strict_streams:
            return False
        return self._house.listen_keys.is_valid(key, now)


def _queried(query: str) -> dict[str, frozenset[str] | None]:
    """?streams=a/b, and ?listenKey=K1&events=A/B&listenKey=K2, where events belong to the key before them."""
    streams: dict[str, frozenset[str] | None] = {}
    key = ""
    for name, value in parse_qsl(query, errors="replace"):
        if name == "streams":
            streams |= dict.fromkeys(one for one in value.split("/") if one)
        elif name == "listenKey":
            key = value
            streams[key] = None
        elif name == "events" and key:
            streams[key] = frozenset(value.split("/"))
    return streams


def _control(listener: Listener, raw: str | bytes) -> dict[str, Any]:
    """SUBSCRIBE and its kin. Ids may be integers (as documented) or strings (as the official SDK sends)."""
    try:
        message = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeError):
        return _wrong(2, "Invalid JSON: expected value")
    if not isinstance(message, dict):
        return _wrong(2, "Invalid request: expected an object")
    number = message.get("id")
    if number is not None and (isinstance(number, bool) or not isinstance(number, int | str)):
        return _wrong(2, "Invalid request: id must be an unsigned integer")
    params = message.get("params", [])
    match message.get("method"):
        case "SUBSCRIBE" if _are_names(params) and len(listener.streams) + len(params) <= _MOST_STREAMS:
            listener.streams |= dict.fromkeys(params)
            return {"result": None, "id": number}
        case "UNSUBSCRIBE" if _are_names(params):
            for name in params:
                listener.streams.pop(name, None)
            return {"result": None, "id": number}
        case "LIST_SUBSCRIPTIONS":
            return {"result": list(listener.streams), "id": number}
        case "SET_PROPERTY" if _is_combined(params):
            listener.wrapped = params[1]
            return {"result": None, "id": number}
        case "GET_PROPERTY" if params == ["combined"]:
            return {"result": listener.wrapped, "id": number}
        case _:
            return _wrong(2, "Invalid request: unknown method or params") | {"id": number}


def _are_names(params: Any) -> bool:
    return isinstance(params, list) and all(isinstance(name, str) and name for name in params)


def _is_combined(params: Any) -> bool:
    return (
        isinstance(params, list)
        and len(params) == 2
        and params[0] == "combined"
        and isinstance(params[1], bool)
    )


def _wrong(code: int, text: str) -> dict[str, Any]:
    return {"error": {"code": code, "msg": text}}
