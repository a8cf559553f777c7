"""The WebSocket API answers like REST, under the id of each request."""

import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from sureclose.paper import PaperExchange

from .bare import Bare


class Socket:
    def __init__(self, socket: aiohttp.ClientWebSocketResponse, exchange: PaperExchange) -> None:
        self.socket = socket
        self.exchange = exchange

    async def ask(
        self, method: str, *, number: Any = 1, sign: Any = True, more: Any = None, **params: Any
    ) -> Any:
        if sign:
            params |= {"apiKey": self.exchange.api_key, "timestamp": time.time_ns() // 1_000_000}
            texts = {name: json.dumps(value).strip('"') for name, value in params.items()}
            payload = "&".join(f"{name}={texts[name]}" for name in sorted(texts))
            secret = self.exchange.api_secret.encode()
            params["signature"] = hmac.new(secret, payload.encode(), hashlib.sha256).hexdigest()
        await self.socket.send_json({"id": number, "method": method, "params": params, **(more or {})})
        return await self.socket.receive_json(timeout=5)


@pytest.fixture
async def ws(client: Bare, exchange: PaperExchange) -> AsyncIterator[Socket]:
    async with client.session.ws_connect(exchange.ws_api) as socket:
        yield Socket(socket, exchange)


CLOSE = {"symbol": "ETHUSDT", "side": "SELL", "type": "MARKET", "newOrderRespType": "RESULT"}


@pytest.mark.parametrize("flag", [True, "true", "True"])
@pytest.mark.parametrize("quantity", ["0.5", 0.5])
async def test_an_order_is_placed_and_found(ws: Socket, flag: bool | str, quantity: str | float) -> None:
    placed = await ws.ask(
        "order.place", number="abc", quantity=quantity, reduceOnly=flag, newClientOrderId="ws-1", **CLOSE
    )
    assert (placed["id"], placed["status"], placed["result"]["status"]) == ("abc", 200, "FILLED")
    assert [limit["count"] for limit in placed["rateLimits"]] == [5, 1, 1]
    found = await ws.ask("order.status", symbol="ETHUSDT", origClientOrderId="ws-1")
    assert found["result"]["orderId"] == placed["result"]["orderId"]
    again = await ws.ask("order.place", quantity="0.5", reduceOnly=True, **CLOSE)
    assert (again["status"], again["error"]["code"]) == (400, -2022)


async def test_account_and_positions_are_read(ws: Socket) -> None:
    assert {row["symbol"] for row in (await ws.ask("v2/account.position"))["result"]} == {
        "BTCUSDT",
        "ETHUSDT",
    }
    assert len((await ws.ask("account.position"))["result"]) == 12
    assert (await ws.ask("v2/account.balance"))["result"][0]["asset"] == "USDT"
    assert (await ws.ask("v2/account.status"))["result"]["positions"][0]["symbol"] == "BTCUSDT"
    assert (await ws.ask("ticker.price", sign=False, symbol="ETHUSDT"))["result"]["price"] == "2400.00"
    assert "serverTime" in (await ws.ask("session.status", sign=False))["result"]


async def test_a_resting_order_is_cancelled(ws: Socket) -> None:
    limit = {"symbol": "ETHUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "price": "2390"}
    placed = await ws.ask("order.place", quantity="0.1", **limit)
    cancelled = await ws.ask("order.cancel", symbol="ETHUSDT", orderId=placed["result"]["orderId"])
    assert cancelled["result"]["status"] == "CANCELED"
    assert (await ws.ask("order.cancel", symbol="ETHUSDT", orderId=1))["error"]["code"] == -2011


async def test_listen_keys_are_started_kept_and_stopped(ws: Socket, exchange: PaperExchange) -> None:
    key = {"sign": False, "apiKey": exchange.api_key}
    started = await ws.ask("userDataStream.start", **key)
    assert (await ws.ask("userDataStream.ping", **key))["result"] == started["result"]
    assert (await ws.ask("userDataStream.stop", **key))["result"] == {}
    assert (await ws.ask("userDataStream.ping", **key))["error"]["code"] == -1125


async def test_requests_that_prove_nothing_are_refused(ws: Socket, exchange: PaperExchange) -> None:
    stamp = time.time_ns() // 1_000_000
    unsigned = await ws.ask(
        "v2/account.balance", sign=False, timestamp=stamp, apiKey=exchange.api_key, signature="00"
    )
    assert (unsigned["status"], unsigned["error"]["code"]) == (400, -1022)
    keyless = await ws.ask("v2/account.balance", sign=False, timestamp=stamp, signature="00")
    assert (keyless["status"], keyless["error"]["code"]) == (401, -2014)
    assert (await ws.ask("order.destroy"))["error"]["code"] == -1020
    assert (await ws.ask("session.logon"))["error"]["code"] == -1020


async def test_rate_limits_are_left_out_on_request(ws: Socket) -> None:
    assert "rateLimits" not in await ws.ask("time", sign=False, more={"returnRateLimits": False})
    assert "rateLimits" in await ws.ask("time", sign=False)


@pytest.mark.parametrize(
    "frame",
    ["", "{", "[]", "null", "7", '{"id":1}', '{"id":1,"method":[],"params":{}}', '{"id":{},"method":"time"}',
     '{"id":true,"method":"time"}', '{"id":1,"method":"time","params":[]}',
     '{"id":1,"method":"order.place","params":{"symbol":{"a":[1]},"apiKey":[],"timestamp":1e400}}'],
)  # fmt: skip
async def test_a_broken_frame_is_answered_and_the_socket_lives(ws: Socket, frame: str) -> None:
    await ws.socket.send_str(frame)
    assert 400 <= (await ws.socket.receive_json(timeout=5))["status"] < 500
    assert (await ws.ask("ping", sign=False))["result"] == {}
