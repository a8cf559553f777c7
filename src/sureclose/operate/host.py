"""Who runs the embedded log and the paper exchange: the first process in a data folder; the others attach to it.

Whoever hosts may die. Then one of those who are attached takes its place on the same folder: the log has the same socket
and password, the exchange the same port and keys, so that everybody just connects again. Who is asked to end waits for the
attached that are ending as well: they finish what is under way and give their lease up, for which they need the log.
"""

import asyncio
import fcntl
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec
import structlog

from sureclose.operate.paper_child import ExchangeNotStarted, PaperChild
from sureclose.operate.runtime import Runtime, forget_runtime, read_runtime, write_runtime
from sureclose.streams.embedded import EmbeddedServer
from sureclose.streams.errors import LogProblem
from sureclose.streams.wire import wait_set

log = structlog.get_logger()

PATIENCE_S = 15.0
_POLL_S = 0.05
_WATCH_S = 0.1
FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 5.0
LASTING_S = 30.0
"""A child that lived for that long and ends is a new trouble, not the one of before."""


class NotRunning(Exception):
    """Nothing runs in the data folder, and this command does not start it. Run `sureclose run` first."""


class HostFailed(Exception):
    """The embedded log or the paper exchange can't be used; the message says why."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What has to be there: the embedded log, the paper exchange, both or neither."""

    folder: Path
    command: str
    log: bool
    binary: str | None = None
    paper: bool
    paper_arguments: tuple[str, ...] = ()
    leaving_s: float = 0.0
    """How long an attached process may take to end."""

    @property
    def any(self) -> bool:
        return self.log or self.paper


class Host:
    """The embedded log and paper exchange of a data folder, started here or attached to.

    ``may_start`` says whether this process may become the host when it is entered; who calls ``keep`` may later.
    """

    def __init__(self, wanted: Wanted, *, may_start: bool, monotonic: Callable[[], float]) -> None:
        self._wanted = wanted
        self._may_start = may_start
        self._monotonic = monotonic
        self._lock = -1
        self._leaving = -1
        self._server: EmbeddedServer | None = None
        self._paper: PaperChild | None = None
        self._pause_s = FIRST_PAUSE_S
        self.runtime = Runtime(pid=os.getpid(), command=wanted.command)

    @property
    def started_here(self) -> bool:
        return self._lock >= 0

    @property
    def needed(self) -> bool:
        """Whether anything is hosted at all, here or by another."""
        return self._wanted.any

    async def __aenter__(self) -> Self:
        if self._wanted.any:
            self._wanted.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            try:
                await self._start_or_attach()
            except ExchangeNotStarted as error:
                await self._stop()
                raise HostFailed(str(error)) from None
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

    async def keep(self, stop: asyncio.Event) -> None:
        """Until ``stop``: start again what ends here, and take the place of a host that ends.

        Call it from the main thread's loop: the kernel ends the children of a thread that ends. Raises ``HostFailed``
        when the exchange could not have its address again.
        """
        while not stop.is_set():
            if self.started_here:
                await self._mind(stop)
            elif self._take_lock():
                log.warning("host_gone", pid=self.runtime.pid, now=os.getpid())
                await self._revive(stop)
            else:
                self._follow()
                await wait_set(stop, _WATCH_S)
        if not self.started_here:
            self._leaving = self._try_lock("leaving.lock", fcntl.LOCK_SH)

    def _follow(self) -> None:
        """Another host publishes the same addresses under its own process id."""
        found = read_runtime(self._wanted.folder)
        if found is not None and found != self.runtime and _alive(found.pid):
            self._same_exchange(found)
            log.warning("host_changed", pid=found.pid)
            self.runtime = found

    async def _mind(self, stop: asyncio.Event) -> None:
        """Wait until a child ends, and start it again."""
        began = self._monotonic()
        why = await self._child_died(stop)
        if why is None:
            return
        if self._monotonic() - began >= LASTING_S:
            self._pause_s = FIRST_PAUSE_S
        log.critical("host_child_died", why=why, remedy="it is started again; look at its log")
        await self._revive(stop)

    async def _child_died(self, stop: asyncio.Event) -> str | None:
        """How the log or the exchange ended; ``None`` when we are to stop."""
        children = [child for child in (self._server, self._paper) if child is not None]
        waits = [asyncio.create_task(child.died()) for child in children]
        stopped = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({*waits, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if stop.is_set():
                return None
            return "; ".join(wait.result() for wait in waits if wait.done())
        finally:
            for wait in (*waits, stopped):
                wait.cancel()
            await asyncio.gather(*waits, stopped, return_exceptions=True)

    async def _revive(self, stop: asyncio.Event) -> None:
        """Start what does not run, until it runs: a full disk has room again some time."""
        before = self.runtime
        while not await wait_set(stop, self._pause_s if self._pause_s > FIRST_PAUSE_S else 0):
            self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)
            try:
                await self._start_missing()
            except (LogProblem, ExchangeNotStarted, OSError) as error:
                log.critical("host_not_revived", why=str(error), next_try_s=self._pause_s)
                continue
            self._same_exchange(self.runtime, before)
            log.warning("host_revived", log=bool(self._server), exchange=bool(self._paper))
            return

    def _same_exchange(self, now: Runtime, before: Runtime | None = None) -> None:
        """Connections and signatures of this process are bound to one exchange."""
        if now.paper != (before or self.runtime).paper:
            raise HostFailed(
                f"the paper exchange of {self._wanted.folder} has another address now; start this process again"
            )

    async def _start_or_attach(self) -> None:
        """Who gets the lock is the host; else wait for what the host publishes, or for the lock of one that died."""
        give_up_at = self._monotonic() + PATIENCE_S
        while True:
            if self._take_lock():
                if not self._may_start:
                    raise NotRunning
                forget_runtime(self._wanted.folder)
                await self._start_missing()
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
        self._lock = self._try_lock("host.lock", fcntl.LOCK_EX)
        return self.started_here

    def _try_lock(self, name: str, how: int) -> int:
        """The descriptor of a file that is locked now, and until it is closed or we are dead; -1 if another has it."""
        lock = os.open(self._wanted.folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, how | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return -1
        return lock

    async def _all_left(self) -> None:
        """Wait until no attached process is ending any more, for as long as one may take."""
        give_up_at = self._monotonic() + self._wanted.leaving_s
        while (nobody := self._try_lock("leaving.lock", fcntl.LOCK_EX)) < 0:
            if self._monotonic() >= give_up_at:
                log.warning(
                    "host_leaves_first",
                    remedy="what an attached process had under way goes on at its next start",
                )
                return
            await asyncio.sleep(_POLL_S)
        os.close(nobody)

    async def _start_missing(self) -> None:
        """Log and exchange, those that don't run; then publish where they are."""
        wanted = self._wanted
        if wanted.log and (self._server is None or not self._server.running):
            self._server = self._server or EmbeddedServer(wanted.folder / "log", binary=wanted.binary)
            await self._server.stop()
            await self._server.start()
        if wanted.paper and (self._paper is None or not self._paper.running):
            self._paper = self._paper or PaperChild(wanted.folder, wanted.paper_arguments, self._monotonic)
            await self._paper.stop()
            await self._paper.start()
        self.runtime = Runtime(
            pid=os.getpid(),
            command=wanted.command,
            log_url="" if self._server is None else self._server.url,
            paper=None if self._paper is None else self._paper.address,
        )
        write_runtime(wanted.folder, self.runtime)

    async def _stop(self) -> None:
        if self._leaving >= 0:
            os.close(self._leaving)
            self._leaving = -1
        if self._server is not None or self._paper is not None:
            await self._all_left()
        if self._paper is not None:
            await self._paper.stop()
            self._paper = None
        if self._server is not None:
            await self._server.stop()
            self._server = None
        if self._lock >= 0:
            forget_runtime(self._wanted.folder)
            os.close(self._lock)
            self._lock = -1


def paper_arguments(positions: Sequence[str], symbols: int, limits: str, seed: int) -> tuple[str, ...]:
    """The command line of an embedded paper exchange."""
    seeds = [part for position in positions for part in ("--position", position)]
    return (*seeds, "--symbols", str(symbols), "--limits", limits, "--seed", str(seed))


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
