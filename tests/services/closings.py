"""An executor inside the test: closes on the real log against a paper exchange, with times that the test moves.

What comes between two steps of a close (a slow gate, a reply that is lost, a slot that is long in coming) is put there
by name, where real processes would have to be lucky.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any, Final

import msgspec
from redis.exceptions import ConnectionError as Lost

from sureclose.domain.events import Decision, EntryRef
from sureclose.domain.facts import AnyFact, Sending
from sureclose.domain.market import OrderReport, Position, Refusal
from sureclose.domain.outcome import Report
from sureclose.domain.planning import planned_id
from sureclose.domain.policy import Policy
from sureclose.domain.words import AgeSource, Mode, PositionSide
from sureclose.domain.words import Verdict as Word
from sureclose.journal import lease
from sureclose.journal.chain import Chain
from sureclose.journal.keys import Keys
from sureclose.journal.lease import Lease
from sureclose.journal.store import Journal
from sureclose.journal.verdict import Passage
from sureclose.paper.params import Params
from sureclose.paper.server import PaperExchange
from sureclose.paper.settings import PaperSettings
from sureclose.services.announcing import announcer
from sureclose.services.engine import Engine
from sureclose.services.reading import Wiring
from sureclose.services.settings import StreamSettings
from sureclose.services.tools import Tools
from sureclose.streams.clock import LogClock
from sureclose.streams.codec import CodecRules
from sureclose.streams.connection import Log
from sureclose.streams.encode import Producer
from sureclose.streams.entry import Delivered, Entry
from sureclose.streams.fields import Unreadable
from sureclose.streams.names import GroupName, StreamName
from sureclose.streams.wire import Wire, texts
from sureclose.venue.clock import steady_seconds, wall_ms
from sureclose.venue.environments import VenueSettings
from sureclose.venue.errors import Unanswered
from sureclose.venue.port import NotSent, ReducingOrder
from sureclose.venue.rest import BinanceRest
from sureclose.venue.secret import Credentials, Secret

SYMBOL: Final = "ETHUSDT"
COMPONENT: Final = "execution_service"
ACCOUNT: Final = "paper:main"
RECV_WINDOW: Final = 400
POLICY: Final = Policy(account=ACCOUNT, margin=100, spread=100)
PATIENCE_S: Final = 10.0


class Time:
    """A clock that goes on by itself, and in leaps when the test says so."""

    def __init__(self) -> None:
        self.ahead = 0

    def ms(self) -> int:
        return wall_ms() + self.ahead

    def seconds(self) -> float:
        return steady_seconds() + self.ahead / 1000

    def leap(self, milliseconds: int) -> None:
        self.ahead += milliseconds


class Door(Journal):
    """A journal that does something right before the script of the gate, or right after it, before anybody hears of it."""

    before: Callable[[], Awaitable[None]] | None = None
    behind: Callable[[], Awaitable[None]] | None = None

    async def gate(
        self,
        chain: Chain,
        lease: Lease,
        *,
        component: str,
        warranted_intent: str,
        intent_id: str,
        sending: Sending,
    ) -> Passage:
        if self.before is not None:
            before, self.before = self.before, None
            await before()
        passage = await super().gate(
            chain,
            lease,
            component=component,
            warranted_intent=warranted_intent,
            intent_id=intent_id,
            sending=sending,
        )
        if self.behind is not None:
            behind, self.behind = self.behind, None
            await behind()
        return passage


class LosesReply:
    """A connection that loses the reply of the next script that touches a key, after it was executed."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self.loses = ""

    async def execute_command(self, *args: bytes | str | int) -> Any:
        reply = await self._wire.execute_command(*args)
        if self.loses and args[0] == b"EVALSHA" and self.loses in args:
            self.loses = ""
            raise Lost("Connection closed by server.")
        return reply


class Watched(BinanceRest):
    """The venue's client, and what was sent through it. ``telling`` is what the stream would tell of a position."""

    placed: list[ReducingOrder]
    telling: Position | None = None

    async def place(self, order: ReducingOrder) -> OrderReport | Refusal | Unanswered | NotSent:
        self.placed.append(order)
        return await super().place(order)

    def told(self, symbol: str, position_side: PositionSide) -> Position | None:
        return self.telling


class Seen:
    """A witness who counts outcomes, and the desk where entries without an outcome of their own go."""

    def __init__(self) -> None:
        self.reports: list[Report] = []
        self.acknowledged: list[str] = []
        self.buried: list[str] = []

    def approved(self, plan_id: str) -> None: ...

    def elsewhere(self, plan_id: str) -> None: ...

    def sent(self, decision: Decision, sending: Sending, answer: str) -> None: ...

    def ended(self, report: Report) -> None:
        self.reports.append(report)

    async def acknowledge(self, entries: Sequence[Entry]) -> None:
        self.acknowledged += [entry.ref.entry_id for entry in entries]

    async def bury(self, entries: Sequence[Entry], why: Unreadable) -> None:
        self.buried += [entry.ref.entry_id for entry in entries]


class Executor:
    """One account: its exchange, its part of the log, and an engine that may close."""

    def __init__(self, exchange: PaperExchange, venue: Watched, wire: Wire, prefix: str, time: Time) -> None:
        self.exchange = exchange
        self.venue = venue
        self.time = time
        """Of the exchange, and of this process's estimate of it."""
        self.ages = Time()
        """The log's clock, which ages are judged by."""
        self.wire = LosesReply(wire)
        self.keys = Keys(prefix, ACCOUNT)
        self.journal = Door(self.wire, self.keys, time.ms)
        self.streams = StreamSettings(prefix=prefix)
        self.wiring = Wiring(self.streams, CodecRules(Mode.PAPER), Producer("execution", "0", "here", 1))
        self.seen = Seen()
        self.lease = Lease("nobody", 0)
        self.tools = Tools(
            journal=self.journal,
            venue=venue,
            policy=POLICY,
            component=COMPONENT,
            group=GroupName.EXECUTION_EXITS,
            recv_window=RECV_WINDOW,
            announce=announcer(self.wiring, time.ms),
            clock=LogClock(self.ages.ms, self.ages.seconds),
            witness=self.seen,
        )
        self.engine = Engine(self.tools, self.lease, self.seen)
        self._entries = 0

    async def reign(self) -> None:
        """Take the lease, as a process does at its start or after another one; the engine begins anew."""
        await self.engine.abandon()
        await self.do("DEL", self.keys.lease)
        taken = await lease.take(self.wire, self.keys, "one", 60_000)
        assert taken is not None
        self.lease = taken
        self.engine = Engine(self.tools, taken, self.seen)

    # What there is ------------------------------------------------------------------------------------------------

    async def do(self, *command: str | int) -> Any:
        name, *rest = command
        return await self.wire.execute_command(str(name).encode(), *rest)

    def trade(self, amount: str) -> None:
        """Another hand adds this signed amount to the position, at market."""
        quantity = Decimal(amount)
        side = "BUY" if quantity > 0 else "SELL"
        self._order({"side": side, "type": "MARKET", "quantity": f"{abs(quantity):f}"})

    def rest(self, client_id: str) -> None:
        """Another hand places an order that reduces a long position, far above the market."""
        price = self.exchange.desk.prices.mark(SYMBOL) * Decimal("1.02")
        self._order(
            {
                "newClientOrderId": client_id,
                "side": "SELL",
                "type": "LIMIT",
                "timeInForce": "GTC",
                "quantity": f"{self.amount:f}",
                "price": f"{price:.2f}",
                "reduceOnly": "true",
            }
        )

    @property
    def resting(self) -> list[str]:
        """The client order ids of what rests at the exchange."""
        return [order.client_id for order in self.exchange.desk.ledger.open_of(SYMBOL)]

    def _order(self, values: dict[str, str]) -> None:
        self.exchange.desk.place(Params({"symbol": SYMBOL, **values}))

    @property
    def amount(self) -> Decimal:
        """The position, by the exchange's own books."""
        return self.exchange.desk.ledger.position(SYMBOL, "BOTH").amount

    def decision(self, plan_id: str = "", **other: Any) -> Decision:
        """An approval of now; without a ``plan_id`` the one that follows from its content."""
        wish: dict[str, Any] = {
            "intent_id": f"intent-{plan_id or 'one'}",
            "symbol": SYMBOL,
            "position_side": PositionSide.BOTH,
            "action": "CLOSE",
            "fraction": Decimal(1),
            "quantity": None,
            "origin_at": self.time.ms(),
            "age_source": AgeSource.FIELD,
            "verdict": Word.CLOSE,
            "approved": True,
        }
        made = Decision(plan_id="", **(wish | other))
        return msgspec.structs.replace(made, plan_id=plan_id or planned_id(made))

    def admit(self, decision: Decision) -> str:
        """Deliver it to the engine; the id of its entry."""
        entry = self.entry()
        self.engine.admit(decision, entry)
        return entry.ref.entry_id

    def entry(self) -> Entry:
        """The next entry of the stream of decisions, as a reader hands it out."""
        self._entries += 1
        ref = EntryRef(self.streams.full(StreamName.APPLY_RESULT), f"{self._entries}-0")
        return Entry(ref, {}, Delivered.NEW)

    async def close(self, decision: Decision) -> Report:
        """Deliver it, and wait for its outcome."""
        self.admit(decision)
        return await self.report(decision.plan_id)

    async def report(self, plan_id: str) -> Report:
        """The outcome of a plan, once it is there."""
        await self.until(lambda: any(report.plan_id == plan_id for report in self.seen.reports))
        return next(report for report in self.seen.reports if report.plan_id == plan_id)

    async def until(self, so: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not so():
                assert not self.engine.broken, self.engine.broken
                await asyncio.sleep(0.005)

    async def facts(self, plan_id: str) -> tuple[AnyFact, ...]:
        loaded = await self.journal.load(plan_id)
        return () if loaded is None else loaded.facts

    async def sent(self, plan_id: str) -> list[Sending]:
        """The attempts that passed the gate."""
        return [fact for fact in await self.facts(plan_id) if isinstance(fact, Sending)]

    async def entries(self, stream: StreamName) -> list[dict[str, str]]:
        found = await self.do("XRANGE", self.streams.full(stream), "-", "+")
        return [texts(flat) for _, flat in found]


@asynccontextmanager
async def executing(log: Log, prefix: str, **venue: Any) -> AsyncIterator[Executor]:
    """A long position of 3 in the symbol, a grant, and an engine under a lease. ``venue`` are settings of the client."""
    time = Time()
    settings = PaperSettings(price_step_ppm=0)
    async with PaperExchange(settings, clock=time.ms) as exchange:
        client = Watched(
            VenueSettings(base_url=exchange.rest, position_interval_ms=0, **venue),
            Credentials(Secret(exchange.api_key), Secret(exchange.api_secret)),
            wall=time.ms,
            steady=time.seconds,
        )
        client.placed = []
        async with client:
            await client.measure_clock()
            made = Executor(exchange, client, log.commands(), prefix, time)
            made.trade("3")
            await made.do("HSET", made.keys.grant, "component", COMPONENT)
            await made.reign()
            try:
                yield made
            finally:
                await made.engine.abandon()
