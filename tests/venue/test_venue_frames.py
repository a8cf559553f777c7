"""The frames of the user data stream, read."""

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sureclose.domain.market import OrderReport, Trade
from sureclose.domain.words import PositionSide, Side
from sureclose.venue.stream_events import (
    AccountUpdate,
    AlgoUpdate,
    KeyExpired,
    OrderUpdate,
    StreamPosition,
    read_frame,
)
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


@pytest.mark.parametrize(
    ("client_id", "execution", "order_type"),
    [
        ("autoclose-1795283737916", "CALCULATED", "LIMIT"),
        ("adl_autoclose", "TRADE", "MARKET"),
        ("settlement_autoclose-1", "TRADE", "MARKET"),
    ],
)
def test_what_the_venue_itself_does_to_the_position_is_a_fill_of_a_strange_order(
    client_id: str, execution: str, order_type: str
) -> None:
    order = {**ORDER_EVENT["o"], "c": client_id, "x": execution, "o": order_type, "R": False, "t": 0}
    del order["N"], order["n"], order["er"]
    update = read_frame(json.dumps({**ORDER_EVENT, "o": order}))
    assert isinstance(update, OrderUpdate)
    assert (update.report.client_order_id, update.execution) == (client_id, execution)
    assert update.report.terminal
    assert update.trade is not None
    assert update.trade.signed == Decimal("-0.010")
    assert (update.trade.commission, update.trade.commission_asset) == (Decimal(0), "")


def test_a_liquidation_that_only_begins_is_no_fill() -> None:
    order = {**ORDER_EVENT["o"], "c": "autoclose-1", "x": "NEW", "X": "NEW", "l": "0", "z": "0", "L": "0"}
    update = read_frame(json.dumps({**ORDER_EVENT, "o": order}))
    assert isinstance(update, OrderUpdate)
    assert (update.trade, update.report.terminal) == (None, False)


def test_a_commission_of_nothing_may_be_null() -> None:
    order = {**ORDER_EVENT["o"], "N": None, "n": None}
    update = read_frame(json.dumps({**ORDER_EVENT, "o": order}))
    assert isinstance(update, OrderUpdate)
    assert update.trade is not None
    assert update.trade.commission == 0


EXPIRED = {"e": "listenKeyExpired", "E": 1736996475556, "listenKey": "K"}


@pytest.mark.parametrize("frame", [EXPIRED, {"stream": "K", "data": EXPIRED}])
def test_an_expired_key_is_read_bare_and_enveloped(frame: dict[str, Any]) -> None:
    assert read_frame(json.dumps(frame)) == KeyExpired()


def test_an_account_event_names_the_positions_that_changed() -> None:
    assert read_frame(json.dumps(ACCOUNT_EVENT)) == ACCOUNT
    funding = {"e": "ACCOUNT_UPDATE", "E": 5, "T": 4, "a": {"m": "FUNDING_FEE", "B": []}}
    assert read_frame(json.dumps(funding)) == AccountUpdate(
        positions=(), reason="FUNDING_FEE", time=4, event_time=5
    )


@pytest.mark.parametrize(
    "frame",
    [
        {
            "e": "TRADE_LITE",
            "E": 1,
            "T": 1,
            "s": "BTCUSDT",
            "q": "0.001",
            "p": "0",
            "m": False,
            "c": "id",
            "S": "BUY",
            "L": "64089.20",
            "l": "0.040",
            "t": 109100866,
            "i": 8886774,
        },
        {"e": "MARGIN_CALL", "E": 1, "cw": "3.16", "p": []},
        {"e": "ACCOUNT_CONFIG_UPDATE", "E": 1, "T": 1, "ac": {"s": "BTCUSDT", "l": 25}},
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


ALGO_EVENT: Final[dict[str, Any]] = {
    "e": "ALGO_UPDATE",
    "T": 1,
    "E": 1,
    "o": {
        "caid": "web_sl",
        "aid": 1,
        "at": "CONDITIONAL",
        "o": "TAKE_PROFIT",
        "s": "BNBUSDT",
        "S": "SELL",
        "ps": "BOTH",
        "f": "GTC",
        "q": "0.01",
        "X": "CANCELED",
        "ai": "",
        "tp": "750",
        "R": False,
    },
}


@pytest.mark.parametrize(
    ("state", "ended"), [("NEW", False), ("TRIGGERING", False), ("CANCELED", True), ("TRIGGERED", True)]
)
def test_an_event_of_a_conditional_order_says_whether_it_still_acts(state: str, *, ended: bool) -> None:
    event = {**ALGO_EVENT, "o": {**ALGO_EVENT["o"], "X": state}}
    assert read_frame(json.dumps(event)) == AlgoUpdate(symbol="BNBUSDT", algo_id=1, ended=ended)
