"""The embedded paper exchange as a child of the host: the same address and the same books at every start."""

import asyncio
import contextlib
import fcntl
import os
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import structlog

from sureclose.operate.runtime import PaperAddress

log = structlog.get_logger()

READY_S = 15.0
GONE_S = 5.0
"""How long the exchange of a killed host may take to leave its books and its port."""
_POLL_S = 0.02
_HOST = "127.0.0.1"


class ExchangeNotStarted(Exception):
    """The paper exchange could not be started; the message says where the reason is."""


class PaperChild:
    """One exchange on one data folder. Its port is kept in ``paper.port`` so that who is attached finds the next one."""

    def __init__(self, folder: Path, arguments: Sequence[str], monotonic: Callable[[], float]) -> None:
        self._folder = folder
        self._arguments = tuple(arguments)
        self._monotonic = monotonic
        self._process: asyncio.subprocess.Process | None = None
        self.address: PaperAddress | None = None
        """Of the last start; the next one has the same, if it can."""

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        """Return when it serves. Where its port of before is taken by a stranger it gets another, and that is said.

        Raises ``ExchangeNotStarted``.
        """
        port = await self._port()
        command = [
            sys.executable,
            "-m",
            "sureclose",
            "paper",
            "--parent-death",
            str(os.getpid()),
            "--data",
            str(self._books),
            "--port",
            str(port),
            *self._arguments,
        ]
        with self._output.open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=output,
                start_new_session=True,
            )
        assert self._process.stdout is not None
        try:
            line = await asyncio.wait_for(self._process.stdout.readline(), READY_S)
        except TimeoutError:
            line = b""
        if not line:
            await self.stop()
            raise ExchangeNotStarted(f"the paper exchange did not start; {self._output} says why")
        self.address = msgspec.json.decode(line, type=PaperAddress)
        self._kept.write_text(self.address.rest.rpartition(":")[2])

    async def died(self) -> str:
        """Wait until it ends by itself, and say how."""
        assert self._process is not None
        code = await self._process.wait()
        return f"the paper exchange ended with {code}; {self._output} says why"

    async def stop(self) -> None:
        """Ask it to end and wait. Does nothing when it isn't running."""
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            await process.wait()

    @property
    def _books(self) -> Path:
        return self._folder / "paper.jsonl"

    @property
    def _output(self) -> Path:
        return self._folder / "paper.log"

    @property
    def _kept(self) -> Path:
        return self._folder / "paper.port"

    async def _port(self) -> int:
        """The port of before, once the exchange of before has left it; 0 where there was none, or a stranger has it."""
        try:
            port = int(self._kept.read_text())
        except (FileNotFoundError, ValueError):
            port = 0
        give_up_at = self._monotonic() + GONE_S
        while True:
            if _free(self._books) and _open(port):
                return port
            if self._monotonic() >= give_up_at:
                remedy = "who is attached to this folder ends, and has to be started again"
                log.error("paper_port_taken", port=port, remedy=remedy)
                return 0
            await asyncio.sleep(_POLL_S)


def _free(books: Path) -> bool:
    """Whether no exchange holds its books any more."""
    try:
        descriptor = os.open(books, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


def _open(port: int) -> bool:
    """Whether the port can be listened on; connections of before that linger do not count."""
    try:
        socket.create_server((_HOST, port)).close()
    except OSError:
        return False
    return True
