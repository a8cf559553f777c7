"""A deployment whose log is broken, and what an outage is judged by."""

import asyncio
import signal
from typing import Any, NamedTuple

import aiohttp

from tests.acceptance.world import Held, Process, World, decision, eventually, judged, token
from tests.outages.wall import Wall
from tests.servers import OwnServer

GROUP = "execution_service_exits"
STREAM = "apply.result"


class Close(NamedTuple):
    """One that was asked for."""

    held: Held
    plan_id: str
    entry_id: str


class Site:
    """The executor reaches the log through ``wall``; the tests reach it past that."""

    def __init__(self, world: World, server: OwnServer, wall: Wall, run: Process, address: str) -> None:
        self.world = world
        self.server = server
        self.wall = wall
        self.run = run
        self.address = address
        self._heard = 0

    @property
    def stream(self) -> str:
        return self.world.log.prefix + STREAM

    def mark(self) -> None:
        """From here on is what ``says`` looks at."""
        self._heard = len(self.run.told)

    async def says(self, *words: str, seconds: float = 30.0) -> str:
        """The first line since the mark with all of the words."""

        async def line() -> str | None:
            lines = self.run.told[self._heard :].splitlines()
            return next((one for one in lines if all(word in one for word in words)), None)

        return await eventually(f"it says {words}", line, seconds, told=lambda: self.run.told[self._heard :])

    async def ask(self, *, delayed_ms: int = 0) -> Close:
        """A close of a position of its own; its order is answered late if that is asked for."""
        held = await self.world.exchange.open()
        if delayed_ms:
            await self.world.exchange.fault("answer_delayed", held.symbol, ms=delayed_ms)
        plan_id = token()
        return Close(held, plan_id, await self.world.log.add(STREAM, decision(held, plan_id)))

    async def sent(self, close: Close) -> None:
        """Its order has arrived."""

        async def arrived() -> bool | None:
            books = await self.world.exchange.records()
            return bool(books.placements(close.held.symbol)) or None

        await eventually("the order arrives", arrived)

    async def flat(self, *closes: Close, outcome: str = "FLAT") -> None:
        """Each by one effective order, said once, its entry done with."""
        for close in closes:
            assert (await self.world.log.outcome(close.plan_id, 60))["outcome"] == outcome, close
            judged(await self.world.exchange.records(), close.held)
            assert len(await self.world.log.outcomes(close.plan_id)) == 1
        await self.world.log.consumed_all(60)

    async def health(self) -> dict[str, Any]:
        async with aiohttp.ClientSession() as client, client.get(f"{self.address}/health") as answer:
            found: dict[str, Any] = await answer.json()
        return found | {"code": answer.status}

    async def unwell(self) -> str:
        """Health says that the log is not: what it says of it."""

        async def failing() -> str | None:
            checks = {check["name"]: check for check in (await self.health())["checks"]}
            found: dict[str, str] = checks["log"]
            return found["detail"] if found["status"] == "fail" else None

        return await eventually("health says that the log fails", failing)

    async def well(self) -> None:
        """Nobody lent a hand, and it closes again: another close is flat, and no check fails."""
        await self.flat(await self.ask())

        async def healthy() -> bool | None:
            return (await self.health())["code"] == 200 or None

        await eventually("health has recovered", healthy, told=lambda: self.run.told[self._heard :])

    async def operate(self, *command: str | int) -> Any:
        """A command of the operator's, given past the wall while everything else goes on."""

        def give() -> Any:
            with self.server.client() as client:
                return client.execute_command(*command)  # type: ignore[no-untyped-call]

        return await asyncio.to_thread(give)

    async def restart(self, **settings: str) -> None:
        """The server runs again, and has loaded its data."""
        await asyncio.to_thread(self.server.start, **settings)
        await self.world.log.reconnect()

    async def pending(self, entry_id: str) -> bool:
        """Somebody was given the entry and has not finished it."""

        def held() -> bool:
            with self.server.client() as client:
                return bool(client.xpending_range(self.stream, GROUP, entry_id, entry_id, 1))

        return await asyncio.to_thread(held)

    async def repair(self) -> None:
        """As it was before, whatever was broken."""
        self.wall.up = False
        self.run.signal(signal.SIGCONT)
        if self.server.ended() is None:
            self.server.signal(signal.SIGCONT)
            await self.operate("REPLICAOF", "NO", "ONE")
            await asyncio.to_thread(self.server.configure, maxmemory="0")
        else:
            await self.restart()

    async def blocked(self, readers: int) -> None:
        """So many wait in a blocking read: the three of an executor, or nobody."""

        async def waiting() -> bool | None:
            return (await self.operate("INFO", "clients"))["blocked_clients"] == readers or None

        await eventually(f"{readers} readers block", waiting)
