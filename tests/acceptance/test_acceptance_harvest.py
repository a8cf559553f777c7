"""Harvest with real processes: a day of candles through it, and what kills, restarts and a second process change (nothing)."""

import random
import signal
from collections.abc import Awaitable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pytest

from sureclose.fault_points import CRASHED
from tests.acceptance.keys import kind_of
from tests.acceptance.world import (
    Process,
    Scenarios,
    World,
    beside,
    command,
    eventually,
    exchange,
    popen,
    world,
)

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(300)]

FAST: Final = {"HARVEST__KLINE_INTERVAL": "1m", "HARVEST__KLINE_READ_S": "1"}
"""Candles of a minute, for the day goes by in seconds."""
RISK: Final = Decimal("0.02")
COST: Final = Decimal("0.001")
EVENING: Final = 130
"""Minutes of the evening before: so many candles are looked at."""
DAY: Final = 1_440
STEP: Final = 4
"""Minutes that go by at once: 0.02 R of the one that climbs."""
PAST: Final = Decimal("0.06")
"""So far behind a limit, in R, nothing but a delay can keep it from being seen."""


def harvest(deployment: World, **settings: str) -> Process:
    return deployment.run("--roles", "harvest", **FAST, **settings)


async def executor(deployment: World) -> None:
    await deployment.up(deployment.run())


@dataclass
class Traded:
    """A position that was opened by a real order."""

    symbol: str
    amount: Decimal
    entry: Decimal
    step: Decimal

    def r(self, price: Decimal) -> Decimal:
        moved = price - self.entry if self.amount > 0 else self.entry - price
        return (moved - self.entry * COST) / (self.entry * RISK)

    def price_at(self, r: str) -> Decimal:
        away = Decimal(r) * self.entry * RISK + self.entry * COST
        return (self.entry + (away if self.amount > 0 else -away)).quantize(Decimal("0.01"))

    def share(self, fraction: str) -> Decimal:
        return (abs(self.amount) * Decimal(fraction)) // self.step * self.step


async def opened(deployment: World, symbol: str, steps: int) -> Traded:
    """Some hundred steps, for quarters of it have to be orders."""
    market = deployment.exchange.reserve(symbol)
    amount = market.step * steps
    order = await deployment.exchange.trade(symbol, "BUY" if steps > 0 else "SELL", abs(amount))
    rows = await deployment.exchange.signed("GET", "/fapi/v3/positionRisk", symbol=symbol)
    assert Decimal(rows[0]["positionAmt"]) == amount, order
    return Traded(symbol, amount, Decimal(rows[0]["entryPrice"]), market.step)


async def closed(deployment: World, symbol: str, count: int) -> list[dict[str, Any]]:
    """The orders of ours that moved something, once there are so many."""

    async def probe() -> list[dict[str, Any]] | None:
        found = (await deployment.exchange.records()).effective(symbol)
        return found if len(found) >= count else None

    return await eventually(f"{count} orders in {symbol}", probe)


async def wishes(deployment: World, symbol: str) -> list[dict[str, str]]:
    return [
        fields for _, fields in await deployment.log.entries("harvest.intent") if fields["symbol"] == symbol
    ]


def quantities(orders: list[dict[str, Any]]) -> list[Decimal]:
    return [Decimal(order["executedQty"]) for order in orders]


# A day -------------------------------------------------------------------------------------------------------------


@dataclass
class Course:
    """How the price of one symbol goes: a drift and a noise about it in shares of the price, by minute."""

    price: Decimal
    drift: float
    noise: float
    from_minute: int = 0
    """Before it, a slow drift without noise to speak of."""
    chance: random.Random = field(default_factory=lambda: random.Random(7))

    def candles(self, minutes: range) -> Iterator[list[str]]:
        level, before = float(self.price), float(self.price)
        for minute in minutes:
            calm = minute < self.from_minute
            level *= 1 + (1e-5 if calm else self.drift)
            noise = 2e-6 if calm else self.noise
            close = level * (1 + self.chance.uniform(-noise, noise))
            yield [f"{price:.2f}" for price in (before, max(before, close), min(before, close), close)]
            before = close


async def _a_day(log_url: str, folder: Path) -> None:
    async with world(log_url, folder) as deployment:
        venue = deployment.exchange
        paths = {
            "ETHUSDT": Course(Decimal(2400), 9e-5, 2e-5),
            "BTCUSDT": Course(Decimal(65000), 9e-5, 2e-5),
            "SOLUSDT": Course(Decimal(150), 0, 2e-3, from_minute=700),
            "BNBUSDT": Course(Decimal(600), 1e-5, 2e-6),
            "LTCUSDT": Course(Decimal(80), 9e-5, 2e-5),
        }
        day = {symbol: list(path.candles(range(-EVENING, DAY))) for symbol, path in paths.items()}
        await venue.minutes({symbol: candles[:EVENING] for symbol, candles in day.items()})
        climber = await opened(deployment, "ETHUSDT", 400)
        loser = await opened(deployment, "BTCUSDT", -40)
        turning = await opened(deployment, "SOLUSDT", 100)
        calm = await opened(deployment, "BNBUSDT", 100)
        await executor(deployment)
        running = harvest(deployment)
        expected = {climber.symbol: 0, loser.symbol: 0, turning.symbol: 0}
        limits = {2: Decimal(2), 4: Decimal(4), 6: Decimal(6)}
        for minute in range(0, DAY, STEP):
            first = EVENING + minute
            candles = {symbol: found[first : first + STEP] for symbol, found in day.items()}
            await venue.minutes(candles)
            r = climber.r(Decimal(candles[climber.symbol][-1][3]))
            due = {
                climber.symbol: sum(r >= limit + PAST for limit in limits.values()),
                loser.symbol: int(loser.r(Decimal(candles[loser.symbol][-1][3])) <= Decimal("-1.5") - PAST),
                turning.symbol: int(minute >= 1_000),
            }
            due = {symbol: max(due[symbol], expected[symbol]) for symbol in due}
            if minute in {400, 1_100} or due[climber.symbol] > expected[climber.symbol]:
                running.kill()
                running = harvest(deployment)
            for symbol, count in due.items():
                if count > expected[symbol]:
                    await closed(deployment, symbol, count)
            expected = due
        assert expected == {climber.symbol: 3, loser.symbol: 1, turning.symbol: 1}
        # One more restart at the end of the day finds nothing more to do.
        running.kill()
        running = harvest(deployment)
        await _taken(deployment, running, climber.symbol)
        await deployment.log.consumed_all()
        books = await venue.records()
        quarter = climber.share("0.25")
        assert quantities(books.effective(climber.symbol)) == [quarter] * 3
        assert books.position(climber.symbol) == climber.amount - 3 * quarter
        assert quantities(books.effective(loser.symbol)) == [abs(loser.amount)]
        assert quantities(books.effective(turning.symbol)) == [abs(turning.amount)]
        assert books.orders(calm.symbol) == []
        assert books.placements("LTCUSDT") == []
        names = [fields["reason"].split(":")[0] for fields in await wishes(deployment, climber.symbol)]
        assert names == [f"rung {number} of the ladder" for number in (1, 2, 3)]
        [lost] = await wishes(deployment, loser.symbol)
        assert (lost["action"], lost["source"]) == ("EMERGENCY_SL_CLOSE", "harvest:reference")
        [turned] = await wishes(deployment, turning.symbol)
        assert turned["reason"].startswith("kill score")
        assert Decimal(turned["kill_score"]) >= Decimal("0.6")
        assert {"R_net", "k_regime_flip", "k_age", "position_amt"} <= turned.keys()
        assert await wishes(deployment, calm.symbol) == []
        assert await wishes(deployment, "LTCUSDT") == []
        status = await deployment.command("harvest", "status", "--json")
        assert status.code == 0, status
        shown = {one["symbol"]: one for one in status.document["positions"]}
        assert set(shown) == {climber.symbol, calm.symbol}
        assert (shown[climber.symbol]["rung"], status.document["alive"]) == (3, True)
        assert shown[climber.symbol]["wish"]["fate"] == "taken"
        assert {one["symbol"] for one in status.document["over"]} == {loser.symbol, turning.symbol}
        assert "rung" in (await deployment.command("harvest", "status")).out
        doctor = await deployment.command("doctor", "--json")
        checks = {check["name"]: check for check in doctor.document["checks"]}
        assert checks["harvest"]["status"] == "ok", checks["harvest"]
        wiring = f"wiring {deployment.log.prefix}harvest.intent"
        assert checks[wiring]["status"] == "ok", checks[wiring]
        strange = [
            key
            for key in await deployment.log.keys()
            if kind_of(key.removeprefix(deployment.log.prefix)) is None
        ]
        assert strange == []


async def _sees(deployment: World, process: Process, symbol: str) -> Mapping[str, Any]:
    """What this process says of a position, once it has judged it."""

    async def probe() -> Mapping[str, Any] | None:
        found = await deployment.log.document("harvest_health")
        if found is None or found["pid"] != process.pid:
            return None
        shown: list[Mapping[str, Any]] = found["positions"]
        return next((one for one in shown if one["symbol"] == symbol and one["by"]), None)

    return await eventually(f"harvest judges {symbol}", probe, told=lambda: process.told)


async def _taken(deployment: World, process: Process, symbol: str) -> Mapping[str, Any]:
    """The same, once it says that the last wish had its effect."""

    async def probe() -> Mapping[str, Any] | None:
        seen = await _sees(deployment, process, symbol)
        return seen if seen["wish"] and seen["wish"]["fate"] == "taken" else None

    return await eventually("the wish is followed to its end", probe)


# Kills and companions ----------------------------------------------------------------------------------------------


async def _two_of_them(log_url: str, folder: Path) -> None:
    async with world(log_url, folder) as deployment:
        held = await opened(deployment, "ETHUSDT", 400)
        # A leap of the price is a spike once its minute is over, and would be a kill as well: here the ladder is looked at.
        await deployment.exchange.fault_of_reads("unavailable_503", "GET /fapi/v1/klines")
        await executor(deployment)
        both = [harvest(deployment), harvest(deployment)]
        for process in both:
            await process.says("listening")
        await _either_sees(deployment, both, held.symbol)
        await deployment.exchange.price(held.symbol, held.price_at("2.5"))
        await closed(deployment, held.symbol, 1)
        # The price leaps over the second rung and the third: one close of both.
        await deployment.exchange.price(held.symbol, held.price_at("6.5"))
        await closed(deployment, held.symbol, 2)
        for process in both:
            process.kill()
        last = harvest(deployment)
        seen = await _sees(deployment, last, held.symbol)
        assert (seen["rung"], seen["asked"]) == (3, ["rung-1", "rung-3"])
        await deployment.log.consumed_all()
        books = await deployment.exchange.records()
        assert quantities(books.effective(held.symbol)) == [held.share("0.25"), held.share("0.5")]
        assert len(await wishes(deployment, held.symbol)) == 2


async def _either_sees(deployment: World, processes: list[Process], symbol: str) -> None:
    async def probe() -> bool | None:
        found = await deployment.log.document("harvest_health")
        pids = {process.pid for process in processes}
        if found is None or found["pid"] not in pids:
            return None
        return any(one["symbol"] == symbol and one["by"] for one in found["positions"]) or None

    await eventually(f"harvest judges {symbol}", probe)


async def _killed_around_a_proposal(log_url: str, folder: Path) -> None:
    async with world(log_url, folder) as deployment:
        held = await opened(deployment, "ETHUSDT", 400)
        await executor(deployment)
        await deployment.exchange.price(held.symbol, held.price_at("2.5"))
        dies = harvest(deployment, SURECLOSE_CRASH_AT="before_proposal", SURECLOSE_CRASH_HOW="kill")
        assert await dies.ended() == -signal.SIGKILL
        assert await wishes(deployment, held.symbol) == []
        dies = harvest(deployment, SURECLOSE_CRASH_AT="after_proposal")
        assert await dies.ended() == CRASHED
        assert len(await wishes(deployment, held.symbol)) == 1
        last = harvest(deployment)
        seen = await _taken(deployment, last, held.symbol)
        assert (seen["rung"], seen["wish"]["number"]) == (1, 1)
        await deployment.log.consumed_all()
        assert quantities(await closed(deployment, held.symbol, 1)) == [held.share("0.25")]
        assert len(await wishes(deployment, held.symbol)) == 1


async def _beside_the_executor(log_url: str, folder: Path) -> None:
    """In one process with the roles that execute, and with a shadow that sees the same."""
    async with world(log_url, folder) as deployment:
        held = await opened(deployment, "ETHUSDT", -400)
        run = deployment.run("--roles", "harvest,intent-executor,apply-layer,execution", **FAST)
        await deployment.up(run)
        await _sees(deployment, run, held.symbol)
        await deployment.exchange.price(held.symbol, held.price_at("-1.6"))
        [order] = await closed(deployment, held.symbol, 1)
        assert (order["side"], Decimal(order["executedQty"])) == ("BUY", abs(held.amount))
        [wish] = await wishes(deployment, held.symbol)
        assert wish["reason"].startswith("hard loss")

        # It follows the position to its end, and says nothing about what is flat.
        async def over() -> bool | None:
            found = await deployment.log.document("harvest_health")
            return True if found["positions"] == [] else None

        await eventually("no open position", over)
        assert len(await wishes(deployment, held.symbol)) == 1
        run.signal(signal.SIGTERM)
        assert await run.ended() == 0


async def _frozen(log_url: str, folder: Path) -> None:
    """A freeze skips the wish: its rung is not taken, and it is made again when a pause is over, not at once."""
    async with world(log_url, folder) as deployment:
        held = await opened(deployment, "ETHUSDT", 400)
        await executor(deployment)
        assert (await deployment.command("freeze", "--reason", "a drill")).code == 0
        deciding = harvest(deployment)
        await _sees(deployment, deciding, held.symbol)
        await deployment.exchange.price(held.symbol, held.price_at("2.5"))

        async def skipped() -> Mapping[str, Any] | None:
            seen = await _sees(deployment, deciding, held.symbol)
            return seen if seen["answer"] == "waits" else None

        seen = await eventually("the wish had no effect", skipped)
        assert (seen["wish"]["fate"], seen["wish"]["outcome"]) == ("untaken", "SKIPPED(frozen)")
        assert (seen["rung"], seen["asked"]) == (0, [])
        assert "is made again in" in seen["reason"]
        assert (await deployment.exchange.records()).orders(held.symbol) == []
        assert len(await wishes(deployment, held.symbol)) == 1
        # What it sees is moved by nobody outside paper.
        moved = await deployment.command("prove", "--via", "harvest", VENUE__ENVIRONMENT="demo")
        assert (moved.code, "only a paper exchange" in moved.err) == (4, True), moved
        nobody = await deployment.command("run", "--roles", "harvest", HARVEST__POLICY="nobody")
        assert (nobody.code, "there is no policy 'nobody'" in nobody.err) == (4, True), nobody


async def _in_hedge_mode(log_url: str, folder: Path) -> None:
    """Long and short of one symbol are two positions, each with an episode and a wish of its own."""
    async with world(log_url, folder) as deployment:
        venue = deployment.exchange
        await venue.signed("POST", "/fapi/v1/positionSide/dual", dualSidePosition="true")
        market = venue.reserve("ETHUSDT")
        await venue.put(market, 400 * market.step)
        await venue.put(market, -200 * market.step)
        await executor(deployment)
        harvest(deployment)
        # The long loses 1.8 R by it; the short gains as much, which is no rung.
        await venue.price("ETHUSDT", market.price * Decimal("0.966"))
        [order] = await closed(deployment, "ETHUSDT", 1)
        assert (order["side"], order["positionSide"], Decimal(order["executedQty"])) == (
            "SELL",
            "LONG",
            400 * market.step,
        )
        # Then the short gains 4 R and more: half of it is closed.
        await venue.price("ETHUSDT", market.price * Decimal("0.915"))
        order = (await closed(deployment, "ETHUSDT", 2))[1]
        assert (order["side"], order["positionSide"], Decimal(order["executedQty"])) == (
            "BUY",
            "SHORT",
            100 * market.step,
        )
        await deployment.log.consumed_all()
        sides = [wish["position_side"] for wish in await wishes(deployment, "ETHUSDT")]
        assert sides == ["LONG", "SHORT"]


HALF: Final = """
from decimal import Decimal

from sureclose.policies import Hold, Proposal

class Half:
    name = "half"

    def judge(self, view):
        if view.mark is None:
            return view.doubt()
        if view.mark.price < view.position.entry_price * Decimal("1.02"):
            return Hold(reason="below")
        return Proposal(name="half", action="PARTIAL_CLOSE", fraction=Decimal("0.5"), reason="above")
"""


def _installed(folder: Path) -> str:
    """A package beside ours that brings a policy."""
    info = folder / "half-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / "half.py").write_text(HALF)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: half\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[sureclose.policies]\nhalf = half:Half\n")
    return str(folder)


async def _somebody_elses_policy(log_url: str, folder: Path) -> None:
    """It acts, and the reference watches: what that would have done is told, and done by nobody."""
    async with (
        exchange(folder) as venue,
        beside(venue, log_url, folder, begin=popen) as deployment,
    ):
        held = await opened(deployment, "ETHUSDT", 400)
        await executor(deployment)
        named = {"HARVEST__POLICY": "half", "HARVEST__SHADOW": '["reference"]'}
        harvest(deployment, PYTHONPATH=_installed(folder / "site"), **named)
        await venue.price(held.symbol, held.price_at("2.5"))
        assert quantities(await closed(deployment, held.symbol, 1)) == [held.share("0.5")]

        async def shown() -> dict[str, str] | None:
            return next((fields for _, fields in await deployment.log.entries("harvest.shadow")), None)

        shadow = await eventually("the shadow is told of", shown)
        assert (shadow["source"], shadow["shadow"]) == ("harvest:reference", "True")
        assert shadow["reason"].startswith("rung 1")
        # Copied to the stream of wishes by mistake, it is nobody's wish there either.
        entry = await deployment.log.add("harvest.intent", shadow)
        await deployment.log.finished("harvest.intent", "intent_executor_harvest", entry)
        await deployment.log.consumed_all()
        assert len((await venue.records()).orders(held.symbol)) == 1
        [wish, copied] = await wishes(deployment, held.symbol)
        assert (wish["source"], copied["intent_id"]) == ("harvest:half", shadow["intent_id"])


async def _proven(_: str, folder: Path) -> None:
    done = await command("prove", "--via", "harvest", "--json", folder=folder)
    assert done.code == 0, done
    proofs = done.document["proofs"]
    assert [proof["holds"] for proof in proofs] == [True] * 6
    assert (proofs[0]["evidence"]["door"], proofs[0]["evidence"]["actor"]) == ("harvest", "harvest:reference")
    assert proofs[0]["evidence"]["reason"].startswith("hard loss")


SCENARIOS: Scenarios = {
    "test_a_day_of_candles_closes_each_rung_once_whatever_dies_in_between": _a_day,
    "test_of_two_processes_each_rung_is_proposed_by_one": _two_of_them,
    "test_killed_around_a_proposal_the_next_start_makes_it_once": _killed_around_a_proposal,
    "test_beside_the_roles_that_execute_it_decides_all_the_same": _beside_the_executor,
    "test_what_a_freeze_skipped_is_not_taken_and_not_repeated_at_once": _frozen,
    "test_in_hedge_mode_each_side_is_decided_about_by_itself": _in_hedge_mode,
    "test_somebody_else_s_policy_decides_while_the_reference_only_watches": _somebody_elses_policy,
    "test_the_six_proofs_hold_of_a_wish_of_harvest_s_own": _proven,
}


async def test_a_day_of_candles_closes_each_rung_once_whatever_dies_in_between(
    under_way: Awaitable[None],
) -> None:
    """By the exchange's own records: three rungs of one, a loser and a turned market closed, nothing of what is calm or flat."""
    await under_way


async def test_of_two_processes_each_rung_is_proposed_by_one(under_way: Awaitable[None]) -> None:
    await under_way


async def test_killed_around_a_proposal_the_next_start_makes_it_once(under_way: Awaitable[None]) -> None:
    await under_way


async def test_beside_the_roles_that_execute_it_decides_all_the_same(under_way: Awaitable[None]) -> None:
    await under_way


async def test_what_a_freeze_skipped_is_not_taken_and_not_repeated_at_once(
    under_way: Awaitable[None],
) -> None:
    await under_way


async def test_in_hedge_mode_each_side_is_decided_about_by_itself(under_way: Awaitable[None]) -> None:
    await under_way


async def test_somebody_else_s_policy_decides_while_the_reference_only_watches(
    under_way: Awaitable[None],
) -> None:
    await under_way


async def test_the_six_proofs_hold_of_a_wish_of_harvest_s_own(under_way: Awaitable[None]) -> None:
    await under_way
