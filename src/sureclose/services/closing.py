"""One close on its way: it asks ``decide`` what to do, does it, and tells ``decide`` what came of it.

The only place that touches the outside. It holds no rule of its own: rules are in ``domain``, what is durable is in the
journal. A restart and a lost answer of the log are one thing here: what the process believed counts for nothing, and
the close begins again from what is recorded.
"""

import asyncio

import structlog
from redis.exceptions import RedisError

from sureclose.domain import steps
from sureclose.domain.close import Concluded, Confirming, Done, New, State, Waiting, Working, fold
from sureclose.domain.decide import decide, news
from sureclose.domain.events import Decision, EntryRef
from sureclose.domain.facts import Admitted, Ended, Sending, Via
from sureclose.domain.market import OrderReport, Position, Trade
from sureclose.domain.outcome import OutcomeKind
from sureclose.domain.planning import same_delivery, valid_until, warrantable
from sureclose.domain.rebuilding import JOURNAL_LOST, orphan_of
from sureclose.domain.report import report_of
from sureclose.domain.sameness import may_be_told
from sureclose.domain.words import PositionSide
from sureclose.fault_points import FaultPoint, reach
from sureclose.journal.burnt import Burnt
from sureclose.journal.chain import Chain
from sureclose.journal.claims import claims_of
from sureclose.journal.lease import Lease
from sureclose.journal.verdict import Fenced, Verdict
from sureclose.services.cancelling import cancel
from sureclose.services.heard import FILLS_GRACE_S, Heard
from sureclose.services.lanes import Lane, Lanes
from sureclose.services.observing import Observer, Read
from sureclose.services.order_slot import OrderSlot
from sureclose.services.posting import order_of, post, say_answer, say_outcome, urgency_of
from sureclose.services.tools import Tools
from sureclose.venue.errors import VenueError

log = structlog.get_logger()

_BUSY = Verdict.BUSY.lower()
LOG_RETRY_S = 0.25
"""Between two tries to read a close back from a log that does not answer."""
SLOW_READ_S = 0.1
STALE_POSITION_MS = 1_000
"""How old a position read may be when the gate is passed: several round trips, less than anything waits for limits."""
_ON_THE_WAY = steps.PassGate | steps.Send | steps.ReadPosition | steps.ReadHistory
"""What may be done while an order slot is held: what leads to the order."""


class Closing:
    """One close in this process. ``received`` is the decision that came in; without one the journal has it.

    ``by_order`` is where it enters itself under the ids of its orders, so that the stream's news finds it.
    """

    def __init__(
        self,
        tools: Tools,
        lease: Lease,
        plan_id: str,
        received: tuple[Decision, EntryRef] | None,
        by_order: dict[str, "Closing"],
    ) -> None:
        self._tools = tools
        self._lease = lease
        self._received = received
        self._heard = Heard()
        self._chain = Chain(plan_id)
        self._slot = OrderSlot(tools.venue)
        self._read_fails = False
        self._log_fails = False
        self._length_before: int | None = None
        self._sent: set[int] = set()
        self._admitted: tuple[Admitted, ...] = ()
        self._by_order = by_order
        self._client_order_ids: set[str] = set()
        self.plan_id = plan_id
        self.state: State = New()
        self.judged: EntryRef | None = None
        """The entry whose decision this is; the outcome acknowledges it."""
        self.published = False  # here, and heard of
        self.burnt: Burnt | None = None  # what is left of this id's close, when it is archived

    @property
    def skipped(self) -> bool:
        """Whether it has ended without burning its id."""
        return isinstance(self.state, Done) and self.state.ended.outcome.kind is OutcomeKind.SKIPPED

    @property
    def client_order_ids(self) -> frozenset[str]:
        """The ids of this close's attempts so far, the one at the gate included."""
        return frozenset(self._client_order_ids)

    def tell(self, order: OrderReport, trade: Trade | None) -> None:
        """News of an order of this close, from the user data stream."""
        self._heard.tell(order, trade)

    def _listen_for(self, client_order_id: str) -> None:
        self._client_order_ids.add(client_order_id)
        self._by_order[client_order_id] = self

    async def run(self, lanes: Lanes) -> None:
        """Drive the close to its outcome; returns at once when it has one.

        Raises ``Fenced`` when another process has taken it up, ``ChainBroken`` when its journal was altered.
        """
        while True:
            try:
                event = await self._recall()
                if event is None:
                    self._tell_end()
                    return
                self._tools.witness.approved(self.plan_id)
                effect = self._taken(decide(self.state, event, self._tools.policy))
                async with lanes.hold(self.decision.symbol, self._lane, before_waiting=self._write) as lane:
                    await self._drive(effect, lane)
                return
            except RedisError as error:
                told = log.debug if self._log_fails else log.warning
                told("log_lost", plan_id=self.plan_id, error=str(error))
                self._log_fails = True
                await asyncio.sleep(LOG_RETRY_S)
            except Fenced as fenced:
                if fenced.verdict in {Verdict.STALE_LEASE, Verdict.LOG_LOST}:
                    raise
                # The lease is ours, so the chain was moved on by ourselves: a script whose answer we did not get.
                log.warning("close_moved_on", plan_id=self.plan_id, verdict=fenced.verdict)
                await asyncio.sleep(LOG_RETRY_S)

    def _tell_end(self) -> None:
        """An outcome is recorded: one that we published without hearing so, or another's."""
        witness, head = self._tools.witness, self._chain.head
        if isinstance(self.state, Done) and head.length > (self._length_before or 0):
            witness.ended(report_of(self.state, head.hash))
        else:
            witness.elsewhere(self.plan_id)

    async def _recall(self) -> steps.AnyEvent | None:
        """The state as recorded, and the event that goes on from there; ``None`` when there is nothing to go on with."""
        loaded = await self._tools.journal.load(self.plan_id)
        self.burnt = None if loaded is None else loaded.burnt
        if self.burnt is not None:
            return None
        self._chain = Chain(self.plan_id) if loaded is None else Chain(self.plan_id, loaded.head)
        self.state = New() if loaded is None else fold(loaded.facts)
        first_look, self._length_before = self._length_before is None, self._length_before or 0
        if first_look:
            self._length_before = self._chain.head.length
        if loaded is not None:
            self._admitted = tuple(fact for fact in loaded.facts if isinstance(fact, Admitted))
            self.judged = self._admitted[-1].entry
        if not isinstance(self.state, New | Done):
            for attempt in self.state.progress.attempts:
                self._listen_for(attempt.client_order_id)
                self._tools.orphans.pop(
                    attempt.client_order_id, None
                )  # adopted by a script whose answer was lost
            self._bereave()
            return steps.Taken(now=self._now(), worker=self._lease.owner, epoch=self._lease.epoch)
        if self._received is None or self._published(self.state):
            return None
        decision, self.judged = self._received
        now = self._tools.clock.moment().by(decision.origin_at)
        return steps.Received(now=now, decision=decision, entry=self.judged, orphan=self._orphan())

    def _published(self, state: New | Done) -> bool:
        """Whether the outcome is there. A skip that was there before we came counts for its own delivery: it burns no id."""
        if isinstance(state, New):
            return False
        if state.ended.outcome.kind is not OutcomeKind.SKIPPED:
            return True
        before = self._received is not None and self.spoke_for(*self._received)
        return before or self._chain.head.length > (self._length_before or 0)

    def spoke_for(self, decision: Decision, entry: EntryRef) -> bool:
        """Whether this delivery was taken in before, on whichever path: then it has its outcome, and no second one."""
        return any(same_delivery(one.entry, one.decision, entry, decision) for one in self._admitted)

    def _taken(self, step: steps.Step) -> steps.AnyEffect:
        self.state = step.state
        self._chain.note(step.facts, self._tools.clock.now())
        return self._bereave() or step.effect

    def _orphan(self) -> OrderReport | None:
        """The next order of this close that the log had lost."""
        progress = None if isinstance(self.state, New) else self.state.progress
        return orphan_of(progress, self.plan_id, self._tools.orphans, self._tools.policy)

    def _bereave(self) -> steps.AnyEffect | None:
        """Before anything else is done between attempts, such an order becomes one again."""
        state = self.state
        if not isinstance(state, Waiting | Confirming) or state.progress.orphan is not None:
            return None
        order = self._orphan()
        if order is None:
            return None
        return self._taken(decide(state, steps.Orphaned(now=self._now(), order=order), self._tools.policy))

    async def _drive(self, effect: steps.AnyEffect, lane: Lane) -> None:
        try:
            while not isinstance(effect, steps.Rest):
                seen = await self._pause(effect.delay)
                if seen is not None:
                    effect = self._taken(news(self.state, seen, effect, self._tools.policy))
                    continue
                event = await self._perform(effect)
                effect = self._taken(decide(self.state, event, self._tools.policy))
                if isinstance(event, steps.GateRefused) and event.reason == _BUSY:
                    # Another close has an order in flight here. It may be behind us in the lane, and must come first.
                    await self._write()
                    await lane.let_pass()
        finally:
            await self._slot.release()

    async def _pause(self, delay: int) -> steps.OrderSeen | None:
        """Wait, unless there is news of an order; before any wait what is known is written and the slot given back."""
        if not self._heard.waiting:
            if not delay:
                return None
            await self._write()
            await self._slot.release()
        try:
            async with asyncio.timeout(None if self._heard.waiting else delay / 1000):
                order = await self._heard.next()
        except TimeoutError:
            return None
        return steps.OrderSeen(now=self._now(), order=order, via=Via.STREAM)

    async def _write(self) -> None:
        await self._tools.journal.append(self._chain, self._lease)

    # Effects -----------------------------------------------------------------------------------------------------

    async def _perform(self, effect: steps.AnyEffect) -> steps.AnyEvent:
        if not isinstance(effect, _ON_THE_WAY):
            await self._slot.release()
        match effect:
            case steps.PassGate():
                return await self._pass_gate(effect)
            case steps.Send():
                try:
                    return await self._send(effect.sending)
                finally:
                    await self._slot.release()
            case steps.Adopt():
                return await self._adopt(effect)
            case steps.Publish():
                return await self._publish(effect.ended)
            case steps.CancelResting():
                return await self._cancel(effect)
            case steps.ReadTrades():
                assert isinstance(self.state, Working)
                grace = FILLS_GRACE_S if self._tools.venue.stream_delivers and not self.state.tries else 0.0
                reach(FaultPoint.BEFORE_FILLS)
                fills = await self._heard.fills_of(self.state.order, grace)
                if fills is not None:
                    reach(FaultPoint.AFTER_FILLS)
                    return steps.TradesRead(now=self._now(), trades=fills)
                return await self._read(effect)
            case steps.Rest():
                raise AssertionError("there is nothing to do")
            case _:
                return await self._read(effect)

    async def _read(self, effect: Read) -> steps.AnyEvent:
        """A read that takes its time must not keep an admission from being written; a row of failures is one line."""
        observer = Observer(
            self._tools.venue, self.decision, self._now, self._ahead, hears=self._heard.delivers
        )
        reading = asyncio.create_task(observer.read(effect, told=self._told(effect)))
        try:
            await asyncio.wait({reading}, timeout=SLOW_READ_S)
            if not reading.done() and any(isinstance(fact, Admitted) for fact in self._chain.unwritten):
                await self._write()
            event = await reading
        except VenueError as error:
            told = log.debug if self._read_fails else log.warning
            told("read_failed", plan_id=self.plan_id, error=str(error), code=error.code)
            self._read_fails = True
            return steps.ReadFailed(now=self._now(), reason=str(error))
        finally:
            reading.cancel()
        self._read_fails = False
        return event

    def _told(self, effect: Read) -> Position | None:
        """The position as the stream tells it, where it may size the close."""
        if (
            not isinstance(effect, steps.ReadPosition)
            or not isinstance(self.state, Waiting)
            or self._slot.held
        ):
            return None
        decision = self.decision
        sizes = may_be_told(self.state.progress, self.state.tries, self._now())
        return self._tools.venue.told(decision.symbol, decision.position_side) if sizes else None

    async def _cancel(self, effect: steps.CancelResting) -> steps.AnyEvent:
        """Cancel, when the log says that this close may, and list what rests then. What fails shows in that list."""
        tools = self._tools
        verdict = await tools.journal.permit(
            self._chain, self._lease, component=tools.component, warranted_intent=warrantable(self.decision)
        )
        if verdict is not Verdict.OK:
            return steps.GateRefused(now=self._now(), reason=verdict.lower())
        await cancel(tools.venue, effect.orders, self.plan_id)
        return await self._read(
            steps.ReadResting(why=effect.why, position=effect.position, rules=effect.rules)
        )

    async def _pass_gate(self, effect: steps.PassGate) -> steps.AnyEvent:
        """Hold a connection and a token first, then take the time, then ask: what is sent is as old as its record."""
        tools = self._tools
        try:
            await self._slot.take(
                urgency_of(self.decision), self.decision.origin_at, before_waiting=self._write
            )
        except VenueError as error:
            return steps.GateRefused(now=self._now(), reason=str(error), passing=True)
        clock = tools.venue.clock
        timestamp = clock.earliest()
        if clock.latest() - timestamp > tools.recv_window // 2:
            # Whatever passed the gate now would be withheld behind it, and the next one again.
            clock.doubt()
            return await self._refused_at_gate(
                f"the venue's clock is known to {clock.error_ms()} ms", passing=True
            )
        if timestamp - effect.position.requested_at > STALE_POSITION_MS:
            # The slot was long in coming. It is kept, so that the position read now is the one that the gate sees.
            return await self._read(steps.ReadPosition(position_side=effect.position.position_side))
        if effect.expires_at is not None and self._now() > effect.expires_at:
            return await self._refused_at_gate("expired")
        sending = Sending(
            attempt=effect.attempt,
            client_order_id=effect.client_order_id,
            side=effect.side,
            quantity=effect.quantity,
            timestamp=timestamp,
            deadline=timestamp + tools.recv_window,
            position=effect.position,
            limit_price=effect.limit_price,
        )
        self._listen_for(sending.client_order_id)
        said = await tools.journal.gate(
            self._chain,
            self._lease,
            component=tools.component,
            warranted_intent=warrantable(self.decision),
            intent_id=self.decision.intent_id,
            sending=sending,
        )
        verdict = said.verdict
        if verdict is Verdict.USED:
            return await self._used(sending.client_order_id)
        if verdict is not Verdict.OK:
            return await self._refused_at_gate(
                verdict.lower(), passing=verdict is Verdict.BUSY, other=said.other
            )
        return steps.GatePassed(now=self._now(), sending=sending)

    async def _adopt(self, effect: steps.Adopt) -> steps.AnyEvent:
        """The order that the log had lost is an attempt of this close from here on."""
        sending = effect.sending
        self._listen_for(sending.client_order_id)
        verdict = await self._tools.journal.adopt(
            self._chain, self._lease, sending, effect.facts, intent_id=self.decision.intent_id
        )
        if verdict is not Verdict.OK:
            return steps.GateRefused(now=self._now(), reason=verdict.lower(), passing=verdict is Verdict.BUSY)
        self._tools.orphans.pop(sending.client_order_id, None)
        log.warning("order_rebuilt", plan_id=self.plan_id, client_order_id=sending.client_order_id)
        return steps.Adopted(now=self._now(), facts=effect.facts)

    async def _used(self, client_order_id: str) -> steps.AnyEvent:
        """The gate knows this id although the close doesn't: the venue says what was sent under it."""
        try:
            found = await self._tools.venue.order(self.decision.symbol, client_order_id)
        except VenueError as error:
            return await self._refused_at_gate(str(error), passing=True)
        if found is None:
            return await self._refused_at_gate(JOURNAL_LOST)
        await self._slot.release()
        return steps.Orphaned(now=self._now(), order=found)

    async def _refused_at_gate(
        self, reason: str, *, passing: bool = False, other: str = ""
    ) -> steps.AnyEvent:
        await self._slot.release()
        return steps.GateRefused(now=self._now(), reason=reason, passing=passing, other=other)

    async def _send(self, sending: Sending) -> steps.AnyEvent:
        assert sending.attempt not in self._sent
        self._sent.add(sending.attempt)
        clock = self._tools.venue.clock
        if clock.latest() > sending.timestamp + self._tools.recv_window // 2:
            return steps.Withheld(now=self._now(), reason="the gate took more than half of the window")
        order = order_of(sending, self._tools.recv_window)
        event = await post(self._tools.venue, order, self._heard, self._now)
        reach(FaultPoint.AFTER_CLASSIFY)
        self._tools.witness.sent(self.decision, sending, say_answer(self.plan_id, sending, event))
        return event

    async def _publish(self, ended: Ended) -> steps.AnyEvent:
        tools, decision = self._tools, self.decision
        concluded = self.state
        assert isinstance(concluded, Concluded)
        await tools.journal.publish(
            self._chain,
            self._lease,
            ended,
            symbol=decision.symbol,
            group=tools.group,
            entries=() if self.judged is None else (self.judged,),
            announce=lambda evidence: tools.announce(report_of(concluded, evidence), decision),
            valid_until=valid_until(decision, tools.policy.max_age),
            claims=claims_of(concluded),
        )
        self.published = True
        report = report_of(concluded, self._chain.head.hash)
        say_outcome(report)
        tools.witness.ended(report)
        return steps.Published(now=self._now(), ended=ended)

    # Small things ------------------------------------------------------------------------------------------------

    @property
    def decision(self) -> Decision:
        """The decision as it was admitted."""
        assert not isinstance(self.state, New)
        return self.state.progress.decision

    @property
    def _lane(self) -> PositionSide:
        """Which other closes of the symbol have to be waited for, as far as is known here. The gate knows for sure."""
        return self.decision.position_side if self._tools.venue.known_dual_side else PositionSide.BOTH

    def _now(self) -> int:
        """By the clock that stamped the decision."""
        return self._tools.clock.moment().by(self.decision.origin_at)

    def _ahead(self) -> int:
        """How far the venue's clock is ahead of the one that stamped the decision, in milliseconds."""
        clock = self._tools.venue.clock
        return clock.now() - self._now() if clock.measured else 0
