"""The log and its consumers: groups that nobody reads, groups in the wrong place, acknowledgements that mean nothing, keys that grow."""

import re
import signal
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest
from redis.asyncio import Redis

from tests.acceptance.keys import kind_of
from tests.acceptance.world import QUICK, decision, eventually, now_ms, token, world
from tests.incidents.plays import Stage, alone, shared

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(300)]

GROUP: Final = "execution_service_exits"
STREAM: Final = "apply.result"


async def _checks(stage_or_world: Any) -> dict[str, dict[str, str]]:
    done = await stage_or_world.command("doctor", "--json")
    return {check["name"]: check for check in done.document["checks"]}


@alone
async def test_incident_01_a_group_that_nobody_reads_is_seen_at_start_and_by_the_doctor(
    log_url: str, folder: Path
) -> None:
    """A group of another's: 30 of what it did not read are trimmed away already, 10 can still be read."""
    async with world(log_url, folder) as deployment:
        log, client = deployment.log, Redis.from_url(log_url)
        stream = log.prefix + "execution.result"
        await log.group("execution.result", "trade_history_logger")
        first = await log.add("execution.result", {"note": "0"}, "1700000000000-0")
        await client.xreadgroup("trade_history_logger", "host-4711", {stream: ">"})
        await client.xack(stream, "trade_history_logger", first)
        for number in range(40):
            await log.add("execution.result", {"note": str(number)})
        await client.xtrim(stream, maxlen=10, approximate=False)
        await eventually("its reader is taken for dead", _idle(client, stream))
        run = deployment.run()
        told = "unread 10, trimmed unread 30, pending 0, last delivery 2023-11-14T22:13:20.000Z"
        said = await run.says("group_misplaced")
        assert "trade_history_logger" in said
        assert told in said
        await deployment.up(run)
        found = (await _checks(deployment))[f"group trade_history_logger of {stream}"]
        assert found["status"] == "warn"
        assert told in found["detail"]
        await client.aclose()


def _idle(client: Any, stream: str) -> Any:
    async def found() -> bool | None:
        [consumer] = await client.xinfo_consumers(stream, "trade_history_logger")
        return consumer["idle"] > 3_000 or None

    return found


@alone
async def test_incident_05_a_group_of_ours_on_the_wrong_stream_is_seen_at_start_and_by_the_doctor(
    log_url: str, folder: Path
) -> None:
    """The right name on the wrong stream: what it is for is read by the right one all the same."""
    async with world(log_url, folder) as deployment:
        await deployment.log.group("apply.plan", GROUP)
        run = deployment.run()
        said = await run.says("group_misplaced")
        plans = deployment.log.prefix + "apply.plan"
        assert f"group {GROUP} of {plans}" in said
        assert f"belongs on {deployment.log.prefix}{STREAM}" in said
        assert f"XGROUP DESTROY {plans} {GROUP}" in said
        await deployment.up(run)
        held, plan_id = await deployment.exchange.open(), token()
        await deployment.log.add(STREAM, decision(held, plan_id))
        assert (await deployment.log.outcome(plan_id))["outcome"] == "FLAT"
        found = await _checks(deployment)
        assert found[f"group {GROUP} of {plans}"]["status"] == "warn"
        assert found[f"wiring {deployment.log.prefix}{STREAM}"]["status"] == "ok"


@shared
async def test_incident_08_a_failed_order_acknowledges_nothing(stage: Stage) -> None:
    """Three orders in a row come to nothing; the entry stays owed until there is an outcome that can be read."""
    held, plan_id = await stage.open(), token()
    await stage.venue.fault("request_dropped", held.symbol, count=3)
    entry_id = await stage.world.log.add(STREAM, decision(held, plan_id))
    stage.plans.append(plan_id)
    log = stage.world.log

    async def finished() -> bool | None:
        done = await log.is_finished(STREAM, GROUP, entry_id)
        told = await log.outcomes(plan_id)
        assert told or not done, "acknowledged without an outcome"
        return done or None

    await eventually("it is done with", finished, 60)
    assert (await stage.outcome(plan_id))["outcome"] == "FLAT"
    assert len(await stage.sent(held.symbol)) == 4
    await stage.venue.closed_once(held)


@alone
async def test_incident_11_what_is_read_is_what_was_emitted_dropped_kept_buried_or_lost(
    log_url: str, folder: Path
) -> None:
    """Entries of every fate go in, and each comes out as exactly one of them."""
    async with world(log_url, folder) as deployment:
        run = deployment.run()
        address = await deployment.up(run)
        held, plan_id = await deployment.exchange.open(), token()
        said = [
            decision(held, plan_id),
            decision(held, token(), decision="SKIP"),
            decision(held, token(), decision="HOPE"),
            {"data": "{no json"},
            {"nonsense": "1"},
        ]
        for fields in said:
            await deployment.log.add(STREAM, fields)
        assert (await deployment.log.outcome(plan_id))["outcome"] == "FLAT"
        await deployment.log.consumed_all()
        added = len(await deployment.log.entries(STREAM))
        async with aiohttp.ClientSession() as client:

            async def counted() -> bool | None:
                async with client.get(f"{address}/metrics") as answer:
                    text = await answer.text()
                counts = re.findall(
                    r'^sureclose_entries_total{.*stage="execution".*} (\d+)', text, re.MULTILINE
                )
                return sum(map(int, counts)) == added or None

            await eventually("every entry is counted once", counted)


@alone
async def test_incident_85_every_key_has_a_known_kind_and_a_bound(log_url: str, folder: Path) -> None:
    """After closes of every end, a person's close, a takeover and a refusal."""
    async with world(log_url, folder, QUICK) as deployment:
        log, run = deployment.log, deployment.run()
        await deployment.up(run)
        held = [await deployment.exchange.open() for _ in range(3)]
        plans = [token() for _ in range(5)]
        await log.add(STREAM, decision(held[0], plans[0]))
        await log.add(STREAM, decision("NOSUCHUSDT", plans[1]))
        await log.add(STREAM, decision(held[1], plans[2], timestamp=str(now_ms() - 90_000)))
        await log.add(STREAM, decision(deployment.exchange.unused(), plans[3]))
        await log.add(STREAM, {"nonsense": "1"})
        for plan_id in plans[:4]:
            await log.outcome(plan_id)
        assert (await deployment.command("close", held[2].symbol, "--wait")).code == 0
        run.signal(signal.SIGKILL)
        second = deployment.run()
        await deployment.up(second)
        await log.add(STREAM, decision(held[1], plans[4]))
        await log.outcome(plans[4])
        client = Redis.from_url(log_url, decode_responses=True)
        keys = [key async for key in client.scan_iter(f"{log.prefix}*")]
        assert len(keys) > 20
        for key in keys:
            kind = kind_of(key.removeprefix(log.prefix))
            assert kind is not None, f"{key} stands in no row of docs/journal.md"
            if kind.goes_by == "time to live":
                assert await client.ttl(key) != -1, f"{key} stays for ever"
        await client.aclose()
