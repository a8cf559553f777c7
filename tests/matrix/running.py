"""Plays one story with crashes in it, judges it, and keeps what it came to."""

import asyncio
import contextlib
import json
import signal
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

from sureclose.fault_points import CRASHED, FaultPoint
from sureclose.journal.checking import books
from sureclose.journal.checking.case import Bounds
from sureclose.journal.checking.reading import Reader
from sureclose.journal.keys import Keys
from sureclose.journal.library import Library
from sureclose.operate.verify import FromLog, verify
from sureclose.streams.connection import Log, LogSettings
from tests.acceptance.world import (
    POLL_S,
    PREFIX,
    QUICK,
    Exchange,
    Held,
    Process,
    World,
    beside,
    exchange,
    now_ms,
    token,
)
from tests.faults.staging import Shown, play
from tests.faults.watching import Watch, watching
from tests.matrix.stories import Story
from tests.nursery import Nursery

AT_ONCE: Final = 20
"""Stories of one exchange under way at once: mostly they wait for a dead process's lease to run out."""
SYMBOLS: Final = 400
LONGEST_S: Final = 40.0
_CROWDED: Final = {"VENUE__COUNT_LIMITS": "false"}
_HOWS: Final = {"exit": CRASHED, "kill": -signal.SIGKILL}
_DEAD_READER: Final = "dead-1"


class Crash(NamedTuple):
    """Where a process dies: the ``time`` at which it reaches the point, and by what."""

    point: FaultPoint
    time: int = 1
    how: str = "exit"

    @property
    def words(self) -> str:
        return self.point if self.time == 1 else f"{self.point}:{self.time}"


@dataclass(frozen=True)
class Played:
    """What became of a story: all that is wrong, and what each process reached before it ended."""

    story: Story
    crashes: tuple[Crash, ...]
    shown: Shown
    wrong: tuple[str, ...]
    missed: tuple[Crash, ...]
    """Crashes that did not happen, because the story never came there."""
    reached: tuple[tuple[FaultPoint, ...], ...]
    until_ms: int | None
    """From the last crash to the last outcome; ``None`` where that was out before."""

    @property
    def name(self) -> str:
        return f"{self.story.name}: {' then '.join(crash.words for crash in self.crashes) or 'undisturbed'}"

    @property
    def trace(self) -> str:
        return "\n".join([self.name, *self.wrong, *map(str, self.missed), self.shown.trace])


class Keeper:
    """Starts a process to crash at each point in its turn, and then one that lives."""

    def __init__(self, world: World, story: Story, crashes: Sequence[Crash]) -> None:
        self._world = world
        self._story = story
        self._crashes = crashes
        self._traces: list[Path] = []
        self.first_up = asyncio.Event()
        """The first process reads, or is dead."""
        self.missed: list[Crash] = []
        self.crashed_at = 0

    async def keep(self) -> None:
        for crash in self._crashes:
            run = self._start(SURECLOSE_CRASH_AT=f"{crash.point}:{crash.time}", SURECLOSE_CRASH_HOW=crash.how)
            await self._die(run, crash)
        run = self._start()
        await self._up(run)
        self.first_up.set()

    def _start(self, **settings: str) -> Process:
        trace = self._world.folder / f"reached-{len(self._traces)}"
        self._traces.append(trace)
        return self._world.run(SURECLOSE_CRASH_TRACE=str(trace), **settings)

    async def _up(self, run: Process) -> None:
        await run.says("resumed", LONGEST_S)

    async def _die(self, run: Process, crash: Crash) -> None:
        ends_at = time.monotonic() + LONGEST_S
        stopped = False
        while (code := run._child.poll()) is None:
            if time.monotonic() >= ends_at:
                self.missed.append(crash)
                run.kill()
                return
            told = run.told if not self.first_up.is_set() or (self._story.stops and not stopped) else ""
            if "resumed" in told:
                self.first_up.set()
            if self._story.stops and not stopped and "status=UNKNOWN" in told:
                run.signal(signal.SIGTERM)
                stopped = True
            await asyncio.sleep(POLL_S)
        self.crashed_at = now_ms()
        self.first_up.set()
        if code != _HOWS[crash.how]:
            self.missed.append(crash)

    @property
    def reached(self) -> tuple[tuple[FaultPoint, ...], ...]:
        """What each process reached, each point once, in the order of the first time."""
        return tuple(
            tuple(dict.fromkeys(map(FaultPoint, trace.read_text().split()))) if trace.exists() else ()
            for trace in self._traces
        )


class Playground:
    """One exchange, one log and one nursery, for many stories that each have streams and symbols of their own."""

    def __init__(self, log_url: str, folder: Path, at_once: int = AT_ONCE) -> None:
        self._log_url = log_url
        self._folder = folder
        self._room = asyncio.Semaphore(at_once)
        self._stack = contextlib.AsyncExitStack()
        self._opened: Exchange | None = None

    async def __aenter__(self) -> Self:
        self._nursery = self._stack.enter_context(Nursery(self._folder / "nursery"))
        self._opened = await self._stack.enter_async_context(exchange(self._folder, symbols=SYMBOLS))
        self._log = await self._stack.enter_async_context(
            Log(LogSettings(url=self._log_url, socket_timeout_s=LONGEST_S))
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def play(self, story: Story, crashes: Sequence[Crash]) -> Played:
        """The story with these crashes, one in each process after the other."""
        async with self._room, self._world(story) as world, watching(world) as watch:
            letters = Letters(world, story)
            await letters.prepare()
            keeper = Keeper(world, story, crashes)
            keeping = asyncio.create_task(keeper.keep(), name="keeper")
            try:
                await asyncio.wait(
                    {keeping, asyncio.create_task(keeper.first_up.wait())}, return_when="FIRST_COMPLETED"
                )

                async def settled(_: Held) -> None:
                    await keeping
                    await world.log.consumed_all()

                shown = await play(world, watch, story.scenario, settled)
                wrong = [*shown.wrong, *await letters.wrong(), *await self._checked(world, watch)]
                ended = max((result.at for found in watch._results.values() for result in found), default=0)
            finally:
                keeping.cancel()
                await asyncio.gather(keeping, return_exceptions=True)
            return Played(
                story=story,
                crashes=tuple(crashes),
                shown=shown,
                wrong=tuple(wrong),
                missed=tuple(keeper.missed),
                reached=keeper.reached,
                until_ms=ended - keeper.crashed_at if keeper.crashed_at < ended else None,
            )

    @contextlib.asynccontextmanager
    async def _world(self, story: Story) -> AsyncIterator[World]:
        assert self._opened is not None
        own = {
            "VENUE__CLIENT_ORDER_ID_PREFIX": f"{PREFIX}{token()[:6]}-"
        }  # or each would be a BREACH to all others
        settings = {**QUICK, **_CROWDED, **own, **story.settings}
        async with beside(
            self._opened, self._log_url, self._folder / token(), settings, self._nursery.begin
        ) as world:
            yield world

    async def _checked(self, world: World, watch: Watch) -> list[str]:
        """What ``sureclose verify`` finds in the journal, held against the exchange's records, and what is left open."""
        wrong = [f"plan {plan} is still open" for plan in await world.log.open_plans()]
        recorded = (await watch.books())._books
        plans = set(watch._facts)
        symbols = {
            fact["position"]["symbol"] for plan in plans for fact in watch.facts(plan) if fact.get("position")
        }
        rows = {
            kind: [row for row in recorded[kind] if row["symbol"] in symbols] for kind in ("orders", "trades")
        }
        keys = Keys(world.log.prefix, "paper:main")
        library = Library(self._log.commands(), keys, host="", folder=world.folder)
        reader = Reader(
            self._log.commands(),
            keys,
            groups=["execution_service_exits"],
            results=world.log.prefix + "execution.result",
            environment="paper",
            progress=lambda _: None,
        )
        margin = int(QUICK["EXECUTION__MARGIN_MS"])
        bounds = Bounds(
            prefix=world.settings["VENUE__CLIENT_ORDER_ID_PREFIX"],
            margin=margin,
            spread=int(QUICK["EXECUTION__SPREAD_MS"]),
            clock_error=margin,
        )
        report = await verify(
            FromLog(reader, library, "paper:main", (), now_ms()),
            bounds,
            books.parse([json.dumps(rows).encode()]),
        )
        for check in report.checks:
            wrong += [f"verify: {check.rule} {finding}" for finding in check.violations]
        if report.closes != len(plans):
            wrong.append(f"verify read {report.closes} closes, and there are {len(plans)}")
        return wrong


class Letters:
    """The entries that end as dead letters, put there before anybody reads, and what was said of them."""

    def __init__(self, world: World, story: Story) -> None:
        self._log = world.log
        self._story = story

    async def prepare(self) -> None:
        log = self._log
        if self._story.unreadable:
            await log.add("harvest.intent", {"symbol": "", "action": "CLOSE", "fraction": "25"})
        if self._story.orphans:
            await log.group("apply.result", "execution_service_exits")
            entries = [
                await log.add("apply.result", {"decision": "CLOSE", "fraction": "25"}) for _ in range(2)
            ]
            names = {log.prefix + "apply.result": ">"}
            await log._client.xreadgroup("execution_service_exits", _DEAD_READER, names, count=2)
            await log._client.xdel(log.prefix + "apply.result", entries[1])

    async def wrong(self) -> list[str]:
        letters: list[Any] = await self._log.entries("dead.letter")
        if len(letters) == self._story.letters:
            return []
        return [f"{len(letters)} dead letters and there should be {self._story.letters}: {letters}"]
