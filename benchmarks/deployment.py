"""What is measured, as processes of their own: the log, the paper exchange, Sureclose and the floor."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from benchmarks.sides import FLOOR, OURS
from sureclose.streams.embedded import EmbeddedServer

PATIENCE_S = 20.0
_ROOT = str(Path(__file__).resolve().parent.parent)
SURECLOSE = (sys.executable, "-m", "sureclose")


class NotUp(Exception):
    """A process of the bench did not start or has ended; the message has the end of what it said."""


class Venue(msgspec.Struct, frozen=True):
    """The line that ``sureclose paper`` prints when it is ready."""

    rest: str
    stream: str
    api_key: str
    api_secret: str


class FloorSettings(msgspec.Struct, frozen=True):
    """What the floor is told on its standard input."""

    log_url: str
    rest: str
    api_key: str
    api_secret: str
    connections: int


class Deployment(msgspec.Struct, frozen=True):
    """Where everything is."""

    log_url: str
    server: str
    """Name and version of the log's server."""
    venue: Venue


class Process:
    """A child with its words in a file; ``stop`` ends it and nothing else."""

    def __init__(self, name: str, child: asyncio.subprocess.Process, logfile: Path) -> None:
        self.name = name
        self._child = child
        self._logfile = logfile

    @classmethod
    async def start(
        cls, name: str, command: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None
    ) -> "Process":
        """Start it in the folder, with nothing in its environment that configures Sureclose but ``environment``."""
        clean = {key: value for key, value in os.environ.items() if not key.startswith("SURECLOSE")}
        logfile = folder / f"{name}.log"
        with logfile.open("ab") as output:
            child = await asyncio.create_subprocess_exec(
                *command,
                cwd=folder,
                env=clean | {"PYTHONPATH": _ROOT} | dict(environment or {}),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=output,
            )
        return cls(name, child, logfile)

    async def first_line(self, given: bytes = b"") -> bytes:
        """Hand it ``given``, and wait for its first line of output."""
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.write(given)
        try:
            async with asyncio.timeout(PATIENCE_S):
                line = await self._child.stdout.readline()
        except TimeoutError:
            line = b""
        if not line:
            raise NotUp(f"{self.name} did not start: {self.told[-800:]}")
        return line

    async def ended(self, given: bytes) -> None:
        """Hand it ``given``, and wait for its good end."""
        await self._child.communicate(given)
        if self._child.returncode:
            raise NotUp(f"{self.name} failed: {self.told[-800:]}")

    async def says(self, text: str) -> None:
        """Wait until the text stands in its log."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                while text not in self.told:
                    if self._child.returncode is not None:
                        raise NotUp(f"{self.name} ended: {self.told[-800:]}")
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise NotUp(f"{self.name} never said {text!r}: {self.told[-800:]}") from None

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def cpu_seconds(self) -> float:
        """Of a processor, user and system, since it was started: fields 14 and 15 of proc(5)'s stat, in clock ticks."""
        fields = Path(f"/proc/{self._child.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    @property
    def told(self) -> str:
        return self._logfile.read_text()

    async def stop(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._child.send_signal(signal.SIGTERM)
        await self._child.communicate()


async def exchange(stack: contextlib.AsyncExitStack, folder: Path, symbols: int) -> Venue:
    """A paper exchange until the stack ends. Raises ``NotUp``."""
    paper = await Process.start(
        "paper", [*SURECLOSE, "paper", "--symbols", str(symbols), "--limits", "off"], folder
    )
    stack.push_async_callback(paper.stop)
    return msgspec.json.decode(await paper.first_line(), type=Venue)


def settings_of(log_url: str, venue: Venue, folder: Path) -> dict[str, str]:
    """What Sureclose's processes need to know of both."""
    return {
        "REDIS__URL": log_url,
        "VENUE__BASE_URL": venue.rest,
        "VENUE__STREAM_URL": venue.stream,
        "VENUE__API_KEY": venue.api_key,
        "VENUE__API_SECRET": venue.api_secret,
        "VENUE__COUNT_LIMITS": "false",
        "HTTP__PORT": "0",
        "DATA__DIR": str(folder / "data"),
    }


@asynccontextmanager
async def running(
    folder: Path, symbols: int, ours: Sequence[str] = SURECLOSE, settings: Mapping[str, str] | None = None
) -> AsyncIterator[Deployment]:
    """All four, ready to take decisions; ``ours`` starts Sureclose's command line. Raises ``NotUp``."""
    async with contextlib.AsyncExitStack() as stack:
        server = await stack.enter_async_context(EmbeddedServer(folder / "log"))
        assert server.server is not None
        venue = await exchange(stack, folder, symbols)
        environment = settings_of(server.url, venue, folder) | dict(settings or {})
        service = await Process.start(
            OURS.name,
            [*ours, "run", "--roles", "execution"],
            folder,
            {f"SURECLOSE__{name}": value for name, value in environment.items()},
        )
        stack.push_async_callback(service.stop)
        floor = await Process.start(FLOOR.name, [sys.executable, "-m", "benchmarks.floor"], folder)
        stack.push_async_callback(floor.stop)
        told = FloorSettings(server.url, venue.rest, venue.api_key, venue.api_secret, connections=16)
        await floor.first_line(msgspec.json.encode(told) + b"\n")
        await service.says("resumed")
        yield Deployment(server.url, f"{server.server.name} {server.server.version}", venue)
