"""The paper exchange from outside: positions put there by its control API, and its word on when an order came in."""

from collections.abc import Iterable
from decimal import Decimal

import msgspec

from benchmarks.deployment import Venue
from benchmarks.wire import HttpConnection, http_head

_STEPS = 10
"""Size of each position in steps of its symbol; no limit of the exchange binds on so little."""


class Held(msgspec.Struct, frozen=True):
    """A position that can be closed: the amount signed, as the wire writes it."""

    symbol: str
    amount: str
    entry_price: str


class _Filter(msgspec.Struct, rename="camel"):
    filter_type: str
    step_size: str = ""


class _Symbol(msgspec.Struct):
    symbol: str
    filters: list[_Filter]


class _Info(msgspec.Struct):
    symbols: list[_Symbol]


class _Price(msgspec.Struct):
    symbol: str
    price: str


class _Request(msgspec.Struct):
    received_ns: int
    method: str
    params: dict[str, str]


class _Records(msgspec.Struct):
    requests: list[_Request]


class Market:
    """One connection, used between the rounds only."""

    def __init__(self, venue: Venue, connection: HttpConnection) -> None:
        self._venue = venue
        self._connection = connection

    @classmethod
    async def open(cls, venue: Venue) -> "Market":
        return cls(venue, await HttpConnection.open(venue.rest))

    def close(self) -> None:
        self._connection.close()

    async def listed(self, count: int) -> list[Held]:
        """A position to be for each of the first ``count`` symbols, long and short by turns."""
        info = msgspec.json.decode(await self._get("/fapi/v1/exchangeInfo"), type=_Info)
        rows = msgspec.json.decode(await self._get("/fapi/v1/ticker/price"), type=list[_Price])
        prices = {row.symbol: row.price for row in rows}
        held = []
        for number, row in enumerate(info.symbols[:count]):
            step = next(one.step_size for one in row.filters if one.filter_type == "MARKET_LOT_SIZE")
            amount = Decimal(step) * _STEPS * (-1 if number % 2 else 1)
            held.append(Held(row.symbol, format(amount, "f"), prices[row.symbol]))
        return held

    async def put(self, positions: Iterable[Held]) -> None:
        """Have the exchange hold these."""
        head = http_head("POST", self._venue.rest, "/paper/v1/positions", self._venue.api_key)
        for held in positions:
            body = msgspec.json.encode(held)
            await self._connection.request(b"%bContent-Length: %d\r\n\r\n%b" % (head, len(body), body))

    async def orders(self, since_ns: int) -> dict[str, int]:
        """When each order came in since then, by client order id, in wall clock nanoseconds of the exchange.

        Raises ``ValueError`` when one was sent twice.
        """
        records = msgspec.json.decode(await self._get("/paper/v1/records"), type=_Records)
        found: dict[str, int] = {}
        for request in records.requests:
            if request.method == "POST" and request.received_ns >= since_ns:
                client_order_id = request.params["newClientOrderId"]
                if client_order_id in found:
                    raise ValueError(f"{client_order_id} was sent twice")
                found[client_order_id] = request.received_ns
        return found

    async def _get(self, target: str) -> bytes:
        head = http_head("GET", self._venue.rest, target, self._venue.api_key)
        return await self._connection.request(head + b"\r\n")
