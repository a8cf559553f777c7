"""Every way in at once: one wish of one name is one close, by the exchange's books."""

import asyncio
from collections.abc import Awaitable
from pathlib import Path
from typing import Final

import pytest

from tests.acceptance.doors import Ask, Way, by_the_command_line, by_the_log, executed, new_ask, through
from tests.acceptance.world import Scenarios, World, eventually, world

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(300)]

WAYS: Final[list[Way]] = [by_the_log, by_the_command_line]


async def _one_close(deployment: World, ask: Ask) -> None:
    """One effective order of exactly that size, and one outcome that says so; all else was stopped before it was sent."""

    async def ended() -> bool | None:
        return bool(await executed(deployment, ask)) or None

    await eventually(f"an executed close of {ask}", ended)
    await deployment.log.consumed_all()
    order = await deployment.exchange.closed_once(ask.held, ask.held.share(ask.fraction))
    [outcome] = await executed(deployment, ask)
    assert outcome["outcome"] == ("REDUCED" if ask.half else "FLAT")
    assert outcome["order_ids"] == str(order["orderId"])


# What the tests look at ----------------------------------------------------------------------------------------------


async def _all_at_once(log_url: str, folder: Path) -> None:
    async with world(log_url, folder) as deployment:
        address = await deployment.up(deployment.run())
        asks = [
            new_ask(await deployment.exchange.open(steps), half=half)
            for steps, half in ((137, False), (-138, False), (139, True), (-140, True))
        ]
        await asyncio.gather(*(through(WAYS, deployment, address, ask) for ask in asks))
        for ask in asks:
            await _one_close(deployment, ask)
        for ask in asks:
            await through(WAYS, deployment, address, ask)
        for ask in asks:
            await _one_close(deployment, ask)


async def _killed_meanwhile(log_url: str, folder: Path) -> None:
    """The holder of the lease dies with its web server when the first order has come; whoever lost an answer repeats."""
    async with world(log_url, folder) as deployment:
        runs = [deployment.run(), deployment.run()]
        addresses = [(await run.says("listening")).partition("address=")[2].split()[0] for run in runs]
        owner = await eventually("a lease", deployment.log.lease_owner)
        holder = next(run for run in runs if run.pid == owner)
        await deployment.up(holder)
        asks = [
            new_ask(await deployment.exchange.open(steps), half=half)
            for steps, half in ((141, False), (-142, True), (143, True))
        ]
        asking = asyncio.gather(*(through(WAYS, deployment, one, ask) for ask in asks for one in addresses))
        await eventually("an order arrives", lambda: _an_order(deployment))
        holder.kill()
        await asking
        for ask in asks:
            await _one_close(deployment, ask)


async def _an_order(deployment: World) -> bool | None:
    return bool((await deployment.exchange.records()).all_placements) or None


async def test_one_wish_through_every_door_at_once_is_one_close(under_way: Awaitable[None]) -> None:
    await under_way


async def test_a_kill_while_a_wish_comes_in_everywhere_makes_no_second_close(
    under_way: Awaitable[None],
) -> None:
    await under_way


SCENARIOS: Final[Scenarios] = {
    "test_a_kill_while_a_wish_comes_in_everywhere_makes_no_second_close": _killed_meanwhile,
    "test_one_wish_through_every_door_at_once_is_one_close": _all_at_once,
}
