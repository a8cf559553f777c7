"""The REST side over a real socket."""

import asyncio
import time
from decimal import Decimal
from typing import Any

import pytest

from sureclose.paper import PaperExchange

from .bare import Bare


def now() -> int:
    return time.time_ns() // 1_000_000


async def test_a_seeded_position_is_a_day_old_and_leaves_no_order_and_no_trade(client: Bare) -> None:
    (row,) = await client.get("/fapi/v3/positionRisk", symbol="ETHUSDT")
    assert (row["positionAmt"], row["entryPrice"], row["markPrice"]) == (
        "0.500",
        "2400.00000",
        "2400.00000000",
    )
    assert abs(now() - 86_400_000 - row["updateTime"]) < 10_000
    assert await client.get("/fapi/v1/allOrders", symbol="ETHUSDT") == []
    assert await client.get("/fapi/v1/userTrades", symbol="ETHUSDT") == []


async def test_a_reduce_only_close_is_answered_recorded_and_leaves_the_position_flat(client: Bare) -> None:
    answer = await client.market("ETHUSDT", "SELL", "0.5", reduceOnly="true", newClientOrderId="close-1")
    assert {name: type(answer[name]) for name in answer} == {
        **dict.fromkeys(("orderId", "goodTillDate", "updateTime"), int),
        **dict.fromkeys(("reduceOnly", "closePosition", "priceProtect"), bool),
        **dict.fromkeys(
            [
                "symbol",
                "status",
                "clientOrderId",
                "price",
                "origQty",
                "executedQty",
                "cumQty",
                "timeInForce",
                "type",
                "side",
                "positionSide",
                "stopPrice",
                "workingType",
                "origType",
                "priceMatch",
                "selfTradePreventionMode",
            ],
            str,
        ),
    }
    assert (answer["status"], answer["executedQty"], answer["clientOrderId"]) == (
        "FILLED",
        "0.500",
        "close-1",
    )
    order = await client.get("/fapi/v1/order", symbol="ETHUSDT", origClientOrderId="close-1")
    assert (order["avgPrice"], order["cumQuote"], "cumQty" in order) == ("2399.99000", "1199.99500", False)
    (trade,) = await client.get("/fapi/v1/userTrades", symbol="ETHUSDT", orderId=order["orderId"])
    assert (trade["qty"], trade["price"], trade["side"], trade["buyer"]) == (
        "0.500",
        "2399.99",
        "SELL",
        False,
    )
    assert await client.get("/fapi/v3/positionRisk", symbol="ETHUSDT") == []
    (flat,) = await client.get("/fapi/v2/positionRisk", symbol="ETHUSDT")
    assert (flat["positionAmt"], flat["updateTime"], flat["entryPrice"]) == ("0.000", trade["time"], "0.0")
    again = await client.market("ETHUSDT", "SELL", "0.5", reduceOnly="true")
    assert again == {"code": -2022, "msg": "ReduceOnly Order is rejected."}


async def test_acknowledgement_is_the_default_answer(client: Bare) -> None:
    answer = await client.market("ETHUSDT", "SELL", "0.5", reduceOnly="true", newOrderRespType="ACK")
    assert (answer["status"], answer["executedQty"]) == ("NEW", "0.000")
    assert await client.position("ETHUSDT") == "0"


@pytest.mark.parametrize("form", ["query", "body", "both"])
async def test_parameters_may_come_in_query_body_or_both(client: Bare, form: str) -> None:
    query = f"symbol=ETHUSDT&side=SELL&timestamp={now()}"
    body = "type=MARKET&quantity=0.1&reduceOnly=True"
    match form:
        case "query":
            wire = f"{query}&{body}"
            status, _ = await client.raw("POST", f"/fapi/v1/order?{wire}&signature={client.sign(wire)}")
        case "body":
            wire = f"{query}&{body}"
            status, _ = await client.raw("POST", "/fapi/v1/order", f"{wire}&signature={client.sign(wire)}")
        case _:
            signature = client.sign(query + body)
            status, _ = await client.raw("POST", f"/fapi/v1/order?{query}", f"{body}&signature={signature}")
    assert status == 200
    assert await client.position("ETHUSDT") == "0.400"


async def test_the_query_wins_where_body_and_query_differ(client: Bare) -> None:
    query = f"symbol=ETHUSDT&side=SELL&quantity=0.1&timestamp={now()}"
    body = "type=MARKET&quantity=0.2&reduceOnly=true"
    await client.raw("POST", f"/fapi/v1/order?{query}", f"{body}&signature={client.sign(query + body)}")
    assert await client.position("ETHUSDT") == "0.400"


async def test_keys_signatures_and_times_are_checked(client: Bare) -> None:
    good = client.signed({})
    path = "/fapi/v3/balance"
    assert await client.raw("GET", f"{path}?{good}", key=None) == (
        401,
        {"code": -2014, "msg": "API-key format invalid."},
    )
    status, wrong = await client.raw("GET", f"{path}?{good}", key="x" * 64)
    assert (status, wrong["code"]) == (401, -2015)
    status, bad = await client.raw("GET", f"{path}?{good[:-4]}0000")
    assert (status, bad["code"]) == (400, -1022)
    assert (await client.get(path, timestamp=now() - 6000))["code"] == -1021
    assert (await client.get(path, timestamp=now() + 2000))["code"] == -1021
    assert (await client.get(path, recvWindow=70_000))["code"] == -1131
    assert (await client.raw("GET", path))[1]["msg"].startswith("Mandatory parameter 'timestamp'")
    assert (await client.raw("GET", f"{path}?timestamp={now()}"))[1]["msg"].startswith(
        "Mandatory parameter 'signature'"
    )


async def test_an_unknown_path_is_a_404_and_a_duplicate_parameter_a_400(client: Bare) -> None:
    assert await client.raw("GET", "/fapi/v9/what") == (
        404,
        {"code": -5000, "msg": "Path /fapi/v9/what, Method GET is invalid"},
    )
    status, answer = await client.raw("GET", "/fapi/v1/premiumIndex?symbol=BTCUSDT&symbol=ETHUSDT")
    assert (status, answer["code"]) == (400, -1101)


async def test_orders_are_listed_by_id_and_time_and_found_or_not(client: Bare) -> None:
    ids = [(await client.market("ETHUSDT", "SELL", "0.1"))["orderId"] for _ in range(4)]
    path = "/fapi/v1/allOrders"
    assert [row["orderId"] for row in await client.get(path, symbol="ETHUSDT")] == ids
    assert [row["orderId"] for row in await client.get(path, symbol="ETHUSDT", limit=2)] == ids[2:]
    assert [
        row["orderId"] for row in await client.get(path, symbol="ETHUSDT", orderId=ids[1], limit=2)
    ] == ids[1:3]
    assert await client.get(path, symbol="ETHUSDT", endTime=now() - 60_000) == []
    assert [row["orderId"] for row in await client.get(path)] == ids
    assert [row["orderId"] for row in await client.get(path, orderId=ids[2])] == ids[2:]
    week = 7 * 86_400_000
    wrong = await client.get(path, symbol="ETHUSDT", startTime=now() - week - 5, endTime=now())
    assert wrong["code"] == -1130
    trades = await client.get("/fapi/v1/userTrades", symbol="ETHUSDT")
    part = await client.get("/fapi/v1/userTrades", symbol="ETHUSDT", fromId=trades[1]["id"], limit=2)
    assert part == trades[1:3]
    assert (await client.get("/fapi/v1/order", symbol="ETHUSDT", orderId=1))["code"] == -2013
    assert (await client.get("/fapi/v1/openOrder", symbol="ETHUSDT", orderId=ids[0]))["code"] == -2013
    assert (await client.get("/fapi/v1/order", symbol="BTCUSDT", orderId=ids[0]))["code"] == -2013
    assert (await client.get("/fapi/v1/order", symbol="ETHUSDT"))["code"] == -1102
    assert (await client.delete("/fapi/v1/order", symbol="ETHUSDT", orderId=ids[0]))["code"] == -2011


async def test_resting_orders_are_amended_and_cancelled(client: Bare) -> None:
    first = await client.limit("ETHUSDT", "BUY", "0.1", "2390")
    second = await client.limit("ETHUSDT", "BUY", "0.1", "2380", newClientOrderId="second")
    await client.limit("SOLUSDT", "BUY", "1", "149")
    amended = await client.put(
        "/fapi/v1/order", symbol="ETHUSDT", side="BUY", orderId=first["orderId"], quantity="0.2", price="2385"
    )
    assert (amended["origQty"], amended["price"]) == ("0.200", "2385.00")
    assert len(await client.get("/fapi/v1/openOrders")) == 3
    cancelled = await client.delete("/fapi/v1/order", symbol="ETHUSDT", origClientOrderId="second")
    assert (cancelled["orderId"], cancelled["status"]) == (second["orderId"], "CANCELED")
    many = await client.delete(
        "/fapi/v1/batchOrders", symbol="ETHUSDT", orderIdList=f"[{first['orderId']},7]"
    )
    assert [row.get("status", row.get("code")) for row in many] == ["CANCELED", -2011]
    assert (await client.delete("/fapi/v1/allOpenOrders", symbol="SOLUSDT"))["code"] == 200
    assert await client.get("/fapi/v1/openOrders") == []


async def test_a_batch_answers_each_order_in_turn(client: Bare) -> None:
    orders = (
        '[{"symbol":"ETHUSDT","side":"SELL","type":"MARKET","quantity":"0.5","reduceOnly":"true","newOrderRespType":"RESULT"},'
        '{"symbol":"ETHUSDT","side":"SELL","type":"MARKET","quantity":"0.5","reduceOnly":true},7]'
    )
    answers = await client.post("/fapi/v1/batchOrders", batchOrders=orders)
    assert [answer.get("status", answer.get("code")) for answer in answers] == ["FILLED", -2022, -1130]


async def test_order_test_refuses_like_an_order_and_leaves_nothing(
    client: Bare, exchange: PaperExchange
) -> None:
    order: dict[str, Any] = {"symbol": "ETHUSDT", "side": "SELL", "type": "MARKET", "reduceOnly": "true"}
    assert await client.post("/fapi/v1/order/test", quantity="0.5", **order) == {}
    assert (await client.post("/fapi/v1/order/test", quantity="0.0001", **order))["code"] == -1111
    assert exchange.desk.ledger.orders == {}


async def test_account_settings_change_once(client: Bare) -> None:
    assert await client.post("/fapi/v1/leverage", symbol="ETHUSDT", leverage=21) == {
        "leverage": 21,
        "maxNotionalValue": "1000000",
        "symbol": "ETHUSDT",
    }
    assert (await client.post("/fapi/v1/leverage", symbol="ETHUSDT", leverage=500))["code"] == -4028
    assert (await client.post("/fapi/v1/marginType", symbol="SOLUSDT", marginType="CROSSED"))["code"] == -4046
    assert (await client.post("/fapi/v1/marginType", symbol="SOLUSDT", marginType="ISOLATED"))["code"] == 200
    (config,) = await client.get("/fapi/v1/symbolConfig", symbol="SOLUSDT")
    assert (config["marginType"], config["leverage"], config["isAutoAddMargin"]) == ("ISOLATED", 20, False)
    assert (await client.post("/fapi/v1/positionSide/dual", dualSidePosition="false"))["code"] == -4059
    assert (await client.post("/fapi/v1/positionSide/dual", dualSidePosition="true"))["code"] == -4068


async def test_hedge_mode_keeps_the_sides_apart(client: Bare) -> None:
    await client.market("ETHUSDT", "SELL", "0.5", reduceOnly="true")
    await client.market("BTCUSDT", "BUY", "0.01", reduceOnly="true")
    assert (await client.post("/fapi/v1/positionSide/dual", dualSidePosition="true"))["code"] == 200
    await client.market("ETHUSDT", "BUY", "0.3", positionSide="LONG")
    await client.market("ETHUSDT", "SELL", "0.2", positionSide="SHORT")
    rows = await client.get("/fapi/v3/positionRisk", symbol="ETHUSDT")
    assert [(row["positionSide"], row["positionAmt"]) for row in rows] == [
        ("LONG", "0.300"),
        ("SHORT", "-0.200"),
    ]
    assert (await client.market("ETHUSDT", "SELL", "0.3", positionSide="LONG"))["reduceOnly"] is True
    assert (await client.market("ETHUSDT", "BUY", "0.2", positionSide="SHORT"))["status"] == "FILLED"
    assert await client.get("/fapi/v3/positionRisk") == []


async def test_every_symbol_has_one_row_in_one_way_mode_and_two_in_hedge_mode(client: Bare) -> None:
    async def rows() -> list[tuple[str, str]]:
        found = await client.get("/fapi/v2/positionRisk", symbol="ETHUSDT")
        return [(row["positionSide"], row["positionAmt"]) for row in found]

    assert await rows() == [("BOTH", "0.500")]
    assert (await client.market("ETHUSDT", "SELL", "0.5", positionSide="LONG"))["code"] == -4061
    await client.market("ETHUSDT", "SELL", "0.5", reduceOnly="true")
    await client.market("BTCUSDT", "BUY", "0.01", reduceOnly="true")
    assert await rows() == [("BOTH", "0.000")]
    await client.post("/fapi/v1/positionSide/dual", dualSidePosition="true")
    assert await rows() == [("LONG", "0.000"), ("SHORT", "0.000")]
    assert (await client.market("ETHUSDT", "SELL", "0.1", positionSide="LONG"))["code"] == -2022
    await client.market("ETHUSDT", "BUY", "0.3", positionSide="LONG")
    assert (await client.market("ETHUSDT", "SELL", "0.301", positionSide="LONG"))["code"] == -2022
    refused = await client.market("ETHUSDT", "SELL", "0.3", positionSide="LONG", reduceOnly="true")
    assert (refused["code"], "reduceonly" in refused["msg"]) == (-1106, True)
    assert (await client.market("ETHUSDT", "SELL", "0.3"))["code"] == -4061
    assert (await client.market("ETHUSDT", "SELL", "0.3", positionSide="LONG"))["executedQty"] == "0.300"


GET_ALL = [
    "/fapi/v1/openOrders",
    "/fapi/v2/positionRisk",
    "/fapi/v3/positionRisk",
    "/fapi/v2/account",
    "/fapi/v3/account",
    "/fapi/v2/balance",
    "/fapi/v3/balance",
    "/fapi/v1/accountConfig",
    "/fapi/v1/symbolConfig",
    "/fapi/v1/positionSide/dual",
    "/fapi/v1/multiAssetsMargin",
    "/fapi/v1/leverageBracket",
    "/fapi/v1/rateLimit/order",
    "/fapi/v1/income",
    "/fapi/v1/adlQuantile",
    "/fapi/v1/feeBurn",
    "/fapi/v1/openAlgoOrders",
    "/fapi/v1/allAlgoOrders",
    "/fapi/v1/ping",
    "/fapi/v1/time",
    "/fapi/v1/exchangeInfo",
    "/fapi/v1/premiumIndex",
    "/fapi/v1/fundingRate",
    "/fapi/v1/ticker/24hr",
    "/fapi/v1/ticker/price",
    "/fapi/v2/ticker/price",
    "/fapi/v1/ticker/bookTicker",
    "/api/v3/ping",
    "/api/v3/time",
    "/api/v3/exchangeInfo",
    "/dapi/v1/exchangeInfo",
    "/sapi/v1/capital/config/getall",
    "/sapi/v1/margin/allPairs",
    "/sapi/v1/margin/isolated/allPairs",
]
GET_SYMBOL = [
    "/fapi/v1/depth",
    "/fapi/v1/trades",
    "/fapi/v1/aggTrades",
    "/fapi/v1/premiumIndex",
    "/fapi/v1/fundingRate",
    "/fapi/v1/ticker/24hr",
    "/fapi/v1/ticker/price",
    "/fapi/v1/ticker/bookTicker",
    "/fapi/v1/commissionRate",
    "/fapi/v1/leverageBracket",
    "/fapi/v1/income",
    "/fapi/v1/allOrders",
    "/fapi/v1/userTrades",
]


async def test_every_read_answers_with_strings_for_decimals(client: Bare) -> None:
    await client.market("ETHUSDT", "SELL", "0.1")

    def floats(value: Any) -> list[float]:
        if isinstance(value, dict):
            return [number for name, one in value.items() if name != "brackets" for number in floats(one)]
        if isinstance(value, list):
            return [number for one in value for number in floats(one)]
        return [value] if isinstance(value, float) and value != 1.0 else []

    paths = [f"{path}?{client.signed({})}" for path in GET_ALL]
    paths += [f"{path}?{client.signed({'symbol': 'ETHUSDT'})}" for path in GET_SYMBOL]
    for path in paths:
        status, answer = await client.raw("GET", path)
        assert status == 200, path
        assert floats(answer) == [], path


async def test_two_orders_at_once_never_close_more_than_there_is(client: Bare) -> None:
    closes = [client.market("ETHUSDT", "SELL", "0.3", reduceOnly="true") for _ in range(20)]
    answers = await asyncio.gather(*closes)
    assert sorted(answer.get("executedQty", "") for answer in answers)[-2:] == ["0.200", "0.300"]
    assert await client.position("ETHUSDT") == "0"


async def test_exchange_info_lists_contracts_with_all_their_filters(client: Bare) -> None:
    _, info = await client.raw("GET", "/fapi/v1/exchangeInfo", key=None)
    eth = next(one for one in info["symbols"] if one["symbol"] == "ETHUSDT")
    filters = {one["filterType"]: one for one in eth["filters"]}
    assert set(filters) == {
        "PRICE_FILTER",
        "LOT_SIZE",
        "MARKET_LOT_SIZE",
        "MAX_NUM_ORDERS",
        "MIN_NOTIONAL",
        "PERCENT_PRICE",
    }
    assert Decimal(filters["MARKET_LOT_SIZE"]["maxQty"]) < Decimal(filters["LOT_SIZE"]["maxQty"])
    assert filters["MAX_NUM_ORDERS"]["limit"] == 200


async def test_the_control_side_needs_the_key_seeds_positions_and_shows_the_judges_view(client: Bare) -> None:
    assert (await client.raw("GET", "/paper/v1/records", key=None))[0] == 401
    status, made = await client.control(
        "POST", "positions", {"symbol": "SOLUSDT", "amount": "-3", "entry_price": "150.5"}
    )
    assert (status, made["positionAmt"]) == (200, "-3.00")
    wrongs: list[Any] = [
        {"symbol": "SOLUSDT", "amount": "1", "entry_price": "150"},
        {"symbol": "NOUSDT", "amount": "1", "entry_price": "150"},
        {"symbol": "DOGEUSDT", "amount": "1.5", "entry_price": "0.16"},
        {"symbol": "DOGEUSDT", "amount": "NaN", "entry_price": "0.16"},
        {"symbol": "DOGEUSDT", "amount": "1E+999", "entry_price": "0.16"},
        {"symbol": "DOGEUSDT", "amount": "1", "entry_price": "-1"},
        {"symbol": "DOGEUSDT"},
        [],
    ]
    for wrong in wrongs:
        status, answer = await client.control("POST", "positions", wrong)
        assert (status, answer["code"]) == (400, -1130)
    await client.market("SOLUSDT", "BUY", "3", reduceOnly="true", newClientOrderId="judge")
    await client.market("SOLUSDT", "BUY", "3", reduceOnly="true")
    _, records = await client.control("GET", "records")
    assert [order["clientOrderId"] for order in records["orders"]] == ["judge"]
    assert [trade["qty"] for trade in records["trades"]] == ["3.00"]
    assert [(one["status"], one["code"]) for one in records["requests"]] == [(200, 0), (400, -2022)]
    assert "signature" not in records["requests"][0]["params"]


async def test_a_price_set_by_the_controls_fills_what_rests(client: Bare) -> None:
    order = await client.limit("ETHUSDT", "SELL", "0.5", "2500", reduceOnly="true")
    assert (await client.control("POST", "prices", {"symbol": "ETHUSDT", "price": "2501"}))[0] == 200
    found = await client.get("/fapi/v1/order", symbol="ETHUSDT", orderId=order["orderId"])
    assert (found["status"], found["avgPrice"]) == ("FILLED", "2500.00000")


async def test_trades_of_an_order_are_found_under_its_own_symbol_only(client: Bare) -> None:
    mine, _ = [(await client.market("ETHUSDT", "SELL", "0.1"))["orderId"] for _ in range(2)]
    path = "/fapi/v1/userTrades"
    assert [trade["orderId"] for trade in await client.get(path, symbol="ETHUSDT", orderId=mine)] == [mine]
    assert await client.get(path, symbol="BTCUSDT", orderId=mine) == []
    assert await client.get(path, symbol="ETHUSDT", orderId=1) == []
