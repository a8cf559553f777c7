"""An exchange, a log and three replicas, each a process that can be killed and is started again as a supervisor would."""

import asyncio
import contextlib
import os
import random
import signal
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Final

from redis.exceptions import RedisError

from sureclose.streams.embedded import EmbeddedServer
from tests.acceptance.world import QUICK, Begin, Child, Process, World, beside, eventually, exchange, popen
from tests.chaos.diary import Diary
from tests.chaos.link import Link
from tests.faults.staging import control
from tests.faults.storm import Armed, faults

REPLICAS: Final = 3
LISTED: Final = 1000
MAX_AGE_S: Final = 900
"""Longer than a run: no outage makes an approval expire."""
SETTINGS: Final = {**QUICK, "VENUE__COUNT_LIMITS": "false", "EXECUTION__MAX_AGE_S": str(MAX_AGE_S)}
TEND_S: Final = 0.05
UP_S: Final = 60.0
_WRONG_CLOCK: Final = Path(__file__).with_name("wrong_clock")


@dataclass
class Replica:
    """One ``sureclose run`` in its present life; ``due`` is when the next one begins, by the steady clock."""

    number: int
    link: Link
    process: Process | None = None
    due: float = 0.0
    stopped: bool = False

    @property
    def is_up(self) -> bool:
        return self.process is not None and not self.process.has_ended


class Deployment:
    """All processes. Who is dead is started again by ``tend`` once its pause is over, in whatever order that comes."""

    def __init__(
        self, world: World, server: EmbeddedServer, links: list[Link], diary: Diary, *, seed: int
    ) -> None:
        self.world = world
        self.diary = diary
        self.replicas = [Replica(number, link) for number, link in enumerate(links)]
        self.tending: asyncio.Task[None]
        """``tend``, for whoever has to know when it fails."""
        self.armed: list[Armed] = []
        self.clock_steps: list[tuple[int, int]] = []
        """When the exchange's clock was set (ms of ours), and how far off it was from then on (ms)."""
        self._server = server
        self._seed = seed
        self._log_is_up = True
        self._log_due = 0.0
        self._born = 0

    async def tend(self) -> None:
        """Start again what is dead and due, for ever."""
        while True:
            await self._tend_log()
            for replica in self.replicas:
                if replica.process is not None and replica.process.has_ended and not replica.due:
                    self.diary.note("ended by itself", replica=replica.number, pid=replica.process.pid)
                    replica.due = time.monotonic()
                if not replica.is_up and time.monotonic() >= replica.due:
                    self._start(replica)
            await asyncio.sleep(TEND_S)

    async def _tend_log(self) -> None:
        if self._log_is_up or time.monotonic() < self._log_due:
            return
        await self._server.stop(patience_s=0)
        await self._server.start()
        for replica in self.replicas:
            replica.link.moved(self._server.tcp_url)
        self._log_is_up = True

    def _start(self, replica: Replica) -> None:
        """Two share a data folder, as on one machine, and the third has its own."""
        folder = self.world.folder
        settings = {
            "REDIS__URL": replica.link.url,
            "DATA__DIR": str(folder / ("data" if replica.number < REPLICAS - 1 else "data-elsewhere")),
        }
        self._born += 1
        replica.process = Process(
            ["run"],
            self.world.settings | settings,
            folder / f"replica-{replica.number}",
            "run",
            _with_wrong_clock(f"{self._seed}:{self._born}"),
        )
        replica.due, replica.stopped = 0.0, False
        self.world.runs.append(replica.process)

    # What can be done to it ------------------------------------------------------------------------------------------

    def kill(self, replica: Replica, pause_s: float) -> None:
        """``kill -9``, stopped or not."""
        if replica.is_up:
            assert replica.process is not None
            replica.due = time.monotonic() + pause_s
            replica.process.kill()

    def stop(self, replica: Replica) -> Process | None:
        """SIGSTOP; the process that it met, for ``resume``."""
        if replica.process is None or not replica.is_up or replica.stopped:
            return None
        replica.stopped = True
        replica.process.signal(signal.SIGSTOP)
        return replica.process

    def resume(self, replica: Replica, process: Process) -> None:
        if replica.process is process and replica.is_up:
            replica.stopped = False
            process.signal(signal.SIGCONT)

    def kill_log(self, pause_s: float) -> None:
        """``kill -9``; it comes back on the same folder."""
        if self._log_is_up and self._server.pid is not None:
            self._log_due = time.monotonic() + pause_s
            self._log_is_up = False
            os.kill(self._server.pid, signal.SIGKILL)

    async def stop_log(self, seconds: float) -> None:
        """SIGSTOP for a while, unless it is killed meanwhile."""
        pid = self._server.pid
        if not self._log_is_up or pid is None:
            return
        os.kill(pid, signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            # It may have been killed meanwhile, and its number given to somebody else.
            if self._server.pid == pid:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    async def leader(self) -> Replica | None:
        """Who executes now, as far as anybody can tell."""
        if not self._log_is_up:
            return None
        try:
            async with asyncio.timeout(1):
                pid = await self.world.log.lease_owner()
        except (RedisError, TimeoutError):
            return None
        return next((one for one in self.replicas if one.process and one.process.pid == pid), None)

    async def set_venue_clock(self, offset_ms: int) -> None:
        await control(self.world.exchange, "POST", "clock", {"offset_ms": offset_ms})
        self.clock_steps.append((time.time_ns() // 1_000_000, offset_ms))

    async def strikes(self) -> dict[str, int]:
        """How often each fault of the exchange struck."""
        listed = (await control(self.world.exchange, "GET", "faults"))["armed"]
        return {one.name: int(row["struck"]) for one, row in zip(self.armed, listed, strict=False)}

    async def arm(self, rate: Decimal) -> None:
        """All faults of the exchange that make sense as chance."""
        self.armed = faults(rate)
        for one in self.armed:
            await control(self.world.exchange, "POST", "faults", one.request)

    async def all_up(self) -> None:
        """Every replica serves."""

        async def up() -> bool | None:
            return (
                all(one.process is not None and "listening" in one.process.told for one in self.replicas)
                or None
            )

        await eventually("all replicas are up", up, UP_S)


def _with_wrong_clock(seed: str) -> Begin:
    """Starts a process as a shell would, on a machine with another wall clock."""

    def begin(arguments: list[str], env: dict[str, str], folder: Path, output: Path) -> Child:
        path = [str(_WRONG_CLOCK), *filter(None, [env.get("PYTHONPATH")])]
        return popen(
            arguments, env | {"PYTHONPATH": os.pathsep.join(path), "CHAOS_CLOCK": seed}, folder, output
        )

    return begin


@contextlib.asynccontextmanager
async def deployed(folder: Path, diary: Diary, *, seed: int) -> AsyncIterator[Deployment]:
    """Everything up and tended; at the end nothing is left running."""
    arguments = ("--seed", str(seed), "--data", str(folder / "exchange.jsonl"), "--limits", "off")
    server = EmbeddedServer(folder / "log")
    await server.start()
    try:
        async with contextlib.AsyncExitStack() as opened:
            venue = await opened.enter_async_context(exchange(folder, *arguments, symbols=LISTED))
            # The records show what an order asked for, also where there was less than that.
            await control(venue, "POST", "settings", {"oversize_market": "expire"})
            links = [
                await opened.enter_async_context(Link(server.tcp_url, random.Random(f"link {number}:{seed}")))
                for number in range(REPLICAS)
            ]
            world = await opened.enter_async_context(beside(venue, server.url, folder, SETTINGS))
            deployment = Deployment(world, server, links, diary, seed=seed)
            deployment.tending = tending = asyncio.create_task(deployment.tend(), name="tend")
            try:
                await deployment.all_up()
                yield deployment
            finally:
                tending.cancel()
                await asyncio.gather(tending, return_exceptions=True)
    finally:
        await server.stop(patience_s=0)
