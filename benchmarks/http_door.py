"""The HTTP door under load, from several processes of clients at two doors of one log; the exchange judges.

python -m benchmarks.http_door                       # two rounds of 500 requests a second for five seconds
python -m benchmarks.http_door --per-s 200 --seconds 2 --json figures.json

Exit 1 when a close that was acknowledged is not in the exchange's books exactly once, when anything else is, when a request
is answered as it should not be, or when something leaks.
"""

import asyncio
import contextlib
import secrets
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Coroutine, Iterable, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import aiohttp
import click
import msgspec
import uvloop

from benchmarks.deployment import SURECLOSE, NotUp, Process, Venue, exchange, settings_of
from benchmarks.http_books import Books, Size, keys_of, secrets_in, size
from benchmarks.http_clients import Orders, Shot, Told
from benchmarks.http_mix import ANSWERS, UNKNOWN, Mix, Request, Sort, Wish
from benchmarks.market import Market
from benchmarks.tables import table
from sureclose.streams.connection import Log, LogSettings
from sureclose.streams.embedded import EmbeddedServer

DOORS: Final = 2
CONNECTIONS: Final = 16
"""Of one process of clients, to each door."""
_AHEAD_S: Final = 1.0
_OUTCOMES_AT_ONCE: Final = 32
_TRIES: Final = 10
_GROWTH_MIB: Final = 64.0
"""What both processes may have grown by in the second round. A finished close is kept for a while, at some KiB."""
_GROWTH_FILES: Final = 16


class Plan(msgspec.Struct, frozen=True):
    """How much of it."""

    per_s: int
    seconds: float
    clients: int
    symbols: int
    rounds: int
    seed: int


class Figures(msgspec.Struct, frozen=True):
    """One round."""

    asked: int
    per_s: float
    answered: dict[str, dict[str, int]]
    p50_ms: float
    p99_ms: float
    late_p99_ms: float
    """After its time until a request was sent: the clients' own slowness."""
    all_final_s: float
    """From the first request until every close had its outcome."""


class Report(msgspec.Struct, frozen=True):
    plan: Plan
    rounds: tuple[Figures, ...]
    sizes: tuple[Size, ...]
    keys: dict[str, int]
    wishes: int
    wrong: tuple[str, ...]


class Stage:
    """Everything that runs."""

    def __init__(
        self, folder: Path, venue: Venue, log: Log, doors: Sequence[str], pids: Sequence[int], token: str
    ) -> None:
        self.folder = folder
        self.venue = venue
        self.log = log
        self.doors = doors
        self.pids = pids
        self.token = token


@asynccontextmanager
async def staged(folder: Path, symbols: int) -> AsyncIterator[Stage]:
    """A log, an exchange, and two processes with all roles, each with its door. Raises ``NotUp``."""
    token = f"bench-{secrets.token_hex(16)}"
    async with contextlib.AsyncExitStack() as stack:
        server = await stack.enter_async_context(EmbeddedServer(folder / "log"))
        venue = await exchange(stack, folder, symbols)
        settings = settings_of(server.url, venue, folder) | {"HTTP__TOKEN": token}
        runs = []
        for number in range(DOORS):
            run = await Process.start(
                f"run-{number}",
                [*SURECLOSE, "run"],
                folder,
                {f"SURECLOSE__{name}": value for name, value in settings.items()},
            )
            stack.push_async_callback(run.stop)
            runs.append(run)
            await run.says("listening")
        await _first(run.says("resumed") for run in runs)
        log = await stack.enter_async_context(Log(LogSettings(url=server.url)))
        doors = [run.told.partition("listening")[2].partition("address=")[2].split()[0] for run in runs]
        yield Stage(folder, venue, log, doors, [run.pid for run in runs], token)


async def _first(waits: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Until one of them is there: either process may be the one that executes."""
    tasks = [asyncio.create_task(wait) for wait in waits]
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


async def volley(stage: Stage, plan: Plan, requests: Sequence[Request]) -> list[Told]:
    """Send them all, from several processes, and bring the answers into the order of the requests."""
    doors = tuple(_host_and_port(door) for door in stage.doors)
    starts_at = time.time() + _AHEAD_S
    shares = [requests[number :: plan.clients] for number in range(plan.clients)]

    async def one(number: int, shots: Sequence[Shot]) -> list[Told]:
        command = [sys.executable, "-m", "benchmarks.http_clients"]
        child = await Process.start(f"clients-{number}", command, stage.folder)
        answers = stage.folder / f"answers-{number}.json"
        orders = Orders(doors, CONNECTIONS, starts_at, tuple(shots), str(answers))
        await child.ended(msgspec.json.encode(orders) + b"\n")
        return msgspec.json.decode(answers.read_bytes(), type=list[Told])

    told = await asyncio.gather(
        *(one(number, [request.shot for request in share]) for number, share in enumerate(shares))
    )
    return [told[number % plan.clients][number // plan.clients] for number in range(len(requests))]


async def outcomes(stage: Stage, wishes: Sequence[Wish]) -> dict[str, dict[str, Any]]:
    """Each wish once more, as a client would whose answer was lost, and then its outcome; by its key."""
    headers = {"Authorization": f"Bearer {stage.token}", "Content-Type": "application/json"}
    room = asyncio.Semaphore(_OUTCOMES_AT_ONCE)
    async with aiohttp.ClientSession(headers=headers) as session:

        async def said(method: str, url: str, **more: Any) -> dict[str, Any]:
            """As a client does: what is not known now is asked again."""
            for _ in range(_TRIES):
                async with session.request(method, url, **more) as answer:
                    if answer.status < HTTPStatus.BAD_REQUEST:
                        found: dict[str, Any] = await answer.json()
                        return found
                    if answer.status not in {HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS}:
                        answer.raise_for_status()
                    await asyncio.sleep(int(answer.headers["Retry-After"]))
            raise NotUp(f"{method} {url} is not answered")

        async def one(number: int, wish: Wish) -> tuple[str, dict[str, Any]]:
            door = f"{stage.doors[number % len(stage.doors)]}/v1/closes"
            async with room:
                key = {"Idempotency-Key": wish.key}
                close = await said("POST", door, data=wish.body, headers=key)
                for _ in range(_TRIES):
                    close = await said("GET", f"{door}/{close['id']}?wait=10s")
                    if close["final"]:
                        break
                return wish.key, close

        return dict(await asyncio.gather(*(one(number, wish) for number, wish in enumerate(wishes))))


def judged(requests: Sequence[Request], told: Sequence[Told]) -> list[str]:
    """Answers that are none of those that such a request gets, and repeats that are another close."""
    wrong = []
    ids: dict[str, set[str]] = {}
    fresh: Counter[str] = Counter()
    for request, answer in zip(requests, told, strict=True):
        if answer.status not in {*ANSWERS[request.sort], UNKNOWN}:
            wrong.append(f"{request.sort}: {answer.status} {answer.body[:200]}")
        if request.wish is not None and answer.status == 202:
            ids.setdefault(request.wish.key, set()).add(msgspec.json.decode(answer.body)["id"])
            fresh[request.wish.key] += not answer.replayed
    wrong += [f"{key} has {len(found)} ids" for key, found in ids.items() if len(found) > 1]
    return wrong + [f"{key} was new {count} times" for key, count in fresh.items() if count > 1]


def _figures(requests: Sequence[Request], told: Sequence[Told], all_final_s: float) -> Figures:
    answered: dict[str, Counter[str]] = {sort: Counter() for sort in Sort}
    for request, answer in zip(requests, told, strict=True):
        answered[request.sort][str(answer.status)] += 1
    took = statistics.quantiles([one.took_s * 1_000 for one in told], n=100)
    ended = max(request.shot.at_s + one.late_s for request, one in zip(requests, told, strict=True))
    return Figures(
        asked=len(requests),
        per_s=len(requests) / ended,
        answered={sort: dict(count) for sort, count in answered.items()},
        p50_ms=took[49],
        p99_ms=took[98],
        late_p99_ms=statistics.quantiles([one.late_s * 1_000 for one in told], n=100)[98],
        all_final_s=all_final_s,
    )


async def measure(plan: Plan, folder: Path) -> Report:
    """All rounds on one deployment, then the judgement."""
    async with staged(folder, plan.symbols) as stage:
        market = await Market.open(stage.venue)
        positions = await market.listed(plan.symbols)
        await market.put(positions)
        market.close()
        mix = Mix(positions, token=stage.token, doors=DOORS, seed=plan.seed, run=secrets.token_hex(4))
        rounds, sizes, wrong = [], [size(stage.pids)], []
        closes: dict[str, dict[str, Any]] = {}
        for number in range(plan.rounds):
            requests = mix.requests(plan.per_s, plan.seconds)
            began = time.monotonic() + _AHEAD_S
            told = await volley(stage, plan, requests)
            closes = await outcomes(stage, mix.wishes)
            rounds.append(_figures(requests, told, time.monotonic() - began))
            sizes.append(size(stage.pids))
            wrong += judged(requests, told)
            click.echo(f"round {number + 1} of {plan.rounds} done", err=True)
        wrong += (await _books(stage)).faults(mix.wishes, closes)
        keys = {kind: await keys_of(stage.log.commands(), kind) for kind in ("asked", "idempotency")}
    wrong += [
        f"{count} keys of {kind} for {len(mix.wishes)} wishes"
        for kind, count in keys.items()
        if count != len(mix.wishes)
    ]
    wrong += [f"the token stands in {name}" for name in secrets_in(folder, [stage.token[:-1]])]
    if plan.rounds > 1:
        grown = sizes[-1].memory_mib - sizes[-2].memory_mib
        files = sizes[-1].open_files - sizes[-2].open_files
        if grown > _GROWTH_MIB or files > _GROWTH_FILES:
            wrong.append(f"the last round left {grown:.0f} MiB and {files} open files")
    return Report(plan, tuple(rounds), tuple(sizes), keys, len(mix.wishes), tuple(wrong))


async def _books(stage: Stage) -> Books:
    headers = {"X-MBX-APIKEY": stage.venue.api_key}
    async with (
        aiohttp.ClientSession(headers=headers, raise_for_status=True) as session,
        session.get(f"{stage.venue.rest}/paper/v1/records") as answer,
    ):
        return Books(await answer.json())


def _host_and_port(address: str) -> tuple[str, int]:
    host, _, port = address.removeprefix("http://").partition(":")
    return host, int(port)


def _said(report: Report) -> str:
    lines = [
        [
            str(number + 1),
            str(one.asked),
            f"{one.per_s:.0f}",
            f"{one.p50_ms:.1f}",
            f"{one.p99_ms:.1f}",
            f"{one.all_final_s:.1f}",
            "; ".join(
                f"{sort} {', '.join(f'{count} x {status}' for status, count in sorted(answers.items()))}"
                for sort, answers in one.answered.items()
            ),
        ]
        for number, one in enumerate(report.rounds)
    ]
    head = ["round", "requests", "per s", "p50 ms", "p99 ms", "all final after s", "answers"]
    stands = [f"{one.memory_mib:.0f} MiB, {one.open_files} open files" for one in report.sizes]
    return "\n".join(
        [
            table(head, lines),
            f"{report.wishes} closes; both processes before and after each round: {'; '.join(stands)}",
            *(f"WRONG: {what}" for what in report.wrong[:20]),
            "nothing is lost, doubled or leaked"
            if not report.wrong
            else f"{len(report.wrong)} things are wrong",
        ]
    )


@click.command(help=__doc__)
@click.option("--per-s", type=click.IntRange(1), default=500, show_default=True)
@click.option("--seconds", type=click.FloatRange(0.1), default=5.0, show_default=True)
@click.option("--clients", type=click.IntRange(1), default=3, show_default=True, help="Processes of clients.")
@click.option("--symbols", type=click.IntRange(12), default=500, show_default=True)
@click.option("--rounds", type=click.IntRange(1), default=2, show_default=True)
@click.option("--seed", type=int, default=1, show_default=True)
@click.option("--json", "figures", type=click.Path(path_type=Path), help="Write the report there.")
def main(
    per_s: int, seconds: float, clients: int, symbols: int, rounds: int, seed: int, figures: Path | None
) -> None:
    plan = Plan(per_s, seconds, clients, symbols, rounds, seed)
    with tempfile.TemporaryDirectory(prefix="sureclose-bench-") as folder:
        report = uvloop.run(measure(plan, Path(folder)))
    if figures is not None:
        figures.write_bytes(msgspec.json.encode(report))
    click.echo(_said(report))
    sys.exit(1 if report.wrong else 0)


if __name__ == "__main__":
    main()
