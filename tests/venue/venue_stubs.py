"""A venue made of raw sockets: it answers, cuts, stalls and lies exactly as a test says."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs, urlsplit

from sureclose.domain.words import PositionSide, Side
from sureclose.venue.clock import steady_seconds
from sureclose.venue.environments import VenueSettings
from sureclose.venue.port import ReducingOrder
from sureclose.venue.rest import BinanceRest
from sureclose.venue.secret import Credentials, Secret

KEY = "testkey0123456789abcdef"
SECRET = "testsecret0123456789abcdef"
CREDENTIALS = Credentials(Secret(KEY), Secret(SECRET))


@dataclass
class Request:
    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes

    @property
    def values(self) -> dict[str, str]:
        text = self.query or self.body.decode()
        return {name: values[0] for name, values in parse_qs(text, keep_blank_values=True).items()}


def http(status: int, body: bytes | str | dict[str, Any] | list[Any], **headers: str) -> bytes:
    """The bytes of a whole answer."""
    if isinstance(body, (dict, list)):
        body = json.dumps(body)
    raw = body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(raw)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + raw


Behaviour = Callable[[Request, asyncio.StreamWriter], Awaitable[bool]]
"""Writes what it likes; the connection is kept when it returns true."""


@dataclass
class RawVenue:
    """Serves the time by itself and asks ``behaviour`` for the rest."""

    behaviour: Behaviour
    requests: list[Request] = field(default_factory=list)
    connections: int = 0
    time_offset_ms: int = 0
    port: int = 0
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def seen(self, method: str, path: str = "") -> list[Request]:
        return [
            request for request in self.requests if request.method == method and request.path.endswith(path)
        ]

    def now(self) -> int:
        return time.time_ns() // 1_000_000 + self.time_offset_ms

    def to_the_middle_of_a_minute(self) -> None:
        """Set the venue's clock so that no window of its limits ends while a test runs."""
        self.time_offset_ms += 30_000 - self.now() % 60_000

    def drop_all(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        try:
            while (request := await _request(reader)) is not None:
                self.requests.append(request)
                if request.path == "/fapi/v1/time" and request.method == "GET":
                    writer.write(http(200, {"serverTime": self.now()}))
                    keep = True
                else:
                    keep = await self.behaviour(request, writer)
                if not keep:
                    break
                await writer.drain()
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()


async def _request(reader: asyncio.StreamReader) -> Request | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.rstrip("\r\n").split("\r\n")
    method, target, _version = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    parts = urlsplit(target)
    return Request(method, parts.path, parts.query, headers, body)


@asynccontextmanager
async def raw_venue(behaviour: Behaviour) -> AsyncIterator[RawVenue]:
    venue = RawVenue(behaviour)
    server = await asyncio.start_server(venue.serve, "127.0.0.1", 0)
    venue.port = server.sockets[0].getsockname()[1]
    try:
        yield venue
    finally:
        server.close()
        venue.drop_all()
        with suppress(asyncio.CancelledError):
            await server.wait_closed()


def answering(*answers: bytes) -> Behaviour:
    """Gives these answers in turn, the last one for ever."""
    left = list(answers)

    async def behaviour(_request: Request, writer: asyncio.StreamWriter) -> bool:
        writer.write(left.pop(0) if len(left) > 1 else left[0])
        return True

    return behaviour


def by_path(routes: dict[str, bytes]) -> Behaviour:
    """One answer for each ``METHOD /path``."""

    async def behaviour(request: Request, writer: asyncio.StreamWriter) -> bool:
        writer.write(routes[f"{request.method} {request.path}"])
        return True

    return behaviour


def settings(base_url: str, **changes: Any) -> VenueSettings:
    values: dict[str, Any] = {
        "base_url": base_url,
        "order_timeout_ms": 2000,
        "read_timeout_ms": 2000,
        "clock_samples": 1,
        "position_interval_ms": 0,
    }
    return VenueSettings(**{**values, **changes})


def client(base_url: str, *, steady: Callable[[], float] = steady_seconds, **changes: Any) -> BinanceRest:
    return BinanceRest(settings(base_url, **changes), CREDENTIALS, steady=steady)


def market_order(**changes: Any) -> ReducingOrder:
    values: dict[str, Any] = {
        "symbol": "BTCUSDT",
        "side": Side.SELL,
        "position_side": PositionSide.BOTH,
        "quantity": Decimal("0.010"),
        "client_order_id": "sc-0123456789abcdef",
        "timestamp": time.time_ns() // 1_000_000,
        "recv_window": 2000,
    }
    return ReducingOrder(**{**values, **changes})


def order_row(**changes: Any) -> dict[str, Any]:
    """An order as POST /fapi/v1/order answers it since 2026-07-15: without avgPrice and cumQuote."""
    return {
        "orderId": 22542179,
        "symbol": "BTCUSDT",
        "status": "FILLED",
        "clientOrderId": "sc-0123456789abcdef",
        "price": "0.00",
        "origQty": "0.010",
        "executedQty": "0.010",
        "cumQty": "0.010",
        "timeInForce": "GTC",
        "type": "MARKET",
        "reduceOnly": True,
        "closePosition": False,
        "side": "SELL",
        "positionSide": "BOTH",
        "stopPrice": "0.00",
        "workingType": "CONTRACT_PRICE",
        "priceProtect": False,
        "origType": "MARKET",
        "priceMatch": "NONE",
        "selfTradePreventionMode": "EXPIRE_MAKER",
        "goodTillDate": 0,
        "updateTime": 1795283737916,
        **changes,
    }


def open_order_row(**changes: Any) -> dict[str, Any]:
    """An element of GET /fapi/v1/openOrders: a reducing limit order that waits in the book."""
    waiting = {
        "orderId": 8001,
        "clientOrderId": "web_tp",
        "status": "NEW",
        "type": "LIMIT",
        "origType": "LIMIT",
        "price": "70000.0",
        "avgPrice": "0.00",
        "executedQty": "0.000",
        "cumQuote": "0.00",
        "time": 1795283000000,
    }
    return order_row(**{**waiting, **changes})


def algo_order_row(**changes: Any) -> dict[str, Any]:
    """An element of GET /fapi/v1/openAlgoOrders: a stop that closes whatever is there."""
    return {
        "algoId": 9001,
        "clientAlgoId": "web_sl",
        "algoType": "CONDITIONAL",
        "orderType": "STOP_MARKET",
        "symbol": "BTCUSDT",
        "side": "SELL",
        "positionSide": "BOTH",
        "timeInForce": "GTC",
        "quantity": "",
        "algoStatus": "NEW",
        "triggerPrice": "60000.0",
        "price": "0.00",
        "icebergQuantity": None,
        "selfTradePreventionMode": "EXPIRE_MAKER",
        "workingType": "MARK_PRICE",
        "priceMatch": "NONE",
        "closePosition": True,
        "priceProtect": False,
        "reduceOnly": True,
        "activatePrice": "",
        "callbackRate": "",
        "createTime": 1795283000001,
        "updateTime": 1795283000001,
        "triggerTime": 0,
        "goodTillDate": 0,
        **changes,
    }


def trade_row(trade_id: int, time: int, **changes: Any) -> dict[str, Any]:
    return {
        "buyer": False,
        "commission": "0.26",
        "commissionAsset": "USDT",
        "id": trade_id,
        "maker": False,
        "orderId": 225,
        "price": "65000.10",
        "qty": "0.010",
        "quoteQty": "650.001",
        "realizedPnl": "10.0",
        "side": "SELL",
        "positionSide": "BOTH",
        "symbol": "BTCUSDT",
        "time": time,
        **changes,
    }


def position_row(symbol: str = "BTCUSDT", amount: str = "0", **changes: Any) -> dict[str, Any]:
    return {
        "symbol": symbol,
        "positionSide": "BOTH",
        "positionAmt": amount,
        "entryPrice": "64000.0",
        "breakEvenPrice": "64025.6",
        "markPrice": "65000.00000000",
        "unRealizedProfit": "10.00000000",
        "liquidationPrice": "0",
        "leverage": "10",
        "marginType": "cross",
        "updateTime": 1795283737916,
        **changes,
    }


ORDER_EVENT = json.loads(
    '{"e":"ORDER_TRADE_UPDATE","E":3,"T":2,"o":{"s":"BTCUSDT","c":"clientId","S":"SELL","o":"MARKET","f":"GTC",'
    '"q":"0.010","p":"0","ap":"65000.1","sp":"0","x":"TRADE","X":"FILLED","i":22542179,"l":"0.010","z":"0.010",'
    '"L":"65000.1","N":"USDT","n":"0.26","T":1,"t":698759,"b":"0","a":"0","m":false,"R":true,"wt":"CONTRACT_PRICE",'
    '"ot":"MARKET","ps":"BOTH","cp":false,"rp":"10.0","pP":false,"si":0,"ss":0,"V":"EXPIRE_MAKER","pm":"NONE",'
    '"gtd":0,"er":"0"}}'
)


ACCOUNT_EVENT = json.loads(
    '{"e":"ACCOUNT_UPDATE","E":5,"T":4,"a":{"m":"ORDER","B":[{"a":"USDT","wb":"100","cw":"100","bc":"0"}],'
    '"P":[{"s":"BTCUSDT","pa":"-0.5","ep":"100.00000","bep":"0","cr":"200","up":"0","mt":"cross","iw":"0","ps":"BOTH"}]}}'
)
