"""``backlog plan``: what a group was not given yet and what it owes, without delivering anything."""

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from sureclose.domain.backlog import Tally
from sureclose.operate.backlog import Where
from sureclose.operate.backlog_drain import MOST_LISTED, with_states
from sureclose.operate.session import Session
from sureclose.streams.bulk import Bulk
from sureclose.streams.holders import Holder
from sureclose.streams.triage import Kept, Triage
from sureclose.streams.wire import id_key

PAGE: Final = 1_000


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """What some of the entries come to. Times are milliseconds."""

    entries: int
    oldest: int | None
    newest: int | None
    ages: dict[str, int]
    classes: dict[str, int]
    reasons: dict[str, int]
    words: dict[str, int]


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The group as it is, and what a drain would make of it."""

    stream: str
    group: str
    delivered_id: str
    delivered_at: int | None
    readable: int | None
    lost: int | None
    lost_after: str
    lost_before: str | None
    consumers: tuple[Holder, ...]
    unread: Part
    pending: Part
    kept: tuple[Kept, ...]
    """What could still be executed, and so is left to the executor."""
    kept_count: int


async def plan(session: Session, where: Where, said: Callable[[int], None]) -> Plan:
    """Read what is there now; ``said`` is called with the entries looked at so far."""
    planning = _Planning(session, where, said)
    async with Bulk(session.log) as bulk:
        pending = await planning.pending(bulk)
        unread = await planning.unread(bulk)
    facts, (after, before) = where.unread, where.lost_range
    return Plan(
        stream=where.stream.stream,
        group=where.group.group,
        delivered_id=where.group.last_delivered_id,
        delivered_at=facts.delivered_at,
        readable=facts.readable,
        lost=facts.lost,
        lost_after=after,
        lost_before=before,
        consumers=where.consumers,
        unread=_part(unread),
        pending=_part(pending),
        kept=await with_states(session, planning.kept),
        kept_count=planning.kept_count,
    )


class _Planning:
    """One look, a page at a time; of the entries only their count is kept."""

    def __init__(self, session: Session, where: Where, said: Callable[[int], None]) -> None:
        self._session = session
        self._where = where
        self._said = said
        self._looked_at = 0
        self._triage = Triage(
            where.stream.stream, where.name, session.wiring.rules, session.execution.max_age_s * 1000
        )
        self.kept: list[Kept] = []
        self.kept_count = 0

    async def unread(self, bulk: Bulk) -> Tally:
        tally, start = Tally(), f"({self._where.group.last_delivered_id}"
        while True:
            await bulk.send(
                *(b"XRANGE", self._where.stream.stream, start, self._where.stream.last_id),
                *(b"COUNT", PAGE),
            )
            page = await bulk.answer()
            if not page:
                return tally
            self._count(tally, page, frozenset())
            start = f"({page[-1][0].decode()}"

    async def pending(self, bulk: Bulk) -> Tally:
        tally, start = Tally(), "-"
        stream, group = self._where.stream.stream, self._where.group.group
        while True:
            await bulk.send(b"XPENDING", stream, group, start, b"+", PAGE)
            ids = [entry[0] for entry in await bulk.answer()]
            if not ids:
                return tally
            for entry_id in ids:
                await bulk.send(b"XRANGE", stream, entry_id, entry_id)
            answers = [await bulk.answer() for _ in ids]
            page = [
                answer[0] if answer else (entry_id, None)
                for entry_id, answer in zip(ids, answers, strict=True)
            ]
            self._count(tally, page, frozenset(await self._session.journal.open_plans()))
            start = f"({ids[-1].decode()}"

    def _count(self, tally: Tally, page: Sequence[Any], under_way: frozenset[str]) -> None:
        at = self._session.clock.moment()
        found = self._triage.sort(page, at, under_way)
        tally.add(found.classes, found.reasons, found.words)
        tally.aged([id_key(entry[0])[0] for entry in page], at.now)
        self.kept_count += len(found.kept)
        self.kept += found.kept[: MOST_LISTED - len(self.kept)]
        self._looked_at += len(page)
        self._said(self._looked_at)


def _part(tally: Tally) -> Part:
    return Part(
        entries=tally.entries,
        oldest=tally.oldest,
        newest=tally.newest,
        ages=dict(tally.ages),
        classes=dict(tally.classes),
        reasons=dict(tally.reasons),
        words=dict(tally.words),
    )
