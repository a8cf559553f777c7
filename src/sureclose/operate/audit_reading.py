"""What an audit reads: the venue's own orders and trades first, then the journal, then who reigned and what was published."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

import msgspec
from redis.exceptions import ResponseError

from sureclose.domain.events import EntryRef
from sureclose.domain.history import made_by_the_venue
from sureclose.domain.market import Position, RestingOrder
from sureclose.domain.quantity import ZERO
from sureclose.domain.times import iso_ms
from sureclose.journal.checking.audited import (
    AuditedPlan,
    ForeignOrder,
    Link,
    LinkedEntry,
    Period,
    Presence,
    Reduces,
    Reign,
    TracedOrder,
    Unjoined,
)
from sureclose.journal.checking.books import BookOrder, Books
from sureclose.journal.checking.case import Bounds
from sureclose.journal.checking.examination import Looked, Report
from sureclose.journal.checking.questions import epochs_of, restarts
from sureclose.journal.checking.reading import Reader
from sureclose.journal.checking.stored import OPEN, Results, Shelved, Stored, Unreadable
from sureclose.journal.checking.tracing import Draft, drafts, links, narrowed, planned, traced
from sureclose.journal.record import ChainBroken
from sureclose.operate.session import Session
from sureclose.operate.verify import (
    FromLog,
    Progress,
    Source,
    first_attempts,
    oldest_shown,
    read_books,
    verify,
)
from sureclose.services.comparing import DOUBT_MS
from sureclose.streams.groups import stream_info
from sureclose.streams.names import StreamName
from sureclose.streams.wire import id_key, texts
from sureclose.venue.errors import VenueError
from sureclose.venue.port import Purpose

DAY_MS: Final = 86_400_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_PAGE: Final = 1_000
_AT_ONCE: Final = 100
_UNITS_MS: Final = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": DAY_MS}


class PeriodRefused(Exception):
    """The period can't be audited; the message says what can."""


def period_since(text: str | None, now: int) -> int:
    """From when on to look, in the venue's milliseconds: a time (ISO 8601, UTC unless it says) or how long ago (24h, 90m).

    Raises ``PeriodRefused`` for what is neither, lies ahead, or is more than the venue keeps.
    """
    oldest = oldest_shown(now)
    if text is None:
        return max(now - DAY_MS, oldest)
    since = _since(text.strip(), now)
    if since > now:
        raise PeriodRefused(f"{iso_ms(since)} lies ahead: the venue's time is {iso_ms(now)}")
    if since < oldest:
        raise PeriodRefused(
            f"the venue answers for 90 days, so not for {iso_ms(since)}; the earliest is {iso_ms(oldest)}"
        )
    return since


def _since(text: str, now: int) -> int:
    number, unit = text[:-1], text[-1:]
    if number.isascii() and number.isdigit() and len(number) < 10 and unit in _UNITS_MS:
        return now - int(number) * _UNITS_MS[unit]
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise PeriodRefused(
            f"{text!r} is no time and no duration: write 2026-01-31T12:00:00Z, or 90m, 24h, 7d"
        ) from None
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return (aware - _EPOCH) // timedelta(milliseconds=1)


class Joined(msgspec.Struct, frozen=True, kw_only=True):
    """All that was read of one period, joined."""

    period: Period
    report: Report
    plans: tuple[AuditedPlan, ...]
    idle: int
    orders: tuple[TracedOrder, ...]
    unjoined: tuple[Unjoined, ...]
    foreign: tuple[ForeignOrder, ...]
    reigns: tuple[Reign, ...]
    positions: tuple[Position, ...]
    unread: tuple[str, ...]


class Recent:
    """The closes of a journal in which anything was recorded from ``since`` on (the log's milliseconds), or is open."""

    def __init__(self, whole: FromLog, since: int) -> None:
        self._whole = whole
        self._since = since
        self.account = whole.account
        self.taken_at = whole.taken_at
        self.complete = False

    async def closes(self) -> AsyncIterator[Stored | Unreadable]:
        async for part in self._whole.closes():
            if isinstance(part, Unreadable) or self._is_recent(part):
                yield part

    async def results(self) -> Results | None:
        return await self._whole.results()

    async def archived(self) -> AsyncIterator[Stored | Unreadable | Shelved]:
        async for part in self._whole.archived():
            if not isinstance(part, Stored) or self._is_recent(part):
                yield part

    def _is_recent(self, close: Stored) -> bool:
        if not close.records or close.state == OPEN:
            return True
        try:
            return close.records[-1][1].read().at >= self._since
        except (ChainBroken, msgspec.DecodeError, UnicodeDecodeError):
            return True  # the examination tells of it


async def read(session: Session, since: int, until: int, progress: Progress) -> Joined:
    """Read the period; reads at the venue that fail are named in ``unread``. Raises ``RedisError``."""
    ahead = session.clock.now() - until
    source = Recent(journal_of(session), since + ahead - DOUBT_MS)
    unread: list[str] = []
    shown = await _venue(session, source, since, unread, progress)
    books = shown.books
    progress("reading the journal")
    seen: list[tuple[Looked, tuple[Draft, ...]]] = []
    idle = 0

    def see(looked: Looked) -> None:
        nonlocal idle
        if looked.case.attempts or looked.broken:
            seen.append((looked, tuple(drafts(looked.case, books))))
        else:
            idle += 1

    report = await verify(source, bounds_of(session), books, see)
    reigns = await _reigns(session)
    warrants = await _warrants(session, since + ahead - DOUBT_MS)
    orders, plans = await _traced(session, seen, reigns, warrants)
    known = {(one.order.symbol, one.order.order_id) for one in orders}
    prefix = session.venue_settings.client_order_id_prefix
    others = [order for order in books.orders if (order.symbol, order.order_id) not in known]
    others += shown.conditional
    if other := [
        one.order.client_order_id for one in orders if not one.order.client_order_id.startswith(prefix)
    ]:
        # Others' orders under that prefix would be taken for somebody else's (incident 76).
        unread.append(
            f"{len(other)} orders of ours, such as {other[0]}, do not begin with {prefix}: audit with the"
            " venue.client_order_id_prefix that they were sent with, or begin later"
        )
    return Joined(
        period=Period(since=since, until=until),
        report=report,
        plans=plans,
        idle=idle,
        orders=orders,
        unjoined=tuple(
            [
                Unjoined(order=order, plan_id=await session.journal.plan_of(order.client_order_id) or "")
                for order in others
                if order.client_order_id.startswith(prefix)
            ]
        ),
        foreign=tuple(
            _foreign([order for order in others if not order.client_order_id.startswith(prefix)], shown)
        ),
        reigns=tuple(reign for reign in reigns if reign.at >= since + ahead),
        positions=shown.positions,
        unread=tuple(unread),
    )


def journal_of(session: Session, plan_ids: Sequence[str] = ()) -> FromLog:
    """The session's journal, all of it or some plans, as a source to be examined."""
    reader = Reader(
        session.wire,
        session.keys,
        group=session.streams.execution_group,
        results=session.streams.full(StreamName.EXECUTION_RESULT),
        environment=session.mode,
        progress=lambda _: None,
    )
    return FromLog(reader, session.library, session.keys.account, plan_ids, session.clock.now())


def bounds_of(session: Session) -> Bounds:
    """The numbers that this deployment proves by; the clock error is the margin, which must be above it (A2)."""
    return Bounds(
        prefix=session.venue_settings.client_order_id_prefix,
        margin=session.execution.margin_ms,
        spread=session.execution.spread_ms,
        clock_error=session.execution.margin_ms,
    )


# The venue ---------------------------------------------------------------------------------------------------------


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """What the venue showed. Conditional orders wait in a service of their own, which numbers its orders apart."""

    positions: tuple[Position, ...] = ()
    books: Books
    conditional: tuple[BookOrder, ...] = ()


async def _venue(
    session: Session, source: Source, since: int, unread: list[str], progress: Progress
) -> Shown:
    """Positions and what rests, then orders and trades of every symbol in which there is or was anything, or we sent."""
    sent_for = await first_attempts(source, since)
    venue = session.venue
    try:
        positions = await venue.positions()
        resting = await venue.all_resting()
        traded = await venue.symbols_since(since, Purpose.OBSERVE)
        held, rest = {one.symbol for one in positions}, {one.symbol for one in resting}
        symbols = {*sent_for, *traded, *held, *rest}
        books = await read_books(venue, dict.fromkeys(symbols, since), progress)
    except VenueError as error:
        unread.append(f"orders, trades and positions at the venue: {error}")
        return Shown(books=Books([], [], whole=False, order_spans={}, trade_spans={}))
    waiting = tuple(_conditional(order) for order in resting if order.conditional)
    return Shown(positions=tuple(positions), books=books, conditional=waiting)


def _conditional(order: RestingOrder) -> BookOrder:
    return BookOrder(
        order_id=order.order_id,
        client_order_id=order.client_order_id,
        symbol=order.symbol,
        side=order.side,
        reduce_only=order.reduce_only or order.close_position,
        status="WAITING",
        orig_qty=order.quantity,
        executed_qty=ZERO,
        time=order.time,
        update_time=order.time,
        position_side=order.position_side,
        type=order.order_type,
    )


def _foreign(others: Iterable[BookOrder], shown: Shown) -> Iterator[ForeignOrder]:
    amounts = {(one.symbol, str(one.position_side)): one.amount for one in shown.positions}
    effects: dict[str, frozenset[int]] = {}
    for order in others:
        if order.symbol not in effects:
            effects[order.symbol] = narrowed(shown.books, amounts, order.symbol)
        yield ForeignOrder(
            order=order,
            reduces=_reduces(order, effects[order.symbol]),
            by=made_by_the_venue(order.client_order_id),
        )


def _reduces(order: BookOrder, narrowing: frozenset[int]) -> Reduces:
    if order.reduces:
        return Reduces.BY_FLAG
    return Reduces.BY_EFFECT if order.order_id in narrowing else Reduces.NO


def lines(positions: Sequence[Position]) -> tuple[str, ...]:
    """Open positions as a person reads them."""
    amounts: list[tuple[str, str, Decimal]] = sorted(
        (one.symbol, str(one.position_side), one.amount) for one in positions if one.amount
    )
    return tuple(f"{symbol} {side} {amount:f}" for symbol, side, amount in amounts)


# The log -----------------------------------------------------------------------------------------------------------


async def _reigns(session: Session) -> tuple[Reign, ...]:
    """Every lease that is recorded, oldest first."""
    found = await session.wire.execute_command(b"XRANGE", session.keys.reigns, "-", "+")
    info = await stream_info(session.wire, session.keys.reigns)
    all_there = info is not None and info.entries_added == info.length
    reigns = [(entry_id.decode(), texts(flat)) for entry_id, flat in found]
    return restarts(
        [
            Reign(
                epoch=int(fields["epoch"]),
                owner=fields["owner"],
                component=fields["component"],
                at=int(fields["at"]),
                entry_id=entry_id,
            )
            for entry_id, fields in reigns
        ],
        complete=all_there,
    )


async def _warrants(session: Session, since: int) -> dict[str, str]:
    """Who issued a warrant for each plan."""
    stream, start = session.streams.full(StreamName.AUTHORITY_EVENTS), str(since)
    found: dict[str, str] = {}
    while True:
        page = await session.wire.execute_command(b"XRANGE", stream, start, b"+", b"COUNT", _PAGE)
        for _, flat in page:
            fields = texts(flat)
            if fields.get("event") == "WARRANT":
                said = msgspec.json.decode(fields["facts"], type=dict[str, str])
                found[said["plan_id"]] = said["actor"]
        if len(page) < _PAGE:
            return found
        start = "(" + page[-1][0].decode()


async def _traced(
    session: Session,
    seen: Sequence[tuple[Looked, tuple[Draft, ...]]],
    reigns: Sequence[Reign],
    warrants: dict[str, str],
) -> tuple[tuple[TracedOrder, ...], tuple[AuditedPlan, ...]]:
    by_epoch = epochs_of(reigns)
    orders: list[TracedOrder] = []
    plans: list[AuditedPlan] = []
    for first in range(0, len(seen), _AT_ONCE):
        some = seen[first : first + _AT_ONCE]
        entries = await asyncio.gather(
            *(_entries(session, draft) for _, of_close in some for draft in of_close)
        )
        told = iter(entries)
        for looked, of_close in some:
            own = tuple(
                traced(
                    draft,
                    next(told),
                    reign.component if (reign := by_epoch.get(draft.attempt.sent.body.epoch)) else "",
                    warrants.get(draft.case.plan_id, ""),
                    chain_broken=looked.broken,
                )
                for draft in of_close
            )
            orders += own
            plans.append(planned(looked.case, own, chain_broken=looked.broken))
    return tuple(orders), tuple(plans)


async def _entries(session: Session, draft: Draft) -> tuple[LinkedEntry, ...]:
    return tuple([await _entry(session, link, ref) for link, ref in links(draft.refs)])


async def _entry(session: Session, link: Link, ref: EntryRef) -> LinkedEntry:
    presence, plan_id = Presence.ABSENT, ""
    try:
        found = await session.wire.execute_command(b"XRANGE", ref.stream, ref.entry_id, ref.entry_id)
    except ResponseError:
        found = []  # neither such a stream nor such an id
    if found:
        presence, plan_id = Presence.THERE, texts(found[0][1]).get("plan_id", "")
    elif await _was_trimmed(session, ref):
        presence = Presence.TRIMMED
    return LinkedEntry(
        link=link, stream=ref.stream, entry_id=ref.entry_id, presence=presence, plan_id=plan_id
    )


async def _was_trimmed(session: Session, ref: EntryRef) -> bool:
    """Whether the stream once had ids as high, and all that it has now are higher."""
    try:
        wanted = id_key(ref.entry_id)
        info = await stream_info(session.wire, ref.stream)
    except (ResponseError, ValueError):
        return False
    if info is None or id_key(info.last_id) < wanted:
        return False
    return info.first_id is None or id_key(info.first_id) > wanted
