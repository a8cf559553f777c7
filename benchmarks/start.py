"""From a process's start to its first entry read, with thousands of closes in the log, beside a bare client.

python -m benchmarks.start                    # 10,000 closes, three starts each
python -m benchmarks.start --closes 1000 --starts 1 --json figures.json
"""

import asyncio
import contextlib
import os
import statistics
import sys
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Final

import click
import msgspec
import uvloop

from benchmarks.deployment import NotUp, Process, Venue
from benchmarks.filling import Filling
from benchmarks.tables import table
from sureclose.services.pulse import ask
from sureclose.streams.connection import Log, LogSettings
from sureclose.streams.embedded import EmbeddedServer
from sureclose.streams.wire import Wire
from sureclose.venue.clock import wall_ms

_SURECLOSE: Final = (sys.executable, "-m", "sureclose")
_BARE: Final = (
    "import sys, time, redis, aiohttp; redis.Redis.from_url(sys.argv[1]).ping(); print(time.process_time())"
)
PREFIX: Final = "quantum:stream:"
ENTRY: Final = ("plan_id", "one", "symbol", "ETHUSDT", "decision", "SKIP", "approved", "False")
"""The one that waits to be read."""
PATIENCE_S: Final = 120.0
AGE_MS: Final = 600_000
"""How old the closes in the log are."""


class Starts(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds from the start of a process to what is measured, and those of a processor that it took until then.

    On a machine that does other things too, the second is the one that means something.
    """

    what: str
    seconds: tuple[float, ...]
    cpu_seconds: tuple[float, ...]


class Report(msgspec.Struct, frozen=True):
    facts: dict[str, str]
    rows: tuple[Starts, ...]


async def _bare(url: str, starts: int) -> Starts:
    """What nobody can be faster than: both libraries, and one answer of the log."""
    seconds, cpu = [], []
    for _ in range(starts):
        began = perf_counter()
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", _BARE, url, stdout=asyncio.subprocess.PIPE
        )
        told, _ = await child.communicate()
        assert child.returncode == 0
        seconds.append(perf_counter() - began)
        cpu.append(float(told))
    what = "bare client: import redis, aiohttp; PING answered"
    return Starts(what=what, seconds=tuple(seconds), cpu_seconds=tuple(cpu))


class Bench:
    """A log, an exchange, and executors that are started on them."""

    def __init__(self, folder: Path, server: EmbeddedServer, log: Log, venue: Venue) -> None:
        self._folder = folder
        self._server = server
        self._log = log
        self._environment = {
            "SURECLOSE__REDIS__URL": server.url,
            "SURECLOSE__VENUE__BASE_URL": venue.rest,
            "SURECLOSE__VENUE__STREAM_URL": venue.stream,
            "SURECLOSE__VENUE__API_KEY": venue.api_key,
            "SURECLOSE__VENUE__API_SECRET": venue.api_secret,
            "SURECLOSE__HTTP__PORT": "0",
            "SURECLOSE__JOURNAL__KEEP_FINISHED": "1000000",
        }

    async def starts(self, what: str, starts: int, open_closes: int, finished: int) -> Starts:
        seconds, cpu = [], []
        wire: Wire = self._log.commands()
        for number in range(starts):
            await wire.execute_command(b"FLUSHALL")
            filling = Filling(wire, PREFIX, wall_ms() - AGE_MS)
            await filling.open()
            await filling.unfinished(range(open_closes))
            await filling.finished(range(open_closes, open_closes + finished))
            await wire.execute_command(b"DEL", filling.keys.lease)
            await wire.execute_command(b"XADD", PREFIX + "apply.result", b"*", *ENTRY)
            name = f"{what}-{number}".replace(" ", "-").replace(",", "")
            taken, of_a_processor = await self._start(filling, name)
            seconds.append(taken)
            cpu.append(of_a_processor)
        return Starts(what=what, seconds=tuple(seconds), cpu_seconds=tuple(cpu))

    async def _start(self, filling: Filling, name: str) -> tuple[float, float]:
        began = wall_ms()
        # A folder of its own: one that knows the log of before would take this one for a log that was lost.
        environment = self._environment | {"SURECLOSE__DATA__DIR": str(self._folder / name)}
        service = await Process.start(
            name, [*_SURECLOSE, "run", "--roles", "execution"], self._folder, environment
        )
        try:
            async with asyncio.timeout(PATIENCE_S):
                while True:
                    pulse = await ask(filling.wire, filling.keys)
                    if pulse is not None and pulse.first_read_at:
                        return (pulse.first_read_at - began) / 1000, service.cpu_seconds
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise NotUp(f"no entry was read: {service.told[-800:]}") from None
        finally:
            await service.stop()


async def measure(closes: int, starts: int) -> Report:
    with tempfile.TemporaryDirectory(prefix="sureclose-bench-") as name:
        folder = Path(name)
        async with contextlib.AsyncExitStack() as stack:
            server = await stack.enter_async_context(EmbeddedServer(folder / "log"))
            settings = LogSettings(url=server.url, socket_timeout_s=60.0)
            log = await stack.enter_async_context(Log(settings))
            paper = await Process.start("paper", [*_SURECLOSE, "paper", "--limits", "off"], folder)
            stack.push_async_callback(paper.stop)
            venue = msgspec.json.decode(await paper.first_line(), type=Venue)
            bench = Bench(folder, server, log, venue)
            rows = [
                await _bare(server.tcp_url, starts),
                await bench.starts(f"first entry read, {closes:,} open closes", starts, closes, 0),
                await bench.starts("first entry read, empty log", starts, 0, 0),
                await bench.starts(f"first entry read, {closes:,} finished closes", starts, 0, closes),
            ]
    facts = {"load of the machine": f"{os.getloadavg()[0]:.1f}", "starts of each": str(starts)}
    return Report(facts, tuple(rows))


@click.command()
@click.option("--closes", type=click.IntRange(1), default=10_000, show_default=True)
@click.option("--starts", type=click.IntRange(1), default=3, show_default=True)
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write the figures there.")
def main(*, closes: int, starts: int, json_file: Path | None) -> None:
    """Measure how long a process takes from its start to the first entry that it reads."""
    report = uvloop.run(measure(closes, starts))
    rows = [
        (
            row.what,
            f"{min(row.seconds):.2f}",
            f"{statistics.median(row.seconds):.2f}",
            f"{max(row.seconds):.2f}",
            f"{statistics.median(row.cpu_seconds):.2f}",
        )
        for row in report.rows
    ]
    click.echo(table(("run", ""), tuple(report.facts.items())))
    click.echo()
    click.echo(table(("from the process's start to", "min, s", "median", "max", "processor, median"), rows))
    if json_file is not None:
        json_file.write_bytes(msgspec.json.encode(report))


if __name__ == "__main__":
    main()
