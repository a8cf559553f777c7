"""The log by its raw commands, as a producer or an older consumer speaks to it."""

from typing import Any

from sureclose.streams.connection import Log
from sureclose.streams.wire import Wire, pairs


async def raw(log: Log, *command: bytes | str | int) -> Any:
    """One command, its reply as the wire has it."""
    wire: Wire = log.commands()
    name, *rest = command
    return await wire.execute_command(str(name).encode(), *rest)


async def add(log: Log, stream: str, fields: dict[str, str | bytes], entry_id: str = "*") -> str:
    flat = [string for field in fields.items() for string in field]
    made: bytes = await raw(log, "XADD", stream, entry_id, *flat)
    return made.decode()


async def add_many(log: Log, stream: str, count: int) -> list[str]:
    """Entries numbered by their field ``n``, with one round trip."""
    pipeline = log.commands().pipeline(transaction=False)
    for n in range(count):
        pipeline.xadd(stream, {"n": n})
    return [made.decode() for made in await pipeline.execute()]


async def entries(log: Log, stream: str) -> list[tuple[str, dict[bytes, bytes]]]:
    reply = await raw(log, "XRANGE", stream, "-", "+")
    return [(found.decode(), pairs(fields)) for found, fields in reply]


async def contents(log: Log, stream: str) -> list[dict[bytes, bytes]]:
    return [fields for _, fields in await entries(log, stream)]


async def deliver(log: Log, stream: str, group: str, consumer: str, count: int = 1000) -> None:
    """Give new entries to a consumer that does nothing with them."""
    await raw(log, "XREADGROUP", "GROUP", group, consumer, "COUNT", count, "STREAMS", stream, ">")
