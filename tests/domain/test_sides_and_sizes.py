"""An order's side comes from the venue's sign, and its size is exact."""

from decimal import Decimal

import pytest

from sureclose.domain import steps
from sureclose.domain.quantity import target_of
from sureclose.domain.words import PositionSide, Side
from tests.domain.drivers import History
from tests.domain.judging import judged
from tests.domain.scripts import RULES, START, Script, decision
from tests.domain.test_close_rules import after, position, read, waiting


@pytest.mark.parametrize(
    ("amount", "said", "side"),
    [
        ("10", PositionSide.BOTH, Side.SELL),
        ("10", PositionSide.LONG, Side.SELL),
        ("-10", PositionSide.BOTH, Side.BUY),
        ("-10", PositionSide.SHORT, Side.BUY),
    ],
)
def test_the_side_is_against_the_sign_of_the_position_as_read(
    amount: str, said: PositionSide, side: Side
) -> None:
    step = after(waiting(decision(position_side=said)), read(position(amount)))
    assert isinstance(step.effect, steps.PassGate), step.effect
    assert step.effect.side is side


def test_a_short_position_is_bought_back() -> None:
    history = History(Script(position=-10_000)).run()
    judged(history)
    assert history.said == "FLAT"
    assert {sending.side for sending in history.world.sent} == {Side.BUY}


@pytest.mark.parametrize("amount", ["0.3", "-0.3", "0.7", "1.1", "2.675", "123456789012345.678"])
def test_all_of_a_position_is_all_of_it_to_the_last_digit(amount: str) -> None:
    """What a binary float can't hold loses a step by rounding down, and the close leaves it open."""
    assert target_of(Decimal(amount), Decimal(1), None, RULES) == abs(Decimal(amount))


def test_a_part_is_exact() -> None:
    assert target_of(Decimal("0.41"), Decimal("0.7"), None, RULES) == Decimal("0.287")


def test_a_read_made_for_the_gate_names_the_position_that_was_read() -> None:
    shown = position("10", requested_at=START + 3)
    step = after(waiting(), read(shown))
    assert isinstance(step.effect, steps.PassGate)
    assert step.effect.position == shown
