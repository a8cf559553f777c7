"""The guardian against a real log: each ground ends the grant once, and what is merely quiet or away for a while does not."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import msgspec
import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from sureclose.domain.authority import Authority, Component, Ground, Trigger
from sureclose.domain.components import Facts
from sureclose.domain.market import Position
from sureclose.domain.outcome import OutcomeKind
from sureclose.domain.words import Mode
from sureclose.journal import lease
from sureclose.journal.chain import Chain
from sureclose.services.alarms.board import Alarms
from sureclose.services.authority.findings import Findings
from sureclose.services.authority.freezing import AuthorityDesk
from sureclose.services.authority.guardian import Guardian
from sureclose.services.authority.path import PathReader
from sureclose.services.authority.registry import Registry
from sureclose.services.identity import producer
from sureclose.services.reading import Wiring
from sureclose.services.settings import AuthoritySettings, HarvestBrainSettings, StreamSettings
from sureclose.streams.clock import LogClock
from sureclose.streams.codec import CodecRules
from sureclose.streams.connection import Log
from sureclose.streams.groups import ensure_group
from sureclose.streams.names import StreamName
from sureclose.streams.wire import Wire, hash_texts
from sureclose.venue.clock import steady_seconds, wall_ms
from tests.journal.journals import GROUP, Desk, admitted, ended
from tests.services.alarming import Told, World, running
from tests.services.living import Clock

EXECUTION: Final = Component.EXECUTION_SERVICE
SETTINGS: Final = AuthoritySettings()
WELL: Final = Facts(lease="held", reading=True, blind_ms=0, held_back_ms=0)
LOOK: Final = 5.0


class Flat:
    """A venue without positions."""

    async def positions(self) -> list[Position]:
        return []


class Cut:
    """A wire that can be cut."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.is_cut = False

    async def execute_command(self, *args: bytes | str | int) -> Any:
        if self.is_cut:
            raise RedisConnectionError("cut")
        return await self.wire.execute_command(*args)


class Process:
    """A process that watches: its own steady clock, its own connection, and what it saw at the venue."""

    def __init__(self, site: "Site", settings: AuthoritySettings, alarms: Alarms) -> None:
        self.clock = Clock()
        self.wire = Cut(site.wire)
        self.findings = Findings(site.log_clock.now)
        wiring = Wiring(site.streams, CodecRules(Mode.PAPER), producer("guardian"))
        self.guardian = Guardian(
            self.wire,
            site.keys,
            AuthorityDesk(self.wire, site.keys, wiring, site.log_clock, Flat()),
            PathReader(
                self.wire,
                site.keys,
                site.streams,
                HarvestBrainSettings(),
                most_in_flight=3,
                path_broken_s=settings.path_broken_s,
            ),
            alarms,
            settings,
            found=lambda: self.findings.all,
            wall=lambda: site.log_clock.now() + site.later_ms,
            monotonic=self.clock,
        )

    def knows(self) -> bool:
        """Whether it says what the record is."""
        return self.guardian.vitals is not None

    async def look(self) -> None:
        self.clock.now += LOOK
        await self.guardian.look()


class Site:
    """One account with a granted controller that holds the lease, and processes that watch it."""

    def __init__(self, log: Log, prefix: str) -> None:
        self.wire: Wire = log.commands()
        self.streams = StreamSettings(prefix=prefix)
        self.desk = Desk(log, prefix)
        self.keys = self.desk.keys
        self.log_clock = LogClock(wall_ms, steady_seconds)
        self.later_ms = 0
        self.facts = WELL
        self.results = self.streams.full(StreamName.APPLY_RESULT)
        self.told = Told()
        self.alarms = World(self.wire, prefix).alarms("watcher", self.told)
        self.authority = AuthorityDesk(
            self.wire,
            self.keys,
            Wiring(self.streams, CodecRules(Mode.PAPER), producer("test")),
            self.log_clock,
            Flat(),
        )

    async def open(self) -> "Site":
        await self.log_clock.measure(self.wire)
        await self.authority.begin(EXECUTION)
        await ensure_group(self.wire, self.results, GROUP)
        await self.desk.open(grant=False)
        return self

    def process(self, **settings: Any) -> Process:
        return Process(self, msgspec.structs.replace(SETTINGS, **settings), self.alarms)

    async def announce(self) -> None:
        registry = Registry(
            self.wire,
            self.keys,
            ("execution",),
            self.desk.lease.owner,
            started_at=0,
            facts=lambda _: self.facts,
            wall=lambda: self.log_clock.now() + self.later_ms,
        )
        await registry.announce()

    async def watched(self, process: Process, seconds: float, *, announcing: bool = True) -> Authority:
        """The record after so many seconds of looks, or as soon as it is frozen; ``seconds`` counts from the first."""
        standing = await self._look(process, announcing=announcing)
        for _ in range(round(seconds / LOOK)):
            if standing.frozen:
                break
            standing = await self._look(process, announcing=announcing)
        return standing

    async def _look(self, process: Process, *, announcing: bool) -> Authority:
        if announcing:
            await self.announce()
        await process.look()
        return await self.authority.standing()

    async def write(self) -> None:
        await self.wire.execute_command(b"XADD", self.results, b"*", b"decision", b"SKIP")

    async def read(self) -> None:
        await self.wire.execute_command(
            b"XREADGROUP", b"GROUP", GROUP, b"execution-1", b"COUNT", 10, b"STREAMS", self.results, b">"
        )

    async def events(self) -> list[str]:
        found = await self.wire.execute_command(
            b"XRANGE", self.streams.full(StreamName.AUTHORITY_EVENTS), b"-", b"+"
        )
        return [hash_texts(fields)["event"] for _, fields in found]


@pytest.fixture
async def site(log: Log, log_prefix: str) -> Site:
    return await Site(log, log_prefix).open()


def demoted_for(standing: Authority) -> str:
    assert standing.component is None
    assert standing.freeze["demoted"] == EXECUTION
    return standing.freeze["ground"]


def triggers(standing: Authority) -> list[Trigger]:
    return [cause.trigger for cause in standing.triggers]


# What ends the grant ------------------------------------------------------------------------------------------------


async def test_entries_unread_while_the_lease_is_held_end_the_grant(site: Site) -> None:
    """GHOST, the seed of it all: a group with entries and a holder that reads none."""
    await site.write()
    process = site.process()
    assert not (await site.watched(process, SETTINGS.ghost_s - LOOK)).frozen
    standing = await site.watched(process, 0)
    assert demoted_for(standing) == Ground.GHOST
    assert triggers(standing) == [Trigger.DEMOTED]
    assert "allowed 120 s" in standing.freeze["why_demoted"]


async def test_a_group_that_is_given_entries_now_and_then_is_no_ghost(site: Site) -> None:
    process = site.process()
    for _ in range(4):
        await site.write()
        await site.write()
        assert not (await site.watched(process, SETTINGS.ghost_s - 2 * LOOK)).frozen
        await site.read()


async def test_a_controller_with_all_that_it_may_have_under_way_is_no_ghost(site: Site) -> None:
    """Three pending are as many as may be, and a fourth waits: as during a long ban."""
    for _ in range(3):
        await site.write()
    await site.read()
    await site.write()
    assert not (await site.watched(site.process(), 2 * SETTINGS.ghost_s)).frozen


async def test_no_traffic_for_a_long_while_ends_nothing(site: Site) -> None:
    await site.write()
    await site.read()
    assert not (await site.watched(site.process(), 1_000)).frozen


async def test_a_close_without_an_outcome_ends_the_grant(site: Site) -> None:
    """PATH_BROKEN: it is years old by the log's clock, and the holder had its grace."""
    await site.desk.admit()
    process = site.process()
    assert not (await site.watched(process, SETTINGS.absence_s - LOOK)).frozen
    standing = await site.watched(process, 0)
    assert demoted_for(standing) == Ground.PATH_BROKEN
    assert standing.freeze["why_demoted"].endswith("allowed 300 s)")


async def test_a_persons_close_and_one_that_waits_for_a_person_break_no_path(site: Site) -> None:
    human = Chain("human")
    said = admitted("human")
    decision = msgspec.structs.replace(said.decision, source="human:ann")
    human.unwritten.append(msgspec.structs.replace(said, decision=decision))
    await site.desk.journal.append(human, site.desk.lease)
    parked = await site.desk.admit("parked")
    await site.desk.publish(parked, ended(OutcomeKind.PARKED))
    assert not (await site.watched(site.process(), 400)).frozen


async def test_a_venue_outage_within_its_time_ends_nothing_and_beyond_it_freezes_without_blame(
    site: Site,
) -> None:
    """Positions can't be read, a close is overdue: nobody can tell whether the path works, and the grant stays."""
    await site.desk.admit()
    site.facts = Facts(lease="held", blind_ms=1_000, held_back_ms=0)
    process = site.process()
    assert not (await site.watched(process, SETTINGS.unverifiable_s - LOOK)).frozen
    standing = await site.watched(process, 0)
    assert (standing.component, triggers(standing)) == (EXECUTION, [Trigger.UNVERIFIABLE])


async def test_an_ip_ban_of_minutes_ends_nothing(site: Site) -> None:
    """The holder says that it is held back; when the ban is over the close ends."""
    chain = await site.desk.admit()
    site.facts = Facts(lease="held", blind_ms=0, held_back_ms=120_000)
    process = site.process()
    assert not (await site.watched(process, 240)).frozen
    site.facts = WELL
    assert not (await site.watched(process, 30)).frozen
    await site.desk.publish(chain)
    assert not (await site.watched(process, 600)).frozen


async def test_a_group_that_cant_be_read_freezes_without_blame(site: Site) -> None:
    """UNVERIFIABLE: the stream's key holds something else."""
    await site.wire.execute_command(b"DEL", site.results)
    await site.wire.execute_command(b"SET", site.results, b"x")
    standing = await site.watched(site.process(), SETTINGS.unverifiable_s)
    assert (standing.component, triggers(standing)) == (EXECUTION, [Trigger.UNVERIFIABLE])
    assert "can't be read" in standing.freeze["reason"]


async def test_a_lag_that_the_log_does_not_tell_is_no_unknown_where_nothing_waits(site: Site) -> None:
    """An entry that is deleted unread makes the lag null; that nothing is there to be read is known all the same."""
    await site.write()
    entry = await site.wire.execute_command(b"XADD", site.results, b"*", b"a", b"b")
    await site.read()
    entry = await site.wire.execute_command(b"XADD", site.results, b"*", b"a", b"b")
    await site.wire.execute_command(b"XDEL", site.results, entry)
    assert not (await site.watched(site.process(), 1_000)).frozen


async def test_a_holder_that_says_nothing_of_itself_freezes_without_blame(site: Site) -> None:
    standing = await site.watched(site.process(), SETTINGS.unverifiable_s, announcing=False)
    assert (standing.component, triggers(standing)) == (EXECUTION, [Trigger.UNVERIFIABLE])


async def test_a_stuck_close_of_the_holder_ends_the_grant_at_once(site: Site) -> None:
    """FAILURE_UNSAFE, as the holder announces it."""
    site.facts = msgspec.structs.replace(WELL, broken={"plan": "its chain was altered"})
    assert demoted_for(await site.watched(site.process(), 0)) == Ground.FAILURE_UNSAFE


@pytest.mark.parametrize("ground", [Ground.FAILURE_UNSAFE, Ground.SCOPE_VIOLATED, Ground.BREACH])
async def test_what_a_process_saw_at_the_venue_ends_the_grant_at_once(site: Site, ground: Ground) -> None:
    process = site.process()
    assert not (await site.watched(process, LOOK)).frozen
    process.findings.add(ground, "BTCUSDT", "an order that must not be")
    standing = await site.watched(process, 0)
    assert demoted_for(standing) == ground
    breach = ground is Ground.BREACH
    assert triggers(standing) == [Trigger.BREACH if breach else Trigger.DEMOTED]
    assert ("AUTHORITY_BREACH" in await site.events()) is breach


async def test_what_another_process_saw_counts_as_well(site: Site) -> None:
    """The holder's word that it saw a breach reaches a process without a venue."""
    seeing = site.process()
    seeing.findings.add(Ground.BREACH, "BTCUSDT", "an order that must not be")
    site.facts = msgspec.structs.replace(WELL, found=seeing.findings.all)
    assert demoted_for(await site.watched(site.process(), 0)) == Ground.BREACH


async def test_a_breach_under_freeze_is_one_more_trigger(site: Site) -> None:
    await site.authority.freeze(Trigger.COMMAND, "a look", actor="ann")
    process = site.process()
    process.findings.add(Ground.BREACH, "BTCUSDT", "an order that must not be")
    for _ in range(3):
        await process.look()
    assert triggers(await site.authority.standing()) == [Trigger.COMMAND, Trigger.BREACH]
    assert (await site.events()).count("AUTHORITY_BREACH") == 1


async def test_each_breach_under_freeze_is_a_trigger_that_an_audit_has_to_come_after(site: Site) -> None:
    """Of the second one the audit that came after the first says nothing."""
    await site.authority.freeze(Trigger.COMMAND, "a look", actor="ann")
    process = site.process()
    for number in range(2):
        await asyncio.sleep(0.002)  # the log's clock has milliseconds
        process.findings.add(Ground.BREACH, "BTCUSDT", f"order {number} must not be")
        for _ in range(3):
            await process.look()
    standing = await site.authority.standing()
    assert triggers(standing) == [Trigger.COMMAND, Trigger.BREACH, Trigger.BREACH]
    assert standing.triggers[-1].reason == "order 1 must not be"
    assert (await site.events()).count("AUTHORITY_BREACH") == 2


async def _unfrozen(site: Site, judged_at: int) -> None:
    """A person has lifted the freeze, on an audit that began then."""
    seen = await site.authority.standing()
    if seen.component is None:
        await site.authority.grant(
            seen, EXECUTION, audit="a1", judged_at=judged_at, actor="ann", reason="proven"
        )
        seen = await site.authority.standing()
    await site.authority.unfreeze(seen, audit="a1", judged_at=judged_at, actor="ann")


async def test_what_the_audit_of_an_unfreeze_has_judged_does_not_end_the_grant_again(site: Site) -> None:
    """The grant is older than what was found under the freeze; the audit is not."""
    process = site.process()
    await site.authority.freeze(Trigger.COMMAND, "a look", actor="ann")
    process.findings.add(Ground.FAILURE_UNSAFE, "plan", "a position went through zero")
    await process.look()
    await asyncio.sleep(0.002)
    await _unfrozen(site, site.log_clock.now())
    assert not (await site.watched(process, LOOK)).frozen


async def test_what_was_found_after_the_audit_began_ends_the_grant(site: Site) -> None:
    process = site.process()
    await site.authority.freeze(Trigger.COMMAND, "a look", actor="ann")
    began_at = site.log_clock.now()
    process.findings.add(Ground.FAILURE_UNSAFE, "plan", "a position went through zero")
    await _unfrozen(site, began_at)
    assert demoted_for(await site.watched(process, 0)) == Ground.FAILURE_UNSAFE


async def test_a_switch_forgives_nothing_that_was_found_before_it(site: Site) -> None:
    """It needs no audit, so it judges nothing."""
    process = site.process()
    process.findings.add(Ground.SCOPE_VIOLATED, "BTCUSDT", "an order that must not be")
    await asyncio.sleep(0.002)
    await site.authority.begin_switch(Component.HARVEST_BRAIN, actor="ann")
    moved = await site.authority.move_grant(site.desk.lease)
    assert moved is not None
    assert moved.component == Component.HARVEST_BRAIN
    standing = await site.watched(process, 0)
    assert (standing.component, standing.freeze["ground"]) == (None, Ground.SCOPE_VIOLATED)


async def test_the_next_order_that_must_not_be_ends_the_next_grant_too(site: Site) -> None:
    """Of the same symbol, in a process that remembers the first one."""
    process = site.process()
    for number in range(2):
        process.findings.add(Ground.SCOPE_VIOLATED, "BTCUSDT", f"order {number} does not reduce")
        assert demoted_for(await site.watched(process, 0)) == Ground.SCOPE_VIOLATED
        await asyncio.sleep(0.002)
        await _unfrozen(site, site.log_clock.now())


async def test_a_lease_of_another_component_than_the_granted_one_freezes(site: Site) -> None:
    """TWO_GRANTS: somebody wrote another name into the record, and it goes on for longer than a takeover takes."""
    await site.wire.execute_command(b"HSET", site.keys.grant, b"component", b"harvest_brain")
    standing = await site.watched(site.process(), 30)
    assert (standing.component, triggers(standing)) == (Component.HARVEST_BRAIN, [Trigger.TWO_GRANTS])
    assert "execution_service (first) holds the lease" in standing.freeze["reason"]


async def test_two_processes_that_say_that_they_hold_the_lease_freeze(site: Site) -> None:
    """TWO_GRANTS: it is no old word of before the last takeover."""
    second = Registry(
        site.wire,
        site.keys,
        ("execution",),
        "h:9:cd",
        started_at=0,
        facts=lambda _: WELL,
        wall=lambda: site.log_clock.now() + site.later_ms,
    )
    await second.announce()
    process = site.process()
    assert not (await site.watched(process, 30)).frozen, (
        "just after the lease was taken it may be an old word"
    )
    site.later_ms = 12_000
    await second.announce()
    standing = await site.watched(process, 30)
    assert (standing.component, triggers(standing)) == (EXECUTION, [Trigger.TWO_GRANTS])
    assert "execution_service@h:9:cd says that it holds the lease" in standing.freeze["reason"]


async def test_the_last_word_of_a_process_that_was_paused_and_killed_is_no_rival(site: Site) -> None:
    """It woke up, said once more that it holds the lease, and was killed; another had long taken it over."""
    process = site.process()
    site.later_ms = 60_000
    await site.announce()
    paused = Registry(
        site.wire,
        site.keys,
        ("execution",),
        "h:9:cd",
        started_at=0,
        facts=lambda _: WELL,
        wall=lambda: site.log_clock.now() + site.later_ms,
    )
    await paused.announce()
    for _ in range(6):
        assert not (await site.watched(process, 0)).frozen
        site.later_ms += round(LOOK * 1000)


async def test_a_holder_of_a_version_that_leaves_no_trace_freezes_without_blame(site: Site) -> None:
    """It took the lease without a word of what it is, and announces nothing: nobody can tell whether the path works."""
    await site.wire.execute_command(b"DEL", site.keys.reigns, site.keys.leased)
    process = site.process()
    assert not (await site.watched(process, SETTINGS.unverifiable_s - LOOK, announcing=False)).frozen
    standing = await site.watched(process, 0, announcing=False)
    assert (standing.component, triggers(standing)) == (EXECUTION, [Trigger.UNVERIFIABLE])


async def test_nobody_with_a_lease_for_too_long_freezes(site: Site) -> None:
    """ABSENCE: by the log's own record of the last lease, and at once for whoever looks."""
    await site.wire.execute_command(b"DEL", site.keys.lease)
    process = site.process()
    assert not (await site.watched(process, 0)).frozen
    site.later_ms = (SETTINGS.absence_s + 10) * 1_000
    standing = await site.watched(process, 0)
    assert (standing.component, triggers(standing)) == (EXECUTION, [Trigger.ABSENCE])


# Who watches --------------------------------------------------------------------------------------------------------


async def test_many_watchers_end_a_grant_once(site: Site) -> None:
    await site.write()
    processes = [site.process() for _ in range(4)]
    for _ in range(1 + round(SETTINGS.ghost_s / LOOK)):
        await site.announce()
        await asyncio.gather(*(process.look() for process in processes))
    standing = await site.authority.standing()
    assert demoted_for(standing) == Ground.GHOST
    assert standing.revision == 2
    assert (await site.events()).count("DEMOTED") == 1


async def test_a_watcher_that_was_stopped_begins_its_observation_anew(site: Site) -> None:
    await site.write()
    process = site.process()
    assert not (await site.watched(process, SETTINGS.ghost_s - LOOK)).frozen
    process.clock.now += 1_000
    assert not (await site.watched(process, SETTINGS.ghost_s - LOOK)).frozen
    assert (await site.watched(process, LOOK)).frozen


async def test_a_stopped_watcher_does_not_judge_absence_in_its_first_look(site: Site) -> None:
    """Whoever was stopped with it has to have a chance to take the lease."""
    process = site.process()
    await site.watched(process, 0)
    await site.wire.execute_command(b"DEL", site.keys.lease)
    site.later_ms = 1_000_000
    process.clock.now += 1_000
    assert not (await site.watched(process, 0)).frozen
    assert triggers(await site.watched(process, 0)) == [Trigger.ABSENCE]


async def test_a_log_outage_ends_nothing_and_is_no_observation(site: Site) -> None:
    """Who can't read the log judges nothing, says so, and begins anew when it answers."""
    await site.write()
    process = site.process()
    assert not (await site.watched(process, SETTINGS.ghost_s - LOOK)).frozen
    process.wire.is_cut = True
    await process.look()
    assert not process.knows()
    process.wire.is_cut = False
    assert not (await site.watched(process, SETTINGS.ghost_s - LOOK)).frozen
    assert process.knows()
    assert (await site.watched(process, LOOK)).frozen


async def test_a_takeover_ends_nothing(site: Site) -> None:
    """The old holder dies: its last word that it has the lease stands in the registry for a while."""
    process = site.process()
    await site.watched(process, 10)
    await site.wire.execute_command(b"DEL", site.keys.lease)
    assert not (await site.watched(process, 0, announcing=False)).frozen
    heir = await lease.take(site.wire, site.keys, "h:8:ef", 60_000)
    assert heir is not None
    site.desk.lease = heir
    assert not (await site.watched(process, 200)).frozen


# What is told -------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def alarmed(site: Site) -> AsyncIterator[Told]:
    async with running(site.alarms):
        yield site.told


async def test_freeze_and_demotion_are_told_once_and_cleared_when_they_are_over(site: Site) -> None:
    """By several processes, again and again, they are two alarms."""
    processes = [site.process(), site.process()]
    async with alarmed(site) as told:
        await site.authority.demote(EXECUTION, Ground.COMMAND, "a person said so", actor="ann")
        for _ in range(3):
            for process in processes:
                await process.look()
        said = await told.count(2)
        assert set(said) == {("FROZEN", "exit", "raised"), ("DEMOTED", EXECUTION, "raised")}
        frozen = next(alarm for alarm in told.alarms if alarm["alarm"] == "FROZEN")
        assert frozen["facts"]["triggers"] == "DEMOTED"
        assert "sureclose unfreeze --audit ID" in frozen["remedy"]
        seen = await site.authority.standing()
        await site.authority.grant(seen, EXECUTION, audit="a1", judged_at=1, actor="ann", reason="proven")
        await processes[0].look()
        await told.count(3)
        seen = await site.authority.standing()
        await site.authority.unfreeze(seen, audit="a1", judged_at=1, actor="ann")
        await processes[1].look()
        said = await told.count(4)
        assert said[2:] == [("DEMOTED", EXECUTION, "cleared"), ("FROZEN", "exit", "cleared")]
    vitals = processes[1].guardian.vitals
    assert vitals is not None
    assert (vitals.component, vitals.frozen) == (EXECUTION, False)
