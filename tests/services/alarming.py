"""Alarms for tests: a sink that is watched, and a process's alarms on a real log."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from sureclose.domain.words import Mode
from sureclose.journal.keys import Keys
from sureclose.services.alarms.alarm import Alarm, AlarmKind, AlarmLevel, AlarmState
from sureclose.services.alarms.board import Alarms, Speaker
from sureclose.services.alarms.ledger import AlarmLedger
from sureclose.services.alarms.sinks import NotTold, Sink
from sureclose.streams.wire import Wire

NOW = 1_700_000_000_000
PATIENCE_S = 10.0


class Told:
    """A sink that keeps what it is told, and refuses it while ``refuses`` says why."""

    def __init__(self, name: str = "told") -> None:
        self.name = name
        self.refuses = ""
        self.tries = 0
        self.alarms: list[dict[str, Any]] = []
        self._news = asyncio.Condition()

    async def tell(self, document: bytes) -> None:
        async with self._news:
            self.tries += 1
            if not self.refuses:
                self.alarms.append(msgspec.json.decode(document))
            self._news.notify_all()
        if self.refuses:
            raise NotTold(self.refuses)

    async def until(self, enough: Callable[["Told"], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S), self._news:
            await self._news.wait_for(lambda: enough(self))

    async def count(self, number: int) -> list[tuple[str, str, str]]:
        """Wait for so many; kind, subject and state of each so far."""
        await self.until(lambda sink: len(sink.alarms) >= number)
        return self.said

    @property
    def said(self) -> list[tuple[str, str, str]]:
        return [(alarm["alarm"], alarm["subject"], alarm["state"]) for alarm in self.alarms]


def alarm(kind: AlarmKind, subject: str) -> Alarm:
    return Alarm(
        alarm=kind,
        subject=subject,
        level=AlarmLevel.of(kind),
        state=AlarmState.RAISED,
        what="so",
        remedy="do",
        since="2023-11-14T22:13:20.000Z",
        at="2023-11-14T22:13:20.000Z",
        account="paper:main",
        mode=Mode.PAPER,
        worker="one",
        facts={},
    )


class World:
    """One account's alarms, seen by as many processes as a test starts, one after the other or at once."""

    def __init__(self, wire: Wire, prefix: str) -> None:
        self.wire = wire
        self.keys = Keys(prefix, "paper:main")
        self.now = NOW

    def alarms(self, worker: str, *sinks: Sink, leads: bool = True, **more: Any) -> Alarms:
        options: dict[str, Any] = {"sync_s": 0.02, "first_pause_s": 0.01, **more}
        return Alarms(
            Speaker("paper:main", Mode.PAPER, worker),
            AlarmLedger(options.pop("wire", self.wire), self.keys),
            sinks,
            leads=lambda: leads,
            wall=lambda: self.now,
            monotonic=time.monotonic,
            **options,
        )

    async def kept(self) -> dict[str, dict[str, Any]]:
        """What the log has."""
        flat = await self.wire.execute_command(b"HGETALL", self.keys.alarms)
        return {
            name.decode(): msgspec.json.decode(value)
            for name, value in zip(flat[::2], flat[1::2], strict=True)
        }


@asynccontextmanager
async def running(alarms: Alarms) -> AsyncIterator[None]:
    """The alarms at work; leaving stops them in order."""
    stop = asyncio.Event()
    task = asyncio.create_task(alarms.run(stop))
    try:
        yield
    finally:
        stop.set()
        await task


async def until(holds: Callable[[], bool]) -> None:
    """Wait for what no event tells of: another task's state."""
    async with asyncio.timeout(PATIENCE_S):
        while not holds():
            await asyncio.sleep(0.005)
