"""Complete lists from an endpoint that answers at most so many rows of a bounded window."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Final, TypeVar

from sureclose.domain.market import Trade
from sureclose.venue.errors import VenueIncomplete
from sureclose.venue.schemas import TradeRow

PAGE: Final = 1000
"""Most rows of one answer (Binance docs, all orders and account trade list)."""

WINDOW_MS: Final = 7 * 86_400_000 - 3_600_000
"""Longest window of one request: the venue takes less than 7 days (Binance docs, all orders), an hour to spare."""

RETENTION_MS: Final = 90 * 86_400_000
"""How far back the venue answers: orders 90 days, trades 3 months (Binance docs; change log 2026-08-26)."""

Row = TypeVar("Row")


async def whole(
    read: Callable[[int, int], Awaitable[list[Row]]],
    start: int,
    end: int,
    full_instant: Callable[[int, list[Row]], Awaitable[list[Row]]],
) -> list[Row]:
    """All rows of ``start`` to ``end``, both included, in venue milliseconds; rows may come twice.

    A window whose answer is full is split in two until no answer is, so nothing depends on which end of a full
    window the venue shows. Windows are read from old to new: a row whose time moves on meanwhile is met later.
    ``full_instant`` gets the rows of a single millisecond that is still full.
    """
    rows: list[Row] = []
    todo = [(first, min(first + WINDOW_MS, end)) for first in range(start, end + 1, WINDOW_MS + 1)]
    todo.reverse()
    while todo:
        first, last = todo.pop()
        found = await read(first, last)
        if len(found) < PAGE:
            rows += found
        elif first == last:
            rows += await full_instant(first, found)
        else:
            middle = (first + last) // 2
            todo += [(middle + 1, last), (first, middle)]
    return rows


async def too_many(instant: int, rows: list[Row]) -> list[Row]:
    """The end of the road for orders: the venue's own order limits make so many in one millisecond impossible."""
    raise VenueIncomplete(f"{len(rows)} rows of the one millisecond {instant}; there may be more")


async def trades_of_instant(
    from_id: Callable[[int, int], Awaitable[list[TradeRow]]], instant: int, page: list[TradeRow]
) -> list[TradeRow]:
    """All trades of one millisecond that fills a page, by trade id: one large order can sweep that many.

    ``from_id(id, limit)`` answers, oldest first, trades from an id on. First an id before the millisecond is found
    by stepping back in doubling strides, then the trades are walked until they are past it.
    """
    first, stride = min(row.id for row in page), PAGE
    while first > 0:
        first, stride = max(0, first - stride), stride * 2
        earlier = await from_id(first, 1)
        if not earlier or earlier[0].time < instant:
            break
    rows: list[TradeRow] = []
    while True:
        found = await from_id(first, PAGE)
        rows += [row for row in found if row.time == instant]
        if len(found) < PAGE or found[-1].time > instant:
            break
        if found[-1].id < first:
            raise VenueIncomplete(f"trades from id {first} on went backwards")
        first = found[-1].id + 1
    if missing := {row.id for row in page} - {row.id for row in rows}:
        raise VenueIncomplete(
            f"{len(missing)} trades of millisecond {instant} vanished while they were counted"
        )
    return rows


def window(symbol: str, first: int, last: int) -> list[tuple[str, str]]:
    return [
        ("symbol", symbol),
        ("startTime", str(first)),
        ("endTime", str(last)),
        ("limit", str(PAGE)),
    ]


def in_order(rows: Iterable[TradeRow]) -> list[Trade]:
    by_id = {row.id: row for row in rows}
    return [row.trade() for row in sorted(by_id.values(), key=lambda row: (row.time, row.id))]
