"""The klines of what is open, read at intervals: a symbol whose read is slow or fails holds up no other."""

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

import msgspec
import structlog

from sureclose.domain.harvest.klines import Kline
from sureclose.streams.wire import wait_set
from sureclose.venue.endpoints import klines_endpoint
from sureclose.venue.errors import VenueError

log = structlog.get_logger()

BUDGET: Final = 400
"""Of the venue's 2,400 weights a minute that klines may take: with more open symbols each is read less often."""
AGAIN_S: Final = 5.0
"""After a read that failed."""
_LOOK_S: Final = 0.5


class Source(Protocol):
    """The venue, as far as this goes; raises ``VenueError``."""

    async def klines(self, symbol: str, interval: str, limit: int) -> list[Kline]: ...


class _Read(msgspec.Struct):
    klines: list[Kline] = []
    due: float = 0.0
    why: str = ""


class Candles:
    """``symbols`` says what is open, ``monotonic`` gives seconds. What can't be read grows old, and is judged as that."""

    def __init__(
        self,
        source: Source,
        symbols: Callable[[], frozenset[str]],
        monotonic: Callable[[], float],
        *,
        interval: str,
        count: int,
        every_s: float,
    ) -> None:
        self._source = source
        self._symbols = symbols
        self._monotonic = monotonic
        self._interval = interval
        self._count = count
        self._every_s = every_s
        self._known: dict[str, _Read] = {}
        self._reading: dict[str, asyncio.Task[None]] = {}

    def of(self, symbol: str) -> list[Kline]:
        """What was read last, oldest first; none before the first read."""
        known = self._known.get(symbol)
        return [] if known is None else known.klines

    def why(self, symbol: str) -> str:
        """Why the last read failed; empty when it did not."""
        known = self._known.get(symbol)
        return "" if known is None else known.why

    @property
    def every_s(self) -> float:
        """Between two reads of a symbol, by the budget."""
        weight = klines_endpoint(self._count).weight * len(self._symbols())
        return max(self._every_s, 60 * weight / BUDGET)

    async def run(self, stop: asyncio.Event) -> None:
        """Until ``stop``; to be supervised."""
        try:
            while not await wait_set(stop, _LOOK_S):
                self._look()
        finally:
            for task in self._reading.values():
                task.cancel()
            await asyncio.gather(*self._reading.values(), return_exceptions=True)

    def _look(self) -> None:
        wanted = self._symbols()
        for symbol in self._known.keys() - wanted:
            del self._known[symbol]
        for symbol, task in list(self._reading.items()):
            if task.done():
                del self._reading[symbol]
        now = self._monotonic()
        for symbol in sorted(wanted):
            known = self._known.setdefault(symbol, _Read())
            if symbol not in self._reading and now >= known.due:
                self._reading[symbol] = asyncio.create_task(
                    self._read(symbol, known), name=f"klines {symbol}"
                )

    async def _read(self, symbol: str, known: _Read) -> None:
        try:
            found = await self._source.klines(symbol, self._interval, self._count)
        except VenueError as error:
            if not known.why:
                log.warning("klines_unread", symbol=symbol, error=str(error))
            known.why = str(error)
            known.due = self._monotonic() + AGAIN_S
        except Exception as error:
            # Whatever is wrong with this symbol's klines, no other one is to suffer from it (incident 25).
            if not known.why:
                log.exception("klines_unread", symbol=symbol)
            known.why = f"{type(error).__name__}: {error}"
            known.due = self._monotonic() + AGAIN_S
        else:
            known.klines, known.why = found, ""
            known.due = self._monotonic() + self.every_s
