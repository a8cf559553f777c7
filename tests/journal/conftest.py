"""One process's desk on a log of its own prefix."""

import pytest

from sureclose.streams.connection import Log
from tests.journal.journals import Desk


@pytest.fixture
async def desk(log: Log, log_prefix: str) -> Desk:
    return await Desk(log, log_prefix).open()
