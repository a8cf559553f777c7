"""The judge itself: books and claims that are right pass, and each single thing that is wrong is found."""

import copy
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from tests.acceptance.world import Fields, Records
from tests.faults.judging import Appeared, Claim, Story, Wanted, beliefs, effects

SYMBOL = "ETHUSDT"
TEN = Decimal(10)
WANTED = Wanted(TEN, {"BOTH": Decimal(0)}, effective=1, least_sent=1)
APPEARED = [Appeared(0, "BOTH", TEN)]
Books = dict[str, Any]


def _order(number: int, client_order_id: str, executed: str = "10") -> dict[str, Any]:
    return {
        "orderId": number,
        "symbol": SYMBOL,
        "clientOrderId": client_order_id,
        "side": "SELL",
        "positionSide": "BOTH",
        "reduceOnly": True,
        "executedQty": executed,
    }


def _trade(number: int, order_id: int, quantity: str = "10") -> dict[str, Any]:
    return {
        "id": number,
        "orderId": order_id,
        "symbol": SYMBOL,
        "side": "SELL",
        "positionSide": "BOTH",
        "qty": quantity,
        "price": "2400",
        "time": 100 + number,
    }


def _request(client_order_id: str) -> dict[str, Any]:
    parameters = {
        "symbol": SYMBOL,
        "side": "SELL",
        "newClientOrderId": client_order_id,
        "reduceOnly": "true",
    }
    return {"method": "POST", "params": parameters}


def _books() -> Books:
    """A position of ten that one order of ours closed."""
    return {
        "orders": [_order(1, "sc-1")],
        "trades": [_trade(1, 1)],
        "positions": [{"symbol": SYMBOL, "positionSide": "BOTH", "positionAmt": "0"}],
        "requests": [_request("sc-1")],
    }


def _result() -> Fields:
    return {
        "outcome": "FLAT",
        "executed": "True",
        "reason": "",
        "code": "",
        "order_ids": "1",
        "client_order_ids": "sc-1",
        "filled_qty": "10",
        "avg_price": "2400",
        "position_after": "0",
        "evidence": "last",
    }


def _story(books: Books) -> Story:
    return Story(Records(books), SYMBOL, APPEARED)


def _claim(*results: Fields) -> Claim:
    return Claim("a", ("FLAT",), TEN, results, "last")


def test_one_order_that_closed_it_and_was_reported_so_passes() -> None:
    assert effects(_story(_books()), WANTED) == []
    assert beliefs(_story(_books()), [_claim(_result())]) == []


def _second_effect(books: Books) -> None:
    books["orders"].append(_order(2, "sc-2", "5"))
    books["trades"].append(_trade(2, 2, "5"))
    books["positions"][0]["positionAmt"] = "-5"


def _no_effect(books: Books) -> None:
    books["orders"], books["trades"] = [], []
    books["positions"][0]["positionAmt"] = "10"


def _not_reducing(books: Books) -> None:
    books["orders"][0]["reduceOnly"] = False


def _not_asked_to_reduce(books: Books) -> None:
    del books["requests"][0]["params"]["reduceOnly"]


def _id_used_twice(books: Books) -> None:
    books["requests"].append(_request("sc-1"))


def _nothing_arrived(books: Books) -> None:
    books["requests"] = []


def _order_says_more(books: Books) -> None:
    books["orders"][0]["executedQty"] = "11"


def _somebody_elses(books: Books) -> None:
    books["orders"][0]["clientOrderId"] = "theirs"


@pytest.mark.parametrize(
    "spoil",
    [
        _second_effect,
        _no_effect,
        _not_reducing,
        _not_asked_to_reduce,
        _id_used_twice,
        _nothing_arrived,
        _order_says_more,
        _somebody_elses,
    ],
)
def test_a_wrong_effect_is_found(spoil: Callable[[Books], None]) -> None:
    books = _books()
    spoil(books)
    assert effects(_story(books), WANTED)


def test_a_flip_is_found_although_the_sum_is_right() -> None:
    """Ours went through zero and somebody else's order hid it."""
    books = _books()
    books["trades"] = [_trade(1, 1, "15"), {**_trade(2, 2, "5"), "side": "BUY"}]
    books["orders"] = [_order(1, "sc-1", "15"), {**_order(2, "theirs", "5"), "side": "BUY"}]
    wanted = Wanted(Decimal(15), {"BOTH": Decimal(0)}, effective=1, least_sent=1)
    assert any("moved the position from 10 to -5" in what for what in effects(_story(books), wanted))


@pytest.mark.parametrize(
    "wrong",
    [
        {"outcome": "REDUCED"},
        {"outcome": "PARKED"},
        {"reason": "expired"},
        {"executed": "False"},
        {"order_ids": "1,2"},
        {"order_ids": ""},
        {"client_order_ids": "sc-2"},
        {"filled_qty": "9"},
        {"avg_price": "2400.01"},
        {"position_after": "5"},
        {"position_after": ""},
        {"evidence": "another"},
    ],
    ids=str,
)
def test_a_wrong_belief_is_found(wrong: Fields) -> None:
    assert beliefs(_story(_books()), [_claim(_result() | wrong)])


def test_no_outcome_and_two_outcomes_are_found() -> None:
    assert beliefs(_story(_books()), [_claim()])
    assert beliefs(_story(_books()), [_claim(_result(), copy.copy(_result()))])


def test_an_order_that_two_plans_claim_is_found() -> None:
    other = Claim("b", ("FLAT",), TEN, [_result()], "last")
    assert any("claim the same" in what for what in beliefs(_story(_books()), [_claim(_result()), other]))
