"""Single flight inside a process: one close at a time for each symbol and side, in the order of arrival."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from sureclose.domain.words import PositionSide


class Lanes:
    """One lane for each symbol and side that a close is under way for; there is no lock over all symbols."""

    def __init__(self) -> None:
        self._lanes: dict[tuple[str, PositionSide], asyncio.Lock] = {}
        self._users: dict[tuple[str, PositionSide], int] = {}

    @asynccontextmanager
    async def hold(
        self, symbol: str, side: PositionSide, *, before_waiting: Callable[[], Awaitable[None]]
    ) -> AsyncIterator[None]:
        """The lane, once those before are through; who has to wait says so durably first."""
        key = symbol, side
        lane = self._lanes.setdefault(key, asyncio.Lock())
        self._users[key] = self._users.get(key, 0) + 1
        try:
            if lane.locked():
                await before_waiting()
            async with lane:
                yield
        finally:
            self._users[key] -= 1
            if not self._users[key]:
                del self._users[key], self._lanes[key]
