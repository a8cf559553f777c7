"""One connection for reading a lot: commands are sent ahead, and answers taken in their order.

The server works on the next command while we work on the last answer. Nothing is repeated: after any failure the
connection is of no use, and what was not answered may have happened or not.
"""

from typing import Any, Self

import hiredis
from redis.asyncio.connection import AbstractConnection

from sureclose.streams.connection import Log


class Bulk:
    """Of one task. ``send`` writes at once, ``answer`` gives the oldest answer that is owed, or raises its error."""

    def __init__(self, log: Log) -> None:
        self._client = log.reader()
        self._connection: AbstractConnection | None = None

    async def __aenter__(self) -> Self:
        client = await self._client.initialize()
        self._connection = client.connection
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def send(self, *command: bytes | str | int) -> None:
        assert self._connection is not None
        packed = hiredis.pack_command(command)  # type: ignore[arg-type]  # its stub knows tuples of one only
        await self._connection.send_packed_command([packed])

    async def answer(self) -> Any:
        assert self._connection is not None
        return await self._connection.read_response()
