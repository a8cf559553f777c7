"""The log's memory while closes finish: with their archiving, without it, and that of a bare server beside it.

python -m benchmarks.memory                    # 100,000 closes; some minutes
python -m benchmarks.memory --closes 5000 --json figures.json
"""

import logging
import os
import tempfile
from pathlib import Path
from typing import Final

import click
import msgspec
import structlog
import uvloop

from benchmarks.filling import ACCOUNT, Filling
from benchmarks.tables import table
from sureclose.journal.archive import Archive, Keeping
from sureclose.operate.session import segments_folder
from sureclose.services.archiver import Archiver
from sureclose.services.settings import JournalSettings
from sureclose.services.trimmer import TRIMMED, Trimmer
from sureclose.streams.connection import Log, LogSettings
from sureclose.streams.embedded import EmbeddedServer
from sureclose.streams.wire import Wire
from sureclose.venue.clock import wall_ms

BATCH: Final = 1_000
BETWEEN_MS: Final = 60_000
"""The log's time from one batch to the next: closes that are a minute old may leave."""
UNTRIMMED: Final = 5_000
"""Closes that stay in the log, to show what each of them takes there."""


class Stand(msgspec.Struct, frozen=True, kw_only=True):
    """What the server holds after so many finished closes."""

    what: str
    finished: int
    used_mib: float
    keys: int
    records: int
    segments_mib: float


class Report(msgspec.Struct, frozen=True):
    facts: dict[str, str]
    stands: tuple[Stand, ...]
    slowest_script_ms: float
    """The longest that the server stood still for one script."""


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*.jsonl")) if folder.exists() else 0


async def _stand(wire: Wire, filling: Filling, what: str, finished: int, folder: Path) -> Stand:
    info: bytes = await wire.execute_command(b"INFO", "memory")
    used = next(line for line in info.splitlines() if line.startswith(b"used_memory:"))
    return Stand(
        what=what,
        finished=finished,
        used_mib=int(used.partition(b":")[2]) / 2**20,
        keys=await wire.execute_command(b"DBSIZE"),
        records=await wire.execute_command(b"XLEN", filling.keys.journal),
        segments_mib=_size(folder) / 2**20,
    )


async def _slowest_script(wire: Wire) -> float:
    """In milliseconds, by the server's own log of what was slow; the anchors are the longest scripts there are."""
    found: list[list[int]] = await wire.execute_command(b"SLOWLOG", "GET", 128)
    return max((entry[2] for entry in found), default=0) / 1000


async def measure(closes: int, told: list[int]) -> Report:
    settings = JournalSettings()
    stands: list[Stand] = []
    with tempfile.TemporaryDirectory(prefix="sureclose-bench-") as name:
        folder = segments_folder(Path(name), ACCOUNT)
        async with (
            EmbeddedServer(Path(name) / "log") as server,
            Log(LogSettings(url=server.url, socket_timeout_s=60.0)) as log,
        ):
            wire: Wire = log.commands()
            # What is held in memory does not depend on the disk, and most of the time would.
            await wire.execute_command(b"CONFIG", "SET", "appendfsync", "no")
            filling = Filling(wire, "quantum:stream:", wall_ms())
            await filling.open()
            stands.append(await _stand(wire, filling, "bare server", 0, folder))
            other = Filling(wire, "untrimmed:", wall_ms())
            await other.open()
            untrimmed = min(closes, UNTRIMMED)
            await other.finished(range(untrimmed))
            stands.append(await _stand(wire, other, "nothing archived or trimmed", untrimmed, folder))
            await wire.execute_command(b"FLUSHALL")
            await filling.open()
            await wire.execute_command(b"CONFIG", "SET", "slowlog-log-slower-than", 1_000)
            await wire.execute_command(b"SLOWLOG", "RESET")
            keeping = Keeping(
                closes=settings.keep_finished,
                ms=settings.archive_after_s * 1000,
                segment=settings.segment_closes,
            )
            archive = Archive(wire, filling.keys, lambda: filling.at, keeping, host="bench", folder=folder)
            archiver = Archiver(archive, ACCOUNT, lambda: filling.lease)
            streams = tuple(filling.prefix + stream for stream in TRIMMED)
            trimmer = Trimmer(wire, streams, settings.keep_entries, lambda: True)
            for first in range(0, closes, BATCH):
                await filling.finished(range(first, min(first + BATCH, closes)))
                filling.at += BETWEEN_MS
                while await archiver.round(filling.lease):
                    pass
                for stream in streams:
                    await trimmer.round(stream)
                done = min(first + BATCH, closes)
                if done in told or done == closes:
                    stands.append(await _stand(wire, filling, "archived and trimmed", done, folder))
            slowest = await _slowest_script(wire)
            server_name = f"{server.server.name} {server.server.version}" if server.server else ""
    facts = {
        "software": server_name,
        "kept in the log": f"{settings.keep_finished} finished closes, {settings.keep_entries} entries a stream",
        "load of the machine": f"{os.getloadavg()[0]:.1f}",
    }
    return Report(facts, tuple(stands), slowest)


@click.command()
@click.option("--closes", type=click.IntRange(1), default=100_000, show_default=True)
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write the figures there.")
def main(*, closes: int, json_file: Path | None) -> None:
    """Measure what finished closes leave in the log."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    report = uvloop.run(measure(closes, [2_000, 10_000, 20_000, 50_000]))
    rows = [
        (
            stand.what,
            f"{stand.finished:,}",
            f"{stand.used_mib:.1f}",
            f"{stand.keys:,}",
            f"{stand.records:,}",
            f"{stand.segments_mib:.1f}",
        )
        for stand in report.stands
    ]
    head = ("log", "finished closes", "used memory, MiB", "keys", "records", "segments on disk, MiB")
    click.echo(table(("run", ""), tuple(report.facts.items())))
    click.echo()
    click.echo(table(head, rows))
    click.echo(f"\nthe longest that the server stood still for one script: {report.slowest_script_ms:.1f} ms")
    if json_file is not None:
        json_file.write_bytes(msgspec.json.encode(report))


if __name__ == "__main__":
    main()
