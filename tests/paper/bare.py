"""The barest client: signs and sends exactly what it is told, shares nothing with the project's own."""

import hashlib
import hmac
import time
from typing import Any
from urllib.parse import urlencode

import aiohttp
from yarl import URL

from sureclose.paper import PaperExchange


class Bare:
    def __init__(self, session: aiohttp.ClientSession, rest: str, key: str, secret: str) -> None:
        self.session = session
        self.rest = rest
        self.key = key
        self.secret = secret
        self.headers: dict[str, str] = {}

    def sign(self, payload: str) -> str:
        return hmac.new(self.secret.encode(), payload.encode(), hashlib.sha256).hexdigest()

    def signed(self, params: dict[str, Any]) -> str:
        query = urlencode({"timestamp": time.time_ns() // 1_000_000, **params})
        return f"{query}&signature={self.sign(query)}"

    async def raw(
        self, method: str, path: str, body: str | None = None, key: str | None = ""
    ) -> tuple[int, Any]:
        """Send as is; `key` None sends no key at all."""
        headers = {} if key is None else {"X-MBX-APIKEY": key or self.key}
        if body is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        url = URL(self.rest + path, encoded=True)  # else aiohttp quotes anew what was signed
        async with self.session.request(method, url, data=body, headers=headers) as answer:
            self.headers = dict(answer.headers)
            return answer.status, await answer.json()

    async def get(self, path: str, **params: Any) -> Any:
        return (await self.raw("GET", f"{path}?{self.signed(params)}"))[1]

    async def post(self, path: str, **params: Any) -> Any:
        return (await self.raw("POST", path, self.signed(params)))[1]

    async def put(self, path: str, **params: Any) -> Any:
        return (await self.raw("PUT", path, self.signed(params)))[1]

    async def delete(self, path: str, **params: Any) -> Any:
        return (await self.raw("DELETE", f"{path}?{self.signed(params)}"))[1]

    async def market(self, symbol: str, side: str, quantity: str, **more: Any) -> Any:
        """A MARKET order answered with its result."""
        more = {"newOrderRespType": "RESULT", **more}
        return await self.post(
            "/fapi/v1/order", symbol=symbol, side=side, type="MARKET", quantity=quantity, **more
        )

    async def limit(self, symbol: str, side: str, quantity: str, price: str, **more: Any) -> Any:
        more = {"timeInForce": "GTC", **more}
        return await self.post(
            "/fapi/v1/order", symbol=symbol, side=side, type="LIMIT", quantity=quantity, price=price, **more
        )

    async def control(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        headers = {"X-MBX-APIKEY": self.key}
        url = f"{self.rest}/paper/v1/{path}"
        async with self.session.request(method, url, json=body, headers=headers) as answer:
            return answer.status, await answer.json()

    async def position(self, symbol: str) -> str:
        rows = await self.get("/fapi/v3/positionRisk", symbol=symbol)
        return rows[0]["positionAmt"] if rows else "0"


def bare(session: aiohttp.ClientSession, exchange: PaperExchange) -> Bare:
    return Bare(session, exchange.rest, exchange.api_key, exchange.api_secret)
