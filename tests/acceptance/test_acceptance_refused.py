"""What must not be executed is not, and `trace` says why: by the intent's id and by the entry's. One wish is one close."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio

from sureclose.fault_points import FaultPoint
from tests.acceptance.world import (
    Fields,
    Held,
    Scenarios,
    World,
    decision,
    judged,
    now_ms,
    token,
    world,
)

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.usefixtures("all_under_way")]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def deployment(external_log: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """An external log, a separate paper exchange, one executor."""
    async with world(external_log, tmp_path_factory.mktemp("refused")) as found:
        await found.up(found.run())
        yield found
        await found.log.consumed_all()


def wish(held: Held, **more: str) -> Fields:
    """An intent of ours, for all of the position unless it says otherwise."""
    return {
        "intent_id": token(),
        "symbol": held.symbol,
        "action": "CLOSE",
        "created_at": datetime.now(UTC).isoformat(),
        **more,
    }


def plan(held: Held, **more: str) -> Fields:
    """A plan as the intent executor would write it."""
    return wish(held) | {"plan_id": token(), **more}


async def told(deployment: World, name: str) -> dict[str, Any]:
    done = await deployment.command("trace", name, "--json")
    assert done.code == 0, done
    found: dict[str, Any] = done.document
    return found


async def refused(
    deployment: World, held: Held, stream: str, group: str, fields: Fields
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The entry is done with and nothing was sent; what is told by the intent's id, and by the entry's."""
    entry_id = await deployment.log.add(stream, fields)
    await deployment.log.finished(stream, group, entry_id)
    await deployment.log.consumed_all()
    by_intent, by_entry = await asyncio.gather(
        told(deployment, fields["intent_id"]), told(deployment, entry_id)
    )
    await deployment.exchange.untouched(held)
    return by_intent, by_entry


@pytest.mark.parametrize(
    ("stream", "group"),
    [
        ("harvest.intent", "intent_executor_harvest"),
        ("apply.plan", "apply_layer"),
        ("apply.result", "execution_service_exits"),
    ],
)
async def test_what_was_decided_for_live_is_executed_on_paper_by_no_stage(
    deployment: World, stream: str, group: str
) -> None:
    held = await deployment.exchange.open()
    fields = {
        "harvest.intent": wish(held, mode="live"),
        "apply.plan": plan(held, mode="live"),
        "apply.result": decision(held, token(), mode="live", intent_id=token()),
    }[stream]
    for found in await refused(deployment, held, stream, group, fields):
        (said,) = found["refused"]
        assert (said["reason"], said["threshold"], said["seen"]) == ("other_mode", "mode paper", "mode live")
        assert said["remedy"]
        assert said["intent_id"] == fields["intent_id"]
        assert said["plan_id"] == fields.get("plan_id", said["plan_id"]) != ""


async def test_a_rehearsed_approval_is_executed_by_nobody(deployment: World) -> None:
    held = await deployment.exchange.open()
    fields = decision(held, token(), intent_id=token(), dry_run="True")
    for found in await refused(deployment, held, "apply.result", "execution_service_exits", fields):
        (said,) = found["refused"]
        assert (said["reason"], said["seen"]) == ("dry_run", "dry_run=True")


async def test_what_approves_nothing_is_not_told_of_as_refused(deployment: World) -> None:
    held = await deployment.exchange.open()
    for fields in (
        decision(held, token(), dry_run="True", approved="False", intent_id=token()),
        decision(held, token(), mode="live", decision="SKIP", intent_id=token()),
    ):
        for found in await refused(deployment, held, "apply.result", "execution_service_exits", fields):
            assert found["refused"] == []


async def test_an_expired_intent_is_vetoed_with_the_time_that_was_seen(deployment: World) -> None:
    held = await deployment.exchange.open()
    late = datetime.fromtimestamp(now_ms() / 1000 - 5, UTC).isoformat(timespec="milliseconds")
    fields = wish(held, expires_at=late)
    for found in await refused(deployment, held, "harvest.intent", "intent_executor_harvest", fields):
        (said,) = found["refused"]
        assert said["reason"] == "expired"
        assert said["threshold"].startswith("expires_at ")
        assert said["seen"].startswith("now ")
        assert said["remedy"]
        assert found["state"] == "not executed"


@pytest.mark.parametrize(
    "absurd", [{"fraction": "25", "action": "PARTIAL_CLOSE"}, {"quantity": "-1"}, {"action": "UNKNOWN"}]
)
async def test_an_absurd_intent_is_a_dead_letter_that_can_be_found(
    deployment: World, absurd: dict[str, str]
) -> None:
    held = await deployment.exchange.open()
    fields = wish(held, **absurd)
    for found in await refused(deployment, held, "harvest.intent", "intent_executor_harvest", fields):
        (said,) = found["refused"]
        assert (found["state"], said["where"]) == ("REFUSED", "dead.letter")
        assert said["reason"]
        assert said["remedy"]
        assert dict(said["entry"]) == fields


async def test_people_are_told_the_same(deployment: World) -> None:
    held = await deployment.exchange.open()
    fields = wish(held, mode="demo")
    await refused(deployment, held, "harvest.intent", "intent_executor_harvest", fields)
    done = await deployment.command("trace", fields["intent_id"])
    assert done.code == 0, done
    for text in (
        fields["intent_id"],
        "other_mode",
        "mode paper",
        "mode demo",
        "publish it on the log of that one",
    ):
        assert text in done.out, done


async def test_one_intent_in_three_spellings_at_once_is_one_order(deployment: World) -> None:
    """By the exchange's own records; and the intent tells of all its plans, the one that was sent first."""
    held = await deployment.exchange.open(136)
    half = held.share("0.5")
    intent_id = token()
    spelled = [
        {"action": "PARTIAL_50"},
        {"action": "PARTIAL_CLOSE", "fraction": "0.5"},
        {"action": "PARTIAL_CLOSE", "quantity": str(half)},
    ]
    entries = await asyncio.gather(
        *(
            deployment.log.add("harvest.intent", wish(held) | {"intent_id": intent_id} | one)
            for one in spelled
        )
    )
    plans = [await deployment.log.plan_of(entry) for entry in entries]
    outcomes = {plan_id: await deployment.log.outcome(plan_id) for plan_id in plans}
    judged(await deployment.exchange.records(), held, half)
    (sent,) = [plan_id for plan_id, said in outcomes.items() if said["executed"] == "True"]
    others = sorted(plan_id for plan_id in plans if plan_id != sent)
    for plan_id in others:
        assert outcomes[plan_id]["outcome"] == "SKIPPED"
        assert json.loads(outcomes[plan_id]["veto"]) == {
            "rule": "same_intent",
            "threshold": "one close for an intent and a position",
            "seen": f"sent as plan {sent}",
        }
    by_intent, by_entry = await asyncio.gather(told(deployment, intent_id), told(deployment, entries[0]))
    for found in (by_intent, by_entry):
        assert (found["plan_id"], found["state"]) == (sent, "DONE")
        assert sorted(other["plan_id"] for other in found["others"]) == others
        assert {other["state"] for other in found["others"]} == {"SKIPPED"}
        assert sorted(said["plan_id"] for said in found["refused"]) == others
        assert {said["seen"] for said in found["refused"]} == {f"sent as plan {sent}"}
    verified = await deployment.command("verify", "--json")
    assert verified.code == 0, verified


async def _killed_behind_the_gate(log_url: str, folder: Path) -> None:
    """It has the intent and nothing was sent; the other spelling is there when the next process takes over."""
    async with world(log_url, folder) as deployment:
        first = deployment.run(SURECLOSE_CRASH_AT=FaultPoint.AFTER_GATE)
        await deployment.up(first)
        held, intent_id = await deployment.exchange.open(136), token()
        spelled = [
            decision(held, token(), intent_id=intent_id, action=action, fraction="0.5")
            for action in ("PARTIAL_50", "PARTIAL_CLOSE")
        ]
        await deployment.log.add("apply.result", spelled[0])
        await first.ended()
        await deployment.log.add("apply.result", spelled[1])
        deployment.run()
        outcomes = [await deployment.log.outcome(one["plan_id"]) for one in spelled]
        judged(await deployment.exchange.records(), held, held.share("0.5"))
        assert [said["executed"] for said in outcomes] == ["True", "False"]
        assert (outcomes[1]["outcome"], outcomes[1]["reason"]) == ("SKIPPED", "same_intent")


async def test_a_process_that_dies_with_the_intent_leaves_one_close_in_one_spelling(
    under_way: Awaitable[None],
) -> None:
    await under_way


SCENARIOS: Final[Scenarios] = {
    "test_a_process_that_dies_with_the_intent_leaves_one_close_in_one_spelling": _killed_behind_the_gate,
}
