"""A model of the venue, of the log, and of the process that drives a close, for histories that tests write or draw.

Nothing here is asynchronous and nothing sleeps: time is a number. The driver does what ``services/closing.py`` does, in
the same order: decide, perform, tell; what is known is written before any wait; a crash and a lost answer of the log
both mean that the close begins again from what is recorded. What the venue *is* (``World``) and what it *shows* are two
things: reads lag, answers get lost, news comes late, twice or never. The truth judges the close.
"""

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from itertools import count

import msgspec

from sureclose.domain import steps
from sureclose.domain.close import Done, New, State, fold
from sureclose.domain.decide import decide
from sureclose.domain.events import Decision, EntryRef
from sureclose.domain.evidence import Evidence
from sureclose.domain.facts import AnyFact, Ended, Sending, Sized, Via
from sureclose.domain.market import Class, OrderReport, Position, Refusal, SymbolRules, Trade
from sureclose.domain.outcome import Outcome, OutcomeKind
from sureclose.domain.policy import Policy
from sureclose.domain.quantity import ZERO, on_step
from sureclose.domain.words import AgeSource, PositionSide, Side, Verdict

SYMBOL = "BTCUSDT"
START = 1_700_000_000_000
"""When the decision arrives."""
RECV_WINDOW = 2_000
POLICY = Policy(account="paper:main")
ENTRY = EntryRef("quantum:stream:apply.result", "1-0")
RULES = SymbolRules(
    symbol=SYMBOL,
    status="TRADING",
    step=Decimal("0.001"),
    min_qty=Decimal("0.001"),
    max_qty=Decimal(4),
    tick=Decimal("0.1"),
)
MOST_STEPS = 3_000
"""A history that takes more has no end: drawn faults are few, and each costs a bounded number of steps."""


def milli(thousandths: int) -> Decimal:
    return Decimal(thousandths).scaleb(-3)


def decision(
    *,
    fraction: str | None = "1",
    quantity: str | None = None,
    origin_at: int = START - 100,
    expires_at: int | None = None,
    position_amt: str | None = None,
    position_update_time: int | None = None,
    position_side: PositionSide = PositionSide.BOTH,
    plan_id: str = "plan",
) -> Decision:
    return Decision(
        intent_id="intent",
        plan_id=plan_id,
        symbol=SYMBOL,
        position_side=position_side,
        action="CLOSE" if fraction == "1" else "PARTIAL_CLOSE",
        fraction=None if fraction is None else Decimal(fraction),
        quantity=None if quantity is None else Decimal(quantity),
        origin_at=origin_at,
        age_source=AgeSource.FIELD,
        expires_at=expires_at,
        position_amt=None if position_amt is None else Decimal(position_amt),
        position_update_time=position_update_time,
        verdict=Verdict.CLOSE,
        approved=True,
    )


# What a history is made of -------------------------------------------------------------------------------------------


class Reply(StrEnum):
    """What comes back of one request, whatever became of it."""

    GIVEN = "given"
    EARLY = "early"
    """The order as it was accepted, before any fill."""
    LOST = "lost"
    SLOW = "slow"
    """Lost, and that takes two seconds to say."""
    STRANGE = "strange"
    """An answer that names another order."""


class Fate(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of one request. The default is an order that fills at once.

    ``delay`` is from sending to execution; what would be accepted after the window is refused. ``parts`` are per cent
    of what is executable, filled ``gap`` milliseconds apart; what is left over expires. ``refusal`` is the class and
    the wish to wait of a definite no.
    """

    delay: int = 5
    arrives: bool = True
    refusal: Class | None = None
    retry_after: int = 0
    parts: tuple[int, ...] = (100,)
    gap: int = 0
    reply: Reply = Reply.GIVEN


class Gate(StrEnum):
    """What the log does with one pass of the gate."""

    OPEN = "open"
    SLOW = "slow"
    BUSY = "busy"
    WRITTEN_UNHEARD = "written_unheard"
    UNWRITTEN_UNHEARD = "unwritten_unheard"


class Foreign(msgspec.Struct, frozen=True):
    """A trade of somebody else with the same account: when (milliseconds from the start), and how much, signed."""

    at: int
    thousandths: int


class Crash(msgspec.Struct, frozen=True):
    """The process dies at its ``step``-th effect, ``before`` or after doing it, and is away for ``down`` ms."""

    step: int
    before: bool
    down: int = 1_000


class Script(msgspec.Struct, frozen=True, kw_only=True):
    """One history. Lists are used up in order, and what comes after their end is without fault."""

    position: int = 10_000
    opened: int = -10_000
    fraction: str | None = "1"
    quantity: int | None = None
    known: bool = False
    """Whether the decision says which position it was made for."""
    expires: int | None = None
    fates: tuple[Fate, ...] = ()
    gates: tuple[Gate, ...] = ()
    foreign: tuple[Foreign, ...] = ()
    crashes: tuple[Crash, ...] = ()
    failing_reads: frozenset[int] = frozenset()
    position_lags: tuple[int, ...] = ()
    trade_lags: tuple[int, ...] = ()
    order_lags: tuple[int, ...] = ()
    torn: bool = False
    """Whether a position read may show only a part of what one millisecond brought."""
    news: tuple[int | None, ...] = ()
    """How late each piece of news of our orders is; ``None`` never comes."""
    echoes: int = 0
    """How often each piece of news is repeated, later."""
    latency: int = 3
    clock_error: int = 0
    frozen_from: int | None = None


# The venue -----------------------------------------------------------------------------------------------------------


@dataclass
class VenueOrder:
    order_id: int
    client_order_id: str
    side: Side
    quantity: Decimal
    own: bool
    reports: list[tuple[int, OrderReport]] = field(default_factory=list)

    def as_of(self, time: int) -> OrderReport | None:
        shown = [report for at, report in self.reports if at <= time]
        return shown[-1] if shown else None

    @property
    def ended(self) -> bool:
        return bool(self.reports) and self.reports[-1][1].terminal


class World:
    """What is so at the venue, and what it shows."""

    def __init__(self, script: Script, tell: Callable[[OrderReport], None]) -> None:
        self.script = script
        self.now = START - 5_000
        self.amount = milli(script.position)
        self.moves: list[tuple[int, Decimal]] = [(START + script.opened, self.amount)]
        self.trades: list[Trade] = []
        self.orders: dict[int, VenueOrder] = {}
        self.sent: list[Sending] = []
        self.pending: dict[str, int] = {}
        """Requests on their way that may still execute, by client order id."""
        self._tell = tell
        self._agenda: list[tuple[int, int, Callable[[], None]]] = []
        self._order = count()
        self._ids = count(1)
        self._trade_ids = count(1)
        self._fates = list(script.fates)
        self._news = list(script.news)
        self._reads = count()
        self._lags = {
            "position": list(script.position_lags),
            "trades": list(script.trade_lags),
            "orders": list(script.order_lags),
        }
        for trade in script.foreign:
            self.at(START + trade.at, lambda trade=trade: self._foreign(trade))  # type: ignore[misc]

    # Time

    def at(self, time: int, what: Callable[[], None]) -> None:
        heapq.heappush(self._agenda, (time, next(self._order), what))

    def advance(self, to: int) -> None:
        while self._agenda and self._agenda[0][0] <= to:
            time, _, what = heapq.heappop(self._agenda)
            self.now = max(self.now, time)
            what()
        self.now = max(self.now, to)

    def next_at(self) -> int | None:
        return self._agenda[0][0] if self._agenda else None

    # What happens

    def _foreign(self, trade: Foreign) -> None:
        quantity = milli(abs(trade.thousandths))
        side = Side.BUY if trade.thousandths > 0 else Side.SELL
        order = VenueOrder(next(self._ids), f"web_{self.now}", side, quantity, own=False)
        self.orders[order.order_id] = order
        self._fill(order, quantity)
        self._report(order, "FILLED")

    def _fill(self, order: VenueOrder, quantity: Decimal) -> None:
        trade = Trade(
            trade_id=next(self._trade_ids),
            order_id=order.order_id,
            symbol=SYMBOL,
            side=order.side,
            position_side=PositionSide.BOTH,
            quantity=quantity,
            price=Decimal(100),
            realized_pnl=ZERO,
            commission=ZERO,
            commission_asset="USDT",
            time=self.now,
        )
        self.trades.append(trade)
        self.amount += trade.signed
        self.moves.append((self.now, self.amount))

    def _report(self, order: VenueOrder, status: str) -> None:
        executed = self.filled_by(order.order_id)
        report = OrderReport(
            order_id=order.order_id,
            client_order_id=order.client_order_id,
            symbol=SYMBOL,
            side=order.side,
            position_side=PositionSide.BOTH,
            status=status,
            order_type="MARKET",
            reduce_only=order.own,
            orig_qty=order.quantity,
            executed_qty=executed,
            update_time=self.now,
        )
        order.reports.append((self.now, report))
        if not order.own:
            return
        delay = self._news.pop(0) if self._news else 8
        if delay is not None:
            for echo in range(self.script.echoes + 1):
                self.at(self.now + delay + 40 * echo, lambda: self._tell(report))

    def filled_by(self, order_id: int) -> Decimal:
        return sum((trade.quantity for trade in self.trades if trade.order_id == order_id), ZERO)

    def own_filled(self) -> Decimal:
        return sum((trade.quantity for trade in self.trades if self.orders[trade.order_id].own), ZERO)

    def truth_at(self, time: int) -> Decimal:
        """The position after everything up to and including a time."""
        return [amount for at, amount in self.moves if at <= time or at == self.moves[0][0]][-1]

    # An order

    def place(self, sending: Sending) -> steps.AnyEvent:
        """One request: what becomes of it may be later than what is answered."""
        fate = self._fates.pop(0) if self._fates else Fate()
        reducing = Side.SELL if sending.position.amount > 0 else Side.BUY
        assert sending.side is reducing, "I5: an order must reduce"
        assert ZERO < sending.quantity <= abs(sending.position.amount), "I5: never larger than the read"
        assert sending.quantity == on_step(sending.quantity, RULES), "the venue's step"
        assert sending.quantity <= RULES.max_qty, "the venue's maximum"
        assert sending.client_order_id not in {before.client_order_id for before in self.sent}, (
            "I1: sent twice"
        )
        assert not self.pending, f"I2: {self.pending} can still execute"
        assert all(order.ended for order in self.orders.values() if order.own), "I2: an order still works"
        self.sent.append(sending)
        began = self.now
        if not fate.arrives:
            return self._no_answer(fate)
        if fate.refusal is not None:
            refusal = Refusal(
                kind=fate.refusal,
                http_status=400,
                code=-1,
                message=fate.refusal,
                retry_after_ms=fate.retry_after,
            )
            return self._answer_refusal(fate, refusal)
        if began + fate.delay > sending.deadline:
            self.advance(began + 5)
            late = Refusal(kind=Class.RETRY, http_status=400, code=-1021, message="outside of recvWindow")
            return self._answer_refusal(fate, late)
        self.pending[sending.client_order_id] = began + fate.delay
        box: list[VenueOrder | Refusal] = []
        self.at(began + fate.delay, lambda: box.append(self._execute(sending, fate)))
        if fate.reply in {Reply.LOST, Reply.SLOW}:
            return self._no_answer(fate)
        self.advance(began + fate.delay)
        if fate.reply is Reply.GIVEN:
            self.advance(self.now + fate.gap * len(fate.parts))
        (result,) = box
        self.advance(self.now + self.script.latency)
        if isinstance(result, Refusal):
            return steps.Refused(now=self.now, refusal=result)
        report = result.reports[0 if fate.reply is Reply.EARLY else -1][1]
        if fate.reply is Reply.STRANGE:
            report = msgspec.structs.replace(report, order_id=9_999_999, client_order_id="somebody-elses")
        return steps.OrderSeen(now=self.now, order=report, via=Via.ANSWER)

    def _no_answer(self, fate: Fate) -> steps.AnyEvent:
        self.advance(self.now + (2_000 if fate.reply is Reply.SLOW else self.script.latency))
        return steps.Unanswered(now=self.now, reason="no answer")

    def _answer_refusal(self, fate: Fate, refusal: Refusal) -> steps.AnyEvent:
        if fate.reply in {Reply.LOST, Reply.SLOW}:
            return self._no_answer(fate)
        self.advance(self.now + self.script.latency)
        return steps.Refused(now=self.now, refusal=refusal)

    def _execute(self, sending: Sending, fate: Fate) -> VenueOrder | Refusal:
        """The venue's own rule stands last: what would not reduce the position is refused, never filled."""
        sign = 1 if sending.side is Side.BUY else -1
        if sign * self.amount >= 0:
            del self.pending[sending.client_order_id]
            return Refusal(kind=Class.FLAT_CHECK, http_status=400, code=-2022, message="ReduceOnly rejected")
        order = VenueOrder(
            next(self._ids), sending.client_order_id, sending.side, sending.quantity, own=True
        )
        self.orders[order.order_id] = order
        self._report(order, "NEW")
        for index, part in enumerate(fate.parts):
            last = index == len(fate.parts) - 1
            fill = self._filler(order, on_step(sending.quantity * part / 100, RULES), last=last)
            if fate.gap and index:
                self.at(self.now + fate.gap * index, fill)
            else:
                fill()
        return order

    def _filler(self, order: VenueOrder, part: Decimal, *, last: bool) -> Callable[[], None]:
        def fill() -> None:
            left = order.quantity - self.filled_by(order.order_id)
            sign = 1 if order.side is Side.BUY else -1
            room = max(ZERO, -sign * self.amount)
            quantity = min(part, left, room)
            if quantity:
                self._fill(order, quantity)
            whole = self.filled_by(order.order_id) == order.quantity
            if last:
                del self.pending[order.client_order_id]
            if last or quantity:
                status = "FILLED" if whole and last else "EXPIRED" if last else "PARTIALLY_FILLED"
                self._report(order, status)

        return fill

    # Reads

    def _lag(self, kind: str) -> int:
        return self._lags[kind].pop(0) if self._lags[kind] else 0

    def failing(self) -> bool:
        return next(self._reads) in self.script.failing_reads

    def position(self, requested_at: int) -> Position:
        cut = self.now - self._lag("position")
        shown = [move for move in self.moves if move[0] <= cut] or self.moves[:1]
        if self.script.torn and len(shown) > 1 and shown[-1][0] == shown[-2][0] and self._lags["position"]:
            shown.pop()
        time, amount = shown[-1]
        return Position(
            symbol=SYMBOL,
            position_side=PositionSide.BOTH,
            amount=amount,
            entry_price=Decimal(100),
            mark_price=Decimal(100),
            update_time=time,
            requested_at=requested_at,
        )

    def trades_since(self, since: int) -> tuple[Trade, ...]:
        cut = self.now - self._lag("trades")
        return tuple(trade for trade in self.trades if since <= trade.time <= cut)

    def trades_of(self, order_id: int) -> tuple[Trade, ...]:
        cut = self.now - self._lag("trades")
        return tuple(trade for trade in self.trades if trade.order_id == order_id and trade.time <= cut)

    def order(self, client_order_id: str) -> OrderReport | None:
        cut = self.now - self._lag("orders")
        for order in self.orders.values():
            if order.client_order_id == client_order_id:
                return order.as_of(cut)
        return None

    def orders_since(self, since: int) -> list[OrderReport]:
        cut = self.now - self._lag("orders")
        shown = [order.as_of(cut) for order in self.orders.values() if order.reports]
        begun = [order.reports[0][0] for order in self.orders.values() if order.reports]
        return [report for report, at in zip(shown, begun, strict=True) if report is not None and at >= since]

    def order_by_id(self, order_id: int) -> OrderReport | None:
        return self.orders[order_id].as_of(self.now - self._lag("orders"))


# The log ---------------------------------------------------------------------------------------------------------------


@dataclass
class JournalModel:
    """The records of one close as the log has them."""

    facts: list[AnyFact] = field(default_factory=list)
    attempt: int = 0
    ended: Ended | None = None

    def append(self, unwritten: list[AnyFact]) -> None:
        self.facts += unwritten
        unwritten.clear()

    def gate(self, unwritten: list[AnyFact], sending: Sending) -> None:
        assert sending.attempt == self.attempt + 1, "the gate counts attempts one by one"
        self.append(unwritten)
        self.facts.append(sending)
        self.attempt = sending.attempt

    def publish(self, unwritten: list[AnyFact], ended: Ended) -> None:
        self.append(unwritten)
        self.facts.append(ended)
        self.ended = ended


# The process -----------------------------------------------------------------------------------------------------------


class Crashed(Exception):
    """The process is gone, or the log's answer is."""

    def __init__(self, down: int) -> None:
        super().__init__(down)
        self.down = down


class History:
    """One script, driven to its outcome or to the limit of steps."""

    def __init__(self, script: Script, policy: Policy = POLICY) -> None:
        self.script = script
        self.policy = policy
        self.inbox: list[OrderReport] = []
        self.alive = True
        self.world = World(script, self._hear)
        self.journal = JournalModel()
        self.state: State = New()
        self.unwritten: list[AnyFact] = []
        self.steps: list[tuple[str, State, steps.AnyEvent, steps.AnyEffect]] = []
        self._gates = list(script.gates)
        self._crashes = {crash.step: crash for crash in script.crashes}
        self.decision = self._decision()

    def _decision(self) -> Decision:
        script, world = self.script, self.world
        world.advance(START - 2_500)
        origin = world.now
        known = {"position_amt": str(world.amount), "position_update_time": world.moves[-1][0]}
        world.advance(START)
        return decision(
            fraction=script.fraction,
            quantity=None if script.quantity is None else str(milli(script.quantity)),
            origin_at=origin,
            expires_at=None if script.expires is None else START + script.expires,
            **(known if script.known and world.truth_at(origin) else {}),  # type: ignore[arg-type]
        )

    def _hear(self, order: OrderReport) -> None:
        if self.alive:
            self.inbox.append(order)

    def run(self) -> "History":
        while self.journal.ended is None and len(self.steps) < MOST_STEPS:
            try:
                self._live()
            except Crashed as crash:
                self._die(crash.down)
        return self

    def _die(self, down: int) -> None:
        self.alive = False
        self.inbox.clear()
        self.unwritten.clear()
        self.world.advance(self.world.now + down)
        self.alive = True

    def _live(self) -> None:
        self.state = fold(self.journal.facts)
        event: steps.AnyEvent
        if isinstance(self.state, New | Done):
            event = steps.Received(now=self._now(), decision=self.decision, entry=ENTRY)
        else:
            event = steps.Taken(now=self._now(), worker="w", epoch=1)
        effect = self._step(event)
        while not isinstance(effect, steps.Rest) and len(self.steps) < MOST_STEPS:
            news = self._pause(effect.delay)
            if news is None:
                event = self._perform(effect)
            else:
                event = steps.OrderSeen(now=self._now(), order=news, via=Via.STREAM)
            effect = self._step(event)

    def _step(self, event: steps.AnyEvent) -> steps.AnyEffect:
        step = decide(self.state, event, self.policy)
        self.steps.append((type(self.state).__name__, step.state, event, step.effect))
        self.state = step.state
        self.unwritten += step.facts
        return step.effect

    def _pause(self, delay: int) -> OrderReport | None:
        if not self.inbox and delay:
            self.journal.append(self.unwritten)
            until = self.world.now + delay
            while not self.inbox and self.world.now < until:
                coming = self.world.next_at()
                self.world.advance(min(until, until if coming is None else max(coming, self.world.now)))
        return self.inbox.pop(0) if self.inbox else None

    def _perform(self, effect: steps.AnyEffect) -> steps.AnyEvent:
        crash = self._crashes.pop(len(self.steps), None)
        if crash is not None and crash.before:
            raise Crashed(crash.down)
        event = self._done(effect)
        if crash is not None:
            raise Crashed(crash.down)
        return event

    def _done(self, effect: steps.AnyEffect) -> steps.AnyEvent:
        world = self.world
        match effect:
            case steps.PassGate():
                return self._pass_gate(effect)
            case steps.Send():
                return self._send(effect.sending)
            case steps.Publish():
                self.journal.publish(self.unwritten, effect.ended)
                return steps.Published(now=self._now(), ended=effect.ended)
            case _:
                requested_at = self._earliest()
                asked_at = world.now
                world.advance(world.now + self.script.latency)
                if world.failing():
                    return steps.ReadFailed(now=self._now(), reason="no answer")
                return self._read(effect, requested_at, asked_at)

    def _read(self, effect: steps.AnyEffect, requested_at: int, asked_at: int) -> steps.AnyEvent:
        world = self.world
        match effect:
            case steps.ReadPosition():
                position = world.position(requested_at)
                return steps.PositionRead(now=self._now(), position=position, rules=RULES)
            case steps.ReadHistory():
                trades = world.trades_since(effect.since)
                return steps.HistoryRead(
                    now=self._now(), position=effect.position, rules=effect.rules, trades=trades
                )
            case steps.QueryOrder():
                order = world.order(effect.client_order_id)
                if order is None:
                    return steps.OrderMissing(now=self._now(), asked_at=asked_at)
                return steps.OrderSeen(now=self._now(), order=order, via=Via.QUERY)
            case steps.ReadTrades():
                return steps.TradesRead(now=self._now(), trades=world.trades_of(effect.order_id))
            case steps.GatherEvidence():
                return steps.EvidenceRead(now=self._now(), evidence=self._evidence(effect.since, asked_at))
            case _:
                raise AssertionError(f"not a read: {effect}")

    def _evidence(self, since: int, begun_at: int) -> Evidence:
        world = self.world
        orders = world.orders_since(since)
        world.advance(world.now + self.script.latency)
        trades = world.trades_since(since)
        for order_id in sorted({trade.order_id for trade in trades} - {order.order_id for order in orders}):
            older = world.order_by_id(order_id)
            if older is not None:
                orders.append(older)
        requested_at = self._earliest()
        world.advance(world.now + self.script.latency)
        position = world.position(requested_at)
        return Evidence(begun_at=begun_at, orders=tuple(orders), trades=trades, position=position)

    def _pass_gate(self, effect: steps.PassGate) -> steps.AnyEvent:
        world, fate = self.world, self._gates.pop(0) if self._gates else Gate.OPEN
        if fate is Gate.BUSY:
            return steps.GateRefused(now=self._now(), reason="busy", passing=True)
        if self.script.frozen_from is not None and world.now >= START + self.script.frozen_from:
            return steps.GateRefused(now=self._now(), reason="frozen")
        timestamp = self._earliest()
        if effect.expires_at is not None and timestamp > effect.expires_at:
            return steps.GateRefused(now=self._now(), reason="expired")
        sending = Sending(
            attempt=effect.attempt,
            client_order_id=effect.client_order_id,
            side=effect.side,
            quantity=effect.quantity,
            timestamp=timestamp,
            deadline=timestamp + RECV_WINDOW,
            position=effect.position,
        )
        if fate is Gate.UNWRITTEN_UNHEARD:
            raise Crashed(250)
        world.advance(world.now + (1_500 if fate is Gate.SLOW else 1))
        self.journal.gate(self.unwritten, sending)
        if fate is Gate.WRITTEN_UNHEARD:
            raise Crashed(250)
        return steps.GatePassed(now=self._now(), sending=sending)

    def _send(self, sending: Sending) -> steps.AnyEvent:
        assert sending in self.journal.facts, "I1: a send is preceded by its durable record"
        if self.world.now + self.script.clock_error > sending.timestamp + RECV_WINDOW // 2:
            return steps.Withheld(now=self._now(), reason="the gate took more than half of the window")
        return self.world.place(sending)

    def _now(self) -> int:
        return self.world.now + self.script.clock_error

    def _earliest(self) -> int:
        return self.world.now - abs(self.script.clock_error)

    # What came of it

    @property
    def ended(self) -> Ended:
        assert self.journal.ended is not None, f"no outcome after {len(self.steps)} steps"
        return self.journal.ended

    @property
    def outcome(self) -> Outcome:
        return self.ended.outcome

    @property
    def sized(self) -> list[Sized]:
        return [fact for fact in self.journal.facts if isinstance(fact, Sized)]

    def told(self) -> str:
        """The history as text, for the report of a failure."""
        lines = [f"{self.script}"]
        for state, after, event, effect in self.steps[-60:]:
            lines.append(f"{state} <- {event}\n    -> {type(after).__name__}, {effect}")
        return "\n".join(lines)


def judged(history: History) -> None:
    """What must hold of every history, by the truth of the model."""
    journal, world = history.journal, history.world
    ended, script = history.ended, history.script
    outcome, filled = ended.outcome, world.own_filled()
    final = fold(journal.facts)
    assert isinstance(final, Done)
    known = final.progress.filled
    assert outcome.kind is not OutcomeKind.PARKED, f"a fault alone parked: {outcome}"
    assert known == filled, f"{filled} was filled and {known} is known"
    if outcome.kind in {OutcomeKind.ALREADY_FLAT, OutcomeKind.SKIPPED, OutcomeKind.REFUSED}:
        assert not filled, f"{outcome} with {filled} filled"
    if outcome.kind in {OutcomeKind.FLAT, OutcomeKind.REDUCED}:
        _confirmed(history, filled)
    _not_over_closed(history, filled)
    _same_position(history)
    if outcome.kind is OutcomeKind.ALREADY_FLAT:
        assert ended.position_after is not None
        assert ended.position_after.amount == 0
    if outcome.reason == "position_changed" and not script.torn:
        assert script.foreign, "nobody else changed the position"


def _confirmed(history: History, filled: Decimal) -> None:
    """I7: only with fills and a read that counts."""
    ended, world = history.ended, history.world
    position = ended.position_after
    assert filled, f"{ended.outcome} without a fill"
    assert position is not None
    last = max(trade.time for trade in world.trades if world.orders[trade.order_id].own)
    assert position.requested_at >= last
    assert position.update_time >= last
    assert (position.amount == 0) is (ended.outcome.kind is OutcomeKind.FLAT)
    if not history.script.torn:
        assert world.truth_at(position.update_time) == position.amount
    target = history.sized[-1].target
    if ended.outcome == Outcome(OutcomeKind.REDUCED):
        assert filled == target, f"reduced by {filled} of {target} and no reason is given"


def _not_over_closed(history: History, filled: Decimal) -> None:
    sizings, world, script = history.sized, history.world, history.script
    if not sizings:
        assert not filled
        return
    full = script.fraction == "1" and script.quantity is None
    assert filled <= sizings[-1].target
    if not full:
        assert len(sizings) == 1, "a partial close is sized once"
        wanted = abs(sizings[0].position.amount) * Decimal(script.fraction or "1")
        if script.quantity is not None:
            wanted = min(wanted, milli(script.quantity))
        assert sizings[0].target <= wanted
    for first, again in zip(sizings, sizings[1:], strict=False):
        since = max(first.position.update_time, first.position.requested_at)
        added = [
            trade
            for trade in world.trades
            if since < trade.time <= again.position.update_time and trade.signed * first.position.amount > 0
        ]
        assert not added, f"sized again although somebody added {added}"


def _same_position(history: History) -> None:
    """No order for a position that went through zero after the decision, as far as the sizing's read could show it."""
    sizings, decision_ = history.sized, history.decision
    if not sizings:
        return
    position = sizings[0].position
    since = decision_.origin_at + 2_000
    if decision_.position_update_time is not None:
        since = decision_.position_update_time
    amount = position.amount
    for trade in reversed(history.world.trades):
        if since < trade.time <= position.update_time:
            amount -= trade.signed
            assert amount * position.amount > 0 or history.script.torn, (
                f"the position had been {amount} before {trade}"
            )
