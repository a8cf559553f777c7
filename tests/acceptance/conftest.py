"""What the acceptance tests share."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Mapping

import pytest
import pytest_asyncio
from world import Scenarios

from sureclose.streams.embedded import EmbeddedServer


@pytest.fixture(scope="session")
def external_log(log_server: EmbeddedServer) -> str:
    """The session's log by its ``redis://`` address, as an operator would configure one, password included."""
    return log_server.tcp_url


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def all_under_way(
    request: pytest.FixtureRequest, external_log: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Mapping[str, Awaitable[None]]]:
    """The scenarios of the chosen tests of a module, all at once: they mostly wait for a dead process's lease to end."""
    scenarios: Scenarios = request.module.SCENARIOS
    chosen = [item.name for item in request.session.items if item.name in scenarios]
    tasks = {
        name: asyncio.create_task(scenarios[name](external_log, tmp_path_factory.mktemp("scenario")))
        for name in chosen
    }
    yield tasks
    for task in tasks.values():
        task.cancel()
    await asyncio.gather(*tasks.values(), return_exceptions=True)


@pytest.fixture
def under_way(
    request: pytest.FixtureRequest, all_under_way: Mapping[str, Awaitable[None]]
) -> Awaitable[None]:
    """The scenario of this test, which began with the first test of its module."""
    return all_under_way[request.node.name]
