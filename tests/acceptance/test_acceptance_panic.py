"""A person closes everything: `panic` and `close --all`, typed as one would, and judged by the exchange's books."""

from collections.abc import Awaitable
from pathlib import Path
from typing import Any, Final

import pytest

from tests.acceptance.world import Done, Process, Scenarios, World, hosted, world

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(300)]


def _states(done: Done) -> dict[str, str]:
    found: list[dict[str, Any]] = done.document["closes"]
    return {one["symbol"]: one["state"] for one in found}


async def _frozen(deployment: World) -> None:
    await deployment.up(deployment.run())
    assert (await deployment.command("freeze", "--reason", "a drill")).code == 0


# What the tests look at ----------------------------------------------------------------------------------------------


async def _panic_under_freeze(log_url: str, folder: Path) -> None:
    async with world(log_url, folder) as deployment:
        await _frozen(deployment)
        held = [await deployment.exchange.open(steps) for steps in (40, -41, 42, -43)]
        done = await deployment.command("panic", "--json")
        assert done.code == 0, done
        assert _states(done) == {one.symbol: "flat" for one in held}
        for one in held:
            await deployment.exchange.closed_once(one)
        again = await deployment.command("panic")
        assert (again.code, again.out) == (0, "nothing is open\n"), again
        warrants = [
            fields
            for _, fields in await deployment.log.entries("authority.events")
            if fields["event"] == "WARRANT"
        ]
        assert len(warrants) == len(held), "each close is a person's act on record"


async def _one_that_can_not_be_closed(log_url: str, folder: Path) -> None:
    async with world(log_url, folder) as deployment:
        await _frozen(deployment)
        stuck, free = await deployment.exchange.open(), await deployment.exchange.open()
        await deployment.exchange.fault("refused", stuck.symbol, code=-4131, count=1_000)
        done = await deployment.command("panic", "--timeout", "3", "--json")
        assert done.code in {1, 5}, done
        states = _states(done)
        assert states[free.symbol] == "flat"
        assert states[stuck.symbol] in {"open", "waiting"}
        assert done.document["all_flat"] is False
        await deployment.exchange.closed_once(free)
        await deployment.exchange.calm()


async def _what_happens_meanwhile(log_url: str, folder: Path) -> None:
    """The log goes away while the closes go on, and somebody opens a position."""
    async with hosted(folder) as deployment:
        await deployment.start()
        await deployment.exchange.list_markets()
        stuck = await deployment.exchange.open()
        await deployment.log.room(1)
        unheard = await deployment.command("close", stuck.symbol, "--fraction", "0.5")
        await deployment.log.room(0)
        assert (unheard.code, "--intent-id close-" in unheard.err) == (6, True), unheard
        await deployment.exchange.untouched(stuck)
        await deployment.exchange.fault("refused", stuck.symbol, code=-4131, count=1_000)
        close = Process(["close", stuck.symbol, "--wait"], deployment.settings, folder, "close")
        await close.says("plan ")
        panic = Process(["panic", "--json", "--timeout", "20"], deployment.settings, folder, "panic")
        await panic.says("plan ")
        late = await deployment.exchange.open()
        await deployment.log.stall(4_000)
        done = Done(await panic.ended(), panic.out.read_text(), panic.told)
        assert "the log does not answer" in done.err, done
        assert (await close.ended(), "it goes on" in close.told) == (6, True), close.told
        assert done.code in {1, 5}, done
        assert _states(done)[late.symbol] == "open"
        assert _states(done)[stuck.symbol] in {"open", "waiting"}
        assert done.document["all_flat"] is False
        await deployment.exchange.calm()


async def _all_of_one_side(log_url: str, folder: Path) -> None:
    async with world(log_url, folder) as deployment:
        await deployment.up(deployment.run())
        long, short = await deployment.exchange.open(50), await deployment.exchange.open(-60)
        asked = await deployment.command("close", "--all")
        assert asked.code == 1, asked
        assert {long.symbol, short.symbol} <= set(asked.err.split())
        await deployment.exchange.untouched(long)
        half = await deployment.command(
            "close", "--all", "--side", "short", "--fraction", "0.5", "--yes", "--json"
        )
        assert half.code == 0, half
        assert _states(half) == {short.symbol: "reduced"}
        await deployment.exchange.closed_once(short, short.share("0.5"))
        await deployment.exchange.untouched(long)
        for wrong in (("close",), ("close", long.symbol, "--all"), ("close", "--all", "--intent-id", "x")):
            assert (await deployment.command(*wrong)).code == 4


async def test_panic_closes_everything_once_under_freeze(under_way: Awaitable[None]) -> None:
    await under_way


async def test_panic_tells_what_is_not_flat_and_closes_the_rest(under_way: Awaitable[None]) -> None:
    await under_way


async def test_panic_tells_what_is_left_though_the_log_goes_away_and_a_position_opens(
    under_way: Awaitable[None],
) -> None:
    await under_way


async def test_close_all_shows_what_it_would_close_and_keeps_to_the_side(under_way: Awaitable[None]) -> None:
    await under_way


SCENARIOS: Final[Scenarios] = {
    "test_panic_closes_everything_once_under_freeze": _panic_under_freeze,
    "test_panic_tells_what_is_not_flat_and_closes_the_rest": _one_that_can_not_be_closed,
    "test_panic_tells_what_is_left_though_the_log_goes_away_and_a_position_opens": _what_happens_meanwhile,
    "test_close_all_shows_what_it_would_close_and_keeps_to_the_side": _all_of_one_side,
}
