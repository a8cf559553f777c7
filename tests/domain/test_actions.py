"""One table of actions with exact fractions; what is not in it closes nothing."""

from decimal import Decimal

import pytest

from sureclose.domain.actions import (
    ACTIONS,
    STEP_FRACTIONS,
    Amount,
    AmountError,
    Closes,
    Idle,
    NeedsAmount,
    NotClosing,
    Trades,
    Unknown,
    amount_of,
    canonical,
    classify_action,
)
from sureclose.domain.words import PositionSide

HALF = Decimal("0.5")

DESIGN = {
    "CLOSE": "1",
    "FULL_CLOSE_PROPOSED": "1",
    "TIME_STOP_EXIT": "1",
    "TOXICITY_UNWIND": "1",
    "MANUAL_CLOSE": "1",
    "EMERGENCY_SL_CLOSE": "1",
    "PARTIAL_75": "0.75",
    "PARTIAL_50": "0.50",
    "PARTIAL_25": "0.25",
    "REDUCE_50": "0.50",
    "REDUCE_25": "0.25",
    "PARTIAL_CLOSE_25": "0.25",
    "HARVEST_70_KEEP_30": "0.70",
}


@pytest.mark.parametrize(("word", "fraction"), DESIGN.items())
def test_incident_21_each_action_closes_one_exact_fraction(word: str, fraction: str) -> None:
    assert classify_action(word) == Closes(Decimal(fraction))


@pytest.mark.parametrize("word", ["PARTIAL_CLOSE", "RECONCILE_CLOSE"])
def test_an_open_partial_close_needs_its_own_amount(word: str) -> None:
    assert classify_action(word) == NeedsAmount()
    with pytest.raises(AmountError):
        amount_of(word, [], None)
    assert amount_of(word, [HALF], None) == Amount(word, HALF, None)
    assert amount_of(word, [], Decimal(3)) == Amount(word, None, Decimal(3))


@pytest.mark.parametrize(
    ("word", "why"),
    [("HOLD", Idle.HOLD), ("UPDATE_SL", Idle.STOP_LOSS_UPDATE), ("ENTRY_PROPOSED", Idle.ENTRY)],
)
def test_what_is_no_close_says_why(word: str, why: Idle) -> None:
    assert classify_action(word) == NotClosing(why)


def test_sell_and_buy_each_reduce_one_side_only() -> None:
    assert classify_action("SELL") == Trades(PositionSide.LONG)
    assert classify_action("BUY") == Trades(PositionSide.SHORT)


def test_incident_37_the_table_is_complete() -> None:
    others = {"PARTIAL_CLOSE", "RECONCILE_CLOSE", "SELL", "BUY", "HOLD", "UPDATE_SL", "ENTRY_PROPOSED"}
    assert set(ACTIONS) == set(DESIGN) | others


@pytest.mark.parametrize(
    "word",
    [
        "UNKNOWN",
        "",
        "PARTIAL_90",
        "CLOSE_ALL",
        "CLOSED",
        "CLO\u017fE",
        "T\u0131ME_STOP_EXIT",
        "\uff23LOSE",
        "CLO SE",
    ],
)
def test_incident_21_what_is_not_in_the_table_is_unknown(word: str) -> None:
    assert classify_action(word) == Unknown()


@pytest.mark.parametrize("word", ["close", " Close ", "cLOSE\n"])
def test_case_and_surrounding_space_are_no_difference(word: str) -> None:
    assert canonical(word) == "CLOSE"
    assert classify_action(word) == Closes(Decimal(1))


@pytest.mark.parametrize("word", DESIGN)
def test_a_fraction_that_contradicts_its_action_is_no_amount(word: str) -> None:
    own = Decimal(DESIGN[word])
    assert amount_of(word, [own, own], None) == Amount(word, own, None)
    with pytest.raises(AmountError):
        amount_of(word, [Decimal("0.33")], None)
    with pytest.raises(AmountError):
        amount_of(word, [own, Decimal("0.33")], None)


def test_a_quantity_stands_beside_a_fraction_as_a_maximum() -> None:
    assert amount_of("PARTIAL_50", [], Decimal(2)) == Amount("PARTIAL_50", HALF, Decimal(2))


def test_a_reducing_order_needs_a_quantity_even_beside_a_fraction() -> None:
    assert amount_of("SELL", [], Decimal(2)) == Amount("SELL", None, Decimal(2))
    with pytest.raises(AmountError):
        amount_of("SELL", [HALF], None)


def test_without_a_word_the_amount_gets_the_action_that_it_agrees_with() -> None:
    everything = Decimal(1)
    assert amount_of("", [], None, everything) == Amount("CLOSE", everything, None)
    assert amount_of("", [everything], None) == Amount("CLOSE", everything, None)
    assert amount_of("", [HALF], None, everything) == Amount("PARTIAL_CLOSE", HALF, None)
    assert amount_of("", [], Decimal(3), everything) == Amount("PARTIAL_CLOSE", None, Decimal(3))
    with pytest.raises(AmountError):
        amount_of("", [], None)


@pytest.mark.parametrize("word", ["HOLD", "ENTRY_PROPOSED", "PARTIAL_90"])
def test_what_closes_nothing_has_no_amount(word: str) -> None:
    with pytest.raises(AmountError):
        amount_of(word, [HALF], Decimal(1), Decimal(1))


def test_the_words_of_steps_agree_with_the_table() -> None:
    for step, fraction in STEP_FRACTIONS.items():
        action = {"CLOSE_FULL": "CLOSE"}.get(step, step.removeprefix("CLOSE_"))
        assert classify_action(action) == Closes(fraction)
