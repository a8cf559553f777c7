"""One deployment for the faults of each kind of server: an executor, an exchange, and a log that is broken again and again."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.acceptance.world import QUICK, world
from tests.outages.site import Site
from tests.outages.wall import Wall
from tests.servers import MISSING, REDIS, VALKEY, binary, own_server


@pytest.fixture(scope="session", params=[VALKEY, REDIS])
def program(request: pytest.FixtureRequest) -> Path:
    """The server of each kind."""
    found = binary(request.param)
    if found is None:
        pytest.skip(MISSING)
    return found


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def built(program: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    """Up, and closing."""
    folder = tmp_path_factory.mktemp("outages")
    with own_server(program, folder / "log") as server:
        async with Wall(server.url) as wall:
            settings = QUICK | {"REDIS__URL": wall.url}
            async with world(server.url, folder, settings, symbols=150) as deployment:
                run = deployment.run()
                address = await deployment.up(run)
                yield Site(deployment, server, wall, run, address)


@pytest_asyncio.fixture(loop_scope="session")
async def site(built: Site) -> AsyncIterator[Site]:
    """A failure of one test must not be the next one's: what it broke is put right."""
    yield built
    await built.repair()
