"""The gate: what it refuses, that a refusal writes nothing, and that one attempt passes it once."""

import asyncio

import pytest
from redis.exceptions import ResponseError

from sureclose.domain.close import InFlight, fold
from sureclose.domain.facts import Resumed, Sending
from sureclose.domain.outcome import OutcomeKind
from sureclose.domain.words import PositionSide
from sureclose.journal import lease
from sureclose.journal.burnt import RETENTION_MS
from sureclose.journal.chain import Chain, Loaded
from sureclose.journal.lease import Lease
from sureclose.journal.verdict import Fenced, Verdict
from sureclose.streams.connection import Log
from tests.journal.journals import NOW, SYMBOL, Desk, admitted, ended


async def loaded(desk: Desk, plan_id: str = "plan") -> Loaded:
    found = await desk.journal.load(plan_id)
    assert found is not None
    return found


async def test_what_passes_is_durable_and_in_flight(desk: Desk) -> None:
    chain = await desk.admit()
    assert await desk.gate(chain) is Verdict.OK
    found = await loaded(desk)
    assert found.head == chain.head
    assert isinstance(fold(found.facts), InFlight)
    assert chain.unwritten == []
    assert await desk.do("HGET", desk.keys.flights(SYMBOL), "BOTH") == b"plan"
    assert await desk.journal.open_plans() == ["plan"]
    assert await desk.journal.plan_of("sc-plan-1") == "plan"
    assert await desk.journal.plan_of("sc-plan-2") is None
    assert 0 < await desk.do("PTTL", desk.keys.order("sc-plan-1")) <= RETENTION_MS


async def test_who_is_refused_at_the_gate_holds_what_it_held(desk: Desk) -> None:
    """The SENDING record is nobody's until it is written."""
    chain = await desk.admit()
    resumed = Resumed(worker="w", epoch=1)
    head = chain.head
    assert await desk.gate(chain, component="harvest_brain", before=[resumed]) is Verdict.NOT_AUTHORISED
    with pytest.raises(Fenced):
        await desk.gate(chain, 7)
    assert (chain.head, chain.unwritten) == (head, [resumed])
    assert await desk.journal.plan_of("sc-plan-1") is None
    assert await desk.gate(chain) is Verdict.OK
    assert [type(fact).__name__ for fact in (await loaded(desk)).facts] == ["Admitted", "Resumed", "Sending"]


async def test_the_two_sides_of_hedge_mode_fly_apart(desk: Desk) -> None:
    long, short, again = [await desk.admit(plan) for plan in ("long", "short", "again")]
    assert await desk.gate(long, side=PositionSide.LONG) is Verdict.OK
    assert await desk.gate(short, side=PositionSide.SHORT) is Verdict.OK
    assert await desk.gate(again, side=PositionSide.LONG) is Verdict.BUSY
    await desk.publish(long)
    assert await desk.do("HGETALL", desk.keys.flights(SYMBOL)) in ({b"SHORT": b"short"}, [b"SHORT", b"short"])
    assert await desk.gate(again, side=PositionSide.LONG) is Verdict.OK


async def test_the_first_record_of_a_close_may_be_written_at_the_gate(desk: Desk) -> None:
    """One durable step from decision to send: admission, size and SENDING go in together."""
    chain = Chain("plan")
    assert await desk.gate(chain, before=[admitted()]) is Verdict.OK
    assert [body.seq for body in (await loaded(desk)).bodies] == [1, 2]


@pytest.mark.parametrize(
    "held", [Lease("first", 999), Lease("second", 1), Lease("", 0)], ids=["epoch", "owner", "nobody"]
)
async def test_a_stale_lease_is_refused(desk: Desk, held: Lease) -> None:
    chain = await desk.admit()
    before = await desk.everything()
    chain.unwritten.append(Resumed(worker="w", epoch=1))
    for call in (
        desk.gate(chain, held=held),
        desk.journal.append(chain, held),
        desk.permit(chain, held=held),
        desk.publish(chain, held=held),
    ):
        with pytest.raises(Fenced, match="STALE_LEASE"):
            await call
    assert await desk.everything() == before


async def test_a_lease_that_ran_out_is_refused_although_nobody_else_has_it(desk: Desk) -> None:
    chain = await desk.admit()
    await desk.do("DEL", desk.keys.lease)
    before = await desk.everything()
    with pytest.raises(Fenced, match="STALE_LEASE"):
        await desk.gate(chain)
    assert await desk.everything() == before


async def test_a_chain_that_moved_on_is_refused(desk: Desk) -> None:
    chain = await desk.admit()
    stale = Chain("plan", chain.head)
    chain.unwritten.append(Resumed(worker="w", epoch=1))
    await desk.journal.append(chain, desk.lease)
    before = await desk.everything()
    for call in (desk.gate(stale), desk.publish(stale), desk.gate(Chain("plan"))):
        with pytest.raises(Fenced, match="STALE_HEAD"):
            await call
    assert await desk.everything() == before


@pytest.mark.parametrize("attempt", [0, 2, 3, -1])
async def test_attempts_are_numbered_without_gap_or_repetition(desk: Desk, attempt: int) -> None:
    chain = await desk.admit()
    before = await desk.everything()
    with pytest.raises(Fenced, match="STALE_ATTEMPT"):
        await desk.gate(chain, attempt)
    assert await desk.everything() == before
    chain.unwritten.clear()
    assert await desk.gate(chain, 1) is Verdict.OK
    with pytest.raises(Fenced, match="STALE_ATTEMPT"):
        await desk.gate(chain, 1)
    chain.unwritten.clear()
    assert await desk.gate(chain, 2) is Verdict.OK


async def test_without_the_grant_nothing_passes(desk: Desk) -> None:
    chain = await desk.admit()
    before = await desk.everything()
    assert await desk.gate(chain, component="harvest_brain") is Verdict.NOT_AUTHORISED
    assert await desk.everything() == before
    await desk.do("DEL", desk.keys.grant)
    chain.unwritten.clear()
    assert await desk.gate(chain) is Verdict.NOT_AUTHORISED
    chain.unwritten.clear()
    assert await desk.gate(chain, component="") is Verdict.NOT_AUTHORISED


async def test_a_freeze_stops_the_holder_of_the_grant(desk: Desk) -> None:
    chain = await desk.admit()
    await desk.do("HSET", desk.keys.freeze, "reason", "test")
    before = await desk.everything()
    assert await desk.gate(chain) is Verdict.FROZEN
    assert await desk.everything() == before


async def test_a_warrant_opens_its_own_close_and_no_other_under_freeze_and_without_grant(desk: Desk) -> None:
    chain, other = await desk.admit("plan"), await desk.admit("other")
    await desk.do("HSET", desk.keys.freeze, "reason", "test")
    await desk.do("DEL", desk.keys.grant)
    await desk.do("SET", desk.keys.warrant("intent-other"), "plan")
    before = await desk.everything()
    assert await desk.gate(other) is Verdict.FROZEN
    assert await desk.gate(chain) is Verdict.FROZEN
    assert await desk.everything() == before
    await desk.do("SET", desk.keys.warrant("intent-plan"), "plan", "PX", 60_000)
    chain.unwritten.clear()
    assert await desk.gate(chain) is Verdict.OK
    # A remainder is part of the close that the person asked for.
    assert await desk.gate(chain, 2) is Verdict.OK


async def test_a_warrant_does_not_open_an_occupied_flight(desk: Desk) -> None:
    first, second = await desk.admit("first"), await desk.admit("second")
    assert await desk.gate(first) is Verdict.OK
    await desk.do("SET", desk.keys.warrant("intent-second"), "second")
    before = await desk.everything()
    assert await desk.gate(second) is Verdict.BUSY
    assert await desk.everything() == before
    second.unwritten.clear()
    assert await desk.gate(second, symbol="ETHUSDT") is Verdict.OK


async def test_flight_is_kept_between_attempts_and_released_with_the_outcome(desk: Desk) -> None:
    first, second = await desk.admit("first"), await desk.admit("second")
    assert await desk.gate(first, 1) is Verdict.OK
    assert await desk.gate(first, 2) is Verdict.OK
    assert await desk.gate(second) is Verdict.BUSY
    await desk.publish(first)
    second.unwritten.clear()
    assert await desk.gate(second) is Verdict.OK


async def test_an_outcome_does_not_release_anothers_flight(desk: Desk) -> None:
    first, second = await desk.admit("first"), await desk.admit("second")
    assert await desk.gate(first) is Verdict.OK
    await desk.publish(second, ended(OutcomeKind.SKIPPED))
    assert await desk.do("HGET", desk.keys.flights(SYMBOL), "BOTH") == b"first"


@pytest.mark.parametrize("kind", [OutcomeKind.FLAT, OutcomeKind.PARKED])
async def test_a_close_that_has_its_outcome_passes_no_gate(desk: Desk, kind: OutcomeKind) -> None:
    """I6, at the gate itself: the head is right and the number is right, and it is over all the same."""
    chain = await desk.admit()
    await desk.publish(chain, ended(kind))
    before = await desk.everything()
    with pytest.raises(Fenced):
        await desk.gate(chain, 1)
    assert await desk.everything() == before


async def test_a_skipped_close_that_is_admitted_again_goes_on_with_chain_and_number(desk: Desk) -> None:
    chain = await desk.admit()
    assert await desk.gate(chain) is Verdict.OK
    await desk.publish(chain, ended(OutcomeKind.SKIPPED))
    assert await desk.journal.state("plan") == "SKIPPED"
    assert await desk.journal.open_plans() == []
    assert await desk.finished_at("plan") == NOW + RETENTION_MS, "it keeps its attempt numbers so long"
    found = await loaded(desk)
    again = Chain("plan", found.head)
    assert await desk.gate(again, 2, before=[admitted()]) is Verdict.OK
    found = await loaded(desk)
    assert [body.seq for body in found.bodies] == [1, 2, 3, 4, 5]
    assert [fact.attempt for fact in found.facts if isinstance(fact, Sending)] == [1, 2]
    assert await desk.finished_at("plan") is None
    assert await desk.journal.open_plans() == ["plan"]


async def test_many_at_the_gate_with_one_attempt_and_one_passes(
    desk: Desk, log: Log, log_prefix: str
) -> None:
    chain = await desk.admit()
    rivals = [Desk(log, log_prefix) for _ in range(8)]

    async def pass_(rival: Desk) -> object:
        try:
            return await rival.gate(Chain("plan", chain.head), held=desk.lease)
        except Fenced as fenced:
            return str(fenced)

    said = await asyncio.gather(*map(pass_, rivals))
    assert said.count(Verdict.OK) == 1
    assert said.count("STALE_HEAD") == 7
    assert [type(fact).__name__ for fact in (await loaded(desk)).facts] == ["Admitted", "Sending"]


async def test_a_process_that_lost_its_lease_can_write_nothing_that_it_still_has_on_the_way(
    desk: Desk,
) -> None:
    """The same process takes the lease again; what it sent under the old epoch arrives now."""
    chain = await desk.admit()
    old = desk.lease
    new = await lease.take(desk.wire, desk.keys, old.owner, 60_000)
    assert new is not None
    before = await desk.everything()
    with pytest.raises(Fenced, match="STALE_LEASE"):
        await desk.gate(chain, held=old)
    assert await desk.everything() == before


KEYS = ["close", "journal", "open", "lease", "flight", "grant", "warrant", "parked"]
OTHERS = {
    "append": {"flight", "grant", "warrant", "parked"},
    "gate": {"parked"},
    "permit": {"flight", "parked"},
    "publish": {"grant", "warrant"},
}
"""The keys that are none of a script's."""


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("script", OTHERS)
async def test_a_key_of_the_wrong_type_is_refused_before_the_first_write(
    desk: Desk, key: str, script: str
) -> None:
    chain = Chain("plan")
    chain.unwritten.append(admitted())
    keys = desk.keys
    name = {
        "close": keys.close("plan"),
        "journal": keys.journal,
        "open": keys.open,
        "lease": keys.lease,
        "flight": keys.flights(SYMBOL),
        "grant": keys.grant,
        "warrant": keys.warrant("intent-plan"),
        "parked": keys.parked,
    }[key]
    await desk.do("DEL", name)
    await desk.do("RPUSH", name, "not", "this")
    before = await desk.everything()

    async def call() -> None:
        if script == "append":
            await desk.journal.append(chain, desk.lease)
        elif script == "gate":
            await desk.gate(chain)
        elif script == "permit":
            await desk.permit(chain)
        else:
            await desk.publish(chain)

    if key in OTHERS[script]:
        await call()  # not a key of this script
        return
    with pytest.raises(ResponseError, match="WRONGTYPE"):
        await call()
    assert await desk.everything() == before
