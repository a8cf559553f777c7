"""The story that this began with, typed as its operators would.

From a dead group and a position that nobody manages to one controller, proven, on either path.
"""

import json
from collections.abc import Awaitable
from pathlib import Path
from typing import Any, Final

import pytest

from tests.acceptance.world import (
    QUICK,
    Done,
    Held,
    Process,
    Scenarios,
    World,
    decision,
    eventually,
    now_ms,
    token,
    world,
)

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(400)]

LAG: Final = 164_515
READABLE: Final = 10_515
DAY_MS: Final = 86_400_000
BRAIN: Final = "harvest_brain:execution"


async def _as_it_was_found(deployment: World) -> None:
    """A group that died days ago, most of its lag trimmed; results that mask approvals; a service on the wrong stream."""
    results, began = f"{deployment.log.prefix}apply.result", now_ms() - 9 * DAY_MS
    masked = (
        "decision",
        "SKIP",
        "approved",
        "False",
        "executed",
        "False",
        "error",
        "kill_score_close_ok",
        "symbol",
        "BTCUSDT",
    )
    await deployment.log.fill(results, LAG + 1, began, masked)
    await deployment.log.group("apply.result", BRAIN)
    await deployment.log.read_one("apply.result", BRAIN, "harvest_brain-4711")
    await deployment.log.trim("apply.result", READABLE)
    await deployment.log.add(
        "trade.intent", {"symbol": "BTCUSDT", "side": "BUY", "qty": "0.01"}, f"{began}-0"
    )
    await deployment.log.group("trade.intent", "execution_service")
    await deployment.log.read_one("trade.intent", "execution_service", "execution_service-815")


async def _under_water(deployment: World, percent: int) -> Held:
    """A long position whose price has fallen by so many percent since."""
    market = deployment.exchange.reserve("SOLUSDT")
    held = await deployment.exchange.put(market, market.step * 50)
    await deployment.exchange.price(market.symbol, market.price * (100 - percent) / 100)
    return held


async def _command(deployment: World, code: int, *arguments: str, **settings: str) -> Done:
    done = await deployment.command(*arguments, **settings)
    assert done.code == code, done
    return done


async def _closed_by_machine(deployment: World) -> None:
    held, plan_id = await deployment.exchange.open(), token()
    await deployment.log.add("apply.result", decision(held, plan_id))
    assert (await deployment.log.outcome(plan_id))["outcome"] == "FLAT"
    await deployment.exchange.closed_once(held)


async def _proven(deployment: World, path: str) -> str:
    """Six proofs on warrants, and the audit that rests on them."""
    held = [await deployment.exchange.open() for _ in range(2)]
    symbols = ",".join(one.symbol for one in held)
    proven = await _command(
        deployment, 0, "prove", "--symbols", symbols, "--yes", "--json", EXECUTION__PATH=path
    )
    assert [proof["holds"] for proof in proven.document["proofs"]] == [True] * 6
    for one in held:
        await deployment.exchange.closed_once(one)
    component = {"1A": "harvest_brain", "1B": "execution_service"}[path]
    audited = await _command(deployment, 0, "audit", "--component", component, "--json")
    found: str = audited.document["id"]
    return found


def _controllers(shown: Done) -> list[str]:
    found: list[dict[str, Any]] = shown.document["components"]
    return [one["component"] for one in found if one["level"] == "CONTROLLER"]


async def _one_controller(deployment: World, component: str) -> None:
    async def alone() -> bool | None:
        shown = await deployment.command("authority", "show", "--json")
        return (shown.code == 0 and _controllers(shown) == [component]) or None

    await eventually(f"{component} is the one controller", alone)
    document = deployment.folder / f"{component}.md"
    await _command(deployment, 0, "authority", "show", "--markdown", str(document))
    assert component in document.read_text()


async def _up(deployment: World, *arguments: str, **settings: str) -> Process:
    run = deployment.run(*arguments, **settings)
    await deployment.up(run)
    return run


# What the test looks at ----------------------------------------------------------------------------------------------


async def _story(log_url: str, folder: Path) -> None:
    async with world(log_url, folder, QUICK) as deployment:
        await _as_it_was_found(deployment)
        unmanaged = await deployment.exchange.open()
        breaching = await _under_water(deployment, 4)

        # Nobody may execute; what is dangerous is closed by the safety controller, and nothing else is.
        await _command(deployment, 7, "safety", "arm")
        await _command(deployment, 0, "freeze", "--reason", "nobody knows who controls exits")
        safety = deployment.run("--roles", "safety")
        await safety.says("listening")
        await _command(deployment, 0, "safety", "arm")
        await eventually("the safety controller closes", lambda: _flat(deployment, breaching))
        await deployment.exchange.closed_once(breaching)
        await eventually("its outcome is told", lambda: _told(deployment))
        await deployment.exchange.untouched(unmanaged)

        # PATH 1B: chosen, proven on warrants, audited, granted, unfrozen.
        chosen = await _command(deployment, 0, "authority", "choose", "1B", "--json")
        assert json.dumps(chosen.document).count(BRAIN)
        planned = await _command(deployment, 0, "backlog", "plan", BRAIN, "--json")
        assert (planned.document["readable"], planned.document["lost"]) == (READABLE + 1, LAG - READABLE)
        audit = await _proven(deployment, "1B")
        run = await _up(deployment)
        await _command(deployment, 7, "unfreeze", "--audit", audit)
        await _command(deployment, 0, "authority", "grant", "execution_service", "--audit", audit)
        await _command(deployment, 7, "authority", "grant", "harvest_brain", "--audit", audit)
        await _command(deployment, 0, "unfreeze", "--audit", audit)
        plan_id = token()
        await deployment.log.add("apply.result", decision(unmanaged, plan_id))
        assert (await deployment.log.outcome(plan_id))["outcome"] == "FLAT"
        await deployment.exchange.closed_once(unmanaged)
        await _one_controller(deployment, "execution_service")

        # PATH 1A: its group is revived, the grant moves, and the same again.
        orders = len((await deployment.exchange.records()).all_placements)
        drained = await _command(deployment, 0, "backlog", "drain", BRAIN, "--yes", "--json")
        assert len((await deployment.exchange.records()).all_placements) == orders, drained
        brain = await _up_beside(deployment)
        await _command(deployment, 0, "authority", "switch", "1A")
        await _closed_by_machine(deployment)
        await _one_controller(deployment, "harvest_brain")
        await _command(deployment, 0, "freeze", "--reason", "PATH 1A is proven by itself")
        for process in (run, brain):
            process.kill()
        await deployment.log.release()
        audit = await _proven(deployment, "1A")
        await _up(deployment, EXECUTION__PATH="1A")
        await _command(deployment, 0, "unfreeze", "--audit", audit)
        await _closed_by_machine(deployment)
        await _one_controller(deployment, "harvest_brain")


async def _up_beside(deployment: World) -> Process:
    run = deployment.run("--roles", "harvest-brain")
    await run.says("listening")
    return run


async def _told(deployment: World) -> bool | None:
    """Once it is, its confirmation stands behind what nobody has read."""
    return bool(await deployment.log.entries("execution.result")) or None


async def _flat(deployment: World, held: Held) -> bool | None:
    return (await deployment.exchange.records()).position(held.symbol) == 0 or None


async def test_from_a_dead_group_and_a_position_that_nobody_manages_to_one_controller_on_either_path(
    under_way: Awaitable[None],
) -> None:
    """Incidents 1, 5, 16 and 77 as one deployment had them."""
    await under_way


SCENARIOS: Final[Scenarios] = {
    "test_from_a_dead_group_and_a_position_that_nobody_manages_to_one_controller_on_either_path": _story
}
