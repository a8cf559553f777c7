"""A dry run: everything but the order, beside a real run or without one, judged by the exchange's books and the log's."""

import asyncio
import json
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any, Final

import aiohttp
import pytest
import pytest_asyncio

from tests.acceptance.world import Done, Held, Producer, World, decision, token, world

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.usefixtures("all_under_way")]

OWN: Final = "dry-run:"


class Rehearsal:
    """A deployment with a dry run, and what that one says."""

    def __init__(self, deployment: World) -> None:
        self.world = deployment
        self.dry = Producer(deployment.log.url, deployment.log.prefix + OWN)
        self.asking: asyncio.Task[Done] | None = None

    async def would_send(self, plan_id: str) -> dict[str, Any]:
        """The order that a plan would have become."""
        outcome = await self.dry.outcome(plan_id)
        assert (outcome["outcome"], outcome["reason"]) == ("SKIPPED", "dry_run"), outcome
        assert (outcome["executed"], outcome["dry_run"], outcome["would_execute"]) == (
            "False",
            "True",
            "True",
        )
        found: dict[str, Any] = json.loads(outcome["would_send"])
        return found


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def beside(external_log: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rehearsal]:
    """A real run and a dry run on one log and one account."""
    async with world(external_log, tmp_path_factory.mktemp("beside")) as deployment:
        real, dry = deployment.run(), deployment.run("--dry-run")
        await deployment.up(real)
        await deployment.up(dry)
        rehearsal = Rehearsal(deployment)
        yield rehearsal
        await rehearsal.dry.aclose()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def alone(external_log: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rehearsal]:
    """A dry run and nobody else; a person asks for a close meanwhile, and waits for an executor."""
    async with world(external_log, tmp_path_factory.mktemp("alone")) as deployment:
        await deployment.up(deployment.run("--dry-run"))
        rehearsal = Rehearsal(deployment)
        held = await deployment.exchange.open()
        rehearsal.asking = asyncio.create_task(deployment.command("close", held.symbol, "--wait"))
        yield rehearsal
        await rehearsal.dry.aclose()


def _is_that_of(order: dict[str, Any], held: Held, quantity: Decimal) -> None:
    assert (order["symbol"], order["side"], order["type"]) == (held.symbol, held.closing_side, "MARKET")
    assert (Decimal(order["quantity"]), order["reduceOnly"]) == (quantity, "true")
    assert order["newClientOrderId"].startswith("dry-")


async def test_beside_a_real_run_the_real_one_closes_once_and_the_other_says_the_same_order(
    beside: Rehearsal,
) -> None:
    """The venue asks the real one for patience first, so that the other one finds the position open."""
    held = await beside.world.exchange.open()
    await beside.world.exchange.fault("refused", held.symbol, code=-1112, count=8)
    plan_id = f"p-{token()}"
    await beside.world.log.add("apply.result", decision(held, plan_id))
    _is_that_of(await beside.would_send(plan_id), held, abs(held.amount))
    outcome = await beside.world.log.outcome(plan_id)
    assert outcome["outcome"] == "FLAT", outcome
    await beside.world.exchange.closed_once(held)


async def test_another_environment_is_not_let_in_beside_it(beside: Rehearsal) -> None:
    done = await beside.world.command("run", VENUE__ENVIRONMENT="demo")
    assert done.code == 4, done
    assert "environment paper, and this is demo" in done.err


async def test_nothing_of_a_dry_run_stands_where_others_read(beside: Rehearsal) -> None:
    held = await beside.world.exchange.open()
    plan_id = f"p-{token()}"
    await beside.world.log.add("apply.result", decision(held, plan_id))
    await beside.dry.outcome(plan_id)
    assert (await beside.world.log.outcome(plan_id))["outcome"] == "FLAT"
    groups = {
        info["name"]
        for stream in ("harvest.intent", "apply.plan", "apply.result")
        for info in await beside.world.log._groups(stream)
    }
    assert groups == {"intent_executor_harvest", "apply_layer", "execution_service_exits"}
    marked = [
        fields
        for stream in ("harvest.intent", "apply.plan", "apply.result", "execution.result", "dead.letter")
        for _, fields in await beside.world.log.entries(stream)
        if "dry_run" in fields
    ]
    assert marked == []
    events = [fields["event"] for _, fields in await beside.world.log.entries("authority.events")]
    assert events == ["GRANTED"], "the real run's own"


async def test_alone_it_says_what_it_would_send_for_an_approval_and_for_a_wish(alone: Rehearsal) -> None:
    exchange, log = alone.world.exchange, alone.world.log
    long, short = await exchange.open(100), await exchange.open(-101)
    plan_id, intent_id, planned = f"p-{token()}", f"i-{token()}", f"q-{token()}"
    await log.add("apply.result", decision(long, plan_id, action="PARTIAL_50"))
    await log.add(
        "harvest.intent", {"intent_id": intent_id, "symbol": short.symbol, "action": "CLOSE", "mode": "paper"}
    )
    order = await alone.would_send(plan_id)
    _is_that_of(order, long, long.share("0.5"))
    assert order["gate"] == "not_authorised", "nobody has the real grant"
    foreign = await exchange.open(60)
    steps = {"plan_id": planned, "symbol": foreign.symbol, "action": "CLOSE", "mode": "paper"}
    await log.add("apply.plan", steps)
    _is_that_of(await alone.would_send(planned), foreign, abs(foreign.amount))
    plan = await _plan_of(alone, intent_id)
    _is_that_of(await alone.would_send(plan), short, abs(short.amount))
    books = await exchange.records()
    assert books.all_placements == []
    assert (books.position(long.symbol), books.position(short.symbol)) == (long.amount, short.amount)
    assert len(await log.entries("apply.plan")) == 1


async def test_what_a_dry_run_decided_is_executed_by_nobody(beside: Rehearsal) -> None:
    held = await beside.world.exchange.open()
    intent_id = f"i-{token()}"
    await beside.dry.add(
        "harvest.intent", {"intent_id": intent_id, "symbol": held.symbol, "action": "CLOSE", "mode": "paper"}
    )
    plan_id = await _plan_of(beside, intent_id)
    await beside.would_send(plan_id)
    log = beside.world.log
    for stream, group in (("apply.plan", "apply_layer"), ("apply.result", "execution_service_exits")):
        decided = [
            fields for _, fields in await beside.dry.entries(stream) if fields.get("plan_id") == plan_id
        ]
        for fields in decided:
            await log.finished(stream, group, await log.add(stream, fields))
    await beside.world.exchange.untouched(held)


async def test_killed_and_started_again_it_says_it_once_more_and_sends_nothing(alone: Rehearsal) -> None:
    held = await alone.world.exchange.open()
    alone.world.runs[-1].kill()
    plan_id = f"p-{token()}"
    await alone.world.log.add("apply.result", decision(held, plan_id))
    await alone.world.up(alone.world.run("--dry-run"))
    _is_that_of(await alone.would_send(plan_id), held, abs(held.amount))
    await alone.world.exchange.untouched(held)


async def test_it_says_what_it_is_in_its_log_in_health_and_to_the_doctor(alone: Rehearsal) -> None:
    dry = alone.world.runs[-1]
    assert "sends nothing" in await dry.says("dry_run")
    address = (await dry.says("listening")).partition("address=")[2].split()[0]
    async with aiohttp.ClientSession() as session, session.get(f"{address}/health") as answer:
        checks = {one["name"]: one for one in (await answer.json())["checks"]}
        assert answer.headers["Sureclose-Dry-Run"] == "true"
    assert "dry run" in checks["mode"]["detail"]
    told = (await alone.world.command("doctor", "--json")).document["checks"]
    (check,) = (one for one in told if one["name"] == "dry run")
    assert check["status"] == "warn"
    assert "without --dry-run" in check["remedy"]


async def test_the_trace_of_a_rehearsed_close_shows_the_order(alone: Rehearsal) -> None:
    held = await alone.world.exchange.open()
    plan_id = f"p-{token()}"
    await alone.world.log.add("apply.result", decision(held, plan_id))
    await alone.would_send(plan_id)
    done = await alone.world.command("trace", plan_id, "--dry-run")
    assert done.code == 0, done
    assert "WOULDSEND" in done.out
    assert f"quantity={abs(held.amount):f}" in done.out
    assert (await alone.world.command("trace", plan_id)).code in {0, 2}


async def test_a_person_s_close_finds_no_executor_where_only_a_dry_run_runs(alone: Rehearsal) -> None:
    assert alone.asking is not None
    done = await alone.asking
    assert done.code == 3, done
    assert (await alone.world.exchange.records()).all_placements == []


async def _plan_of(rehearsal: Rehearsal, intent_id: str) -> str:
    while True:
        for _, fields in await rehearsal.dry.entries("apply.plan"):
            if fields.get("intent_id") == intent_id:
                return fields["plan_id"]
