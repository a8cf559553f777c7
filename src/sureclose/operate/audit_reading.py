"""What an audit reads: the venue's own orders and trades first, then the journal, then who reigned and what was published."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Final

import msgspec
from redis.exceptions import ResponseError

from sureclose.domain.events import EntryRef
from sureclose.domain.market import Position
from sureclose.journal.checking.audited import (
    AuditedPlan,
    ForeignOrder,
    Link,
    LinkedEntry,
    Period,
    Presence,
    Reign,
    TracedOrder,
    Unjoined,
)
from sureclose.journal.checking.books import BookOrder
from sureclose.journal.checking.case import Bounds
from sureclose.journal.checking.examination import Looked, Report
from sureclose.journal.checking.questions import epochs_of, restarts
from sureclose.journal.checking.reading import Reader
from sureclose.journal.checking.stored import OPEN, Results, Shelved, Stored, Unreadable
from sureclose.journal.checking.tracing import Draft, drafts, links, planned, traced
from sureclose.journal.record import ChainBroken
from sureclose.operate.audit_venue import foreign_orders, read_venue
from sureclose.operate.session import Session
from sureclose.operate.verify import (
    FromLog,
    Progress,
    verify,
)
from sureclose.services.comparing import DOUBT_MS
from sureclose.services.routes import executors
from sureclose.streams.groups import stream_info
from sureclose.streams.names import StreamName
from sureclose.streams.wire import id_key, texts

_PAGE: Final = 1_000
_AT_ONCE: Final = 100


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
    began = since + ahead - DOUBT_MS
    source = Recent(journal_of(session, since=began), began)
    unread: list[str] = []
    shown = await read_venue(session, source, since, unread, progress)
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
    warrants = await _warrants(session, began)
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
                Unjoined(order=order, plan_id=await _plan_of(session, order, plans))
                for order in others
                if order.client_order_id.startswith(prefix)
            ]
        ),
        foreign=tuple(
            foreign_orders([order for order in others if not order.client_order_id.startswith(prefix)], shown)
        ),
        reigns=tuple(reign for reign in reigns if reign.at >= since + ahead),
        positions=shown.positions,
        unread=tuple(unread),
    )


async def _plan_of(session: Session, order: BookOrder, read_plans: Iterable[AuditedPlan]) -> str:
    """The plan that an order's id is said to belong to; nobody's, where that plan was read and did not send it."""
    plan_id = await session.journal.plan_of(order.client_order_id)
    return "" if plan_id is None or any(plan.plan_id == plan_id for plan in read_plans) else plan_id


def journal_of(session: Session, plan_ids: Sequence[str] = (), *, since: int = 0) -> FromLog:
    """The session's journal, all of it or some plans, as a source to be examined; of segments those written since."""
    reader = Reader(
        session.wire,
        session.keys,
        groups=[route.group for route in executors(session.streams, session.harvest_brain)],
        results=session.streams.full(StreamName.EXECUTION_RESULT),
        environment=session.mode,
        progress=lambda _: None,
    )
    account, now = session.keys.account, session.clock.now()
    return FromLog(reader, session.library, account, plan_ids, now, since=since)


def bounds_of(session: Session) -> Bounds:
    """The numbers that this deployment proves by; the clock error is the margin, which must be above it (A2)."""
    return Bounds(
        prefix=session.venue_settings.client_order_id_prefix,
        margin=session.execution.margin_ms,
        spread=session.execution.spread_ms,
        clock_error=session.execution.margin_ms,
    )


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
