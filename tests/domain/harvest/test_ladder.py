"""The profit ladder, in units of risk."""

from decimal import Decimal
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sureclose.domain.harvest.episodes import with_asked
from sureclose.domain.harvest.ladder import RUNGS, ladder
from sureclose.domain.harvest.policy import Condition, Hold, Proposal
from sureclose.domain.harvest.risk import r_net
from sureclose.domain.market import Position
from tests.domain.harvest.views import episode, held, mark_at, position, proposed, undecided, view

COST = Decimal("0.001")
PRICES = st.decimals("0.00000001", "1000000", places=8)
AMOUNTS = st.decimals("-1000000", "1000000", places=3).filter(bool)


@settings(deadline=None)
@given(PRICES, PRICES, AMOUNTS, st.decimals("0.001", "0.5", places=3))
def test_r_is_the_formula_and_nothing_else(
    entry: Decimal, mark: Decimal, amount: Decimal, stop: Decimal
) -> None:
    pnl_per_unit = (mark - entry) * amount / abs(amount)
    assert r_net(entry, mark, amount, stop, COST) == pytest.approx(
        (pnl_per_unit - COST * entry) / (entry * stop)
    )


@pytest.mark.parametrize("amount", ["1", "-1"])
def test_at_the_entry_price_only_the_costs_are_lost_on_either_side(amount: str) -> None:
    assert r_net(Decimal(2400), Decimal(2400), Decimal(amount), Decimal("0.02"), COST) == Decimal("-0.05")


@pytest.mark.parametrize(
    ("r", "name", "quantity"),
    [
        ("2", "rung-1", "0.5"),
        ("3.99", "rung-1", "0.5"),
        ("4", "rung-2", "1.0"),
        ("6", "rung-3", "1.5"),
        ("60", "rung-3", "1.5"),
    ],
)
@pytest.mark.parametrize("side", [1, -1])
def test_a_jump_over_rungs_proposes_the_highest_with_the_sum_of_all(
    r: str, name: str, quantity: str, side: int
) -> None:
    answer = proposed(ladder(view(r, Decimal(2 * side))))
    assert (answer.name, answer.quantity, answer.fraction) == (name, Decimal(quantity), None)
    assert (answer.action, answer.rung) == ("PARTIAL_CLOSE", int(name[-1]))


@pytest.mark.parametrize("r", ["-3", "0", "1.5", "1.9999"])
def test_below_the_first_rung_nothing_is_proposed(r: str) -> None:
    assert "next rung at 2 R" in held(ladder(view(r))).reason


def test_a_rung_that_was_taken_is_not_proposed_again_nor_one_below_it() -> None:
    for r in ("2", "3", "4", "5.99"):
        assert isinstance(ladder(view(r, of=episode(rung=2))), Hold)
    assert proposed(ladder(view("6", of=episode(rung=2)))).quantity == Decimal("0.25")


def test_the_parts_are_of_the_position_as_first_seen_whatever_is_left_of_it_or_was_added() -> None:
    for left in ("3", "8"):
        at = view("4", left, of=episode("4", rung=1))
        assert proposed(ladder(at)).quantity == 1


def test_a_rung_is_never_for_more_than_is_there() -> None:
    assert proposed(ladder(view("6", "0.1", of=episode("4")))).quantity == Decimal("0.1")


def test_without_a_believable_mark_there_is_no_rung() -> None:
    assert undecided(ladder(view(None))).condition is Condition.MARK_MISSING


@settings(deadline=None)
@given(st.lists(st.decimals("-3", "9", places=2), max_size=30), AMOUNTS)
def test_whatever_way_the_price_takes_each_rung_comes_once_and_the_sum_is_that_of_the_highest(
    way: list[Decimal], amount: Decimal
) -> None:
    state, now, rungs = episode(amount), position(amount), [0]
    closed = Decimal(0)
    for r in way:
        seen = msgspec.structs.replace(view("0", amount, of=state), position=now, mark=mark_at(r, amount))
        answer = ladder(seen)
        if isinstance(answer, Proposal):
            assert answer.quantity is not None
            assert answer.rung is not None
            assert answer.name not in state.asked
            closed += answer.quantity
            state, now = with_asked(state, answer), _less(now, answer.quantity)
            rungs.append(answer.rung)
    assert all(before < after for before, after in pairwise(rungs))
    best = max(way, default=Decimal(0))
    assert closed == abs(amount) * max((rung.taken for rung in RUNGS if best >= rung.at), default=Decimal(0))


def _less(now: Position, quantity: Decimal) -> Position:
    left = now.amount - quantity if now.amount > 0 else now.amount + quantity
    return msgspec.structs.replace(now, amount=left)
