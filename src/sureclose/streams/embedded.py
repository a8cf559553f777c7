"""The embedded log: a real Valkey, run as a supervised child that can't outlive us."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self
from urllib.parse import quote

import structlog
from redis.exceptions import BusyLoadingError, RedisError

from sureclose.streams.binary import ServerBinary, find_server
from sureclose.streams.connection import Log, LogSettings
from sureclose.streams.datafolder import DataFolder, open_private
from sureclose.streams.errors import LogProblem, ServerNotStarted, StartedOffMainThread
from sureclose.streams.wire import Wire

_PORT_TRIES = 5
_TAIL_LINES = 15
_POLL_S = 0.005
_LAST_BREATH = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGTERM)
if os.getppid() == int(sys.argv[1]):
    os.execv(sys.argv[2], sys.argv[2:])
"""
"""What the child runs first: ask the kernel for SIGTERM when the parent's starting thread ends (PR_SET_PDEATHSIG is 1,
and lasts over exec), and stop if the parent has died before that. A ``preexec_fn`` could deadlock on another thread's
lock; this can't."""

_log = structlog.get_logger(__name__)


class EmbeddedServer:
    """A Valkey on one data folder. Start it from the main thread; ``stop`` it; ``died`` returns if it ends by itself.

    It runs in a session of its own, so that a Ctrl-C at the terminal stops us first and it last. ``url`` is the unix
    socket's and stays the same over restarts; it holds the password and belongs in files of mode 0600 only.
    """

    def __init__(
        self, folder: Path, *, binary: str | None = None, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._wanted = folder
        self._binary = binary
        self._monotonic = monotonic
        self._folder: DataFolder | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._pidfd = -1
        self._started_at = 0
        self.url = ""
        self.tcp_url = ""
        self.server: ServerBinary | None = None

    @property
    def pid(self) -> int | None:
        return None if self._child is None else self._child.pid

    @property
    def running(self) -> bool:
        return self._child is not None and self._child.poll() is None

    async def start(self, *, patience_s: float = 10.0) -> None:
        """Return when the server answers and has loaded its data.

        ``patience_s`` is how long it may give no sign of life; loading is one. Raises ``DataFolderInUse``,
        ``ServerNotStarted``, ``ServerBinaryMissing``, ``ServerBinaryUnusable`` or ``LogTooOld``.
        """
        if threading.current_thread() is not threading.main_thread():
            raise StartedOffMainThread
        if self._folder is not None:
            raise RuntimeError("this server was started already")
        self.server = await find_server(self._binary)
        self._folder = await DataFolder.hold(self._wanted, patience_s=patience_s, monotonic=self._monotonic)
        try:
            for attempt in range(_PORT_TRIES):
                self._spawn(self._folder, self.server.path)
                if await self._answers(self._folder, patience_s, last=attempt + 1 == _PORT_TRIES):
                    break
        except BaseException:
            await self.stop(patience_s=0.0)
            raise
        _log.info(
            "log.started",
            server=f"{self.server.name} {self.server.version}",
            folder=str(self._folder.path),
            pid=self.pid,
        )

    async def died(self) -> str:
        """Wait until the server ends, and say how: its exit and the end of its log."""
        child, folder = self._running()
        await self._exit()
        return f"the embedded server ended with {child.poll()}; the end of {folder.logfile}: {self._tail(folder)}"

    async def stop(self, *, patience_s: float = 10.0) -> None:
        """Ask it to end, wait, then kill it; give the folder back. Does nothing when it isn't running."""
        if self._child is not None:
            self._signal(signal.SIGTERM)
            try:
                async with asyncio.timeout(patience_s):
                    await self._exit()
            except TimeoutError:
                self._signal(signal.SIGKILL)
                await self._exit()
            self._forget_child()
        if self._folder is not None:
            self._folder.release()
            self._folder = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def _spawn(self, folder: DataFolder, binary: Path) -> None:
        socket_path, password, port = folder.socket_path(), folder.password(), _free_port()
        folder.write_configuration(port=port, socket=socket_path, password=password)
        self._started_at = folder.bound_logfile()
        self.url = f"unix://:{quote(password, safe='')}@{quote(str(socket_path))}"
        self.tcp_url = f"redis://:{quote(password, safe='')}@127.0.0.1:{port}/0"
        command = [
            sys.executable,
            "-I",
            "-S",
            "-c",
            _LAST_BREATH,
            str(os.getpid()),
            str(binary),
            str(folder.configuration),
        ]
        with open_private(folder.logfile) as output:
            self._child = subprocess.Popen(  # noqa: S603 - our own server with our own configuration
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=(folder.lock,),
                start_new_session=True,
                umask=0o077,
            )
        self._pidfd = os.pidfd_open(self._child.pid)

    async def _answers(self, folder: DataFolder, patience_s: float, *, last: bool) -> bool:
        """True when it is ready; False when its port was taken by another between the choice and the start."""
        child, _ = self._running()
        give_up_at = self._monotonic() + patience_s
        async with Log(LogSettings(url=self.url)) as log:
            wire: Wire = log.commands()
            while True:
                try:
                    await wire.execute_command(b"PING")
                    return True
                except BusyLoadingError:
                    give_up_at = self._monotonic() + patience_s
                    why = "it is loading its data"
                except RedisError as error:
                    why = str(error)
                if child.poll() is not None:
                    if "Address already in use" in folder.log_since(self._started_at) and not last:
                        self._forget_child()
                        return False
                    raise self._not_started(folder, f"it ended with {child.returncode}")
                if self._monotonic() >= give_up_at:
                    raise self._not_started(folder, f"no answer in {patience_s:g} s ({why})")
                await asyncio.sleep(_POLL_S)

    async def _exit(self) -> None:
        """Wait for the child's end on its pidfd, which needs no watcher of the event loop's and no thread."""
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[None] = loop.create_future()
        descriptor = os.dup(self._pidfd)
        loop.add_reader(descriptor, _resolve, ended)
        try:
            await ended
        finally:
            loop.remove_reader(descriptor)
            os.close(descriptor)

    def _signal(self, number: signal.Signals) -> None:
        if self._child is not None and self._child.poll() is None:
            signal.pidfd_send_signal(self._pidfd, number)

    def _forget_child(self) -> None:
        if self._child is not None:
            self._child.wait()
            os.close(self._pidfd)
            self._child = None

    def _running(self) -> tuple["subprocess.Popen[bytes]", DataFolder]:
        if self._child is None or self._folder is None:
            raise RuntimeError("this server is not running")
        return self._child, self._folder

    def _tail(self, folder: DataFolder) -> str:
        lines = folder.log_since(self._started_at).strip().splitlines()[-_TAIL_LINES:]
        return "\n".join(lines) or "(empty)"

    def _not_started(self, folder: DataFolder, why: str) -> LogProblem:
        return ServerNotStarted(folder=folder.path, why=why, logfile=folder.logfile, tail=self._tail(folder))


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _free_port() -> int:
    """A loopback port that is free now; who takes it before the server does makes the server end, and we try another."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
