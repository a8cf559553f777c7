"""Every background task has a name and is watched: one that dies stops the process, loudly (incident 13)."""

import asyncio
from collections.abc import Coroutine
from enum import StrEnum
from typing import Any, Final

import msgspec
import structlog

log = structlog.get_logger()

GRACE_S: Final = 15.0
"""Above ``execution.drain_s`` (10): a task that drains ends by itself, and only a task that hangs is cancelled."""
CANCEL_S: Final = 2.0
"""How long a cancelled task may take; one that ignores even that is left to the end of the process."""


class TaskState(StrEnum):
    ALIVE = "alive"
    FINISHED = "finished"
    """Returned after stop was asked for."""
    DEAD = "dead"
    """Failed, or ended although nobody had asked for it, or had to be cancelled."""


class TaskReport(msgspec.Struct, frozen=True):
    """One task as it is now. ``why`` is empty unless it is dead."""

    name: str
    state: TaskState
    why: str = ""


class Supervisor:
    """The tasks of one process. ``stop`` is the one flag that everybody reads; a death sets it too."""

    def __init__(self, stop: asyncio.Event, *, grace_s: float = GRACE_S) -> None:
        self._stop = stop
        self._grace_s = grace_s
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._deaths: dict[str, str] = {}

    def spawn(self, name: str, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run it as a task that must not end before stop is asked for. Raises ``ValueError`` for a name in use."""
        if name in self._tasks:
            coroutine.close()
            raise ValueError(f"there is a task {name!r} already: names tell tasks apart in health and logs")
        task = asyncio.create_task(coroutine, name=name)
        self._tasks[name] = task
        task.add_done_callback(self._judge)

    def tasks(self) -> tuple[TaskReport, ...]:
        """Every task that was ever spawned, in that order: what ended does not drop out of health."""
        return tuple(TaskReport(name, self._state(name), self._deaths.get(name, "")) for name in self._tasks)

    @property
    def alive(self) -> bool:
        """Whether tasks run and none has died."""
        return not self._deaths and any(not task.done() for task in self._tasks.values())

    async def wait(self) -> int:
        """Until stop is asked for or a task dies, and then until all have ended; the exit code, 1 after a death.

        Nothing is cancelled in mid-read: every task gets ``grace_s`` to see the flag, and only then is cancelled.
        """
        await self._stop.wait()
        await self._ended(self._grace_s)
        for name in self._running():
            self._die(name, f"did not stop within {self._grace_s:g} s")
            self._tasks[name].cancel()
        await self._ended(CANCEL_S)
        for name in self._running():
            log.critical("task_stuck", task=name, why="ignores its cancellation")
        for task in self._tasks.values():
            if task.done():
                self._judge(task)  # the loop may not have come to it yet
        return 1 if self._deaths else 0

    async def _ended(self, seconds: float) -> None:
        """Wait for all, those included that others spawn meanwhile, no longer than that."""
        try:
            async with asyncio.timeout(seconds):
                while running := self._running():
                    await asyncio.wait({self._tasks[name] for name in running})
        except TimeoutError:
            return

    def _running(self) -> list[str]:
        return [name for name, task in self._tasks.items() if not task.done()]

    def _state(self, name: str) -> TaskState:
        if name in self._deaths:
            return TaskState.DEAD
        return TaskState.FINISHED if self._tasks[name].done() else TaskState.ALIVE

    def _judge(self, task: asyncio.Task[None]) -> None:
        name = task.get_name()
        if task.cancelled():
            self._die(name, "was cancelled")
        elif (error := task.exception()) is not None:
            self._die(name, f"{type(error).__name__}: {error}", error)
        elif not self._stop.is_set():
            self._die(name, "returned although nobody had asked it to stop")

    def _die(self, name: str, why: str, error: BaseException | None = None) -> None:
        """Said once for each task; the stop that follows is the process's own."""
        if name in self._deaths:
            return
        self._deaths[name] = why
        log.critical("task_died", task=name, why=why, exc_info=error)
        self._stop.set()
