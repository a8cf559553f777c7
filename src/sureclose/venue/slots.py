"""Order slots: who may send the next order when not all may at once."""

import asyncio
import heapq
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from sureclose.venue.errors import VenueUnreachable
from sureclose.venue.port import Urgency

_SHORTEST_WAIT_S = 0.005


class OrderSlots:
    """At most ``capacity`` orders at once, none while ``wait_ms(held)`` asks for patience, the most urgent first.

    The wait stands before the choice: when it ends, whoever is the most urgent then goes, not who came first.
    """

    def __init__(self, capacity: int, wait_ms: Callable[[int], int]) -> None:
        self._capacity = capacity
        self._wait_ms = wait_ms
        self._held = 0
        self._waiting: list[tuple[int, int, int, asyncio.Future[None]]] = []
        self._arrival = itertools.count()
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    @property
    def queue(self) -> int:
        """How many wait for a slot."""
        return sum(1 for *_, waiter in self._waiting if not waiter.done())

    def next_wait_ms(self) -> int:
        """How long the venue's limits make whoever comes next wait, beside the queue."""
        return self._wait_ms(self._held)

    @asynccontextmanager
    async def hold(self, urgency: Urgency, since: int) -> AsyncIterator[None]:
        """One slot for the duration of the block. Raises ``VenueUnreachable`` when the client is closed meanwhile."""
        await self._acquire(urgency, since)
        try:
            yield
        finally:
            self._held -= 1
            self._grant()

    def close(self) -> None:
        """Let nobody in any more."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for *_, waiter in self._waiting:
            if not waiter.done():
                waiter.set_exception(VenueUnreachable("the client was closed"))
        self._waiting.clear()

    async def _acquire(self, urgency: Urgency, since: int) -> None:
        if self._closed:
            raise VenueUnreachable("the client is closed")
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (urgency, since, next(self._arrival), waiter))
        self._grant()
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self._held -= 1
            self._grant()
            raise

    def _grant(self) -> None:
        while self._waiting and self._held < self._capacity:
            waiter = self._waiting[0][3]
            if waiter.done():
                heapq.heappop(self._waiting)
                continue
            wait = self._wait_ms(self._held)
            if wait > 0:
                if self._timer is None:
                    delay = max(_SHORTEST_WAIT_S, wait / 1000)
                    self._timer = asyncio.get_running_loop().call_later(delay, self._look_again)
                return
            heapq.heappop(self._waiting)
            self._held += 1
            waiter.set_result(None)

    def _look_again(self) -> None:
        self._timer = None
        self._grant()
