"""What Binance accepts and refuses, order by order."""

from decimal import Decimal

import pytest

from sureclose.paper.errors import VenueError
from sureclose.paper.events import Event
from sureclose.paper.params import Params

from .pure import Pure


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"symbol": "-"}, -1102),
        ({"symbol": "NOUSDT"}, -1121),
        ({"symbol": "ethusdt"}, -1121),
        ({"side": "-"}, -1102),
        ({"side": "sell"}, -1117),
        ({"type": "MARKT"}, -1116),
        ({"type": "STOP_MARKET"}, -4120),
        ({"quantity": "-"}, -1102),
        ({"quantity": ""}, -1102),
        ({"quantity": "abc"}, -1100),
        ({"quantity": "1e-05"}, -1100),
        ({"quantity": "-1"}, -1100),
        ({"quantity": "\u0660.\u0665"}, -1100),
        ({"quantity": "NaN"}, -1100),
        ({"quantity": "0"}, -4003),
        ({"quantity": "0.000"}, -4003),
        ({"quantity": "0.0005"}, -1111),
        ({"quantity": "0.50000000000000000001"}, -1111),
        ({"quantity": "99999999999999999999.5"}, -4005),
        ({"quantity": "2000.001"}, -4005),
        ({"quantity": "0.500000"}, 0),
        ({"price": "2400"}, -1106),
        ({"timeInForce": "GTC"}, -1106),
        ({"newOrderRespType": "FULL"}, -1136),
        ({"newClientOrderId": "x" * 37}, -4015),
        ({"newClientOrderId": "a b"}, -4015),
        ({"newClientOrderId": ""}, -1105),
        ({"reduceOnly": "maybe"}, -1130),
        ({"reduceOnly": "True"}, 0),
        ({"positionSide": "LONG"}, -4061),
        ({"positionSide": "UP"}, -4060),
        ({"positionSide": "BOTH"}, 0),
        ({"closePosition": "true"}, -4120),
        ({"type": "LIMIT", "price": "2400"}, -1102),
        ({"type": "LIMIT", "timeInForce": "GTC"}, -1102),
        ({"type": "LIMIT", "timeInForce": "DAY", "price": "2400"}, -1115),
        ({"type": "LIMIT", "timeInForce": "GTC", "price": "0"}, -4001),
        ({"type": "LIMIT", "timeInForce": "GTC", "price": "2400.001"}, -1111),
        ({"type": "LIMIT", "timeInForce": "GTC", "price": "9999999999"}, -4002),
        ({"type": "LIMIT", "timeInForce": "GTC", "price": "1"}, -4024),
        ({"type": "LIMIT", "timeInForce": "GTC", "price": "2600", "side": "BUY"}, -4016),
        ({"type": "LIMIT", "timeInForce": "GTD", "price": "2400"}, -1102),
        ({"type": "LIMIT", "timeInForce": "GTD", "price": "2400", "goodTillDate": "1"}, -5040),
        ({"type": "LIMIT", "timeInForce": "GTX", "price": "2300"}, -5022),
        ({"type": "LIMIT", "timeInForce": "FOK", "price": "2450"}, -5021),
        ({"type": "LIMIT", "timeInForce": "IOC", "price": "2300"}, 0),
    ],
)
def test_an_order_is_refused_with_binances_code(change: dict[str, str], code: int) -> None:
    pure = Pure()
    pure.seed("0.5")
    assert pure.refusal(**change) == code


def test_a_quantity_off_a_step_that_is_no_power_of_ten_is_refused() -> None:
    pure = Pure(symbols=60)
    fives = next(one for one in pure.desk.contracts.values() if one.step == 5)
    assert pure.refusal(symbol=fives.symbol, side="BUY", quantity="7") == -4023
    assert pure.refusal(symbol=fives.symbol, side="BUY", quantity="3") == -4004


def test_a_price_off_a_tick_that_is_coarser_than_the_precision_is_refused() -> None:
    pure = Pure()
    limit = {"symbol": "BTCUSDT", "type": "LIMIT", "timeInForce": "GTC", "side": "BUY", "quantity": "0.01"}
    assert pure.refusal(**limit, price="64000.05") == -4014
    assert pure.refusal(**limit, price="64000.10") == 0


def test_a_message_names_the_parameter_that_is_missing() -> None:
    with pytest.raises(VenueError) as refusal:
        Pure().order(quantity="-")
    assert refusal.value.as_dict() == {
        "code": -1102,
        "msg": "Mandatory parameter 'quantity' was not sent, was empty/null, or malformed.",
    }


def test_a_client_id_is_unique_among_open_orders_only() -> None:
    pure = Pure()
    pure.seed("0.5")
    resting = pure.limit("SELL", "0.1", "2500", newClientOrderId="same")
    assert pure.refusal(newClientOrderId="same") == -4116
    pure.desk.cancel(resting)
    pure.order(quantity="0.1", newClientOrderId="same")
    pure.order(quantity="0.1", newClientOrderId="same")
    assert pure.amount == Decimal("0.3"), "a MARKET order sent twice executes twice"
    newest = pure.desk.order(Params({"symbol": "ETHUSDT", "origClientOrderId": "same"}))
    assert newest is pure.desk.ledger.orders[max(pure.desk.ledger.orders)]


def test_an_opening_order_beyond_the_margin_is_refused_and_a_closing_one_never() -> None:
    pure = Pure()
    pure.seed("1000")
    assert pure.refusal(side="BUY", quantity="100") == -2019
    assert pure.refusal(side="SELL", quantity="1000") == 0


def test_a_resting_order_fills_as_maker_when_the_price_reaches_it() -> None:
    pure = Pure()
    order = pure.limit("BUY", "0.5", "2390")
    pure.price("2391")
    assert order.status == "NEW"
    pure.price("2389")
    trade = pure.desk.ledger.trades[0]
    assert (order.status, trade.maker, trade.price) == ("FILLED", True, Decimal(2390))


def test_a_marketable_limit_order_takes_the_better_price() -> None:
    pure = Pure()
    order = pure.limit("BUY", "0.5", "2450")
    assert (order.status, order.quote / order.executed) == ("FILLED", Decimal("2400.01"))


def test_an_ioc_order_that_meets_nothing_expires_with_reason_2() -> None:
    order = Pure().limit("BUY", "0.5", "2390", timeInForce="IOC")
    assert (order.status, order.reason, order.executed) == ("EXPIRED", "2", Decimal(0))


def test_a_gtd_order_expires_on_its_second() -> None:
    pure = Pure()
    order = pure.limit("BUY", "0.5", "2390", timeInForce="GTD", goodTillDate=str(pure.now + 700_999))
    pure.now += 699_999
    pure.desk.sweep()
    assert order.is_open
    pure.now += 1_000
    pure.desk.sweep()
    assert order.status == "EXPIRED"


def test_a_countdown_cancels_what_rests_unless_it_is_renewed() -> None:
    pure = Pure()
    order = pure.limit("BUY", "0.5", "2390")
    pure.desk.count_down("ETHUSDT", 1000)
    pure.now += 900
    pure.desk.count_down("ETHUSDT", 1000)
    pure.now += 900
    pure.desk.sweep()
    assert order.is_open
    pure.now += 100
    pure.desk.sweep()
    assert order.status == "CANCELED"


def test_a_close_realizes_profit_and_pays_commission() -> None:
    pure = Pure()
    pure.seed("0.5", "2400")
    pure.price("2500")
    pure.order(reduceOnly="true")
    trade = pure.desk.ledger.trades[0]
    assert trade.realized == Decimal("0.5") * (Decimal("2499.99") - 2400)
    assert trade.commission == Decimal("0.5") * Decimal("2499.99") * Decimal("0.0005")
    assert pure.desk.ledger.wallet == 100_000 + trade.realized - trade.commission


def test_queries_forget_cancelled_orders_after_three_days_and_all_after_ninety() -> None:
    pure = Pure()
    lost = pure.limit("BUY", "0.1", "2390")
    pure.desk.cancel(lost)
    filled = pure.order("BUY", "0.1")
    day = 86_400_000

    def known(order_id: int) -> bool:
        return pure.desk.order(Params({"symbol": "ETHUSDT", "orderId": str(order_id)})) is not None

    pure.now += 3 * day
    assert known(lost.order_id)
    pure.now += 1
    assert not known(lost.order_id)
    assert known(filled.order_id)
    pure.now += 88 * day
    assert not known(filled.order_id)


def test_events_tell_an_order_from_new_to_filled_with_the_position_it_leaves() -> None:
    pure = Pure()
    pure.seed("0.5")
    pure.events.clear()
    order = pure.order(reduceOnly="true", newClientOrderId="tell")
    new, lite, trade, account = pure.events
    assert [new["o"]["x"], new["o"]["X"], new["o"]["z"]] == ["NEW", "NEW", "0.000"]
    assert [lite["e"], lite["c"], lite["l"]] == ["TRADE_LITE", "tell", "0.500"]
    assert [trade["o"]["x"], trade["o"]["X"], trade["o"]["z"], trade["o"]["er"]] == [
        "TRADE",
        "FILLED",
        "0.500",
        "0",
    ]
    assert [trade["o"]["i"], trade["o"]["R"], trade["o"]["n"]] == [order.order_id, True, "0.59999750"]
    assert account["a"]["P"][0]["pa"] == "0"
    assert account["a"]["B"][0]["wb"] == f"{pure.desk.ledger.wallet:.8f}"
    needed = set(NAUTILUS_NEEDS.split())
    assert needed <= _keys(new) & _keys(trade)


NAUTILUS_NEEDS = "s c S o f q p ap x X i l z L T t b a m R wt ot ps pP si ss rp gtd"


def _keys(event: Event) -> set[str]:
    return set(event["o"])
