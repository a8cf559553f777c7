"""What the controls do at once: liquidations, listen keys, the clock and the switches."""

import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from sureclose.paper import PaperExchange, PaperSettings

from .bare import Bare, bare

RO = {"reduceOnly": "true"}


async def act(client: Bare, name: str, **body: Any) -> Any:
    status, answer = await client.control("POST", name, body)
    assert status == 200, answer
    return answer


async def listen(client: Bare, exchange: PaperExchange) -> tuple[str, aiohttp.ClientWebSocketResponse]:
    key = (await client.raw("POST", "/fapi/v1/listenKey"))[1]["listenKey"]
    return key, await client.session.ws_connect(f"{exchange.stream}/private/ws/{key}")


async def test_a_liquidation_closes_the_position_by_an_order_of_the_venue(
    client: Bare, exchange: PaperExchange
) -> None:
    _, socket = await listen(client, exchange)
    resting = await client.limit("ETHUSDT", "SELL", "0.2", "2500", **RO)
    answer = await act(client, "liquidate", symbol="ETHUSDT")
    assert answer["positionAmt"] == "0.000"
    events = [await socket.receive_json(timeout=5) for _ in range(5)]
    assert [(event["e"], event.get("o", {}).get("x")) for event in events] == [
        ("ORDER_TRADE_UPDATE", "NEW"),
        ("ORDER_TRADE_UPDATE", "EXPIRED"),
        ("ORDER_TRADE_UPDATE", "NEW"),
        ("ORDER_TRADE_UPDATE", "CALCULATED"),
        ("ACCOUNT_UPDATE", None),
    ]
    assert (events[1]["o"]["i"], events[1]["o"]["er"]) == (resting["orderId"], "5")
    assert events[3]["o"]["c"].startswith("autoclose-")
    assert (events[3]["o"]["X"], events[3]["o"]["l"]) == ("FILLED", "0.500")
    assert events[4]["a"]["P"][0]["pa"] == "0"
    listed = await client.get("/fapi/v1/allOrders", symbol="ETHUSDT")
    assert listed[-1]["clientOrderId"] == answer["clientOrderId"]
    assert (listed[-1]["type"], listed[-1]["timeInForce"], listed[-1]["reduceOnly"]) == (
        "LIMIT",
        "IOC",
        False,
    )
    (trade,) = await client.get("/fapi/v1/userTrades", symbol="ETHUSDT")
    assert trade["orderId"] == answer["orderId"]


async def test_auto_deleveraging_trades_a_part_and_leaves_what_rests(
    client: Bare, exchange: PaperExchange
) -> None:
    resting = await client.limit("ETHUSDT", "SELL", "0.2", "2500", **RO)
    _, socket = await listen(client, exchange)
    answer = await act(client, "liquidate", symbol="ETHUSDT", adl=True, fraction="0.4")
    assert answer["positionAmt"] == "0.300"
    assert answer["clientOrderId"].startswith("adl_autoclose")
    kinds = [(await socket.receive_json(timeout=5))["e"] for _ in range(4)]
    assert kinds == ["ORDER_TRADE_UPDATE", "TRADE_LITE", "ORDER_TRADE_UPDATE", "ACCOUNT_UPDATE"]
    found = await client.get("/fapi/v1/order", symbol="ETHUSDT", orderId=resting["orderId"])
    assert found["status"] == "NEW"


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("liquidate", {"symbol": "SOLUSDT"}),
        ("liquidate", {"symbol": "ETHUSDT", "fraction": "0"}),
        ("liquidate", {"symbol": "ETHUSDT", "fraction": "1.1"}),
        ("liquidate", {"symbol": "ETHUSDT", "fraction": "0.0001"}),
        ("liquidate", {"symbol": "ETHUSDT", "position_side": "LONG"}),
        ("liquidate", {}),
        ("clock", {"offset_ms": "1"}),
        ("clock", {"offset_ms": 86_400_001}),
        ("clock", {}),
        ("settings", {"limits": "some"}),
        ("settings", {"strict_streams": 1}),
        ("settings", {"port": 1}),
    ],
)
async def test_an_action_that_can_not_be_done_says_why_and_does_nothing(
    client: Bare, exchange: PaperExchange, name: str, body: dict[str, Any]
) -> None:
    status, answer = await client.control("POST", name, body)
    assert (status, answer["code"]) == (400, -1130)
    assert len(answer["msg"]) > 20
    assert exchange.desk.ledger.orders == {}
    assert exchange.desk.settings == exchange.settings


async def test_in_hedge_mode_the_side_is_named(client: Bare) -> None:
    await client.market("ETHUSDT", "SELL", "0.5", **RO)
    await client.market("BTCUSDT", "BUY", "0.01", **RO)
    await client.post("/fapi/v1/positionSide/dual", dualSidePosition="true")
    await client.market("ETHUSDT", "BUY", "0.3", positionSide="LONG")
    await client.market("ETHUSDT", "SELL", "0.2", positionSide="SHORT")
    assert (await client.control("POST", "liquidate", {"symbol": "ETHUSDT"}))[0] == 400
    await act(client, "liquidate", symbol="ETHUSDT", position_side="SHORT")
    rows = await client.get("/fapi/v2/positionRisk", symbol="ETHUSDT")
    assert [(row["positionSide"], row["positionAmt"]) for row in rows] == [
        ("LONG", "0.300"),
        ("SHORT", "0.000"),
    ]
    await act(client, "liquidate", symbol="ETHUSDT")
    assert await client.get("/fapi/v3/positionRisk", symbol="ETHUSDT") == []


async def test_deleted_listen_keys_close_their_streams_without_a_word(
    client: Bare, exchange: PaperExchange
) -> None:
    key, socket = await listen(client, exchange)
    await act(client, "listen-key/delete")
    assert (await socket.receive(timeout=5)).type is aiohttp.WSMsgType.CLOSE
    status, answer = await client.raw("PUT", f"/fapi/v1/listenKey?listenKey={key}")
    assert (status, answer["code"]) == (400, -1125)
    assert (await client.raw("POST", "/fapi/v1/listenKey"))[1]["listenKey"] != key


async def test_listen_keys_that_run_out_are_told_and_their_sockets_stay_open(
    client: Bare, exchange: PaperExchange
) -> None:
    key, socket = await listen(client, exchange)
    await act(client, "listen-key/expire")
    assert (await client.raw("PUT", "/fapi/v1/listenKey"))[1]["code"] == -1125
    told = await socket.receive_json(timeout=5)
    assert (told["e"], told["listenKey"]) == ("listenKeyExpired", key)
    await client.market("ETHUSDT", "SELL", "0.1", **RO)
    await socket.send_json({"method": "LIST_SUBSCRIPTIONS", "id": 1})
    assert await socket.receive_json(timeout=5) == {"result": [], "id": 1}


@pytest.mark.parametrize("offset", [-3_600_000, -900, 900, 3_600_000])
async def test_the_clock_is_set_off_in_time_stamps_and_windows(client: Bare, offset: int) -> None:
    first = await client.market("ETHUSDT", "SELL", "0.1", **RO)
    set_to = await act(client, "clock", offset_ms=offset)
    here = time.time_ns() // 1_000_000
    assert abs(set_to["serverTime"] - offset - here) < 500
    served = (await client.raw("GET", "/fapi/v1/time"))[1]["serverTime"]
    assert abs(served - offset - here) < 500
    assert (await client.get("/fapi/v3/balance", timestamp=served - 6_000))["code"] == -1021
    assert (await client.get("/fapi/v3/balance", timestamp=served + 5_000))["code"] == -1021

    second = await client.market("ETHUSDT", "SELL", "0.1", timestamp=served, **RO)
    assert second["orderId"] == first["orderId"] + 1
    assert abs(second["updateTime"] - served) < 500
    listed = await client.get("/fapi/v1/allOrders", symbol="ETHUSDT", timestamp=served)
    assert [order["orderId"] for order in listed] == [first["orderId"], second["orderId"]]
    trades = await client.get("/fapi/v1/userTrades", symbol="ETHUSDT", timestamp=served)
    assert [trade["orderId"] for trade in trades] == [first["orderId"], second["orderId"]]
    (row,) = await client.get("/fapi/v3/positionRisk", symbol="ETHUSDT", timestamp=served)
    assert (row["positionAmt"], row["updateTime"]) == ("0.300", second["updateTime"])

    await act(client, "clock", offset_ms=0)
    third = await client.market("ETHUSDT", "SELL", "0.1", **RO)
    since = first["updateTime"] - 1
    listed = await client.get("/fapi/v1/allOrders", symbol="ETHUSDT", startTime=since, endTime=since + 3_000)
    shown = {order["orderId"] for order in listed}
    assert {first["orderId"], third["orderId"]} <= shown, "whatever was stamped in between"


async def test_switches_are_set_while_it_runs_and_all_are_shown(
    client: Bare, exchange: PaperExchange
) -> None:
    assert await act(client, "settings") == {
        "limits": "off",
        "oversize_market": "clamp",
        "resting_reduce_only": "knock_out",
        "order_response_includes_avg_price": False,
        "strict_streams": False,
        "strict_signatures": False,
    }
    shown = await act(client, "settings", oversize_market="expire", order_response_includes_avg_price=True)
    assert (shown["oversize_market"], shown["strict_streams"]) == ("expire", False)
    answer = await client.market("ETHUSDT", "SELL", "0.7", **RO)
    assert (answer["status"], answer["origQty"], answer["avgPrice"]) == ("EXPIRED", "0.700", "2399.99000")
    await client.market("ETHUSDT", "BUY", "0.5")
    await client.limit("ETHUSDT", "SELL", "0.5", "2500", **RO)
    await act(client, "settings", resting_reduce_only="refuse")
    assert (await client.market("ETHUSDT", "SELL", "0.5", **RO))["code"] == -4118

    key, private = await listen(client, exchange)
    legacy = await client.session.ws_connect(f"{exchange.stream}/ws/{key}")
    await act(client, "settings", strict_streams=True)
    await client.market("BTCUSDT", "BUY", "0.001", **RO)
    assert (await private.receive_json(timeout=5))["e"] == "ORDER_TRADE_UPDATE"
    await legacy.send_json({"method": "LIST_SUBSCRIPTIONS", "id": 1})
    assert await legacy.receive_json(timeout=5) == {"result": [key], "id": 1}

    decoded = f"timestamp={time.time_ns() // 1_000_000}&symbol=ETHUSDT&origClientOrderId=a:b"
    path = f"/fapi/v1/order?{decoded.replace(':', '%3A')}&signature={client.sign(decoded)}"
    assert (await client.raw("GET", path))[1]["code"] == -2013
    await act(client, "settings", strict_signatures=True)
    assert (await client.raw("GET", path))[1]["code"] == -1022

    await act(client, "settings", limits="real")
    exchange.gate._house.limits.spend("127.0.0.1", exchange.desk.clock(), weight=2_000)
    assert (await client.raw("GET", "/fapi/v1/exchangeInfo"))[0] in {200, 429}
    statuses = [(await client.get("/fapi/v1/positionSide/dual")).get("code", 0) for _ in range(20)]
    assert statuses[-1] == -1003
    await act(client, "settings", limits="off")
    assert "dualSidePosition" in await client.get("/fapi/v1/positionSide/dual")


async def test_a_liquidation_survives_a_restart(tmp_path: Path) -> None:
    settings = PaperSettings(data=tmp_path / "paper.jsonl", price_step_ppm=0)
    async with PaperExchange(settings) as exchange, aiohttp.ClientSession() as session:
        client = bare(session, exchange)
        await client.market("ETHUSDT", "BUY", "0.5")
        await act(client, "liquidate", symbol="ETHUSDT")
        orders = exchange.desk.ledger.orders
    async with PaperExchange(settings) as again:
        assert again.desk.ledger.orders == orders
        assert again.desk.ledger.position("ETHUSDT", "BOTH").amount == 0
