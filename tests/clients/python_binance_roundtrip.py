"""Drives unmodified python-binance against a paper exchange; prints one JSON line with what it saw.

Addresses and keys by environment: PAPER_REST, PAPER_STREAM, PAPER_WS_API, PAPER_KEY, PAPER_SECRET.
"""

import asyncio
import json
import os
from typing import Any

import binance  # type: ignore[import-not-found]
from binance import AsyncClient, BinanceSocketManager, Client
from binance.exceptions import BinanceAPIException  # type: ignore[import-not-found]

REST = os.environ["PAPER_REST"]
STREAM = os.environ["PAPER_STREAM"]
KEY, SECRET = os.environ["PAPER_KEY"], os.environ["PAPER_SECRET"]
SYMBOL = "ETHUSDT"


def point() -> None:
    for client in (AsyncClient, Client):
        client.API_URL = f"{REST}/api"
        client.FUTURES_URL = f"{REST}/fapi"
        client.FUTURES_DATA_URL = f"{REST}/futures/data"
        client.MARGIN_API_URL = f"{REST}/sapi"
        client.WS_FUTURES_URL = os.environ["PAPER_WS_API"]


async def error_of(call: Any) -> int:
    try:
        await call
    except BinanceAPIException as error:
        return int(error.code)
    return 0


async def round_trip(client: AsyncClient) -> dict[str, Any]:
    order = client.futures_create_order
    seen: dict[str, Any] = {"symbols": len((await client.futures_exchange_info())["symbols"])}
    manager = BinanceSocketManager(client)
    manager.FSTREAM_URL = f"{STREAM}/"
    # entered and never left: leaving it waits ten seconds for a message
    stream = await manager.futures_user_socket().__aenter__()
    opened = await order(
        symbol=SYMBOL,
        side="BUY",
        type="MARKET",
        quantity="0.5",
        newOrderRespType="RESULT",
        newClientOrderId="pb:a/b.1_2-3",
    )
    seen["open"] = [opened["status"], opened["executedQty"], opened["clientOrderId"]]
    heard = []
    while "ORDER_TRADE_UPDATE FILLED" not in heard or "ACCOUNT_UPDATE" not in heard:
        event = await asyncio.wait_for(stream.recv(), 10)
        status = event["o"]["X"] if event["e"] == "ORDER_TRADE_UPDATE" else ""
        heard.append(f"{event['e']} {status}".strip())
    seen["heard"] = heard
    position = (await client.futures_position_information(symbol=SYMBOL))[0]
    seen["position"] = position["positionAmt"]
    seen["wallet"] = (await client.futures_account())["assets"][0]["asset"]
    seen["balance"] = (await client.futures_account_balance())[0]["asset"]
    resting = await order(
        symbol=SYMBOL,
        side="SELL",
        type="LIMIT",
        timeInForce="GTC",
        price="2450.00",
        quantity="0.2",
        reduceOnly="true",
    )
    seen["open_orders"] = len(await client.futures_get_open_orders(symbol=SYMBOL))
    cancelled = await client.futures_cancel_order(symbol=SYMBOL, orderId=resting["orderId"])
    seen["cancelled"] = cancelled["status"]
    closed = await client.ws_futures_create_order(
        symbol=SYMBOL,
        side="SELL",
        type="MARKET",
        quantity="0.5",
        reduceOnly="true",
        newOrderRespType="RESULT",
        newClientOrderId="pb-close",
    )
    seen["close"] = [closed["status"], closed["reduceOnly"]]
    found = await client.futures_get_order(symbol=SYMBOL, origClientOrderId="pb-close")
    seen["found"] = [found["orderId"] == closed["orderId"], found["status"]]
    odd = await client.futures_get_order(symbol=SYMBOL, origClientOrderId="pb:a/b.1_2-3")
    seen["odd_id"] = odd["orderId"] == opened["orderId"]
    seen["trades"] = [trade["side"] for trade in await client.futures_account_trades(symbol=SYMBOL)]
    seen["flat"] = await client.futures_position_information(symbol=SYMBOL) == []
    seen["errors"] = {
        "flat": await error_of(
            order(symbol=SYMBOL, side="SELL", type="MARKET", quantity="0.5", reduceOnly="true")
        ),
        "step": await error_of(order(symbol=SYMBOL, side="SELL", type="MARKET", quantity="0.0001")),
        "symbol": await error_of(order(symbol="NOUSDT", side="SELL", type="MARKET", quantity="1")),
        "margin": await error_of(order(symbol=SYMBOL, side="BUY", type="MARKET", quantity="1999")),
        "unknown": await error_of(client.futures_get_order(symbol=SYMBOL, orderId=1)),
        "cancel": await error_of(client.futures_cancel_order(symbol=SYMBOL, orderId=1)),
    }
    return seen


async def run() -> dict[str, Any]:
    client = await AsyncClient.create(KEY, SECRET)
    try:
        return await round_trip(client)
    finally:
        await client.close_connection()


def main() -> None:
    point()
    seen = asyncio.run(run())
    seen["sync"] = Client(KEY, SECRET).futures_position_information() == []
    print(json.dumps({"client": f"python-binance {binance.__version__}", **seen}))


if __name__ == "__main__":
    main()
