"""``python -m benchmarks.switching``: what a switch of paths costs the closes that come in meanwhile.

Decisions at a steady pace, a switch to PATH 1A and one back. By the exchange's clock: how long no order came in around each
switch, beside the longest pause without one, and how long decisions waited for their order.
"""

import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

import click
import msgspec

from benchmarks.deployment import Deployment, Process, running
from benchmarks.market import Market
from benchmarks.producer import Producer
from benchmarks.sides import OURS

_SURECLOSE = (sys.executable, "-m", "sureclose")


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """Milliseconds, but for ``closes`` and the rate."""

    closes: int
    per_second: float
    pause_at_switch_ms: tuple[float, ...]
    longest_other_pause_ms: float
    command_ms: tuple[float, ...]
    p50_ms: float
    p99_ms: float
    longest_ms: float


async def measure(closes: int, rate: float) -> Found:
    """One run; raises ``NotFlat`` unless every close was one order."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        async with running(folder, closes, settings={"VENUE__POSITION_INTERVAL_MS": "0"}) as deployment:
            environment = _environment(deployment, folder)
            brain = await Process.start(
                "brain", [*_SURECLOSE, "run", "--roles", "harvest-brain"], folder, environment
            )
            market = await Market.open(deployment.venue)
            producer = await Producer.open(OURS, market, deployment.log_url)
            try:
                await brain.says("group_created")
                closing = asyncio.create_task(
                    producer.steady(await market.listed(closes), every_s=1 / rate), name="closes"
                )
                switches = [
                    await _switch(path, folder, environment, closes / rate / 4) for path in ("1A", "1B")
                ]
                return _found(rate, (await closing).values(), switches)
            finally:
                producer.close()
                market.close()
                await brain.stop()


async def _switch(path: str, folder: Path, environment: dict[str, str], after_s: float) -> tuple[int, int]:
    """When the command began and ended."""
    await asyncio.sleep(after_s)
    began = time.time_ns()
    command = await Process.start(
        f"switch-{path}", [*_SURECLOSE, "authority", "switch", path, "--yes", "--json"], folder, environment
    )
    await command.first_line()
    ended = time.time_ns()
    await command.stop()
    return began, ended


def _environment(deployment: Deployment, folder: Path) -> dict[str, str]:
    wanted = {
        "REDIS__URL": deployment.log_url,
        "VENUE__BASE_URL": deployment.venue.rest,
        "VENUE__STREAM_URL": deployment.venue.stream,
        "VENUE__API_KEY": deployment.venue.api_key,
        "VENUE__API_SECRET": deployment.venue.api_secret,
        "VENUE__COUNT_LIMITS": "false",
        "VENUE__POSITION_INTERVAL_MS": "0",
        "HTTP__PORT": "0",
        "DATA__DIR": str(folder / "data"),
    }
    return {f"SURECLOSE__{name}": value for name, value in wanted.items()}


def _found(rate: float, times: Iterable[tuple[int, int]], switches: list[tuple[int, int]]) -> Found:
    times = list(times)
    waits = sorted((sent - decided) / 1e6 for decided, sent in times)
    pauses = [((later - one) / 1e6, one, later) for one, later in pairwise(sorted(sent for _, sent in times))]
    at_switch = [
        max(ms for ms, one, later in pauses if later > began and one < ended) for began, ended in switches
    ]
    others = [ms for ms, one, later in pauses if not any(later > a and one < b for a, b in switches)]
    return Found(
        closes=len(times),
        per_second=rate,
        pause_at_switch_ms=tuple(at_switch),
        longest_other_pause_ms=max(others),
        command_ms=tuple((ended - began) / 1e6 for began, ended in switches),
        p50_ms=statistics.median(waits),
        p99_ms=waits[int(len(waits) * 0.99)],
        longest_ms=waits[-1],
    )


@click.command()
@click.option("--closes", default=1_200, show_default=True)
@click.option("--rate", default=100.0, show_default=True, help="Decisions in a second.")
def main(closes: int, rate: float) -> None:
    """Measure, and print one JSON document."""
    found = asyncio.run(measure(closes, rate))
    click.echo(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())


if __name__ == "__main__":
    main()
