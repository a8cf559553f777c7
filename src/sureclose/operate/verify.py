"""``verify``: an account's journal, from the log and its segments or from a file, held to the rules of one effect."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Final, Protocol

import msgspec

from sureclose.domain import facts
from sureclose.domain.market import OrderReport, Trade
from sureclose.journal.anchors import Anchored
from sureclose.journal.checking.books import BookOrder, Books, BookTrade, Span
from sureclose.journal.checking.case import Bounds
from sureclose.journal.checking.examination import Examination, Looked, Report
from sureclose.journal.checking.export import Exported, Writer
from sureclose.journal.checking.reading import Reader
from sureclose.journal.checking.stored import Results, Shelved, Stored, Unreadable
from sureclose.journal.library import Library
from sureclose.journal.record import ChainBroken
from sureclose.venue.history import RETENTION_MS
from sureclose.venue.port import Purpose, Venue

_EARLIER_MS: Final = 10_000
"""How far before an account's first attempt the venue is asked: clocks differ, and an order is no older than that."""
_HOUR_MS: Final = 3_600_000
_LAG_MS: Final = 2_000
"""How long the venue may take to show what it has accepted (assumption A4): what is younger may be missing."""

Progress = Callable[[str], None]


class Source(Protocol):
    """Where a journal is: ``closes``, then ``results``, then ``archived``, and that more than once if it is wanted."""

    @property
    def account(self) -> str: ...

    @property
    def taken_at(self) -> int:
        """Wall clock milliseconds."""
        ...

    @property
    def complete(self) -> bool:
        """Whether these are all closes of the account."""
        ...

    def closes(self) -> AsyncIterator[Stored | Unreadable]: ...

    async def results(self) -> Results | None: ...

    def archived(self) -> AsyncIterator[Stored | Unreadable | Shelved]:
        """The closes that had left the log when ``closes`` came to its end."""
        ...


class FromLog:
    """The journal in the log and its segments, all of it or some plans.

    Of segments only those written from ``since`` on (wall clock milliseconds).
    """

    def __init__(
        self,
        reader: Reader,
        library: Library,
        account: str,
        plan_ids: Sequence[str],
        taken_at: int,
        *,
        since: int = 0,
    ) -> None:
        self._reader = reader
        self._library = library
        self._plan_ids = plan_ids
        self._since = since
        self._anchored: list[Anchored] = []
        self._told: set[str | None] = set()
        self._torn: dict[str, Stored] = {}
        self.account = account
        self.taken_at = taken_at
        self.complete = not plan_ids and not since

    async def closes(self) -> AsyncIterator[Stored | Unreadable]:
        self._told.clear()
        self._torn.clear()
        found = self._reader.some(self._plan_ids) if self._plan_ids else self._reader.all()
        async for stored in found:
            if stored.head is None:
                self._torn[stored.plan_id] = stored  # it may have gone to a segment while it was read
            else:
                self._told.add(stored.head)
                yield stored
        self._anchored = await self._library.anchored()

    async def results(self) -> Results:
        return await self._reader.results()

    async def archived(self) -> AsyncIterator[Stored | Unreadable | Shelved]:
        found = self._some() if self._plan_ids else self._library.all(self._anchored, self._since)
        async for part in found:
            if not isinstance(part, Stored):
                yield part
                continue
            self._torn.pop(part.plan_id, None)
            if part.head not in self._told:
                yield part
        for stored in self._torn.values():
            yield stored

    async def _some(self) -> AsyncIterator[Stored | Unreadable | Shelved]:
        absent: set[str] = set()
        for plan_id in dict.fromkeys(self._plan_ids):
            found = await self._library.closes_of(plan_id)
            absent.update(found.absent)
            for stored in found.closes:
                yield stored
        for where in sorted(absent):
            yield Shelved(where="a segment", absent=where)


class FromFile:
    """An exported journal, all of it or some plans; raises ``JournalFileUnreadable`` when it is none."""

    def __init__(self, path: Path, plan_ids: Sequence[str]) -> None:
        self._path = path
        self._plan_ids = frozenset(plan_ids)
        with path.open("rb") as file:
            header = Exported(file).header
        self.account = header.account
        self.taken_at = header.taken_at
        self.complete = header.complete and not plan_ids
        self._results: Results | None = None

    async def closes(self) -> AsyncIterator[Stored | Unreadable]:
        with self._path.open("rb") as file:
            exported = Exported(file)
            for part in exported.closes():
                if isinstance(part, Unreadable) or not self._plan_ids or part.plan_id in self._plan_ids:
                    yield part
            self._results = exported.results

    async def results(self) -> Results | None:
        return self._results

    async def archived(self) -> AsyncIterator[Stored | Unreadable | Shelved]:
        """All closes of a file stand in it as one."""
        nothing: tuple[Shelved, ...] = ()
        for part in nothing:
            yield part


async def verify(
    source: Source, bounds: Bounds, books: Books | None, see: Callable[[Looked], None] | None = None
) -> Report:
    """Hold every close to the rules. What the books are read from must have been read before the journal.

    ``see`` gets each close as it was read.
    """
    examination = Examination(source.account, source.taken_at, bounds, books, complete=source.complete)
    async for part in source.closes():
        _look_at(examination, part, see)
    examination.know(await source.results())
    async for other in source.archived():
        _look_at(examination, other, see)
    return examination.report()


def _look_at(
    examination: Examination, part: Stored | Unreadable | Shelved, see: Callable[[Looked], None] | None
) -> None:
    match part:
        case Stored():
            looked = examination.add(part)
            if see is not None:
                see(looked)
        case Unreadable():
            examination.unreadable(part)
        case Shelved():
            examination.segment(part)


async def export(source: Source, file: IO[bytes], trouble: Progress) -> Writer:
    """Write the journal to a file, as it is; what is wrong with it is for those who read it.

    What could not be read is told to ``trouble``, and then the file has only some of the closes.
    """
    writer = Writer(file, source.account, source.taken_at, complete=source.complete)
    async for part in _parts(source):
        match part:
            case Stored():
                writer.close(part)
            case Unreadable():
                trouble(f"{part.where}: {part.why}")
            case Shelved():
                for why in (*part.problems, *((part.absent,) if part.absent else ())):
                    trouble(f"{part.where}: {why}")
    results = await source.results()
    assert results is not None
    writer.end(results)
    return writer


async def _parts(source: Source) -> AsyncIterator[Stored | Unreadable | Shelved]:
    async for part in source.closes():
        yield part
    async for other in source.archived():
        yield other


# The venue's records ----------------------------------------------------------------------------------------------------


def oldest_shown(now: int) -> int:
    """From when on the venue still answers, an hour to spare; venue milliseconds."""
    return now - RETENTION_MS + _HOUR_MS


async def books_of(source: Source, venue: Venue, progress: Progress) -> Books:
    """Orders and trades of every symbol that was sent for, since its first attempt; reads only, and yields to closes."""
    first = await first_attempts(source)
    oldest = oldest_shown(await venue.server_time())
    starts = {symbol: max(oldest, at - _EARLIER_MS) for symbol, at in first.items()}
    return await read_books(venue, starts, progress)


async def read_books(venue: Venue, starts: Mapping[str, int], progress: Progress) -> Books:
    """Orders and trades of each symbol from its start on; raises ``VenueError`` when any of it can't be read."""
    taken_at = await venue.server_time()
    orders: list[BookOrder] = []
    trades: list[BookTrade] = []
    spans: dict[str, Span] = {}
    for symbol, start in sorted(starts.items()):
        progress(f"reading {symbol} from the venue")
        orders += map(_order, await venue.orders_since(symbol, start, Purpose.OBSERVE))
        trades += map(_trade, await venue.trades_since(symbol, start, Purpose.OBSERVE))
        spans[symbol] = start, taken_at - _LAG_MS
    return Books(orders, trades, whole=False, order_spans=spans, trade_spans=spans)


async def first_attempts(source: Source, since: int = 0) -> dict[str, int]:
    """When each symbol was first sent for from ``since`` on, venue milliseconds."""
    first: dict[str, int] = {}
    async for part in _parts(source):
        for _, record in part.records if isinstance(part, Stored) else ():
            try:
                fact = record.read().fact
            except (ChainBroken, msgspec.DecodeError):
                continue  # the examination tells of it
            if isinstance(fact, facts.Sending) and fact.timestamp >= since:
                symbol = fact.position.symbol
                first[symbol] = min(fact.timestamp, first.get(symbol, fact.timestamp))
    return first


def _order(order: OrderReport) -> BookOrder:
    return BookOrder(
        order_id=order.order_id,
        client_order_id=order.client_order_id,
        symbol=order.symbol,
        side=order.side,
        reduce_only=order.reduce_only,
        status=order.status,
        orig_qty=order.orig_qty,
        executed_qty=order.executed_qty,
        update_time=order.update_time,
        position_side=order.position_side,
        type=order.order_type,
    )


def _trade(trade: Trade) -> BookTrade:
    return BookTrade(
        id=trade.trade_id,
        order_id=trade.order_id,
        symbol=trade.symbol,
        side=trade.side,
        qty=trade.quantity,
        price=trade.price,
        time=trade.time,
        position_side=trade.position_side,
    )
