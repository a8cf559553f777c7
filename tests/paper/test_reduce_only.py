"""Reduce-only orders never increase a position and never turn it around."""

from decimal import Decimal

import pytest

from sureclose.paper.errors import VenueError

from .pure import Pure

RO = {"reduceOnly": "true"}


def test_without_a_position_or_in_its_direction_it_is_refused() -> None:
    pure = Pure()
    assert pure.refusal(reduceOnly="true") == -2022
    pure.seed("0.5")
    assert pure.refusal(side="BUY", reduceOnly="true") == -2022
    assert pure.amount == Decimal("0.5")


def test_an_oversize_market_order_is_clamped_and_filled() -> None:
    pure = Pure()
    pure.seed("0.5")
    order = pure.order(quantity="2", **RO)
    assert (order.status, order.quantity, order.executed) == ("FILLED", Decimal("0.5"), Decimal("0.5"))
    assert pure.amount == 0


def test_an_oversize_market_order_keeps_its_quantity_and_expires_if_so_set() -> None:
    pure = Pure(oversize_market="expire")
    pure.seed("-0.5")
    order = pure.order("BUY", "2", **RO)
    assert (order.status, order.quantity, order.executed, order.reason) == (
        "EXPIRED",
        Decimal(2),
        Decimal("0.5"),
        "4",
    )
    assert pure.amount == 0


def test_an_oversize_limit_order_is_reduced_to_what_resting_ones_leave() -> None:
    pure = Pure()
    pure.seed("0.5")
    first = pure.limit("SELL", "0.2", "2500", **RO)
    second = pure.limit("SELL", "2", "2510", **RO)
    assert (first.quantity, second.quantity) == (Decimal("0.2"), Decimal("0.3"))
    with pytest.raises(VenueError, match="-4118"):
        pure.limit("SELL", "0.1", "2520", **RO)


def test_a_market_order_knocks_out_resting_ones_that_no_longer_fit_newest_first() -> None:
    pure = Pure()
    pure.seed("0.5")
    old, new = pure.limit("SELL", "0.2", "2500", **RO), pure.limit("SELL", "0.3", "2510", **RO)
    pure.order(quantity="0.2", **RO)
    assert (old.status, new.status, new.reason) == ("NEW", "EXPIRED", "4")
    pure.order(quantity="0.3", **RO)
    assert (old.status, old.reason) == ("EXPIRED", "4")
    assert pure.amount == 0


def test_a_market_order_beside_resting_ones_is_refused_if_so_set() -> None:
    pure = Pure(resting_reduce_only="refuse")
    pure.seed("0.5")
    resting = pure.limit("SELL", "0.5", "2500", **RO)
    assert pure.refusal(reduceOnly="true") == -4118
    pure.desk.cancel(resting)
    assert pure.refusal(reduceOnly="true") == 0


def test_dust_below_the_minimum_notional_is_closable_only_as_reduce_only() -> None:
    pure = Pure()
    pure.seed("0.001")
    assert pure.refusal(quantity="0.001") == -4164
    assert pure.refusal(quantity="0.001", reduceOnly="true") == 0
    assert pure.amount == 0


def test_an_ordinary_order_may_turn_the_position_around_and_resting_reduce_only_ones_expire() -> None:
    pure = Pure()
    pure.seed("0.5")
    resting = pure.limit("SELL", "0.5", "2500", **RO)
    pure.order(quantity="0.8")
    assert (pure.amount, resting.status) == (Decimal("-0.3"), "EXPIRED")
    assert pure.desk.ledger.position("ETHUSDT", "BOTH").entry_price == Decimal("2399.99")


def test_in_hedge_mode_the_sides_say_it_and_the_flag_is_refused() -> None:
    pure = Pure()
    pure.desk.ledger.dual_side = True
    assert pure.refusal() == -4061
    assert pure.refusal(positionSide="LONG", reduceOnly="true") == -1106
    assert pure.refusal(positionSide="LONG") == -2022
    assert pure.refusal(side="BUY", positionSide="LONG") == 0
    assert pure.refusal(positionSide="LONG", quantity="0.6") == -2022
    assert pure.refusal(positionSide="LONG", quantity="0.5") == 0
    assert pure.desk.ledger.position("ETHUSDT", "LONG").amount == 0
