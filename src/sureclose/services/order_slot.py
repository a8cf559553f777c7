"""The connection and the rate token of one close, from before its timestamp is taken until its answer is in."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Final

from sureclose.venue.port import Urgency, Venue

SLOW_S: Final = 0.1
"""Who waits longer than this has something to write first."""


class OrderSlot:
    """One slot of the venue's, held or not."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue
        self._stack = AsyncExitStack()
        self.held = False

    async def take(
        self, urgency: Urgency, since: int, *, before_waiting: Callable[[], Awaitable[None]]
    ) -> None:
        """Unless it is held. Who has to wait for it is admitted durably first. Raises ``VenueError``."""
        if self.held:
            return
        slot = self._venue.order_slot(urgency, since)
        entering = asyncio.create_task(self._stack.enter_async_context(slot))
        try:
            await asyncio.wait({entering}, timeout=SLOW_S)
            if not entering.done():
                await before_waiting()
            await entering
        except BaseException:
            entering.cancel()
            await asyncio.wait({entering})
            await self._stack.aclose()
            raise
        self.held = True

    async def release(self) -> None:
        """Give it back; does nothing when it is not held."""
        self.held = False
        await self._stack.aclose()
