"""Draining a stale backlog, beside a bare hiredis loop that reads and acknowledges the same entries on the same log.

python -m benchmarks.backlog                    # 164,515 entries, three pairs; about a minute
python -m benchmarks.backlog --entries 20000 --pairs 1 --json figures.json
"""

import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Any, Final
from urllib.parse import urlsplit

import click
import hiredis
import msgspec
import uvloop

from benchmarks.stale import Entry, fresh, stale
from benchmarks.tables import table
from sureclose.streams.embedded import EmbeddedServer
from sureclose.venue.clock import wall_ms

PREFIX: Final = "quantum:stream:"
STREAM: Final = PREFIX + "apply.result"
FRESH: Final = 50
PAGES: Final = (500, 1_000, 2_000)
"""COUNT of the bare loop: before the pairs each is tried once, and the fastest is the floor."""
_CHUNK: Final = 1_000


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds without start-up, and those of a processor, client and server together.

    On a machine that does other things too, the second is the one that means something.
    """

    seconds: float
    cpu_seconds: float


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """Both sides in one go, and the peak memory of ours."""

    ours: Side
    floor: Side
    peak_mib: float
    skipped: int
    kept: int

    @property
    def ratio(self) -> float:
        return self.ours.seconds / self.floor.seconds

    @property
    def cpu_ratio(self) -> float:
        return self.ours.cpu_seconds / self.floor.cpu_seconds


class Drained(msgspec.Struct, frozen=True, kw_only=True):
    """One ``sureclose backlog drain``; its processor seconds have the start in them."""

    told: dict[str, Any]
    client_cpu: float
    server_cpu: float
    peak_mib: float


class Report(msgspec.Struct, frozen=True):
    facts: dict[str, str]
    pairs: tuple[Pair, ...]
    small_peak_mib: float
    """Ours with a tenth of the entries: what is not flat shows as a difference."""


class Bare:
    """A socket and hiredis: one command, one answer."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None
        assert parts.port is not None
        self._socket = socket.create_connection((parts.hostname, parts.port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._reader = hiredis.Reader()
        if parts.password:
            self.ask("AUTH", parts.password)

    def ask(self, *command: str | bytes | int) -> Any:
        self._socket.sendall(hiredis.pack_command(command))  # type: ignore[arg-type]  # its stub knows tuples of one
        return self.answer()

    def answer(self) -> Any:
        while True:
            found = self._reader.gets()
            if found is not False:
                if isinstance(found, hiredis.HiredisError):
                    raise found
                return found
            self._reader.feed(self._socket.recv(1 << 16))

    def cpu(self) -> float:
        """Seconds of a processor that the server took so far."""
        lines = (line.partition(":") for line in self.ask("INFO", "cpu").decode().splitlines())
        used = {name: value for name, _, value in lines}
        return float(used["used_cpu_user"]) + float(used["used_cpu_sys"])

    def add(self, entries: Iterable[Entry]) -> None:
        """In chunks, since each answer is a write to disk."""
        sent: list[bytes] = []
        for entry_id, fields in entries:
            sent.append(hiredis.pack_command(("XADD", STREAM, entry_id, *fields)))  # type: ignore[arg-type]
            if len(sent) == _CHUNK:
                self._flush(sent)
        self._flush(sent)

    def _flush(self, sent: list[bytes]) -> None:
        self._socket.sendall(b"".join(sent))
        for _ in sent:
            self.answer()
        sent.clear()


def floor(bare: Bare, group: str, page: int) -> Side:
    """Read and acknowledge all of it."""
    bare.ask("XGROUP", "CREATE", STREAM, group, "0")
    server, client, began = bare.cpu(), process_time(), perf_counter()
    while reply := bare.ask("XREADGROUP", "GROUP", group, "bare", "COUNT", page, "STREAMS", STREAM, ">"):
        bare.ask("XACK", STREAM, group, *(entry[0] for entry in reply[0][1]))
    took = Side(seconds=perf_counter() - began, cpu_seconds=process_time() - client + bare.cpu() - server)
    bare.ask("XGROUP", "DESTROY", STREAM, group)
    return took


def ours(bare: Bare, url: str, folder: Path, group: str, start: str = "0") -> Drained:
    """Drain a group that was made behind ``start``."""
    bare.ask("XGROUP", "CREATE", STREAM, group, start)
    server = bare.cpu()
    settings = {
        "REDIS__URL": url,
        "STREAMS__PREFIX": PREFIX,
        "DATA__DIR": str(folder / "data"),
        # No exchange is asked: there is nothing to send.
        "VENUE__BASE_URL": "http://127.0.0.1:9",
        "VENUE__STREAM_URL": "ws://127.0.0.1:9",
        "VENUE__API_KEY": "none",
        "VENUE__API_SECRET": "none",
    }
    command = [sys.executable, "-m", "sureclose", "backlog", "drain", group, "--yes", "--json"]
    output = folder / f"{group}.json"
    with output.open("wb") as out:
        child = subprocess.Popen(
            command,
            stdout=out,
            env=os.environ | {f"SURECLOSE__{name}": value for name, value in settings.items()},
        )
        _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise RuntimeError(f"the drain ended with {child.returncode}")
    found = Drained(
        told=json.loads(output.read_text()),
        client_cpu=used.ru_utime + used.ru_stime,
        server_cpu=bare.cpu() - server,
        peak_mib=used.ru_maxrss / 1024,
    )
    bare.ask("XGROUP", "DESTROY", STREAM, group)
    bare.ask("DEL", f"{PREFIX}sureclose:paper:main:backlog")
    return found


def measure(server: EmbeddedServer, folder: Path, entries: int, pairs: int, *, today: bool) -> Report:
    bare = Bare(server.tcp_url)
    url = server.tcp_url
    fill(bare, entries // 10, today=today)
    small = ours(bare, url, folder, "small")
    bare.ask("DEL", STREAM)
    fill(bare, entries, today=today)
    starting = median(ours(bare, url, folder, f"empty{number}", "$").client_cpu for number in range(3))
    page = min(PAGES, key=lambda count: floor(bare, f"try{count}", count).seconds)
    found = []
    for number in range(pairs):
        # Who begins takes turns, so that a drift of the machine falls on both.
        before = floor(bare, f"floor{number}", page) if number % 2 else None
        drained = ours(bare, url, folder, f"ours{number}")
        after = floor(bare, f"floor{number}", page) if before is None else before
        found.append(
            Pair(
                ours=Side(
                    seconds=drained.told["seconds"],
                    cpu_seconds=drained.client_cpu - starting + drained.server_cpu,
                ),
                floor=after,
                peak_mib=drained.peak_mib,
                skipped=drained.told["skipped"],
                kept=drained.told["kept_count"],
            )
        )
    facts = {
        "software": f"{server.server.name} {server.server.version}" if server.server else "",
        "entries": f"{entries:,}, of which {FRESH} fresh approvals",
        "appendfsync": bare.ask("CONFIG", "GET", "appendfsync")[1].decode(),
        "COUNT of the bare loop": str(page),
        "load of the machine": f"{os.getloadavg()[0]:.1f}",
    }
    return Report(facts, tuple(found), small.peak_mib)


def fill(bare: Bare, entries: int, *, today: bool) -> None:
    now = wall_ms()
    bare.add(stale(entries - FRESH, now, today=today))
    bare.add(fresh(FRESH, now))


async def _measured(entries: int, pairs: int, *, today: bool) -> Report:
    with tempfile.TemporaryDirectory(prefix="sureclose-bench-") as name:
        async with EmbeddedServer(Path(name) / "log") as server:
            return await asyncio.to_thread(measure, server, Path(name), entries, pairs, today=today)


@click.command()
@click.option("--entries", type=click.IntRange(1_000), default=164_515, show_default=True)
@click.option("--pairs", type=click.IntRange(1), default=3, show_default=True)
@click.option("--today", is_flag=True, help="Ids of the last hours: none is too old by its id.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write the figures there.")
def main(*, entries: int, pairs: int, today: bool, json_file: Path | None) -> None:
    """Measure a drain beside the bare loop."""
    report = uvloop.run(_measured(entries, pairs, today=today))
    rows = [
        (
            str(number),
            f"{pair.ours.seconds:.2f}",
            f"{pair.floor.seconds:.2f}",
            f"{pair.ratio:.2f}",
            f"{pair.ours.cpu_seconds:.2f}",
            f"{pair.floor.cpu_seconds:.2f}",
            f"{pair.cpu_ratio:.2f}",
            f"{pair.peak_mib:.0f}",
            f"{pair.skipped:,}",
            f"{pair.kept:,}",
        )
        for number, pair in enumerate(report.pairs, 1)
    ]
    head = (
        "pair",
        "Sureclose, s",
        "bare, s",
        "ratio",
        "CPU, s",
        "bare CPU, s",
        "CPU ratio",
        "peak, MiB",
        "skipped",
        "left",
    )
    click.echo(table(("run", ""), tuple(report.facts.items())))
    click.echo()
    click.echo(table(head, rows))
    for what, ratios in (
        ("ratio", [pair.ratio for pair in report.pairs]),
        ("ratio of processor time", [pair.cpu_ratio for pair in report.pairs]),
    ):
        told = f"min {min(ratios):.2f}, median {median(ratios):.2f}, max {max(ratios):.2f}"
        click.echo(f"\n{what}: {told}; goal <= 1.5")
    click.echo(f"peak memory with a tenth of the entries: {report.small_peak_mib:.0f} MiB")
    if json_file is not None:
        json_file.write_bytes(msgspec.json.encode(report))


if __name__ == "__main__":
    main()
