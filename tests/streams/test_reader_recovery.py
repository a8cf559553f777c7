"""The reader when the group, the stream or the server goes away under it."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from sureclose.streams.connection import Log, LogSettings
from sureclose.streams.embedded import EmbeddedServer
from sureclose.streams.entry import Delivered
from sureclose.streams.errors import LogWentBackwards
from tests.streams.following import BLOCK_MS, blocked, ids, nothing_more, read, reader_of
from tests.streams.raw import add_many, raw


@pytest.fixture
def stream(log_prefix: str) -> str:
    return f"{log_prefix}s"


@pytest.fixture
def stop() -> asyncio.Event:
    return asyncio.Event()


@pytest.fixture
async def own_server(tmp_path: Path, server_binary: str) -> AsyncIterator[EmbeddedServer]:
    """A server that the test may break."""
    async with EmbeddedServer(tmp_path, binary=server_binary) as server:
        yield server


@pytest.fixture
async def own(own_server: EmbeddedServer) -> AsyncIterator[Log]:
    async with Log(LogSettings(url=own_server.url, block_ms=BLOCK_MS)) as log:
        yield log


@pytest.mark.parametrize("how", ["destroy", "delete", "flushall"])
async def test_a_group_that_vanishes_under_a_blocked_read_is_made_again_loudly_and_loses_nothing(
    own: Log, stream: str, stop: asyncio.Event, how: str
) -> None:
    wire = own.commands()
    async with reader_of(own, stream) as reader:
        (first,) = await add_many(own, stream, 1)
        assert ids(await read(reader, stop, 1)) == [first]
        await wire.xack(stream, "g", first)
        with capture_logs() as logs:
            reading = asyncio.create_task(read(reader, stop, 2 if how == "destroy" else 1))
            await blocked(own)
            if how == "destroy":
                await wire.xgroup_destroy(stream, "g")
            elif how == "delete":
                await wire.delete(stream)
            else:
                await wire.flushall()
            (second,) = await add_many(own, stream, 1)
            entries = await reading
        # A destroyed group is made again at the caller's checkpoint, here the beginning: the old one comes once more.
        assert ids(entries) == ([first, second] if how == "destroy" else [second])
        events = [entry["event"] for entry in logs]
        assert "log.group_recreated" in events
        assert events.count("log.failing") == 1
        assert "log.recovered" in events


async def test_a_group_that_vanished_is_made_again_at_the_callers_checkpoint(
    own: Log, stream: str, stop: asyncio.Event
) -> None:
    resolved = "0"
    async with reader_of(own, stream, checkpoint=lambda: resolved) as reader:
        added = await add_many(own, stream, 3)
        await read(reader, stop, 3)
        resolved = added[1]
        await own.commands().xgroup_destroy(stream, "g")
        assert ids(await read(reader, stop, 1)) == added[2:]


async def test_a_checkpoint_is_not_used_on_a_stream_that_began_anew(
    own: Log, stream: str, stop: asyncio.Event
) -> None:
    """All that is in a new stream is new; a checkpoint from the old one could lie in its future."""
    with capture_logs() as logs:
        async with reader_of(own, stream, checkpoint=lambda: "5-0") as reader:
            await nothing_more(reader, stop, 2)
            await own.commands().xadd(stream, {"n": "1"}, id="4-0")
            assert ids(await read(reader, stop, 1)) == ["4-0"]
    assert "log.stream_vanished" in [entry["event"] for entry in logs]


async def test_a_log_restored_from_an_older_copy_halts_the_reader_with_the_remedy(
    own: Log, stream: str, stop: asyncio.Event
) -> None:
    async with reader_of(own, stream) as reader:
        await add_many(own, stream, 2)
        await read(reader, stop, 2)
        await own.commands().delete(stream)
        await own.commands().xadd(stream, {"n": "1"}, id="5-0")
        with pytest.raises(LogWentBackwards, match=r"newest id of .* is 5-0.*reconcile"):
            await read(reader, stop, 1)


async def test_a_write_error_of_the_server_does_not_end_the_reader(
    own: Log, stream: str, stop: asyncio.Event
) -> None:
    """A replica answers READONLY, a full one OOM; both pass."""
    async with reader_of(own, stream) as reader:
        await nothing_more(reader, stop, 2)
        await raw(own, "REPLICAOF", "127.0.0.1", "1")
        with capture_logs() as logs:
            await nothing_more(reader, stop, 3)
            failing_since = reader.failing_since
            await raw(own, "REPLICAOF", "NO", "ONE")
            added = await add_many(own, stream, 1)
            await raw(own, "CONFIG", "SET", "maxmemory", 1)
            assert ids(await read(reader, stop, 1)) == added
        assert failing_since is not None
        assert reader.failing_since is None
        assert [entry["event"] for entry in logs].count("log.recovered") == 1


async def test_a_server_that_was_killed_is_read_on_after_its_restart(
    own_server: EmbeddedServer, own: Log, stream: str, stop: asyncio.Event
) -> None:
    async with reader_of(own, stream) as reader:
        added = await add_many(own, stream, 2)
        assert ids(await read(reader, stop, 1)) == added
        assert own_server.pid is not None
        os.kill(own_server.pid, signal.SIGKILL)
        await own_server.died()
        await nothing_more(reader, stop, 2)
        await own_server.stop()
        await own_server.start()
        # Delivered before the kill and not acknowledged: they come again, as our own.
        again = await read(reader, stop, 2)
        assert ids(again) == added
        assert {entry.delivered for entry in again} == {Delivered.OWN_PENDING}
