"""The frames of the user data stream, read."""

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sureclose.domain.market import OrderReport, Trade
from sureclose.domain.words import PositionSide, Side
from sureclose.venue.stream_events import AccountUpdate, OrderUpdate, StreamPosition, read_frame
from tests.venue.venue_stubs import ACCOUNT_EVENT, ORDER_EVENT

ACCOUNT = AccountUpdate(
    positions=(
        StreamPosition(
            symbol="BTCUSDT",
            position_side=PositionSide.BOTH,
            amount=Decimal("-0.5"),
            entry_price=Decimal("100.00000"),
        ),
    ),
    reason="ORDER",
    time=4,
    event_time=5,
)


@pytest.mark.parametrize("wrap", [lambda event: event, lambda event: {"stream": "K", "data": event}])
def test_an_order_event_is_read_bare_and_enveloped(wrap: Callable[[Any], Any]) -> None:
    update = read_frame(json.dumps(wrap(ORDER_EVENT)))
    assert update == OrderUpdate(
        report=OrderReport(
            order_id=22542179,
            client_order_id="clientId",
            symbol="BTCUSDT",
            side=Side.SELL,
            position_side=PositionSide.BOTH,
            status="FILLED",
            order_type="MARKET",
            reduce_only=True,
            orig_qty=Decimal("0.010"),
            executed_qty=Decimal("0.010"),
            update_time=1,
        ),
        trade=Trade(
            trade_id=698759,
            order_id=22542179,
            symbol="BTCUSDT",
            side=Side.SELL,
            position_side=PositionSide.BOTH,
            quantity=Decimal("0.010"),
            price=Decimal("65000.1"),
            realized_pnl=Decimal("10.0"),
            commission=Decimal("0.26"),
            commission_asset="USDT",
            time=1,
        ),
        execution="TRADE",
        event_time=3,
    )


def test_an_expiry_says_why_and_is_no_trade() -> None:
    order = {**ORDER_EVENT["o"], "x": "EXPIRED", "X": "EXPIRED", "l": "0", "er": "9"}
    del order["N"], order["n"]
    update = read_frame(json.dumps({**ORDER_EVENT, "o": order}))
    assert isinstance(update, OrderUpdate)
    assert update.trade is None
    assert (update.report.expiry_reason, update.report.terminal) == ("9", True)


def test_an_account_event_names_the_positions_that_changed() -> None:
    assert read_frame(json.dumps(ACCOUNT_EVENT)) == ACCOUNT
    funding = {"e": "ACCOUNT_UPDATE", "E": 5, "T": 4, "a": {"m": "FUNDING_FEE", "B": []}}
    assert read_frame(json.dumps(funding)) == AccountUpdate(
        positions=(), reason="FUNDING_FEE", time=4, event_time=5
    )


@pytest.mark.parametrize(
    "frame",
    [
        {"e": "TRADE_LITE", "E": 1},
        {"e": "ALGO_UPDATE", "o": {}},
        {"e": "SOMETHING_NEW"},
        {"result": None, "id": 1},
        {"stream": "K", "data": {"e": "TRADE_LITE"}},
        {},
    ],
)
def test_what_does_not_concern_us_is_passed_over(frame: dict[str, Any]) -> None:
    assert read_frame(json.dumps(frame)) is None


@pytest.mark.parametrize(
    "frame",
    [
        "", "null", "[]", "{", '{"e":5}', '{"e":"ORDER_TRADE_UPDATE"}', '{"e":"ORDER_TRADE_UPDATE","E":1,"o":{}}',
        '{"error":{"code":2,"msg":"x"}}', '{"stream":"K","data":[]}', "[" * 100_000,
        json.dumps(ORDER_EVENT).replace('"0.010"', '"NaN"'), json.dumps(ORDER_EVENT).replace('"SELL"', '"CLOSE"'),
        json.dumps(ACCOUNT_EVENT).replace('"-0.5"', '"much"'),
    ],
)  # fmt: skip
def test_a_broken_frame_is_a_value_error(frame: str) -> None:
    with pytest.raises(ValueError):
        read_frame(frame)


@given(
    st.one_of(
        st.binary(),
        st.text(),
        st.dictionaries(st.sampled_from(["e", "data", "E", "o", "a"]), st.text()).map(json.dumps),
    )
)
def test_no_frame_raises_anything_else(frame: bytes | str) -> None:
    try:
        read_frame(frame)
    except ValueError:
        return
