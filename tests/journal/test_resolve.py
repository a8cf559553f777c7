"""A parked close waits for a person, and takes one outcome from one of them."""

import asyncio

import pytest
from redis.exceptions import ResponseError

from sureclose.domain.close import Done, fold
from sureclose.domain.facts import Ended, Resolved, Resumed
from sureclose.domain.outcome import OutcomeKind
from sureclose.journal.chain import Announcement, Chain
from sureclose.journal.record import Head, Writer
from sureclose.journal.verdict import Fenced, Verdict
from sureclose.streams.connection import Log
from sureclose.streams.wire import pairs
from tests.journal.journals import NOW, SYMBOL, Desk, ended, resolved


async def parked(desk: Desk, plan_id: str = "plan") -> Head:
    chain = await desk.admit(plan_id)
    assert await desk.gate(chain) is Verdict.OK
    await desk.publish(chain, ended(OutcomeKind.PARKED))
    return chain.head


async def test_a_parked_close_is_listed_releases_its_flight_and_is_open_no_more(desk: Desk) -> None:
    await parked(desk)
    assert await desk.journal.parked_plans() == ["plan"]
    assert await desk.journal.open_plans() == []
    assert await desk.journal.state("plan") == "PARKED"
    assert await desk.do("EXISTS", desk.keys.flights(SYMBOL)) == 0
    await desk.publish(await desk.admit("flat"))
    assert await desk.journal.parked_plans() == ["plan"]


async def test_parked_closes_are_listed_by_age(desk: Desk) -> None:
    for plan, at in [("b", 2), ("a", 3), ("c", 1)]:
        await parked(desk, plan) if plan == "b" else await desk.publish(
            await desk.admit(plan), ended(OutcomeKind.PARKED)
        )
        await desk.do("ZADD", desk.keys.parked, at, plan)
    assert await desk.journal.parked_plans() == ["c", "b", "a"]


async def test_a_persons_outcome_takes_the_place_of_parked_and_is_announced(desk: Desk) -> None:
    head = await parked(desk)
    results = f"{desk.prefix}execution.result"
    evidence = await desk.resolve("plan", head, (Announcement(results, {"outcome": "FLAT"}),))
    found = await desk.journal.load("plan")
    assert found is not None
    assert (found.state, found.head.hash) == ("DONE", evidence)
    assert [type(fact) for fact in found.facts[-2:]] == [Ended, Resolved]
    assert found.bodies[-1].worker == "person:ann"
    state = fold(found.facts)
    assert isinstance(state, Done)
    assert str(state.ended.outcome) == "FLAT(settled by a person)"
    assert await desk.journal.parked_plans() == []
    ((_, fields),) = await desk.do("XRANGE", results, "-", "+")
    assert pairs(fields) == {b"outcome": b"FLAT", b"evidence": evidence.encode()}
    assert await desk.finished_at("plan") == NOW


async def test_no_lease_stands_before_a_person(desk: Desk) -> None:
    head = await parked(desk)
    await desk.do("DEL", desk.keys.lease)
    await desk.resolve("plan", head)
    assert await desk.journal.state("plan") == "DONE"


@pytest.mark.parametrize("kind", [OutcomeKind.FLAT, OutcomeKind.SKIPPED, OutcomeKind.REFUSED])
async def test_what_is_not_parked_is_not_resolved(desk: Desk, kind: OutcomeKind) -> None:
    chain = await desk.admit()
    await desk.publish(chain, ended(kind))
    under_way = await desk.admit("open")
    before = await desk.everything()
    for plan, head in (("plan", chain.head), ("open", under_way.head), ("never", Head())):
        with pytest.raises(Fenced, match="STALE_HEAD"):
            await desk.resolve(plan, head)
    assert await desk.everything() == before


async def test_a_verdict_on_an_older_state_of_the_close_is_refused(desk: Desk) -> None:
    head = await parked(desk)
    before = await desk.everything()
    for stale in (Head(), Head("0" * 64, head.length)):
        with pytest.raises(Fenced, match="STALE_HEAD"):
            await desk.resolve("plan", stale)
    assert await desk.everything() == before


async def test_of_many_persons_one_settles_it(desk: Desk, log: Log, log_prefix: str) -> None:
    head = await parked(desk)

    async def settle(name: str) -> str:
        try:
            await Desk(log, log_prefix).resolve("plan", head, actor=name)
        except Fenced as fenced:
            return str(fenced)
        return name

    said = await asyncio.gather(*map(settle, "abcdefgh"))
    assert said.count("STALE_HEAD") == 7
    found = await desk.journal.load("plan")
    assert found is not None
    settled = [fact for fact in found.facts if isinstance(fact, Resolved)]
    assert [fact.actor for fact in settled] == [name for name in said if name != "STALE_HEAD"]


async def test_a_resolved_close_passes_no_gate(desk: Desk) -> None:
    head = await parked(desk)
    await desk.resolve("plan", head)
    found = await desk.journal.load("plan")
    assert found is not None
    with pytest.raises(Fenced):
        await desk.gate(Chain("plan", found.head), 2)
    with pytest.raises(Fenced):
        await desk.resolve("plan", found.head)


@pytest.mark.parametrize("place", ["parked", "journal", "results"])
async def test_a_key_of_the_wrong_type_is_found_before_the_first_write(desk: Desk, place: str) -> None:
    head = await parked(desk)
    results = f"{desk.prefix}execution.result"
    name = {"parked": desk.keys.parked, "journal": desk.keys.journal, "results": results}[place]
    await desk.do("DEL", name)
    await desk.do("RPUSH", name, "not", "this")
    before = await desk.everything()
    with pytest.raises(ResponseError, match="WRONGTYPE"):
        await desk.resolve("plan", head, (Announcement(results, {"outcome": "FLAT"}),))
    assert await desk.everything() == before


async def test_an_empty_announcement_writes_nothing(desk: Desk) -> None:
    head = await parked(desk)
    before = await desk.everything()
    with pytest.raises(ResponseError):
        await desk.journal.resolve(
            "plan",
            head,
            resolved(),
            Writer(desk.keys.account, "person:ann", 0),
            lambda _: [Announcement(f"{desk.prefix}execution.result", {})],
        )
    assert await desk.everything() == before


async def test_a_parked_close_does_not_leave_the_log_while_it_waits(desk: Desk) -> None:
    await parked(desk)
    assert await desk.do("PTTL", desk.keys.close("plan")) == -1
    assert await desk.finished_at("plan") is None


async def test_nothing_is_appended_to_a_close_that_waits_for_a_person(desk: Desk) -> None:
    chain = Chain("plan", await parked(desk))
    chain.unwritten.append(Resumed(worker="w", epoch=1))
    with pytest.raises(Fenced):
        await desk.journal.append(chain, desk.lease)
