"""The rules of one effect: what an event means to a close, and what to do next. Total, without clock or chance."""

import msgspec

from sureclose.domain import facts, steps
from sureclose.domain.close import (
    Concluded,
    Confirming,
    Done,
    InFlight,
    New,
    Progress,
    State,
    Unknown,
    Waiting,
    Working,
    evolve,
)
from sureclose.domain.doubt import Contradiction, evidence_since, past_window, weigh
from sureclose.domain.facts import AnyFact, Dead, Ended
from sureclose.domain.history import increased, went_through_zero
from sureclose.domain.ids import client_order_id_for
from sureclose.domain.market import Class, OrderReport, Position, Refusal, SymbolRules, Trade
from sureclose.domain.outcome import Outcome, OutcomeKind
from sureclose.domain.planning import too_old
from sureclose.domain.policy import Policy
from sureclose.domain.quantity import ZERO, next_chunk, target_of
from sureclose.domain.sameness import (
    closing_side,
    counts,
    newest,
    not_the_same,
    older_than_decided,
    reference,
    same_sizing,
    shown,
    sized_at,
    unfixed,
)
from sureclose.domain.standing import pause, standing, wait
from sureclose.domain.steps import AnyEvent, Step


def decide(state: State, event: AnyEvent, policy: Policy) -> Step:
    """What the event brings. An event that a state does not wait for changes nothing and repeats the state's effect."""
    match state:
        case New() | Done():
            return _received(state, event, policy)
        case Waiting():
            return _waiting(state, event, policy)
        case InFlight():
            return _in_flight(state, event, policy)
        case Unknown():
            return _unknown(state, event, policy)
        case Working():
            return _working(state, event, policy)
        case Confirming():
            return _confirming(state, event, policy)
        case Concluded():
            return _concluded(state, event, policy)


# Admission ---------------------------------------------------------------------------------------------------------


def _received(state: New | Done, event: AnyEvent, policy: Policy) -> Step:
    if not isinstance(event, steps.Received):
        return Step(state, (), steps.Rest())
    admitted = facts.Admitted(decision=event.decision, entry=event.entry)
    after = evolve(state, admitted)
    if not isinstance(after, Waiting):
        return Step(state, (), steps.Rest())
    stale = _stale(after.progress, event.now, policy)
    if stale:
        return _conclude(after.progress, Outcome(OutcomeKind.SKIPPED, stale), (admitted,))
    return Step(after, (admitted,), steps.ReadPosition())


def _stale(progress: Progress, now: int, policy: Policy) -> str:
    """Age at admission and when a process takes the close up; empty when the decision may still be executed."""
    veto = too_old(progress.decision, now, policy.max_age)
    return "" if veto is None else veto.rule


def _resumed(state: InFlight | Unknown | Working | Confirming, event: steps.Taken, policy: Policy) -> Step:
    """What was sent is followed to its end at any age; what is too old by now makes no further attempt."""
    resumed = facts.Resumed(worker=event.worker, epoch=event.epoch)
    after = evolve(state, resumed)
    assert isinstance(after, Unknown | Working | Confirming)
    stale = _stale(after.progress, event.now, policy)
    if stale:
        progress = msgspec.structs.replace(after.progress, ending=stale)
        after = msgspec.structs.replace(after, progress=progress)
    return Step(after, (resumed,), standing(after, policy))


# Between attempts --------------------------------------------------------------------------------------------------


def _waiting(state: Waiting, event: AnyEvent, policy: Policy) -> Step:
    progress = state.progress
    match event:
        case steps.Taken():
            resumed = facts.Resumed(worker=event.worker, epoch=event.epoch)
            stale = _stale(progress, event.now, policy)
            if stale:
                return _stop(progress, stale, (resumed,))
            return Step(state, (resumed,), standing(state, policy))
        case steps.PositionRead():
            return _sized_or_gated(state, event.position, event.rules, None, event.now, policy)
        case steps.HistoryRead():
            return _sized_or_gated(state, event.position, event.rules, event.trades, event.now, policy)
        case steps.NotListed():
            return _stop(progress, "unknown_symbol", kind=OutcomeKind.REFUSED)
        case steps.ReadFailed():
            if _expired(progress, event.now):
                return _stop(progress, "expired")
            return _again(state, policy)
        case steps.GatePassed():
            inflight = evolve(state, event.sending)
            return Step(inflight, (), standing(inflight, policy))
        case steps.GateRefused(passing=True):
            return _again(state, policy)
        case steps.GateRefused():
            return _stop(progress, event.reason)
        case steps.OrderSeen():
            return _see(state, event, policy)
        case _:
            return Step(state, (), standing(state, policy))


def _expired(progress: Progress, now: int) -> bool:
    expires_at = progress.decision.expires_at
    return expires_at is not None and now > expires_at


def _sized_or_gated(
    state: Waiting,
    position: Position,
    rules: SymbolRules,
    history: tuple[Trade, ...] | None,
    now: int,
    policy: Policy,
) -> Step:
    progress = unfixed(state.progress)
    patient = state.tries < policy.patience
    if not counts(position, progress) or (patient and older_than_decided(position, progress)):
        return _again(state, policy)
    if position.amount == 0:
        kind = OutcomeKind.FLAT if progress.trades else OutcomeKind.ALREADY_FLAT
        return _conclude(progress, Outcome(kind), (), position)
    if _expired(progress, now):
        return _stop(progress, "expired")
    if progress.ending:
        return _stop(progress, progress.ending)
    wrong = not_the_same(progress, position)
    if wrong:
        return _stop(progress, wrong)
    since, doubtful_until = reference(progress)
    if history is None and position.update_time > since:
        return Step(state, (), steps.ReadHistory(since=since + 1, position=position, rules=rules))
    if history is not None and patient and position.update_time > newest(history):
        return _again(state, policy)
    if history and went_through_zero(position.amount, shown(history, position), doubtful_until):
        return _stop(progress, "position_reopened")
    if progress.sized is not None:
        return _gate(state, position, rules, (), policy)
    decision, before = progress.decision, state.progress.sized
    target = target_of(position.amount, decision.fraction, decision.quantity, rules)
    if not target:
        return _stop(progress, "below_step", kind=OutcomeKind.REFUSED)
    if before is not None and same_sizing(before, position, target):
        return _gate(state, position, rules, (), policy)
    sized = facts.Sized(position=position, target=target, side=closing_side(position))
    after = evolve(state, sized)
    assert isinstance(after, Waiting)
    return _gate(after, position, rules, (sized,), policy)


def _gate(
    state: Waiting,
    position: Position,
    rules: SymbolRules,
    new_facts: tuple[AnyFact, ...],
    policy: Policy,
) -> Step:
    progress = state.progress
    quantity = next_chunk(progress.remaining, position.amount, rules)
    if not quantity:
        return _stop(progress, "below_step", new_facts, kind=OutcomeKind.REFUSED)
    attempt = progress.attempt + 1
    gate = steps.PassGate(
        attempt=attempt,
        client_order_id=client_order_id_for(
            policy.client_order_id_prefix, policy.account, progress.decision.plan_id, attempt
        ),
        side=closing_side(position),
        quantity=quantity,
        position=position,
        expires_at=progress.decision.expires_at,
    )
    return Step(state, new_facts, gate)


# An attempt on its way ---------------------------------------------------------------------------------------------


def _in_flight(state: InFlight, event: AnyEvent, policy: Policy) -> Step:
    attempt = state.sending.attempt
    match event:
        case steps.Taken():
            return _resumed(state, event, policy)
        case steps.Withheld():
            return _settled(state, facts.NotSent(attempt=attempt, reason=event.reason), policy)
        case steps.OrderSeen() if event.via is not facts.Via.ANSWER or _is_its_own(state, event.order):
            return _see(state, event, policy)
        case steps.Unanswered():
            unknown = facts.Answered(
                attempt=attempt,
                answer=facts.Answer.UNKNOWN,
                http_status=event.http_status,
                code=event.code,
                message=event.reason,
            )
            return _settled(state, unknown, policy)
        case steps.Refused():
            return _refused(state, event.refusal, policy)
        case _:
            # Never sent twice: whatever else happens here, the attempt's fate is now to be asked for.
            lost = facts.Answered(
                attempt=attempt,
                answer=facts.Answer.UNKNOWN,
                message=f"answer overtaken by {type(event).__name__}",
            )
            return _settled(state, lost, policy)


def _is_its_own(state: InFlight, order: OrderReport) -> bool:
    return order.client_order_id == state.sending.client_order_id


def _refused(state: InFlight, refusal: Refusal, policy: Policy) -> Step:
    unknown = refusal.kind is Class.RESOLVE
    answered = facts.Answered(
        attempt=state.sending.attempt,
        answer=facts.Answer.UNKNOWN if unknown else facts.Answer.REFUSED,
        http_status=refusal.http_status,
        code=refusal.code,
        message=refusal.message,
        setback=refusal.kind is not Class.WAIT,
    )
    if unknown:
        return _settled(state, answered, policy)
    after = evolve(state, answered)
    if not isinstance(after, Waiting):
        return Step(after, (answered,), standing(after, policy))
    if refusal.kind in {Class.FIX, Class.ESCALATE} or after.progress.refusals > policy.setbacks:
        return _stop(
            after.progress, refusal.message, (answered,), kind=OutcomeKind.REFUSED, code=refusal.code
        )
    # Asked to wait without being told how long: as long as anything here waits.
    asked = (refusal.retry_after_ms or policy.longest_wait) if refusal.kind is Class.WAIT else 0
    return Step(after, (answered,), standing(after, policy, max(asked, pause(after.progress, policy))))


def _see(state: State, event: steps.OrderSeen, policy: Policy) -> Step:
    return _settled(state, facts.Seen(via=event.via, order=event.order), policy)


def _settled(state: State, fact: AnyFact, policy: Policy) -> Step:
    """Journal the fact and go on with what the state it leads to wants; an order that ended empty is an end."""
    after = evolve(state, fact)
    known: tuple[AnyFact, ...] = (fact,) if after != state else ()
    if isinstance(after, Working) and after.order.terminal and not after.order.executed_qty:
        filled = facts.Filled(order=after.order, trades=())
        after, known = evolve(after, filled), (*known, filled)
    if isinstance(after, Waiting):
        return Step(after, known, standing(after, policy, pause(after.progress, policy)))
    return Step(after, known, standing(after, policy))


# Unknown -----------------------------------------------------------------------------------------------------------


def _unknown(state: Unknown, event: AnyEvent, policy: Policy) -> Step:
    match event:
        case steps.Taken():
            return _resumed(state, event, policy)
        case steps.OrderSeen():
            return _see(state, event, policy)
        case steps.OrderMissing():
            return _missing(state, event.asked_at, policy)
        case steps.EvidenceRead():
            return _weigh(state, event, policy)
        case steps.ReadFailed():
            return _again(state, policy)
        case _:
            return Step(state, (), standing(state, policy))


def _missing(state: Unknown, asked_at: int, policy: Policy) -> Step:
    if not past_window(state.sending, asked_at, policy):
        return _again(state, policy)
    doubts = state.doubts.missing(asked_at)
    after = msgspec.structs.replace(state, doubts=doubts, tries=state.tries + 1)
    if doubts.enough(policy):
        return Step(after, (), steps.GatherEvidence(since=evidence_since(state.sending)))
    between = max(policy.first_wait, policy.spread // max(1, policy.not_found_answers - 1))
    return Step(after, (), standing(after, policy, between))


def _weigh(state: Unknown, event: steps.EvidenceRead, policy: Policy) -> Step:
    evidence = event.evidence
    match weigh(state.sending, state.doubts, evidence, policy):
        case OrderReport() as order:
            return _settled(state, facts.Seen(via=facts.Via.ORDER_LIST, order=order), policy)
        case Dead() as dead:
            return _settled(state, dead, policy)
        case Contradiction() as contradiction:
            doubts = state.doubts.contradicted(evidence.begun_at)
            if not doubts.standing(evidence.begun_at, policy):
                return _again(msgspec.structs.replace(state, doubts=doubts), policy)
            reason = f"{contradiction.reason}; {state.sending.client_order_id} is not at the venue"
            return _conclude(state.progress, Outcome(OutcomeKind.PARKED, reason), (), evidence.position)
        case _:
            return _again(state, policy)


# The order is known ------------------------------------------------------------------------------------------------


def _working(state: Working, event: AnyEvent, policy: Policy) -> Step:
    match event:
        case steps.Taken():
            return _resumed(state, event, policy)
        case steps.OrderSeen():
            step = _see(state, event, policy)
            if step.state == state and event.via is not facts.Via.STREAM:
                return _again(state, policy)
            # Old news puts nothing off: several pieces of it come with every order.
            return step
        case steps.TradesRead() if state.order.terminal:
            if sum((trade.quantity for trade in event.trades), ZERO) == state.order.executed_qty:
                filled = facts.Filled(order=state.order, trades=event.trades)
                return _settled(state, filled, policy)
            step = _again(state, policy)
            if state.tries % 4 < 3:
                return step
            query = steps.QueryOrder(client_order_id=state.order.client_order_id)
            return Step(step.state, (), query)
        case steps.ReadFailed() | steps.OrderMissing():
            # The venue has shown the order: that it is not found now is a lagging read.
            return _again(state, policy)
        case _:
            return Step(state, (), standing(state, policy))


# Read back ---------------------------------------------------------------------------------------------------------


def _confirming(state: Confirming, event: AnyEvent, policy: Policy) -> Step:
    match event:
        case steps.Taken():
            return _resumed(state, event, policy)
        case steps.PositionRead():
            return _read_back(state, event, policy)
        case steps.HistoryRead():
            return _not_flat(state, event, policy)
        case steps.OrderSeen():
            return _see(state, event, policy)
        case _:
            return _again(state, policy)


def _read_back(state: Confirming, event: steps.PositionRead, policy: Policy) -> Step:
    progress, position = state.progress, event.position
    if not counts(position, progress):
        return _again(state, policy)
    if position.amount == 0:
        return _conclude(progress, Outcome(OutcomeKind.FLAT), (), position)
    if progress.ending or not progress.full or progress.sized is None:
        reason = progress.ending if progress.full or progress.remaining else ""
        return _conclude(progress, Outcome(OutcomeKind.REDUCED, reason), (), position)
    if position.amount * progress.sized.position.amount < 0:
        return _conclude(progress, Outcome(OutcomeKind.REDUCED, "position_changed"), (), position)
    since = sized_at(progress.sized) + 1
    return Step(state, (), steps.ReadHistory(since=since, position=position, rules=event.rules))


def _not_flat(state: Confirming, event: steps.HistoryRead, policy: Policy) -> Step:
    """A full close that left something: either somebody added to the position, or its sizing was stale."""
    progress, position = state.progress, event.position
    others = [trade for trade in event.trades if trade.order_id not in progress.order_ids]
    # Our own fills are in a list that has caught up with the position; without them it says nothing of others.
    behind = position.update_time > newest(event.trades)
    if behind and state.tries < policy.patience:
        return _again(state, policy)
    if behind or increased(position.amount, others):
        return _conclude(progress, Outcome(OutcomeKind.REDUCED, "position_changed"), (), position)
    target = progress.filled + abs(position.amount)
    resized = facts.Sized(position=position, target=target, side=closing_side(position))
    return _settled(state, resized, policy)


# Ends --------------------------------------------------------------------------------------------------------------


def _concluded(state: Concluded, event: AnyEvent, policy: Policy) -> Step:
    if isinstance(event, steps.Published):
        return Step(Done(state.progress, state.ended), (), steps.Rest())
    if isinstance(event, steps.OrderSeen):
        # An order that nobody knew of: what was concluded without it is not so.
        return _see(state, event, policy)
    return Step(state, (), steps.Publish(ended=state.ended))


def _again(state: Waiting | Unknown | Working | Confirming, policy: Policy) -> Step:
    """Nothing learnt: the same again, later."""
    after = msgspec.structs.replace(state, tries=state.tries + 1)
    return Step(after, (), standing(after, policy, wait(state.tries, policy)))


def _stop(
    progress: Progress,
    reason: str,
    known: tuple[AnyFact, ...] = (),
    *,
    kind: OutcomeKind = OutcomeKind.SKIPPED,
    code: int | None = None,
) -> Step:
    """No further attempt. What was filled is confirmed first and makes the outcome REDUCED."""
    if progress.trades:
        ending = f"{code} {reason}" if code is not None else reason
        confirming = Confirming(msgspec.structs.replace(progress, ending=ending))
        return Step(confirming, known, steps.ReadPosition())
    return _conclude(progress, Outcome(kind, reason, code), known)


def _conclude(
    progress: Progress, outcome: Outcome, known: tuple[AnyFact, ...], position: Position | None = None
) -> Step:
    ended = Ended(outcome=outcome, position_after=position)
    return Step(Concluded(progress, ended), known, steps.Publish(ended=ended))
