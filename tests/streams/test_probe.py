"""Whether the log takes writes: said once when it does not, with what to do, and once when it does again."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from sureclose.streams.connection import Log, LogSettings
from sureclose.streams.embedded import EmbeddedServer
from sureclose.streams.probe import WriteProbe


@pytest.fixture
async def own_server(tmp_path: Path, server_binary: str) -> AsyncIterator[EmbeddedServer]:
    """A server that the test may break."""
    async with EmbeddedServer(tmp_path, binary=server_binary) as server:
        yield server


async def test_a_refusal_is_said_once_with_its_remedy_and_its_end_once(own_server: EmbeddedServer) -> None:
    async with Log(LogSettings(url=own_server.url)) as log:
        probe = WriteProbe(log, "probe", time.monotonic)
        with capture_logs() as logs:
            await probe.ask()
            assert probe.refusal == ""
            await log.commands().config_set("maxmemory", 1)
            for _ in range(3):
                await probe.ask()
            assert "maxmemory" in probe.refusal
            await log.commands().config_set("maxmemory", 0)
            for _ in range(3):
                await probe.ask()
            assert probe.refusal == ""
        told = [(line["event"], line.get("kind")) for line in logs]
        assert told == [("log.refuses_writes", "OOM"), ("log.takes_writes", None)]
        assert logs[0]["remedy"].startswith("raise maxmemory")
        stop = asyncio.Event()
        stop.set()
        await probe.run(stop)


async def test_a_server_that_restarted_in_between_refuses_nothing(own_server: EmbeddedServer) -> None:
    """The connection of before is dead, and that says nothing of now."""
    async with Log(LogSettings(url=own_server.url)) as log:
        probe = WriteProbe(log, "probe", time.monotonic)
        await probe.ask()
        await own_server.stop()
        await own_server.start()
        with capture_logs() as logs:
            await probe.ask()
        assert probe.refusal == ""
        assert [line["event"] for line in logs] == []
