"""The path that does not execute: it sends nothing, and an entry is pending there until its outcome is durable."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path as Folder

import msgspec
import pytest

from sureclose.domain.events import Decision, EntryRef
from sureclose.journal.archive import Archive, Keeping
from sureclose.services.approvals import Approvals
from sureclose.services.archiver import Archiver
from sureclose.services.observer import Observer
from sureclose.services.routes import brain
from sureclose.services.watcher import Watcher
from sureclose.streams.connection import Log
from sureclose.streams.encode import encode_decision
from sureclose.streams.entry import Delivered, Entry
from sureclose.streams.groups import ensure_group
from sureclose.streams.names import GroupName, StreamName
from sureclose.streams.publish import acknowledge
from sureclose.streams.stage import Kind
from tests.services.closings import Executor, executing

MOST = 3


@pytest.fixture
async def executor(log: Log, log_prefix: str) -> AsyncIterator[Executor]:
    async with executing(log, log_prefix) as made:
        yield made


class Beside:
    """A harvest brain that observes, and what it counted."""

    def __init__(self, executor: Executor, log: Log) -> None:
        self._executor = executor
        self.counted: list[tuple[Kind, str]] = []
        approvals = Approvals(
            log,
            executor.wiring,
            brain(executor.streams),
            lambda _stage, kind, reason: self.counted.append((kind, reason)),
            executor.tools.clock,
            executor.time.seconds,
        )
        self.watcher = Watcher(
            executor.journal,
            executor.wire,
            executor.time.ms,
            approvals=[self.stream],
            other=GroupName.EXECUTION_EXITS,
        )
        self.observer = Observer(approvals, self.watcher, MOST)

    @property
    def stream(self) -> str:
        return self._executor.streams.full(StreamName.APPLY_RESULT)

    async def add(self, fields: dict[str, str]) -> str:
        parts = (part for pair in fields.items() for part in pair)
        entry_id = await self._executor.do("XADD", self.stream, "*", *parts)
        assert isinstance(entry_id, bytes)
        return entry_id.decode()

    async def wish(self, decision: Decision) -> Entry:
        """An approval in the stream, as the executing path is given it."""
        fields = encode_decision(decision, self._executor.wiring.producer, self._executor.time.ms())
        return Entry(EntryRef(self.stream, await self.add(fields)), {b"a": b"b"}, Delivered.NEW)

    async def pending(self) -> int:
        found = await self._executor.do("XPENDING", self.stream, GroupName.HARVEST_BRAIN)
        return int(found[0])

    async def acknowledged(self, count: int = 0) -> None:
        async with asyncio.timeout(10):
            while await self.pending() != count:
                await asyncio.sleep(0.01)


@asynccontextmanager
async def observing(executor: Executor, log: Log) -> AsyncIterator[Beside]:
    beside, stop = Beside(executor, log), asyncio.Event()
    task = asyncio.create_task(beside.observer.run(stop))
    try:
        yield beside
    finally:
        stop.set()
        await task


async def test_it_sends_nothing_and_waits_for_the_outcome(executor: Executor, log: Log) -> None:
    async with observing(executor, log) as beside:
        decision = executor.decision()
        entry = await beside.wish(decision)
        await executor.until(lambda: beside.watcher.size == 1)
        assert await beside.watcher.done() == []
        assert executor.venue.placed == []
        executor.engine.admit(decision, entry)
        await executor.report(decision.plan_id)
        await beside.acknowledged()
        assert beside.watcher.size == 0
    assert (Kind.KEPT, "observed") in beside.counted
    assert len(executor.venue.placed) == 1


async def test_a_skip_of_an_earlier_delivery_is_no_outcome_of_a_later_one(
    executor: Executor, log: Log
) -> None:
    async with observing(executor, log) as beside:
        decision = executor.decision()
        first = await beside.wish(decision)
        await executor.do("HSET", executor.keys.freeze, "reason", "a person")
        executor.engine.admit(decision, first)
        assert str((await executor.report(decision.plan_id)).outcome) == "SKIPPED(frozen)"
        await beside.acknowledged()
        again = await beside.wish(msgspec.structs.replace(decision, origin_at=decision.origin_at + 1))
        await executor.until(lambda: beside.watcher.size == 1)
        assert await beside.watcher.done() == []
        await executor.do("DEL", executor.keys.freeze)
        executor.engine.admit(msgspec.structs.replace(decision, origin_at=decision.origin_at + 1), again)
        await executor.until(lambda: len(executor.seen.reports) == 2)
        await beside.acknowledged()
    assert executor.amount == Decimal(0)


async def test_an_archived_close_is_known_by_what_is_left_of_it(
    executor: Executor, log: Log, tmp_path: Folder
) -> None:
    decision = executor.decision()
    await executor.close(decision)
    archive = Archive(
        executor.wire,
        executor.keys,
        executor.time.ms,
        Keeping(closes=0, ms=0, segment=1),
        host="here",
        folder=tmp_path,
    )
    assert await Archiver(archive, executor.keys.account, lambda: executor.lease).round(executor.lease)
    async with observing(executor, log) as beside:
        await beside.wish(decision)
        await executor.until(lambda: (Kind.KEPT, "observed") in beside.counted)
        await beside.acknowledged()


async def test_what_is_no_approval_is_done_with_at_once(executor: Executor, log: Log) -> None:
    """Incident 12: a SKIP is understood, and no order."""
    async with observing(executor, log) as beside:
        await beside.add(
            {"plan_id": "p", "symbol": "ETHUSDT", "decision": "SKIP", "error": "kill_score_close_ok"}
        )
        await executor.until(lambda: (Kind.DROPPED, "skip") in beside.counted)
        assert await beside.pending() == 0


async def test_what_nobody_can_read_is_buried_by_the_other_path_alone(executor: Executor, log: Log) -> None:
    await ensure_group(
        executor.wire, executor.streams.full(StreamName.APPLY_RESULT), GroupName.EXECUTION_EXITS
    )
    async with observing(executor, log) as beside:
        entry_id = await beside.add({"decision": "PERHAPS", "plan_id": "p"})
        await executor.until(lambda: beside.watcher.size == 1)
        assert await beside.watcher.done() == []
        reading = ("GROUP", GroupName.EXECUTION_EXITS, "other", "STREAMS", beside.stream, ">")
        await executor.do("XREADGROUP", *reading)
        assert await beside.watcher.done() == []
        await acknowledge(executor.wire, beside.stream, GroupName.EXECUTION_EXITS, [entry_id])
        await beside.acknowledged()
    assert await executor.entries(StreamName.DEAD_LETTER) == []


async def test_no_more_than_the_bound_waits_and_reading_goes_on_as_outcomes_come(
    executor: Executor, log: Log
) -> None:
    async with observing(executor, log) as beside:
        decisions = [executor.decision(f"plan-{number}") for number in range(MOST + 2)]
        entries = [await beside.wish(decision) for decision in decisions]
        await executor.until(lambda: beside.observer.room() == 0)
        assert await beside.pending() == MOST
        for decision, entry in zip(decisions, entries, strict=True):
            executor.engine.admit(decision, entry)
        await executor.until(lambda: len(executor.seen.reports) == len(decisions))
        await executor.until(lambda: beside.counted.count((Kind.KEPT, "observed")) == len(decisions))
        await beside.acknowledged()
