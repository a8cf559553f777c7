"""Position reads: one serves all who wait for it."""

import asyncio
from collections.abc import Awaitable, Callable

import msgspec

from sureclose.domain.market import Position
from sureclose.domain.words import PositionSide
from sureclose.venue.errors import VenueError, VenueUnreachable, WrongMode


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
            by_symbol: dict[str, list[Position]] = {}
            for row in rows:
                by_symbol.setdefault(row.symbol, []).append(row)
            for waiter in batch:
                if waiter.answer.done():
                    continue
                try:
                    waiter.answer.set_result(
                        row_of(by_symbol.get(waiter.symbol, []), waiter.symbol, waiter.position_side)
                    )
                except VenueError as error:
                    waiter.answer.set_exception(error)


def row_of(rows: list[Position], symbol: str, position_side: PositionSide) -> Position:
    """The row of one side among a symbol's rows; raises ``VenueError`` when there is none.

    ``WrongMode`` when the rows speak of the other mode: they have only its sides, or a position on one of them.
    """
    one_way = position_side is PositionSide.BOTH
    asked = next((row for row in rows if row.position_side is position_side), None)
    others = [row for row in rows if (row.position_side is PositionSide.BOTH) is not one_way]
    if others and (asked is None or any(row.amount for row in others)):
        raise WrongMode(
            f"{position_side.value} was asked for, but the venue's positions of {symbol} are {_said(rows)}: "
            f"the account is {'' if one_way else 'not '}in hedge mode. Read the position mode again"
        )
    if asked is None:
        raise VenueError(
            f"the venue's positions have no {position_side.value} row for {symbol}; "
            f"it says {_said(rows)}. Check the symbol"
        )
    return asked


def _said(rows: list[Position]) -> str:
    return ", ".join(sorted(f"{row.position_side.value} {row.amount}" for row in rows)) or "nothing of it"


def _fail(waiters: list[_Waiter], error: Exception) -> None:
    for waiter in waiters:
        if not waiter.answer.done():
            waiter.answer.set_exception(error)
