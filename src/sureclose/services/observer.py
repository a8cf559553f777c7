"""The path that does not execute reads all the same: its group stays close to the end of the stream, and nothing is sent.

What it was given and the other path has not finished is pending under its name: should it take over, that is read first.
"""

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

import structlog
from redis.exceptions import RedisError

from sureclose.domain.events import Decision
from sureclose.services.approvals import Approvals
from sureclose.services.watcher import Watcher
from sureclose.streams.clock import Moment
from sureclose.streams.entry import Entry
from sureclose.streams.stage import Stage
from sureclose.streams.verdict import Dead, Keep, StageVerdict
from sureclose.streams.wire import wait_set

log = structlog.get_logger()

LOOK_S: Final = 0.25
LOOKED_UP_PER_S: Final = 5_000
"""Of what waits, at most so many are looked up in a second: where nobody executes, looking often helps nobody."""
BLOCK_MS: Final = 100
"""A read must not stand in the way of a takeover."""
CLAIM_IDLE_MS: Final = 60_000
"""What is kept for long is kept for a reason, so another observer's entries are taken over late."""


class Observer:
    """Reads a route's group while another path executes."""

    def __init__(self, approvals: Approvals, watcher: Watcher, most: int) -> None:
        self._approvals = approvals
        self._watcher = watcher
        self._most = most
        self.stage: Stage = approvals.stage(
            self._decide,
            claim_idle_ms=CLAIM_IDLE_MS,
            in_flight=lambda: watcher.held,
            free=self.room,
            block_ms=BLOCK_MS,
        )

    def room(self) -> int:
        """How many more entries may wait here."""
        return self._most - self._watcher.size

    async def run(self, stop: asyncio.Event) -> None:
        """Until ``stop``. Raises ``LogWentBackwards``."""
        looking = asyncio.create_task(self._look(stop), name=f"{self.stage.name}: outcomes")
        try:
            await self.stage.run(stop)
        finally:
            stop.set()
            await looking

    def _decide(self, entry: Entry, at: Moment) -> StageVerdict:
        found = self._approvals.read(entry, at)
        if isinstance(found, Decision):
            self._watcher.keep(entry, found)
            return Keep("observed")
        if isinstance(found, Dead):
            self._watcher.keep(entry, None)
            return Keep(found.label)
        return found

    async def _look(self, stop: asyncio.Event) -> None:
        while not await wait_set(stop, LOOK_S + self._watcher.size / LOOKED_UP_PER_S):
            try:
                ended = await self._watcher.done()
                if ended:
                    await self._approvals.acknowledge(ended)
                    self._watcher.forget(ended)
                    self.stage.freed()
            except RedisError as error:
                log.warning("outcomes_not_known", stage=self.stage.name, error=str(error))


class Reads(Protocol):
    """A stage of one kind, and how much more may wait in it."""

    stage: Stage

    def room(self) -> int: ...
    async def run(self, stop: asyncio.Event) -> None: ...


class Sideline:
    """A reader that is there at times: one at most, begun and ended as authority moves."""

    def __init__(self, make: Callable[[], Reads]) -> None:
        self._make = make
        self._stop = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.reader: Reads | None = None

    async def begin(self) -> None:
        """Read from now on. What ended a reader before is raised, and another one is begun the next time."""
        if self._task is not None and self._task.done():
            await self.end()
        if self._task is None:
            self._stop = asyncio.Event()
            self.reader = self._make()
            name = f"{self.reader.stage.name}: beside"
            self._task = asyncio.create_task(self.reader.run(self._stop), name=name)

    async def end(self) -> None:
        """Read no more: what is not done with is pending. Raises what ended the reader before."""
        self._stop.set()
        task, self._task, self.reader = self._task, None, None
        if task is not None:
            await task
