"""Trades of many positions, read no faster than the venue's weight allows: the reads that everything rests on come first."""

import asyncio
from collections.abc import Callable
from typing import Final

from sureclose.domain.market import Position, Trade
from sureclose.domain.safety import Mark
from sureclose.services.sight import Account
from sureclose.venue.clock import VenueClock
from sureclose.venue.endpoints import USER_TRADES
from sureclose.venue.history import WINDOW_MS
from sureclose.venue.port import Purpose

SHORT: Final = 700
"""Of the venue's 2,400 weights a minute that reads of some days may take: what changed, and the first look at what is new. Reads
which observe have 1,920 together, and the positions and marks that nothing can be decided without must have theirs at any time."""
LONG: Final = 400
"""The same of reads that go back for weeks to find an opening, apart from those: nobody's news stand behind them."""
AT_ONCE_S: Final = 15.0
"""So many seconds of the budget may be spent at once."""


class Paced:
    """The account, as it is, but for its trades. ``monotonic`` gives seconds."""

    def __init__(self, account: Account, monotonic: Callable[[], float]) -> None:
        self._account = account
        self._monotonic = monotonic
        self._paid_until = {SHORT: 0.0, LONG: 0.0}

    @property
    def clock(self) -> VenueClock:
        return self._account.clock

    async def positions(self) -> list[Position]:
        return await self._account.positions()

    async def marks(self) -> dict[str, Mark]:
        return await self._account.marks()

    async def trades_since(self, symbol: str, start_time: int, purpose: Purpose) -> list[Trade]:
        windows = 1 + max(0, self.clock.earliest() - start_time) // WINDOW_MS
        if (wait := self.wait_s(windows)) > 0:
            await asyncio.sleep(wait)
        return await self._account.trades_since(symbol, start_time, purpose)

    def wait_s(self, windows: int) -> float:
        """How long a read of so many weeks waits; its weight is spent from then on. First come, first served, of its kind."""
        now, budget = self._monotonic(), SHORT if windows == 1 else LONG
        begins = max(self._paid_until[budget], now - AT_ONCE_S)
        self._paid_until[budget] = begins + 60 * windows * USER_TRADES.weight / budget
        return begins - now
