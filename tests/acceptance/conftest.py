"""What the acceptance tests share."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Final

import pytest
import pytest_asyncio

from sureclose.streams.embedded import EmbeddedServer
from tests.acceptance.world import Scenario
from tests.conftest import of_module

AT_ONCE: Final = 6
"""Scenarios mostly wait, for a dead process's lease to run out or for a window to pass; starts need a processor."""


@pytest.fixture(scope="session")
def external_log(shared_log: EmbeddedServer) -> str:
    """The session's log by its ``redis://`` address, as an operator would configure one, password included."""
    return shared_log.tcp_url


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def all_under_way(
    request: pytest.FixtureRequest, external_log: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Mapping[str, Awaitable[None]]]:
    """The scenarios of all chosen tests of a module, some at once, while its other tests go on."""
    room = asyncio.Semaphore(AT_ONCE)
    scenarios: Mapping[str, Scenario] = getattr(request.module, "SCENARIOS", {})
    chosen = {item.name: scenarios[item.name] for item in of_module(request) if item.name in scenarios}
    tasks = {
        name: asyncio.create_task(_run(scenario, external_log, tmp_path_factory.mktemp("scenario"), room))
        for name, scenario in chosen.items()
    }
    yield tasks
    for task in tasks.values():
        task.cancel()
    await asyncio.gather(*tasks.values(), return_exceptions=True)


async def _run(
    scenario: Scenario, log_url: str, folder: Path, room: AbstractAsyncContextManager[None]
) -> None:
    async with room:
        await scenario(log_url, folder)


@pytest.fixture
def under_way(
    request: pytest.FixtureRequest, all_under_way: Mapping[str, Awaitable[None]]
) -> Awaitable[None]:
    """The scenario of this test, which began with the first of its module."""
    return all_under_way[request.node.name]
