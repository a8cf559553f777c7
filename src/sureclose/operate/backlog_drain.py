"""``backlog drain``: each stale entry of a dead group ends SKIPPED behind its durable row, and nothing is sent.

What may still be executed stays pending, for the executor that claims it. Entries and their acknowledgement are one
script, and what is pending under a drain's own name is read first: so it goes on where it was, whatever ended it.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import msgspec

from sureclose.domain.backlog import Tally
from sureclose.domain.events import EntryRef
from sureclose.journal.backlog import (
    Drain,
    DrainChain,
    Drained,
    DrainRecord,
    Lost,
    batch_answer,
    load_batch,
    note,
    send_batch,
    trim_drained,
)
from sureclose.operate.backlog import ROLES, Where
from sureclose.operate.session import Session
from sureclose.operate.uncollected import uncollected
from sureclose.streams.bulk import Bulk
from sureclose.streams.deadletter import dead_letter
from sureclose.streams.gone import noted, tell
from sureclose.streams.groups import group_info
from sureclose.streams.holders import DRAIN, Holder, drain_group, holders, take_over
from sureclose.streams.names import StreamName
from sureclose.streams.publish import Event
from sureclose.streams.slots import TTL_S, Slot
from sureclose.streams.triage import LOST, Kept, Letter, Sorted, Triage
from sureclose.streams.wire import id_key, wait_set

PAGE: Final = 1_000
"""Entries a batch: the log stands still for some milliseconds, and more at once are not faster."""
MOST_LISTED: Final = 1_000
"""Of what is left pending; the others are counted."""


class SlotLost(Exception):
    """Another drain has this one's name, because it was held up too long; run it again, it goes on where it was."""


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What one run did. ``finished`` is whether it came to the end of what was there when it began."""

    drain: str
    stream: str
    group: str
    consumer: str
    skipped: int
    reasons: dict[str, int]
    words: dict[str, int]
    classes: dict[str, int]
    dead_letters: int
    elsewhere: int
    """Finished or taken over by somebody else in between; they have no row here."""
    kept: tuple[Kept, ...]
    kept_count: int
    readable: int | None
    lost: Lost
    held: dict[str, int]
    """What other consumers hold now: nobody's who is dead."""
    records: int
    finished: bool
    seconds: float


class Draining:
    """One run. ``said`` is called with the entries looked at so far."""

    def __init__(
        self, session: Session, where: Where, by: Drain, said: Callable[[int], None], stop: asyncio.Event
    ) -> None:
        self._session = session
        self._where = where
        self._by = by
        self._said = said
        self._stop = stop
        self._chain = DrainChain(by)
        self._triage = Triage(by.stream, where.name, session.wiring.rules, session.execution.max_age_s * 1000)
        self._letters = session.streams.full(StreamName.DEAD_LETTER)
        self._tally = Tally()
        self._kept: dict[str, Kept] = {}
        self._kept_count = 0
        self._skipped = 0
        self._buried = 0
        self._elsewhere = 0
        self._looked_at = 0

    async def run(self) -> Result:
        session, where = self._session, self._where
        began = session.monotonic()
        unread, (after, before) = where.unread, where.lost_range
        lost = Lost(count=unread.lost, after=after, before=before)
        await trim_drained(session.wire, session.keys, session.clock.now())
        started = self._chain.record(
            Drained.STARTED, session.clock.now(), readable=unread.readable, lost=lost
        )
        await note(session.wire, session.keys, self._chain, started)
        async with Bulk(session.log) as bulk:
            await load_batch(bulk)
            finished = (
                await self._own(bulk)
                and await self._of_the_dead(bulk)
                and await self._unread(bulk)
                and await self._of_other_drains(bulk)
            )
        if finished:
            ended = self._chain.record(
                Drained.ENDED, session.clock.now(), reasons=dict(self._tally.reasons), kept=self._kept_count
            )
            await note(session.wire, session.keys, self._chain, ended)
        return Result(
            drain=self._by.drain,
            stream=self._by.stream,
            group=self._by.group,
            consumer=self._by.consumer,
            skipped=self._skipped,
            reasons=dict(self._tally.reasons),
            words=dict(self._tally.words),
            classes=dict(self._tally.classes),
            dead_letters=self._buried,
            elsewhere=self._elsewhere,
            kept=await with_states(session, list(self._kept.values())),
            kept_count=self._kept_count,
            readable=unread.readable,
            lost=lost,
            held={one.name: one.pending for one in await self._holders() if one.pending},
            records=self._chain.length,
            finished=finished,
            seconds=session.monotonic() - began,
        )

    async def _own(self, bulk: Bulk) -> bool:
        """What a drain before us was given under this name."""
        after = "0"
        while not self._stop.is_set():
            await bulk.send(*self._read(after))
            page = _entries(await bulk.answer())
            if not page:
                return True
            after = page[-1][0].decode()
            await self._handed_before(bulk, page)
        return False

    async def _of_the_dead(self, bulk: Bulk) -> bool:
        """What consumers hold that are dead; what was trimmed under them gets its dead letter."""
        for holder in self._where.dead:
            await self._take_from(bulk, holder)
        return not self._stop.is_set()

    async def _of_other_drains(self, bulk: Bulk) -> bool:
        """One that was killed a moment ago is still leased: its entries are waited for, those of a living one are not."""
        session, until = self._session, self._session.monotonic() + TTL_S + 0.5
        while not self._stop.is_set():
            others = [one for one in await self._holders() if one.role == DRAIN and one.pending]
            for dead in (one for one in others if not one.lives):
                await self._take_from(bulk, dead)
            if all(not one.lives for one in others) or session.monotonic() >= until:
                break
            await wait_set(self._stop, 0.1)
        return not self._stop.is_set()

    async def _holders(self) -> list[Holder]:
        """The other consumers, as they are now."""
        session, by = self._session, self._by
        info = await group_info(session.wire, by.stream, by.group)
        if info is None:
            return []
        found = await holders(session.wire, session.streams.prefix, info, ROLES)
        return [one for one in found if one.name != by.consumer]

    async def _take_from(self, bulk: Bulk, holder: Holder) -> None:
        wire, by, after = self._session.wire, self._by, "0-0"
        while holder.name != by.consumer and not self._stop.is_set():
            after, page = await take_over(wire, by.stream, by.group, holder, by.consumer, after, PAGE)
            if not after:
                break
            await self._handed_before(bulk, page)
        for entry_id in await noted(wire, by.stream, by.group):
            letter = self._event(Letter(entry_id.decode(), {}, LOST))
            self._buried += await tell(wire, by.stream, by.group, entry_id.decode(), [letter])

    async def _unread(self, bulk: Bulk) -> bool:
        """What the group was never given, up to what was there at the start: what comes now is the executor's.

        The next page is asked for before this one is sorted, so that the log and we work at once.
        """
        until = id_key(self._where.stream.last_id)
        if id_key(self._where.group.last_delivered_id) >= until:
            return True
        await bulk.send(*self._read(">"))
        page = _entries(await bulk.answer())
        with uncollected() as passed:
            while page and not self._stop.is_set():
                more = id_key(page[-1][0]) < until
                if more:
                    await bulk.send(*self._read(">"))
                found = self._triage.sort(page, self._session.clock.moment())
                record = await self._send(bulk, found)
                page = _entries(await bulk.answer()) if more else []
                await self._recorded(bulk, found, record)
                passed()
        if page:  # stopped in between; it stays pending under our name
            return False
        return not self._stop.is_set()

    async def _handed_before(self, bulk: Bulk, page: Sequence[Any]) -> None:
        """Entries that somebody was given: their closes may be under way, and go on from the journal."""
        under_way = frozenset(await self._session.journal.open_plans())
        found = self._triage.sort(page, self._session.clock.moment(), under_way)
        await self._recorded(bulk, found, await self._send(bulk, found))

    async def _send(self, bulk: Bulk, found: Sorted) -> DrainRecord | None:
        """The batch's script, unanswered; None where nothing of it ends."""
        if not found.rows:
            return None
        record = self._chain.record(
            Drained.BATCH, self._session.clock.now(), found.rows, reasons=dict(found.reasons)
        )
        letters = [self._event(letter) for letter in found.letters]
        await send_batch(bulk, self._session.keys, self._by, record, found.rows, letters)
        return record

    async def _recorded(self, bulk: Bulk, found: Sorted, record: DrainRecord | None) -> None:
        """The script's answer. Entries that are not ours any more leave the batch, and the others are tried again."""
        looked_at = len(found.rows) + len(found.kept)
        while record is not None:
            missing = await batch_answer(bulk)
            if not missing:
                self._chain.written(record)
                self._skipped += len(found.rows)
                self._buried += len(found.letters)
                break
            self._elsewhere += len(missing)
            found.rows = [row for row in found.rows if row[0] not in missing]
            found.letters = [letter for letter in found.letters if letter.entry_id not in missing]
            found.reasons.clear()
            found.reasons.update(row[4] for row in found.rows)
            record = await self._send(bulk, found)
        self._tally.add(found.classes, found.reasons, found.words)
        self._kept_count += len(found.kept)
        for kept in found.kept[: MOST_LISTED - len(self._kept)]:
            self._kept[kept.entry_id] = kept
        self._looked_at += looked_at
        self._said(self._looked_at)

    def _event(self, letter: Letter) -> Event:
        ref = EntryRef(self._by.stream, letter.entry_id)
        fields = dead_letter(
            ref, letter.fields, letter.why, self._session.wiring.producer, self._session.clock.now()
        )
        return Event.of(self._letters, fields)

    def _read(self, after: str) -> tuple[bytes | str | int, ...]:
        return (
            *(b"XREADGROUP", b"GROUP", self._by.group, self._by.consumer),
            *(b"COUNT", PAGE, b"STREAMS", self._by.stream, after),
        )


def _entries(reply: Any) -> list[Any]:
    """Those of the one stream that was asked."""
    return list(reply[0][1]) if reply else []


@asynccontextmanager
async def slot_of(session: Session, group: str, stop: asyncio.Event) -> AsyncIterator[Slot]:
    """A drain's own name, kept until the end; losing it sets ``stop``."""
    slot = await Slot.take(
        session.wire,
        prefix=session.streams.prefix,
        group=drain_group(group),
        role=DRAIN,
        monotonic=session.monotonic,
    )
    over = asyncio.Event()

    async def watch() -> None:
        await slot.lost.wait()
        stop.set()

    keeper = asyncio.create_task(slot.keep(over), name=f"keep {slot.name}")
    watcher = asyncio.create_task(watch(), name=f"watch {slot.name}")
    try:
        yield slot
    finally:
        over.set()
        await keeper
        watcher.cancel()
        await asyncio.gather(watcher, return_exceptions=True)
        await slot.release()


async def drain(
    session: Session,
    where: Where,
    *,
    drain_id: str,
    actor: str,
    said: Callable[[int], None],
    stop: asyncio.Event,
) -> Result:
    """Drain the group until its end or until ``stop``. Raises ``SlotLost``, ``NoSlotFree`` and what the log raises."""
    async with slot_of(session, where.group.group, stop) as slot:
        by = Drain(
            drain=drain_id,
            actor=actor,
            host=session.wiring.producer.host,
            pid=session.wiring.producer.pid,
            stream=where.stream.stream,
            group=where.group.group,
            consumer=slot.name,
        )
        result = await Draining(session, where, by, said, stop).run()
        if slot.lost.is_set():
            raise SlotLost(SlotLost.__doc__)
        return result


async def with_states(session: Session, kept: Sequence[Kept]) -> tuple[Kept, ...]:
    """With what the journal knows of each close."""
    found = []
    for one in kept:
        state = await session.journal.state(one.plan_id) if one.plan_id else None
        found.append(msgspec.structs.replace(one, state=state or ""))
    return tuple(found)
