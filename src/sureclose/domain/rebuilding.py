"""The rules for an order of ours that the venue has and the log had lost.

It was sent, whatever the log says: so it is first made an attempt of its close again, from what the venue shows, and then
the close goes on as it always does, with the order's end, its trades, the remainder and the read-back. No age stops this;
a wish that is too old by now makes no further attempt. What can't be worked out is parked for a person.
"""

from functools import lru_cache
from typing import Final

import msgspec

from sureclose.domain import facts, steps
from sureclose.domain.close import Confirming, InFlight, Progress, State, Unknown, Waiting, evolve
from sureclose.domain.evidence import Evidence
from sureclose.domain.facts import AnyFact
from sureclose.domain.history import moved
from sureclose.domain.ids import client_order_id_for
from sureclose.domain.market import OrderReport, Position, SymbolRules
from sureclose.domain.moves import again, conclude, stale
from sureclose.domain.outcome import Outcome, OutcomeKind
from sureclose.domain.policy import Policy
from sureclose.domain.quantity import ZERO, next_chunk, target_of
from sureclose.domain.sameness import closing_side, newest, timeless, unfixed
from sureclose.domain.standing import standing
from sureclose.domain.steps import AnyEvent, Step

JOURNAL_LOST: Final = "journal_lost"
"""Why a close is parked whose lost part can't be worked out."""

AHEAD: Final = 128
"""How many attempts beyond the last known one are looked for: more than refusals in a row end a close."""


def orphan_of(
    progress: Progress | None, plan_id: str, orphans: dict[str, OrderReport], policy: Policy
) -> OrderReport | None:
    """The first order of a later attempt of this plan among those that the log had lost."""
    if not orphans:
        return None
    known = 0 if progress is None else progress.attempt
    for attempt in range(known + 1, known + 1 + AHEAD):
        found = orphans.get(_own_id(plan_id, attempt, policy))
        if found is not None:
            return found
    return None


def ids_of(plan_id: str, policy: Policy) -> list[str]:
    """The ids of a plan's first attempts, to tell whose an order is."""
    return [_own_id(plan_id, attempt, policy) for attempt in range(1, 1 + AHEAD)]


def orphaned(state: State, event: steps.Orphaned, policy: Policy) -> Step:
    """Between attempts, or when the fills seem complete, the lost order comes first."""
    if not isinstance(state, Waiting | Confirming) or state.progress.orphan is not None:
        return Step(state, (), standing(state, policy))
    return bereft(state.progress, event.order, state.progress.ending, (), policy)


def bereft(
    progress: Progress, order: OrderReport, ending: str, known: tuple[AnyFact, ...], policy: Policy
) -> Step:
    """An order was lost. What is too old by now, or ended for another reason, makes no attempt after it."""
    state = Waiting(msgspec.structs.replace(progress, orphan=order, ending=ending))
    if order.symbol != progress.decision.symbol or not _number(progress, order, policy):
        return _parked(state, known)
    return Step(state, known, standing(state, policy))


def rebuilding(state: Waiting, event: AnyEvent, policy: Policy) -> Step:
    match event:
        case steps.Taken():
            resumed = facts.Resumed(worker=event.worker, epoch=event.epoch)
            ending = state.progress.ending or stale(state.progress, event.now, policy)
            after = msgspec.structs.replace(
                state, progress=msgspec.structs.replace(state.progress, ending=ending)
            )
            return Step(after, (resumed,), standing(after, policy))
        case steps.OrphanRead():
            return _rebuilt(state, event.evidence, event.rules, policy)
        case steps.Adopted():
            return _adopted(state, event.facts, policy)
        case steps.ReadFailed() | steps.GateRefused(passing=True):
            return again(state, policy)
        case steps.NotListed() | steps.GateRefused():
            return _parked(state)
        case _:
            return Step(state, (), standing(state, policy))


def _rebuilt(state: Waiting, evidence: Evidence, rules: SymbolRules, policy: Policy) -> Step:
    """The attempt as it must have been: on the position that the order met, for what the plan asked of it."""
    order = state.progress.orphan
    assert order is not None
    number = _number(state.progress, order, policy)
    position = _before(order, evidence, patient=state.tries < policy.patience)
    if position is None or not number:
        # A lagging read; only one that stays so for a minute is what a person has to look at.
        return _parked(state) if state.tries > 6 * policy.patience else again(state, policy)
    progress = unfixed(state.progress)
    known: list[AnyFact] = []
    if progress.sized is None and closing(order, position):
        sized = _sized(progress, order, position, rules)
        if sized is None:
            return _parked(state)
        known.append(sized)
    sending = facts.Sending(
        attempt=number,
        client_order_id=order.client_order_id,
        side=order.side,
        quantity=order.orig_qty,
        timestamp=position.update_time,
        deadline=max(order.update_time, position.update_time),
        position=position,
        rebuilt=True,
    )
    known += [sending, facts.Seen(via=facts.Via.ORDER_LIST, order=order)]
    return Step(state, (), steps.Adopt(sending=sending, facts=tuple(known)))


def _adopted(state: State, known: tuple[AnyFact, ...], policy: Policy) -> Step:
    """It was sent in the lost history, so whatever is said of it, it is never sent from here."""
    for fact in known:
        state = evolve(state, fact)
    if isinstance(state, InFlight):
        state = Unknown(state.progress, state.sending)
    return Step(state, (), standing(state, policy))


def _before(order: OrderReport, evidence: Evidence, *, patient: bool) -> Position | None:
    """The position that the order met, from the one now and all trades since; ``None`` while the reads don't fit.

    An order that executed nothing may have met no position at all.
    """
    position, last = evidence.position, newest(evidence.trades)
    own = [trade for trade in evidence.trades if trade.order_id == order.order_id]
    if sum((trade.quantity for trade in own), ZERO) < order.executed_qty:
        return None
    if last > (position.requested_at if timeless(position) else position.update_time):
        return None
    if own and patient and position.update_time > last:
        return None
    at = min((trade.time for trade in own), default=order.update_time) - 1
    amount = position.amount - moved(trade for trade in evidence.trades if trade.time > at)
    before = msgspec.structs.replace(position, amount=amount, update_time=at, requested_at=at, told=False)
    return before if not own or closing(order, before) else None


def closing(order: OrderReport, position: Position) -> bool:
    """Whether the order makes this position smaller."""
    return position.amount != 0 and closing_side(position) is order.side


def _sized(
    progress: Progress, order: OrderReport, position: Position, rules: SymbolRules
) -> facts.Sized | None:
    """What the lost sizing was for. All of it is corrected at the read-back; a part has to be known exactly.

    Where the rule gives the order's own quantity, it gave the order. Else the order says its part, unless it may be the
    first chunk of a larger one.
    """
    decision = progress.decision
    target = target_of(position.amount, decision.fraction, decision.quantity, rules)
    if not target or next_chunk(target, position.amount, rules) != order.orig_qty:
        if not progress.full and order.orig_qty + rules.min_qty > rules.max_qty:
            return None
        target = order.orig_qty
    return facts.Sized(position=position, target=target, side=order.side, rebuilt=True)


def _number(progress: Progress, order: OrderReport, policy: Policy) -> int:
    """Which attempt the order is; zero when it is none of this plan's to come."""
    first = progress.attempt + 1
    own, plan_id = order.client_order_id, progress.decision.plan_id
    numbers = range(first, first + AHEAD)
    return next((number for number in numbers if _own_id(plan_id, number, policy) == own), 0)


@lru_cache(maxsize=64 * AHEAD)
def _own_id(plan_id: str, attempt: int, policy: Policy) -> str:
    """Asked for again at every step while an orphan is left that no close has taken up."""
    return client_order_id_for(policy.client_order_id_prefix, policy.account, plan_id, attempt)


def _parked(state: Waiting, known: tuple[AnyFact, ...] = ()) -> Step:
    return conclude(state.progress, Outcome(OutcomeKind.PARKED, JOURNAL_LOST), known)
