"""A small storm in every run; ``make storm`` is the large one. And its judge finds what a storm could hide."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from sureclose.streams.embedded import EmbeddedServer
from tests.acceptance.world import Records
from tests.faults.storm import storm, table
from tests.faults.storm_judging import Book, Round, verdict

SYMBOL = "ETHUSDT"
ONE = Decimal(1)


@pytest.mark.timeout(300)
async def test_three_hundred_closes_in_a_storm_have_one_effect_each(
    shared_log: EmbeddedServer, tmp_path: Path
) -> None:
    found = await storm(shared_log.tcp_url, tmp_path, closes=300, rate=Decimal("0.02"), seed=1, symbols=150)
    assert found["closes"] == 300
    assert sum(found["strikes"].values()) > 100, "it was no storm"
    assert not found["violations"], table(found)


def _round(plan: str, put: int, part: str, began: int, order: int, filled: int, left: int) -> Round:
    result = {
        "outcome": "FLAT" if part == "1" else "REDUCED",
        "executed": "True",
        "order_ids": str(order),
        "client_order_ids": f"sc-{order}",
        "filled_qty": str(filled),
        "avg_price": "2400",
        "position_after": str(left),
        "evidence": "last",
    }
    return Round(SYMBOL, plan, Decimal(put), Decimal(part), ONE, began, 10, result)


def _order(number: int, at: int, quantity: int, side: str = "SELL", name: str = "sc-") -> dict[str, Any]:
    return {
        "orderId": number,
        "symbol": SYMBOL,
        "clientOrderId": f"{name}{number}",
        "side": side,
        "positionSide": "BOTH",
        "reduceOnly": True,
        "executedQty": str(quantity),
        "time": at,
    }


def _trade(order: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": order["orderId"],
        "orderId": order["orderId"],
        "symbol": SYMBOL,
        "side": order["side"],
        "positionSide": "BOTH",
        "qty": order["executedQty"],
        "price": "2400",
        "time": order["time"],
    }


def _books(*orders: dict[str, Any], left: int = 0) -> Book:
    position = {"symbol": SYMBOL, "positionSide": "BOTH", "positionAmt": str(left)}
    trades = [_trade(order) for order in orders]
    return Book(Records({"orders": list(orders), "trades": trades, "positions": [position], "requests": []}))


HALF = _round("half", 10, "0.5", 100, 1, 5, 5)
REST = _round("rest", 0, "1", 200, 2, 5, 0)
ONCE = {"half": 1, "rest": 1}


def test_a_half_and_then_the_rest_pass() -> None:
    assert verdict([HALF, REST], _books(_order(1, 110, 5), _order(2, 210, 5)), ONCE) == []


def test_a_second_effect_that_comes_after_the_next_close_began_is_found() -> None:
    rest = _round("rest", 0, "1", 200, 2, 3, 0)
    books = _books(_order(1, 110, 5), _order(3, 205, 2), _order(2, 210, 3))
    assert verdict([HALF, rest], books, ONCE)


def test_an_effect_that_never_came_is_found() -> None:
    assert verdict([HALF, REST], _books(_order(1, 110, 5), left=5), ONCE)


def test_a_plan_with_two_outcomes_is_found() -> None:
    books = _books(_order(1, 110, 5), _order(2, 210, 5))
    assert verdict([HALF, REST], books, {"half": 1, "rest": 2}) == ["plan rest has 2 outcomes"]


def test_a_position_that_the_venue_took_is_no_missing_effect() -> None:
    flat = {"outcome": "ALREADY_FLAT", "executed": "False", "order_ids": "", "client_order_ids": ""}
    nothing = {"filled_qty": "0", "avg_price": "", "position_after": "0"}
    one = _round("taken", 10, "1", 100, 1, 10, 0)
    taken = Round(SYMBOL, "taken", one.put, one.part, ONE, 100, 10, {**one.result, **flat, **nothing})
    assert verdict([taken], _books(_order(1, 110, 10, name="autoclose-")), {"taken": 1}) == []
