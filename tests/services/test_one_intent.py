"""One intent is one close, in however many ways it is spelled. The judge is the exchange."""

import json
from collections.abc import AsyncIterator
from decimal import Decimal

import pytest

from sureclose.domain.facts import NotSent
from sureclose.domain.outcome import OutcomeKind
from sureclose.domain.words import PositionSide
from sureclose.streams.connection import Log
from sureclose.streams.names import StreamName
from tests.services.closings import RECV_WINDOW, Executor, executing

HALF = Decimal("0.5")


@pytest.fixture
async def executor(log: Log, log_prefix: str) -> AsyncIterator[Executor]:
    async with executing(log, log_prefix) as made:
        yield made


async def test_half_in_three_spellings_at_once_is_one_order(executor: Executor) -> None:
    spelled = [
        executor.decision(action="PARTIAL_50", fraction=HALF),
        executor.decision(action="PARTIAL_CLOSE", fraction=HALF),
        executor.decision(action="PARTIAL_CLOSE", fraction=None, quantity=Decimal("1.5")),
    ]
    assert len({decision.plan_id for decision in spelled}) == 3
    for decision in spelled:
        executor.admit(decision)
    reports = [await executor.report(decision.plan_id) for decision in spelled]
    (order,) = executor.venue.placed
    assert (executor.amount, order.quantity) == (Decimal("1.5"), Decimal("1.5"))
    (made,) = [report for report in reports if report.executed]
    others = [report for report in reports if report is not made]
    assert [str(report.outcome) for report in others] == ["SKIPPED(same_intent)"] * 2
    told = {fields["plan_id"]: fields for fields in await executor.entries(StreamName.EXECUTION_RESULT)}
    for report in others:
        assert report.outcome.veto is not None
        assert json.loads(told[report.plan_id]["veto"]) == {
            "rule": "same_intent",
            "threshold": "one close for an intent and a position",
            "seen": f"sent as plan {made.plan_id}",
        }
        assert told[report.plan_id]["reason"] == "same_intent"


async def test_a_side_that_the_account_does_not_tell_apart_is_no_second_close(executor: Executor) -> None:
    """In one-way mode LONG and BOTH are one position: what counts is the account's own word for it."""
    first = executor.decision(action="PARTIAL_50", fraction=HALF)
    second = executor.decision(action="PARTIAL_50", fraction=HALF, position_side=PositionSide.LONG)
    assert str((await executor.close(first)).outcome) == "REDUCED"
    assert str((await executor.close(second)).outcome) == "SKIPPED(same_intent)"
    assert executor.amount == Decimal("1.5")


async def test_two_intents_of_one_half_are_two_closes(executor: Executor) -> None:
    for intent in ("one", "two"):
        report = await executor.close(executor.decision(intent_id=intent, action="PARTIAL_50", fraction=HALF))
        assert report.executed
    assert executor.amount == Decimal("0.75")


async def test_what_came_of_nothing_leaves_the_intent_to_another_spelling(executor: Executor) -> None:
    """It passed the gate, was not sent, and was skipped under a freeze; then the other spelling closes, and only that."""

    async def held_up() -> None:
        executor.time.leap(RECV_WINDOW)
        await executor.do("HSET", executor.keys.freeze, "reason", "test")

    executor.journal.behind = held_up
    first = executor.decision(action="PARTIAL_50", fraction=HALF)
    assert str((await executor.close(first)).outcome) == "SKIPPED(frozen)"
    assert any(isinstance(fact, NotSent) for fact in await executor.facts(first.plan_id))
    await executor.do("DEL", executor.keys.freeze)
    second = executor.decision(action="PARTIAL_CLOSE", fraction=HALF)
    assert (await executor.close(second)).executed
    executor.seen.reports.clear()
    again = await executor.close(executor.decision(action="PARTIAL_50", fraction=HALF))
    assert again.plan_id == first.plan_id
    assert str(again.outcome) == "SKIPPED(same_intent)"
    assert executor.amount == Decimal("1.5")
    assert len(executor.venue.placed) == 1


async def test_who_died_behind_the_gate_goes_on_and_the_other_spelling_does_not(executor: Executor) -> None:
    first = executor.decision(action="PARTIAL_50", fraction=HALF)

    async def die() -> None:
        await executor.do("DEL", executor.keys.lease)

    executor.journal.behind = die
    executor.admit(first)
    await executor.until(lambda: executor.journal.behind is None)
    await executor.reign()
    second = executor.decision(action="PARTIAL_CLOSE", fraction=HALF)
    executor.admit(second)
    assert await executor.engine.resume() == 1
    assert (await executor.report(first.plan_id)).executed
    assert str((await executor.report(second.plan_id)).outcome) == "SKIPPED(same_intent)"
    assert executor.amount == Decimal("1.5")


async def test_a_spelling_that_finds_nothing_open_any_more_is_already_flat(executor: Executor) -> None:
    """No gate is asked, so nothing has to be told apart."""
    assert str((await executor.close(executor.decision())).outcome) == "FLAT"
    late = await executor.close(executor.decision(action="FULL_CLOSE_PROPOSED"))
    assert late.outcome.kind is OutcomeKind.ALREADY_FLAT
    assert len(executor.venue.placed) == 1


async def test_an_intent_that_found_nothing_open_closes_nothing_that_is_opened_later(
    executor: Executor,
) -> None:
    executor.trade("-3")
    assert str((await executor.close(executor.decision())).outcome) == "ALREADY_FLAT"
    executor.trade("3")
    later = await executor.close(executor.decision(action="FULL_CLOSE_PROPOSED"))
    assert str(later.outcome) == "SKIPPED(same_intent)"
    assert executor.amount == 3
    assert executor.venue.placed == []
