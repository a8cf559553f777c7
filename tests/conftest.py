"""The log that tests share: one real embedded Valkey, and a prefix of its own for every test."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator

import pytest

from sureclose.streams.connection import Log, LogSettings
from sureclose.streams.embedded import EmbeddedServer


@pytest.fixture(scope="session")
def log_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    """A server for the whole session; a test that kills its server starts one of its own."""
    server = EmbeddedServer(tmp_path_factory.mktemp("log"))
    asyncio.run(server.start())
    yield server
    asyncio.run(server.stop())


@pytest.fixture
def log_url(log_server: EmbeddedServer) -> str:
    return log_server.url


@pytest.fixture
def log_prefix() -> str:
    """What to put before every key and stream, so that tests don't meet."""
    return f"{secrets.token_hex(4)}:"


@pytest.fixture
async def log(log_url: str) -> AsyncIterator[Log]:
    """With more patience than in production: that the machine is busy is no fault of what is tested."""
    async with Log(LogSettings(url=log_url, socket_timeout_s=10.0)) as log:
        yield log


def of_module(request: pytest.FixtureRequest) -> list[pytest.Item]:
    """The chosen tests of the module that a fixture of its scope is for."""
    return [item for item in request.session.items if item.getparent(pytest.Module) is request.node]
