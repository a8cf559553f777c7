"""What the matrix's tests share: one ground, and every play of it once, however many tests ask for it."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from sureclose.streams.embedded import EmbeddedServer
from tests.conftest import of_module
from tests.matrix.running import Playground
from tests.matrix.sample import Plays, chosen_by


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def plays(
    request: pytest.FixtureRequest, shared_log: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Plays]:
    """The plays of all chosen tests, under way at once."""
    names = [item.callspec.params.get("name") for item in of_module(request) if hasattr(item, "callspec")]
    async with (
        Playground(shared_log.tcp_url, tmp_path_factory.mktemp("matrix") / "ground") as ground,
        Plays(ground) as found,
    ):
        for name in filter(chosen_by, names):
            found.begin(name)
        yield found
