"""Which servers the suites of the log ran on."""

import pytest

from sureclose.streams.connection import Log
from tests.servers import MISSING, REDIS, redis_7


async def test_the_log_is_the_server_that_the_test_says(log: Log, server_kind: str) -> None:
    report = await log.check()
    assert (report.name == "redis" and report.version.startswith("7.0.")) is (server_kind == REDIS)


def test_the_suites_of_the_log_run_on_redis_7_0_as_well() -> None:
    if redis_7() is None:
        pytest.skip(MISSING)
