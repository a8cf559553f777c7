"""A loopback proxy before the log that can swallow all bytes both ways and close nothing: a half-open connection."""

import asyncio

from tests.streams.lossy_proxy import Loss, LossyProxy


class Wall(LossyProxy):
    """Passes everything through until it is ``up``; connections made meanwhile are accepted and hear nothing."""

    def __init__(self, tcp_url: str) -> None:
        super().__init__(tcp_url)
        self.up = False

    async def _send_up(
        self, reader: asyncio.StreamReader, up_writer: asyncio.StreamWriter, request: bytearray
    ) -> None:
        await self._carry(reader, up_writer)
        up_writer.close()

    async def _send_down(
        self, up_reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytearray
    ) -> Loss | None:
        await self._carry(up_reader, writer)
        return None

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """What was swallowed once never comes: the connection is lost for good, and nobody is told."""
        swallows = False
        while data := await reader.read(1 << 18):
            swallows = swallows or self.up
            if not swallows:
                writer.write(data)
                await writer.drain()
