"""One close for each intent at a position: who may send for it, who may not, and until when."""

import pytest
from redis.exceptions import ResponseError

from sureclose.domain.outcome import OutcomeKind
from sureclose.domain.times import LONGEST_EXPIRY_MS
from sureclose.domain.words import PositionSide
from sureclose.journal.chain import Chain
from sureclose.journal.claims import BUCKET_MS, RETENTION_MS, Claim
from sureclose.journal.store import Journal
from sureclose.journal.verdict import Passage, Verdict
from tests.journal.journals import NOW, SYMBOL, Desk, admitted, ended

INTENT = "wish"
CLAIM = Claim(INTENT, SYMBOL, PositionSide.BOTH)
SKIPPED = ended(OutcomeKind.SKIPPED)


async def test_the_first_plan_of_an_intent_passes_and_another_is_told_which_it_was(desk: Desk) -> None:
    first, second = await desk.admit("first"), await desk.admit("second")
    assert await desk.gate(first, intent_id=INTENT) is Verdict.OK
    await desk.publish(first)
    before = await desk.everything()
    assert await desk.passage(second, intent_id=INTENT) == Passage(Verdict.SAME_INTENT, "first")
    assert await desk.everything() == before
    second.unwritten.clear()
    assert await desk.gate(second) is Verdict.OK, "an intent of its own"


async def test_another_plan_waits_while_the_first_is_in_flight(desk: Desk) -> None:
    """Until the first has its outcome nobody knows whether anything comes of it."""
    first, second = await desk.admit("first"), await desk.admit("second")
    assert await desk.gate(first, intent_id=INTENT) is Verdict.OK
    assert await desk.passage(second, intent_id=INTENT) == Passage(Verdict.BUSY, "first")
    await desk.publish(first)
    assert await desk.gate(second, intent_id=INTENT) is Verdict.SAME_INTENT


async def test_its_own_plan_passes_again_after_a_takeover_as_well(desk: Desk) -> None:
    """Claimed, and the process dies before the send: the attempt is dead, and the next one is the same plan's."""
    chain = await desk.admit()
    assert await desk.gate(chain, 1, intent_id=INTENT) is Verdict.OK
    await desk.do("DEL", desk.keys.lease)
    await desk.open(owner="second")
    loaded = await desk.journal.load("plan")
    assert loaded is not None
    assert await desk.gate(Chain("plan", loaded.head), 2, intent_id=INTENT) is Verdict.OK


@pytest.mark.parametrize(
    "kind", [OutcomeKind.FLAT, OutcomeKind.REDUCED, OutcomeKind.REFUSED, OutcomeKind.PARKED]
)
async def test_every_outcome_but_a_skip_uses_the_intent_up(desk: Desk, kind: OutcomeKind) -> None:
    first, second = await desk.admit("first"), await desk.admit("second")
    assert await desk.gate(first, intent_id=INTENT) is Verdict.OK
    await desk.publish(first, ended(kind))
    assert await desk.gate(second, intent_id=INTENT) is Verdict.SAME_INTENT


async def test_what_was_flat_without_an_order_has_its_intent_as_well(desk: Desk) -> None:
    """Else another spelling of it would close whatever is opened later."""
    first, second = await desk.admit("first"), await desk.admit("second")
    await desk.publish(first, ended(OutcomeKind.ALREADY_FLAT), claims=(CLAIM,))
    assert await desk.passage(second, intent_id=INTENT) == Passage(Verdict.SAME_INTENT, "first")
    await desk.publish(second, ended(OutcomeKind.ALREADY_FLAT), claims=(CLAIM,))
    third = await desk.admit("third")
    assert await desk.passage(third, intent_id=INTENT) == Passage(Verdict.SAME_INTENT, "first")


async def test_a_skip_gives_the_intent_back_and_who_takes_it_then_keeps_it(desk: Desk) -> None:
    """Nothing was executed, so any plan of the intent may go, the skipped one included; and one only."""
    first, second = await desk.admit("first"), await desk.admit("second")
    assert await desk.gate(first, intent_id=INTENT) is Verdict.OK
    await desk.publish(first, SKIPPED, claims=(CLAIM,))
    assert await desk.gate(second, intent_id=INTENT) is Verdict.OK
    await desk.publish(second)
    first.unwritten.append(admitted("first"))
    assert await desk.passage(first, 2, intent_id=INTENT) == Passage(Verdict.SAME_INTENT, "second")
    await desk.publish(first, SKIPPED, claims=(CLAIM,))
    third = await desk.admit("third")
    assert await desk.gate(third, intent_id=INTENT) is Verdict.SAME_INTENT, (
        "nobody gives back what is another's"
    )


async def test_the_two_sides_of_hedge_mode_are_two_closes_of_one_intent(desk: Desk) -> None:
    long, short, again = [await desk.admit(plan) for plan in ("long", "short", "again")]
    assert await desk.gate(long, side=PositionSide.LONG, intent_id=INTENT) is Verdict.OK
    assert await desk.gate(short, side=PositionSide.SHORT, intent_id=INTENT) is Verdict.OK
    await desk.publish(long)
    assert await desk.gate(again, side=PositionSide.LONG, intent_id=INTENT) is Verdict.SAME_INTENT


async def test_an_intent_may_close_several_symbols(desk: Desk) -> None:
    one, other = await desk.admit("one"), await desk.admit("other")
    assert await desk.gate(one, intent_id=INTENT) is Verdict.OK
    assert await desk.gate(other, symbol="ETHUSDT", intent_id=INTENT) is Verdict.OK


async def test_an_order_that_the_log_had_lost_has_the_intent_again(desk: Desk) -> None:
    first, second = await desk.admit("first"), await desk.admit("second")
    assert await desk.adopt(first, 1, intent_id=INTENT) is Verdict.OK
    await desk.publish(first)
    assert await desk.gate(second, intent_id=INTENT) is Verdict.SAME_INTENT


async def test_of_two_that_were_sent_in_a_lost_history_one_makes_further_attempts(desk: Desk) -> None:
    first, second = await desk.admit("first"), await desk.admit("second")
    assert await desk.gate(first, intent_id=INTENT) is Verdict.OK
    await desk.publish(first)
    assert await desk.adopt(second, 1, intent_id=INTENT) is Verdict.OK
    assert await desk.gate(second, 2, intent_id=INTENT) is Verdict.SAME_INTENT


@pytest.mark.parametrize("later", [0, LONGEST_EXPIRY_MS, RETENTION_MS - 1, RETENTION_MS])
@pytest.mark.parametrize("made_at", [NOW, NOW - NOW % RETENTION_MS, NOW - NOW % RETENTION_MS - 1])
async def test_a_claim_is_known_for_as_long_as_it_promises(desk: Desk, made_at: int, later: int) -> None:
    """At the start of a generation, at its end and between."""
    first, second = await desk.admit("first"), await desk.admit("second")
    desk.journal = Journal(desk.wire, desk.keys, lambda: made_at)
    assert await desk.gate(first, intent_id=INTENT) is Verdict.OK
    await desk.publish(first)
    (bucket,) = await desk.do("KEYS", f"{desk.keys.claims(0, '')[:-2]}*")
    assert RETENTION_MS < await desk.do("PTTL", bucket) <= BUCKET_MS
    desk.journal = Journal(desk.wire, desk.keys, lambda: made_at + later)
    assert await desk.gate(second, intent_id=INTENT) is Verdict.SAME_INTENT


async def test_a_clock_that_is_set_back_forgets_no_claim(desk: Desk) -> None:
    first, second = await desk.admit("first"), await desk.admit("second")
    begun = NOW - NOW % RETENTION_MS
    desk.journal = Journal(desk.wire, desk.keys, lambda: begun)
    assert await desk.gate(first, intent_id=INTENT) is Verdict.OK
    await desk.publish(first)
    desk.journal = Journal(desk.wire, desk.keys, lambda: begun - 1)
    assert await desk.gate(second, intent_id=INTENT) is Verdict.SAME_INTENT


async def test_a_claim_of_the_wrong_type_is_refused_before_the_first_write(desk: Desk) -> None:
    chain = await desk.admit()
    for bucket in CLAIM.where(desk.keys, NOW).buckets:
        await desk.do("SET", bucket, "not this")
        before = await desk.everything()
        with pytest.raises(ResponseError, match="WRONGTYPE"):
            await desk.gate(chain, intent_id=INTENT)
        chain.unwritten.clear()
        with pytest.raises(ResponseError, match="WRONGTYPE"):
            await desk.adopt(chain, 1, intent_id=INTENT)
        chain.unwritten.clear()
        with pytest.raises(ResponseError, match="WRONGTYPE"):
            await desk.publish(chain, SKIPPED, claims=(CLAIM,))
        assert await desk.everything() == before
        await desk.do("DEL", bucket)
