"""One deployment for the faults of each kind of server: an executor, an exchange, and a log that is broken again and again."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.acceptance.world import QUICK, world
from tests.outages.site import Site
from tests.outages.wall import Wall
from tests.servers import MISSING, REDIS, VALKEY, binary, own_server


@pytest_asyncio.fixture(scope="session", loop_scope="session", params=[VALKEY, REDIS])
async def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Site]:
    """Up, and closing."""
    program = binary(request.param)
    if program is None:
        pytest.skip(MISSING)
    folder = tmp_path_factory.mktemp(f"outages-{request.param}")
    with own_server(program, folder / "log") as server:
        async with Wall(server.port) as wall:
            through = server.url.replace(f":{server.port}/", f":{wall.port}/")
            settings = QUICK | {"REDIS__URL": through}
            async with world(server.url, folder, settings, symbols=150) as deployment:
                run = deployment.run()
                address = await deployment.up(run)
                yield Site(deployment, server, wall, run, address)
