"""Every way in at once: one wish of one name is one close, by the exchange's books."""

import asyncio
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest
import pytest_asyncio

from sureclose import AsyncClient, Conflict, NotFound, Refused, Unauthorised
from tests.acceptance.doors import (
    SETTINGS,
    TOKEN,
    Ask,
    Way,
    by_http,
    by_python,
    by_the_command_line,
    by_the_log,
    by_webhook,
    executed,
    new_ask,
    through,
)
from tests.acceptance.world import Market, Scenarios, World, environment, eventually, world

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.timeout(300),
    pytest.mark.usefixtures("all_under_way"),
]

PAGE: Final = Path(__file__).parents[2] / "docs" / "python.md"
WAYS: Final[list[Way]] = [by_the_log, by_http, by_webhook, by_the_command_line, by_python]


async def _one_close(deployment: World, address: str, ask: Ask) -> None:
    """One effective order of exactly that size, and one outcome that says so; all else was stopped before it was sent."""

    async def ended() -> bool | None:
        return bool(await executed(deployment, ask)) or None

    await eventually(f"an executed close of {ask}", ended)
    await deployment.log.consumed_all()
    order = await deployment.exchange.closed_once(ask.held, ask.held.share(ask.fraction))
    [outcome] = await executed(deployment, ask)
    assert outcome["outcome"] == ("REDUCED" if ask.half else "FLAT")
    assert outcome["order_ids"] == str(order["orderId"])
    await _same_answer(deployment, address, ask, outcome["plan_id"])


async def _same_answer(deployment: World, address: str, ask: Ask, plan_id: str) -> None:
    """Whoever asks by the wish's name is told of that close, whatever words it was sent in."""
    async with AsyncClient(address, TOKEN) as client:
        told = await client.wait(ask.intent_id, 20)
    assert (told.done, told.plan_id) == (True, plan_id), told
    assert told.filled_qty == ask.held.share(ask.fraction)
    part = ("--fraction", ask.fraction) if ask.half else ()
    done = await deployment.command(
        "close", ask.held.symbol, *part, "--intent-id", ask.intent_id, "--wait", "--json"
    )
    assert (done.code, done.document["plan_id"], done.document["state"]) == (0, plan_id, told.state), done


# What the tests look at ----------------------------------------------------------------------------------------------


async def _all_at_once(log_url: str, folder: Path) -> None:
    async with world(log_url, folder, SETTINGS) as deployment:
        address = await deployment.up(deployment.run())
        asks = [
            new_ask(await deployment.exchange.open(steps), half=half)
            for steps, half in ((137, False), (-138, False), (139, True), (-140, True))
        ]
        twice = await deployment.exchange.open(100)
        halves = [new_ask(twice, half=True) for _ in range(2)]
        await asyncio.gather(*(through(WAYS, deployment, address, ask) for ask in [*asks, *halves]))
        for ask in asks:
            await _one_close(deployment, address, ask)
        for ask in asks:
            await through(WAYS, deployment, address, ask)
        for ask in asks:
            await _one_close(deployment, address, ask)
        books = await deployment.exchange.records()
        sizes = [int(Decimal(order["executedQty"]) / twice.step) for order in books.effective(twice.symbol)]
        assert (sizes, books.position(twice.symbol)) == ([50, 25], twice.step * 25), "two wishes are two"


async def _killed_meanwhile(log_url: str, folder: Path) -> None:
    """The holder of the lease dies with its web server when the first order has come; whoever lost an answer repeats."""
    async with world(log_url, folder, SETTINGS) as deployment:
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
        address = next(one for one, run in zip(addresses, runs, strict=True) if run is not holder)
        for ask in asks:
            await _one_close(deployment, address, ask)


async def _an_order(deployment: World) -> bool | None:
    return bool((await deployment.exchange.records()).all_placements) or None


async def test_one_wish_through_every_door_at_once_is_one_close(under_way: Awaitable[None]) -> None:
    await under_way


async def test_a_kill_while_a_wish_comes_in_everywhere_makes_no_second_close(
    under_way: Awaitable[None],
) -> None:
    await under_way


# The Python client, on a deployment of its own ------------------------------------------------------------------------


class Deployed(NamedTuple):
    """A deployment, and where its web server is."""

    world: World
    address: str
    markets: list[Market]
    """Those that the page speaks of."""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def deployment(external_log: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Deployed]:
    async with world(external_log, tmp_path_factory.mktemp("python"), SETTINGS) as found:
        symbols = ("ETHUSDT", "BTCUSDT", "BNBUSDT", "SOLUSDT", "XRPUSDT")
        markets = [found.exchange.reserve(symbol) for symbol in symbols]
        yield Deployed(found, await found.up(found.run()), markets)


async def test_the_python_client_s_page_runs_as_it_stands(deployment: Deployed) -> None:
    exchange, address = deployment.world.exchange, deployment.address
    held = [await exchange.put(market, Decimal(1)) for market in deployment.markets]
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(blocks) == len(held) - 1
    told = await asyncio.to_thread(_python, "\n".join(blocks), address)
    first, *steps, both, last = told.splitlines()
    assert first == "flat 1.000 0.000"
    assert (len(set(steps)), steps[-1]) == (len(steps), "reduced")
    assert (both, last) == ("{'BNBUSDT': 'flat', 'SOLUSDT': 'flat'}", "flat")
    for one in held:
        await exchange.closed_once(one, one.share("0.5") if one.symbol == "BTCUSDT" else None)


async def test_what_goes_wrong_is_told_to_a_program_as_documented(deployment: Deployed) -> None:
    exchange, address = deployment.world.exchange, deployment.address
    long, short = await exchange.open(50), await exchange.open(-60)
    async with AsyncClient(address, "sct_of-nobody") as stranger:
        with pytest.raises(Unauthorised):
            await stranger.close(long.symbol)
    async with AsyncClient(address, TOKEN) as client:
        with pytest.raises(NotFound):
            await client.get("never-asked-for")
        with pytest.raises(Refused) as refused:
            await client.close(long.symbol, mode="live")
        assert (refused.value.reason, refused.value.status) == ("other_mode", 422)
        with pytest.raises(Refused) as refused:
            await client.close(long.symbol, expires_at=datetime(2020, 1, 1, tzinfo=UTC))
        assert (refused.value.reason, "ahead" in refused.value.remedy) == ("expired", True)
        with pytest.raises(Refused):
            await client.close(long.symbol, fraction="1.5")
        await exchange.untouched(long)
        half = await client.close(long.symbol, fraction="0.5", idempotency_key="k", intent_id="i", wait=20)
        assert half.done
        others: list[dict[str, Any]] = [{"idempotency_key": "k"}, {"intent_id": "i"}]
        for other in others:
            with pytest.raises(Conflict):
                await client.close(long.symbol, fraction="0.25", **other)
        [told] = await client.close_all(side="short", symbols=[short.symbol], wait=20)
        assert (told.symbol, told.state, told.filled_qty) == (short.symbol, "flat", abs(short.amount))
    await exchange.closed_once(long, long.share("0.5"))
    await exchange.closed_once(short)


def _python(program: str, address: str) -> str:
    """What it prints, and nothing else may be said."""
    done = subprocess.run(
        [sys.executable, "-Werror", "-Xdev", "-c", program],
        env=environment() | {"SURECLOSE_URL": address, "SURECLOSE_TOKEN": TOKEN},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout


SCENARIOS: Final[Scenarios] = {
    "test_a_kill_while_a_wish_comes_in_everywhere_makes_no_second_close": _killed_meanwhile,
    "test_one_wish_through_every_door_at_once_is_one_close": _all_at_once,
}
