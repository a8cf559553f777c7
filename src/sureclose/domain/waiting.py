"""The rules before an attempt: admission, sizing, sameness, and the way to the gate."""

from sureclose.domain import facts, steps
from sureclose.domain.close import Done, New, Waiting, evolve
from sureclose.domain.facts import AnyFact
from sureclose.domain.history import seen_since, went_through_zero
from sureclose.domain.ids import client_order_id_for
from sureclose.domain.market import Position, SymbolRules, Trade
from sureclose.domain.moves import again, conclude, expired, see, stale, stop
from sureclose.domain.outcome import Outcome, OutcomeKind
from sureclose.domain.policy import Policy
from sureclose.domain.quantity import next_chunk, target_of
from sureclose.domain.sameness import (
    behind,
    closing_side,
    counts,
    newest,
    not_the_same,
    older_than_decided,
    reference,
    same_sizing,
    shown,
    unfixed,
)
from sureclose.domain.standing import standing
from sureclose.domain.steps import AnyEvent, Step


def new(state: New | Done, event: AnyEvent, policy: Policy) -> Step:
    if not isinstance(event, steps.Received):
        return Step(state, (), steps.Rest())
    admitted = facts.Admitted(decision=event.decision, entry=event.entry)
    after = evolve(state, admitted)
    if not isinstance(after, Waiting):
        return Step(state, (), steps.Rest())
    too_late = stale(after.progress, event.now, policy)
    if too_late:
        return conclude(after.progress, Outcome(OutcomeKind.SKIPPED, too_late), (admitted,))
    return Step(after, (admitted,), steps.ReadPosition())


def waiting(state: Waiting, event: AnyEvent, policy: Policy) -> Step:
    progress = state.progress
    match event:
        case steps.Taken():
            resumed = facts.Resumed(worker=event.worker, epoch=event.epoch)
            too_late = stale(progress, event.now, policy)
            if too_late:
                return stop(progress, too_late, (resumed,))
            return Step(state, (resumed,), standing(state, policy))
        case steps.PositionRead():
            return _sized_or_gated(state, event, None, policy)
        case steps.HistoryRead():
            return _sized_or_gated(state, event, event.trades, policy)
        case steps.NotListed():
            return stop(progress, "unknown_symbol", kind=OutcomeKind.REFUSED)
        case steps.ReadFailed():
            if expired(progress, event.now):
                return stop(progress, "expired")
            return again(state, policy)
        case steps.GatePassed():
            inflight = evolve(state, event.sending)
            return Step(inflight, (), standing(inflight, policy))
        case steps.GateRefused(passing=True):
            return again(state, policy)
        case steps.GateRefused():
            return stop(progress, event.reason)
        case steps.OrderSeen():
            return see(state, event, policy)
        case _:
            return Step(state, (), standing(state, policy))


def _sized_or_gated(
    state: Waiting,
    event: steps.PositionRead | steps.HistoryRead,
    history: tuple[Trade, ...] | None,
    policy: Policy,
) -> Step:
    position, rules = event.position, event.rules
    progress = unfixed(state.progress)
    patient = state.tries < policy.patience
    if not counts(position, progress) or (patient and older_than_decided(position, progress)):
        return again(state, policy)
    if position.amount == 0 and progress.trades:
        return conclude(progress, Outcome(OutcomeKind.FLAT), (), position)
    wrong = not_the_same(progress, position)
    if wrong:
        return stop(progress, wrong)
    since, doubtful_until = reference(progress, event.ahead)
    changed = position.update_time > since
    # All of what is there, when it is there, needs no second look; a part of it, or nothing, is only as good as the read.
    if history is None and (changed or position.amount == 0 or not progress.full):
        first = min(since, seen_since(position)) + 1
        return Step(state, (), steps.ReadHistory(since=first, position=position, rules=rules))
    if history is not None and patient:
        incomplete = changed and position.amount != 0 and position.update_time > newest(history)
        if incomplete or behind(position, history):
            return again(state, policy)
    if position.amount == 0:
        return conclude(progress, Outcome(OutcomeKind.ALREADY_FLAT), (), position)
    if expired(progress, event.now):
        return stop(progress, "expired")
    if progress.ending:
        return stop(progress, progress.ending)
    news = [trade for trade in shown(history or (), position) if trade.time > since]
    if went_through_zero(position.amount, news, doubtful_until):
        return stop(progress, "position_reopened")
    if progress.sized is not None:
        return _gate(state, position, rules, (), policy)
    decision, before = progress.decision, state.progress.sized
    target = target_of(position.amount, decision.fraction, decision.quantity, rules)
    if not target:
        return stop(progress, "below_step", kind=OutcomeKind.REFUSED)
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
        return stop(progress, "below_step", new_facts, kind=OutcomeKind.REFUSED)
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
