"""Drives unmodified ccxt (sync and pro) against a paper exchange; prints one JSON line with what it saw.

Addresses and keys by environment: PAPER_REST, PAPER_STREAM, PAPER_KEY, PAPER_SECRET.
"""

import asyncio
import json
import os
import re
from typing import Any

import ccxt  # type: ignore[import-not-found]
import ccxt.pro  # type: ignore[import-not-found]

REST = os.environ["PAPER_REST"]
STREAM = os.environ["PAPER_STREAM"]
KEYS = {"apiKey": os.environ["PAPER_KEY"], "secret": os.environ["PAPER_SECRET"]}
SYMBOL = "SOL/USDT:USDT"


def pointed(exchange: Any) -> Any:
    """The client with nothing changed but its addresses (and the error map that it picks by address)."""

    def point(urls: dict[str, Any]) -> None:
        for name, value in urls.items():
            if isinstance(value, dict):
                point(value)
            elif isinstance(value, str):
                urls[name] = re.sub(r"^wss://[^/]+", STREAM, re.sub(r"^https://[^/]+", REST, value))

    point(exchange.urls["api"])
    for kind in ("exact", "broad"):
        linear = exchange.exceptions.get("linear", {}).get(kind, {})
        exchange.exceptions.setdefault(kind, {}).update(linear)
    return exchange


def error_of(action: Any, *args: Any) -> str:
    try:
        action(*args)
    except ccxt.BaseError as error:
        code = re.search(r'"code":(-?\d+)', str(error))
        return f"{type(error).__name__} {code.group(1) if code else ''}".strip()
    return "none"


def rest_round(exchange: Any) -> dict[str, Any]:
    seen: dict[str, Any] = {"markets": len(exchange.load_markets())}
    before = exchange.fetch_balance()["USDT"]["total"]
    exchange.set_leverage(10, SYMBOL)
    opened = exchange.create_order(SYMBOL, "market", "buy", 2, None, {"newClientOrderId": "ccxt-open-1"})
    seen["open"] = [opened["status"], opened["filled"], opened["clientOrderId"]]
    position = exchange.fetch_positions([SYMBOL])[0]
    seen["position"] = [position["side"], position["contracts"]]
    resting = exchange.create_order(SYMBOL, "limit", "sell", 1, 155, {"reduceOnly": True})
    seen["resting"] = [resting["status"], len(exchange.fetch_open_orders(SYMBOL))]
    seen["cancelled"] = exchange.cancel_order(resting["id"], SYMBOL)["status"]
    closed = exchange.create_order(
        SYMBOL, "market", "sell", 2, None, {"reduceOnly": True, "newClientOrderId": "ccxt-close-1"}
    )
    seen["close"] = [closed["status"], closed["filled"], closed["reduceOnly"]]
    found = exchange.fetch_order(None, SYMBOL, {"origClientOrderId": "ccxt-close-1"})
    seen["found"] = [found["id"] == closed["id"], found["status"], found["average"] > 0]
    seen["orders"] = len(exchange.fetch_orders(SYMBOL))
    trades = exchange.fetch_my_trades(SYMBOL)
    seen["trades"] = [[trade["side"], trade["amount"], trade["order"] == found["id"]] for trade in trades]
    seen["flat"] = exchange.fetch_positions([SYMBOL]) == []
    seen["paid"] = exchange.fetch_balance()["USDT"]["total"] < before
    seen["hedged"] = exchange.fetch_position_mode()["hedged"]
    seen["errors"] = {
        "flat": error_of(exchange.create_order, SYMBOL, "market", "sell", 1, None, {"reduceOnly": True}),
        "margin": error_of(exchange.create_order, "BTC/USDT:USDT", "market", "buy", 100),
        "unknown": error_of(exchange.fetch_order, "1", SYMBOL),
        "cancel": error_of(exchange.cancel_order, "1", SYMBOL),
        "notional": error_of(exchange.create_order, SYMBOL, "market", "buy", 0.01),
    }
    seen["ticker"] = exchange.fetch_ticker(SYMBOL)["last"] > 0
    seen["book"] = len(exchange.fetch_order_book(SYMBOL, 5)["bids"])
    seen["candles"] = len(exchange.fetch_ohlcv(SYMBOL, "1m", limit=3))
    return seen


async def stream_round(exchange: Any) -> dict[str, Any]:
    """An order over the WebSocket API, heard on the user stream."""
    await exchange.load_markets()
    try:
        watching = asyncio.create_task(exchange.watch_orders(SYMBOL))
        while not any(client.lastPong or client.isConnected for client in exchange.clients.values()):
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.2)
        placed = await exchange.create_order_ws(
            SYMBOL, "market", "buy", 1, None, {"clientOrderId": "ccxt-ws-1"}
        )
        heard = (await asyncio.wait_for(watching, 10))[-1]
        closed = await exchange.create_order_ws(SYMBOL, "market", "sell", 1, None, {"reduceOnly": True})
        return {
            "placed": placed["status"],
            "heard": heard["clientOrderId"],
            "same": heard["id"] == placed["id"],
            "closed": closed["reduceOnly"],
        }
    finally:
        await exchange.close()


def main() -> None:
    options = {"fetchCurrencies": True, "fetchMargins": True}
    config = {**KEYS, "options": options, "enableRateLimit": False}
    seen = rest_round(pointed(ccxt.binanceusdm(config)))
    seen["stream"] = asyncio.run(stream_round(pointed(ccxt.pro.binanceusdm(config))))
    print(json.dumps({"client": f"ccxt {ccxt.__version__}", **seen}))


if __name__ == "__main__":
    main()
