"""The reader of approvals: an entry is pending until its outcome is durable."""

import asyncio
from collections.abc import AsyncIterator
from typing import cast

import pytest

from sureclose.journal.fence import Fence
from sureclose.services.alarms.alarm import AlarmKind
from sureclose.services.comparing import Books
from sureclose.services.continuity import Continuity
from sureclose.services.execution import ExecutionService
from sureclose.services.settings import ExecutionSettings
from sureclose.streams.connection import Log
from sureclose.streams.encode import encode_decision
from sureclose.streams.names import GroupName, StreamName
from tests.services.closings import Executor, executing


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


def service(executor: Executor, log: Log) -> ExecutionService:
    return ExecutionService(
        log,
        executor.wiring,
        ExecutionSettings(),
        executor.tools,
        worker="one",
        observe=lambda _stage, _kind, _reason: None,
        monotonic=executor.time.seconds,
        started_at=executor.time.ms(),
        continuity=Continuity(
            log,
            executor.tools.journal,
            Fence(),
            executor.wiring,
            cast("Books", executor.tools.venue),
            Silence(),
            executor.tools.clock,
            prefix="sc-",
            recv_window=executor.tools.recv_window,
            margin=executor.tools.policy.margin,
            max_age=executor.tools.policy.max_age,
        ),
    )


async def test_an_entry_is_pending_until_its_outcome_is_durable(executor: Executor, log: Log) -> None:
    source = executor.streams.full(StreamName.APPLY_RESULT)
    decision = executor.decision()
    fields = encode_decision(decision, executor.wiring.producer, executor.time.ms())
    await executor.do("XADD", source, "*", *(part for pair in fields.items() for part in pair))
    seen: list[int] = []

    async def pending() -> int:
        count, *_ = await executor.do("XPENDING", source, GroupName.EXECUTION_EXITS)
        assert isinstance(count, int)
        return count

    async def look() -> None:
        """The order is at the gate; whoever acknowledges too early has had every chance to."""
        for _ in range(10):
            seen.append(await pending())
            await asyncio.sleep(0.005)

    executor.journal.behind = look
    stop = asyncio.Event()
    running = asyncio.create_task(service(executor, log).run(stop))
    try:
        report = await executor.report(decision.plan_id)
        assert str(report.outcome) == "FLAT"
        assert set(seen) == {1}
        assert await pending() == 0
        (told,) = await executor.entries(StreamName.EXECUTION_RESULT)
        assert told["plan_id"] == decision.plan_id
    finally:
        stop.set()
        await running
