"""Consumer names: stable, leased, taken over."""

import asyncio

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from structlog.testing import capture_logs

from sureclose.streams import slots
from sureclose.streams.connection import Log
from sureclose.streams.slots import NoSlotFree, Slot, slot_key
from sureclose.streams.wire import Wire


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Breakable:
    """A wire that can be cut."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.cut = False
        self.asked = asyncio.Event()

    async def execute_command(self, *args: bytes | str | int) -> object:
        self.asked.set()
        if self.cut:
            raise RedisConnectionError("cut")
        return await self.wire.execute_command(*args)


@pytest.fixture
def clock() -> Clock:
    return Clock()


async def take(wire: Wire, prefix: str, clock: Clock, token: str | None = None) -> Slot:
    return await Slot.take(wire, prefix=prefix, group="g", role="execution", monotonic=clock, token=token)


async def test_incident_06_a_restarted_process_gets_the_name_that_it_had_before(
    log: Log, log_prefix: str, clock: Clock
) -> None:
    for _ in range(3):
        slot = await take(log.commands(), log_prefix, clock)
        assert slot.name == "execution-1"
        await slot.release()


async def test_two_processes_have_two_names_and_the_lowest_free_one_is_taken(
    log: Log, log_prefix: str, clock: Clock
) -> None:
    first, second = [await take(log.commands(), log_prefix, clock) for _ in range(2)]
    assert (first.name, second.name) == ("execution-1", "execution-2")
    await first.release()
    assert (await take(log.commands(), log_prefix, clock)).name == "execution-1"


async def test_a_slot_of_a_dead_process_runs_out_by_itself(log: Log, log_prefix: str, clock: Clock) -> None:
    await take(log.commands(), log_prefix, clock)
    left_ms = await log.commands().pttl(slot_key(log_prefix, "g", 1))
    assert 0 < left_ms <= 3000


async def test_asking_again_after_a_lost_reply_gives_the_same_slot(
    log: Log, log_prefix: str, clock: Clock
) -> None:
    names = {(await take(log.commands(), log_prefix, clock, token="mine")).name for _ in range(3)}
    assert names == {"execution-1"}


async def test_a_slot_in_other_hands_is_reported_and_neither_renewed_nor_released(
    log: Log, log_prefix: str, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slots, "RENEW_EVERY_S", 0.01)
    slot = await take(log.commands(), log_prefix, clock)
    await log.commands().set(slot_key(log_prefix, "g", 1), "another", px=500)
    with capture_logs() as logs:
        await asyncio.wait_for(slot.keep(asyncio.Event()), 5)
    assert slot.lost.is_set()
    assert not slot.held
    assert [entry["event"] for entry in logs] == ["slot.lost"]
    await slot.release()
    assert await log.commands().get(slot_key(log_prefix, "g", 1)) == b"another"
    assert await log.commands().pttl(slot_key(log_prefix, "g", 1)) <= 500


async def test_a_kept_slot_outlives_its_first_term(
    log: Log, log_prefix: str, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slots, "RENEW_EVERY_S", 0.01)
    wire = Breakable(log.commands())
    slot = await take(wire, log_prefix, clock)
    wire.asked.clear()
    stop = asyncio.Event()
    keeper = asyncio.create_task(slot.keep(stop))
    clock.now += 2.9
    for _ in range(2):  # the second renewal begins after the first has ended
        wire.asked.clear()
        await asyncio.wait_for(wire.asked.wait(), 5)
    clock.now += 2.9
    assert slot.held
    stop.set()
    await keeper
    assert not slot.lost.is_set()


async def test_a_slot_that_cannot_be_renewed_in_time_is_not_ours_any_more(
    log: Log, log_prefix: str, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slots, "RENEW_EVERY_S", 0.01)
    wire = Breakable(log.commands())
    slot = await take(wire, log_prefix, clock)
    wire.cut = True
    keeper = asyncio.create_task(slot.keep(asyncio.Event()))
    wire.asked.clear()
    await asyncio.wait_for(wire.asked.wait(), 5)
    held_before = slot.held
    clock.now += 3.0
    assert (held_before, slot.held) == (True, False)
    with capture_logs() as logs:
        await asyncio.wait_for(keeper, 5)
        await slot.release()
    assert [entry["event"] for entry in logs] == ["slot.lost", "slot.release_failed"]


async def test_too_many_readers_are_an_error(
    log: Log, log_prefix: str, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slots, "MOST_SLOTS", 1)
    await take(log.commands(), log_prefix, clock)
    with pytest.raises(NoSlotFree, match="all 1 slots of group g"):
        await take(log.commands(), log_prefix, clock)
