"""Resting orders in the way of a close: which are cancelled, when, and what is told of it."""

from decimal import Decimal

import msgspec
import pytest

from sureclose.domain import facts, steps
from sureclose.domain.close import Done, State, Waiting, fold
from sureclose.domain.decide import decide, news
from sureclose.domain.facts import Answer, Clearing, Why
from sureclose.domain.market import RestingOrder
from sureclose.domain.policy import Clears, Policy
from sureclose.domain.report import report_of
from sureclose.domain.words import PositionSide, Side
from tests.domain.drivers import History
from tests.domain.judging import judged
from tests.domain.scripts import (
    POLICY,
    RULES,
    START,
    Cancel,
    Crash,
    Fate,
    Gate,
    Resting,
    Script,
    decision,
)
from tests.domain.test_close_rules import (
    admitted,
    after,
    order,
    position,
    read,
    run,
    seen,
    sending,
    sized,
)

BLOCKS = Resting(thousandths=10_000, blocks=-4118)
STOP = RestingOrder(
    order_id=7,
    client_order_id="sl",
    conditional=True,
    symbol="BTCUSDT",
    side=Side.SELL,
    position_side=PositionSide.BOTH,
    order_type="STOP_MARKET",
    reduce_only=True,
    close_position=False,
    quantity=Decimal(10),
    price=Decimal(0),
    trigger_price=Decimal(90),
    time=START - 9_000,
)
TAKE = msgspec.structs.replace(STOP, conditional=False, client_order_id="tp", order_type="LIMIT")
"""Of the same number: the two services number apart."""


def refused(code: int = -4118, attempt: int = 1) -> facts.Answered:
    return facts.Answered(attempt=attempt, answer=Answer.REFUSED, http_status=400, code=code, message="no")


def blocked(code: int = -4118, expires_at: int | None = None) -> Waiting:
    state = fold([admitted(decision(expires_at=expires_at)), sized(), sending(), refused(code)])
    assert isinstance(state, Waiting)
    return state


def resting(*orders: RestingOrder, now: int = START) -> steps.RestingRead:
    return steps.RestingRead(now=now, position=position(), rules=RULES, orders=orders)


def clearing(*orders: RestingOrder) -> Waiting:
    state = fold([admitted(), sized(), sending(), refused(), Clearing(why=Why.BLOCKING, orders=orders)])
    assert isinstance(state, Waiting)
    return state


def cancelled(history: History) -> tuple[str, ...]:
    final = fold(history.journal.facts)
    assert isinstance(final, Done)
    return report_of(final, "").cancelled


@pytest.mark.parametrize("code", [-4118, -2022])
@pytest.mark.parametrize("conditional", [False, True])
def test_a_close_cancels_what_blocks_it_and_ends_flat(code: int, conditional: bool) -> None:
    history = run(resting=(Resting(thousandths=10_000, blocks=code, conditional=conditional),))
    assert history.said == "FLAT"
    assert history.filled == 10
    assert cancelled(history) == ("rest_0",)
    assert len(history.world.shelf.asked) == 1


def test_what_is_about_to_be_cancelled_is_written_first_and_what_is_gone_afterwards() -> None:
    kinds = [type(fact).__name__ for fact in run(position=2_000, resting=(BLOCKS,)).journal.facts]
    assert kinds[:6] == ["Admitted", "Sized", "Sending", "Answered", "Clearing", "Cleared"]


def test_nothing_is_looked_for_before_the_venue_has_refused() -> None:
    quiet = run(resting=(Resting(thousandths=10_000),), position=2_000)
    assert not any(
        isinstance(effect, steps.ReadResting) and effect.why is Why.BLOCKING for effect in quiet.effects
    )
    assert isinstance(after(blocked(-1), read(position())).effect, steps.PassGate)


def test_a_refusal_on_a_position_that_has_moved_is_not_blamed_on_resting_orders() -> None:
    moved = read(position("8", at=START - 10_000))
    assert isinstance(after(blocked(), moved).effect, steps.PassGate)
    known: list[facts.AnyFact] = [admitted(), sized()]
    for attempt in range(1, 4):
        known += [sending(attempt), refused(attempt=attempt)]
    assert isinstance(after(fold(known), moved).effect, steps.ReadResting)
    assert isinstance(after(blocked(), read(position())).effect, steps.ReadResting)


def test_only_reducing_orders_of_that_side_of_that_position_are_cancelled() -> None:
    strangers = (
        msgspec.structs.replace(STOP, side=Side.BUY),
        msgspec.structs.replace(STOP, reduce_only=False),
        msgspec.structs.replace(STOP, position_side=PositionSide.LONG),
        msgspec.structs.replace(STOP, position_side=PositionSide.SHORT),
    )
    step = after(blocked(), resting(*strangers, STOP, TAKE))
    assert isinstance(step.effect, steps.CancelResting)
    assert step.effect.orders == (STOP, TAKE)
    assert step.facts == (Clearing(why=Why.BLOCKING, orders=(STOP, TAKE)),)


def test_where_nothing_of_ours_is_in_the_way_another_attempt_is_made() -> None:
    step = after(blocked(), resting(msgspec.structs.replace(STOP, reduce_only=False)))
    assert isinstance(step.effect, steps.PassGate)
    assert step.effect.attempt == 2
    # A busy gate does not make it look again.
    busy = after(step.state, steps.GateRefused(now=START, reason="busy", passing=True), read(position()))
    assert isinstance(busy.effect, steps.PassGate)


def test_a_policy_that_clears_nothing_cancels_nothing() -> None:
    policy = Policy(account="paper:main", clears=Clears.NONE, tidies=False)
    history = History(Script(resting=(BLOCKS,), position=2_000), policy).run()
    judged(history)
    assert history.said == "REFUSED(-4118, flat_check)"
    assert not history.world.shelf.asked


def test_the_position_is_read_again_after_a_cancel_for_the_order_may_have_been_filled_first() -> None:
    history = run(resting=(Resting(thousandths=6_000, blocks=-4118),), cancels=(Cancel.BEATEN,))
    assert history.said == "FLAT"
    assert history.quantities[-1:] == [4]
    assert history.filled == 4


def test_blockers_that_fill_while_they_are_cancelled_can_leave_nothing_to_close() -> None:
    history = run(resting=(BLOCKS,), cancels=(Cancel.BEATEN,))
    assert history.said == "ALREADY_FLAT"
    assert not history.filled


def test_a_cancel_that_does_not_arrive_is_repeated() -> None:
    history = run(resting=(BLOCKS,), cancels=(Cancel.LOST,) * 3)
    assert history.said == "FLAT"
    assert len(history.world.shelf.asked) == 4


def test_only_a_later_list_proves_that_an_order_is_gone() -> None:
    step = after(clearing(STOP, TAKE), resting(TAKE))
    assert isinstance(step.effect, steps.CancelResting)
    assert step.effect.orders == (TAKE,)
    assert step.effect.delay
    failed = after(clearing(STOP), steps.ReadFailed(now=START, reason="no answer"))
    assert not failed.facts
    step = after(step.state, resting())
    assert step.facts == (facts.Cleared(why=Why.BLOCKING, gone=(STOP, TAKE)),)
    assert isinstance(step.effect, steps.ReadPosition)


def test_what_can_not_be_cancelled_is_given_up_after_a_while_and_said() -> None:
    state: State = clearing(STOP)
    for _ in range(POLICY.patience):
        step = after(state, resting(STOP))
        assert isinstance(step.effect, steps.CancelResting)
        state = step.state
    step = after(state, resting(STOP))
    assert step.facts == (facts.Cleared(why=Why.BLOCKING, gone=(), left=(STOP,)),)
    history = History(Script(resting=(msgspec.structs.replace(BLOCKS, stubborn=True),), position=2_000)).run()
    judged(history)
    assert history.said == "REFUSED(-4118, flat_check)"
    assert cancelled(history) == ()


def test_a_crash_among_cancels_goes_on_with_those_that_are_still_there() -> None:
    for step in range(4, 12):
        for before in (True, False):
            history = run(
                position=2_000,
                resting=(BLOCKS, BLOCKS),
                crashes=(Crash(step, before),),
                cancels=(Cancel.LOST,),
            )
            assert history.said == "FLAT"
            assert set(cancelled(history)) == {"rest_0", "rest_1"}
    for unheard in (Gate.WRITTEN_UNHEARD, Gate.UNWRITTEN_UNHEARD):
        assert run(position=2_000, resting=(BLOCKS,), permits=(unheard,)).said == "FLAT"


def test_a_frozen_close_cancels_nothing() -> None:
    history = run(resting=(BLOCKS,), frozen_from=5, fates=(Fate(delay=20),))
    assert history.said == "SKIPPED(frozen)"
    assert not history.world.shelf.asked


def test_a_part_is_not_made_larger_by_what_the_blocker_closed() -> None:
    history = run(
        fraction="0.5", resting=(Resting(thousandths=3_000, blocks=-4118),), cancels=(Cancel.BEATEN,)
    )
    assert history.filled == 5
    assert history.world.amount == 2


def test_blockers_are_looked_for_again_after_each_refusal() -> None:
    """A stop that triggered rests in the book under another number."""
    history = run(position=2_000, resting=(BLOCKS, Resting(at=90, thousandths=10_000, blocks=-2022)))
    assert history.said == "FLAT"


def test_a_stop_that_empties_the_position_meanwhile_is_success() -> None:
    history = run(resting=(Resting(thousandths=0, blocks=-4118, conditional=True, fires=20),))
    assert history.said == "ALREADY_FLAT"


def test_news_of_an_order_does_not_lose_what_is_being_cleared() -> None:
    step = after(clearing(STOP), seen(order(attempt=1)))
    assert not isinstance(step.state, Waiting) or step.state.progress.clearing is not None


@pytest.mark.parametrize(
    "script",
    [
        Script(position=2_000, resting=(BLOCKS,), crashes=(Crash(6, before=False, down=3_600_000),)),
        Script(position=2_000, resting=(BLOCKS, BLOCKS), cancels=(Cancel.DONE, Cancel.LOST), frozen_from=100),
    ],
    ids=["restarted too late", "frozen between two cancels"],
)
def test_what_was_cancelled_is_told_however_the_close_ends(script: Script) -> None:
    history = History(script).run()
    gone = {resting.order.client_order_id for resting in history.world.shelf.orders if resting.cancelled}
    assert gone
    assert gone <= set(cancelled(history))


def test_nothing_is_cancelled_for_an_approval_that_has_expired() -> None:
    """What protected the position would be gone, and the position would stay."""
    step = after(blocked(expires_at=START + 50), resting(STOP, now=START + 51))
    assert not isinstance(step.effect, steps.CancelResting)


def test_a_policy_that_clears_nothing_does_not_go_on_with_what_was_begun_under_another() -> None:
    policy = Policy(account="paper:main", clears=Clears.NONE)
    step = decide(clearing(STOP), resting(STOP), policy)
    assert not isinstance(step.effect, steps.CancelResting)


def test_reads_after_the_cancels_are_given_as_much_patience_as_before() -> None:
    state: State = clearing(STOP)
    for _ in range(POLICY.patience):
        state = after(state, resting(STOP)).state
    state = after(state, resting()).state
    assert isinstance(state, Waiting)
    assert state.tries == 0


def test_a_list_that_comes_when_there_is_nothing_to_order_asks_for_no_gate() -> None:
    """It is asked for only where there is something to order; any other is an event that is not waited for."""
    known: list[facts.AnyFact] = [admitted(), sized()]
    for attempt in range(1, 4):
        known += [sending(attempt), refused(attempt=attempt)]
    flat = steps.RestingRead(now=START, position=position("0"), rules=RULES, orders=())
    assert not isinstance(after(fold(known), flat).effect, steps.PassGate)


def test_old_news_of_our_orders_does_not_take_the_place_of_a_cancel() -> None:
    step = after(clearing(STOP), resting(STOP))
    assert isinstance(step.effect, steps.CancelResting)
    heard = seen(order(attempt=9))
    assert news(step.state, heard, step.effect, POLICY) == steps.Step(step.state, (), step.effect)
    # What changes something does: the order is followed first.
    own = news(step.state, seen(order()), step.effect, POLICY)
    assert own.effect == steps.ReadTrades(order_id=1)
