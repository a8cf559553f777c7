"""The barest connections: one protocol object each, bytes out, parsed replies in, no pool, no retry, no timeout."""

import asyncio
import time
from collections import deque
from typing import Any, Self, cast
from urllib.parse import unquote, urlsplit

import hiredis

_HEAD_END = b"\r\n\r\n"
_LENGTH = b"content-length:"

Word = str | bytes | int


class Lost(ConnectionError):
    """The other side closed the connection; the run is over."""


class LogConnection(asyncio.Protocol):
    """One connection to the log. Replies come in the order of the commands; an error reply raises ``ReplyError``."""

    def __init__(self) -> None:
        self._reader = hiredis.Reader()
        self._waiting: deque[asyncio.Future[Any]] = deque()
        self._transport: asyncio.Transport | None = None
        self.heard_ns = 0
        """Wall clock nanoseconds when the last bytes came in, before anything was done with them."""

    @classmethod
    async def open(cls, url: str) -> Self:
        """Connect to ``unix://:password@/path`` and log in."""
        parts = urlsplit(url)
        if parts.scheme != "unix":
            raise ValueError(f"the bench reaches its log by its unix socket, not by {parts.scheme}")
        _, connection = await asyncio.get_running_loop().create_unix_connection(cls, unquote(parts.path))
        await connection.command("AUTH", unquote(parts.password or ""))
        return connection

    def command(self, *words: Word) -> asyncio.Future[Any]:
        """Send one command."""
        return self.send(packed(*words))

    def send(self, command: bytes) -> asyncio.Future[Any]:
        """Send the bytes of one command."""
        assert self._transport is not None
        reply: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append(reply)
        self._transport.write(command)
        return reply

    def send_all(self, commands: list[bytes]) -> list[asyncio.Future[Any]]:
        """Send many commands in one write; the log flushes them to disk together."""
        assert self._transport is not None
        loop = asyncio.get_running_loop()
        replies: list[asyncio.Future[Any]] = [loop.create_future() for _ in commands]
        self._waiting.extend(replies)
        self._transport.write(b"".join(commands))
        return replies

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own is no subclass

    def data_received(self, data: bytes) -> None:
        self.heard_ns = time.time_ns()
        self._reader.feed(data)
        while (reply := self._reader.gets()) is not False:
            waiting = self._waiting.popleft()
            if waiting.done():
                continue
            if isinstance(reply, hiredis.ReplyError):
                waiting.set_exception(reply)
            else:
                waiting.set_result(reply)

    def connection_lost(self, exc: Exception | None) -> None:
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_exception(Lost(f"the log closed the connection: {exc}"))


class HttpConnection(asyncio.Protocol):
    """One kept connection to the venue, one request at a time. Anything but 200 with a length raises ``ValueError``."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._waiting: asyncio.Future[bytes] | None = None
        self._received = b""
        self.heard_ns = 0
        """Wall clock nanoseconds when the last bytes came in."""

    @classmethod
    async def open(cls, base: str) -> Self:
        """Connect to ``http://host:port``."""
        parts = urlsplit(base)
        assert parts.hostname is not None
        assert parts.port is not None
        _, connection = await asyncio.get_running_loop().create_connection(cls, parts.hostname, parts.port)
        return connection

    def request(self, request: bytes) -> asyncio.Future[bytes]:
        """Send the bytes of one request; the result is the answer's body."""
        assert self._transport is not None
        assert self._waiting is None
        self._waiting = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return self._waiting

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own is no subclass

    def data_received(self, data: bytes) -> None:
        self.heard_ns = time.time_ns()
        self._received = self._received + data if self._received else data
        head_end = self._received.find(_HEAD_END)
        if head_end < 0:
            return
        head = self._received[:head_end].lower()
        length_at = head.find(_LENGTH)
        body_at = head_end + len(_HEAD_END)
        length = int(head[length_at + len(_LENGTH) :].split(b"\r\n", 1)[0]) if length_at >= 0 else 0
        if len(self._received) < body_at + length:
            return
        body, self._received = self._received[body_at : body_at + length], b""
        waiting, self._waiting = self._waiting, None
        if waiting is None or waiting.done():
            return
        if head.startswith(b"http/1.1 200") and length_at >= 0:
            waiting.set_result(body)
        else:
            waiting.set_exception(ValueError(f"{head.decode()[:60]!r}: {body.decode()[:300]}"))

    def connection_lost(self, exc: Exception | None) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(Lost(f"the venue closed the connection: {exc}"))


def packed(*words: Word) -> bytes:
    """The bytes of one command."""
    command: bytes = hiredis.pack_command(words)  # type: ignore[arg-type]
    return command


def http_head(method: str, base: str, target: str, key: str) -> bytes:
    """The lines of a request that don't depend on its content."""
    host = urlsplit(base).netloc
    return f"{method} {target} HTTP/1.1\r\nHost: {host}\r\nX-MBX-APIKEY: {key}\r\n".encode()
