"""Acknowledge and publish are one step: both or none, and once."""

import asyncio
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.exceptions import RedisError, ResponseError

from sureclose.streams.connection import Log, LogSettings
from sureclose.streams.embedded import EmbeddedServer
from sureclose.streams.groups import ensure_group, is_pending
from sureclose.streams.publish import _FINISH, Event, Finish, acknowledge, finish, publish
from sureclose.streams.wire import Wire
from tests.streams.lossy_proxy import Loss, LossyProxy
from tests.streams.raw import add_many, contents, deliver, raw


class Pending:
    """A stream with entries delivered to ``c`` of group ``g``, and a target."""

    def __init__(self, log: Log, prefix: str) -> None:
        self.log = log
        self.wire: Wire = log.commands()
        self.source = f"{prefix}source"
        self.target = f"{prefix}target"

    async def deliver(self, count: int) -> list[str]:
        await ensure_group(self.wire, self.source, "g")
        ids = await add_many(self.log, self.source, count)
        await deliver(self.log, self.source, "g", "c", count)
        return ids

    async def published(self) -> list[dict[bytes, bytes]]:
        return await contents(self.log, self.target)


@pytest.fixture
def pending(log: Log, log_prefix: str) -> Pending:
    return Pending(log, log_prefix)


async def test_an_entry_is_published_by_who_acknowledges_it_and_by_nobody_else(pending: Pending) -> None:
    (entry_id,) = await pending.deliver(1)
    event = Event(pending.target, {b"n": b"1"})
    tries = [publish(pending.wire, pending.source, "g", entry_id, [event]) for _ in range(8)]
    assert sorted(await asyncio.gather(*tries)) == [False] * 7 + [True]
    assert await pending.published() == [{b"n": b"1"}]


async def test_several_entries_are_finished_in_order_and_each_on_its_own_acknowledgement(
    pending: Pending,
) -> None:
    ids = await pending.deliver(3)
    await acknowledge(pending.wire, pending.source, "g", [ids[1]])
    ends = [Finish(entry_id, (Event(pending.target, {b"id": entry_id.encode()}),)) for entry_id in ids]
    assert await finish(pending.wire, pending.source, "g", ends) == [True, False, True]
    assert [fields[b"id"].decode() for fields in await pending.published()] == [ids[0], ids[2]]
    assert await finish(pending.wire, pending.source, "g", []) == []


async def test_a_target_that_is_no_stream_stops_the_script_before_its_first_write(
    pending: Pending, log_prefix: str
) -> None:
    (entry_id,) = await pending.deliver(1)
    await raw(pending.log, "SET", f"{log_prefix}text", "x")
    events = [Event(pending.target, {b"n": b"1"}), Event(f"{log_prefix}text", {b"n": b"1"})]
    with pytest.raises(ResponseError, match="WRONGTYPE"):
        await publish(pending.wire, pending.source, "g", entry_id, events)
    assert await pending.published() == []
    assert await is_pending(pending.wire, pending.source, "g", entry_id)


@pytest.mark.parametrize("rights", [["~*", "-xadd"], ["~{source}", "%R~{target}"]])
async def test_a_right_that_is_missing_stops_the_script_before_its_first_write(
    pending: Pending, log_server: EmbeddedServer, log_prefix: str, rights: list[str]
) -> None:
    (entry_id,) = await pending.deliver(1)
    user = log_prefix.rstrip(":")
    granted = [right.format(source=pending.source, target=pending.target) for right in rights]
    await raw(pending.log, "ACL", "SETUSER", user, "on", ">pw", "+@all", *granted)
    address = log_server.tcp_url.rpartition("@")[2]
    async with Log(LogSettings(url=f"redis://{user}:pw@{address}")) as log:
        with pytest.raises(RedisError, match=r"no right to XADD|[Nn]o permissions"):
            await publish(
                log.commands(), pending.source, "g", entry_id, [Event(pending.target, {b"n": b"1"})]
            )
    assert await pending.published() == []
    assert await is_pending(pending.wire, pending.source, "g", entry_id)
    await raw(pending.log, "ACL", "DELUSER", user)


async def test_a_full_memory_does_not_tear_acknowledgement_and_event_apart(tmp_path: Path) -> None:
    """Valkey judges memory at a script's first write only, so it either runs whole or not at all."""
    async with EmbeddedServer(tmp_path) as server, Log(LogSettings(url=server.url)) as log:
        pending = Pending(log, "")
        (entry_id,) = await pending.deliver(1)
        await raw(log, "CONFIG", "SET", "maxmemory", 1)
        try:
            done = await publish(
                pending.wire, pending.source, "g", entry_id, [Event(pending.target, {b"n": b"1"})]
            )
        except RedisError:
            done = False
        assert await is_pending(pending.wire, pending.source, "g", entry_id) is not done
        assert len(await pending.published()) == int(done)


@pytest.mark.parametrize(
    ("keys", "args"),
    [
        (["s"], ["g", 1, "no-id", 0]),
        (["s"], ["g", 1, "1-1", 1, 2, "a", "b"]),
        (["s", "t"], ["g", 1, "1-1", 1, 3, "a", "b", "c"]),
        (["s", "t"], ["g", 1, "1-1", 0]),
        (["s", "t"], ["g", 2, "1-1", 1, 2, "a", "b"]),
        (["s", "t"], ["g", 1, "1-1", 1, 2, "a"]),
        (["s", "t"], ["g", 1, "1-1", 1, 0]),
    ],
)
async def test_arguments_that_do_not_add_up_are_refused_by_the_script_itself(
    log: Log, log_prefix: str, keys: list[str], args: list[bytes | str | int]
) -> None:
    with pytest.raises(ResponseError):
        await _FINISH.call(log.commands(), [log_prefix + key for key in keys], args)
    assert await log.commands().keys(f"{log_prefix}*") == []


@pytest.mark.parametrize(
    "fields", [{}, {b"a": None}, {"a": b"b"}, {f"{n}".encode(): b"" for n in range(2001)}]
)
def test_what_cannot_be_an_entry_is_refused_where_it_is_made(fields: dict[bytes, bytes]) -> None:
    with pytest.raises((ValueError, TypeError), match="an event for s has"):
        Event("s", fields)


def test_an_event_without_a_stream_is_refused() -> None:
    with pytest.raises(ValueError, match="needs a stream"):
        Event("", {b"a": b"b"})


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(fields=st.dictionaries(st.binary(max_size=20), st.binary(max_size=50), min_size=1, max_size=5))
async def test_any_bytes_come_out_as_they_went_in(pending: Pending, fields: dict[bytes, bytes]) -> None:
    (entry_id,) = await pending.deliver(1)
    assert await publish(pending.wire, pending.source, "g", entry_id, [Event(pending.target, fields)])
    assert (await pending.published())[-1] == fields


async def test_the_largest_event_passes(pending: Pending) -> None:
    (entry_id,) = await pending.deliver(1)
    fields = {f"{n}".encode(): b"v" for n in range(2000)}
    assert await publish(pending.wire, pending.source, "g", entry_id, [Event(pending.target, fields)])
    assert await pending.published() == [fields]


@pytest.mark.parametrize("loss", [Loss.CUT, Loss.SWALLOW])
async def test_a_publish_whose_reply_is_lost_is_not_published_twice(
    pending: Pending, log_server: EmbeddedServer, loss: Loss
) -> None:
    (entry_id,) = await pending.deliver(1)
    event = Event(pending.target, {b"n": b"1"})
    async with (
        LossyProxy(log_server.tcp_url) as proxy,
        Log(LogSettings(url=proxy.url, socket_timeout_s=0.2)) as lossy,
    ):
        proxy.lose(b"EVALSHA", reply=b"*1", loss=loss)
        with pytest.raises(RedisError):
            await publish(lossy.commands(), pending.source, "g", entry_id, [event])
        assert not await publish(lossy.commands(), pending.source, "g", entry_id, [event])
    assert await pending.published() == [{b"n": b"1"}]


async def test_many_ids_are_acknowledged_and_counted(pending: Pending) -> None:
    ids = await pending.deliver(1500)
    assert await acknowledge(pending.wire, pending.source, "g", ids) == 1500
    assert await acknowledge(pending.wire, pending.source, "g", ids) == 0
