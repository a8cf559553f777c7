"""Position reads: one serves all who wait for it."""

import asyncio
from collections.abc import Awaitable, Callable

import msgspec

from sureclose.domain.market import Position
from sureclose.domain.words import PositionSide
from sureclose.venue.errors import VenueError, VenueUnreachable


class _Waiter(msgspec.Struct, frozen=True, eq=False):
    symbol: str
    position_side: PositionSide
    answer: asyncio.Future[Position]


class PositionReads:
    """Every caller is served by a read requested after its call; reads start at least ``interval_ms`` apart.

    ``read(symbol)`` asks for one symbol, ``read(None)`` for the account; both weigh the same (Binance docs, position
    information: 5), so a batch about a single symbol takes the small answer and any other the whole account.
    A slow read holds up nobody: the next one starts beside it.
    """

    def __init__(
        self,
        read: Callable[[str | None], Awaitable[list[Position]]],
        *,
        interval_ms: int,
        steady: Callable[[], float],
    ) -> None:
        self._read = read
        self._interval = interval_ms / 1000
        self._steady = steady
        self._last_start = float("-inf")
        self._waiting: list[_Waiter] = []
        self._starter: asyncio.Task[None] | None = None
        self._reading: set[asyncio.Task[None]] = set()
        self._closed = False

    async def position(self, symbol: str, position_side: PositionSide) -> Position:
        """One position; raises ``VenueError`` when the read fails or has no such row."""
        if self._closed:
            raise VenueUnreachable("the client is closed")
        answer: asyncio.Future[Position] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiter(symbol, position_side, answer))
        if self._starter is None:
            self._starter = asyncio.create_task(self._start(), name="venue-position-reads")
        return await answer

    async def close(self) -> None:
        """End all reads; whoever waits is told."""
        self._closed = True
        tasks = [*self._reading, *([self._starter] if self._starter is not None else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        _fail(self._waiting, VenueUnreachable("the client was closed"))
        self._waiting = []

    async def _start(self) -> None:
        try:
            while self._waiting:
                due = self._last_start + self._interval - self._steady()
                if due > 0:
                    await asyncio.sleep(due)
                self._last_start = self._steady()
                batch, self._waiting = self._waiting, []
                batch = [waiter for waiter in batch if not waiter.answer.done()]
                if batch:
                    task = asyncio.create_task(self._serve(batch), name="venue-position-read")
                    self._reading.add(task)
                    task.add_done_callback(self._reading.discard)
        finally:
            self._starter = None

    async def _serve(self, batch: list[_Waiter]) -> None:
        symbols = {waiter.symbol for waiter in batch}
        try:
            rows = await self._read(symbols.pop() if len(symbols) == 1 else None)
        except asyncio.CancelledError:
            _fail(batch, VenueUnreachable("the client was closed"))
            raise
        except VenueError as error:
            _fail(batch, error)
        except Exception as error:  # noqa: BLE001 - not swallowed: every waiter gets it
            _fail(batch, error)
        else:
            found = {(row.symbol, row.position_side): row for row in rows}
            for waiter in batch:
                if waiter.answer.done():
                    continue
                row = found.get((waiter.symbol, waiter.position_side))
                if row is None:
                    waiter.answer.set_exception(_missing(waiter, rows))
                else:
                    waiter.answer.set_result(row)


def _fail(waiters: list[_Waiter], error: Exception) -> None:
    for waiter in waiters:
        if not waiter.answer.done():
            waiter.answer.set_exception(error)


def _missing(waiter: _Waiter, rows: list[Position]) -> VenueError:
    sides = sorted(row.position_side.value for row in rows if row.symbol == waiter.symbol)
    known = f"it has {', '.join(sides)}" if sides else "it has no row of that symbol"
    return VenueError(
        f"the venue's positions have no {waiter.position_side.value} row for {waiter.symbol}; {known}. "
        "Check symbol and position mode"
    )
