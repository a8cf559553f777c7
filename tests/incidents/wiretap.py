"""A wire between an executor and its exchange that is listened to: which requests went over it, when, and their answers."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

_METHODS: Final = (b"GET ", b"POST ", b"PUT ", b"DELETE ")


@dataclass
class Wiretap:
    """Times are seconds of the monotonic clock."""

    host: str
    port: int
    requests: list[tuple[float, str]] = field(default_factory=list)
    """When each request left the executor, and its first line without the query."""
    answers: list[tuple[float, int]] = field(default_factory=list)
    """When each answer came back, and its status."""
    url: str = ""
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        there_reader, there_writer = await asyncio.open_connection(self.host, self.port)
        try:
            await asyncio.gather(
                _pass(reader, there_writer, self._asked), _pass(there_reader, writer, self._answered)
            )
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            there_writer.close()
            writer.close()

    def _asked(self, part: bytes) -> None:
        """No client of ours pipelines, so a request begins a part."""
        if part.startswith(_METHODS):
            method, target, *_ = part.split(b"\r\n", 1)[0].decode().split(" ")
            self.requests.append((time.monotonic(), f"{method} {target.partition('?')[0]}"))

    def _answered(self, part: bytes) -> None:
        if part.startswith(b"HTTP/1.1 "):
            self.answers.append((time.monotonic(), int(part.split(b" ", 2)[1])))

    async def close(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _pass(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, note: Callable[[bytes], None]
) -> None:
    while part := await reader.read(65_536):
        note(part)
        writer.write(part)
        await writer.drain()
    writer.close()


@contextlib.asynccontextmanager
async def wiretap(rest: str) -> AsyncIterator[Wiretap]:
    """Listens to everything that is sent to the exchange at ``rest`` through ``url``."""
    there = urlsplit(rest)
    assert there.hostname is not None
    assert there.port is not None
    tap = Wiretap(there.hostname, there.port)
    server = await asyncio.start_server(tap.serve, "127.0.0.1", 0)
    tap.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield tap
    finally:
        server.close()
        await tap.close()
        await server.wait_closed()
