"""``python -m benchmarks``: measure, print, and write the figures down where asked."""

import os
import platform
import random
import sys
import tempfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import click
import msgspec
import uvloop

from benchmarks import figures, tables
from benchmarks.deployment import Deployment, running
from benchmarks.figures import Round, Row, Sample
from benchmarks.hops import HopTime, hop_times
from benchmarks.instrumented import FILE, Span
from benchmarks.market import Market
from benchmarks.producer import Producer, Timed
from benchmarks.sides import FLOOR, OURS
from sureclose.cli.logs import configure as configure_logs


class Plan(msgspec.Struct, frozen=True):
    """How much is measured. ``closes`` are of one block, of which a round has two a side."""

    rounds: int = 4
    closes: int = 10
    burst: int = 500
    hops: int = 15
    warm_up: int = 5
    pause_ms: int = 260
    """Between two closes. Sureclose reads positions at most every 250 ms: sooner, the one close waits for the other."""
    jitter_ms: int = 50
    """Added to the pause at random, so that no timer of the venue beats in time with it."""

    settings: dict[str, str] = {}
    """Of Sureclose, other than its defaults, such as ``VENUE__POSITION_INTERVAL_MS``."""

    @property
    def symbols(self) -> int:
        return max(self.burst, self.closes + 1, self.hops + 1, self.warm_up)


QUICK = Plan(rounds=2, closes=3, burst=200, hops=5, warm_up=2)


class Report(msgspec.Struct, frozen=True):
    """Everything that ``--json`` has."""

    facts: tuple[tuple[str, str], ...]
    plan: Plan
    rows: tuple[Row, ...]
    hops: tuple[HopTime, ...]
    rounds: tuple[Round, ...]


class Bench:
    """One deployment under measurement."""

    def __init__(self, plan: Plan, market: Market, sides: tuple[Producer, Producer]) -> None:
        self._plan = plan
        self._market = market
        self._ours, self._floor = sides

    @classmethod
    async def open(cls, plan: Plan, deployment: Deployment) -> "Bench":
        market = await Market.open(deployment.venue)
        ours = await Producer.open(OURS, market, deployment.log_url)
        return cls(plan, market, (ours, await Producer.open(FLOOR, market, deployment.log_url)))

    def close(self) -> None:
        for connection in (self._market, self._ours, self._floor):
            connection.close()

    async def rounds(self, pause: Callable[[], float]) -> list[Round]:
        """Warm up, then measure all rounds."""
        plan, found = self._plan, []
        positions = await self._market.listed(plan.symbols)
        for side in (self._floor, self._ours):
            await side.one_by_one(positions[: plan.warm_up], pause)
            await side.at_once(positions[: plan.burst])
        for number in range(plan.rounds):
            blocks = [
                (
                    side,
                    (await side.one_by_one(positions[: plan.closes + 1], pause))[1:],
                    await side.at_once(positions[: plan.burst]),
                )
                for side in (self._floor, self._ours, self._ours, self._floor)
            ]
            samples = {
                side: Sample(
                    tuple(close for of, closes, _ in blocks if of is side for close in closes),
                    tuple(burst for of, _, burst in blocks if of is side),
                )
                for side in (self._ours, self._floor)
            }
            found.append(Round(ours=samples[self._ours], floor=samples[self._floor]))
            click.echo(f"round {number + 1} of {plan.rounds} done", err=True)
        return found

    async def some(self, pause: Callable[[], float]) -> tuple[Sequence[Timed], Sequence[Timed]]:
        """Closes of both sides for the hops, the first of each dropped."""
        positions = (await self._market.listed(self._plan.symbols))[: self._plan.hops + 1]
        floor = await self._floor.one_by_one(positions, pause)
        return (await self._ours.one_by_one(positions, pause))[1:], floor[1:]


async def measure(plan: Plan, seed: int) -> Report:
    """The rounds, then the hops with Sureclose under a stopwatch, each on a deployment of its own."""
    chance = random.Random(seed)

    def pause() -> float:
        return (plan.pause_ms + chance.random() * plan.jitter_ms) / 1000

    load_before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="sureclose-bench-") as folder:
        async with running(Path(folder), plan.symbols, settings=plan.settings) as deployment:
            bench = await Bench.open(plan, deployment)
            rounds = await bench.rounds(pause)
            bench.close()
    with tempfile.TemporaryDirectory(prefix="sureclose-bench-") as folder:
        stopwatch = [sys.executable, "-m", "benchmarks.instrumented"]
        async with running(Path(folder), plan.symbols, stopwatch, plan.settings) as deployment:
            bench = await Bench.open(plan, deployment)
            ours, floor = await bench.some(pause)
            bench.close()
        spans = msgspec.json.decode((Path(folder) / FILE).read_bytes(), type=list[Span])
    facts = {
        "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "machine": f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}",
        "load of the machine": f"{load_before:.1f} before, {os.getloadavg()[0]:.1f} after",
        "software": f"Python {platform.python_version()}, {deployment.server}, appendfsync always",
        "rounds": f"{plan.rounds}, each floor, Sureclose, Sureclose, floor",
        "closes one by one": f"{2 * plan.rounds * plan.closes} a side",
        "closes at once": f"{2 * plan.rounds} bursts of {plan.burst} a side",
        "settings": ", ".join(f"{name}={value}" for name, value in plan.settings.items()) or "defaults",
    }
    return Report(
        facts=tuple(facts.items()),
        plan=plan,
        rows=tuple(figures.rows(rounds)),
        hops=tuple(hop_times(ours, spans, floor)),
        rounds=tuple(rounds),
    )


class Setting(click.ParamType[tuple[str, str]]):
    """``SECTION__KEY=VALUE``."""

    name = "SECTION__KEY=VALUE"

    def convert(
        self, value: str | tuple[str, str], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        if isinstance(value, tuple):
            return value
        name, separator, text = value.partition("=")
        if not separator or "__" not in name:
            self.fail(f"{value!r} is not of the form {self.name}", param, ctx)
        return name, text


@click.command()
@click.option("--quick", is_flag=True, help="About half a minute instead of two and a half.")
@click.option("--rounds", type=click.IntRange(1), help="Rounds of floor, Sureclose, Sureclose, floor.")
@click.option("--closes", type=click.IntRange(1), help="Closes one by one in each block.")
@click.option("--burst", type=click.IntRange(2, 500), help="Closes at once, each of a symbol of its own.")
@click.option("--hops", type=click.IntRange(1), help="Closes under the stopwatch.")
@click.option(
    "--warm-up", type=click.IntRange(1), help="Closes of each side that are made first and dropped."
)
@click.option("--pause-ms", type=click.IntRange(0), help="Between two closes one by one.")
@click.option("--jitter-ms", type=click.IntRange(0), help="At most so much is added to each pause.")
@click.option("--seed", default=1, show_default=True, help="Of the jitter.")
@click.option(
    "--set", "settings", type=Setting(), multiple=True, help="A setting of Sureclose, to see what it does."
)
@click.option(
    "--json", "json_file", type=click.Path(path_type=Path), help="Write everything there, times included."
)
@click.option(
    "--write", type=click.Path(path_type=Path), help="Write the tables between the markers of that page."
)
def main(
    *,
    quick: bool,
    seed: int,
    settings: tuple[tuple[str, str], ...],
    json_file: Path | None,
    write: Path | None,
    **wanted: int | None,
) -> None:
    """Measure rows 1 to 3 of the budget beside a floor, on processes of their own."""
    configure_logs(verbose=False)
    given = {name: value for name, value in wanted.items() if value is not None}
    plan = msgspec.structs.replace(QUICK if quick else Plan(), settings=dict(settings), **given)
    report = uvloop.run(measure(plan, seed))
    text = tables.page(report.facts, report.rows, report.hops)
    click.echo(text)
    if json_file is not None:
        json_file.write_bytes(msgspec.json.encode(report))
    if write is not None:
        tables.write(write, text)


if __name__ == "__main__":
    main()
