"""The alarm for a background task that died: its process ends with it."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Final

from sureclose.domain.times import iso_ms
from sureclose.services.alarms.alarm import AlarmKind
from sureclose.services.alarms.board import Alarms
from sureclose.services.supervisor import TaskReport, TaskState
from sureclose.streams.wire import wait_set

SETTLED_S: Final = 30.0
"""How long a task must live before the death of its predecessor is over: a process that restarts in a loop is not well."""


class TaskAlarms:
    """Looks at the tasks of this process. ``tasks`` is ``Supervisor.tasks``; ``wall`` gives the log's milliseconds."""

    def __init__(
        self,
        alarms: Alarms,
        tasks: Callable[[], Iterable[TaskReport]],
        *,
        wall: Callable[[], int],
        settled_s: float = SETTLED_S,
    ) -> None:
        self._alarms = alarms
        self._tasks = tasks
        self._started_at = iso_ms(wall())
        self._settled_s = settled_s

    async def run(self, stop: asyncio.Event) -> None:
        """Once settled, clear what earlier processes raised; with ``stop``, which a death sets, raise what died."""
        while not await wait_set(stop, self._settled_s):
            self._clear()
        self.look()

    def look(self) -> None:
        """Raise the deaths that there are."""
        for task in self._tasks():
            if task.state is TaskState.DEAD:
                self._alarms.raise_(
                    AlarmKind.DEAD_TASK,
                    task.name,
                    f"the task {task.name} died, and its process ends: {task.why}",
                    "the log of the process has the traceback (task_died); see that it was started again, and report it",
                    task=task.name,
                    why=task.why,
                )

    def _clear(self) -> None:
        alive = {task.name for task in self._tasks() if task.state is TaskState.ALIVE}
        deaths = {
            key: alarm for key, alarm in self._alarms.standing.items() if key.kind is AlarmKind.DEAD_TASK
        }
        for key, death in deaths.items():
            if key.subject in alive and death.since < self._started_at:
                self._alarms.clear(key.kind, key.subject)
