"""The permit: what a close does at the venue besides sending an order stands behind the same door as an order."""

import pytest

from sureclose.domain.facts import Clearing, Ended, Resumed, Why
from sureclose.domain.outcome import Outcome, OutcomeKind
from sureclose.journal.chain import Chain
from sureclose.journal.verdict import Fenced, Verdict
from tests.journal.journals import SYMBOL, Desk, admitted, ended

CLEARING = Clearing(why=Why.BLOCKING, orders=())


async def kinds(desk: Desk) -> list[str]:
    found = await desk.journal.load("plan")
    assert found is not None
    return [type(fact).__name__ for fact in found.facts]


async def test_what_is_about_to_be_done_is_durable_when_it_is_permitted(desk: Desk) -> None:
    chain = await desk.admit()
    assert await desk.permit(chain, before=[CLEARING]) is Verdict.OK
    assert await kinds(desk) == ["Admitted", "Clearing"]
    assert chain.unwritten == []
    # The chain goes on from there, and no attempt and no flight was used up.
    assert await desk.do("EXISTS", desk.keys.flights(SYMBOL)) == 0
    assert await desk.gate(chain) is Verdict.OK


async def test_a_permit_without_news_records_nothing_and_counts(desk: Desk) -> None:
    """A repeated cancel asks again, for the freeze may have come in between."""
    chain = await desk.admit()
    before = await desk.everything()
    assert await desk.permit(chain) is Verdict.OK
    counted = {desk.keys.log: "[b'written', b'2']"}
    assert await desk.everything() == before | counted


async def test_without_the_grant_or_under_freeze_nothing_is_permitted(desk: Desk) -> None:
    chain = await desk.admit()
    before = await desk.everything()
    assert await desk.permit(chain, component="harvest_brain", before=[CLEARING]) is Verdict.NOT_AUTHORISED
    assert await desk.everything() == before
    await desk.do("HSET", desk.keys.freeze, "reason", "test")
    before = await desk.everything()
    assert await desk.permit(chain) is Verdict.FROZEN
    assert await desk.everything() == before
    assert chain.unwritten == [CLEARING]


async def test_a_warrant_permits_its_own_close_and_no_other(desk: Desk) -> None:
    chain, other = await desk.admit(), await desk.admit("other")
    await desk.do("HSET", desk.keys.freeze, "reason", "test")
    await desk.do("SET", desk.keys.warrant("intent-plan"), "plan", "PX", 60_000)
    await desk.do("SET", desk.keys.warrant("intent-other"), "plan", "PX", 60_000)
    assert await desk.permit(other) is Verdict.FROZEN
    assert await desk.permit(chain, before=[CLEARING]) is Verdict.OK


async def test_who_has_an_older_head_is_permitted_nothing(desk: Desk) -> None:
    chain = await desk.admit()
    stale = Chain("plan", chain.head)
    chain.unwritten.append(Resumed(worker="w", epoch=1))
    await desk.journal.append(chain, desk.lease)
    before = await desk.everything()
    for late in (stale, Chain("plan")):
        with pytest.raises(Fenced, match="STALE_HEAD"):
            await desk.permit(late, before=[CLEARING])
    assert await desk.everything() == before


async def test_a_close_whose_first_record_is_written_with_a_permit_is_open(desk: Desk) -> None:
    """Flat on arrival with a leftover: nothing of the close was written before it cancels."""
    chain = Chain("plan")
    assert await desk.permit(chain, before=[admitted(), CLEARING]) is Verdict.OK
    assert await desk.journal.open_plans() == ["plan"]
    assert await desk.journal.state("plan") == "OPEN"


async def test_a_skipped_close_that_goes_on_with_a_permit_is_open_again_and_does_not_expire(
    desk: Desk,
) -> None:
    chain = await desk.admit()
    await desk.publish(chain, ended(OutcomeKind.SKIPPED))
    assert await desk.permit(chain, before=[admitted(), CLEARING]) is Verdict.OK
    assert await desk.journal.state("plan") == "OPEN"
    assert await desk.journal.open_plans() == ["plan"]
    assert await desk.do("PTTL", desk.keys.close("plan")) == -1


@pytest.mark.parametrize("kind", [OutcomeKind.FLAT, OutcomeKind.PARKED])
async def test_a_close_that_has_its_outcome_is_permitted_nothing(desk: Desk, kind: OutcomeKind) -> None:
    """As at the gate: the head is right, and it is over all the same."""
    chain = await desk.admit()
    await desk.publish(chain, Ended(outcome=Outcome(kind)))
    with pytest.raises(Fenced):
        await desk.permit(chain, before=[CLEARING])
