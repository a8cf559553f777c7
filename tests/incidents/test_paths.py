"""Two components that could execute: masked approvals, second submitters, modes that are not what they are said to be."""

import asyncio
from pathlib import Path

import pytest
from redis.asyncio import Redis

from tests.acceptance.world import World, decision, token, world
from tests.incidents.plays import alone

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(300)]

HOUR_MS = 3_600_000


async def _found(deployment: World, name: str) -> dict[str, str]:
    done = await deployment.command("doctor", "--json")
    [check] = [check for check in done.document["checks"] if check["name"] == name]
    found: dict[str, str] = check
    return found


@alone
async def test_incident_16_approvals_that_an_old_apply_layer_masks_are_seen(
    log_url: str, folder: Path
) -> None:
    """It writes the reason that allows a close as the error of a SKIP, for ten days; and nobody closed anything."""
    async with world(log_url, folder) as deployment:
        run = deployment.run()
        await deployment.up(run)
        assert (await _found(deployment, "old apply layer"))["status"] == "ok"
        held = await deployment.exchange.open()
        masked = {"decision": "SKIP", "executed": "False", "error": "kill_score_close_ok"}
        for _ in range(3):
            await deployment.log.add("apply.result", {**decision(held, token()), **masked})
        await deployment.log.consumed_all()
        found = await _found(deployment, "old apply layer")
        assert found["status"] == "warn"
        assert "3 approvals of the last hour are masked" in found["detail"]
        assert "stop the old apply layer" in found["remedy"]
        await deployment.exchange.untouched(held)


@alone
async def test_incident_55_a_second_submitter_is_seen_by_its_orders_and_as_a_reader(
    log_url: str, folder: Path
) -> None:
    """Four to six components could submit orders, and each had its own idea of what was open."""
    async with world(log_url, folder) as deployment:
        run = deployment.run()
        await deployment.up(run)
        held = await deployment.exchange.open(tradable=True)
        assert (await _found(deployment, "second submitter, by orders"))["status"] == "ok"
        assert (await _found(deployment, "second submitter, by readers"))["status"] == "ok"
        await deployment.exchange.trade(held.symbol, held.closing_side, held.share("0.5"))
        orders = await _found(deployment, "second submitter, by orders")
        assert orders["status"] == "warn"
        assert "1 orders of others, 1 of them with fills" in orders["detail"]
        assert f"{held.symbol} {held.closing_side}" in orders["detail"]
        client = Redis.from_url(log_url)
        stream = deployment.log.prefix + "trade.intent"
        await deployment.log.group("trade.intent", "execution_service")
        await client.xreadgroup("execution_service", "old-host-4711", {stream: ">"})
        readers = await _found(deployment, "second submitter, by readers")
        await client.aclose()
        assert readers["status"] == "warn"
        assert f"old-host-4711 in execution_service of {stream}" in readers["detail"]


@alone
async def test_incident_45_the_effective_mode_of_each_path_is_said_at_start_and_why(
    log_url: str, folder: Path
) -> None:
    """Configured for 1A, where the grant is 1B's: it observes, and says so."""
    async with world(log_url, folder) as deployment:
        leader = deployment.run()
        await deployment.up(leader)
        said = await leader.says("path=1B")
        assert 'effective=executing why="execution_service holds the grant (BOOTSTRAP)"' in said
        other = deployment.run(EXECUTION__PATH="1A")
        said = await other.says("path=1A")
        assert 'effective=observing why="execution_service holds the grant (BOOTSTRAP)"' in said
        third = deployment.run()
        assert "effective=standing_by" in await third.says("path=1B")


@alone
async def test_incident_55_processes_of_both_paths_without_any_grant_have_one_executor(
    log_url: str, folder: Path
) -> None:
    """Nobody holds a grant, and each is configured to be the one: one lease, and a person's close is one order."""
    async with world(log_url, folder) as deployment:
        runs = [deployment.run(), deployment.run(EXECUTION__PATH="1A")]
        for run in runs:
            await run.says("effective=")
        client = Redis.from_url(log_url)
        await client.hset(
            f"{deployment.log.prefix}sureclose:paper:main:freeze", mapping={"reason": "test", "revision": "9"}
        )
        await client.delete(f"{deployment.log.prefix}sureclose:paper:main:grant")
        await client.aclose()
        held = await deployment.exchange.open()
        plan_id = token()
        await deployment.log.add("apply.result", decision(held, plan_id))
        outcome = await deployment.log.outcome(plan_id)
        assert (outcome["outcome"], outcome["reason"]) == ("SKIPPED", "frozen")
        done = await deployment.command("close", held.symbol, "--wait", "--json")
        assert done.code == 0, done
        await deployment.exchange.closed_once(held)
        await asyncio.sleep(0)
