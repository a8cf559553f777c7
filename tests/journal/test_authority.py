"""Grant and freeze as recorded: said once, and never over what is there already."""

import asyncio

import msgspec
import pytest
from redis.exceptions import ResponseError

from sureclose.domain.authority import Authority, CantChange, Component, Ground, Trigger
from sureclose.domain.market import Position
from sureclose.domain.words import Mode
from sureclose.journal import lease
from sureclose.journal.authority import Changed, change, standing
from sureclose.services.authority.absence import absence
from sureclose.services.authority.freezing import AuthorityDesk
from sureclose.services.identity import producer
from sureclose.services.reading import Wiring
from sureclose.services.settings import StreamSettings
from sureclose.streams.clock import LogClock
from sureclose.streams.codec import CodecRules
from sureclose.streams.connection import Log
from sureclose.venue.clock import wall_ms
from tests.journal.journals import Desk

EXECUTION, BRAIN = Component.EXECUTION_SERVICE, Component.HARVEST_BRAIN


@pytest.fixture
def bare(log: Log, log_prefix: str) -> Desk:
    """An account that nobody has ever used."""
    return Desk(log, log_prefix)


class Nothing:
    """An account without positions."""

    async def positions(self) -> list[Position]:
        return []


def authority_of(desk: Desk) -> AuthorityDesk:
    wiring = Wiring(StreamSettings(prefix=desk.prefix), CodecRules(Mode.PAPER, False), producer("test"))
    return AuthorityDesk(desk.wire, desk.keys, wiring, LogClock(wall_ms, lambda: 1.0), Nothing())


async def events(desk: Desk) -> list[str]:
    entries = await desk.do("XRANGE", f"{desk.prefix}authority.events", "-", "+")
    return [dict(zip(flat[::2], flat[1::2], strict=True))[b"event"].decode() for _, flat in entries]


async def test_an_account_without_record_has_no_grant_and_no_freeze(bare: Desk) -> None:
    found = await standing(bare.wire, bare.keys)
    assert found == Authority()
    assert not found.frozen


async def test_the_first_start_records_a_grant_or_a_freeze_once(bare: Desk) -> None:
    begun = await authority_of(bare).begin(EXECUTION)
    assert begun.component == EXECUTION
    for component in (BRAIN, None):
        assert await authority_of(bare).begin(component) == begun
    assert await standing(bare.wire, bare.keys) == begun
    assert await events(bare) == ["GRANTED"]


async def test_a_frozen_account_is_not_granted_to_anybody_by_a_start(bare: Desk) -> None:
    """I8: nothing may close because of a start."""
    begun = await authority_of(bare).begin(None)
    assert await authority_of(bare).begin(EXECUTION) == begun
    assert (begun.component, begun.frozen) == (None, True)
    assert await events(bare) == ["AUTHORITY_FREEZE"]


async def test_of_many_first_starts_one_is_the_first(bare: Desk) -> None:
    said = await asyncio.gather(*(authority_of(bare).begin(one) for one in (EXECUTION, BRAIN, None) * 3))
    assert all(one == said[0] for one in said)
    assert len(await events(bare)) == 1


async def test_events_of_the_wrong_type_stop_the_first_start_before_it_writes(bare: Desk) -> None:
    await bare.do("RPUSH", f"{bare.prefix}authority.events", "x")
    before = await bare.everything()
    with pytest.raises(ResponseError, match="WRONGTYPE"):
        await authority_of(bare).begin(EXECUTION)
    assert await bare.everything() == before


async def test_a_log_record_of_the_wrong_type_stops_a_change_before_it_writes(bare: Desk) -> None:
    await bare.do("RPUSH", bare.keys.log, "x")
    before = await bare.everything()
    with pytest.raises(ResponseError, match="WRONGTYPE"):
        await authority_of(bare).begin(EXECUTION)
    assert await bare.everything() == before


async def test_a_freeze_has_one_record_with_all_its_triggers(bare: Desk) -> None:
    desk = authority_of(bare)
    await desk.begin(EXECUTION)
    frozen = await desk.freeze(Trigger.COMMAND, "maintenance", actor="ann")
    again = await desk.freeze(Trigger.BREACH, "a stranger's order")
    assert await desk.freeze(Trigger.BREACH, "a stranger's order") == again
    assert [one.trigger for one in again.triggers] == [Trigger.COMMAND, Trigger.BREACH]
    assert (again.freeze["kind"], again.freeze["actor"]) == ("COMMAND", "ann")
    assert again.component == EXECUTION
    assert again.revision > frozen.revision
    assert await standing(bare.wire, bare.keys) == again
    assert await events(bare) == ["GRANTED", "AUTHORITY_FREEZE", "AUTHORITY_BREACH", "AUTHORITY_FREEZE"]


async def test_a_demotion_takes_the_grant_and_freezes_in_one_step(bare: Desk) -> None:
    desk = authority_of(bare)
    await desk.begin(EXECUTION)
    with pytest.raises(CantChange, match="does not hold the grant"):
        await desk.demote(BRAIN, Ground.COMMAND, "by mistake")
    demoted = await desk.demote(EXECUTION, Ground.GHOST, "12 entries unread")
    assert (demoted.component, demoted.frozen) == (None, True)
    assert demoted.freeze["ground"] == "GHOST"
    assert await events(bare) == ["GRANTED", "DEMOTED", "AUTHORITY_FREEZE"]
    with pytest.raises(CantChange, match="nobody holds the grant"):
        await desk.unfreeze(demoted, audit="a", judged_at=1, actor="ann")


async def test_a_second_grant_is_refused_and_the_first_one_stays(bare: Desk) -> None:
    desk = authority_of(bare)
    begun = await desk.begin(EXECUTION)
    with pytest.raises(CantChange, match="execution_service holds the grant"):
        await desk.grant(begun, BRAIN, audit="a", judged_at=1, actor="ann", reason="")
    assert await standing(bare.wire, bare.keys) == begun


async def test_of_two_grants_at_once_one_is_given(bare: Desk) -> None:
    seen = await authority_of(bare).begin(None)
    asked = (
        authority_of(bare).grant(seen, one, audit="a", judged_at=1, actor="ann", reason="")
        for one in (EXECUTION, BRAIN)
    )
    said = await asyncio.gather(*asked, return_exceptions=True)
    assert sum(isinstance(one, CantChange) for one in said) == 1
    assert (await events(bare)).count("GRANTED") == 1


async def test_a_record_that_moved_since_it_was_read_is_not_written_over(bare: Desk) -> None:
    desk = authority_of(bare)
    begun = await desk.begin(EXECUTION)
    frozen, said = await desk.freeze(Trigger.COMMAND, "meanwhile"), await events(bare)
    later = msgspec.structs.replace(begun, revision=9)
    stream = f"{bare.prefix}authority.events"
    told = ({"event": "GRANTED"},)
    assert await change(bare.wire, bare.keys, begun, later, events=stream, said=told) is Changed.MOVED
    assert await standing(bare.wire, bare.keys) == frozen
    assert await events(bare) == said


async def test_who_freezes_a_frozen_account_for_a_reason_of_his_own_is_heard(bare: Desk) -> None:
    """Else an unfreeze under way would lift it behind his back, on an audit of before."""
    desk = authority_of(bare)
    await desk.begin(EXECUTION)
    seen = await desk.freeze(Trigger.COMMAND, "maintenance", actor="ann")
    assert await desk.freeze(Trigger.COMMAND, "maintenance", actor="ann") == seen
    again = await desk.freeze(Trigger.COMMAND, "an order that nobody knows", actor="bob")
    assert [(one.reason, one.actor) for one in again.triggers] == [
        ("maintenance", "ann"),
        ("an order that nobody knows", "bob"),
    ]
    with pytest.raises(CantChange, match="changed meanwhile"):
        await desk.unfreeze(seen, audit="a", judged_at=1, actor="ann")
    assert await events(bare) == ["GRANTED", "AUTHORITY_FREEZE", "AUTHORITY_FREEZE"]


async def test_a_grant_is_given_for_the_record_that_was_judged_and_no_other(bare: Desk) -> None:
    """Its audit is older than what took the grant away meanwhile."""
    desk = authority_of(bare)
    seen = await desk.begin(EXECUTION)
    demoted = await desk.demote(EXECUTION, Ground.BREACH, "a stranger's order")
    with pytest.raises(CantChange, match="changed meanwhile"):
        await desk.grant(seen, EXECUTION, audit="a", judged_at=1, actor="ann", reason="")
    assert await desk.standing() == demoted


async def test_an_unfreeze_lifts_the_freeze_that_was_seen_and_no_other(bare: Desk) -> None:
    desk = authority_of(bare)
    await desk.begin(EXECUTION)
    seen = await desk.freeze(Trigger.COMMAND, "maintenance")
    await desk.freeze(Trigger.BREACH, "meanwhile")
    with pytest.raises(CantChange, match="changed meanwhile"):
        await desk.unfreeze(seen, audit="a", judged_at=1, actor="ann")
    lifted = await desk.unfreeze(await desk.standing(), audit="a", judged_at=1, actor="ann")
    assert not lifted.frozen
    assert lifted.component == EXECUTION
    assert lifted.grant["unfrozen_by"] == "ann"
    with pytest.raises(CantChange, match="nothing is frozen"):
        await desk.unfreeze(lifted, audit="a", judged_at=1, actor="ann")


async def test_a_freeze_for_absence_counts_only_while_nobody_came_back(bare: Desk) -> None:
    desk = authority_of(bare)
    await desk.begin(EXECUTION)
    assert await absence(bare.wire, bare.keys, wall_ms()) is None
    held = await lease.take(bare.wire, bare.keys, "one")
    assert held is not None
    assert await absence(bare.wire, bare.keys, wall_ms()) is None
    await bare.do("DEL", bare.keys.lease)
    gone = await absence(bare.wire, bare.keys, wall_ms() + 100_000)
    assert gone is not None
    assert 90_000 < gone.ms <= 100_000
    await lease.take(bare.wire, bare.keys, "two")
    assert not (await desk.freeze(Trigger.ABSENCE, gone.reason, absent=gone.last)).frozen
    await bare.do("DEL", bare.keys.lease)
    assert not (await desk.freeze(Trigger.ABSENCE, gone.reason, absent=gone.last)).frozen
    later = await absence(bare.wire, bare.keys, wall_ms() + 100_000)
    assert later is not None
    assert (await desk.freeze(Trigger.ABSENCE, later.reason, absent=later.last)).frozen
