"""The reader of approvals: an entry is pending until its outcome is durable."""

import asyncio
import errno
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import cast

import msgspec
import pytest
from redis.exceptions import ConnectionError as Lost

from sureclose.domain.events import Decision, EntryRef
from sureclose.domain.market import OrderReport, Refusal
from sureclose.domain.times import CLOCK_TOLERANCE_MS
from sureclose.journal.archive import Archive, Keeping
from sureclose.journal.fence import Fence
from sureclose.journal.mirror import Memory, Mirror
from sureclose.services import execution
from sureclose.services.alarms.alarm import AlarmKind
from sureclose.services.archiver import Archiver
from sureclose.services.continuity import Alarming, Continuity, Exchange
from sureclose.services.execution import ExecutionService
from sureclose.services.routes import executors
from sureclose.services.settings import ExecutionSettings, HarvestBrainSettings
from sureclose.services.tools import Tools
from sureclose.streams.connection import Log
from sureclose.streams.encode import encode_decision
from sureclose.streams.entry import Delivered, Entry
from sureclose.streams.names import GroupName, StreamName
from sureclose.venue.errors import Unanswered
from sureclose.venue.port import NotSent, ReducingOrder
from tests.domain.test_rebuilding import order
from tests.services.closings import POLICY, Door, Executor, executing
from tests.services.test_continuity import Told


@pytest.fixture
async def executor(log: Log, log_prefix: str) -> AsyncIterator[Executor]:
    async with executing(log, log_prefix) as made:
        await made.do("DEL", made.keys.lease)
        yield made


class Silence:
    """Nobody is told of a loss, for there is none here."""

    def raise_(self, kind: AlarmKind, subject: str, what: str, remedy: str, /, **facts: object) -> None:
        raise AssertionError(f"{kind} {subject}: {what}")

    def clear(self, kind: AlarmKind, subject: str) -> None:
        """There was none."""


def service(
    executor: Executor,
    log: Log,
    worker: str = "first",
    *,
    fence: Fence | None = None,
    tools: Tools | None = None,
    alarms: Alarming | None = None,
) -> ExecutionService:
    tools = tools or executor.tools
    return ExecutionService(
        log,
        executor.wiring,
        executors(executor.streams, HarvestBrainSettings())[0],
        ExecutionSettings(),
        tools,
        worker=worker,
        observe=lambda _stage, _kind, _reason: None,
        monotonic=executor.time.seconds,
        started_at=executor.time.ms(),
        continuity=Continuity(
            log,
            tools.journal,
            fence or Fence(),
            executor.wiring,
            cast("Exchange", tools.venue),
            alarms or Silence(),
            tools.clock,
            prefix="sc-",
            recv_window=tools.recv_window,
            margin=tools.policy.margin,
            max_age=tools.policy.max_age,
            absence_s=60,
        ),
    )


def apart(executor: Executor, log: Log, worker: str) -> ExecutionService:
    """A process that knows the log by itself, as one with a data folder of its own does."""
    fence = Fence()
    journal = Door(executor.wire, executor.keys, executor.time.ms, fence)
    tools = msgspec.structs.replace(executor.tools, journal=journal, orphans={})
    return service(executor, log, worker, fence=fence, tools=tools, alarms=Told())


@asynccontextmanager
async def running(*services: ExecutionService) -> AsyncIterator[None]:
    """They run until the test has seen enough."""
    stop = asyncio.Event()
    tasks = [asyncio.create_task(each.run(stop)) for each in services]
    try:
        yield
    finally:
        stop.set()
        await asyncio.gather(*tasks)


async def wish(executor: Executor, decision: Decision) -> str:
    """An approval as the apply layer says it; the id of its entry."""
    fields = encode_decision(decision, executor.wiring.producer, executor.time.ms())
    source = executor.streams.full(StreamName.APPLY_RESULT)
    entry_id = await executor.do("XADD", source, "*", *(part for pair in fields.items() for part in pair))
    assert isinstance(entry_id, bytes)
    return entry_id.decode()


async def test_an_entry_is_pending_until_its_outcome_is_durable(executor: Executor, log: Log) -> None:
    source = executor.streams.full(StreamName.APPLY_RESULT)
    decision = executor.decision()
    entry_id = await wish(executor, decision)
    seen: list[int] = []

    async def pending() -> int:
        """The confirmation in the same stream is another entry, which may be in somebody's hand for a moment."""
        return len(await executor.do("XPENDING", source, GroupName.EXECUTION_EXITS, entry_id, entry_id, 1))

    async def look() -> None:
        """The order is at the gate; whoever acknowledges too early has had every chance to."""
        for _ in range(10):
            seen.append(await pending())
            await asyncio.sleep(0.005)

    executor.journal.behind = look
    async with running(service(executor, log)):
        report = await executor.report(decision.plan_id)
        assert str(report.outcome) == "FLAT"
        assert set(seen) == {1}
        assert await pending() == 0
        (told,) = await executor.entries(StreamName.EXECUTION_RESULT)
        assert told["plan_id"] == decision.plan_id


async def test_a_wish_that_another_skipped_is_not_executed_when_the_lease_comes_back(
    executor: Executor, log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The outcome is published and its records have left the log: that the log knows no such plan is no loss."""
    monkeypatch.setattr(execution, "RENEW_S", 0.1)
    source, decision = executor.streams.full(StreamName.APPLY_RESULT), executor.decision()
    entry = Entry(EntryRef(source, await wish(executor, decision)), {}, Delivered.CLAIMED)
    at_the_gate, first = asyncio.Event(), service(executor, log)

    async def stay() -> None:
        at_the_gate.set()
        await asyncio.Event().wait()

    executor.journal.before = stay
    async with running(first):
        await at_the_gate.wait()
        await executor.reign()
        await executor.do("HSET", executor.keys.freeze, "reason", "a person")
        executor.engine.admit(decision, entry)
        assert str((await executor.report(decision.plan_id)).outcome) == "SKIPPED(frozen)"
        archive = Archive(
            executor.wire,
            executor.keys,
            lambda: executor.time.ms() + POLICY.max_age + CLOCK_TOLERANCE_MS + 1_000,
            Keeping(closes=0, ms=0, segment=1),
            host="here",
            folder=tmp_path,
        )
        assert await Archiver(archive, executor.keys.account, lambda: executor.lease).round(executor.lease)
        await executor.do("DEL", executor.keys.freeze, executor.keys.lease)

        def back() -> bool:
            return first.lease is not None and first.lease.epoch > executor.lease.epoch

        await executor.until(lambda: back() and first.stage is not None)
        await executor.until(lambda: first.engine is not None and not first.engine.size)
    assert executor.venue.placed == []
    assert [str(report.outcome) for report in executor.seen.reports] == ["SKIPPED(frozen)"]


async def test_what_is_under_way_when_the_log_is_emptied_is_ended_once_by_the_next_leader(
    executor: Executor, log: Log, log_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who lost the lease with the log is the only one who still knows of the wish, and says it again."""
    monkeypatch.setattr(execution, "RENEW_S", 0.2)
    first, second = apart(executor, log, "first"), apart(executor, log, "second")
    decision, place = executor.decision(), executor.venue.place

    async def emptied(order: ReducingOrder) -> OrderReport | Refusal | Unanswered | NotSent:
        """With the lease put down for the other, which takes it as its own: it is always the one to come first."""
        answer = await place(order)
        keys = await executor.do("KEYS", f"{log_prefix}*")
        emptying = "redis.call('DEL', unpack(KEYS, 2)) redis.call('HSET', KEYS[1], 'owner', ARGV[1])"
        await executor.do("EVAL", emptying, len(keys) + 1, executor.keys.lease, *keys, "second")
        await executor.until(lambda: second.lease is not None)
        return answer

    monkeypatch.setattr(executor.venue, "place", emptied)
    async with running(first):
        await executor.until(lambda: first.stage is not None)
        async with running(second):
            known = second._continuity
            await executor.until(lambda: known.identity != "")
            await wish(executor, decision)
            report = await executor.report(decision.plan_id)
            assert second.lease is not None
            assert first.lease is None
    assert (str(report.outcome), report.filled_qty) == ("FLAT", Decimal(3))
    assert (len(executor.seen.reports), len(executor.venue.placed)) == (1, 1)
    assert executor.amount == 0


async def test_a_folder_that_can_not_be_read_or_written_ends_no_process(
    executor: Executor, log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before a reign it is asked again; within one there is as much time as for a log that does not answer."""
    monkeypatch.setattr(execution, "RENEW_S", 0.05)
    read, sync = Mirror.read, Mirror.sync
    reads, syncs = iter((True, True, False)), iter((True, False))
    synced: list[bool] = []

    def reading(mirror: Mirror) -> Memory:
        if next(reads, False):
            raise OSError(errno.EIO, "Input/output error")
        return read(mirror)

    def syncing(mirror: Mirror) -> None:
        synced.append(next(syncs, False))
        if synced[-1]:
            raise OSError(errno.ENOSPC, "No space left on device")
        sync(mirror)

    process = service(executor, log, fence=Fence(Mirror(tmp_path, "paper:main", "here")))
    monkeypatch.setattr(Mirror, "read", reading)
    monkeypatch.setattr(Mirror, "sync", syncing)
    async with running(process):
        await executor.until(lambda: process.stage is not None)
        held = process.lease
        await executor.until(lambda: len(synced) > 2)
        assert process.lease == held
        assert next(reads, None) is None, "its folder was asked for more than once"


async def test_orders_that_the_log_had_lost_are_known_until_they_were_read_anew(
    executor: Executor, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A close that is under way already would send a second order for one that it does not hear of."""
    journal, lost = executor.journal, order("1")
    seen: list[list[str]] = []

    async def orphans() -> dict[str, OrderReport]:
        seen.append(list(executor.tools.orphans))
        if len(seen) == 1:
            raise Lost("Connection closed by server.")
        return {}

    executor.tools.orphans[lost.client_order_id] = lost
    monkeypatch.setattr(journal, "orphans", orphans)
    process = service(executor, log)
    async with running(process):
        await executor.until(lambda: process.stage is not None)
    assert seen == [[lost.client_order_id]] * 2
    assert executor.tools.orphans == {}
