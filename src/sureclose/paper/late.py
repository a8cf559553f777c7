"""Executions that were put off: each is tried at its time, before anyone can see a later time on the exchange."""

import asyncio
import heapq
import itertools
from collections.abc import Callable

Act = Callable[[int], None]


class Latecomers:
    """Times are those of the exchange, ms. What still waits when the process ends is never executed.

    Every request and every tick calls `run_due` first, so that an answer which shows a time has everything that was
    due by then behind it, however late the timer is.
    """

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._waiting: list[tuple[int, int, Act]] = []
        self._numbers = itertools.count()
        self._timer: asyncio.TimerHandle | None = None

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def put(self, due: int, act: Act) -> None:
        """Call `act` with `due` when it is due; at once if it already is."""
        heapq.heappush(self._waiting, (due, next(self._numbers), act))
        self.run_due()

    def run_due(self) -> None:
        now = self._clock()
        while self._waiting and self._waiting[0][0] <= now:
            due, _, act = heapq.heappop(self._waiting)
            act(due)
        self._set_timer(now)

    def _set_timer(self, now: int) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._waiting:
            wait = (self._waiting[0][0] - now) / 1000
            self._timer = asyncio.get_running_loop().call_later(wait, self.run_due)

    def close(self) -> None:
        self._waiting.clear()
        if self._timer is not None:
            self._timer.cancel()
