"""The rules of an attempt that is on its way: in flight, of unknown fate, or an order that is being worked."""

import msgspec

from sureclose.domain import facts, steps
from sureclose.domain.close import InFlight, Unknown, Waiting, Working, evolve
from sureclose.domain.doubt import Contradiction, Doubts, evidence_since, explained, past_window, weigh
from sureclose.domain.evidence import Evidence
from sureclose.domain.facts import Dead
from sureclose.domain.market import Class, OrderReport, Refusal
from sureclose.domain.moves import again, conclude, resumed, see, settled, stop
from sureclose.domain.outcome import Outcome, OutcomeKind
from sureclose.domain.policy import Policy
from sureclose.domain.price import PRICE_REFUSALS
from sureclose.domain.quantity import ZERO
from sureclose.domain.standing import between, pause, standing
from sureclose.domain.steps import AnyEvent, Step


def in_flight(state: InFlight, event: AnyEvent, policy: Policy) -> Step:
    attempt = state.sending.attempt
    match event:
        case steps.Taken():
            return resumed(state, event, policy)
        case steps.Withheld():
            return settled(state, facts.NotSent(attempt=attempt, reason=event.reason), policy)
        case steps.OrderSeen() if event.via is not facts.Via.ANSWER or _is_its_own(state, event.order):
            return see(state, event, policy)
        case steps.Unanswered():
            lost = facts.Answered(
                attempt=attempt,
                answer=facts.Answer.UNKNOWN,
                http_status=event.http_status,
                code=event.code,
                message=event.reason,
            )
            return settled(state, lost, policy)
        case steps.Refused():
            return _refused(state, event.refusal, policy)
        case _:
            # Never sent twice: whatever else happens here, the attempt's fate is now to be asked for.
            lost = facts.Answered(
                attempt=attempt,
                answer=facts.Answer.UNKNOWN,
                message=f"answer overtaken by {type(event).__name__}",
            )
            return settled(state, lost, policy)


def _is_its_own(state: InFlight, order: OrderReport) -> bool:
    return order.client_order_id == state.sending.client_order_id


def _refused(state: InFlight, refusal: Refusal, policy: Policy) -> Step:
    open_still = refusal.kind is Class.RESOLVE
    answered = facts.Answered(
        attempt=state.sending.attempt,
        answer=facts.Answer.UNKNOWN if open_still else facts.Answer.REFUSED,
        http_status=refusal.http_status,
        code=refusal.code,
        message=refusal.message,
        setback=refusal.kind is not Class.WAIT,
    )
    if open_still:
        return settled(state, answered, policy)
    after = evolve(state, answered)
    if not isinstance(after, Waiting):
        return Step(after, (answered,), standing(after, policy))
    moved_band = state.sending.limit_price is not None and refusal.code in PRICE_REFUSALS
    hopeless = refusal.kind in {Class.FIX, Class.ESCALATE} and not moved_band
    if hopeless or after.progress.refusals > policy.setbacks:
        return stop(after.progress, refusal.message, (answered,), kind=OutcomeKind.REFUSED, code=refusal.code)
    # Asked to wait without being told how long: as long as anything here waits.
    asked = (refusal.retry_after_ms or policy.longest_wait) if refusal.kind is Class.WAIT else 0
    return Step(after, (answered,), standing(after, policy, max(asked, pause(after.progress, policy))))


def unknown(state: Unknown, event: AnyEvent, policy: Policy) -> Step:
    match event:
        case steps.Taken():
            return resumed(state, event, policy)
        case steps.OrderSeen():
            return see(state, event, policy)
        case steps.OrderMissing():
            return _missing(state, event.asked_at, policy)
        case steps.EvidenceRead():
            return _weigh(state, event, policy)
        case steps.ReadFailed():
            return again(state, policy)
        case _:
            return Step(state, (), standing(state, policy))


def _missing(state: Unknown, asked_at: int, policy: Policy) -> Step:
    if not past_window(state.sending, asked_at, policy):
        return again(state, policy)
    doubts = state.doubts.missing(asked_at)
    after = msgspec.structs.replace(state, doubts=doubts, tries=state.tries + 1)
    if doubts.enough(policy):
        return Step(after, (), _evidence_about(state.sending))
    return Step(after, (), standing(after, policy, between(policy)))


def _weigh(state: Unknown, event: steps.EvidenceRead, policy: Policy) -> Step:
    evidence = event.evidence
    match weigh(state.sending, state.doubts, evidence, policy):
        case OrderReport() as order:
            return settled(state, facts.Seen(via=facts.Via.ORDER_LIST, order=order), policy)
        case Dead() as dead:
            return settled(state, dead, policy)
        case Contradiction() as contradiction:
            doubts = state.doubts.contradicted(evidence.begun_at)
            if not doubts.standing(evidence.begun_at, policy):
                return again(msgspec.structs.replace(state, doubts=doubts), policy)
            reason = f"{contradiction.reason}; {state.sending.client_order_id} is not at the venue"
            outcome = Outcome(OutcomeKind.PARKED, reason)
            return conclude(state.progress, outcome, (), evidence.position, evidence)
        case _:
            return again(state, policy)


def working(state: Working, event: AnyEvent, policy: Policy) -> Step:
    match event:
        case steps.Taken():
            return resumed(state, event, policy)
        case steps.OrderSeen():
            step = see(state, event, policy)
            if step.state == state and event.via is not facts.Via.STREAM:
                return again(state, policy)
            # Old news puts nothing off: several pieces of it come with every order.
            return step
        case steps.TradesRead() if state.order.terminal:
            return _trades(state, event, policy)
        case steps.EvidenceRead() if state.order.terminal:
            return _ended_empty(state, event.evidence, policy)
        case steps.ReadFailed() | steps.OrderMissing():
            # The venue has shown the order: that it is not found now is a lagging read.
            return again(state, policy)
        case _:
            return Step(state, (), standing(state, policy))


def _trades(state: Working, event: steps.TradesRead, policy: Policy) -> Step:
    """An order has ended when its trades make up what it says it executed, and a doubtful end when that stays so."""
    order = state.order
    total = sum((trade.quantity for trade in event.trades), ZERO)
    query = steps.QueryOrder(client_order_id=order.client_order_id, delay=between(policy))
    if total != order.executed_qty:
        step = again(state, policy)
        # The order's own word may be the one that lags.
        return Step(step.state, (), query) if total > order.executed_qty or state.tries % 4 == 3 else step
    if not order.doubtful:
        return settled(state, facts.Filled(order=order, trades=event.trades), policy)
    doubts = state.doubts.missing(event.now)
    after = msgspec.structs.replace(state, doubts=doubts)
    if not doubts.enough(policy):
        return Step(after, (), query)
    if total:
        return settled(state, facts.Filled(order=order, trades=event.trades), policy)
    return Step(after, (), _evidence_about(_attempt_of(state)))


def _evidence_about(sending: facts.Sending) -> steps.GatherEvidence:
    return steps.GatherEvidence(since=evidence_since(sending), position_side=sending.position.position_side)


def _attempt_of(state: Working) -> facts.Sending:
    """The attempt that the order is of: an order is worked only when it carries the id of one."""
    own = state.order.client_order_id
    return next(sending for sending in state.progress.attempts if sending.client_order_id == own)


def _ended_empty(state: Working, evidence: Evidence, policy: Policy) -> Step:
    """Nothing was executed when no trade of the order is listed and others' trades explain the position."""
    order = state.order
    own = [trade for trade in evidence.trades if trade.order_id == order.order_id]
    before = _attempt_of(state).position
    if own or order.status == "FILLED" or not explained(before, evidence.position, evidence.trades):
        return again(msgspec.structs.replace(state, doubts=Doubts()), policy)
    return settled(state, facts.Filled(order=order, trades=()), policy)
