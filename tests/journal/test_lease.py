"""The lease: one holder, an epoch that only grows, and no way back for who lost it."""

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.exceptions import ResponseError

from sureclose.journal import lease
from sureclose.journal.lease import TTL_MS, Lease
from sureclose.streams.connection import Log
from tests.journal.journals import Desk


async def test_one_takes_it_and_the_others_wait(log: Log, log_prefix: str) -> None:
    desk = Desk(log, log_prefix)
    takers = [lease.take(desk.wire, desk.keys, f"p{n}") for n in range(8)]
    taken = [found for found in await asyncio.gather(*takers) if found is not None]
    assert len(taken) == 1
    assert await lease.holder(desk.wire, desk.keys) == taken[0]
    assert 0 < await desk.do("PTTL", desk.keys.lease) <= TTL_MS


async def test_nobody_holds_what_was_never_taken(log: Log, log_prefix: str) -> None:
    desk = Desk(log, log_prefix)
    assert await lease.holder(desk.wire, desk.keys) is None
    assert not await lease.renew(desk.wire, desk.keys, Lease("a", 1))


async def test_it_runs_out_and_the_next_epoch_is_higher(desk: Desk) -> None:
    wire, keys = desk.wire, desk.keys
    await desk.do("PEXPIRE", keys.lease, 1)
    while await desk.do("EXISTS", keys.lease):
        await asyncio.sleep(0)
    second = await lease.take(wire, keys, "second")
    assert second is not None
    assert second.epoch > desk.lease.epoch
    assert not await lease.renew(wire, keys, desk.lease)
    assert await lease.holder(wire, keys) == second


async def test_renewing_prolongs_it_and_dropping_ends_it(desk: Desk) -> None:
    wire, keys = desk.wire, desk.keys
    assert await lease.renew(wire, keys, desk.lease, 120_000)
    assert await desk.do("PTTL", keys.lease) > 60_000
    await lease.drop(wire, keys, desk.lease)
    assert await lease.holder(wire, keys) is None
    assert not await lease.renew(wire, keys, desk.lease)


async def test_who_lost_it_can_neither_renew_nor_drop_anothers(desk: Desk) -> None:
    wire, keys = desk.wire, desk.keys
    await lease.drop(wire, keys, desk.lease)
    second = await lease.take(wire, keys, "second", 60_000)
    for stale in (desk.lease, Lease("second", desk.lease.epoch), Lease("first", desk.lease.epoch + 1)):
        assert not await lease.renew(wire, keys, stale)
        await lease.drop(wire, keys, stale)
    assert await lease.holder(wire, keys) == second


async def test_who_takes_it_again_is_a_new_holder(desk: Desk) -> None:
    """The answer to the first take was lost, or the process began anew: what went before has no say any more."""
    again = await lease.take(desk.wire, desk.keys, "first", 60_000)
    assert again is not None
    assert again.epoch > desk.lease.epoch
    assert not await lease.renew(desk.wire, desk.keys, desk.lease)
    assert await lease.renew(desk.wire, desk.keys, again)


async def test_a_log_without_memory_lets_its_holder_stay_and_another_come(desk: Desk) -> None:
    """Only who holds the lease may archive, which is what gives a full log its memory back."""
    wire, keys = desk.wire, desk.keys
    await desk.do("CONFIG", "SET", "maxmemory", 1)
    try:
        assert await lease.renew(wire, keys, desk.lease, 60_000)
        await lease.drop(wire, keys, desk.lease)
        second = await lease.take(wire, keys, "second", 60_000)
    finally:
        await desk.do("CONFIG", "SET", "maxmemory", 0)
    assert second is not None
    assert second.epoch == desk.lease.epoch + 1
    last = await lease.last(wire, keys)
    assert last is not None
    assert (last.epoch, last.dropped_at) == (second.epoch, 0)


@pytest.mark.parametrize("key", ["epoch", "leased", "reigns"])
async def test_what_is_of_the_wrong_kind_stops_a_take_before_it_writes(desk: Desk, key: str) -> None:
    name = getattr(desk.keys, key)
    await desk.do("DEL", name)
    await desk.do("RPUSH", name, "x")
    before = await desk.everything()
    with pytest.raises(ResponseError, match="WRONGTYPE"):
        await lease.take(desk.wire, desk.keys, desk.lease.owner)
    assert await desk.everything() == before


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from(["take", "drop", "expire"]), st.sampled_from("abc")), max_size=15))
async def test_epochs_only_grow_whatever_happens(
    log: Log, log_prefix: str, moves: list[tuple[str, str]]
) -> None:
    desk = Desk(log, log_prefix)
    highest = 0
    held: Lease | None = None
    for move, owner in moves:
        if move == "take":
            taken = await lease.take(desk.wire, desk.keys, owner, 60_000)
            if taken is not None:
                assert taken.epoch > highest
                highest, held = taken.epoch, taken
        elif move == "drop" and held is not None:
            await lease.drop(desk.wire, desk.keys, held)
        else:
            await desk.do("DEL", desk.keys.lease)
