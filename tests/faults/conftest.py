"""What the fault tests share: all chosen scenarios, under way at once."""

from collections.abc import AsyncIterator
from typing import Final

import pytest
import pytest_asyncio

from sureclose.streams.embedded import EmbeddedServer
from tests.conftest import of_module
from tests.faults.cases import ALL
from tests.faults.running import Plays

_BY_NAME: Final = {scenario.name: scenario for scenario in ALL}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def plays(
    request: pytest.FixtureRequest, shared_log: EmbeddedServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Plays]:
    """The scenarios of all chosen tests of a module."""
    names = [item.callspec.params.get("name") for item in of_module(request) if hasattr(item, "callspec")]
    chosen = [_BY_NAME[name] for name in names if name in _BY_NAME]
    async with Plays(chosen, shared_log.tcp_url, tmp_path_factory.mktemp("faults")) as found:
        yield found
