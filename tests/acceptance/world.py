"""Real processes to judge us by: an exchange, executors and a producer, as an operator's machine has them.

Nothing here imports what it judges. The exchange's own records say what happened; what our events claim comes second.
"""

import asyncio
import atexit
import contextlib
import hashlib
import hmac
import json
import os
import pty
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal
from functools import cache
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar
from urllib.parse import urlencode

import aiohttp
from redis.asyncio import Redis
from redis.exceptions import RedisError
from yarl import URL

from tests.nursery import Nursery

SURECLOSE: Final = str(Path(sys.executable).parent / "sureclose")
PREFIX: Final = "sc-"
"""What our client order ids start with; every other order is somebody else's."""
POLL_S: Final = 0.03
PATIENCE_S: Final = 30.0
COMMAND_S: Final = 120.0
QUICK: Final = {
    "VENUE__RECV_WINDOW_MS": "500",
    "EXECUTION__MARGIN_MS": "200",
    "EXECUTION__SPREAD_MS": "200",
}
"""Smaller waits of proof than in production; the rules are the same."""

_Found = TypeVar("_Found")
Fields = dict[str, str]
Scenario = Callable[[str, Path], Coroutine[None, None, None]]
"""What a test looks at: it gets the address of a log and a folder of its own."""
Scenarios = Mapping[str, Scenario]
"""Of a module, by the names of its tests."""


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def token() -> str:
    return secrets.token_hex(8)


async def eventually(
    what: str,
    probe: Callable[[], Awaitable[_Found | None]],
    seconds: float = PATIENCE_S,
    *,
    told: Callable[[], str] = str,
) -> _Found:
    """The first thing that the probe finds; fails with ``what``, and what was told until then, after the deadline."""
    give_up_at = time.monotonic() + seconds
    while True:
        found = await probe()
        if found is not None:
            return found
        if time.monotonic() >= give_up_at:
            raise AssertionError(f"not within {seconds:g} s: {what}\n{told()}")
        await asyncio.sleep(POLL_S)


def environment(settings: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a process of ours: nothing of the caller's that configures us, and no fixed port.

    An empty text leaves a setting as it comes. Python's own variables are taken as they are.
    """
    ours = {name: value for name, value in os.environ.items() if not name.startswith("SURECLOSE")}
    wanted = {"HTTP__PORT": "0", **(settings or {})}
    return ours | {
        name if name.startswith(("SURECLOSE", "PYTHON")) else f"SURECLOSE__{name}": value
        for name, value in wanted.items()
        if value
    }


# Processes ---------------------------------------------------------------------------------------------------------


class Child(Protocol):
    """What is asked of a process that was started, as ``subprocess.Popen`` has it."""

    pid: int
    returncode: int | Any

    def poll(self) -> int | None: ...

    def wait(self) -> int: ...


Begin = Callable[[list[str], dict[str, str], Path, Path], Child]
"""Starts ``sureclose`` with arguments and an environment; its output goes to the second path, and a ``.err`` beside."""


def popen(arguments: list[str], env: dict[str, str], folder: Path, output: Path) -> Child:
    """As a shell would start it."""
    with output.open("wb") as out, output.with_suffix(".err").open("wb") as err:
        return subprocess.Popen(
            [SURECLOSE, *arguments],
            env=env,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
        )


@cache
def _nursery() -> Nursery:
    """One for all tests of this process; it ends with it."""
    nursery = Nursery(Path(tempfile.mkdtemp(prefix="sureclose-nursery-")))
    atexit.register(nursery.__exit__, None, None, None)
    return nursery.__enter__()


def forked(arguments: list[str], env: dict[str, str], folder: Path, output: Path) -> Child:
    """Without the second of imports."""
    return _nursery().begin(arguments, env, folder, output)


class Process:
    """One process in a session, and so a group, of its own; its output goes to files."""

    def __init__(
        self,
        arguments: list[str],
        settings: Mapping[str, str],
        folder: Path,
        name: str,
        begin: Begin = forked,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.out = folder / f"{name}-{token()}.out"
        self.err = self.out.with_suffix(".err")
        self._child = begin(arguments, environment(settings), folder, self.out)

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def has_ended(self) -> bool:
        return self._child.poll() is not None

    @property
    def told(self) -> str:
        """What it said on standard error so far."""
        return self.err.read_text()

    def signal(self, number: signal.Signals) -> None:
        """To the whole group."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def kill(self) -> None:
        """``kill -9`` of the whole group; returns when the process is gone."""
        self.signal(signal.SIGKILL)
        self._child.wait()

    def kill_all(self) -> None:
        """The same for everything that it started as well, wherever it was put."""
        below = descendants(self.pid) if self._child.poll() is None else []
        self.signal(signal.SIGKILL)
        for pid in below:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._child.wait()

    async def ended(self, seconds: float = PATIENCE_S) -> int:
        """Its exit code, once it ends by itself."""

        async def code() -> int | None:
            return self._child.poll()

        return await eventually(f"process {self.pid} ends", code, seconds, told=lambda: self.told)

    async def says(self, text: str, seconds: float = PATIENCE_S) -> str:
        """The first line of standard error that contains the text."""

        async def line() -> str | None:
            lines = [line for line in self.told.splitlines() if text in line]
            if not lines and self._child.poll() is not None:
                raise AssertionError(
                    f"it ended with {self._child.returncode} and never said {text!r}: {self.told}"
                )
            return lines[0] if lines else None

        return await eventually(f"process {self.pid} says {text!r}", line, seconds, told=lambda: self.told)


class Done:
    """What a command that ended left behind."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code = code
        self.out = out
        self.err = err

    @property
    def document(self) -> Any:
        """The one JSON document on standard output; anything else there is a failure."""
        return json.loads(self.out)

    def __repr__(self) -> str:
        return f"exit {self.code}\n--- stdout\n{self.out}\n--- stderr\n{self.err}"


async def command(
    *arguments: str, settings: Mapping[str, str] | None = None, folder: Path, begin: Begin = forked
) -> Done:
    """Run ``sureclose`` to its end in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    process = Process(list(arguments), settings or {}, folder, "command", begin)
    try:
        code = await process.ended(COMMAND_S)
    finally:
        process.kill()
    return Done(code, process.out.read_text(), process.told)


def typed(deployment: "World", arguments: list[str], keys: str) -> Done:
    """Run a command on a terminal, where a person types; what it says on either output is ``out``."""
    ours, theirs = pty.openpty()
    child = subprocess.Popen(
        [SURECLOSE, *arguments],
        env=environment(deployment.settings) | {"TERM": "xterm", "COLUMNS": "200"},
        cwd=deployment.folder,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    try:
        os.write(ours, keys.encode())
        told = b""
        with contextlib.suppress(OSError):  # EIO: the other end is closed
            while part := os.read(ours, 4096):
                told += part
        return Done(child.wait(COMMAND_S), told.decode(), "")
    finally:
        child.kill()
        child.wait()
        os.close(ours)


async def within_s(folder: Path) -> float:
    """From ``kill -9`` in mid-send to flat: lease 3, window 2, margin 1, spread 1, and a start of 1 s and its reserve.

    Where processes start slowly just now, as on a machine that does much else, as much is added.
    """
    began = time.monotonic()
    await command("--version", folder=folder / "cli")
    return 10.0 + 4 * max(0.0, time.monotonic() - began - 0.5)


def descendants(pid: int) -> list[int]:
    """All living processes below ``pid``, wherever they were put."""
    found = []
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
    except OSError:
        return []  # it has ended since
    for task in tasks:
        try:
            children = (task / "children").read_text().split()
        except OSError:
            continue
        for child in map(int, children):
            found += [child, *descendants(child)]
    return found


def is_alive(pid: int) -> bool:
    """Whether it runs; a zombie doesn't."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in {"Z", "X"}


# The exchange ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Market:
    """One listed symbol, and its rules."""

    symbol: str
    step: Decimal
    price: Decimal


@dataclass(frozen=True)
class Held:
    """A position that a test has put there."""

    symbol: str
    amount: Decimal
    step: Decimal

    @property
    def closing_side(self) -> str:
        return "SELL" if self.amount > 0 else "BUY"

    def share(self, fraction: str) -> Decimal:
        """That fraction of it, rounded down to the step."""
        steps = (abs(self.amount) * Decimal(fraction) / self.step).to_integral_value(ROUND_DOWN)
        return steps * self.step


class Records:
    """The exchange's own books at one moment."""

    def __init__(self, books: dict[str, Any]) -> None:
        self._books = books

    def orders(self, symbol: str) -> list[dict[str, Any]]:
        """Ours of that symbol, in their order."""
        return [
            order
            for order in self._books["orders"]
            if order["symbol"] == symbol and order["clientOrderId"].startswith(PREFIX)
        ]

    def effective(self, symbol: str) -> list[dict[str, Any]]:
        """Ours that moved anything."""
        return [order for order in self.orders(symbol) if Decimal(order["executedQty"])]

    def traded(self, symbol: str) -> Decimal:
        """What all trades of the symbol did to the position, signed."""
        moved = (
            Decimal(trade["qty"]) if trade["side"] == "BUY" else -Decimal(trade["qty"])
            for trade in self._books["trades"]
            if trade["symbol"] == symbol
        )
        return sum(moved, Decimal(0))

    def position(self, symbol: str) -> Decimal:
        found = [Decimal(row["positionAmt"]) for row in self._books["positions"] if row["symbol"] == symbol]
        return sum(found, Decimal(0))

    @property
    def all_placements(self) -> list[dict[str, Any]]:
        """The requests to place an order, as they came in."""
        return [request for request in self._books["requests"] if request["method"] == "POST"]

    def placements(self, symbol: str) -> list[dict[str, Any]]:
        """Those of the symbol."""
        return [request for request in self.all_placements if request["params"].get("symbol") == symbol]


class Exchange:
    """A ``sureclose paper`` of its own, spoken to as a second client of the account and through its control API."""

    def __init__(
        self, ready: Mapping[str, Any], session: aiohttp.ClientSession, process: Process | None = None
    ) -> None:
        self._process = process
        self._session = session
        self._free: list[Market] = []
        self.moved(ready)

    @property
    def process(self) -> Process:
        """The process that it is, where a test started it."""
        assert self._process is not None
        return self._process

    def moved(self, ready: Mapping[str, Any]) -> None:
        """It is at these addresses now, with the same books."""
        self.rest: str = ready["rest"]
        self.stream: str = ready["stream"]
        self.key: str = ready["api_key"]
        self.secret: str = ready["api_secret"]

    @property
    def settings(self) -> dict[str, str]:
        """What a process of ours needs to trade here."""
        return {
            "VENUE__ENVIRONMENT": "paper",
            "VENUE__BASE_URL": self.rest,
            "VENUE__STREAM_URL": self.stream,
            "VENUE__API_KEY": self.key,
            "VENUE__API_SECRET": self.secret,
        }

    async def list_markets(self) -> None:
        info = await self._json("GET", "/fapi/v1/exchangeInfo")
        prices = {row["symbol"]: row["price"] for row in await self._json("GET", "/fapi/v1/ticker/price")}
        for row in info["symbols"]:
            lot = next(rule for rule in row["filters"] if rule["filterType"] == "MARKET_LOT_SIZE")
            market = Market(row["symbol"], Decimal(lot["stepSize"]), Decimal(prices[row["symbol"]]))
            self._free.append(market)

    async def open(self, steps: int = 137, *, tradable: bool = False) -> Held:
        """A position of so many steps, negative for a short, in a symbol that nobody used before.

        A ``tradable`` one has steps that are worth enough for orders of some hundred; none is worth the whole margin.
        """
        least = 1 if tradable else 0
        market = next(one for one in self._free if least <= one.step * one.price <= 100)
        self._free.remove(market)
        return await self.put(market, market.step * steps)

    async def put(self, market: Market, amount: Decimal) -> Held:
        """A position in that market, which must be flat."""
        body = {"symbol": market.symbol, "amount": f"{amount:f}", "entry_price": f"{market.price:f}"}
        await self._json("POST", "/paper/v1/positions", body)
        return Held(market.symbol, amount, market.step)

    def reserve(self, symbol: str) -> Market:
        """That market, which nobody else gets any more."""
        market = next(one for one in self._free if one.symbol == symbol)
        self._free.remove(market)
        return market

    def unused(self) -> str:
        """A listed symbol without a position, which nobody gets any more."""
        return self._free.pop().symbol

    async def fault(self, fault: str, symbol: str, **more: Any) -> None:
        """Arm a fault for the orders of one symbol."""
        match = {"symbol": symbol, "route": "POST /fapi/v1/order"}
        await self._json("POST", "/paper/v1/faults", {"fault": fault, "match": match, **more})

    async def fault_of_reads(self, fault: str, route: str) -> None:
        """Arm a fault for every request to a route, until ``calm``."""
        body = {"fault": fault, "match": {"route": route}, "count": 1_000_000}
        await self._json("POST", "/paper/v1/faults", body)

    async def price(self, symbol: str, price: Decimal) -> None:
        """The mark price is this, and walks on from there."""
        await self._json("POST", "/paper/v1/prices", {"symbol": symbol, "price": f"{price:f}"})

    async def minutes(self, candles: Mapping[str, Sequence[Sequence[str]]]) -> None:
        """Minutes have gone by with these candles (open, high, low, close), though the clock stands."""
        await self._json("POST", "/paper/v1/candles", {"candles": candles})

    async def armed(self) -> list[dict[str, Any]]:
        armed: list[dict[str, Any]] = (await self._json("GET", "/paper/v1/faults"))["armed"]
        return armed

    async def calm(self) -> None:
        """No fault any more."""
        await self._json("DELETE", "/paper/v1/faults")

    async def records(self) -> Records:
        return Records(await self._json("GET", "/paper/v1/records"))

    async def trade(self, symbol: str, side: str, quantity: Decimal) -> dict[str, Any]:
        """An order of somebody else on the account."""
        answer: dict[str, Any] = await self.signed(
            "POST", "/fapi/v1/order", symbol=symbol, side=side, type="MARKET", quantity=f"{quantity:f}"
        )
        return answer

    async def amount(self, symbol: str) -> Decimal:
        """The position, by a version of the read that has no fault."""
        rows = await self.signed("GET", "/fapi/v3/positionRisk", symbol=symbol)
        return sum((Decimal(row["positionAmt"]) for row in rows), Decimal(0))

    async def update_time(self, symbol: str) -> int:
        rows = await self.signed("GET", "/fapi/v2/positionRisk", symbol=symbol)
        return int(rows[0]["updateTime"])

    async def signed(self, method: str, path: str, **parameters: Any) -> Any:
        query = urlencode({**parameters, "timestamp": now_ms()})
        signature = hmac.new(self.secret.encode(), query.encode(), hashlib.sha256).hexdigest()
        return await self._json(method, f"{path}?{query}&signature={signature}")

    async def _json(self, method: str, path: str, body: Any = None) -> Any:
        url = URL(self.rest + path, encoded=True)
        headers = {"X-MBX-APIKEY": self.key}
        async with self._session.request(method, url, json=body, headers=headers) as answer:
            found = await answer.json()
            assert answer.status == 200, f"{method} {path}: {answer.status} {found}"
            return found

    async def closed_once(self, held: Held, quantity: Decimal | None = None) -> dict[str, Any]:
        """The one order that closed it, by the books: reducing, of that size, and nothing else moved it."""
        return judged(await self.records(), held, quantity)

    async def untouched(self, held: Held) -> None:
        """By the books nobody asked for an order."""
        books = await self.records()
        assert books.placements(held.symbol) == []
        assert books.position(held.symbol) == held.amount


def judged(books: Records, held: Held, quantity: Decimal | None = None) -> dict[str, Any]:
    """The verdict on one close: exactly one effective order, reducing, and the rest of the position still there."""
    wanted = abs(held.amount) if quantity is None else quantity
    effective = books.effective(held.symbol)
    assert len(effective) == 1, f"{held}: {effective}"
    order = effective[0]
    assert order["reduceOnly"] is True
    assert order["type"] == "MARKET"
    assert order["side"] == held.closing_side
    assert order["status"] == "FILLED"
    assert Decimal(order["executedQty"]) == wanted, f"{held}: {order}"
    left = abs(held.amount) - wanted
    assert abs(books.position(held.symbol)) == left, f"{held}: {books.position(held.symbol)}"
    assert abs(books.traded(held.symbol)) == wanted
    asked = books.placements(held.symbol)
    assert all(request["params"].get("reduceOnly") == "true" for request in asked)
    ids = [request["params"]["newClientOrderId"] for request in asked]
    assert len(ids) == len(set(ids)), f"a client order id was used twice: {ids}"
    return order


@contextlib.asynccontextmanager
async def exchange(folder: Path, *arguments: str, symbols: int = 60) -> AsyncIterator[Exchange]:
    """A paper exchange as a process of its own, up when its ready line has come."""
    process = Process(["paper", "--symbols", str(symbols), *arguments], {}, folder, "paper")
    try:

        async def ready() -> dict[str, Any] | None:
            line, newline, _ = process.out.read_text().partition("\n")
            return json.loads(line) if newline else None

        found = await eventually("the exchange prints its ready line", ready)
        assert found["ready"] is True
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
            opened = Exchange(found, session, process)
            await opened.list_markets()
            yield opened
    finally:
        process.kill()


# The log -----------------------------------------------------------------------------------------------------------


_FILL: Final = """
for index = 0, ARGV[2] - 1 do
  local id = string.format('%.0f', ARGV[1] + index)
  redis.call('XADD', KEYS[1], id .. '-0', 'plan_id', 'old-' .. id, unpack(ARGV, 3))
end
"""


class Producer:
    """A producer and reader of the streams that knows nothing of us: bare commands."""

    def __init__(self, url: str, prefix: str) -> None:
        self.url = url
        self.prefix = prefix
        self._client: Any = Redis.from_url(url, decode_responses=True)

    async def aclose(self) -> None:
        await self._client.aclose()

    async def reconnect(self) -> None:
        """The server has restarted: connections of before are no good."""
        await self._client.aclose()

    async def moved(self, url: str) -> None:
        """The log is there now."""
        await self._client.aclose()
        self.url = url
        self._client = Redis.from_url(url, decode_responses=True)

    async def add(self, stream: str, fields: Mapping[str, str], entry_id: str = "*") -> str:
        flat = [part for pair in fields.items() for part in pair]
        added: str = await self._client.execute_command("XADD", self.prefix + stream, entry_id, *flat)
        return added

    async def ballast(self, size: int) -> None:
        """So many bytes more in the log's file."""
        await self._client.set(self.prefix + "ballast", "x" * size)

    async def entries(self, stream: str) -> list[tuple[str, Fields]]:
        found: list[tuple[str, Fields]] = await self._client.xrange(self.prefix + stream)
        return found

    async def outcomes(self, plan_id: str) -> list[Fields]:
        """What ``execution.result`` says of a plan."""
        found = await self.entries("execution.result")
        return [fields for _, fields in found if fields.get("plan_id") == plan_id]

    async def outcome(self, plan_id: str, seconds: float = PATIENCE_S) -> Fields:
        """What ``execution.result`` says of a plan, once it does; a log that is away meanwhile is asked again."""

        async def first() -> Fields | None:
            with contextlib.suppress(RedisError):
                return next(iter(await self.outcomes(plan_id)), None)
            return None

        return await eventually(f"an outcome of plan {plan_id}", first, seconds)

    async def plan_of(self, intent_entry: str, intents: str = "harvest.intent") -> str:
        """The plan that came of an intent, found by its cause."""
        cause = f"{self.prefix}{intents}@{intent_entry}"

        async def first() -> str | None:
            for _, fields in await self.entries("apply.plan"):
                if cause in fields.get("cause", "").split():
                    return fields["plan_id"]
            return None

        return await eventually(f"a plan of {cause}", first)

    async def is_finished(self, stream: str, group: str, entry_id: str) -> bool:
        """Whether the group has read the entry and owes nothing on it."""
        for info in await self._groups(stream):
            if info["name"] == group and _at_least(info["last-delivered-id"], entry_id):
                pending = await self._client.xpending_range(
                    self.prefix + stream, group, entry_id, entry_id, 1
                )
                return not pending
        return False

    async def finished(self, stream: str, group: str, entry_id: str, seconds: float = PATIENCE_S) -> None:
        async def done() -> bool | None:
            return await self.is_finished(stream, group, entry_id) or None

        await eventually(f"{group} is done with {entry_id} of {stream}", done, seconds)

    async def keys(self) -> list[str]:
        """Every key of this deployment."""
        found: list[str] = [key async for key in self._client.scan_iter(f"{self.prefix}*", count=1_000)]
        return sorted(found)

    async def pending(self, stream: str, group: str) -> int:
        return sum(info["pending"] for info in await self._groups(stream) if info["name"] == group)

    async def consumed_all(self, seconds: float = PATIENCE_S, intents: str = "harvest.intent") -> None:
        """Every group of ours has read its stream to the end, and owes nothing."""

        async def done() -> bool | None:
            for stream, group in readers(intents).items():
                found = [info for info in await self._groups(stream) if info["name"] == group]
                if not found or found[0]["pending"] or not await self._delivered_all(stream, found[0]):
                    return None
            return True

        await eventually("all groups are done with their streams", done, seconds)

    async def _delivered_all(self, stream: str, group: Mapping[str, Any]) -> bool:
        """By the ids: Redis 7.0 goes on counting what was trimmed unread as lag."""
        last: str = (await self._client.xinfo_stream(self.prefix + stream))["last-generated-id"]
        return _at_least(group["last-delivered-id"], last)

    async def group(self, stream: str, group: str) -> None:
        """A group at the beginning of a stream, made before anybody reads it."""
        await self._client.xgroup_create(self.prefix + stream, group, "0", mkstream=True)

    async def fill(self, stream: str, count: int, began: int, fields: Sequence[str]) -> None:
        """So many entries, a millisecond apart from ``began`` on, each with a plan of its own."""
        for first in range(0, count, 10_000):
            size = min(10_000, count - first)
            await self._client.eval(_FILL, 1, stream, began + first, size, *fields)

    async def read_one(self, stream: str, group: str, consumer: str) -> None:
        """The next entry goes to that consumer, which is done with it and never comes again."""
        [[_, entries]] = await self._client.xreadgroup(group, consumer, {self.prefix + stream: ">"}, count=1)
        await self._client.xack(self.prefix + stream, group, *(entry_id for entry_id, _ in entries))

    async def forget(self, key: str) -> None:
        """A key has lived out its time."""
        await self._client.delete(self.prefix + key)

    async def unheard(self, symbol: str) -> str:
        """A wish that the doors know and nobody ever reads: its name."""
        name = token()
        said = {
            "plan_id": token(),
            "symbol": symbol,
            "position_side": "BOTH",
            "action": "CLOSE",
            "at": now_ms(),
        }
        said |= {"expires_at": now_ms() + 60_000, "door": "http", "actor": "nobody", "entry_id": "1-1"}
        await self._client.hset(f"{self.prefix}sureclose:paper:main:asked:{name}", mapping=said)
        return name

    async def room(self, most: int) -> None:
        """The memory that the log may take, in bytes; 0 is all there is."""
        await self._client.config_set("maxmemory", most)

    async def stall(self, ms: int) -> None:
        """The log answers nobody for so long."""
        await self._client.execute_command("CLIENT", "PAUSE", ms, "ALL")

    async def trim(self, stream: str, length: int) -> None:
        await self._client.xtrim(self.prefix + stream, maxlen=length, approximate=False)

    async def lose(self, stream: str, group: str, entry_id: str) -> None:
        """Deliver the next entry to a consumer that dies, and trim its payload away."""
        names = {self.prefix + stream: ">"}
        [[_, delivered]] = await self._client.xreadgroup(group, "dead-1", names, count=1)
        assert [found for found, _ in delivered] == [entry_id]
        await self._client.xdel(self.prefix + stream, entry_id)

    async def _groups(self, stream: str) -> list[dict[str, Any]]:
        if not await self._client.exists(self.prefix + stream):
            return []
        found: list[dict[str, Any]] = await self._client.xinfo_groups(self.prefix + stream)
        return found

    async def lease_owner(self) -> int | None:
        """The process that executes now."""
        owner: str | None = await self._client.hget(self.prefix + "sureclose:paper:main:lease", "owner")
        return None if owner is None else int(owner.split(":")[1])

    async def announced(self) -> list[dict[str, Any]]:
        """What each process last said of each component that it runs."""
        found: dict[str, str] = await self._client.hgetall(self.prefix + "sureclose:paper:main:components")
        return [json.loads(said) for said in found.values()]

    async def announce(self, said: Mapping[str, Any]) -> None:
        """What a process that is gone said last."""
        name = f"{said['component']}@{said['worker']}"
        await self._client.hset(self.prefix + "sureclose:paper:main:components", name, json.dumps(said))

    async def document(self, name: str) -> Any:
        """A JSON document of the account, ``None`` when there is none."""
        found = await self._client.get(f"{self.prefix}sureclose:paper:main:{name}")
        return None if found is None else json.loads(found)

    async def released(self) -> None:
        """Nobody executes any more."""

        async def nobody() -> bool | None:
            return await self._client.exists(self.prefix + "sureclose:paper:main:lease") == 0 or None

        await eventually("nobody holds the lease", nobody)

    async def release(self) -> None:
        """Let the lease of a dead process run out at once."""
        await self._client.delete(self.prefix + "sureclose:paper:main:lease")

    async def open_plans(self) -> list[str]:
        """The closes that the journal holds unfinished."""
        plans: list[str] = await self._client.zrange(self.prefix + "sureclose:paper:main:open", 0, -1)
        return plans

    async def recorded(self, kind: str) -> list[str]:
        """The plans with such a record in the journal, one for each."""
        found = await self.entries("sureclose:paper:main:journal")
        return [fields["plan_id"] for _, fields in found if fields["kind"] == kind]


def readers(intents: str = "harvest.intent") -> dict[str, str]:
    return {
        intents: "intent_executor_harvest",
        "apply.plan": "apply_layer",
        "apply.result": "execution_service_exits",
    }


def _at_least(one: str, other: str) -> bool:
    return tuple(map(int, one.split("-"))) >= tuple(map(int, other.split("-")))


def decision(held: Held | str, plan_id: str, **more: str) -> Fields:
    """An approved CLOSE in the historic shape that PATH 1B was written for: flat, whole seconds, no id of ours."""
    return {
        "plan_id": plan_id,
        "symbol": held if isinstance(held, str) else held.symbol,
        "decision": "CLOSE",
        "approved": "True",
        "executed": "False",
        "would_execute": "True",
        "error": "",
        "timestamp": str(now_ms() // 1000),
        **more,
    }


# One deployment ----------------------------------------------------------------------------------------------------


class World:
    """An external log, an exchange of its own, and as many executors as a test starts."""

    def __init__(
        self,
        folder: Path,
        exchange: Exchange,
        producer: Producer,
        more: Mapping[str, str],
        begin: Begin = forked,
    ) -> None:
        self._begin = begin
        self.folder = folder
        self.exchange = exchange
        self.log = producer
        self._more = dict(more)
        self.runs: list[Process] = []

    @property
    def settings(self) -> dict[str, str]:
        """The configuration of every process here."""
        return {
            "REDIS__URL": self.log.url,
            "STREAMS__PREFIX": self.log.prefix,
            "DATA__DIR": str(self.folder / "data"),
            **self.exchange.settings,
            **self._more,
        }

    @property
    def order_prefix(self) -> str:
        """What the client order ids of this deployment begin with."""
        return self.settings["VENUE__CLIENT_ORDER_ID_PREFIX"]

    def run(self, *arguments: str, **settings: str) -> Process:
        """Start ``sureclose run``; it may not be up yet."""
        process = Process(["run", *arguments], self.settings | settings, self.folder, "run", self._begin)
        self.runs.append(process)
        return process

    async def up(self, process: Process, seconds: float = PATIENCE_S) -> str:
        """The address of its web server, once it holds the lease and reads."""
        line = await process.says("listening", seconds)
        await process.says("resumed", seconds)
        return line.partition("address=")[2].split()[0]

    async def command(self, *arguments: str, **settings: str) -> Done:
        """A ``sureclose`` command with the same configuration."""
        return await command(
            *arguments, settings=self.settings | settings, folder=self.folder / "cli", begin=self._begin
        )

    def end(self) -> None:
        for process in self.runs:
            process.signal(signal.SIGCONT)
            process.kill()


@contextlib.asynccontextmanager
async def beside(
    opened: Exchange,
    log_url: str,
    folder: Path,
    settings: Mapping[str, str] = QUICK,
    begin: Begin = forked,
) -> AsyncIterator[World]:
    """A deployment on a log and an exchange that others use too: its streams, symbols and client order ids are its own."""
    producer = Producer(log_url, f"{token()}:quantum:stream:")
    ids = {"VENUE__CLIENT_ORDER_ID_PREFIX": f"{PREFIX}{token()[:6]}-"}
    found = World(folder, opened, producer, ids | dict(settings), begin)
    try:
        yield found
    finally:
        found.end()
        await producer.aclose()


@contextlib.asynccontextmanager
async def world(
    log_url: str, folder: Path, settings: Mapping[str, str] = QUICK, *, symbols: int = 60
) -> AsyncIterator[World]:
    """A deployment with an exchange of its own."""
    async with (
        exchange(folder, symbols=symbols) as opened,
        beside(opened, log_url, folder, settings) as found,
    ):
        yield found


# Everything in one process group -----------------------------------------------------------------------------------


class Hosted:
    """One ``sureclose run`` that hosts its own log and exchange on a data folder, and is started there again and again."""

    def __init__(self, folder: Path, settings: Mapping[str, str]) -> None:
        self.data = folder / "data"
        self._folder = folder
        self._settings = {**settings, "DATA__DIR": str(self.data), "PAPER__SYMBOLS": "60"}
        self._client = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10))
        self._runs: list[Process] = []
        self.exchange = Exchange({"rest": "", "stream": "", "api_key": "", "api_secret": ""}, self._client)
        self.log = Producer("redis://127.0.0.1:0", "")
        """Where exchange and log are, the last start said."""

    @property
    def settings(self) -> dict[str, str]:
        return dict(self._settings)

    async def start(self, **settings: str) -> Process:
        """Up, with the addresses that this start published."""
        process = self.beside(**settings)
        await process.says("resumed")
        await self.found([process])
        return process

    async def found(self, runs: list[Process]) -> None:
        """One of these hosts: its log and its exchange are spoken to from now on."""

        async def published() -> dict[str, Any] | None:
            with contextlib.suppress(FileNotFoundError):
                found: dict[str, Any] = json.loads((self.data / "runtime.json").read_text())
                return found if found["pid"] in {run.pid for run in runs} else None
            return None

        runtime = await eventually("the host publishes its addresses", published)
        self.exchange.moved(runtime["paper"])
        await self.log.aclose()
        self.log = Producer(runtime["log_url"], "quantum:stream:")

    def beside(self, *arguments: str, **settings: str) -> Process:
        """One more ``sureclose run`` on the same data folder; it may not be up yet."""
        process = Process(["run", *arguments], self._settings | settings, self._folder, "run")
        self._runs.append(process)
        return process

    async def command(self, *arguments: str, **settings: str) -> Done:
        """A ``sureclose`` command on the same data folder."""
        return await command(*arguments, settings=self._settings | settings, folder=self._folder / "cli")

    async def end(self) -> None:
        for process in self._runs:
            process.kill_all()
        await self.log.aclose()
        await self._client.close()


@contextlib.asynccontextmanager
async def hosted(folder: Path, settings: Mapping[str, str] = QUICK) -> AsyncIterator[Hosted]:
    found = Hosted(folder, settings)
    try:
        yield found
    finally:
        await found.end()
