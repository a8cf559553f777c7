"""Who runs the embedded log and the paper exchange: the first process in a data folder; the others attach to it."""

import asyncio
import contextlib
import fcntl
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec
import structlog

from sureclose.streams.embedded import EmbeddedServer

log = structlog.get_logger()

RUNTIME_FILE = "runtime.json"
PATIENCE_S = 15.0
_POLL_S = 0.05
_WATCH_S = 0.5


class NotRunning(Exception):
    """Nothing runs in the data folder, and this command does not start it. Run `sureclose run` first."""


class HostFailed(Exception):
    """The embedded log or the paper exchange could not be started; the message says why."""


class PaperAddress(msgspec.Struct, frozen=True):
    """Where the embedded paper exchange is, and its keys."""

    rest: str
    stream: str
    api_key: str
    api_secret: str


class Runtime(msgspec.Struct, frozen=True, kw_only=True):
    """What the host publishes in ``runtime.json`` (mode 0600). Empty where it runs neither."""

    pid: int
    command: str
    log_url: str = ""
    paper: PaperAddress | None = None


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What has to be there: the embedded log, the paper exchange, both or neither."""

    folder: Path
    command: str
    log: bool
    binary: str | None = None
    paper: bool
    paper_arguments: tuple[str, ...] = ()


class Host:
    """The embedded log and paper exchange of a data folder, started here or attached to.

    ``may_start`` says whether this process may become the host. ``died`` ends when something it started ends by itself.
    """

    def __init__(self, wanted: Wanted, *, may_start: bool, monotonic: Callable[[], float]) -> None:
        self._wanted = wanted
        self._may_start = may_start
        self._monotonic = monotonic
        self._lock = -1
        self._server: EmbeddedServer | None = None
        self._paper: asyncio.subprocess.Process | None = None
        self.runtime = Runtime(pid=os.getpid(), command=wanted.command)

    @property
    def started_here(self) -> bool:
        return self._lock >= 0

    async def __aenter__(self) -> Self:
        if self._wanted.log or self._wanted.paper:
            self._wanted.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            try:
                await self._start_or_attach()
            except BaseException:
                await self._stop()
                raise
        return self

    async def __aexit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        await self._stop()

    async def died(self) -> str:
        """Wait until the log or the exchange that this process uses ends by itself, and say which.

        Who is attached can't follow the exchange of another process: the next one has another address.
        """
        waits = []
        if self._server is not None:
            waits.append(asyncio.create_task(self._server.died()))
        if self._paper is not None:
            waits.append(asyncio.create_task(self._paper_died(self._paper)))
        if not self.started_here and self.runtime.paper is not None:
            waits.append(asyncio.create_task(self._host_gone()))
        if not waits:
            await asyncio.get_running_loop().create_future()
        try:
            done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            return next(iter(done)).result()
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

    async def _host_gone(self) -> str:
        pid, folder = self.runtime.pid, self._wanted.folder
        while True:
            if not _alive(pid) or read_runtime(folder) != self.runtime:
                return (
                    f"process {pid}, which ran log and exchange of {folder}, has ended; start this one again"
                )
            await asyncio.sleep(_WATCH_S)

    async def _start_or_attach(self) -> None:
        """Who gets the lock is the host; else wait for what the host publishes, or for the lock of one that died."""
        give_up_at = self._monotonic() + PATIENCE_S
        while True:
            if self._take_lock():
                if not self._may_start:
                    raise NotRunning
                await self._start()
                return
            found = read_runtime(self._wanted.folder)
            if found is not None and _alive(found.pid):
                self.runtime = found
                return
            if self._monotonic() >= give_up_at:
                raise HostFailed(
                    f"another process holds {self._wanted.folder} and has published no addresses in "
                    f"{PATIENCE_S:g} s; stop it, or set another data.dir"
                )
            await asyncio.sleep(_POLL_S)

    def _take_lock(self) -> bool:
        lock = os.open(self._wanted.folder / "host.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return False
        self._lock = lock
        return True

    async def _start(self) -> None:
        wanted = self._wanted
        (wanted.folder / RUNTIME_FILE).unlink(missing_ok=True)
        url = ""
        if wanted.log:
            self._server = EmbeddedServer(wanted.folder / "log", binary=wanted.binary)
            await self._server.start()
            url = self._server.url
        paper = await self._start_paper() if wanted.paper else None
        self.runtime = Runtime(pid=os.getpid(), command=wanted.command, log_url=url, paper=paper)
        _write_runtime(wanted.folder, self.runtime)

    async def _start_paper(self) -> PaperAddress:
        folder = self._wanted.folder
        command = [
            sys.executable,
            "-m",
            "sureclose",
            "paper",
            "--parent-death",
            str(os.getpid()),
            "--data",
            str(folder / "paper.jsonl"),
            *self._wanted.paper_arguments,
        ]
        with (folder / "paper.log").open("ab") as output:
            self._paper = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=output,
                start_new_session=True,
            )
        assert self._paper.stdout is not None
        try:
            line = await asyncio.wait_for(self._paper.stdout.readline(), PATIENCE_S)
        except TimeoutError:
            line = b""
        if not line:
            raise HostFailed(f"the paper exchange did not start; {folder / 'paper.log'} says why")
        return msgspec.json.decode(line, type=PaperAddress)

    async def _paper_died(self, paper: asyncio.subprocess.Process) -> str:
        code = await paper.wait()
        return f"the paper exchange ended with {code}; {self._wanted.folder / 'paper.log'} says why"

    async def _stop(self) -> None:
        if self._paper is not None:
            with contextlib.suppress(ProcessLookupError):
                self._paper.terminate()
            await self._paper.wait()
            self._paper = None
        if self._server is not None:
            await self._server.stop()
            self._server = None
        if self._lock >= 0:
            (self._wanted.folder / RUNTIME_FILE).unlink(missing_ok=True)
            os.close(self._lock)
            self._lock = -1


def read_runtime(folder: Path) -> Runtime | None:
    """What the host of the folder published, or ``None``; it may be dead."""
    try:
        return msgspec.json.decode((folder / RUNTIME_FILE).read_bytes(), type=Runtime)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def paper_arguments(positions: Sequence[str], symbols: int, limits: str, seed: int) -> tuple[str, ...]:
    """The command line of an embedded paper exchange."""
    seeds = [part for position in positions for part in ("--position", position)]
    return (*seeds, "--symbols", str(symbols), "--limits", limits, "--seed", str(seed))


def _write_runtime(folder: Path, runtime: Runtime) -> None:
    """Whole or not at all, and for our eyes only: it holds keys."""
    temporary = folder / f".{RUNTIME_FILE}.{os.getpid()}"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        json.dump(msgspec.to_builtins(runtime), stream, indent=2)
    temporary.replace(folder / RUNTIME_FILE)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
