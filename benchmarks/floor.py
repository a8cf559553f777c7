"""The floor: the barest client that takes the same durable steps on the same log and venue.

For each decision: read it from a group of its own, one XADD for the SENDING record, one POST, parse the answer, read the
position, one script for outcome, result and acknowledgement. It checks nothing, dedupes nothing and recovers nothing:
what it does is what no executor can leave out.
"""

import asyncio
import hmac
import sys
import time

import msgspec
import uvloop

from benchmarks.deployment import FloorSettings
from benchmarks.sides import FLOOR, FLOOR_GROUP, FLOOR_JOURNAL
from benchmarks.wire import HttpConnection, LogConnection, http_head, packed

_ORDER = "/fapi/v1/order"
_POSITION = "/fapi/v2/positionRisk"
_WINDOW_MS = 2000
_BATCH = 500
_BLOCK_MS = 1000
_OUTCOME = """\
redis.call('XACK', KEYS[1], ARGV[1], ARGV[2])
redis.call('XADD', KEYS[2], '*', 'plan_id', ARGV[3], 'kind', 'ENDED', 'body', ARGV[4])
redis.call('XADD', KEYS[3], '*', 'plan_id', ARGV[3], 'outcome', 'FLAT', 'stamps', ARGV[5])
return 'OK'
"""
_FILLER = "x" * 300
"""Makes a record about as long as one of Sureclose's."""


class _Answer(msgspec.Struct):
    """What is read of POST /fapi/v1/order."""

    status: str
    executed_qty: str = msgspec.field(name="executedQty")


class _Row(msgspec.Struct):
    """What is read of a row of GET /fapi/v2/positionRisk."""

    symbol: str
    amount: str = msgspec.field(name="positionAmt")


class _Close(msgspec.Struct):
    """One decision on its way. ``stamps`` are wall clock nanoseconds, one a hop."""

    entry_id: bytes
    plan_id: str
    symbol: str
    side: str
    quantity: str
    stamps: list[int]


_answer = msgspec.json.Decoder(_Answer)
_rows = msgspec.json.Decoder(list[_Row])


class Floor:
    """One process of it: a connection for reading, one for writing, and some for the venue."""

    def __init__(self, settings: FloorSettings) -> None:
        self._settings = settings
        self._key = hmac.new(settings.api_secret.encode(), digestmod="sha256")
        form = b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: "
        self._order_head = http_head("POST", settings.rest, _ORDER, settings.api_key) + form

    async def run(self) -> None:
        """Until the process is ended: nothing here has to be put away."""
        settings = self._settings
        self._reads = await LogConnection.open(settings.log_url)
        self._writes = await LogConnection.open(settings.log_url)
        self._venue = [await HttpConnection.open(settings.rest) for _ in range(settings.connections)]
        await self._writes.command("XGROUP", "CREATE", FLOOR.decisions, FLOOR_GROUP, "0", "MKSTREAM")
        self._outcome: bytes = await self._writes.command("SCRIPT", "LOAD", _OUTCOME)
        words = ("XREADGROUP", "GROUP", FLOOR_GROUP, "floor-1", "COUNT", _BATCH, "BLOCK", _BLOCK_MS)
        read = packed(*words, "STREAMS", FLOOR.decisions, ">")
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while True:
            reply = await self._reads.send(read)
            if reply is None:
                continue
            closes = [self._taken(*entry) for entry in reply[0][1]]
            if len(closes) == 1:
                await self._one(closes[0])
            else:
                await self._many(closes)

    def _taken(self, entry_id: bytes, flat: list[bytes]) -> _Close:
        fields = dict(zip(flat[::2], flat[1::2], strict=True))
        amount = fields[b"position_amt"].decode()
        return _Close(
            entry_id=entry_id,
            plan_id=fields[b"plan_id"].decode(),
            symbol=fields[b"symbol"].decode(),
            side="BUY" if amount.startswith("-") else "SELL",
            quantity=amount.lstrip("-"),
            stamps=[self._reads.heard_ns],
        )

    async def _one(self, close: _Close) -> None:
        venue = self._venue[0]
        await self._writes.send(self._sending(close))
        close.stamps.append(time.time_ns())
        _filled(await venue.request(self._order(close)))
        close.stamps.append(time.time_ns())
        _flat(await venue.request(self._position(close.symbol)), {close.symbol})
        close.stamps.append(time.time_ns())
        await self._writes.send(self._ended(close))

    async def _many(self, closes: list[_Close]) -> None:
        """Each step for all of them: records of one flush, orders over all connections, one read of all positions."""
        await asyncio.gather(*self._writes.send_all([self._sending(close) for close in closes]))
        waiting = iter(closes)

        async def send(venue: HttpConnection) -> None:
            for close in waiting:
                _filled(await venue.request(self._order(close)))

        await asyncio.gather(*(send(venue) for venue in self._venue))
        _flat(await self._venue[0].request(self._position("")), {close.symbol for close in closes})
        await asyncio.gather(*self._writes.send_all([self._ended(close) for close in closes]))

    def _sending(self, close: _Close) -> bytes:
        body = f'{{"plan_id":"{close.plan_id}","quantity":"{close.quantity}","filler":"{_FILLER}"}}'
        return packed("XADD", FLOOR_JOURNAL, "*", "plan_id", close.plan_id, "kind", "SENDING", "body", body)

    def _order(self, close: _Close) -> bytes:
        body = self._signed(
            f"symbol={close.symbol}&side={close.side}&positionSide=BOTH&type=MARKET&quantity={close.quantity}"
            f"&reduceOnly=true&newClientOrderId={FLOOR.order_prefix}{close.plan_id}&newOrderRespType=RESULT"
            f"&recvWindow={_WINDOW_MS}&timestamp={time.time_ns() // 1_000_000}"
        )
        return b"%b%d\r\n\r\n%b" % (self._order_head, len(body), body)

    def _position(self, symbol: str) -> bytes:
        wanted = f"symbol={symbol}&" if symbol else ""
        query = self._signed(f"{wanted}timestamp={time.time_ns() // 1_000_000}").decode()
        settings = self._settings
        return http_head("GET", settings.rest, f"{_POSITION}?{query}", settings.api_key) + b"\r\n"

    def _signed(self, payload: str) -> bytes:
        key = self._key.copy()
        key.update(payload.encode())
        return f"{payload}&signature={key.hexdigest()}".encode()

    def _ended(self, close: _Close) -> bytes:
        stamps = " ".join(map(str, close.stamps))
        keys = (FLOOR.decisions, FLOOR_JOURNAL, FLOOR.results)
        return packed(
            "EVALSHA", self._outcome, 3, *keys, FLOOR_GROUP, close.entry_id, close.plan_id, _FILLER, stamps
        )


def _filled(body: bytes) -> None:
    answer = _answer.decode(body)
    if answer.status != "FILLED":
        raise ValueError(f"the order ended {answer.status} with {answer.executed_qty}")


def _flat(body: bytes, symbols: set[str]) -> None:
    rows = [row for row in _rows.decode(body) if row.symbol in symbols]
    if len(rows) != len(symbols) or any(row.amount.strip("0.") for row in rows):
        raise ValueError(f"not flat: {rows[:5]}")


async def _main() -> None:
    await Floor(msgspec.json.decode(sys.stdin.readline(), type=FloorSettings)).run()


if __name__ == "__main__":
    uvloop.run(_main())
