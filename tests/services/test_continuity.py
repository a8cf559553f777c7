"""Before a reign: is it the log that was there, and what of the venue's orders does it lack?"""

import asyncio
import errno
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

from sureclose.domain.authority import Component, Trigger
from sureclose.domain.market import OrderReport, Position
from sureclose.domain.words import Mode
from sureclose.journal import authority, lease
from sureclose.journal.fence import Fence, Lineage, read_lineage
from sureclose.journal.keys import Keys
from sureclose.journal.lease import Lease
from sureclose.journal.mirror import Memory, Mirror
from sureclose.journal.store import Journal
from sureclose.services.alarms.alarm import AlarmKind
from sureclose.services.authority.freezing import AuthorityDesk
from sureclose.services.continuity import Continuity, Exchange
from sureclose.services.identity import producer
from sureclose.services.reading import Wiring
from sureclose.services.settings import StreamSettings
from sureclose.streams.clock import LogClock
from sureclose.streams.codec import CodecRules
from sureclose.streams.connection import Log
from sureclose.streams.sentinel import NoMaster
from sureclose.streams.wire import Wire
from sureclose.venue.clock import Sample, VenueClock, wall_ms
from sureclose.venue.errors import VenueUnreachable
from tests.domain.test_rebuilding import order

WINDOW, MARGIN = 60, 40


class Venue:
    """A venue whose time goes by with each question, and that notes what it is asked when."""

    def __init__(self) -> None:
        self.time = wall_ms()
        self.clock = VenueClock(steady=lambda: 1.0)
        self.clock.add([Sample(1.0, 1.0, self.time)])
        self.orders: list[OrderReport] = []
        self.asked_at: list[int] = []
        self.since: list[int] = []
        self.fails = 0

    async def server_time(self) -> int:
        self.time += 10
        if self.fails:
            self.fails -= 1
            raise VenueUnreachable("not now")
        return self.time

    async def positions(self) -> list[Position]:
        return []

    async def symbols_since(self, start_time: int) -> set[str]:
        self.asked_at.append(self.time)
        self.since.append(start_time)
        return {one.symbol for one in self.orders}

    async def orders_since(self, symbol: str, start_time: int) -> list[OrderReport]:
        return [one for one in self.orders if one.symbol == symbol]


class Told:
    def __init__(self) -> None:
        self.raised: list[AlarmKind] = []
        self.cleared: list[AlarmKind] = []

    def raise_(self, kind: AlarmKind, subject: str, what: str, remedy: str, /, **facts: object) -> None:
        self.raised.append(kind)

    def clear(self, kind: AlarmKind, subject: str) -> None:
        self.cleared.append(kind)


class Machine:
    """One process on one data folder; another is made to show a restart."""

    def __init__(self, log: Log, prefix: str, folder: Path, venue: Venue) -> None:
        self.log = log
        self.folder = folder
        self.venue = venue
        self.told = Told()
        self.wire: Wire = log.commands()
        self.keys = Keys(prefix, "paper:main")
        self.fence = Fence(Mirror(folder, "paper:main", "here"))
        self.journal = Journal(self.wire, self.keys, wall_ms, self.fence)
        self.wiring = Wiring(StreamSettings(prefix=prefix), CodecRules(Mode.PAPER, False), producer("test"))
        self.over = asyncio.Event()
        self.continuity = Continuity(
            log,
            self.journal,
            self.fence,
            self.wiring,
            cast("Exchange", venue),
            self.told,
            LogClock(wall_ms, lambda: 1.0),
            prefix="sc-",
            recv_window=WINDOW,
            margin=MARGIN,
            max_age=60_000,
            absence_s=60,
        )

    async def reign(self, owner: str = "one") -> Lease:
        lineage = await self.continuity.look(self.wire)
        component = self.continuity.standing.component or Component.EXECUTION_SERVICE
        above = self.continuity.highest_epoch
        held = await lease.take(self.wire, self.keys, owner, component=component, above=above)
        assert held is not None
        assert await self.continuity.secure(held, lineage, self.over)
        return held

    @property
    def desk(self) -> AuthorityDesk:
        return AuthorityDesk(self.wire, self.keys, self.wiring, LogClock(wall_ms, lambda: 1.0), self.venue)

    async def granted(self) -> "Machine":
        await self.desk.begin(Component.EXECUTION_SERVICE)
        await self.reign()
        return self

    def again(self) -> "Machine":
        return Machine(self.log, self.wiring.streams.prefix, self.folder, self.venue)

    async def lineage(self) -> Lineage:
        return await read_lineage(self.wire, self.keys)

    async def frozen(self) -> dict[str, str]:
        return (await authority.standing(self.wire, self.keys)).freeze

    async def events(self) -> list[str]:
        found = await self.wire.execute_command(
            b"XRANGE", self.wiring.streams.prefix + "authority.events", "-", "+"
        )
        return [dict(zip(flat[::2], flat[1::2], strict=True))[b"event"].decode() for _, flat in found]


@pytest.fixture
def venue() -> Venue:
    return Venue()


@pytest.fixture
def machine(log: Log, log_prefix: str, tmp_path: Path, venue: Venue) -> Machine:
    return Machine(log, log_prefix, tmp_path / "mirror", venue)


async def test_a_new_log_gets_its_name_without_a_wait(machine: Machine) -> None:
    await machine.granted()
    assert machine.fence.memory.id == (await machine.lineage()).id != ""
    assert machine.venue.asked_at == []
    assert await machine.frozen() == {}
    await machine.again().reign()
    assert machine.venue.asked_at == [], "the same log, the same server"


Loss = tuple[bytes | str | int, ...]
LOSSES: dict[str, Callable[[Keys], list[Loss]]] = {
    "emptied": lambda keys: [("DEL", keys.log), ("DEL", keys.epoch), ("DEL", keys.journal)],
    "fewer writes": lambda keys: [("HSET", keys.log, "written", 0)],
    "another name": lambda keys: [("HSET", keys.log, "id", "f" * 32)],
    "an older epoch": lambda keys: [("SET", keys.epoch, 0)],
}


@pytest.mark.parametrize("loss", LOSSES)
async def test_after_a_loss_the_venue_is_asked_when_nothing_can_be_on_the_way(
    machine: Machine, loss: str
) -> None:
    await machine.granted()
    machine.fence.acknowledged(3)
    before = await machine.lineage()
    await machine.wire.execute_command(b"HSET", machine.keys.log, "written", 3)
    for command in LOSSES[loss](machine.keys):
        name, *rest = command
        await machine.wire.execute_command(str(name).encode(), *rest)
    machine.venue.orders = [order("1"), order("1", 2)]
    detected = machine.venue.time
    restarted = machine.again()
    held = await restarted.reign()
    assert held.epoch > before.epoch
    assert min(machine.venue.asked_at) > detected + WINDOW + MARGIN
    assert set(await restarted.journal.orphans()) == {one.client_order_id for one in machine.venue.orders}
    after = await restarted.lineage()
    assert after.id not in {before.id, ""}
    assert before.id in after.before
    assert restarted.fence.memory.id == after.id
    assert restarted.told.raised == restarted.told.cleared == [AlarmKind.LOG_LOST]
    assert "LOG_RECONCILED" in await restarted.events()
    assert await restarted.frozen() == {}, "the authority record is the one that was known"
    asked = len(machine.venue.asked_at)
    await restarted.again().reign()
    assert len(machine.venue.asked_at) == asked, "once is enough"


async def test_a_venue_that_does_not_answer_is_waited_for(machine: Machine) -> None:
    await machine.granted()
    await machine.wire.execute_command(b"DEL", machine.keys.log)
    machine.venue.fails = 2
    await machine.again().reign()
    assert len(machine.venue.asked_at) == 1


async def test_a_reign_that_ends_while_it_waits_passes_no_gate(machine: Machine) -> None:
    await machine.granted()
    await machine.wire.execute_command(b"DEL", machine.keys.log)
    machine.venue.fails = 1000
    restarted = machine.again()
    asyncio.get_running_loop().call_later(0.05, restarted.over.set)
    lineage = await restarted.continuity.look(restarted.wire)
    held = await lease.take(restarted.wire, restarted.keys, "one", above=restarted.continuity.highest_epoch)
    assert held is not None
    assert not await restarted.continuity.secure(held, lineage, restarted.over)
    assert (await restarted.lineage()).id == ""


async def test_one_who_stood_by_follows_the_word_of_who_compared(
    machine: Machine, log: Log, log_prefix: str, tmp_path: Path
) -> None:
    await machine.granted()
    other = Machine(log, log_prefix, tmp_path / "elsewhere", machine.venue)
    other.continuity.stand_by(await other.continuity.look(other.wire))
    assert other.fence.memory.id == machine.fence.memory.id
    await machine.wire.execute_command(b"DEL", machine.keys.log)
    await machine.again().reign()
    other.continuity.stand_by(await other.continuity.look(other.wire))
    asked = len(machine.venue.asked_at)
    await machine.wire.execute_command(b"DEL", machine.keys.lease)
    await other.reign("other")
    assert len(machine.venue.asked_at) == asked


async def test_a_server_started_anew_is_believed_only_by_those_who_know_the_log(
    machine: Machine, log: Log, log_prefix: str, tmp_path: Path
) -> None:
    await machine.granted()
    await machine.wire.execute_command(b"HSET", machine.keys.log, "run", "the run before")
    await machine.again().reign()
    assert machine.venue.asked_at == [], "appendfsync always, and all that was heard of is there"
    await machine.wire.execute_command(b"HSET", machine.keys.log, "run", "the run before")
    await machine.wire.execute_command(b"DEL", machine.keys.lease)
    stranger = Machine(log, log_prefix, tmp_path / "elsewhere", machine.venue)
    await stranger.reign("stranger")
    assert len(machine.venue.asked_at) == 1


async def test_one_who_stood_by_knows_of_a_freeze_that_a_failover_lost(
    machine: Machine, log: Log, log_prefix: str, tmp_path: Path
) -> None:
    """A folder of its own holds none of what the leader keeps; what it heard itself has to do."""
    await machine.granted()
    await machine.wire.execute_command(b"HSET", machine.keys.log, "written", 3)
    await machine.wire.execute_command(b"HSET", machine.keys.freeze, "reason", "a person", "revision", 7)
    other = Machine(log, log_prefix, tmp_path / "elsewhere", machine.venue)
    assert other.continuity.stand_by(await other.continuity.look(other.wire))
    await machine.wire.execute_command(b"DEL", machine.keys.freeze, machine.keys.lease)
    await machine.wire.execute_command(b"HSET", machine.keys.log, "written", 2)
    await other.reign("other")
    assert len(machine.venue.asked_at) == 1
    frozen = await other.frozen()
    assert (frozen["kind"], frozen["revision"]) == ("LOG_LOST", "8")
    await other.again().reign("other")
    assert await other.frozen() == frozen


@pytest.mark.parametrize("restarted", [False, True])
async def test_one_who_led_before_knows_of_a_freeze_that_a_failover_lost(
    machine: Machine, log: Log, log_prefix: str, tmp_path: Path, restarted: bool
) -> None:
    """What its folder keeps is older than what it heard since."""
    await machine.granted()
    await machine.wire.execute_command(b"DEL", machine.keys.lease)
    other = Machine(log, log_prefix, tmp_path / "elsewhere", machine.venue)
    await other.reign("other")
    await machine.wire.execute_command(b"DEL", machine.keys.lease)
    await machine.reign()
    await machine.wire.execute_command(b"HSET", machine.keys.log, "written", 3)
    await machine.wire.execute_command(b"HSET", machine.keys.freeze, "reason", "a person", "revision", 7)
    if restarted:
        other = other.again()
    assert other.continuity.stand_by(await other.continuity.look(other.wire))
    await machine.wire.execute_command(b"DEL", machine.keys.freeze, machine.keys.lease)
    await machine.wire.execute_command(b"HSET", machine.keys.log, "written", 2)
    await other.reign("other")
    assert len(machine.venue.asked_at) == 1
    assert (await other.frozen())["revision"] == "8"


async def test_one_who_stood_by_freezes_a_log_that_was_emptied(
    machine: Machine, log: Log, log_prefix: str, tmp_path: Path
) -> None:
    await machine.granted()
    other = Machine(log, log_prefix, tmp_path / "elsewhere", machine.venue)
    assert other.continuity.stand_by(await other.continuity.look(other.wire))
    keys = await machine.wire.execute_command(b"KEYS", f"{log_prefix}*")
    await machine.wire.execute_command(b"DEL", *keys)
    await other.reign("other")
    assert len(machine.venue.asked_at) == 1
    assert (await other.frozen())["kind"] == "LOG_LOST"
    assert (await other.events()).count("AUTHORITY_FREEZE") == 1


async def test_what_is_known_of_authority_is_not_unlearnt_from_an_older_word(
    machine: Machine, log: Log, log_prefix: str, tmp_path: Path
) -> None:
    await machine.granted()
    await machine.wire.execute_command(b"HSET", machine.keys.freeze, "reason", "a person", "revision", 7)
    other = Machine(log, log_prefix, tmp_path / "elsewhere", machine.venue)
    assert other.continuity.stand_by(await other.continuity.look(other.wire))
    known = other.fence.memory.authority
    assert known is not None
    assert known.revision == 7
    await machine.wire.execute_command(b"DEL", machine.keys.freeze)
    assert other.continuity.stand_by(await other.continuity.look(other.wire))
    assert other.fence.memory.authority == known


async def test_a_loss_seen_by_who_knows_of_no_authority_freezes_a_log_that_has_none(
    machine: Machine, log: Log, log_prefix: str, tmp_path: Path
) -> None:
    """Nobody would grant it again: an account without any record is only bootstrapped at its first start."""
    await machine.granted()
    await machine.wire.execute_command(b"HSET", machine.keys.log, "run", "the run before")
    await machine.wire.execute_command(b"DEL", machine.keys.grant, machine.keys.lease)
    stranger = Machine(log, log_prefix, tmp_path / "elsewhere", machine.venue)
    await stranger.reign("stranger")
    assert len(machine.venue.asked_at) == 1
    assert (await stranger.frozen())["kind"] == "LOG_LOST"


async def test_a_full_disk_under_the_mirror_is_waited_for(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing passes a gate before the machine remembers whose epoch it is."""
    await machine.granted()
    keep = Mirror.keep
    refused: list[int] = []

    def full_at_first(mirror: Mirror, memory: Memory) -> None:
        if len(refused) < 2:
            refused.append(memory.epoch)
            raise OSError(errno.ENOSPC, "No space left on device")
        keep(mirror, memory)

    monkeypatch.setattr(Mirror, "keep", full_at_first)
    again = machine.again()
    held = await again.reign()
    assert refused == [held.epoch, held.epoch]
    assert again.again().fence.memory.epoch == held.epoch


@pytest.mark.parametrize("what", ["missing", "older", "other"])
async def test_an_authority_record_that_is_not_the_known_one_is_frozen(machine: Machine, what: str) -> None:
    await machine.granted()
    kept = machine.fence.memory.authority
    assert kept is not None
    if what == "missing":
        await machine.wire.execute_command(b"DEL", machine.keys.grant)
    elif what == "older":
        await machine.wire.execute_command(b"HSET", machine.keys.grant, "revision", 0)
    else:
        await machine.wire.execute_command(b"HSET", machine.keys.grant, "component", "harvest_brain")
    assert await machine.continuity.watch(machine.wire) == ""
    frozen = await machine.frozen()
    assert frozen["revision"] == str(kept.revision + 1)
    assert (await machine.events())[-1] == "AUTHORITY_FREEZE"
    await machine.continuity.watch(machine.wire)
    if what == "other":
        return  # and whoever it names now has the lease
    await machine.again().reign()
    assert await machine.frozen() == frozen, "once, and for as long as nobody unfreezes"
    assert (await machine.events()).count("AUTHORITY_FREEZE") == 1


async def test_a_newer_authority_record_is_taken_over(machine: Machine) -> None:
    await machine.granted()
    await machine.wire.execute_command(b"HSET", machine.keys.freeze, "reason", "looked", "revision", 7)
    assert await machine.continuity.watch(machine.wire) == ""
    kept = machine.again().fence.memory.authority
    assert kept is not None
    assert (kept.revision, kept.freeze["reason"]) == (7, "looked")
    await machine.wire.execute_command(b"DEL", machine.keys.freeze)
    await machine.continuity.watch(machine.wire)
    assert "LOG_LOST" in (await machine.frozen())["kind"], "a freeze that vanished is no unfreeze"


@pytest.mark.parametrize("loss", ["emptied", "fewer writes", "another name"])
async def test_within_a_reign_the_loss_ends_it(machine: Machine, loss: str) -> None:
    await machine.granted()
    machine.fence.acknowledged(3)
    await machine.wire.execute_command(b"HSET", machine.keys.log, "written", 3)
    assert await machine.continuity.watch(machine.wire) == ""
    for command in LOSSES[loss](machine.keys):
        name, *rest = command
        await machine.wire.execute_command(str(name).encode(), *rest)
    assert "writes" in await machine.continuity.watch(machine.wire)


async def test_a_damaged_mirror_means_frozen_and_compared(machine: Machine) -> None:
    await machine.granted()
    memory = next(machine.folder.glob("*.json"))
    memory.write_bytes(b"{")
    await machine.again().reign()
    assert len(machine.venue.asked_at) == 1
    assert "can't be read" in (await machine.frozen())["reason"]
    assert (await machine.events()).count("AUTHORITY_FREEZE") == 1


async def test_a_suspicion_outlives_a_reign_that_ended_before_the_comparison(machine: Machine) -> None:
    await machine.granted()
    machine.continuity.suspect("ids went backwards")
    machine.over.set()
    lineage = await machine.continuity.look(machine.wire)
    assert not await machine.continuity.secure(Lease("one", 1), lineage, machine.over)
    machine.over.clear()
    await machine.reign()
    await machine.reign()
    assert len(machine.venue.asked_at) == 1


async def test_no_reign_begins_on_a_server_that_is_not_the_master(machine: Machine) -> None:
    """Sentinels are asked before the log is believed, and again until a majority has an answer."""
    await machine.granted()
    asked: list[int] = []

    async def require_master() -> None:
        asked.append(len(asked))
        if len(asked) < 3:
            raise NoMaster("not yet")

    machine.log.require_master = require_master  # type: ignore[method-assign]
    await machine.reign()
    assert len(asked) == 3


async def test_orders_are_read_from_before_the_newest_record(machine: Machine) -> None:
    """Without any record, as far back as an approval may be valid."""
    await machine.granted()
    await machine.wire.execute_command(b"DEL", machine.keys.log)
    await machine.again().reign()
    day = 24 * 3_600_000
    assert machine.venue.since[-1] < wall_ms() - day
    old = wall_ms() - 3 * day
    await machine.wire.execute_command(b"XADD", machine.keys.journal, f"{old}-1", "plan_id", "p")
    await machine.wire.execute_command(b"DEL", machine.keys.log)
    await machine.again().reign()
    assert old - 120_000 < machine.venue.since[-1] < old


async def test_a_reign_ends_when_the_freeze_is_lifted_for_its_closes_have_aged(machine: Machine) -> None:
    await machine.granted()
    desk = machine.desk
    frozen = await desk.freeze(Trigger.COMMAND, "maintenance")
    assert await machine.continuity.watch(machine.wire) == ""
    assert machine.fence.memory.authority == frozen
    await desk.unfreeze(frozen, audit="a", judged_at=1, actor="ann")
    assert "judged again" in await machine.continuity.watch(machine.wire)
    await machine.reign()
    assert await machine.continuity.watch(machine.wire) == ""


async def test_who_comes_back_after_too_long_finds_the_account_frozen(machine: Machine) -> None:
    """Incident 77: a controller was dead for ten days, and its grant outlived it."""
    await machine.granted()
    await machine.wire.execute_command(b"DEL", machine.keys.lease)
    gone = wall_ms() - 63_500 - 1_000
    await machine.wire.execute_command(b"HSET", machine.keys.leased, "renewed_at", gone + 3_000)
    await machine.again().reign()
    assert await machine.frozen() == {}
    await machine.wire.execute_command(b"DEL", machine.keys.lease)
    await machine.wire.execute_command(b"HSET", machine.keys.leased, "renewed_at", gone)
    again = machine.again()
    await again.reign()
    frozen = await machine.frozen()
    assert frozen["kind"] == "ABSENCE"
    assert again.fence.memory.authority is not None
    assert again.fence.memory.authority.frozen


async def test_two_grants_of_one_revision_freeze_the_account(machine: Machine) -> None:
    await machine.granted()
    await machine.wire.execute_command(b"HSET", machine.keys.grant, "component", "harvest_brain")
    assert await machine.continuity.watch(machine.wire) == ""
    assert (await machine.frozen())["kind"] == "TWO_GRANTS"
