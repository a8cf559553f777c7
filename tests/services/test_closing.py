"""What one close does between its steps: slots, times, the gate's answers, and what is sent then."""

from collections.abc import AsyncIterator
from decimal import Decimal

import msgspec
import pytest

from sureclose.domain.facts import NotSent, Sized
from sureclose.domain.ids import client_order_id_for
from sureclose.domain.planning import planned_id
from sureclose.domain.words import PositionSide
from sureclose.services.closing import STALE_POSITION_MS
from sureclose.services.posting import urgency_of
from sureclose.streams.connection import Log
from sureclose.venue.clock import Sample, steady_seconds
from sureclose.venue.port import Urgency
from tests.services.closings import ACCOUNT, POLICY, RECV_WINDOW, SYMBOL, Executor, executing


@pytest.fixture
async def executor(request: pytest.FixtureRequest, log: Log, log_prefix: str) -> AsyncIterator[Executor]:
    """Parametrized indirectly, with settings of the venue's client."""
    async with executing(log, log_prefix, **getattr(request, "param", {})) as made:
        yield made


def own_id(plan_id: str, attempt: int) -> str:
    """The client order id of an attempt."""
    return client_order_id_for(POLICY.client_order_id_prefix, ACCOUNT, plan_id, attempt)


async def test_a_quiet_close_is_one_order_and_flat(executor: Executor) -> None:
    """What all others here are measured against."""
    decision = executor.decision()
    report = await executor.close(decision)
    assert (str(report.outcome), report.filled_qty, executor.amount) == ("FLAT", Decimal(3), Decimal(0))
    (order,) = executor.venue.placed
    assert order.client_order_id == own_id(decision.plan_id, 1)


async def test_what_the_gate_refuses_is_not_sent(executor: Executor) -> None:
    await executor.do("HSET", executor.keys.freeze, "reason", "test")
    report = await executor.close(executor.decision())
    assert str(report.outcome) == "SKIPPED(frozen)"
    assert executor.venue.placed == []
    assert executor.amount == 3


async def test_what_was_skipped_stays_known_while_its_decision_is_valid(executor: Executor) -> None:
    """An unfreeze or a switch must not close what another group is given once more (I8)."""
    await executor.do("HSET", executor.keys.freeze, "reason", "test")
    decision = executor.decision(expires_at=executor.time.ms() + 3_600_000)
    report = await executor.close(decision)
    assert str(report.outcome) == "SKIPPED(frozen)"
    leaves_at = await executor.do("ZSCORE", executor.keys.finished, decision.plan_id)
    assert int(leaves_at) >= (decision.expires_at or 0)


async def test_a_lost_reply_of_the_gate_is_not_sent(executor: Executor) -> None:
    """The record is there and nobody knows: the attempt is followed until it is dead, and another one is made."""
    executor.wire.loses = executor.keys.flights(SYMBOL)
    decision = executor.decision()
    report = await executor.close(decision)
    assert str(report.outcome) == "FLAT"
    assert [sending.attempt for sending in await executor.sent(decision.plan_id)] == [1, 2]
    assert [order.client_order_id for order in executor.venue.placed] == [own_id(decision.plan_id, 2)]


async def test_the_bytes_sent_carry_the_journalled_timestamp(executor: Executor) -> None:
    """Whoever is held up after the gate sends what it recorded, and not a younger request."""

    async def held_up() -> None:
        executor.time.leap(RECV_WINDOW // 4)

    executor.journal.behind = held_up
    decision = executor.decision()
    await executor.close(decision)
    (sending,) = await executor.sent(decision.plan_id)
    (order,) = executor.venue.placed
    assert (order.timestamp, order.deadline) == (sending.timestamp, sending.deadline)


async def test_what_came_slowly_out_of_the_gate_is_not_sent(executor: Executor) -> None:
    async def slow() -> None:
        executor.time.leap(RECV_WINDOW)

    executor.journal.behind = slow
    decision = executor.decision()
    report = await executor.close(decision)
    assert str(report.outcome) == "FLAT"
    assert [order.client_order_id for order in executor.venue.placed] == [own_id(decision.plan_id, 2)]
    assert [fact.attempt for fact in await executor.facts(decision.plan_id) if isinstance(fact, NotSent)] == [
        1
    ]


async def test_a_clock_that_is_not_known_well_enough_is_measured_again_before_anything_is_recorded(
    executor: Executor,
) -> None:
    """A first measurement that took long makes an estimate as wide as that; each attempt would be withheld."""
    now = steady_seconds()
    executor.venue.clock.doubt()
    executor.venue.clock.add([Sample(now - RECV_WINDOW / 1000, now, executor.time.ms())])
    assert executor.venue.clock.error_ms() > RECV_WINDOW // 4
    decision = executor.decision()
    report = await executor.close(decision)
    assert str(report.outcome) == "FLAT"
    assert [order.client_order_id for order in executor.venue.placed] == [own_id(decision.plan_id, 1)]
    assert executor.venue.clock.error_ms() <= RECV_WINDOW // 4


@pytest.mark.parametrize("executor", [{"order_connections": 1}], indirect=True)
async def test_what_expires_while_it_waits_for_a_slot_is_not_sent(executor: Executor) -> None:
    decision = executor.decision(expires_at=executor.time.ms() + 60_000)
    async with executor.venue.order_slot():
        executor.admit(decision)
        await executor.until(lambda: executor.venue.order_queue == 1)
        executor.ages.leap(60_001)
    report = await executor.report(decision.plan_id)
    assert str(report.outcome) == "SKIPPED(expired)"
    assert executor.venue.placed == []


@pytest.mark.parametrize("executor", [{"order_connections": 1}], indirect=True)
async def test_after_a_long_wait_for_a_slot_the_position_is_read_again(executor: Executor) -> None:
    """What somebody closed meanwhile is not sent for, and the gate sees no position from before the wait."""
    decision = executor.decision()
    async with executor.venue.order_slot():
        executor.admit(decision)
        await executor.until(lambda: executor.venue.order_queue == 1)
        executor.trade("-1")
        executor.time.leap(STALE_POSITION_MS + 500)
    report = await executor.report(decision.plan_id)
    assert (str(report.outcome), report.filled_qty) == ("FLAT", Decimal(2))
    (sending,) = await executor.sent(decision.plan_id)
    assert sending.position.amount == 2
    assert sending.timestamp - sending.position.requested_at <= STALE_POSITION_MS
    sizes = [fact.target for fact in await executor.facts(decision.plan_id) if isinstance(fact, Sized)]
    assert sizes == [Decimal(3), Decimal(2)]


@pytest.mark.parametrize(("fraction", "told"), [("1", True), ("0.5", False)])
async def test_the_streams_word_sizes_all_of_a_position_and_no_part(
    executor: Executor, fraction: str, told: bool
) -> None:
    """A part of a position that lags would be a part of the wrong amount."""
    read = await executor.venue.position(SYMBOL, PositionSide.BOTH)
    executor.venue.telling = msgspec.structs.replace(read, told=True)
    decision = executor.decision(fraction=Decimal(fraction), action="CLOSE" if told else "PARTIAL_CLOSE")
    await executor.close(decision)
    (sending,) = await executor.sent(decision.plan_id)
    assert sending.position.told is told


async def test_the_streams_word_proves_no_read_back(executor: Executor) -> None:
    """After the fills only a read counts, whatever the stream says."""
    read = await executor.venue.position(SYMBOL, PositionSide.BOTH)
    executor.venue.telling = msgspec.structs.replace(read, told=True)
    report = await executor.close(executor.decision())
    assert (str(report.outcome), report.position_after) == ("FLAT", Decimal(0))


async def warranted(executor: Executor, intent_id: str, plan_id: str) -> None:
    await executor.do("HSET", executor.keys.freeze, "reason", "test")
    await executor.do("SET", executor.keys.warrant(intent_id), plan_id)


async def test_a_warrant_opens_its_close_under_freeze(executor: Executor) -> None:
    decision = executor.decision()
    await warranted(executor, decision.intent_id, decision.plan_id)
    assert str((await executor.close(decision)).outcome) == "FLAT"


async def test_a_warrant_does_not_count_for_a_decision_of_another_amount(executor: Executor) -> None:
    """A person approved a tenth; an entry with the same ids that asks for all is not what was approved."""
    approved = executor.decision(fraction=Decimal("0.1"), action="PARTIAL_CLOSE")
    await warranted(executor, approved.intent_id, approved.plan_id)
    forged = msgspec.structs.replace(approved, fraction=Decimal(1), action="CLOSE")
    assert planned_id(forged) != forged.plan_id
    assert str((await executor.close(forged)).outcome) == "SKIPPED(frozen)"
    assert executor.venue.placed == []


@pytest.mark.parametrize("frozen", [False, True])
async def test_under_freeze_nothing_is_cancelled(executor: Executor, frozen: bool) -> None:
    """A freeze that begins after the venue has refused because of a resting order leaves that order alone."""
    executor.rest("somebodys-target")
    executor.exchange.faults.arm({"fault": "refused", "code": -4118}, 0)

    async def freeze() -> None:
        if frozen:
            await executor.do("HSET", executor.keys.freeze, "reason", "test")

    executor.journal.behind = freeze
    report = await executor.close(executor.decision())
    assert str(report.outcome) == ("SKIPPED(frozen)" if frozen else "FLAT")
    assert executor.resting == (["somebodys-target"] if frozen else [])


def test_what_protects_goes_before_full_closes_and_these_before_parts(executor: Executor) -> None:
    made = {
        Urgency.PANIC: executor.decision(action="EMERGENCY_SL_CLOSE"),
        Urgency.FULL: executor.decision(),
        Urgency.PARTIAL: executor.decision(action="PARTIAL_50", fraction=Decimal("0.5")),
    }
    assert {urgency_of(decision): decision for decision in made.values()} == made
    limited = executor.decision(quantity=Decimal(1))
    assert urgency_of(limited) is Urgency.PARTIAL
