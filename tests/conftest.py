"""The log that tests share: one real server of each kind, and a prefix of its own for every test.

The suites of the log itself run on Valkey and, where Debian's Redis 7.0 is installed, on that as well; the others, which
ask what we do and not what the log does, on Valkey.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from sureclose.streams.connection import Log, LogSettings
from sureclose.streams.embedded import EmbeddedServer
from tests.servers import REDIS, VALKEY, binary, redis_7

_OF_THE_LOG: Final = ("streams", "journal")
"""The suites that run on every kind."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    suite = metafunc.definition.path.relative_to(Path(__file__).parent).parts[0]
    if "server_kind" in metafunc.fixturenames and suite in _OF_THE_LOG:
        metafunc.parametrize("server_kind", [VALKEY] if redis_7() is None else [VALKEY, REDIS])


@pytest.fixture
def server_kind() -> str:
    """Which server a test runs on."""
    return VALKEY


@pytest.fixture
def server_binary(server_kind: str) -> str:
    """Its program, for a test that starts one of its own."""
    return str(binary(server_kind))


@pytest.fixture(scope="session")
def log_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], EmbeddedServer]]:
    """One server of each kind that is asked for; a test that kills its server starts one of its own."""
    started: dict[str, EmbeddedServer] = {}

    def of(kind: str) -> EmbeddedServer:
        if kind not in started:
            server = EmbeddedServer(tmp_path_factory.mktemp("log"), binary=str(binary(kind)))
            asyncio.run(server.start())
            started[kind] = server
        return started[kind]

    yield of
    for server in started.values():
        asyncio.run(server.stop())


@pytest.fixture(scope="session")
def shared_log(log_servers: Callable[[str], EmbeddedServer]) -> EmbeddedServer:
    """The log of all deployments."""
    return log_servers(VALKEY)


@pytest.fixture
def log_server(log_servers: Callable[[str], EmbeddedServer], server_kind: str) -> EmbeddedServer:
    """The log of a test, of the kind that it runs on."""
    return log_servers(server_kind)


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
