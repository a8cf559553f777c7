"""The log and the process that drives a close, for histories in a model world; and the judgement of what came of it.

The driver does what ``services/closing.py`` does, in the same order: decide, perform, tell; what is known is written
before any wait; a crash and a lost answer of the log both mean that the close begins again from what is recorded.
"""

from dataclasses import dataclass, field
from decimal import Decimal
from itertools import pairwise

from sureclose.domain import steps
from sureclose.domain.close import Done, New, State, fold
from sureclose.domain.decide import decide
from sureclose.domain.events import Decision
from sureclose.domain.evidence import Evidence
from sureclose.domain.facts import AnyFact, Ended, Sending, Sized, Via
from sureclose.domain.market import OrderReport
from sureclose.domain.outcome import Outcome, OutcomeKind
from sureclose.domain.policy import Policy
from tests.domain.worlds import ENTRY, POLICY, RECV_WINDOW, RULES, START, Gate, Script, World, decision, milli

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


MOST_STEPS = 3_000
"""A history that takes more has no end: drawn faults are few, and each costs a bounded number of steps."""

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
        self.frozen_from = script.frozen_from
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

    def again(self) -> "History":
        """The same decision is delivered once more."""
        self.journal.ended = None
        return self.run()

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
        if self.frozen_from is not None and world.now >= START + self.frozen_from:
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
    def effects(self) -> list[steps.AnyEffect]:
        return [effect for _, _, _, effect in self.steps]

    @property
    def said(self) -> str:
        return str(self.outcome)

    @property
    def filled(self) -> Decimal:
        return self.world.own_filled()

    @property
    def quantities(self) -> list[Decimal]:
        """What was ordered, attempt by attempt."""
        return [sending.quantity for sending in self.world.sent]

    @property
    def took(self) -> int:
        return self.world.now - START

    @property
    def sized(self) -> list[Sized]:
        """The sizings that attempts were made with."""
        marks = [fact for fact in self.journal.facts if isinstance(fact, Sized | Sending)]
        return [one for one, then in pairwise(marks) if isinstance(one, Sized) and isinstance(then, Sending)]

    def told(self) -> str:
        """The history as text, for the report of a failure."""
        lines = [f"{self.script}"]
        for state, after, event, effect in self.steps[:6] + self.steps[6:][-14:]:
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
    for first, again in pairwise(sizings):
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
    for sending in history.world.sent:
        _still_the_same(history, sending)


def _still_the_same(history: History, sending: Sending) -> None:
    """Nor for one that was closed and opened anew by others since our last fill, as far as the gate's read shows it."""
    read, world = sending.position, history.world
    journal = history.journal.facts
    sized = [fact for fact in journal[: journal.index(sending)] if isinstance(fact, Sized)][-1]
    fills = [t.time for t in world.trades if world.orders[t.order_id].own and t.time <= read.update_time]
    since = max(sized.position.update_time, sized.position.requested_at, *fills, 0)
    amount = read.amount
    for trade in reversed(world.trades):
        if since < trade.time <= read.update_time:
            amount -= trade.signed
            assert amount * read.amount > 0 or history.script.torn, (
                f"attempt {sending.attempt}: the position had been {amount} before {trade}"
            )
