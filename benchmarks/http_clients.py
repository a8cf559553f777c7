"""One process of clients of the HTTP door: sends what it is told on time, over kept connections, and tells each answer."""

import asyncio
import sys
import time
from pathlib import Path
from typing import Final, Self

import msgspec
import uvloop

_HEAD_END: Final = b"\r\n\r\n"
_PATIENCE_S: Final = 10.0


class Shot(msgspec.Struct, frozen=True):
    """One request: when, in seconds from the start, and its bytes as text."""

    at_s: float
    door: int
    raw: str


class Orders(msgspec.Struct, frozen=True):
    """What a process of clients is told on its standard input. ``doors`` are host and port of each."""

    doors: tuple[tuple[str, int], ...]
    connections: int
    starts_at: float
    """By the wall clock, in seconds: all processes begin together."""
    shots: tuple[Shot, ...]
    answers: str
    """The file that the answers go to, in the order of the shots."""


class Told(msgspec.Struct, frozen=True):
    """The answer to one request, or none: status 0."""

    late_s: float
    """After its time until it was sent."""
    took_s: float
    status: int
    body: str
    replayed: bool = False


class Connection:
    """One kept connection, one request at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, host: str, port: int) -> Self:
        return cls(*await asyncio.open_connection(host, port))

    async def ask(self, raw: bytes) -> tuple[int, bytes, bytes]:
        """Status, head and body."""
        self._writer.write(raw)
        head = await self._reader.readuntil(_HEAD_END)
        lines = head.lower().split(b"\r\n")
        length = next(int(line[15:]) for line in lines if line.startswith(b"content-length:"))
        return int(head[9:12]), head, await self._reader.readexactly(length)

    def close(self) -> None:
        self._writer.close()


class Pool:
    """So many connections to one door; a broken one is opened again."""

    def __init__(self, door: tuple[str, int], size: int) -> None:
        self._door = door
        self._free: asyncio.Queue[Connection | None] = asyncio.Queue()
        for _ in range(size):
            self._free.put_nowait(None)

    async def ask(self, raw: bytes) -> tuple[int, bytes, bytes]:
        """The answer. What was closed meanwhile is opened again, once: with a key in it the request is the same."""
        connection = await self._free.get()
        try:
            if connection is not None:
                try:
                    return await connection.ask(raw)
                except (OSError, EOFError):
                    connection.close()
                    connection = None
            async with asyncio.timeout(_PATIENCE_S):
                connection = await Connection.open(*self._door)
                return await connection.ask(raw)
        except (OSError, EOFError, TimeoutError):
            if connection is not None:
                connection.close()
            connection = None
            return 0, b"", b""
        finally:
            self._free.put_nowait(connection)

    async def close(self) -> None:
        while not self._free.empty():
            if (connection := self._free.get_nowait()) is not None:
                connection.close()


async def fire(orders: Orders) -> list[Told]:
    """All of them, each at its time whether the others were answered or not."""
    pools = [Pool(door, orders.connections) for door in orders.doors]
    loop = asyncio.get_running_loop()
    start = loop.time() + orders.starts_at - time.time()

    async def one(shot: Shot) -> Told:
        due = start + shot.at_s
        await asyncio.sleep(due - loop.time())
        sent = loop.time()
        status, head, body = await pools[shot.door].ask(shot.raw.encode())
        replayed = b"\r\nidempotency-replayed:" in head.lower()
        return Told(sent - due, loop.time() - sent, status, body.decode(), replayed)

    told = await asyncio.gather(*map(one, orders.shots))
    for pool in pools:
        await pool.close()
    return told


def main() -> None:
    orders = msgspec.json.decode(sys.stdin.buffer.readline(), type=Orders)
    told = uvloop.run(fire(orders))
    Path(orders.answers).write_bytes(msgspec.json.encode(told))


if __name__ == "__main__":
    main()
