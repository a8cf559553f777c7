"""What trades prove about a position, and what they don't."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sureclose.domain.history import LOOKBACK_MS, increased, moved, seen_since, went_through_zero
from tests.domain.scripts import START
from tests.domain.test_close_rules import position, trade


@pytest.mark.parametrize(
    ("now", "trades", "proven"),
    [
        ("10", [], False),
        ("10", [("2", 5_000)], False),
        ("10", [("-5", 5_000)], False),
        ("10", [("10", 5_000)], True),
        ("10", [("10", 500)], False),
        ("10", [("4", 500), ("6", 5_000)], False),
        ("10", [("-10", 300), ("10", 500)], True),
        ("10", [("14", 500)], True),
        ("-10", [("-14", 5_000)], True),
        ("-10", [("-4", 5_000), ("-6", 6_000)], True),
        ("-10", [("6", 5_000)], False),
        ("10", [("-20", 4_000), ("20", 5_000), ("1", 6_000)], True),
        ("10", [("9.999", 4_000)], False),
    ],
)
def test_only_a_zero_or_another_sign_after_the_decision_is_proof(
    now: str, trades: list[tuple[str, int]], proven: bool
) -> None:
    listed = [trade(amount, at=START + at) for amount, at in trades]
    assert went_through_zero(Decimal(now), listed, START + 2_000) is proven


@given(st.permutations([("-10", 1), ("4", 2), ("6", 3)]))
def test_the_order_in_which_trades_are_listed_does_not_matter(listed: list[tuple[str, int]]) -> None:
    trades = [trade(amount, at=START + at) for amount, at in listed]
    assert went_through_zero(Decimal(10), trades, START)


def test_trades_of_one_millisecond_are_told_apart_by_their_ids() -> None:
    sold = trade("-10", at=START + 1, trade_id=1)
    bought = trade("10", at=START + 1, trade_id=2)
    assert went_through_zero(Decimal(10), [bought, sold], START)
    sold_later = trade("-10", at=START + 1, trade_id=3)
    assert not went_through_zero(Decimal(10), [sold_later, bought], START + 5)


amounts = st.integers(-9, 9).filter(bool)


@given(st.integers(1, 9), st.lists(amounts, max_size=8))
def test_the_walk_back_says_what_the_walk_forward_was(start: int, changes: list[int]) -> None:
    """With clocks that agree, the proof is exact: some state after the decision was flat or of the other sign."""
    walk = [start]
    for change in changes:
        walk.append(walk[-1] + change)
    now = walk[-1]
    if not now:
        return
    trades = [trade(str(change), at=START + 1 + index) for index, change in enumerate(changes)]
    assert went_through_zero(Decimal(now), trades, START) is any(amount * now <= 0 for amount in walk[:-1])


def test_increase_and_movement_are_signed() -> None:
    trades = [trade("2", at=1), trade("-5", at=2)]
    assert moved(trades) == Decimal(-3)
    assert increased(Decimal(1), trades)
    assert increased(Decimal(-1), trades)
    assert not increased(Decimal(-1), trades[:1])


def test_no_read_is_followed_further_back_than_the_venue_remembers() -> None:
    assert seen_since(position(at=START - 5)) == START - 5
    assert seen_since(position(at=0)) == START - LOOKBACK_MS
