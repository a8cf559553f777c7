"""Single flight inside a process: one close at a time for each symbol and side, in the order of arrival."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from sureclose.domain.words import PositionSide


class Lane:
    """One lane as one close has it."""

    def __init__(self, lock: asyncio.Lock) -> None:
        self._lock = lock
        self._mine = False

    @property
    def taken(self) -> bool:
        return self._lock.locked()

    async def enter(self) -> None:
        await self._lock.acquire()
        self._mine = True

    def leave(self) -> None:
        if self._mine:
            self._mine = False
            self._lock.release()

    async def let_pass(self) -> None:
        """Go behind those who wait. After a restart the first to enter need not be the one whose order is in flight."""
        self.leave()
        await self.enter()


class Lanes:
    """One lane for each symbol and side that a close is under way for; there is no lock over all symbols."""

    def __init__(self) -> None:
        self._lanes: dict[tuple[str, PositionSide], asyncio.Lock] = {}
        self._users: dict[tuple[str, PositionSide], int] = {}

    @asynccontextmanager
    async def hold(
        self, symbol: str, side: PositionSide, *, before_waiting: Callable[[], Awaitable[None]]
    ) -> AsyncIterator[Lane]:
        """The lane, once those before are through; who has to wait says so durably first."""
        key = symbol, side
        lane = Lane(self._lanes.setdefault(key, asyncio.Lock()))
        self._users[key] = self._users.get(key, 0) + 1
        try:
            if lane.taken:
                await before_waiting()
            await lane.enter()
            yield lane
        finally:
            lane.leave()
            self._users[key] -= 1
            if not self._users[key]:
                del self._users[key], self._lanes[key]
