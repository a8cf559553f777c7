"""The rules before an attempt: admission, sizing, sameness, and the way to the gate."""

from decimal import Decimal
from typing import Final

import msgspec

from sureclose.domain import facts, steps
from sureclose.domain.close import Done, New, Progress, Waiting, evolve
from sureclose.domain.facts import AnyFact
from sureclose.domain.history import closed_by, seen_since, went_through_zero
from sureclose.domain.ids import client_order_id_for
from sureclose.domain.market import OrderReport, Position, SymbolRules, Trade
from sureclose.domain.moves import again, conclude, expired, flat, see, settled, stale, stop
from sureclose.domain.outcome import BELOW_STEP, Outcome, OutcomeKind
from sureclose.domain.planning import SAME_INTENT, sent_already
from sureclose.domain.policy import Clears, Policy
from sureclose.domain.price import MARKET_ORDER_REJECT, bounded
from sureclose.domain.quantity import next_chunk, target_of
from sureclose.domain.readback import emptied
from sureclose.domain.rebuilding import JOURNAL_LOST, bereft
from sureclose.domain.resting import BLOCKED, blockers, still_there
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
    timeless,
    unfixed,
)
from sureclose.domain.standing import standing, wait
from sureclose.domain.steps import AnyEvent, Step

_FEW: Final = 3
"""Refusals after which resting orders are looked for although the position has moved in between."""


def new(state: New | Done, event: AnyEvent, policy: Policy) -> Step:
    if not isinstance(event, steps.Received):
        return Step(state, (), steps.Rest())
    admitted = facts.Admitted(decision=event.decision, entry=event.entry)
    after = evolve(state, admitted)
    if not isinstance(after, Waiting):
        return Step(state, (), steps.Rest())
    too_late = stale(after.progress, event.now, policy)
    if event.orphan is not None:
        return bereft(after.progress, event.orphan, too_late, (admitted,), policy)
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
        case steps.HistoryRead(closed_by=OrderReport() as last) if progress.owns(last) and _unknown(
            progress, last
        ):
            # An order of ours that had been proven dead: what was believed without it is not so.
            return settled(state, facts.Seen(via=facts.Via.ORDER_LIST, order=last), policy)
        case steps.HistoryRead():
            return _sized_or_gated(state, event, event.trades, policy)
        case steps.RestingRead():
            return _unblock(state, event, policy)
        case steps.NotListed():
            return stop(progress, "unknown_symbol", kind=OutcomeKind.REFUSED)
        case steps.SideUnclear():
            return stop(progress, "position_side_needed", kind=OutcomeKind.REFUSED)
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
            return _stopped(state, event)
        case steps.OrderSeen():
            return see(state, event, policy)
        case _:
            return Step(state, (), standing(state, policy))


def _nameless(event: steps.PositionRead | steps.HistoryRead) -> bool:
    """Whether somebody's order emptied the position and the venue does not show whose, yet."""
    if not isinstance(event, steps.HistoryRead):
        return False
    return event.position.amount == 0 and bool(event.trades) and event.closed_by is None


def _unknown(progress: Progress, order: OrderReport) -> bool:
    return order.order_id not in progress.order_ids


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
    if position.amount == 0 and progress.trades and progress.sized is not None:
        if not timeless(position) or (isinstance(event, steps.HistoryRead) and emptied(progress, event)):
            return flat(progress, OutcomeKind.FLAT, position, rules, policy)
        if history is None:
            since = seen_since(progress.sized.position)
            return Step(state, (), steps.ReadHistory(since=since, position=position, rules=rules))
        return again(state, policy)
    wrong = not_the_same(progress, position)
    if wrong:
        return stop(progress, wrong)
    since, doubtful_until = reference(progress, event.ahead)
    changed = position.update_time > since
    # All of what is there, when it is there, needs no second look; a part of it, or nothing, is only as good as the read.
    if history is None and (changed or position.amount == 0 or not progress.full):
        first = min(since + 1, seen_since(position))
        return Step(state, (), steps.ReadHistory(since=first, position=position, rules=rules))
    if history is not None and patient:
        incomplete = changed and position.update_time > newest(history)
        if incomplete or _nameless(event) or behind(position, history):
            return again(state, policy)
    if position.amount == 0:
        doubtful = not state.flat_at or position.requested_at - state.flat_at < policy.spread
        if doubtful and progress.refused_with not in BLOCKED:
            # Position and trades can lag together: flat on arrival burns the id, so it has to be said twice.
            seen = msgspec.structs.replace(state, flat_at=state.flat_at or position.requested_at)
            return Step(seen, (), standing(seen, policy, policy.spread))
        cause = closed_by(event.closed_by) if isinstance(event, steps.HistoryRead) else ""
        return flat(progress, OutcomeKind.ALREADY_FLAT, position, rules, policy, cause)
    state = msgspec.structs.replace(state, flat_at=0)
    if expired(progress, event.now):
        return stop(progress, "expired")
    if progress.ending:
        return stop(progress, progress.ending)
    news = [trade for trade in shown(history or (), position) if trade.time > since]
    if went_through_zero(position.amount, news, doubtful_until):
        return stop(progress, "position_reopened" if progress.first_sent_at is None else "position_changed")
    if progress.sized is not None:
        return _gate(state, position, rules, (), policy)
    decision, before = progress.decision, state.progress.sized
    target = target_of(position.amount, decision.fraction, decision.quantity, rules)
    if not target:
        return stop(progress, BELOW_STEP, kind=OutcomeKind.REFUSED)
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
        return stop(progress, BELOW_STEP, new_facts, kind=OutcomeKind.REFUSED)
    if _blocked(progress, position):
        return Step(
            state, new_facts, steps.ReadResting(why=facts.Why.BLOCKING, position=position, rules=rules)
        )
    return Step(state, new_facts, _attempt(progress, position, rules, quantity, policy))


def _attempt(
    progress: Progress, position: Position, rules: SymbolRules, quantity: Decimal, policy: Policy
) -> steps.PassGate:
    attempt, side = progress.attempt + 1, closing_side(position)
    return steps.PassGate(
        attempt=attempt,
        client_order_id=client_order_id_for(
            policy.client_order_id_prefix, policy.account, progress.decision.plan_id, attempt
        ),
        side=side,
        quantity=quantity,
        position=position,
        expires_at=progress.decision.expires_at,
        limit_price=bounded(position, rules, side) if progress.refused_with == MARKET_ORDER_REJECT else None,
    )


def _blocked(progress: Progress, position: Position) -> bool:
    """Whether resting orders are to be looked for: the venue refused, and not because the position had moved.

    A position that moves all the time proves nothing either way, so a few refusals are enough.
    """
    if progress.clearing is not None:
        return True
    if progress.refused_with not in BLOCKED or not progress.attempts:
        return False
    return position.amount == progress.attempts[-1].position.amount or progress.refusals >= _FEW


def _unblock(state: Waiting, event: steps.RestingRead, policy: Policy) -> Step:
    """Cancel what is in the way, and go on when a later list proves it gone, or nothing of ours was."""
    progress, position, rules = state.progress, event.position, event.rules
    clearing = progress.clearing
    if not _blocked(progress, position):
        return Step(state, (), standing(state, policy))
    if expired(progress, event.now):
        return stop(progress, "expired")
    if clearing is None:
        found = blockers(event.orders, position, policy)
        if not found:
            looked = msgspec.structs.replace(progress, refused_with=None)
            return _gate(msgspec.structs.replace(state, progress=looked), position, rules, (), policy)
        clearing = facts.Clearing(why=facts.Why.BLOCKING, orders=found)
        after = evolve(state, clearing)
        return Step(
            after,
            (clearing,),
            steps.CancelResting(why=facts.Why.BLOCKING, orders=found, position=position, rules=rules),
        )
    left = still_there(event.orders, clearing.orders)
    if left and state.tries < policy.patience and policy.clears is not Clears.NONE:
        tried = msgspec.structs.replace(state, tries=state.tries + 1)
        delay = wait(state.tries, policy)
        return Step(
            tried,
            (),
            steps.CancelResting(
                why=facts.Why.BLOCKING, orders=left, position=position, rules=rules, delay=delay
            ),
        )
    gone = tuple(order for order in clearing.orders if order not in left)
    # What was cancelled may have been filled before: the position is read again.
    fresh = msgspec.structs.replace(state, tries=0)
    return settled(fresh, facts.Cleared(why=clearing.why, gone=gone, left=left), policy)


def _stopped(state: Waiting, refused: steps.GateRefused) -> Step:
    """The gate is closed. When it closed before the first cancel, nothing was cancelled."""
    reason = refused.reason
    if reason == JOURNAL_LOST:
        return conclude(state.progress, Outcome(OutcomeKind.PARKED, reason), ())
    if refused.rehearsed is not None:
        rehearsed = msgspec.structs.replace(state.progress, would_send=refused.rehearsed)
        return stop(rehearsed, reason, (refused.rehearsed,))
    veto = sent_already(refused.other) if reason == SAME_INTENT else None
    clearing = state.progress.clearing
    if clearing is None or state.tries:
        return stop(state.progress, reason, veto=veto)
    untouched = facts.Cleared(why=clearing.why, left=clearing.orders)
    after = evolve(state, untouched)
    assert isinstance(after, Waiting)
    return stop(after.progress, reason, (untouched,), veto=veto)
