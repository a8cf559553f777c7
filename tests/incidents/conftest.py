"""What the incidents share: one deployment for most, and all chosen plays under way at once."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Mapping
from pathlib import Path
from typing import Final

import pytest
import pytest_asyncio

from sureclose.streams.embedded import EmbeddedServer
from tests.acceptance.world import QUICK, World, world
from tests.conftest import of_module
from tests.faults.watching import Watch, watching
from tests.incidents.plays import PLAYS, Play, Stage

SHARED_AT_ONCE: Final = 16
ALONE_AT_ONCE: Final = 6
"""Each starts two processes or more. Starts need a processor; the rest is waiting."""

_HERE: Final = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests without a play come first: while they run, the loop that plays the others stands still."""
    ours = [item for item in items if _HERE in item.path.parents]
    ordered = iter(sorted(ours, key=lambda item: getattr(item, "function", None) in PLAYS))
    items[:] = [next(ordered) if item in ours else item for item in items]


class Company:
    """Runs the plays; the shared deployment starts with the first that needs it."""

    def __init__(self, log_url: str, folder: Path) -> None:
        self._log_url = log_url
        self._folder = folder
        self._worlds = contextlib.AsyncExitStack()
        self._shared: asyncio.Task[tuple[World, Watch]] | None = None
        self._room = (asyncio.Semaphore(SHARED_AT_ONCE), asyncio.Semaphore(ALONE_AT_ONCE))
        self.tasks: dict[object, asyncio.Task[None]] = {}

    def begin(self, test: object, play: Play, name: str) -> None:
        if play.shared is not None and self._shared is None:
            self._shared = asyncio.create_task(self._start(), name="shared world")
        self.tasks[test] = asyncio.create_task(self._run(play, name), name=name)

    async def end(self) -> None:
        tasks = [*self.tasks.values(), *([] if self._shared is None else [self._shared])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._worlds.aclose()

    async def _start(self) -> tuple[World, Watch]:
        folder = self._folder / "shared"
        settings = QUICK | {
            "VENUE__ORDER_TIMEOUT_MS": "1000",
            "ALERTS__COMMAND": f"sh -c 'cat >> {folder}/alarms.jsonl; echo >> {folder}/alarms.jsonl'",
        }
        opened = await self._worlds.enter_async_context(world(self._log_url, folder, settings, symbols=400))
        await opened.up(opened.run())
        return opened, await self._worlds.enter_async_context(watching(opened))

    async def _run(self, play: Play, name: str) -> None:
        if play.alone is not None:
            async with self._room[1]:
                await play.alone(self._log_url, self._folder / name[:60])
            return
        assert play.shared is not None
        assert self._shared is not None
        async with self._room[0]:
            stage = Stage(*await asyncio.shield(self._shared), self._folder / "shared")
            try:
                await play.shared(stage)
            except Exception as error:
                error.add_note(await stage.told())
                raise


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def company(
    request: pytest.FixtureRequest, shared_log: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Mapping[object, Awaitable[None]]]:
    """The plays of all chosen tests of a module."""
    found = Company(shared_log.tcp_url, tmp_path_factory.mktemp("incidents"))
    for item in of_module(request):
        function = getattr(item, "function", None)
        if function in PLAYS:
            found.begin(function, PLAYS[function], item.name)
    yield found.tasks
    await found.end()


@pytest.fixture
def under_way(request: pytest.FixtureRequest, company: Mapping[object, Awaitable[None]]) -> Awaitable[None]:
    """The play of this test, which began with the first of them."""
    return company[request.node.function]
