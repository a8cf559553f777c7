"""All closes of a process: what is delivered again, what is taken up again, and what others are told."""

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from sureclose.domain.events import EntryRef
from sureclose.domain.facts import Admitted, Sending
from sureclose.domain.times import CLOCK_TOLERANCE_MS
from sureclose.domain.words import PositionSide, Side
from sureclose.journal.archive import Archive, Keeping
from sureclose.journal.chain import Chain
from sureclose.journal.verdict import Verdict
from sureclose.services import engine
from sureclose.services.archiver import Archiver
from sureclose.streams.connection import Log
from sureclose.streams.entry import Delivered, Entry
from sureclose.streams.names import StreamName
from tests.services.closings import COMPONENT, POLICY, RECV_WINDOW, SYMBOL, Executor, executing


@pytest.fixture
async def executor(log: Log, log_prefix: str) -> AsyncIterator[Executor]:
    async with executing(log, log_prefix) as made:
        yield made


async def test_a_plan_that_is_delivered_again_has_one_effect(executor: Executor) -> None:
    """Dedupe is on the plan: another entry of it, however long after, takes no second half."""
    half = executor.decision(fraction=Decimal("0.5"), action="PARTIAL_50")
    first = executor.admit(half)
    at_once = executor.admit(half)
    await executor.report(half.plan_id)
    await executor.until(lambda: executor.seen.acknowledged == [at_once])
    later = executor.admit(half)
    await executor.until(lambda: executor.seen.acknowledged == [at_once, later])
    assert executor.amount == Decimal("1.5")
    assert len(executor.seen.reports) == len(executor.venue.placed) == 1
    assert first not in executor.seen.acknowledged, "the outcome's own entry is acknowledged with it"


async def test_another_wish_under_the_name_of_a_plan_is_a_dead_letter(executor: Executor) -> None:
    decision = executor.decision("plan", fraction=Decimal("0.5"), action="PARTIAL_50")
    await executor.close(decision)
    other = executor.admit(executor.decision("plan"))
    await executor.until(lambda: executor.seen.buried == [other])
    assert executor.amount == Decimal("1.5")


async def test_only_what_was_executed_is_confirmed_to_the_apply_stream(executor: Executor) -> None:
    await executor.do("HSET", executor.keys.freeze, "reason", "test")
    await executor.close(executor.decision("skipped"))
    await executor.do("DEL", executor.keys.freeze)
    await executor.close(executor.decision("closed"))
    confirmed = await executor.entries(StreamName.APPLY_RESULT)
    told = await executor.entries(StreamName.EXECUTION_RESULT)
    assert [(entry["plan_id"], entry["executed"]) for entry in confirmed] == [("closed", "True")]
    assert [(entry["plan_id"], entry["executed"]) for entry in told] == [
        ("skipped", "False"),
        ("closed", "True"),
    ]


async def test_after_a_restart_the_close_whose_order_is_in_flight_comes_first(executor: Executor) -> None:
    """The older close is taken up first and finds the flight occupied: it steps back, or neither would ever end."""
    journal = executor.journal
    older, flying = Chain("older"), Chain("flying")
    for chain in (older, flying):
        decision = executor.decision(chain.plan_id)
        chain.note([Admitted(decision=decision, entry=executor.entry().ref)], executor.time.ms())
        await journal.append(chain, executor.lease)
    position = await executor.venue.position(SYMBOL, PositionSide.BOTH)
    timestamp = executor.venue.clock.earliest()
    sending = Sending(
        attempt=1,
        client_order_id="sc-lost",
        side=Side.SELL,
        quantity=Decimal(3),
        timestamp=timestamp,
        deadline=timestamp + RECV_WINDOW,
        position=position,
    )
    passed = await journal.gate(
        flying, executor.lease, component=COMPONENT, warranted_intent="", intent_id="intent", sending=sending
    )
    assert passed.verdict is Verdict.OK
    await executor.reign()
    assert await executor.engine.resume() == 2
    outcomes = [str((await executor.report(plan)).outcome) for plan in ("flying", "older")]
    assert outcomes == ["FLAT", "ALREADY_FLAT"]
    assert executor.amount == 0


async def archived(executor: Executor, folder: Path, later_ms: int = 0) -> None:
    """Every finished close has left the log, so much later."""
    keeping = Keeping(closes=0, ms=0, segment=100)

    def now() -> int:
        return executor.time.ms() + later_ms

    archive = Archive(executor.wire, executor.keys, now, keeping, host="here", folder=folder)
    assert await Archiver(archive, executor.keys.account, lambda: executor.lease).round(executor.lease)


async def test_a_plan_whose_close_was_archived_is_not_closed_again(
    executor: Executor, tmp_path: Path
) -> None:
    """The same wish is a duplicate, another one under its name a dead letter; neither reads a position first."""
    decision = executor.decision("plan", fraction=Decimal("0.5"), action="PARTIAL_50")
    await executor.close(decision)
    await archived(executor, tmp_path)
    same, other = executor.admit(decision), executor.admit(executor.decision("plan"))
    await executor.until(lambda: (executor.seen.acknowledged, executor.seen.buried) == ([same], [other]))
    assert executor.amount == Decimal("1.5")
    assert len(executor.seen.reports) == len(executor.venue.placed) == 1


async def test_a_plan_whose_skip_was_archived_can_be_closed(executor: Executor, tmp_path: Path) -> None:
    await executor.do("HSET", executor.keys.freeze, "reason", "test")
    await executor.close(executor.decision("plan"))
    await executor.do("DEL", executor.keys.freeze)
    await archived(executor, tmp_path, POLICY.max_age + CLOCK_TOLERANCE_MS + 1_000)
    executor.admit(executor.decision("plan"))
    await executor.until(lambda: len(executor.seen.reports) == 2)
    assert executor.amount == 0
    assert [str(report.outcome.kind) for report in executor.seen.reports] == ["SKIPPED", "FLAT"]


async def test_an_entry_that_was_skipped_on_another_path_is_not_closed_by_an_unfreeze(
    executor: Executor,
) -> None:
    """Two groups read one stream: what one of them has ended as frozen is still pending in the other."""
    source = executor.streams.full(StreamName.APPLY_RESULT)
    await executor.do("HSET", executor.keys.freeze, "reason", "test")
    first, later = executor.decision("plan"), executor.decision("plan", origin_at=executor.time.ms() + 1)
    entry = executor.entry()
    executor.engine.admit(first, entry)
    await executor.until(lambda: len(executor.seen.reports) == 1)
    await executor.close(later)
    await executor.until(lambda: len(executor.seen.reports) == 2)
    await executor.do("DEL", executor.keys.freeze)
    await executor.reign()
    handed_on = msgspec.structs.replace(first, cause=(*first.cause, entry.ref))
    elsewhere = Entry(EntryRef(executor.streams.full(StreamName.TRADE_INTENT), "7-0"), {}, Delivered.NEW)
    assert entry.ref.stream == source
    executor.engine.admit(first, entry)
    executor.engine.admit(handed_on, elsewhere)
    await executor.until(lambda: len(executor.seen.acknowledged) == 2)
    assert sorted(executor.seen.acknowledged) == sorted([entry.ref.entry_id, "7-0"])
    assert executor.venue.placed == []
    assert [str(report.outcome) for report in executor.seen.reports] == ["SKIPPED(frozen)"] * 2
    fresh = executor.decision("plan", origin_at=executor.time.ms() + 2)
    executor.admit(fresh)
    await executor.until(lambda: len(executor.seen.reports) == 3)
    assert executor.amount == 0


async def test_open_closes_are_taken_up_in_parts_until_all_have_ended(
    executor: Executor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "RESUMED_AT_ONCE", 2)
    too_old = executor.time.ms() - 3_600_000
    for number in range(5):
        chain = Chain(f"plan-{number}")
        decision = executor.decision(chain.plan_id, origin_at=too_old)
        chain.note([Admitted(decision=decision, entry=executor.entry().ref)], executor.time.ms())
        await executor.journal.append(chain, executor.lease)
    await executor.reign()
    assert await executor.engine.resume() == 5
    await executor.until(lambda: len(executor.seen.reports) == 5)
    assert await executor.journal.open_plans() == []


async def test_taking_up_that_was_begun_again_ends_with_the_engine(
    executor: Executor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Begun again because the log failed in between; closes of a reign that is over are the next one's."""
    monkeypatch.setattr(engine, "RESUMED_AT_ONCE", 1)
    monkeypatch.setattr(engine, "RESUME_S", 60.0)
    for number in range(4):
        chain = Chain(f"plan-{number}")
        decision = executor.decision(chain.plan_id)
        chain.note([Admitted(decision=decision, entry=executor.entry().ref)], executor.time.ms())
        await executor.journal.append(chain, executor.lease)
    await executor.reign()
    at_the_gate = asyncio.Event()

    async def stay() -> None:
        at_the_gate.set()
        await asyncio.Event().wait()

    executor.journal.before = stay
    await executor.engine.resume()
    await at_the_gate.wait()
    await executor.engine.resume()
    await executor.engine.abandon()
    assert [task for task in asyncio.all_tasks() if task.get_name() == "resuming"] == []
    assert executor.engine.size == 0
    assert len(await executor.journal.open_plans()) == 4
