"""The venue's orders of our prefix beside the journal: which of them it does not know."""

import asyncio
from typing import Final, Protocol

import msgspec

from sureclose.domain.market import OrderReport
from sureclose.domain.times import LONGEST_EXPIRY_MS
from sureclose.journal.store import Journal
from sureclose.streams.clock import LogClock
from sureclose.streams.groups import stream_info
from sureclose.streams.wire import Wire, id_key
from sureclose.venue.clock import VenueClock

DOUBT_MS: Final = 60_000
"""How much further back than the newest record the venue's orders are read: clocks, and records written late."""
_AT_ONCE: Final = 8
_FORGOTTEN_MS: Final = 89 * 86_400_000
"""The venue answers for 90 days; what is older than that has expired long ago."""


class Books(Protocol):
    """What the venue is asked."""

    @property
    def clock(self) -> VenueClock: ...
    async def server_time(self) -> int: ...
    async def symbols_since(self, start_time: int) -> set[str]: ...
    async def orders_since(self, symbol: str, start_time: int) -> list[OrderReport]: ...


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """``since`` is in venue milliseconds; ``ours`` counts the orders of our prefix, ``unknown`` are not in the journal."""

    since: int
    symbols: tuple[str, ...]
    ours: int
    unknown: tuple[OrderReport, ...]


async def compare(venue: Books, journal: Journal, prefix: str, since: int) -> Compared:
    """Read everything since then; raises ``VenueError`` or ``RedisError`` when something could not be read."""
    symbols = sorted(await venue.symbols_since(since))
    ours: list[OrderReport] = []
    for first in range(0, len(symbols), _AT_ONCE):
        lists = await asyncio.gather(
            *(venue.orders_since(symbol, since) for symbol in symbols[first : first + _AT_ONCE])
        )
        ours += [order for orders in lists for order in orders if order.client_order_id.startswith(prefix)]
    unknown = [order for order in ours if await journal.plan_of(order.client_order_id) is None]
    return Compared(since=since, symbols=tuple(symbols), ours=len(ours), unknown=tuple(unknown))


async def missing_since(wire: Wire, journal: Journal, venue: Books, clock: LogClock, max_age: int) -> int:
    """From when on orders may be missing: before the newest record that there was, or as far back as a wish may be.

    Venue milliseconds.
    """
    records = await stream_info(wire, journal.keys.journal)
    newest, now = 0 if records is None else id_key(records.last_id)[0], clock.now()
    since = (min(newest, now - max_age) if newest else now - LONGEST_EXPIRY_MS) - DOUBT_MS
    return max(since, now - _FORGOTTEN_MS) + venue.clock.now() - now
