"""What is shown before a close is what the engine would order."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sureclose.domain.market import Position, SymbolRules
from sureclose.domain.preview import Obstacle, Preview, preview_of
from sureclose.domain.words import PositionSide, Side

RULES = SymbolRules(
    symbol="ETHUSDT",
    status="TRADING",
    step=Decimal("0.001"),
    min_qty=Decimal("0.002"),
    max_qty=Decimal(2),
    tick=Decimal("0.01"),
)


def held(amount: str, side: PositionSide = PositionSide.BOTH, symbol: str = "ETHUSDT") -> Position:
    return Position(
        symbol=symbol,
        position_side=side,
        amount=Decimal(amount),
        entry_price=Decimal(100),
        mark_price=Decimal(200),
        update_time=1,
        requested_at=1,
    )


def shown(
    *positions: Position,
    side: PositionSide = PositionSide.BOTH,
    rules: SymbolRules | None = RULES,
    fraction: str | None = None,
    quantity: str | None = None,
) -> Preview:
    amounts = (None if text is None else Decimal(text) for text in (fraction, quantity))
    return preview_of("ETHUSDT", side, positions, rules, *amounts)


@pytest.mark.parametrize(
    ("amount", "how", "side", "ordered", "left"),
    [
        ("1.5", {}, Side.SELL, "1.5", "0"),
        ("-1.5", {}, Side.BUY, "1.5", "0"),
        ("-0.101", {"fraction": "0.5"}, Side.BUY, "0.050", "-0.051"),
        ("1", {"quantity": "0.25"}, Side.SELL, "0.25", "0.75"),
        ("1", {"quantity": "7"}, Side.SELL, "1", "0"),
    ],
)
def test_the_quantity_is_rounded_down_and_the_side_reduces(
    amount: str, how: dict[str, Any], side: Side, ordered: str, left: str
) -> None:
    found = shown(held(amount), held("9", symbol="BTCUSDT"), **how)
    assert (found.side, found.quantity, found.left) == (side, Decimal(ordered), Decimal(left))
    assert (found.value, found.orders, found.obstacle) == (found.quantity * 200, 1, None)


def test_what_is_above_the_largest_order_takes_several() -> None:
    found = shown(held("5"))
    assert (found.quantity, found.orders) == (Decimal(5), 3)


@given(steps=st.integers(2, 20_000))
def test_whatever_is_open_the_orders_add_up_to_all_of_it(steps: int) -> None:
    amount = RULES.step * steps
    found = shown(held(f"{amount}"))
    assert found.quantity == amount
    assert not found.left
    assert found.orders * RULES.max_qty >= amount


@pytest.mark.parametrize(
    ("positions", "how", "obstacle"),
    [
        ((), {}, Obstacle.ALREADY_FLAT),
        ((held("1", symbol="BTCUSDT"),), {}, Obstacle.ALREADY_FLAT),
        ((held("1"),), {"rules": None}, Obstacle.UNKNOWN_SYMBOL),
        ((held("1"),), {"side": PositionSide.SHORT}, Obstacle.OTHER_SIDE),
        ((held("0.001"),), {}, Obstacle.BELOW_STEP),
        ((held("1"),), {"fraction": "0.0019"}, Obstacle.BELOW_STEP),
        (
            (held("1", PositionSide.LONG), held("-1", PositionSide.SHORT)),
            {},
            Obstacle.POSITION_SIDE_NEEDED,
        ),
        ((held("1", PositionSide.LONG),), {"side": PositionSide.SHORT}, Obstacle.ALREADY_FLAT),
    ],
)
def test_where_no_order_would_be_sent_it_says_why(
    positions: tuple[Position, ...], how: dict[str, Any], obstacle: Obstacle
) -> None:
    found = shown(*positions, **how)
    assert (found.obstacle, found.side, found.orders) == (obstacle, None, 0)
    assert not found.quantity


def test_one_side_of_two_is_meant_by_its_name() -> None:
    both = held("1", PositionSide.LONG), held("-2", PositionSide.SHORT)
    found = shown(*both, side=PositionSide.SHORT)
    assert (found.position_side, found.side, found.quantity) == (PositionSide.SHORT, Side.BUY, Decimal(2))
