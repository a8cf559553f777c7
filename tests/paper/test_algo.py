"""Conditional orders: accepted, listed, triggered by the mark price, cancelled, and there again after a kill."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from sureclose.paper import PaperExchange, PaperSettings
from sureclose.paper.errors import VenueError
from sureclose.paper.facts import AlgoOrder
from sureclose.paper.params import Params

from .bare import Bare, bare
from .conftest import LONG_ETH
from .pure import Pure
from .test_data_file import Child

STOP = {
    "algoType": "CONDITIONAL",
    "symbol": "ETHUSDT",
    "side": "SELL",
    "type": "STOP_MARKET",
    "quantity": "0.5",
    "triggerPrice": "2300",
    "reduceOnly": "true",
}
PATH = "/fapi/v1/algoOrder"


def place(pure: Pure, **change: str) -> AlgoOrder:
    values = {name: value for name, value in {**STOP, **change}.items() if value != "-"}
    return pure.desk.place_algo(Params(values))


def refusal(pure: Pure, **change: str) -> int:
    try:
        place(pure, **change)
    except VenueError as refused:
        return refused.code
    return 0


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({}, 0),
        ({"algoType": "-"}, -1102),
        ({"algoType": "TWAP"}, -1130),
        ({"symbol": "NOUSDT"}, -1121),
        ({"side": "-"}, -1102),
        ({"type": "MARKET"}, -1116),
        ({"type": "TRAILING_STOP_MARKET"}, -1020),
        ({"triggerPrice": "-"}, -1102),
        ({"triggerPrice": "2300.001"}, -1111),
        ({"triggerPrice": "2400"}, -2021),
        ({"triggerPrice": "2500"}, -2021),
        ({"triggerPrice": "2500", "type": "TAKE_PROFIT_MARKET"}, 0),
        ({"triggerPrice": "2300", "type": "TAKE_PROFIT_MARKET"}, -2021),
        ({"side": "BUY", "triggerPrice": "2500"}, 0),
        ({"side": "BUY", "triggerPrice": "2300"}, -2021),
        ({"side": "BUY", "triggerPrice": "2300", "type": "TAKE_PROFIT", "price": "2310"}, 0),
        ({"quantity": "-"}, -1102),
        ({"quantity": "0.0001"}, -1111),
        ({"price": "2300"}, -1106),
        ({"type": "STOP"}, -1102),
        ({"type": "STOP", "price": "2290"}, 0),
        ({"timeInForce": "DAY"}, -1115),
        ({"workingType": "LAST"}, -1130),
        ({"clientAlgoId": "a b"}, -4015),
        ({"positionSide": "LONG"}, -4061),
        ({"closePosition": "true"}, -4137),
        ({"closePosition": "true", "quantity": "-"}, -1106),
        ({"closePosition": "true", "quantity": "-", "reduceOnly": "-"}, 0),
        ({"closePosition": "true", "quantity": "-", "reduceOnly": "-", "type": "STOP"}, -1130),
    ],
)
def test_a_conditional_order_is_refused_with_binances_code(change: dict[str, str], code: int) -> None:
    assert refusal(Pure(), **change) == code


def test_an_id_is_unique_among_waiting_ones_and_two_hundred_may_wait() -> None:
    pure = Pure()
    first = place(pure, clientAlgoId="mine")
    assert refusal(pure, clientAlgoId="mine") == -4116
    pure.desk.cancel_algos([first])
    assert place(pure, clientAlgoId="mine").algo_id == first.algo_id + 1
    for _ in range(199):
        place(pure)
    assert refusal(pure) == -4045


@pytest.mark.parametrize(
    ("change", "short", "reached"),
    [
        ({}, "2300.01", "2300"),
        ({"type": "TAKE_PROFIT_MARKET", "triggerPrice": "2500"}, "2499.99", "2500"),
        ({"side": "BUY", "triggerPrice": "2500"}, "2499.99", "2510"),
        ({"side": "BUY", "triggerPrice": "2300", "type": "TAKE_PROFIT_MARKET"}, "2300.01", "2200"),
    ],
)
def test_it_is_triggered_when_the_mark_price_reaches_it(
    change: dict[str, str], short: str, reached: str
) -> None:
    pure = Pure()
    pure.seed("0.5" if change.get("side") != "BUY" else "-0.5")
    algo = place(pure, clientAlgoId="stop", **change)
    pure.price(short)
    assert (algo.status, algo.order_id) == ("NEW", 0)
    pure.events.clear()
    pure.price(reached)
    order = pure.desk.ledger.orders[algo.order_id]
    assert (algo.status, algo.trigger_time) == ("FINISHED", pure.now)
    assert (order.type, order.client_id, order.status, order.reduce_only) == (
        "MARKET",
        "stop",
        "FILLED",
        True,
    )
    assert pure.amount == 0
    assert [(event["e"], event["o"]["X"]) for event in pure.events if event["e"] == "ALGO_UPDATE"] == [
        ("ALGO_UPDATE", "TRIGGERING"),
        ("ALGO_UPDATE", "TRIGGERED"),
        ("ALGO_UPDATE", "FINISHED"),
    ]
    told = pure.events[-1]["o"]
    assert (told["caid"], told["aid"], told["ai"], told["act"], told["tt"]) == (
        "stop",
        algo.algo_id,
        str(order.order_id),
        "MARKET",
        pure.now,
    )


def test_a_limit_one_rests_after_its_trigger_and_finishes_with_its_order() -> None:
    pure = Pure()
    pure.seed("0.5")
    algo = place(pure, type="STOP", price="2350")
    pure.price("2300")
    order = pure.desk.ledger.orders[algo.order_id]
    assert (algo.status, order.status, order.price) == ("TRIGGERED", "NEW", Decimal(2350))
    pure.price("2351")
    assert (algo.status, order.status) == ("FINISHED", "FILLED")


def test_close_position_takes_all_there_is_and_expires_when_there_is_nothing() -> None:
    pure = Pure()
    pure.seed("0.7")
    closing = {"closePosition": "true", "quantity": "-", "reduceOnly": "-"}
    algo, late = place(pure, **closing), place(pure, **closing)
    pure.price("2300")
    assert pure.desk.ledger.orders[algo.order_id].executed == Decimal("0.7")
    assert (late.status, late.order_id) == ("EXPIRED", 0)
    assert pure.amount == 0


def test_one_that_may_only_reduce_is_rejected_when_there_is_nothing_to_reduce() -> None:
    pure = Pure()
    algo = place(pure)
    pure.price("2200")
    assert (algo.status, algo.order_id) == ("REJECTED", 0)
    told = pure.events[-1]["o"]
    assert (told["X"], told["rm"]) == ("REJECTED", "ReduceOnly Order is rejected.")


def test_in_hedge_mode_the_sides_say_it() -> None:
    pure = Pure()
    pure.desk.ledger.dual_side = True
    pure.order("BUY", "0.5", positionSide="LONG")
    assert refusal(pure, reduceOnly="-") == -4061
    assert refusal(pure, positionSide="LONG") == -1106
    closing = {"closePosition": "true", "quantity": "-", "reduceOnly": "-"}
    assert refusal(pure, positionSide="SHORT", **closing) == -4061
    algo = place(pure, positionSide="LONG", **closing)
    pure.price("2300")
    assert (algo.status, algo.reduce_only) == ("FINISHED", True)
    assert pure.desk.ledger.position("ETHUSDT", "LONG").amount == 0


async def test_it_is_answered_listed_found_and_cancelled(client: Bare) -> None:
    placed = await client.post(PATH, **STOP, clientAlgoId="mine")
    assert list(placed) == [
        "algoId", "clientAlgoId", "algoType", "orderType", "symbol", "side", "positionSide", "timeInForce",
        "quantity", "algoStatus", "triggerPrice", "price", "icebergQuantity", "selfTradePreventionMode",
        "workingType", "priceMatch", "closePosition", "priceProtect", "reduceOnly", "activatePrice", "callbackRate",
        "createTime", "updateTime", "triggerTime", "goodTillDate",
    ]  # fmt: skip
    assert (placed["algoStatus"], placed["triggerPrice"], placed["quantity"]) == ("NEW", "2300.00", "0.500")
    assert await client.get("/fapi/v1/openOrders", symbol="ETHUSDT") == [], "no order yet"
    for found in (
        await client.get(PATH, algoId=placed["algoId"]),
        *(await client.get("/fapi/v1/openAlgoOrders", symbol="ETHUSDT")),
        *(await client.get("/fapi/v1/allAlgoOrders", symbol="ETHUSDT")),
        *(await client.get("/fapi/v1/openAlgoOrders", algoId=placed["algoId"])),
    ):
        assert {**found, **placed} == found
        assert found["actualOrderId"] == ""
    assert await client.get("/fapi/v1/openAlgoOrders", symbol="BTCUSDT") == []
    cancelled = await client.delete(PATH, clientAlgoId="mine")
    assert cancelled == {"algoId": placed["algoId"], "clientAlgoId": "mine", "code": "200", "msg": "success"}
    assert (await client.delete(PATH, clientAlgoId="mine"))["code"] == -2011
    assert (await client.delete(PATH, algoId=1))["code"] == -2011
    assert (await client.get(PATH, algoId=1))["code"] == -2013
    assert (await client.delete(PATH))["code"] == -1102
    assert (await client.get(PATH, algoId=placed["algoId"]))["algoStatus"] == "CANCELED"


async def test_orders_and_conditional_orders_are_cancelled_apart(client: Bare) -> None:
    await client.post(PATH, **STOP)
    await client.post(
        PATH, **{**STOP, "symbol": "BTCUSDT", "side": "BUY", "triggerPrice": "70000", "quantity": "0.01"}
    )
    await client.limit("ETHUSDT", "SELL", "0.5", "2500", reduceOnly="true")
    assert (await client.delete("/fapi/v1/allOpenOrders", symbol="ETHUSDT"))["code"] == 200
    assert len(await client.get("/fapi/v1/openAlgoOrders")) == 2
    assert (await client.delete("/fapi/v1/algoOpenOrders", symbol="ETHUSDT"))["code"] == 200
    assert [algo["symbol"] for algo in await client.get("/fapi/v1/openAlgoOrders")] == ["BTCUSDT"]
    assert (await client.post("/fapi/v1/positionSide/dual", dualSidePosition="true"))["code"] == -4067
    _, records = await client.control("GET", "records")
    assert [one["algoStatus"] for one in records["algo_orders"]] == ["CANCELED", "NEW"]


async def test_lists_cost_their_weight(client: Bare) -> None:
    weights = {}
    used = 0
    for name, params in {
        "openAlgoOrders": {"symbol": "ETHUSDT"},
        "openAlgoOrders ": {},
        "allAlgoOrders": {"symbol": "ETHUSDT"},
    }.items():
        await client.get(f"/fapi/v1/{name.strip()}", **params)
        weights[name] = int(client.headers["X-MBX-USED-WEIGHT-1M"]) - used
        used += weights[name]
    assert list(weights.values()) == [1, 40, 5]


async def test_the_controls_price_triggers_it_at_once_and_the_stream_tells(
    client: Bare, exchange: PaperExchange
) -> None:
    key = (await client.raw("POST", "/fapi/v1/listenKey"))[1]["listenKey"]
    socket = await client.session.ws_connect(f"{exchange.stream}/private/ws/{key}")
    placed = await client.post(PATH, **STOP)
    await client.control("POST", "prices", {"symbol": "ETHUSDT", "price": "2299"})
    assert await client.position("ETHUSDT") == "0"
    found = await client.get(PATH, algoId=placed["algoId"])
    order = await client.get("/fapi/v1/order", symbol="ETHUSDT", orderId=found["actualOrderId"])
    assert (order["status"], found["algoStatus"], found["actualPrice"]) == (
        "FILLED",
        "FINISHED",
        order["avgPrice"],
    )
    events = [await socket.receive_json(timeout=5) for _ in range(8)]
    assert [event["o"]["X"] if event["e"] == "ALGO_UPDATE" else event["e"] for event in events] == [
        "NEW",
        "TRIGGERING",
        "TRIGGERED",
        "ORDER_TRADE_UPDATE",
        "TRADE_LITE",
        "ORDER_TRADE_UPDATE",
        "ACCOUNT_UPDATE",
        "FINISHED",
    ]


async def test_the_websocket_api_places_and_cancels(client: Bare, exchange: PaperExchange) -> None:
    async with client.session.ws_connect(exchange.ws_api) as socket:

        async def ask(method: str, **params: Any) -> Any:
            values = {"apiKey": client.key, "timestamp": str(exchange.desk.clock()), **params}
            signature = client.sign("&".join(f"{name}={values[name]}" for name in sorted(values)))
            await socket.send_json({"id": 1, "method": method, "params": {**values, "signature": signature}})
            return await socket.receive_json(timeout=5)

        placed = (await ask("algoOrder.place", **STOP))["result"]
        cancelled = await ask("algoOrder.cancel", algoId=str(placed["algoId"]))
        assert cancelled["result"]["msg"] == "success"
        assert (await ask("algoOrder.cancel", algoId="1"))["error"]["code"] == -2011


async def test_everything_about_them_survives_sigkill(tmp_path: Path) -> None:
    data = str(tmp_path / "paper.jsonl")
    child = await Child.start("--data", data, "--position", "ETHUSDT=0.5@2400")
    async with aiohttp.ClientSession() as session:
        client = child.client(session)
        gone = await client.post(PATH, **STOP)
        await client.delete(PATH, algoId=gone["algoId"])
        done = await client.post(PATH, **{**STOP, "quantity": "0.1", "triggerPrice": "2390"})
        await client.control("POST", "prices", {"symbol": "ETHUSDT", "price": "2380"})
        waits = await client.post(PATH, **STOP, clientAlgoId="waits")
        before = (await client.control("GET", "records"))[1]["algo_orders"]
        await child.kill()
        again = await Child.start("--data", data)
        try:
            client = again.client(session)
            assert (await client.control("GET", "records"))[1]["algo_orders"] == before
            assert [one["algoStatus"] for one in before] == ["CANCELED", "FINISHED", "NEW"]
            assert (await client.post(PATH, **STOP, clientAlgoId="waits"))["code"] == -4116
            assert (await client.get(PATH, algoId=done["algoId"]))["algoStatus"] == "FINISHED"
            await client.control("POST", "prices", {"symbol": "ETHUSDT", "price": "2290"})
            assert (await client.get(PATH, algoId=waits["algoId"]))["algoStatus"] == "FINISHED"
            assert await client.position("ETHUSDT") == "0"
        finally:
            await again.kill()


async def test_a_data_file_from_before_conditional_orders_is_read(tmp_path: Path) -> None:
    settings = PaperSettings(data=tmp_path / "paper.jsonl", positions=(LONG_ETH,), price_step_ppm=0)
    async with PaperExchange(settings) as exchange, aiohttp.ClientSession() as session:
        await bare(session, exchange).market("ETHUSDT", "SELL", "0.1", reduceOnly="true")
    assert b"algo" not in (tmp_path / "paper.jsonl").read_bytes()
    async with PaperExchange(settings) as again:
        assert again.desk.ledger.algos == {}
