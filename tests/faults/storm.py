"""``python -m tests.faults.storm``: every fault by chance, thousands of closes, and the exchange's books as the judge.

Each symbol has one close after the other: a position is put there, all or a part of it is asked for, and when the outcome
is out the rest is closed or a new position is put. A close is judged by the orders and trades of its own span of time, so
that an effect that comes late is one too many in the next.
"""

import argparse
import asyncio
import json
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from redis.asyncio import Redis

from sureclose.streams.embedded import EmbeddedServer
from tests.acceptance.world import QUICK, Held, Market, World, beside, decision, exchange, now_ms, token
from tests.faults.judging import outcome_text
from tests.faults.scenario import LIST, ORDER, POSITIONS, QUERY, TRADES
from tests.faults.staging import control
from tests.faults.storm_judging import Book, Round, verdict
from tests.faults.watching import Watch, watching

AT_ONCE: Final = 200
"""Closes under way: fewer than one executor takes in."""
WRITERS: Final = 20
"""Connections of the producer."""
PATIENCE_S: Final = 60.0
QUIET_S: Final = 1.5
"""After the last outcome, until the books are read: longer than the window of an order."""
SELDOM: Final = 20
"""What stops everything for a while strikes so many times less often."""
PARTS: Final = ("1", "1", "1", "0.5", "0.25", "0.75")
DOUBLED: Final = 0.1
"""The share of decisions that are delivered twice."""

_ANSWERS: Final = (
    "unknown_503",
    "unavailable_503",
    "internal_503",
    "throttled_503",
    "timeout_408",
    "timeout_1007",
    "answer_html",
    "answer_cut",
)
_ONLY_AFTER: Final = (
    "unexpected_1006",
    "answer_dropped",
    "answer_then_cut",
    "answer_truncated",
    "answer_html_ok",
)
_REFUSED: Final = (-1008, -1021, -1112, -2020, -2022, -4061, -4118, -4131, -5028)
_READS: Final = (QUERY, LIST, TRADES, POSITIONS)


@dataclass(frozen=True)
class Armed:
    """One fault at its rate; the name is what the table of strikes calls it."""

    name: str
    request: dict[str, Any]


def faults(rate: Decimal) -> list[Armed]:
    """All that make sense as chance."""
    seldom = rate / SELDOM
    found = [_armed(name, rate) for name in (*_ANSWERS, *(f"{name}_not_executed" for name in _ANSWERS))]
    found += [_armed(name, rate) for name in (*_ONLY_AFTER, "request_dropped")]
    found += [_armed("answer_slow", rate, ms=300), _armed("answer_delayed", rate, ms=800)]
    found += [_armed("execution_delayed", rate, until_deadline_ms=until) for until in (150, 0, -1)]
    found += [_armed("execution_delayed", rate, until_deadline_ms=0, answer="hang_up")]
    found += [_armed("refused", rate, code=code) for code in _REFUSED]
    found += [_armed("partial_fill", rate, fraction=fraction) for fraction in ("0.5", "0")]
    found += [_armed("liquidated", rate, adl=adl) for adl in (False, True)]
    found += [_armed("rate_limited", seldom, ms=1000)]
    found += [
        _armed(name, rate, route)
        for name in ("unavailable_503", "answer_html_ok", "answer_cut")
        for route in _READS
    ]
    found += [_armed(name, rate, "", ms=600) for name in ("read_lag", "list_lag")]
    found += [_armed("position_lag", rate, POSITIONS, ms=600)]
    found += [_armed("stream_late", rate, "", ms=300), _armed("stream_reordered", rate, "", ms=300)]
    found += [_armed("stream_silent", rate, ""), _armed("stream_doubled", rate, "")]
    found += [_armed("stream_cut", seldom, "")]
    return found


def _armed(name: str, rate: Decimal, route: str = ORDER, **more: Any) -> Armed:
    match = {"match": {"route": route}} if route else {}
    said = " ".join(str(value) for value in more.values())
    words = " ".join(part for part in (name, said, "" if route in {"", ORDER} else f"to {route}") if part)
    return Armed(words, {"fault": name, "rate": f"{rate:f}", **match, **more})


@dataclass
class Storm:
    """One storm under way. ``chance`` decides sizes, parts and deliveries; the exchange has a seed of its own."""

    world: World
    watch: Watch
    chance: random.Random
    closes: int
    rounds: list[Round] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    begun: int = 0
    writing: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(WRITERS))

    async def blow(self, markets: Sequence[Market]) -> None:
        """All closes, some hundred at once, each symbol in its turn."""
        free: asyncio.Queue[tuple[Market, Decimal]] = asyncio.Queue()
        for market in markets:
            free.put_nowait((market, Decimal(0)))
        told = asyncio.create_task(self._tell(), name="progress")
        try:
            await asyncio.gather(*(self._work(free) for _ in range(min(AT_ONCE, len(markets)))))
        finally:
            told.cancel()
            await asyncio.gather(told, return_exceptions=True)
        await asyncio.sleep(QUIET_S)

    async def _tell(self) -> None:
        while True:
            await asyncio.sleep(5)
            sys.stderr.write(f"{len(self.rounds)} of {self.closes} closes\n")

    async def _work(self, free: asyncio.Queue[tuple[Market, Decimal]]) -> None:
        """One close after the other, each in the symbol that rested longest, until enough are begun."""
        while self.begun < self.closes:
            self.begun += 1
            market, left = await free.get()
            put = Decimal(0)
            if not left:
                put = market.step * self.chance.choice((-1, 1)) * self.chance.randint(8, 400)
                await self.world.exchange.put(market, put)
            part = self.chance.choice(PARTS) if abs(left or put) >= 8 * market.step else "1"
            one = await self._close(market, put, left or put, part)
            if one is None:
                continue
            self.rounds.append(one)
            free.put_nowait((market, await self.world.exchange.amount(market.symbol)))

    async def _close(self, market: Market, put: Decimal, held: Decimal, part: str) -> Round | None:
        """Ask, perhaps twice, and wait. A plan without an outcome is a violation, and its symbol is left as it is."""
        plan_id = token()
        began = now_ms()
        amount = {} if part == "1" else {"action": "PARTIAL_CLOSE", "fraction": part}
        fields = decision(Held(market.symbol, held, market.step), plan_id, **amount, timestamp=str(began))
        for _ in range(2 if self.chance.random() < DOUBLED else 1):
            async with self.writing:
                await self.world.log.add("apply.result", fields)
        try:
            result = await self.watch.outcome(plan_id, PATIENCE_S)
        except AssertionError as error:
            self.lost.append(f"{market.symbol}: {error}")
            return None
        return Round(
            market.symbol, plan_id, put, Decimal(part), market.step, began, result.at - began, result.fields
        )


# What it came to ---------------------------------------------------------------------------------------------------


def summary(storm: Storm, strikes: Counter[str], violations: list[str], seconds: float) -> dict[str, Any]:
    """Plain values: for ``--json``, and for the table."""
    took = sorted(one.took_ms for one in storm.rounds)
    return {
        "closes": len(storm.rounds),
        "seconds": round(seconds, 1),
        "outcomes": dict(Counter(outcome_text(one.result) for one in storm.rounds).most_common()),
        "orders_of_a_close": dict(
            sorted(Counter(len(one.result["order_ids"].split(",")) for one in storm.rounds).items())
        ),
        "ms_to_outcome": {
            "p50": quantile(took, 0.5),
            "p99": quantile(took, 0.99),
            "max": took[-1] if took else 0,
        },
        "slowest": {
            f"{one.symbol} {one.plan_id}": one.took_ms
            for one in sorted(storm.rounds, key=lambda one: one.took_ms)[:-6:-1]
        },
        "strikes": dict(strikes.most_common()),
        "violations": violations,
    }


def quantile(ordered: Sequence[int], share: float) -> int:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0


def table(found: dict[str, Any]) -> str:
    """For people."""
    lines = [f"{found['closes']} closes in {found['seconds']} s"]
    for title in ("strikes", "outcomes", "ms_to_outcome", "slowest"):
        lines += [
            "",
            title.replace("_", " "),
            *(f"  {count:>7}  {name}" for name, count in found[title].items()),
        ]
    wrong = found["violations"]
    lines += ["", f"{len(wrong)} violations", *(f"  {what}" for what in wrong[:50])]
    return "\n".join(lines)


@asynccontextmanager
async def _deployment(log_url: str, folder: Path, symbols: int, seed: int) -> AsyncIterator[World]:
    """An exchange that keeps its books in a file, and an executor with a quarter of the windows."""
    arguments = ("--seed", str(seed), "--data", str(folder / "exchange.jsonl"), "--limits", "off")
    settings = {**QUICK, "VENUE__COUNT_LIMITS": "false"}
    async with (
        exchange(folder, *arguments, symbols=symbols) as venue,
        beside(venue, log_url, folder, settings) as world,
    ):
        await world.up(world.run())
        yield world


async def storm(
    log_url: str, folder: Path, *, closes: int, rate: Decimal, seed: int, symbols: int = 1000
) -> dict[str, Any]:
    """The whole of it; ``violations`` is empty when every plan had its effect once."""
    began = time.monotonic()
    async with _deployment(log_url, folder, symbols, seed) as world, watching(world, journal=False) as watch:
        markets = [one for one in world.exchange._free if one.step * one.price <= 100]
        armed = faults(rate)
        for one in armed:
            await control(world.exchange, "POST", "faults", one.request)
        found = Storm(world, watch, random.Random(seed), closes)
        await found.blow(markets)
        listed = (await control(world.exchange, "GET", "faults"))["armed"]
        strikes = Counter({one.name: int(row["struck"]) for one, row in zip(armed, listed, strict=True)})
        books = Book(await world.exchange.records())
        plans = {one.plan_id: len(watch.results(one.plan_id)) for one in found.rounds}
        violations = [*found.lost, *verdict(found.rounds, books, plans)]
        await keep_journal(world, folder / "journal.jsonl")
        return summary(found, strikes, violations, time.monotonic() - began)


async def keep_journal(world: World, file: Path) -> None:
    """All records, as lines of JSON."""
    async with Redis.from_url(world.log.url, decode_responses=True) as client:
        entries: Any = await client.xrange(f"{world.log.prefix}sureclose:paper:main:journal")
    file.write_text("".join(fields["body"] + "\n" for _, fields in entries))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.storm")
    parser.add_argument("--closes", type=int, default=10_000)
    parser.add_argument(
        "--rate", type=Decimal, default=Decimal("0.02"), help="of each fault, for each chance"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--symbols", type=int, default=1000)
    parser.add_argument("--json", action="store_true")
    parser.add_argument(
        "--keep", action="store_true", help="books, journal and logs of a storm that held, too"
    )
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix=f"sureclose-storm-{asked.seed}-"))
    found = asyncio.run(_stormed(folder, asked))
    sys.stdout.write((json.dumps(found) if asked.json else table(found)) + "\n")
    if found["violations"] or asked.keep:
        sys.stderr.write(f"seed {asked.seed}: books, journal and what the processes said are in {folder}\n")
    else:
        shutil.rmtree(folder)
    return 1 if found["violations"] else 0


async def _stormed(folder: Path, asked: argparse.Namespace) -> dict[str, Any]:
    """Being told to end ends the processes too."""
    this = asyncio.current_task()
    assert this is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, this.cancel)
    server = EmbeddedServer(folder / "log")
    await server.start()
    try:
        return await storm(
            server.tcp_url,
            folder,
            closes=asked.closes,
            rate=asked.rate,
            seed=asked.seed,
            symbols=asked.symbols,
        )
    finally:
        await server.stop()


if __name__ == "__main__":
    sys.exit(main())
