"""A loopback proxy before the log that loses one chosen reply: the request took effect, and nobody hears of it."""

import asyncio
from enum import StrEnum
from typing import Self
from urllib.parse import urlsplit


class Loss(StrEnum):
    CUT = "cut"
    """Both sides are closed."""
    CUT_CLIENT = "cut_client"
    """Only the client's side is closed; the log goes on serving a connection that nobody reads."""
    SWALLOW = "swallow"
    """The connection stays and is silent."""


class LossyProxy:
    """``lose`` arms it for the next request that contains some bytes, with a reply that contains some."""

    def __init__(self, tcp_url: str) -> None:
        parts = urlsplit(tcp_url)
        assert parts.port is not None
        self._upstream_port = parts.port
        self._password = parts.password
        self._server: asyncio.Server | None = None
        self._armed: tuple[bytes, bytes, Loss] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._accepted: set[asyncio.StreamWriter] = set()
        self.done: set[Loss] = set()
        self.lost = asyncio.Event()
        self.port = 0

    @property
    def url(self) -> str:
        return f"redis://:{self._password}@127.0.0.1:{self.port}/0"

    def lose(self, request: bytes, *, reply: bytes = b"", loss: Loss = Loss.CUT) -> None:
        self._armed = (request, reply, loss)
        self.lost.clear()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in self._accepted:
            writer.close()  # of a task that was cancelled before it began
        await self._server.wait_closed()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        self._accepted.add(writer)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda ended: None if ended.cancelled() else self._accepted.discard(writer))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._upstream_port)
        except OSError:
            writer.close()
            return
        request = bytearray()
        sender = asyncio.create_task(self._send_up(reader, up_writer, request))
        try:
            loss = await self._send_down(up_reader, writer, request)
            if loss is Loss.CUT_CLIENT:
                writer.close()
                await asyncio.Event().wait()
        finally:
            sender.cancel()
            writer.close()
            up_writer.close()
            await asyncio.gather(
                sender, writer.wait_closed(), up_writer.wait_closed(), return_exceptions=True
            )

    async def _send_up(
        self, reader: asyncio.StreamReader, up_writer: asyncio.StreamWriter, request: bytearray
    ) -> None:
        while data := await reader.read(65536):
            request[:] = data
            up_writer.write(data)
        if Loss.CUT_CLIENT not in self.done:
            up_writer.close()

    async def _send_down(
        self, up_reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytearray
    ) -> Loss | None:
        while data := await up_reader.read(1 << 20):
            if self._armed and self._armed[0] in request and self._armed[1] in data:
                loss, self._armed = self._armed[2], None
                self.done.add(loss)
                self.lost.set()
                if loss is not Loss.SWALLOW:
                    return loss
                continue
            writer.write(data)
        return None
