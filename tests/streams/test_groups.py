"""Groups: made so that nothing is lost, asked without guessing."""

import pytest

from sureclose.streams.connection import Log
from sureclose.streams.groups import (
    Backlog,
    ensure_group,
    group_backlog,
    group_info,
    group_infos,
    is_pending,
    is_read,
    stream_info,
)
from sureclose.streams.wire import id_key
from tests.streams.raw import add


@pytest.fixture
def stream(log_prefix: str) -> str:
    return f"{log_prefix}s"


async def test_a_group_is_made_once_and_reads_from_the_beginning(log: Log, stream: str) -> None:
    await add(log, stream, {"n": "1"})
    assert await ensure_group(log.commands(), stream, "g")
    assert not await ensure_group(log.commands(), stream, "g")
    info = await group_info(log.commands(), stream, "g")
    assert info is not None
    assert (info.last_delivered_id, info.lag, info.pending, info.consumers) == ("0-0", 1, 0, ())


async def test_a_group_is_made_on_a_stream_that_is_not_there_yet(log: Log, stream: str) -> None:
    assert await stream_info(log.commands(), stream) is None
    assert await group_infos(log.commands(), stream) == []
    assert await ensure_group(log.commands(), stream, "g")
    info = await stream_info(log.commands(), stream)
    assert info is not None
    assert (info.length, info.last_id, info.first_id, info.groups) == (0, "0-0", None, 1)


@pytest.mark.parametrize("start", ["$", ">", ""])
async def test_incident_03_a_group_is_never_made_at_the_end(log: Log, stream: str, start: str) -> None:
    with pytest.raises(ValueError):
        await ensure_group(log.commands(), stream, "g", start)


async def test_a_lag_that_the_server_cannot_tell_is_unknown_and_not_zero(log: Log, stream: str) -> None:
    ids = [await add(log, stream, {"n": "1"}) for _ in range(3)]
    await ensure_group(log.commands(), stream, "g")
    await log.commands().xreadgroup("g", "c", {stream: ">"}, count=1)
    await log.commands().xdel(stream, ids[1])
    info = await group_info(log.commands(), stream, "g")
    assert info is not None
    assert info.lag is None
    assert info.consumers[0].name == "c"


async def test_an_entry_is_read_when_it_was_delivered_and_acknowledged(log: Log, stream: str) -> None:
    wire = log.commands()
    first, second = await add(log, stream, {"n": "1"}), await add(log, stream, {"n": "1"})
    assert not await is_read(wire, stream, "g", first)
    await ensure_group(wire, stream, "g")
    assert not await is_read(wire, stream, "g", first)
    await wire.xreadgroup("g", "c", {stream: ">"}, count=1)
    assert await is_pending(wire, stream, "g", first)
    assert not await is_read(wire, stream, "g", first)
    await wire.xack(stream, "g", first)
    assert await is_read(wire, stream, "g", first)
    assert not await is_read(wire, stream, "g", second)


async def test_incident_05_a_twin_group_on_another_stream_is_seen_as_another(
    log: Log, log_prefix: str
) -> None:
    await ensure_group(log.commands(), f"{log_prefix}wrong", "g")
    assert await group_info(log.commands(), f"{log_prefix}right", "g") is None
    assert [info.group for info in await group_infos(log.commands(), f"{log_prefix}wrong")] == ["g"]


def test_ids_are_ordered_as_numbers() -> None:
    assert id_key("9-10") > id_key("9-9")
    assert id_key(b"10-0") > id_key("9-99")
    assert id_key("0") == id_key("0-0")


async def test_incident_01_a_backlog_is_told_as_readable_and_lost_with_the_date_of_the_last_delivery(
    log: Log, stream: str
) -> None:
    """The group read three, then nobody did: of 40 that came, 30 were trimmed away."""
    wire = log.commands()
    await ensure_group(wire, stream, "g")
    for n in range(3):
        await add(log, stream, {"n": str(n)}, f"1700000000000-{n}")
    await wire.xreadgroup("g", "dead-4711", {stream: ">"})
    for n in range(40):
        await add(log, stream, {"n": str(n)})
    await wire.xtrim(stream, maxlen=10, approximate=False)
    found = await group_backlog(wire, stream, "g")
    assert found == Backlog(readable=10, lost=30, delivered_at=1_700_000_000_000)


async def test_what_was_read_and_trimmed_is_not_lost(log: Log, stream: str) -> None:
    wire = log.commands()
    await ensure_group(wire, stream, "g")
    for n in range(20):
        await add(log, stream, {"n": str(n)})
    await wire.xreadgroup("g", "c", {stream: ">"})
    for maxlen, more in ((5, 0), (0, 0), (0, 2)):
        await wire.xtrim(stream, maxlen=maxlen, approximate=False)
        for _ in range(more):
            await add(log, stream, {"n": "more"})
        found = await group_backlog(wire, stream, "g")
        assert found is not None
        assert (found.readable, found.lost) == (more, 0)


async def test_a_group_that_has_passed_a_gap_reads_to_the_end_with_nothing_unread(
    log: Log, stream: str
) -> None:
    """Redis 7.0 itself goes on telling the gap as lag."""
    wire = log.commands()
    await ensure_group(wire, stream, "g")
    for n in range(20):
        await add(log, stream, {"n": str(n)})
    await wire.xreadgroup("g", "c", {stream: ">"}, count=5)
    await wire.xtrim(stream, maxlen=10, approximate=False)
    await wire.xreadgroup("g", "c", {stream: ">"})
    found = await group_backlog(wire, stream, "g")
    assert found is not None
    assert (found.readable, found.lost) == (0, 0)
