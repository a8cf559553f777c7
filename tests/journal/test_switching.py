"""A switch in the log: named first, then moved with the lease, in one script, and by nobody else."""

import pytest
from redis.exceptions import ResponseError

from sureclose.domain.authority import Authority, CantChange, Component
from sureclose.domain.switching import begun, leads, moved, next_of, withdrawn
from sureclose.journal import lease
from sureclose.journal.authority import standing
from sureclose.journal.lease import Lease
from sureclose.journal.states import states
from tests.journal.journals import NOW, Desk
from tests.journal.test_authority import authority_of, events

EXITS, BRAIN = Component.EXECUTION_SERVICE, Component.HARVEST_BRAIN


def _granted(component: Component = EXITS) -> Authority:
    grant = {"component": str(component), "audit": "a1", "judged_at": "77", "revision": "4"}
    return Authority(4, grant, {})


def test_until_it_moves_the_grant_stays_where_it_was() -> None:
    named = begun(_granted(), BRAIN, NOW, "ann")
    assert (named.component, next_of(named), named.revision) == (EXITS, BRAIN, 5)
    assert leads(named, EXITS, by_default=False)
    assert not leads(named, BRAIN, by_default=True)


def test_what_moves_keeps_its_audit_and_says_where_it_was() -> None:
    after = moved(begun(_granted(), BRAIN, NOW, "ann"), NOW + 1)
    assert after.grant == {
        "component": "harvest_brain",
        "scope": "exit",
        "kind": "SWITCH",
        "at": str(NOW + 1),
        "from": "execution_service",
        "actor": "ann",
        "audit": "a1",
        "judged_at": "77",
        "reason": "switched from execution_service",
        "revision": "6",
    }


def test_a_freeze_stays_through_a_switch() -> None:
    frozen = Authority(4, _granted().grant, {"kind": "COMMAND", "revision": "3"})
    assert moved(begun(frozen, BRAIN, NOW, "ann"), NOW).freeze == frozen.freeze


@pytest.mark.parametrize(
    ("before", "why"),
    [
        (Authority(), "nobody holds the grant"),
        (begun(_granted(), BRAIN, NOW, "bob"), "bob is moving the grant"),
    ],
)
def test_what_is_not_there_or_on_its_way_can_not_be_moved(before: Authority, why: str) -> None:
    with pytest.raises(CantChange, match=why):
        begun(before, BRAIN, NOW, "ann")


def test_who_holds_it_already_changes_nothing() -> None:
    assert begun(_granted(), EXITS, NOW, "ann") == _granted()


def test_only_the_own_switch_is_withdrawn() -> None:
    ours = begun(_granted(), BRAIN, NOW, "ann")
    back = withdrawn(ours, ours)
    assert (next_of(back), back.component, back.revision) == (None, EXITS, 6)
    others = begun(_granted(), BRAIN, NOW + 1, "bob")
    assert withdrawn(others, ours) == others
    assert withdrawn(moved(ours, NOW), ours) == moved(ours, NOW)


async def test_grant_and_lease_go_together(desk: Desk) -> None:
    await desk.do("DEL", desk.keys.grant)
    authority = authority_of(desk)
    await authority.begin(EXITS)
    assert await authority.move_grant(desk.lease) is None, "no switch is under way"
    await authority.begin_switch(BRAIN, actor="ann")
    assert await authority.move_grant(None) is None, "somebody leads"
    assert await authority.move_grant(Lease(desk.lease.owner, desk.lease.epoch + 1)) is None
    assert (await standing(desk.wire, desk.keys)).component == EXITS
    after = await authority.move_grant(desk.lease)
    assert after == await standing(desk.wire, desk.keys)
    assert after.component == BRAIN
    assert await lease.holder(desk.wire, desk.keys) is None
    last = await lease.last(desk.wire, desk.keys)
    assert last is not None
    assert last.dropped_at > 0
    assert await events(desk) == ["GRANTED", "GRANTED"]


async def test_who_looked_before_the_grant_moved_gets_no_lease_after_it(desk: Desk) -> None:
    await desk.do("HSET", desk.keys.grant, "component", BRAIN)
    await lease.drop(desk.wire, desk.keys, desk.lease)
    assert await lease.take(desk.wire, desk.keys, "late", component=EXITS) is None
    assert await lease.take(desk.wire, desk.keys, "next", component=BRAIN) is not None


async def test_where_nobody_leads_anybody_may_end_the_switch_once(desk: Desk) -> None:
    await desk.do("DEL", desk.keys.grant)
    authority = authority_of(desk)
    await authority.begin(EXITS)
    await authority.begin_switch(BRAIN, actor="ann")
    await lease.drop(desk.wire, desk.keys, desk.lease)
    first, second = await authority.move_grant(None), await authority.move_grant(None)
    assert first is not None
    assert (first.component, second) == (BRAIN, None)


async def test_states_of_many_are_told_in_one_go(desk: Desk) -> None:
    plans = [f"plan-{number}" for number in range(1_200)]
    await desk.do("HSET", desk.keys.close(plans[3]), "head", "x", "state", "DONE")
    await desk.do("HSET", desk.keys.close(plans[1_100]), "head", "x", "state", "SKIPPED")
    found = await states(desk.wire, desk.keys, plans, NOW)
    assert len(found) == len(plans)
    assert {plan: state for plan, state in found.items() if state} == {
        plans[3]: "DONE",
        plans[1_100]: "SKIPPED",
    }


@pytest.mark.parametrize("key", ["log", "leased"])
async def test_what_is_of_the_wrong_kind_stops_a_switch_before_it_writes(desk: Desk, key: str) -> None:
    """Half of it would be a grant that has moved and a lease that has not."""
    await desk.do("DEL", desk.keys.grant)
    authority = authority_of(desk)
    await authority.begin(EXITS)
    await authority.begin_switch(BRAIN, actor="ann")
    name = getattr(desk.keys, key)
    await desk.do("DEL", name)
    await desk.do("RPUSH", name, "x")
    before = await desk.everything()
    with pytest.raises(ResponseError, match="WRONGTYPE"):
        await authority.move_grant(desk.lease)
    assert await desk.everything() == before
