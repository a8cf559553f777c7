"""The paper exchange's own controls, for ``prove``: a position to close, and an order that is told of late."""

from decimal import Decimal
from types import TracebackType
from typing import Final, Self

import aiohttp

from sureclose.venue.secret import Credentials

_EVENTS: Final = 4
"""What the user data stream tells of a MARKET order that fills at once: TRADE_LITE, new, account, filled."""


class PaperControl:
    """A client of the control API under ``/paper/v1``; nothing on the way of a close uses it."""

    def __init__(self, base_url: str, credentials: Credentials) -> None:
        self._base = base_url.rstrip("/")
        self._session = aiohttp.ClientSession(
            headers={"X-MBX-APIKEY": credentials.api_key.reveal()},
            timeout=aiohttp.ClientTimeout(total=5),
            trust_env=False,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        await self._session.close()

    async def seed(self, symbol: str, amount: Decimal, entry_price: Decimal) -> None:
        """A position by fiat, a day old, without order or trade."""
        await self._post(
            "positions",
            {"symbol": symbol, "amount": format(amount, "f"), "entry_price": format(entry_price, "f")},
        )

    async def price(self, symbol: str, price: Decimal) -> None:
        """The mark price is this, and walks on from there."""
        await self._post("prices", {"symbol": symbol, "price": format(price, "f")})

    async def keep_quiet(self, symbol: str, ms: int) -> None:
        """The symbol's next order is executed at once and told of late, so that a process can die in mid-send."""
        match = {"symbol": symbol}
        await self._post("faults", {"fault": "answer_delayed", "match": match, "count": 1, "ms": ms})
        await self._post("faults", {"fault": "stream_late", "match": match, "count": _EVENTS, "ms": ms})

    async def _post(self, path: str, body: dict[str, object]) -> None:
        async with self._session.post(f"{self._base}/paper/v1/{path}", json=body) as answer:
            if answer.status != 200:
                raise RuntimeError(f"the paper exchange refused {path}: {await answer.text()}")
