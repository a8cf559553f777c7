"""Two processes, a stopped one, one that is asked to end, one that loses its log: closes and nothing else go on."""

import asyncio
import os
import resource
import signal
import time
from collections.abc import Awaitable
from pathlib import Path
from typing import Final

import pytest

from tests.acceptance.world import (
    QUICK,
    Held,
    Hosted,
    Process,
    Scenarios,
    World,
    decision,
    descendants,
    eventually,
    hosted,
    is_alive,
    judged,
    now_ms,
    token,
    within_s,
    world,
)

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(300)]

TEN: Final = 10
STOPPED_S: Final = 4.0
"""Longer than a lease lasts."""
HURRIED: Final = QUICK | {"VENUE__POSITION_INTERVAL_MS": "0"}


async def _two(deployment: World) -> tuple[Process, Process]:
    """Two processes on one log: who holds the lease, and who stands by."""
    runs = [deployment.run(), deployment.run()]
    for run in runs:
        await run.says("listening")
    owner = await eventually("a lease", deployment.log.lease_owner)
    holder, other = runs if runs[0].pid == owner else reversed(runs)
    assert holder.pid == owner
    await deployment.up(holder)
    assert "lease_taken" not in other.told
    return holder, other


async def _ten(deployment: World) -> dict[str, Held]:
    """Ten closes asked for at once, by plan."""
    held = [await deployment.exchange.open(30 + number) for number in range(TEN)]
    plans = {token(): one for one in held}
    for plan_id, one in plans.items():
        await deployment.log.add("apply.result", decision(one, plan_id))
    return plans


async def _sent_one(deployment: World) -> None:
    """In the middle: the first of the orders has arrived, not all have."""

    async def arrived() -> bool | None:
        return bool((await deployment.exchange.records()).all_placements) or None

    await eventually("an order arrives", arrived)


async def _judge(deployment: World, plans: dict[str, Held]) -> None:
    for plan_id in plans:
        assert (await deployment.log.outcome(plan_id, 60))["outcome"] == "FLAT"
    await deployment.log.consumed_all(60)
    books = await deployment.exchange.records()
    for plan_id, held in plans.items():
        judged(books, held)
        assert len(await deployment.log.outcomes(plan_id)) == 1


# What the tests look at ---------------------------------------------------------------------------------------------


async def _holder_killed(log_url: str, folder: Path) -> None:
    async with world(log_url, folder) as deployment:
        holder, other = await _two(deployment)
        plans = await _ten(deployment)
        await _sent_one(deployment)
        holder.kill()
        await _judge(deployment, plans)
        assert await deployment.log.lease_owner() == other.pid


async def _holder_stopped(log_url: str, folder: Path) -> None:
    async with world(log_url, folder) as deployment:
        holder, other = await _two(deployment)
        plans = await _ten(deployment)
        await _sent_one(deployment)
        holder.signal(signal.SIGSTOP)
        await asyncio.sleep(STOPPED_S)
        holder.signal(signal.SIGCONT)
        await _judge(deployment, plans)
        await holder.says("lease_lost")
        assert await deployment.log.lease_owner() == other.pid
        more = await _ten(deployment)
        await _judge(deployment, more)


async def _holder_stopped_between_gate_and_order(log_url: str, folder: Path) -> None:
    """Again and again for moments: whatever it was about to send is as old as its record says, and too old by then."""
    async with world(log_url, folder, HURRIED) as deployment:
        holder, _ = await _two(deployment)
        plans: dict[str, Held] = {}
        for number in range(2):
            for _ in range(3):
                held, plan_id = await deployment.exchange.open(50), token()
                plans[plan_id] = held
                await deployment.log.add("apply.result", decision(held, plan_id))
                await asyncio.sleep(0.001 + 0.003 * number)
                holder.signal(signal.SIGSTOP)
                await asyncio.sleep(0.7)
                holder.signal(signal.SIGCONT)
        await _judge(deployment, plans)


async def _asked_to_end(log_url: str, folder: Path) -> None:
    async with world(log_url, folder) as deployment:
        run = deployment.run()
        await deployment.up(run)
        plans = await _ten(deployment)
        wished = await deployment.exchange.open(77)
        wish = {"symbol": wished.symbol, "action": "CLOSE", "timestamp": str(now_ms())}
        entry_id = await deployment.log.add("harvest.intent", wish)
        await _sent_one(deployment)
        run.signal(signal.SIGTERM)
        assert await run.ended() == 0
        assert await deployment.log.open_plans() == [], "what was under way was finished"
        books = await deployment.exchange.records()
        for plan_id, held in plans.items():
            said = [outcome["outcome"] for outcome in await deployment.log.outcomes(plan_id)]
            assert said == (["FLAT"] if books.placements(held.symbol) else [])
        deployment.run()
        await _judge(deployment, plans | {await deployment.log.plan_of(entry_id): wished})


async def _log_dies_under_its_host(_: str, folder: Path) -> None:
    async with hosted(folder) as deployment:
        run = await deployment.start()
        await deployment.exchange.list_markets()
        held, plan_id = await deployment.exchange.open(), token()
        await deployment.exchange.fault("answer_delayed", held.symbol, ms=300)
        await deployment.log.add("apply.result", decision(held, plan_id))
        os.kill(_below(run, "valkey-server"), signal.SIGKILL)
        assert "embedded server ended with" in await run.says("host_child_died")
        await run.says("host_revived")
        await deployment.log.outcome(plan_id, 60)
        judged(await deployment.exchange.records(), held)


async def _disk_full_under_its_host(_: str, folder: Path) -> None:
    """A server that can't write its file ends, and so does each that is started, until there is room again."""
    async with hosted(folder) as deployment:
        run = await deployment.start()
        await deployment.exchange.list_markets()
        await deployment.log.ballast(2_000_000)
        [file] = (deployment.data / "log" / "appendonlydir").glob("*.incr.aof")
        server = _below(run, "valkey-server")
        held, plan_id = await deployment.exchange.open(), token()
        await deployment.exchange.fault("answer_delayed", held.symbol, ms=300)
        await deployment.log.add("apply.result", decision(held, plan_id))
        full = (file.stat().st_size + 100, resource.RLIM_INFINITY)
        for pid in (run.pid, server):  # what is started from now on has the limit of who starts it
            resource.prlimit(pid, resource.RLIMIT_FSIZE, full)

        async def again() -> bool | None:
            return run.told.count("host_child_died") >= 3 or None

        await eventually("the server ends as often as it is started", again, 60, told=lambda: run.told)
        assert "AOF" in await run.says("host_child_died")
        resource.prlimit(run.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        assert (await deployment.log.outcome(plan_id, 60))["outcome"] == "FLAT"
        judged(await deployment.exchange.records(), held)
        assert len(await deployment.log.outcomes(plan_id)) == 1


async def _exchange_dies_under_its_host(_: str, folder: Path) -> None:
    """It comes back with its books, at the address that it had."""
    async with hosted(folder) as deployment:
        run = await deployment.start()
        await deployment.exchange.list_markets()
        held, plan_id = await deployment.exchange.open(), token()
        os.kill(_below(run, "paper.jsonl"), signal.SIGKILL)
        assert "paper exchange ended with" in await run.says("host_child_died")
        await deployment.log.add("apply.result", decision(held, plan_id))
        assert (await deployment.log.outcome(plan_id, 60))["outcome"] == "FLAT"
        judged(await deployment.exchange.records(), held)


def _below(run: Process, word: str) -> int:
    """The process that ``run`` started with such a word on its command line."""
    found = [
        pid
        for pid in descendants(run.pid)
        if word.encode() in Path(f"/proc/{pid}/cmdline").read_bytes().split(b" ")[0]
    ]
    return found[0]


async def _killed_host(_: str, folder: Path) -> None:
    async with hosted(folder) as deployment:
        run = await deployment.start()
        below = descendants(run.pid)
        assert len(below) == 2
        run.kill()
        await _gone(below)


async def _attached_to_a_killed_host(_: str, folder: Path) -> None:
    """With the windows of production, in mid-send: one of those attached takes the place of the host, all go on."""
    async with hosted(folder, {}) as deployment:
        host = await deployment.start()
        await deployment.exchange.list_markets()
        attached = [deployment.beside(), deployment.beside()]
        for run in attached:
            await run.says("snapshot")
        budget_s = await within_s(folder)
        held, plan_id = await deployment.exchange.open(), token()
        await deployment.exchange.fault("request_dropped", held.symbol)
        await deployment.log.add("apply.result", decision(held, plan_id))
        await _arrived(deployment, held)
        killed_at = time.monotonic()
        host.kill()
        outcome = await deployment.log.outcome(plan_id, 60)
        took = time.monotonic() - killed_at
        assert outcome["outcome"] == "FLAT"
        judged(await deployment.exchange.records(), held)
        assert took < budget_s, f"{took:.1f} s, and not {budget_s:.1f}"
        assert sum("host_revived" in run.told for run in attached) == 1
        assert all(is_alive(run.pid) for run in attached)


async def _asked_to_end_as_host(_: str, folder: Path) -> None:
    """SIGTERM of the host: it finishes, ends with 0, and another hosts."""
    async with hosted(folder) as deployment:
        host = await deployment.start()
        await deployment.exchange.list_markets()
        attached = deployment.beside()
        await attached.says("snapshot")
        host.signal(signal.SIGTERM)
        assert await host.ended() == 0, host.told
        await attached.says("host_revived")
        held, plan_id = await deployment.exchange.open(), token()
        await deployment.log.add("apply.result", decision(held, plan_id))
        assert (await deployment.log.outcome(plan_id, 60))["outcome"] == "FLAT"
        judged(await deployment.exchange.records(), held)


async def _stopped_together(_: str, folder: Path) -> None:
    """The front hosts the log, and has nothing to finish; the executor has, and gives its lease up behind it."""
    async with hosted(folder, QUICK | {"AUTHORITY__ABSENCE_S": "1"}) as deployment:
        host = deployment.beside("--roles", "intent-executor,apply-layer")
        await host.says("listening")
        executor = deployment.beside("--roles", "execution")
        await executor.says("resumed")
        await deployment.found([host])
        await deployment.exchange.list_markets()
        held, plan_id = await deployment.exchange.open(), token()
        await deployment.exchange.fault("request_dropped", held.symbol)
        await deployment.log.add("apply.result", decision(held, plan_id))
        await executor.says("status=UNKNOWN")
        for run in (host, executor):
            run.signal(signal.SIGTERM)
        for run in (host, executor):
            assert await run.ended() == 0, run.told
        ended_at = now_ms()

        async def too_long() -> bool | None:
            return now_ms() - ended_at > 3_000 + 1_000 or None

        await eventually("a lease that ran out has been over for more than a second", too_long)
        again = await deployment.start()
        assert "authority_freeze" not in again.told
        judged(await deployment.exchange.records(), held)


async def _arrived(deployment: Hosted, held: Held) -> None:
    """The order is at the exchange, and nobody has heard of it."""

    async def placed() -> bool | None:
        return bool((await deployment.exchange.records()).placements(held.symbol)) or None

    await eventually("the order arrives", placed)


async def _gone(pids: list[int]) -> None:
    async def nobody() -> bool | None:
        return not any(map(is_alive, pids)) or None

    await eventually(f"no orphan of {pids} stays", nobody, 10)


async def test_when_the_holder_is_killed_the_other_closes_the_rest_once(under_way: Awaitable[None]) -> None:
    await under_way


async def test_a_holder_that_stood_still_for_longer_than_its_lease_doubles_nothing(
    under_way: Awaitable[None],
) -> None:
    await under_way


async def test_a_holder_that_stands_still_at_its_orders_doubles_nothing(under_way: Awaitable[None]) -> None:
    await under_way


async def test_sigterm_finishes_what_is_under_way_exits_0_and_loses_nothing(
    under_way: Awaitable[None],
) -> None:
    await under_way


async def test_a_run_whose_own_log_dies_starts_it_again_and_says_so(under_way: Awaitable[None]) -> None:
    await under_way


async def test_a_run_whose_own_log_has_no_room_on_the_disk_goes_on_when_there_is_room(
    under_way: Awaitable[None],
) -> None:
    await under_way


async def test_a_run_whose_own_exchange_dies_starts_it_again_at_its_address(
    under_way: Awaitable[None],
) -> None:
    await under_way


async def test_a_killed_host_has_a_successor_and_its_close_is_flat_in_the_budget(
    under_way: Awaitable[None],
) -> None:
    await under_way


async def test_a_host_that_is_asked_to_end_has_a_successor(under_way: Awaitable[None]) -> None:
    await under_way


async def test_all_of_a_folder_that_are_stopped_together_are_not_frozen_for_it(
    under_way: Awaitable[None],
) -> None:
    await under_way


async def test_a_killed_host_leaves_no_orphan(under_way: Awaitable[None]) -> None:
    await under_way


SCENARIOS: Final[Scenarios] = {
    "test_when_the_holder_is_killed_the_other_closes_the_rest_once": _holder_killed,
    "test_a_holder_that_stood_still_for_longer_than_its_lease_doubles_nothing": _holder_stopped,
    "test_a_holder_that_stands_still_at_its_orders_doubles_nothing": _holder_stopped_between_gate_and_order,
    "test_sigterm_finishes_what_is_under_way_exits_0_and_loses_nothing": _asked_to_end,
    "test_a_run_whose_own_log_dies_starts_it_again_and_says_so": _log_dies_under_its_host,
    "test_a_run_whose_own_log_has_no_room_on_the_disk_goes_on_when_there_is_room": _disk_full_under_its_host,
    "test_a_run_whose_own_exchange_dies_starts_it_again_at_its_address": _exchange_dies_under_its_host,
    "test_a_killed_host_leaves_no_orphan": _killed_host,
    "test_a_killed_host_has_a_successor_and_its_close_is_flat_in_the_budget": _attached_to_a_killed_host,
    "test_a_host_that_is_asked_to_end_has_a_successor": _asked_to_end_as_host,
    "test_all_of_a_folder_that_are_stopped_together_are_not_frozen_for_it": _stopped_together,
}
