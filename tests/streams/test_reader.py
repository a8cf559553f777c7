"""The reader: every hole through which an entry once fell is closed."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import cast

import pytest
from redis.exceptions import RedisError

from sureclose.streams.connection import Log, LogSettings
from sureclose.streams.embedded import EmbeddedServer
from sureclose.streams.entry import Delivered, Entry
from sureclose.streams.gone import _CLAIM
from sureclose.streams.groups import ensure_group, group_info
from sureclose.streams.reader import GroupReader
from sureclose.streams.wire import Wire
from tests.streams.following import BLOCK_MS, blocked, ids, nothing_more, read, reader_of
from tests.streams.lossy_proxy import Loss, LossyProxy
from tests.streams.raw import add_many, deliver


@pytest.fixture
def stream(log_prefix: str) -> str:
    return f"{log_prefix}s"


@pytest.fixture
async def proxy(log_server: EmbeddedServer) -> AsyncIterator[LossyProxy]:
    async with LossyProxy(log_server.tcp_url) as proxy:
        yield proxy


@pytest.fixture
async def lossy(proxy: LossyProxy) -> AsyncIterator[Log]:
    """A log seen through the proxy."""
    async with Log(LogSettings(url=proxy.url, block_ms=BLOCK_MS)) as log:
        yield log


@pytest.fixture
def stop() -> asyncio.Event:
    return asyncio.Event()


async def test_incident_03_entries_from_before_the_first_start_are_read(
    lossy: Log, log: Log, stream: str, stop: asyncio.Event
) -> None:
    before = await add_many(log, stream, 3)
    async with reader_of(lossy, stream) as reader:
        entries = await read(reader, stop, 3)
        after = await add_many(log, stream, 1)
        entries += await read(reader, stop, 1)
    assert ids(entries) == before + after
    assert {entry.delivered for entry in entries} == {Delivered.NEW}
    assert entries[0].fields == {b"n": b"0"}
    assert str(entries[0].ref) == f"{stream}@{before[0]}"


async def test_own_pending_entries_come_first_on_start_in_pages(
    lossy: Log, log: Log, stream: str, stop: asyncio.Event
) -> None:
    old = await add_many(log, stream, 7)
    await ensure_group(log.commands(), stream, "g")
    await deliver(log, stream, "g", "execution-1")
    new = await add_many(log, stream, 2)
    async with reader_of(lossy, stream, page=3) as reader:
        entries = await read(reader, stop, 9)
    assert ids(entries) == old + new
    assert [entry.delivered for entry in entries] == [Delivered.OWN_PENDING] * 7 + [Delivered.NEW] * 2


@pytest.mark.parametrize("loss", [Loss.CUT, Loss.CUT_CLIENT, Loss.SWALLOW])
async def test_an_entry_whose_reply_was_lost_still_comes_once(
    lossy: Log, log: Log, proxy: LossyProxy, stream: str, stop: asyncio.Event, loss: Loss
) -> None:
    async with reader_of(lossy, stream) as reader:
        await nothing_more(reader, stop, 2)
        proxy.lose(b"XREADGROUP", reply=stream.encode(), loss=loss)
        added = await add_many(log, stream, 2)
        entries = await read(reader, stop, 2)
        assert proxy.lost.is_set()
        await log.commands().xack(stream, "g", *added)
        await nothing_more(reader, stop)
        assert reader.failing_since is None
    assert ids(entries) == added
    assert {entry.delivered for entry in entries} == {Delivered.OWN_PENDING}


async def test_an_entry_served_to_a_dead_connection_after_the_reconnect_still_comes(
    lossy: Log, log: Log, proxy: LossyProxy, stream: str, stop: asyncio.Event
) -> None:
    """The log goes on serving the dead connection's blocked read until its BLOCK runs out."""
    async with reader_of(lossy, stream) as reader:
        await nothing_more(reader, stop, 2)
        client = log.reader()
        dead: Wire = client
        zombie = asyncio.create_task(
            dead.execute_command(
                b"XREADGROUP", b"GROUP", "g", "execution-1", b"BLOCK", 1500, b"STREAMS", stream, b">"
            )
        )
        await blocked(log)
        proxy.lose(b"XREADGROUP", reply=b"*-1")
        await nothing_more(reader, stop, 1)
        assert reader.failing_since is not None
        await nothing_more(reader, stop, 2)  # nothing of our own, nothing new
        added = await add_many(log, stream, 1)
        assert (await zombie)[0][0] == stream.encode()
        await client.aclose()
        entries = await read(reader, stop, 1)
    assert ids(entries) == added
    assert entries[0].delivered is Delivered.OWN_PENDING


async def test_entries_in_flight_are_not_handed_out_again(
    lossy: Log, log: Log, stream: str, stop: asyncio.Event
) -> None:
    held: set[str] = set()
    async with reader_of(lossy, stream, in_flight=lambda: held) as reader:
        added = await add_many(log, stream, 3)
        held.update(ids(await read(reader, stop, 3))[:2])
        reader.doubt()
        assert ids(await read(reader, stop, 1)) == added[2:]
        await log.commands().xack(stream, "g", added[2])
        await nothing_more(reader, stop)


async def test_no_more_is_read_than_the_caller_has_room_for_and_waiting_for_room_is_no_busy_loop(
    lossy: Log, log: Log, stream: str, stop: asyncio.Event
) -> None:
    room = 2
    async with reader_of(lossy, stream, free=lambda: room) as reader:
        await add_many(log, stream, 5)
        assert len(await read(reader, stop, 1)) == 2
        room = 0
        before = time.monotonic()
        assert await reader.next_batch(stop) == []
        assert time.monotonic() - before >= 0.04
        waiting = asyncio.create_task(reader.next_batch(stop))
        await asyncio.sleep(0)
        reader.freed()
        room = 5
        assert await waiting == []
        assert len(await read(reader, stop, 1)) == 3
    info = await group_info(log.commands(), stream, "g")
    assert info is not None
    assert info.pending == 5


async def test_stopping_lets_the_blocked_read_run_out_and_loses_nothing(
    lossy: Log, log: Log, stream: str, stop: asyncio.Event
) -> None:
    seen: list[Entry] = []

    async def consume(reader: GroupReader) -> None:
        async for batch in reader.batches(stop):
            seen.extend(batch)

    async with reader_of(lossy, stream) as reader:
        consumer = asyncio.create_task(consume(reader))
        await blocked(log)
        stop.set()
        added = await add_many(log, stream, 1)
        await asyncio.wait_for(consumer, BLOCK_MS / 1000 + 0.5)
    # On a slow machine the read has run out before the entry came: then it waits in the stream for the next.
    delivered = await log.commands().xpending_range(stream, "g", "-", "+", 10)
    assert ids(seen) == [cast("bytes", one["message_id"]).decode() for one in delivered]
    assert set(ids(seen)) <= set(added)


async def test_a_trimmed_pending_entry_comes_without_fields(
    lossy: Log, log: Log, stream: str, stop: asyncio.Event
) -> None:
    added = await add_many(log, stream, 2)
    await ensure_group(log.commands(), stream, "g")
    await deliver(log, stream, "g", "execution-1")
    await log.commands().xdel(stream, added[0])
    async with reader_of(lossy, stream) as reader:
        gone, there = await read(reader, stop, 2)
    assert (gone.lost, gone.pending, gone.fields) == (True, True, {})
    assert not there.lost


async def test_entries_of_a_dead_consumer_are_claimed_in_pages_and_trimmed_ones_are_told(
    lossy: Log, log: Log, stream: str, stop: asyncio.Event
) -> None:
    added = await add_many(log, stream, 5)
    await ensure_group(log.commands(), stream, "g")
    await deliver(log, stream, "g", "execution-9")
    async with reader_of(lossy, stream, page=2) as reader:
        await nothing_more(reader, stop, 2)
        assert await reader.claim(60_000) == []
        await log.commands().xdel(stream, added[3])
        entries = []
        rounds = 0
        while not (rounds and reader.claim_round_over):
            page = await reader.claim(0)
            assert len(page) <= 3
            entries += page
            rounds += 1
    assert rounds > 1
    assert sorted(ids(entries)) == added
    assert {entry.delivered for entry in entries} == {Delivered.CLAIMED}
    assert [(entry.ref.entry_id, entry.lost) for entry in entries if not entry.pending] == [(added[3], True)]


async def test_a_claim_whose_reply_was_lost_is_found_among_the_own_pending_entries(
    lossy: Log, log: Log, proxy: LossyProxy, stream: str, stop: asyncio.Event
) -> None:
    added = await add_many(log, stream, 2)
    await ensure_group(log.commands(), stream, "g")
    await deliver(log, stream, "g", "execution-9")
    async with reader_of(lossy, stream) as reader:
        await nothing_more(reader, stop, 2)
        await log.commands().script_load(_CLAIM.source)
        proxy.lose(b"EVALSHA")
        with pytest.raises(RedisError):
            await reader.claim(0)
        assert ids(await read(reader, stop, 2)) == added


async def test_a_claim_leaves_entries_in_flight_alone(
    lossy: Log, log: Log, stream: str, stop: asyncio.Event
) -> None:
    held: set[str] = set()
    async with reader_of(lossy, stream, in_flight=lambda: held) as reader:
        await add_many(log, stream, 2)
        held.update(ids(await read(reader, stop, 2)))
        assert await reader.claim(0) == []
        (foreign,) = await add_many(log, stream, 1)
        await deliver(log, stream, "g", "execution-9")
        assert ids(await reader.claim(0)) == [foreign]


async def test_more_pending_under_our_name_than_in_flight_is_noticed_by_the_next_round(
    lossy: Log, log: Log, stream: str, stop: asyncio.Event
) -> None:
    """Somebody read under our name, as a stopped process does that wakes up; nothing failed here."""
    async with reader_of(lossy, stream) as reader:
        await nothing_more(reader, stop, 2)
        added = await add_many(log, stream, 2)
        await deliver(log, stream, "g", "execution-1")
        await nothing_more(reader, stop, 1)
        assert await reader.claim(0) == []
        assert ids(await read(reader, stop, 2)) == added
