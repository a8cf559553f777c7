"""What a flat position leaves behind: cancelled as well as can be, and the outcome is published whatever comes of it."""

import msgspec
import pytest

from sureclose.domain import facts, steps
from sureclose.domain.close import Concluded, Done, State, Tidying, Working, fold
from sureclose.domain.facts import Why
from sureclose.domain.market import Position, RestingOrder
from sureclose.domain.policy import Policy
from sureclose.domain.report import report_of
from sureclose.domain.words import PositionSide, Side
from tests.domain.drivers import History
from tests.domain.judging import judged
from tests.domain.scripts import RULES, START, Cancel, Crash, Foreign, Resting, Script
from tests.domain.test_blocked import STOP, TAKE
from tests.domain.test_close_rules import (
    admitted,
    after,
    concluded,
    flat_already,
    history_read,
    order,
    position,
    read,
    run,
    seen,
    sending,
    sized,
    trade,
    waiting,
)

FLAT = position("0", at=START - 200, requested_at=START)
"""Since before the decision."""
LEFTOVER = Resting(thousandths=10_000)
TRIES = 4


def left(history: History) -> tuple[str, ...]:
    final = fold(history.journal.facts)
    assert isinstance(final, Done)
    return report_of(final, "").left


def tidying(flat: Position = FLAT) -> Tidying:
    """Flat on arrival, and what rests is asked for."""
    step = after(flat_already(waiting()), read(flat), history_read(flat))
    assert isinstance(step.state, Tidying)
    assert step.effect == steps.ReadResting(why=Why.LEFTOVER, position=flat, rules=RULES)
    return step.state


def resting(*orders: RestingOrder) -> steps.RestingRead:
    return steps.RestingRead(now=START, position=FLAT, rules=RULES, orders=orders)


@pytest.mark.parametrize("conditional", [False, True])
@pytest.mark.parametrize("found", [10_000, 0], ids=["closed by us", "flat on arrival"])
def test_after_flat_what_protected_the_position_is_cancelled(conditional: bool, found: int) -> None:
    history = run(
        position=10_000,
        foreign=() if found else (Foreign(-300, -10_000),),
        resting=(Resting(thousandths=0, conditional=conditional),),
    )
    assert history.said == ("FLAT" if found else "ALREADY_FLAT")
    assert [waiting.cancelled for waiting in history.world.shelf.orders] == [True]
    assert left(history) == ()


def test_after_a_part_nothing_is_cancelled() -> None:
    history = run(fraction="0.5", resting=(LEFTOVER,))
    assert history.said == "REDUCED"
    assert not history.world.shelf.asked


def test_orders_placed_since_the_position_became_flat_are_for_the_next_one() -> None:
    older = msgspec.structs.replace(STOP, time=FLAT.update_time)
    newer = msgspec.structs.replace(STOP, order_id=8, time=FLAT.update_time + 1)
    step = after(tidying(), resting(older, newer))
    assert isinstance(step.effect, steps.CancelResting)
    assert step.effect.orders == (older,)
    assert concluded(after(tidying(), resting(newer))) == "ALREADY_FLAT"


def test_what_reduces_nothing_or_another_position_is_left_alone() -> None:
    entry = msgspec.structs.replace(STOP, reduce_only=False)
    others = msgspec.structs.replace(STOP, position_side=PositionSide.LONG)
    assert concluded(after(tidying(), resting(entry, others))) == "ALREADY_FLAT"
    short = msgspec.structs.replace(STOP, side=Side.BUY)
    assert isinstance(after(tidying(), resting(short)).effect, steps.CancelResting)


def test_a_cancel_that_does_not_arrive_is_repeated_a_few_times() -> None:
    history = run(resting=(LEFTOVER,), cancels=(Cancel.LOST,) * TRIES, position=2_000)
    assert len(history.world.shelf.asked) == TRIES + 1
    assert left(history) == ()


def test_what_can_not_be_cancelled_holds_up_no_outcome_and_is_told() -> None:
    stubborn = msgspec.structs.replace(LEFTOVER, stubborn=True)
    history = run(resting=(stubborn, LEFTOVER), position=2_000)
    assert history.said == "FLAT"
    assert left(history) == ("rest_0",)
    assert history.took < 2_000
    (cleared,) = [fact for fact in history.journal.facts if isinstance(fact, facts.Cleared)]
    assert [one.client_order_id for one in cleared.gone] == ["rest_1"]


def test_lists_that_fail_hold_up_no_outcome() -> None:
    step = after(tidying(), resting(STOP, TAKE))
    for _ in range(TRIES):
        step = after(step.state, steps.ReadFailed(now=START, reason="no answer"))
        assert isinstance(step.effect, steps.ReadResting)
        assert step.effect.delay
    step = after(step.state, steps.ReadFailed(now=START, reason="no answer"))
    assert concluded(step) == "ALREADY_FLAT"
    assert step.facts == (facts.Cleared(why=Why.LEFTOVER, gone=(), left=(STOP, TAKE)),)


def test_under_freeze_nothing_is_cancelled_and_the_outcome_stands() -> None:
    history = run(resting=(LEFTOVER,), position=2_000, frozen_from=8)
    assert history.said == "FLAT"
    assert not history.world.shelf.asked
    assert left(history) == ("rest_0",)


@pytest.mark.parametrize("why", ["the policy", "no time"])
def test_nothing_is_looked_for_when_it_is_not_wanted_or_not_known_since_when_it_is_flat(why: str) -> None:
    untidy = Policy(account="paper:main", tidies=False)
    if why == "the policy":
        history = History(Script(position=2_000, resting=(LEFTOVER,)), untidy).run()
    else:
        history = History(Script(position=2_000, resting=(LEFTOVER,), timeless=True)).run()
    judged(history)
    assert history.said == "FLAT"
    assert not history.world.shelf.asked


def test_a_crash_among_cancels_ends_in_the_same_outcome() -> None:
    plain = run(position=2_000, resting=(LEFTOVER, LEFTOVER))
    for step in range(1, len(plain.steps) + 1):
        for before in (True, False):
            history = run(position=2_000, resting=(LEFTOVER, LEFTOVER), crashes=(Crash(step, before),))
            assert (history.said, left(history)) == ("FLAT", ())
            assert all(one.cancelled for one in history.world.shelf.orders)


def test_an_order_of_ours_that_shows_up_among_cancels_is_followed_first() -> None:
    known: list[facts.AnyFact] = [admitted(), sized(), sending(1), facts.NotSent(attempt=1, reason="?")]
    step = after(flat_already(fold(known)), read(FLAT), history_read(FLAT))
    assert isinstance(step.state, Tidying)
    step = after(step.state, seen(order(1)))
    assert isinstance(step.state, Working)
    assert step.effect == steps.ReadTrades(order_id=1)


def test_old_news_of_our_orders_does_not_take_the_place_of_a_cancel() -> None:
    history = History(Script(resting=(LEFTOVER,), echoes=2)).run()
    assert history.said == "FLAT"
    assert history.world.shelf.asked
    assert left(history) == ()


def test_that_nothing_could_be_listed_is_told() -> None:
    """A failed read is never an empty answer."""
    state: State = tidying()
    for _ in range(TRIES + 1):
        step = after(state, steps.ReadFailed(now=START, reason="no answer"))
        state = step.state
    clean = after(tidying(), resting()).state
    assert isinstance(state, Concluded)
    assert isinstance(clean, Concluded)
    assert report_of(state, "") != report_of(clean, "")


def test_what_was_left_before_an_order_showed_up_is_not_told_when_it_is_gone_by_then() -> None:
    known: list[facts.AnyFact] = [admitted(), sized(), sending(1), facts.NotSent(attempt=1, reason="?")]
    step = after(flat_already(fold(known)), read(FLAT), history_read(FLAT), resting(STOP))
    assert isinstance(step.effect, steps.CancelResting)
    step = after(step.state, steps.GateRefused(now=START, reason="frozen"))
    assert concluded(step) == "ALREADY_FLAT"
    fill = trade("-4", at=START + 8, order_id=1)
    now_flat = position("0", at=START + 8, requested_at=START + 9)
    step = after(step.state, seen(order(1)), steps.TradesRead(now=START, trades=(fill,)), read(now_flat))
    assert isinstance(step.effect, steps.ReadResting)
    step = after(step.state, steps.RestingRead(now=START, position=now_flat, rules=RULES, orders=()))
    assert isinstance(step.state, Concluded)
    assert report_of(step.state, "").left == ()
