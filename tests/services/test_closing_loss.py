"""One close whose records are gone, wholly or key by key: what the venue has of it is never sent again."""

from collections.abc import AsyncIterator
from decimal import Decimal

import msgspec
import pytest

from sureclose.domain.events import Decision
from sureclose.domain.facts import Sending
from sureclose.domain.ids import client_order_id_for
from sureclose.services.engine import Engine
from sureclose.streams.connection import Log
from tests.services.closings import ACCOUNT, POLICY, SYMBOL, Executor, executing


@pytest.fixture
async def executor(log: Log, log_prefix: str) -> AsyncIterator[Executor]:
    async with executing(log, log_prefix) as made:
        yield made


def own_id(plan_id: str) -> str:
    return client_order_id_for(POLICY.client_order_id_prefix, ACCOUNT, plan_id, 1)


async def half(executor: Executor) -> Decision:
    """A part of the position is closed, and the outcome forgotten here."""
    decision = executor.decision(fraction=Decimal("0.5"), action="PARTIAL_50")
    report = await executor.close(decision)
    assert (str(report.outcome), report.filled_qty) == ("REDUCED", Decimal("1.5"))
    executor.seen.reports.clear()
    return decision


async def closed_once(executor: Executor, decision: Decision) -> None:
    """Asked for again, it comes to the same outcome without a second order."""
    report = await executor.close(decision)
    assert (str(report.outcome), report.filled_qty) == ("REDUCED", Decimal("1.5"))
    assert report.position_before == Decimal(3)
    assert len(executor.venue.placed) == 1
    assert executor.amount == Decimal("1.5")
    (sending,) = await executor.sent(decision.plan_id)
    assert isinstance(sending, Sending)
    assert sending.rebuilt


async def test_a_close_whose_own_key_is_gone_finds_its_order_at_the_gate(executor: Executor) -> None:
    decision = await half(executor)
    await executor.do("DEL", executor.keys.close(decision.plan_id))
    await closed_once(executor, decision)


async def orphaned(executor: Executor) -> Decision:
    """A part that was executed, of which the log knows nothing but that its order was lost."""
    decision = await half(executor)
    name = own_id(decision.plan_id)
    order = await executor.venue.order(SYMBOL, name)
    assert order is not None
    await executor.do("DEL", executor.keys.close(decision.plan_id), executor.keys.order(name))
    await executor.do("HSET", executor.keys.orphans, name, msgspec.json.encode(order).decode())
    executor.tools.orphans.update(await executor.journal.orphans())
    return decision


@pytest.mark.parametrize("frozen", [False, True])
async def test_a_close_that_is_gone_altogether_goes_on_from_the_orphan(
    executor: Executor, frozen: bool
) -> None:
    """What was sent already is followed to its end under a freeze as well."""
    decision = await orphaned(executor)
    if frozen:
        await executor.do("HSET", executor.keys.freeze, "reason", "test")
    await closed_once(executor, decision)
    assert executor.tools.orphans == await executor.journal.orphans() == {}


async def test_an_order_whose_adoption_was_not_heard_of_is_no_orphan_in_this_process(
    executor: Executor,
) -> None:
    """The script has it as an attempt already; an orphan that nobody takes is looked through with each close."""
    decision = await orphaned(executor)
    executor.wire.loses = executor.keys.order(own_id(decision.plan_id))
    await closed_once(executor, decision)
    assert executor.wire.loses == "", "its answer was the one that was lost"
    assert executor.tools.orphans == await executor.journal.orphans() == {}


async def test_an_id_that_was_used_and_that_the_venue_does_not_show_is_for_a_person(
    executor: Executor,
) -> None:
    decision = executor.decision()
    await executor.do("SET", executor.keys.order(own_id(decision.plan_id)), decision.plan_id)
    report = await executor.close(decision)
    assert str(report.outcome) == "PARKED(journal_lost)"
    assert executor.venue.placed == []


async def test_a_close_that_meets_a_log_which_forgot_stops_and_is_remembered(executor: Executor) -> None:
    told: list[bool] = []
    engine = executor.engine = Engine(
        executor.tools, executor.lease, executor.seen, lambda: told.append(True)
    )
    decision = executor.decision()

    async def forgets() -> None:
        await executor.do("DEL", executor.keys.log)

    executor.journal.behind = forgets
    executor.admit(decision)
    await executor.until(lambda: bool(told))
    assert executor.seen.reports == []
    assert engine.wishes[decision.plan_id].decision == decision
    assert not engine.broken
