"""The safety controller's reign: the one lease of the account, for as long as its closes take and no longer."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import structlog
from redis.exceptions import RedisError

from sureclose.domain.authority import Component
from sureclose.journal import lease
from sureclose.journal.lease import Lease
from sureclose.services.continuity import Continuity
from sureclose.services.engine import Engine
from sureclose.services.lease_keeper import keep_lease
from sureclose.services.tools import Tools
from sureclose.streams.connection import Log
from sureclose.streams.entry import Entry
from sureclose.streams.errors import LogProblem
from sureclose.streams.fields import Unreadable
from sureclose.streams.wire import wait_set

log = structlog.get_logger()

SETTLE_S: Final = 90.0
"""How long closes may take before the lease is given up: what is not resolved by then is taken up by the next reign."""
LOOK_S: Final = 0.02
RESUME_RETRY_S: Final = 0.2

Work = Callable[[Engine, Lease], Awaitable[None]]


class _Nobody:
    """No group has delivered what this engine is given, so there is nothing to acknowledge."""

    async def acknowledge(self, entries: Sequence[Entry]) -> None:
        log.info("safety_duplicate", entries=[str(entry.ref) for entry in entries])

    async def bury(self, entries: Sequence[Entry], why: Unreadable) -> None:
        log.error("safety_conflict", entries=[str(entry.ref) for entry in entries], why=why.reason)


class SafetyReign:
    """Takes the lease only when nobody has it, makes sure of the log as every reign does, and resumes what is unfinished."""

    def __init__(
        self,
        connection: Log,
        tools: Tools,
        continuity: Continuity,
        *,
        worker: str,
        monotonic: Callable[[], float],
        drain_s: float,
        settle_s: float = SETTLE_S,
    ) -> None:
        self._wire = connection.reader()
        self._tools = tools
        self._continuity = continuity
        self._worker = worker
        self._monotonic = monotonic
        self._drain_s = drain_s
        self._settle_s = settle_s
        self._log_answers = True
        self.engine: Engine | None = None
        self.epoch = 0
        """Of the last reign of this process."""

    async def aclose(self) -> None:
        await self._wire.aclose()

    async def run(self, work: Work, stop: asyncio.Event) -> bool:
        """One reign with ``work`` in the middle, unless something was unfinished; whether there was one.

        Raises ``RedisError`` and ``OSError``.
        """
        lineage = await self._continuity.look(self._wire)
        keys, component = self._tools.journal.keys, Component.SAFETY_CONTROLLER
        above = self._continuity.highest_epoch
        held = await lease.take(self._wire, keys, self._worker, component=component, above=above)
        if held is None:
            return False
        self.epoch = held.epoch
        log.warning("safety_lease_taken", worker=self._worker, epoch=held.epoch)
        over, done = asyncio.Event(), asyncio.Event()
        keeper = asyncio.create_task(self._keep(held, over, done), name="safety: lease")
        keeper.add_done_callback(lambda _: over.set())
        stopper = asyncio.create_task(_forward(stop, over), name="safety: stop")
        try:
            if await self._continuity.secure(held, lineage, over):
                await self._execute(held, work, over, done)
        finally:
            lost = done.is_set()
            done.set()
            stopper.cancel()
            await asyncio.gather(keeper, stopper, return_exceptions=True)
            if not lost:
                await self._give_up(held)
        return True

    async def _execute(self, held: Lease, work: Work, over: asyncio.Event, done: asyncio.Event) -> None:
        def log_lost() -> None:
            done.set()
            over.set()

        engine = self.engine = Engine(self._tools, held, _Nobody(), log_lost)
        try:
            resumed = await self._resume(engine, over)
            # What was unfinished may have been a close of the very position: the work was found before its end.
            if await self._settled(engine, over) and not resumed:
                await work(engine, held)
                await self._settled(engine, over)
            if not done.is_set():
                await engine.drain(self._drain_s)
        finally:
            self.engine = None
            await engine.abandon()

    async def _resume(self, engine: Engine, over: asyncio.Event) -> int:
        """How many closes were unfinished and are taken up."""
        while not over.is_set():
            try:
                orphans = await self._tools.journal.orphans()
                self._tools.orphans.clear()
                self._tools.orphans.update(orphans)
                resumed = await engine.resume()
            except RedisError as error:
                log.warning("resume_failed", error=str(error))
                await wait_set(over, RESUME_RETRY_S)
            else:
                log.info("resumed", closes=resumed)
                return resumed
        return 0

    async def _settled(self, engine: Engine, over: asyncio.Event) -> bool:
        """Whether every close has ended, in the time there is for it."""
        deadline = self._monotonic() + self._settle_s
        while engine.busy:
            if self._monotonic() >= deadline or await wait_set(over, LOOK_S):
                return False
        return not over.is_set()

    async def _keep(self, held: Lease, over: asyncio.Event, done: asyncio.Event) -> None:
        async def watch() -> str:
            return await self._continuity.watch(self._wire) if self.engine else ""

        await keep_lease(self._wire, self._tools.journal.keys, held, over, done, self._monotonic, watch)

    async def _give_up(self, held: Lease) -> None:
        try:
            await lease.drop(self._wire, self._tools.journal.keys, held)
            log.info("safety_lease_dropped", epoch=held.epoch)
        except (RedisError, LogProblem, OSError) as error:
            log.warning("lease_not_dropped", error=str(error), remedy="it runs out by itself")


async def _forward(stop: asyncio.Event, over: asyncio.Event) -> None:
    await stop.wait()
    over.set()
