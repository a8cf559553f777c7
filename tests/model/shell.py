"""What a process does with a close: the model's ``services/closing.py``. It performs the effect, and tells the core."""

from collections.abc import Iterator

import msgspec

from sureclose.domain import steps
from sureclose.domain.close import Done, New
from sureclose.domain.facts import Admitted, Sending, Via
from sureclose.domain.market import Class, Refusal
from sureclose.domain.outcome import OutcomeKind
from sureclose.domain.steps import AnyEvent
from tests.model import exchange
from tests.model.book import OK, Hand, acknowledge
from tests.model.clock import STALE_MS
from tests.model.core import Decided, after, folded
from tests.model.faults import Bounds, Fault
from tests.model.move import Deed, Move
from tests.model.mutants import Mutant
from tests.model.reads import reads
from tests.model.terms import EFFECTS, FACTS, POLICY, STATES, entry_ref, wish
from tests.model.world import (
    NAMES,
    PLANS,
    WINDOW,
    Closing,
    Kind,
    Phase,
    Process,
    Request,
    World,
    spend,
    with_closing,
    with_process,
)

_ENDS = {OutcomeKind.SKIPPED: "SKIPPED", OutcomeKind.PARKED: "PARKED"}
_FENCED = {"STALE_LEASE", "STALE_HEAD", "STALE_ATTEMPT"}


class Shell:
    """The processes of one search; ``broken`` is the mistake that they make."""

    def __init__(self, bounds: Bounds, broken: Mutant | None = None) -> None:
        self._bounds = bounds
        self._broken = broken
        self._copies = bounds.copies

    def entries_of(self, plan: int) -> range:
        return range(plan * self._copies, (plan + 1) * self._copies)

    # Beginning and ending -----------------------------------------------------------------------------------------

    def begin(self, world: World, name: int, plan: int, entry: int) -> World:
        """A process takes a close up, with an entry that came in or without."""
        facts = world.log.closes[plan].facts
        fresh = Closing(facts, len(facts), folded(facts), (), 0, Phase.RECALL, entry, entry)
        process = with_closing(world.processes[name], plan, fresh)
        return self.recall(with_process(world, name, process), name, plan)

    def recall(self, world: World, name: int, plan: int) -> World:
        """What is recorded is what is so; what the process believed counts for nothing."""
        process = world.processes[name]
        closing = process.closings[plan]
        assert closing is not None
        facts = world.log.closes[plan].facts
        state = folded(facts)
        judged = next(
            (
                int(fact.entry.entry_id[:-2]) - 1
                for fact in (FACTS[number] for number in reversed(facts))
                if isinstance(fact, Admitted)
            ),
            closing.judged,
        )
        event: AnyEvent
        match STATES[state]:
            case New() | Done() as over:
                published = isinstance(over, Done) and (
                    over.ended.outcome.kind is not OutcomeKind.SKIPPED or len(facts) > closing.began
                )
                if closing.entry < 0 or published:
                    return self.finish(world, name, plan, judged)
                judged = closing.entry
                decision = wish(plan, self._bounds.fractions[plan])
                event = steps.Received(now=world.now, decision=decision, entry=entry_ref(judged))
            case _:
                event = steps.Taken(now=world.now, worker=NAMES[name], epoch=process.epoch)
        closing = closing._replace(seen=facts, unwritten=(), judged=judged, phase=Phase.READY)
        return self.put(world, name, plan, closing, after(state, event))

    def finish(self, world: World, name: int, plan: int, judged: int) -> World:
        """The outcome is recorded: what else was delivered of the same close says nothing new, and is acknowledged."""
        process = self._out_of_lane(with_closing(world.processes[name], plan, None), plan)
        mine = self.entries_of(plan)
        again = tuple(entry for entry in mine if process.held[entry] and entry != judged)
        held = tuple(was and entry not in mine for entry, was in enumerate(process.held))
        world = world._replace(log=acknowledge(world.log, again))
        return with_process(world, name, process._replace(held=held))

    def leave(self, world: World, name: int) -> World:
        """The process forgets everything: it died, or learnt that the lease is another's.

        One that stays dead does no more than one that stands by, so there is no state for it.
        """
        nothing = (None,) * len(self._bounds.fractions)
        held = (False,) * len(world.log.acknowledged)
        return with_process(world, name, Process(0, -1, nothing, held))

    def _out_of_lane(self, process: Process, plan: int) -> Process:
        return process._replace(lane=-1) if process.lane == plan else process

    def put(self, world: World, name: int, plan: int, closing: Closing, decided: Decided) -> World:
        state, facts, effect = decided
        closing = closing._replace(
            state=state, unwritten=closing.unwritten + facts, effect=effect, phase=Phase.READY
        )
        return with_process(world, name, with_closing(world.processes[name], plan, closing))

    def told(self, world: World, name: int, plan: int, event: AnyEvent) -> World:
        """An event is decided on."""
        closing = world.processes[name].closings[plan]
        assert closing is not None
        return self.put(world, name, plan, closing, after(closing.state, event))

    # What it does next --------------------------------------------------------------------------------------------

    def goes_on(self, world: World, name: int, plan: int) -> Iterator[Move]:
        """The next thing that a process does with a close, in each way that it can come out."""
        process = world.processes[name]
        closing = process.closings[plan]
        assert closing is not None
        who = f"{NAMES[name]}, {PLANS[plan]}"
        if closing.phase is Phase.RECALL:
            yield Move(f"{who}: reads the close back from the log", self.recall(world, name, plan))
            return
        if closing.phase is Phase.ANSWER:
            yield from self._answer(world, name, plan, who)
            return
        effect = EFFECTS[closing.effect]
        waits = process.lane not in {-1, plan} and self._broken is not Mutant.NO_LANE
        if closing.unwritten and (waits or effect.delay):
            yield from self._write(world, name, plan, closing, who)
            return
        if waits:
            return
        world = with_process(world, name, process._replace(lane=plan))
        match effect:
            case steps.PassGate():
                yield from self._pass_gate(world, name, plan, effect, who)
            case steps.Send():
                yield from self._send(world, name, plan, effect.sending, who)
            case steps.Publish():
                yield from self._publish(world, name, plan, closing, who)
            case steps.Rest():
                yield Move(f"{who}: rests", self.finish(world, name, plan, closing.judged))
            case _:
                for read in reads(world, effect, self._broken):
                    seen = spend(world, *read.costs)
                    if seen is not None:
                        words = f"{who}: {read.words}"
                        yield Move(words, self.told(seen, name, plan, read.event), bool(read.costs))

    def _fenced(self, world: World, name: int, plan: int, said: str, who: str) -> Move:
        if said == "STALE_LEASE":
            return Move(f"{who}: is told that the lease is not its own", self.leave(world, name))
        return Move(f"{who}: is told {said}", self._begin_anew(world, name, plan))

    def _begin_anew(self, world: World, name: int, plan: int) -> World:
        process = world.processes[name]
        closing = process.closings[plan]
        assert closing is not None
        closing = closing._replace(phase=Phase.RECALL, unwritten=())
        process = self._out_of_lane(with_closing(process, plan, closing), plan)
        return with_process(world, name, process)

    def _unheard(self, world: World, name: int, plan: int, who: str, what: str) -> Iterator[Move]:
        """The answer of a script is lost: whether it ran or not, the close begins again from what is recorded."""
        lost = spend(world, Fault.LOG)
        if lost is not None:
            if self._broken is not Mutant.NO_CHAIN:
                lost = self._begin_anew(lost, name, plan)
            yield Move(f"{who}: {what}, and hears no answer", lost, faulty=True)

    def _write(self, world: World, name: int, plan: int, closing: Closing, who: str) -> Iterator[Move]:
        said, log = Hand(world, name, world.processes[name], plan, closing, self._broken).append()
        yield from self._unheard(world, name, plan, who, "asks to append, which is not done")
        if said != OK:
            yield self._fenced(world, name, plan, said, who)
            return
        written = world._replace(log=log)
        yield from self._unheard(written, name, plan, who, "appends")
        closing = closing._replace(seen=log.closes[plan].facts, unwritten=())
        process = with_closing(written.processes[name], plan, closing)
        yield Move(f"{who}: appends what it knows", with_process(written, name, process))

    def _pass_gate(
        self, world: World, name: int, plan: int, effect: steps.PassGate, who: str
    ) -> Iterator[Move]:
        if world.now - effect.position.requested_at > STALE_MS:
            read = steps.ReadPosition(position_side=effect.position.position_side)
            for found in reads(world, read, None):
                if not found.costs:
                    yield Move(f"{who}: {found.words} again", self.told(world, name, plan, found.event))
            return
        process = world.processes[name]
        closing = process.closings[plan]
        assert closing is not None
        quantity = effect.quantity
        if self._broken is Mutant.REMAINDER_BY_POSITION:
            quantity = abs(effect.position.amount)
        sending = Sending(
            attempt=effect.attempt,
            client_order_id=effect.client_order_id,
            side=effect.side,
            quantity=quantity,
            timestamp=world.now,
            deadline=world.now + (1 - POLICY.margin if self._broken is Mutant.NO_DEADLINE else WINDOW),
            position=effect.position,
        )
        number = FACTS.number(sending)
        said, log = Hand(world, name, process, plan, closing, self._broken).gate(effect.attempt, number)
        passed = steps.GatePassed(now=world.now, sending=sending)
        if self._broken is Mutant.UNHEARD_GATE:
            lost = spend(world, Fault.LOG)
            if lost is not None:
                words = f"{who}: asks the gate, which is not asked, and takes silence for a pass"
                yield Move(words, self.told(lost, name, plan, passed), faulty=True)
        yield from self._unheard(world, name, plan, who, "asks the gate, which is not asked")
        if said in _FENCED:
            yield self._fenced(world, name, plan, said, who)
            return
        if said != OK:
            event = steps.GateRefused(
                now=world.now, reason=said.lower(), passing=said == "BUSY", other=log.claim or ""
            )
            refused = self.told(world, name, plan, event)
            if said == "BUSY":
                refused = self._let_pass(refused, name, plan)
            yield Move(f"{who}: the gate says {said}", refused)
            return
        written = world._replace(log=log)
        words = f"{who}: passes the gate with attempt {effect.attempt} for {quantity}"
        for move in self._unheard(written, name, plan, who, f"passes the gate with attempt {effect.attempt}"):
            yield move._replace(deed=Deed.GATE, process=name, plan=plan, number=number)
        closing = closing._replace(seen=log.closes[plan].facts, unwritten=())
        process = with_closing(process, plan, closing)
        told = self.told(with_process(written, name, process), name, plan, passed)
        yield Move(words, told, deed=Deed.GATE, process=name, plan=plan, number=number)

    def _let_pass(self, world: World, name: int, plan: int) -> World:
        """Behind those who wait for the lane."""
        process = world.processes[name]
        others = [other for other, closing in enumerate(process.closings) if closing and other != plan]
        return with_process(world, name, process._replace(lane=others[0] if others else plan))

    def _send(self, world: World, name: int, plan: int, sending: Sending, who: str) -> Iterator[Move]:
        deadline = sending.timestamp + WINDOW
        if world.now > sending.timestamp + WINDOW // 2:
            if self._broken is not Mutant.LATE_SEND:
                event = steps.Withheld(now=world.now, reason="half of the window is gone")
                yield Move(f"{who}: sends nothing, it is late", self.told(world, name, plan, event))
                return
            deadline = world.now + WINDOW
        request = Request(plan, sending.attempt, int(sending.quantity), deadline)
        sent = world._replace(wire=tuple(sorted((*world.wire, request))))
        process = sent.processes[name]
        closing = process.closings[plan]
        assert closing is not None
        process = with_closing(process, plan, closing._replace(phase=Phase.ANSWER))
        yield Move(
            f"{who}: sends attempt {sending.attempt}",
            with_process(sent, name, process),
            deed=Deed.SEND,
            process=name,
            plan=plan,
            number=FACTS.number(sending),
        )

    def _answer(self, world: World, name: int, plan: int, who: str) -> Iterator[Move]:
        closing = world.processes[name].closings[plan]
        assert closing is not None
        effect = EFFECTS[closing.effect]
        assert isinstance(effect, steps.Send)
        attempt = effect.sending.attempt
        waits = any((request.plan, request.attempt) == (plan, attempt) for request in world.wire)
        fate = None if waits else exchange.fate_of(world.venue, plan, attempt)
        if fate is not None and fate.kind is not Kind.DROPPED:
            words, event = self._said(world, plan, attempt)
            yield Move(f"{who}: hears {words}", self.told(world, name, plan, event))
        never = fate is not None and fate.kind is Kind.DROPPED
        lost = world if never else spend(world, Fault.ANSWER)
        if lost is not None:
            unknown: AnyEvent = steps.Unanswered(now=world.now, reason="no answer")
            if self._broken is Mutant.RESEND:
                unknown = _refused(world.now, -1021, Class.RETRY)
            yield Move(f"{who}: hears no answer", self.told(lost, name, plan, unknown), faulty=not never)

    def _said(self, world: World, plan: int, attempt: int) -> tuple[str, AnyEvent]:
        order = exchange.order(world.venue, plan, attempt)
        if order is None:
            fate = exchange.fate_of(world.venue, plan, attempt)
            assert fate is not None
            kind = Class.FLAT_CHECK if fate.amount == -2022 else Class.RETRY
            return f"{fate.amount}", _refused(world.now, fate.amount, kind)
        if self._broken is Mutant.DONE_BY_ANSWER:
            order = msgspec.structs.replace(order, status="FILLED", executed_qty=order.orig_qty)
        return order.status, steps.OrderSeen(now=world.now, order=order, via=Via.ANSWER)

    def _publish(self, world: World, name: int, plan: int, closing: Closing, who: str) -> Iterator[Move]:
        effect = EFFECTS[closing.effect]
        assert isinstance(effect, steps.Publish)
        ended = effect.ended
        number = FACTS.number(ended)
        said, log = Hand(world, name, world.processes[name], plan, closing, self._broken).publish(
            number, _ENDS.get(ended.outcome.kind, "DONE")
        )
        yield from self._unheard(world, name, plan, who, "asks to publish, which is not done")
        if said != OK:
            yield self._fenced(world, name, plan, said, who)
            return
        written = world._replace(log=log)
        what = f"publishes {ended.outcome}"
        for move in self._unheard(written, name, plan, who, what):
            yield move._replace(deed=Deed.PUBLISH, process=name, plan=plan, number=number)
        done = self.finish(written, name, plan, closing.judged)
        yield Move(f"{who}: {what}", done, deed=Deed.PUBLISH, process=name, plan=plan, number=number)


def _refused(now: int, code: int, kind: Class) -> steps.Refused:
    return steps.Refused(now=now, refusal=Refusal(kind=kind, http_status=400, code=code, message=kind))
