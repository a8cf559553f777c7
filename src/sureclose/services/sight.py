"""What is open in the account and at which mark price: read at intervals, and told by the streams in between."""

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

import msgspec
import structlog

from sureclose.domain.market import Position, Trade
from sureclose.domain.safety import (
    AGE_MS,
    FRESH_MS,
    Episode,
    Mark,
    Unclear,
    episode,
)
from sureclose.streams.wire import wait_set
from sureclose.venue.clock import VenueClock
from sureclose.venue.errors import VenueError
from sureclose.venue.port import Purpose

log = structlog.get_logger()

POLL_S: Final = 5.0
"""Between two reads of positions (weight 5) and marks (10): 180 of the venue's 2,400 a minute."""
SOON_S: Final = 1.0
"""The least time between two reads, however much the stream tells."""
_FIRST_LOOK_MS: Final = AGE_MS + 3_600_000
"""How far back the trades of a position are read first: what opened later than that decides the rule of age."""
WHOLE_MS: Final = 89 * 86_400_000
"""How far back they are read when that does not reach its opening: a day less than the venue shows them for."""


class Account(Protocol):
    """The venue, as far as this goes. Each read raises ``VenueError`` rather than to answer for a failure."""

    @property
    def clock(self) -> VenueClock: ...
    async def positions(self) -> list[Position]: ...
    async def marks(self) -> dict[str, Mark]: ...
    async def trades_since(self, symbol: str, start_time: int, purpose: Purpose) -> list[Trade]: ...


class Opening(msgspec.Struct, frozen=True):
    """When a position left zero, and the trades that say so: all of its symbol from ``since`` on, venue milliseconds."""

    found: Episode | Unclear
    trades: list[Trade]
    since: int


async def look_back(account: Account, position: Position) -> Opening:
    """Read its trades as far back as it takes; raises ``VenueError``."""
    opening = Opening(Unclear("not looked at", passing=True), [], 0)
    for reach in (_FIRST_LOOK_MS, WHOLE_MS):
        now = account.clock.earliest()
        trades = await account.trades_since(position.symbol, now - reach, Purpose.OBSERVE)
        opening = Opening(episode(position, trades, now), trades, now - reach)
        if isinstance(opening.found, Episode) and opening.found.exact:
            break
    return opening


class Sight:
    """Reads at intervals, and at once when the account's stream tells of a change. Nothing from before the start counts.

    ``monotonic`` gives seconds.
    """

    def __init__(self, account: Account, monotonic: Callable[[], float]) -> None:
        self._account = account
        self._monotonic = monotonic
        self._began = monotonic()
        self._read_at: float | None = None
        self._failing_since: float | None = None
        self._why = "the first read is under way"
        self._positions: tuple[Position, ...] = ()
        self._told: dict[str, Mark] = {}
        self._read: dict[str, Mark] = {}
        self._news = asyncio.Event()
        self._generation = 0
        self.listeners: list[Callable[[], None]] = []
        """Told of each read that succeeded."""

    @property
    def symbols(self) -> frozenset[str]:
        """Those in which something is open: whose marks are wanted."""
        return frozenset(position.symbol for position in self._positions)

    @property
    def failing_since(self) -> float | None:
        """Since when positions can't be read; monotonic, ``None`` while they can."""
        return self._failing_since

    @property
    def why(self) -> str:
        return self._why

    @property
    def blind(self) -> str:
        """Why it can't be said what is open; empty while that was read a moment ago."""
        last = self._began if self._read_at is None else self._read_at
        if self._monotonic() - last <= FRESH_MS / 1000:
            return ""
        return f"positions can't be read: {self._why or 'the last read has no answer yet'}"

    @property
    def has_seen(self) -> bool:
        """Whether positions were read at all, since the start or since ``forget``."""
        return self._read_at is not None

    def wake(self) -> None:
        """Something changed: read soon."""
        self._news.set()

    @property
    def positions(self) -> tuple[Position, ...]:
        """What was open at the last read that succeeded."""
        return self._positions

    def hear(self, symbol: str, mark: Mark) -> None:
        """A mark price that the stream tells."""
        _keep(self._told, symbol, mark)

    def told(self, symbol: str) -> Mark | None:
        """The newest mark price by the stream."""
        return self._told.get(symbol)

    def read(self, symbol: str) -> Mark | None:
        """The newest mark price by a read."""
        return self._read.get(symbol)

    def mark(self, symbol: str) -> Mark | None:
        """The newest of both, by the venue's own time."""
        found = [mark for mark in (self.told(symbol), self.read(symbol)) if mark is not None]
        return max(found, key=lambda mark: mark.at, default=None)

    def forget(self) -> None:
        """What was seen before a close says nothing of what is so after it, nor what is being read now."""
        self._generation += 1
        self._read_at, self._began = None, self._monotonic()
        self._positions = ()
        self._told.clear()
        self._read.clear()

    async def run(self, stop: asyncio.Event) -> None:
        """Look until ``stop``; to be supervised."""
        while not stop.is_set():
            self._news.clear()
            await self.look()
            await wait_set(stop, SOON_S)
            await self._either(stop)

    async def _either(self, stop: asyncio.Event) -> None:
        waits = [asyncio.create_task(event.wait()) for event in (stop, self._news)]
        try:
            await asyncio.wait(waits, timeout=POLL_S - SOON_S, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def look(self) -> None:
        """One round of reads. What fails leaves what was known to grow old."""
        generation = self._generation
        try:
            held = await self._account.positions()
        except VenueError as error:
            self._why = str(error)
            if self._failing_since is None:
                self._failing_since = self._monotonic()
                log.warning("positions_unread", error=str(error))
            return
        if generation != self._generation:
            self.wake()
            return
        self._positions = tuple(held)
        self._read_at, self._failing_since, self._why = self._monotonic(), None, ""
        for marks in (self._told, self._read):
            for symbol in marks.keys() - self.symbols:
                del marks[symbol]
        if held:
            await self._look_at_prices(generation)
        await self._look_further(generation)
        for told in self.listeners:
            told()

    async def _look_at_prices(self, generation: int) -> None:
        try:
            marks = await self._account.marks()
            if generation == self._generation:
                for symbol in self.symbols & marks.keys():
                    _keep(self._read, symbol, marks[symbol])
        except VenueError as error:
            log.warning("prices_unread", error=str(error))

    async def _look_further(self, generation: int) -> None:
        """What else is read each time; fails for itself."""


def _keep(marks: dict[str, Mark], symbol: str, mark: Mark) -> None:
    known = marks.get(symbol)
    if known is None or mark.at >= known.at:
        marks[symbol] = mark
