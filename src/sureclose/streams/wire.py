"""The narrow seam to the client library: commands go out as bytes, replies come back as the wire has them.

A command name given as bytes passes by the reply parsers of redis-py, whose shapes changed between 7 and 8 and differ
between RESP2 and RESP3. Here the shapes are the protocol's own.
"""

import asyncio
from collections.abc import Coroutine, Mapping
from typing import Any, Protocol, TypeVar

_Found = TypeVar("_Found")
Fields = Mapping[bytes, bytes]
"""An entry's fields, binary safe."""


class Wire(Protocol):
    """Whatever sends one command once and returns its reply; ``redis.asyncio.Redis`` is one."""

    async def execute_command(self, *args: bytes | str | int) -> Any: ...


def id_key(entry_id: str | bytes) -> tuple[int, int]:
    """The order of entry ids, which isn't that of their text; raises ``ValueError`` on what is no id."""
    text = entry_id.decode() if isinstance(entry_id, bytes) else entry_id
    milliseconds, _, sequence = text.partition("-")
    return int(milliseconds), int(sequence or 0)


def pairs(reply: list[Any]) -> dict[bytes, Any]:
    """A flat list of names and values as a dict."""
    return dict(zip(reply[::2], reply[1::2], strict=True))


def texts(reply: list[Any]) -> dict[str, str]:
    """An entry's fields for people to read; what is no UTF-8 is replaced."""
    decoded = pairs(reply).items()
    return {name.decode(errors="replace"): value.decode(errors="replace") for name, value in decoded}


def hash_texts(reply: Any) -> dict[str, str]:
    """HGETALL's reply, in either protocol, as text."""
    found = reply if isinstance(reply, dict) else pairs(reply)
    return {name.decode(): value.decode() for name, value in found.items()}


def error_code(error: Exception) -> str:
    """The first word of a server's error, which is its kind: NOGROUP, MISCONF and so on."""
    return str(error).split(" ", 1)[0]


async def wait_set(event: asyncio.Event, seconds: float) -> bool:
    """Wait for an event no longer than that; True if it is set."""
    if not event.is_set() and seconds > 0:
        try:
            async with asyncio.timeout(seconds):
                await event.wait()
        except TimeoutError:
            return event.is_set()
    return event.is_set()


async def unless_set(event: asyncio.Event, read: Coroutine[Any, Any, _Found]) -> _Found | None:
    """What ``read`` finds, or ``None`` when the event is set before it does: only for what changes nothing.

    A read of the venue may wait a minute for weight, and a stop must not wait for it.
    """
    reading = asyncio.create_task(read)
    stopped = asyncio.create_task(event.wait())
    try:
        await asyncio.wait({reading, stopped}, return_when=asyncio.FIRST_COMPLETED)
        return reading.result() if reading.done() else None
    finally:
        reading.cancel()
        stopped.cancel()
        await asyncio.wait({reading, stopped})
