"""A contradiction parks a close with all it knows, and a person settles it after a fresh read."""

import json
from collections.abc import Awaitable
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pytest

from tests.acceptance.world import QUICK, Held, Market, Scenarios, World, decision, eventually, token, world

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(120)]

HASTY: Final = QUICK | {"EXECUTION__PARK_AFTER_MS": "300"}


async def _parked(deployment: World) -> tuple[str, Held, Market]:
    """An order that the venue never answers for nor lists, and a position that moves without any trade."""
    venue = deployment.exchange
    market = venue.reserve("SOLUSDT")
    held = await venue.put(market, market.step * 100)
    ours = {"symbol": held.symbol, "route": "POST /fapi/v1/order", "reduceOnly": "true"}
    await venue.fault("unknown_503_not_executed", held.symbol, count=50, match=ours)
    plan = token()
    await deployment.up(deployment.run())
    await deployment.log.add("apply.result", decision(held, plan))
    await _sent(deployment, held)
    await venue.trade(held.symbol, "SELL", held.amount)
    await venue.put(market, market.step * 70)
    outcome = await deployment.log.outcome(plan)
    assert outcome["outcome"] == "PARKED"
    assert outcome["executed"] == "False"
    return plan, held, market


async def _sent(deployment: World, held: Held) -> None:
    async def placed() -> bool | None:
        return bool((await deployment.exchange.records()).placements(held.symbol)) or None

    await eventually("the order is sent", placed)


async def _settled(log_url: str, folder: Path) -> None:
    async with world(log_url, folder, HASTY) as deployment:
        plan, held, market = await _parked(deployment)
        told = await deployment.command("trace", plan, "--json")
        ended: dict[str, Any] = next(step for step in told.document["steps"] if step["step"] == "ENDED")
        assert "no order explains it" in ended["outcome"]["reason"]
        assert Decimal(ended["evidence"]["position"]["amount"]) == market.step * 70
        listed = await deployment.command("resolve", "--json")
        assert listed.document == {"parked": [plan]}
        unasked = await deployment.command("resolve", plan)
        assert unasked.code == 1, unasked
        assert "not at the venue" in unasked.err
        done = await deployment.command("resolve", plan, "--yes", "--reason", "looked", "--json")
        assert done.code == 0, done
        assert done.document["outcome"]["kind"] == "REFUSED"
        assert held.symbol in done.err
        first, second = await deployment.log.outcomes(plan)
        assert (first["outcome"], second["outcome"]) == ("PARKED", "REFUSED")
        assert second["executed"] == "False"
        again = await deployment.command("resolve", plan, "--yes")
        assert again.code == 2, again
        nothing = await deployment.command("resolve")
        assert nothing.code == 0
        assert "nothing is parked" in nothing.err
        books = await deployment.exchange.records()
        assert not books.effective(held.symbol)


async def _burnt(log_url: str, folder: Path) -> None:
    """The id of a parked close stays burnt, and its symbol is free for others."""
    async with world(log_url, folder, HASTY) as deployment:
        plan, held, market = await _parked(deployment)
        entry = await deployment.log.add("apply.result", decision(held, plan))
        await deployment.log.finished("apply.result", "execution_service_exits", entry)
        assert [one["outcome"] for one in await deployment.log.outcomes(plan)] == ["PARKED"]
        for fault in await deployment.exchange.armed():
            assert fault["fault"] == "unknown_503_not_executed"
        await deployment.exchange.calm()
        other = token()
        await deployment.log.add("apply.result", decision(held, other))
        outcome = await deployment.log.outcome(other)
        assert outcome["outcome"] == "FLAT", json.dumps(outcome)
        assert Decimal(outcome["filled_qty"]) == market.step * 70


SCENARIOS: Scenarios = {
    "test_a_contradiction_parks_with_its_evidence_and_a_person_settles_it": _settled,
    "test_a_parked_id_stays_burnt_and_its_symbol_is_free": _burnt,
}


async def test_a_contradiction_parks_with_its_evidence_and_a_person_settles_it(
    under_way: Awaitable[None],
) -> None:
    await under_way


async def test_a_parked_id_stays_burnt_and_its_symbol_is_free(under_way: Awaitable[None]) -> None:
    await under_way
