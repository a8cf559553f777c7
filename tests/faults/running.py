"""Plays many scenarios at once: mostly they wait, for a window to pass or a proof to be complete."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple, Self

from tests.acceptance.world import World, world
from tests.faults.scenario import LONG, SHORT, Scenario, Where
from tests.faults.staging import Shown, play
from tests.faults.watching import Watch, watching

AT_ONCE: Final = 20
"""In one world."""
ALONE_AT_ONCE: Final = 3
"""Worlds of one scenario: each starts two processes, and starts need a processor."""
SYMBOLS: Final = 240
CROWDED: Final = {"VENUE__COUNT_LIMITS": "false"}
"""So many closes in a minute weigh more than the venue allows one account; this exchange counts without enforcing."""


class _Company(NamedTuple):
    world: World
    watch: Watch


class Plays:
    """All chosen scenarios, as tasks by their names. Leaving the block ends what is still under way."""

    def __init__(self, scenarios: Sequence[Scenario], log_url: str, folder: Path) -> None:
        self._scenarios = scenarios
        self._log_url = log_url
        self._folder = folder
        self._worlds = contextlib.AsyncExitStack()
        self._companies: dict[Where, asyncio.Task[_Company]] = {}
        self._room = {where: asyncio.Semaphore(AT_ONCE) for where in Where}
        self._room[Where.ALONE] = asyncio.Semaphore(ALONE_AT_ONCE)
        self.tasks: dict[str, asyncio.Task[Shown]] = {}

    async def __aenter__(self) -> Self:
        for scenario in self._scenarios:
            where = scenario.where
            if where is not Where.ALONE and where not in self._companies:
                self._companies[where] = asyncio.create_task(self._company(where), name=f"world {where.name}")
            self.tasks[scenario.name] = asyncio.create_task(self._play(scenario), name=scenario.name)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        tasks = [*self.tasks.values(), *self._companies.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._worlds.aclose()

    async def _company(self, where: Where) -> _Company:
        windows = LONG if where is Where.PRODUCTION else SHORT
        folder = self._folder / where.name.lower()
        return await self._worlds.enter_async_context(_up(self._log_url, folder, windows, CROWDED))

    async def _play(self, scenario: Scenario) -> Shown:
        async with self._room[scenario.where]:
            if scenario.where is not Where.ALONE:
                company = await asyncio.shield(self._companies[scenario.where])
                return await play(company.world, company.watch, scenario)
            folder = self._folder / "".join(one if one.isalnum() else "-" for one in scenario.name)[:80]
            async with _up(self._log_url, folder, scenario.windows, scenario.settings) as alone:
                return await play(alone.world, alone.watch, scenario)


@contextlib.asynccontextmanager
async def _up(
    log_url: str, folder: Path, windows: Mapping[str, str], settings: Mapping[str, str]
) -> AsyncIterator[_Company]:
    """An exchange, an executor that reads, and somebody who watches."""
    async with world(log_url, folder, {**windows, **settings}, symbols=SYMBOLS) as opened:
        await opened.up(opened.run())
        async with watching(opened) as watch:
            yield _Company(opened, watch)
