"""What a drain records: with the acknowledgement or not at all, and only of what is still its own."""

import json
import zlib
from typing import Any, Final

import pytest
from redis.exceptions import ResponseError

from sureclose.journal.backlog import (
    Altered,
    Drain,
    DrainChain,
    Drained,
    Lost,
    Row,
    Skipped,
    batch_answer,
    load_batch,
    note,
    send_batch,
    skipped,
    trim_drained,
)
from sureclose.journal.burnt import RETENTION_MS
from sureclose.journal.keys import Keys
from sureclose.streams.bulk import Bulk
from sureclose.streams.connection import Log
from sureclose.streams.publish import Event
from sureclose.streams.wire import Wire, pairs

GROUP: Final = "group"
NOW: Final = 1_700_000_000_000


class Drainer:
    """A group with entries, one consumer that was given them, and the chain of his drain."""

    def __init__(self, log: Log, prefix: str) -> None:
        self.wire: Wire = log.commands()
        self.log = log
        self.keys = Keys(prefix, "paper:main")
        self.stream, self.letters = f"{prefix}apply.result", f"{prefix}dead.letter"
        by = Drain(
            drain="d1",
            actor="me",
            host="here",
            pid=1,
            stream=self.stream,
            group=GROUP,
            consumer="backlog-1",
        )
        self.chain = DrainChain(by)

    async def given(self, count: int, consumer: str = "backlog-1") -> list[Row]:
        await self.wire.execute_command(b"XGROUP", b"CREATE", self.stream, GROUP, "0", b"MKSTREAM")
        ids = [f"{number}-1" for number in range(1, count + 1)]
        for entry_id in ids:
            await self.wire.execute_command(b"XADD", self.stream, entry_id, "f", "v")
        await self.wire.execute_command(
            *(b"XREADGROUP", b"GROUP", GROUP, consumer, b"COUNT", count, b"STREAMS", self.stream, ">")
        )
        return [(entry_id, f"plan{entry_id}", "X", "SKIP", "expired") for entry_id in ids]

    async def record(self, rows: list[Row], letters: list[Event] | None = None) -> set[str]:
        """One batch; the ids that are not ours any more."""
        async with Bulk(self.log) as bulk:
            await load_batch(bulk)
            record = self.chain.record(Drained.BATCH, NOW, rows)
            await send_batch(bulk, self.keys, self.chain.by, record, rows, letters or [])
            missing = await batch_answer(bulk)
        if not missing:
            self.chain.written(record)
        return missing

    async def stored(self) -> list[dict[bytes, Any]]:
        return [
            pairs(flat) for _, flat in await self.wire.execute_command(b"XRANGE", self.keys.backlog, "-", "+")
        ]

    async def pending(self) -> int:
        return int((await self.wire.execute_command(b"XPENDING", self.stream, GROUP))[0])

    async def told(self, wanted: str) -> list[Skipped | Altered]:
        return [found async for found in skipped(self.wire, self.keys, wanted)]


@pytest.fixture
def drainer(log: Log, log_prefix: str) -> Drainer:
    return Drainer(log, log_prefix)


async def test_rows_letters_and_acknowledgement_are_one(drainer: Drainer) -> None:
    rows = await drainer.given(2_500)
    letter = Event.of(drainer.letters, {"id": rows[0][0]})
    assert await drainer.record(rows, [letter]) == set()
    [stored] = await drainer.stored()
    assert json.loads(zlib.decompress(stored[b"rows"])) == [list(row) for row in rows]
    assert await drainer.pending() == 0
    assert await drainer.wire.execute_command(b"XLEN", drainer.letters) == 1


async def test_one_entry_that_somebody_else_has_or_finished_keeps_the_whole_batch_from_being_written(
    drainer: Drainer,
) -> None:
    rows = await drainer.given(20)
    await drainer.wire.execute_command(b"XACK", drainer.stream, GROUP, "3-1")
    await drainer.wire.execute_command(b"XCLAIM", drainer.stream, GROUP, "execution-1", 0, "7-1")
    letter = Event.of(drainer.letters, {"id": rows[0][0]})
    assert await drainer.record(rows, [letter]) == {"3-1", "7-1"}
    assert await drainer.stored() == []
    assert await drainer.wire.execute_command(b"XLEN", drainer.letters) == 0
    assert await drainer.pending() == 19
    left = [row for row in rows if row[0] not in {"3-1", "7-1"}]
    assert await drainer.record(left) == set()
    assert await drainer.pending() == 1
    assert await drainer.told("3-1") == await drainer.told("plan7-1") == []


async def test_a_batch_that_comes_twice_is_recorded_once(drainer: Drainer) -> None:
    """Its answer was lost, and the reader behind it read the same entries again."""
    rows = await drainer.given(10)
    assert await drainer.record(rows) == set()
    assert await drainer.record(rows) == {row[0] for row in rows}
    assert len(await drainer.stored()) == 1


async def test_nothing_is_written_when_a_key_is_something_else_or_the_group_is_gone(drainer: Drainer) -> None:
    rows = await drainer.given(5)
    await drainer.wire.execute_command(b"SET", drainer.letters, "no stream")
    with pytest.raises(ResponseError, match="WRONGTYPE"):
        await drainer.record(rows, [Event.of(drainer.letters, {"a": "b"})])
    await drainer.wire.execute_command(b"XGROUP", b"DESTROY", drainer.stream, GROUP)
    with pytest.raises(ResponseError, match="NOGROUP"):
        await drainer.record(rows)
    assert await drainer.stored() == []


async def test_a_right_that_is_missing_keeps_everything_from_being_written(drainer: Drainer) -> None:
    rows = await drainer.given(5)
    user = f"u{drainer.keys.prefix.replace(':', '')}"
    await drainer.wire.execute_command(*(b"ACL", b"SETUSER", user, "on", "nopass", "~*", "+@all", "-xack"))
    try:
        async with Bulk(drainer.log) as bulk:
            await load_batch(bulk)
            await bulk.send(b"AUTH", user, "any")
            await bulk.answer()
            record = drainer.chain.record(Drained.BATCH, NOW, rows)
            await send_batch(bulk, drainer.keys, drainer.chain.by, record, rows, [])
            with pytest.raises(ResponseError, match="no right to XACK"):
                await batch_answer(bulk)
    finally:
        await drainer.wire.execute_command(b"ACL", b"DELUSER", user)
    assert await drainer.stored() == []
    assert await drainer.pending() == 5


async def test_what_was_recorded_is_found_by_plan_and_by_entry_and_a_change_shows(drainer: Drainer) -> None:
    lost = Lost(count=7, after="0-0", before="1-1")
    await note(
        drainer.wire, drainer.keys, drainer.chain, drainer.chain.record(Drained.STARTED, NOW, lost=lost)
    )
    rows = await drainer.given(30)
    assert await drainer.record(rows[:20]) == set()
    assert await drainer.record(rows[20:]) == set()
    [by_plan], [by_entry] = await drainer.told("plan25-1"), await drainer.told("25-1")
    assert by_plan == by_entry
    assert isinstance(by_plan, Skipped)
    assert (by_plan.entry_id, by_plan.reason, by_plan.by.actor, by_plan.at) == ("25-1", "expired", "me", NOW)
    assert await drainer.told("plan2") == [], "no part of a name"
    entries = await drainer.wire.execute_command(b"XRANGE", drainer.keys.backlog, "-", "+")
    await drainer.wire.execute_command(b"XDEL", drainer.keys.backlog, entries[1][0])
    [gap, still_told] = await drainer.told("25-1")
    assert isinstance(gap, Altered)
    assert "does not follow" in gap.why
    assert still_told == by_entry
    fields = pairs(entries[1][1])
    changed = zlib.compress(zlib.decompress(fields[b"rows"]).replace(b"expired", b"skip"))
    await drainer.wire.execute_command(
        *(
            b"XADD",
            drainer.keys.backlog,
            "*",
            "body",
            fields[b"body"],
            "hash",
            fields[b"hash"],
            "rows",
            changed,
        )
    )
    found = await drainer.told("5-1")
    assert [type(one) for one in found] == [Altered, Altered]
    assert any("rows" in one.why for one in found if isinstance(one, Altered))


async def test_records_go_when_a_finished_close_would_be_forgotten(drainer: Drainer) -> None:
    for at in (NOW, NOW + 1, NOW + 2):
        await drainer.wire.execute_command(b"XADD", drainer.keys.backlog, f"{at}-0", "body", "b")
    assert await trim_drained(drainer.wire, drainer.keys, NOW + 1 + RETENTION_MS) == 1
    assert await drainer.wire.execute_command(b"XLEN", drainer.keys.backlog) == 2
    assert await trim_drained(drainer.wire, drainer.keys, 5) == 0
