"""The log and the process that drives a close, for histories in a model world; ``judging`` says what must come of it.

The driver does what ``services/closing.py`` does, in the same order: decide, perform, tell; what is known is written
before any wait; a crash and a lost answer of the log both mean that the close begins again from what is recorded.
"""

from dataclasses import dataclass, field
from decimal import Decimal
from itertools import pairwise

from sureclose.domain import steps
from sureclose.domain.close import Concluded, Done, New, State, Waiting, fold
from sureclose.domain.decide import decide, news
from sureclose.domain.events import Decision
from sureclose.domain.evidence import Evidence
from sureclose.domain.facts import AnyFact, Clearing, Ended, Sending, Sized, Via
from sureclose.domain.market import OrderReport, Position, RestingOrder
from sureclose.domain.outcome import Outcome, Report
from sureclose.domain.policy import Policy
from sureclose.domain.report import report_of
from sureclose.domain.sameness import meant
from sureclose.domain.words import PositionSide
from tests.domain.scripts import ENTRY, POLICY, RECV_WINDOW, RULES, START, Gate, Script, decision, milli
from tests.domain.worlds import World

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


STALE_POSITION_MS = 1_000
"""How old a position read may be when the gate is passed; an older one is read again."""
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
        self.report: Report | None = None
        """What was told of the outcome."""
        self._gates = list(script.gates)
        self._permits = list(script.permits)
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
            position_side=script.side if script.named else PositionSide.BOTH,
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
        effect = self._taken(event, decide(self.state, event, self.policy))
        while not isinstance(effect, steps.Rest) and len(self.steps) < MOST_STEPS:
            heard = self._pause(effect.delay)
            if heard is None:
                event = self._perform(effect)
                effect = self._taken(event, decide(self.state, event, self.policy))
            else:
                seen = steps.OrderSeen(now=self._now(), order=heard, via=Via.STREAM)
                effect = self._taken(seen, news(self.state, seen, effect, self.policy))

    def _taken(self, event: steps.AnyEvent, step: steps.Step) -> steps.AnyEffect:
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
        match effect:
            case steps.PassGate():
                return self._pass_gate(effect)
            case steps.Send():
                return self._send(effect.sending)
            case steps.CancelResting():
                return self._cancel(effect)
            case steps.Publish():
                assert isinstance(self.state, Concluded)
                self.report = report_of(self.state, "")
                self.journal.publish(self.unwritten, effect.ended)
                return steps.Published(now=self._now(), ended=effect.ended)
            case _:
                return self._look(effect)

    def _told(self, effect: steps.AnyEffect) -> Position | None:
        """The position as the stream tells it, where it may size the close: all of it, at the first try."""
        state = self.state
        if not isinstance(effect, steps.ReadPosition) or not isinstance(state, Waiting) or state.tries:
            return None
        if state.progress.attempts or not state.progress.full:
            return None
        return self.world.told(self._earliest())

    def _look(self, effect: steps.AnyEffect) -> steps.AnyEvent:
        told = self._told(effect)
        if told is not None:
            return steps.PositionRead(now=self._now(), position=told, rules=RULES)
        requested_at, asked_at = self._earliest(), self.world.now
        self.world.advance(self.world.now + self.script.latency)
        if self.world.failing():
            return steps.ReadFailed(now=self._now(), reason="no answer")
        return self._read(effect, requested_at, asked_at)

    def _read(self, effect: steps.AnyEffect, requested_at: int, asked_at: int) -> steps.AnyEvent:
        world = self.world
        match effect:
            case steps.ReadPosition():
                return self._position(effect.position_side, requested_at)
            case steps.ReadHistory():
                position, trades = effect.position, world.trades_since(effect.since)
                last = world.order_by_id(trades[-1].order_id) if trades and not position.amount else None
                return steps.HistoryRead(
                    now=self._now(), position=position, rules=effect.rules, trades=trades, closed_by=last
                )
            case steps.ReadResting():
                return steps.RestingRead(
                    now=self._now(), position=effect.position, rules=effect.rules, orders=world.resting()
                )
            case steps.QueryOrder():
                order = world.order(effect.client_order_id)
                if order is None:
                    return steps.OrderMissing(now=self._now(), asked_at=asked_at)
                return steps.OrderSeen(now=self._now(), order=order, via=Via.QUERY)
            case steps.ReadTrades():
                return steps.TradesRead(now=self._now(), trades=world.trades_of(effect.order_id))
            case steps.GatherEvidence():
                assert effect.position_side is self.script.side
                evidence = self._evidence(effect.since, requested_at, asked_at)
                return steps.EvidenceRead(now=self._now(), evidence=evidence)
            case _:
                raise AssertionError(f"not a read: {effect}")

    def _position(self, side: PositionSide | None, requested_at: int) -> steps.AnyEvent:
        """The position of the side that was asked for, else the one that the decision means."""
        its, *others = self.world.positions(requested_at)
        assert side in {None, its.position_side}, "the position that was filled from"
        if side is None and others:
            long, short = sorted((its, *others), key=lambda position: position.position_side)
            found = meant(self.decision, long, short)
            if found is None:
                return steps.SideUnclear(now=self._now())
            its = found
        return steps.PositionRead(now=self._now(), position=its, rules=RULES)

    def _evidence(self, since: int, requested_at: int, begun_at: int) -> Evidence:
        world = self.world
        position = world.position(requested_at)
        world.advance(world.now + self.script.latency)
        orders = world.orders_since(since)
        world.advance(world.now + self.script.latency)
        trades = world.trades_since(since)
        for order_id in sorted({trade.order_id for trade in trades} - {order.order_id for order in orders}):
            older = world.order_by_id(order_id)
            if older is not None:
                orders.append(older)
        return Evidence(begun_at=begun_at, orders=tuple(orders), trades=trades, position=position)

    def _cancel(self, effect: steps.CancelResting) -> steps.AnyEvent:
        """Write, if the close may act; then one request for each order; then the list."""
        world, fate = self.world, self._permits.pop(0) if self._permits else Gate.OPEN
        if self.frozen:
            return steps.GateRefused(now=self._now(), reason="frozen")
        if fate is Gate.UNWRITTEN_UNHEARD:
            raise Crashed(250)
        world.advance(world.now + 1)
        self.journal.append(self.unwritten)
        if fate is Gate.WRITTEN_UNHEARD:
            raise Crashed(250)
        world.advance(world.now + self.script.latency)
        for order in effect.orders:
            assert self._may_cancel(order), f"{order} was not about to be cancelled"
            world.shelf.cancel(order)
        return self._look(steps.ReadResting(why=effect.why, position=effect.position, rules=effect.rules))

    def _may_cancel(self, order: RestingOrder) -> bool:
        """Nothing is cancelled that the journal did not say before."""
        return any(order in fact.orders for fact in self.journal.facts if isinstance(fact, Clearing))

    @property
    def frozen(self) -> bool:
        return self.frozen_from is not None and self.world.now >= START + self.frozen_from

    def _pass_gate(self, effect: steps.PassGate) -> steps.AnyEvent:
        world, fate = self.world, self._gates.pop(0) if self._gates else Gate.OPEN
        if fate is Gate.BUSY:
            return steps.GateRefused(now=self._now(), reason="busy", passing=True)
        if self.frozen:
            return steps.GateRefused(now=self._now(), reason="frozen")
        timestamp = self._earliest()
        if timestamp - effect.position.requested_at > STALE_POSITION_MS:
            return self._look(steps.ReadPosition(position_side=effect.position.position_side))
        cancelled_at = max((at for at, _ in world.shelf.asked), default=0)
        assert cancelled_at - abs(self.script.clock_error) <= effect.position.requested_at, (
            "what was cancelled may have been filled before: the position is read again"
        )
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
            limit_price=effect.limit_price,
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
        assert self.world.own_filled() + sending.quantity <= self.sized[-1].target, "never beyond the target"
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
