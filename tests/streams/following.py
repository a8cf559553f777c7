"""How tests read as a member of a group."""

import asyncio
import time
from typing import Any

from sureclose.streams.connection import Log
from sureclose.streams.entry import Entry
from sureclose.streams.reader import GroupReader

BLOCK_MS = 200


def reader_of(log: Log, stream: str, **options: Any) -> GroupReader:
    consumer = options.pop("consumer", "execution-1")
    return GroupReader(log, stream=stream, group="g", consumer=consumer, monotonic=time.monotonic, **options)


async def read(reader: GroupReader, stop: asyncio.Event, count: int) -> list[Entry]:
    """Read until that many entries have come."""
    entries: list[Entry] = []
    async with asyncio.timeout(10):
        while len(entries) < count:
            entries += await reader.next_batch(stop)
    return entries


async def nothing_more(reader: GroupReader, stop: asyncio.Event, reads: int = 3) -> None:
    for _ in range(reads):
        assert await reader.next_batch(stop) == []


def ids(entries: list[Entry]) -> list[str]:
    return [entry.ref.entry_id for entry in entries]


async def blocked(log: Log) -> None:
    """Wait until some client of the server is blocked in a read."""
    async with asyncio.timeout(5):
        while not any("b" in client["flags"] for client in await log.commands().client_list()):
            await asyncio.sleep(0.005)
