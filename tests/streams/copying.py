"""A stage that copies: what went in must come out once. Run as a program it is a chain of two that can be killed."""

import asyncio
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from sureclose.streams.clock import LogClock, Moment
from sureclose.streams.connection import Log, LogSettings
from sureclose.streams.encode import Producer
from sureclose.streams.entry import Entry
from sureclose.streams.groups import group_info
from sureclose.streams.publish import Event
from sureclose.streams.stage import Kind, Stage
from sureclose.streams.verdict import Emit, StageVerdict
from tests.streams.raw import contents, raw

GROUP = "readers of in"


class Outcomes(Counter[tuple[str, Kind, str]]):
    """Counts what a stage observes, and wakes who waits for it."""

    def __init__(self) -> None:
        super().__init__()
        self.changed = asyncio.Event()

    def observe(self, stage: str, kind: Kind, reason: str) -> None:
        self[stage, kind, reason] += 1
        self.changed.set()

    async def reach(self, total: int) -> None:
        """Wait until that many entries have been observed."""
        async with asyncio.timeout(20):
            while self.total() < total:
                self.changed.clear()
                await self.changed.wait()


def stage(
    log: Log,
    prefix: str,
    outcomes: Outcomes,
    decide: Callable[[Entry, Moment], StageVerdict],
    *,
    source: str = "in",
    **options: Any,
) -> Stage:
    return Stage(
        log,
        name=f"from {source}",
        role="copier",
        prefix=prefix,
        source=prefix + source,
        group=f"readers of {source}",
        dead_letters=f"{prefix}dead",
        producer=Producer("copier", "1", "here", 1),
        decide=decide,
        observe=outcomes.observe,
        clock=LogClock(lambda: time.time_ns() // 1_000_000, time.monotonic),
        monotonic=time.monotonic,
        **options,
    )


def copier(log: Log, prefix: str, outcomes: Outcomes, source: str, target: str) -> Stage:
    def decide(entry: Entry, at: Moment) -> StageVerdict:
        return Emit((Event(prefix + target, entry.fields),), "copied")

    return stage(log, prefix, outcomes, decide, source=source, free=lambda: 50)


@asynccontextmanager
async def running(*stages: Stage) -> AsyncIterator[None]:
    stop = asyncio.Event()
    tasks = [asyncio.create_task(stage.run(stop)) for stage in stages]
    try:
        yield
    finally:
        stop.set()
        await asyncio.wait_for(asyncio.gather(*tasks), 5)


async def chain(log: Log, prefix: str, outcomes: Outcomes, stop: asyncio.Event) -> None:
    """in → middle → out."""
    stages = [copier(log, prefix, outcomes, *hop) for hop in (("in", "middle"), ("middle", "out"))]
    await asyncio.gather(*(stage.run(stop) for stage in stages))


async def pending(log: Log, prefix: str) -> int:
    """Entries of the first stage's group that nobody has acknowledged."""
    info = await group_info(log.commands(), f"{prefix}in", GROUP)
    assert info is not None
    return info.pending


async def came_out(log: Log, prefix: str) -> list[int]:
    return [int(fields[b"n"]) for fields in await contents(log, f"{prefix}out")]


async def come_out(log: Log, prefix: str, count: int, *, within_s: float = 20) -> None:
    """Wait until that many entries came out at the end of the chain."""
    async with asyncio.timeout(within_s):
        last = b"0"
        while int(await raw(log, "XLEN", f"{prefix}out")) < count:
            found = await raw(log, "XREAD", "BLOCK", 100, "STREAMS", f"{prefix}out", last)
            last = found[0][1][-1][0] if found else last


async def main(url: str, prefix: str) -> None:
    async with Log(LogSettings(url=url, block_ms=200)) as log:
        await chain(log, prefix, Outcomes(), asyncio.Event())


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
