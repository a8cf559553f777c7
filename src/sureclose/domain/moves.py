"""What the rules of every state have in common: to note a fact, to try again, to stop, to conclude."""

import msgspec

from sureclose.domain import facts, steps
from sureclose.domain.close import (
    Concluded,
    Confirming,
    InFlight,
    Progress,
    State,
    Tidying,
    Unknown,
    Waiting,
    Working,
    evolve,
)
from sureclose.domain.events import Veto
from sureclose.domain.evidence import Evidence
from sureclose.domain.facts import AnyFact, Ended
from sureclose.domain.market import Position, SymbolRules
from sureclose.domain.outcome import Outcome, OutcomeKind
from sureclose.domain.planning import too_old
from sureclose.domain.policy import Policy
from sureclose.domain.standing import pause, standing, wait
from sureclose.domain.steps import Step


def stale(progress: Progress, now: int, policy: Policy) -> str:
    """Age at admission and when a process takes the close up; empty when the decision may still be executed."""
    veto = too_old(progress.decision, now, policy.max_age)
    return "" if veto is None else veto.rule


def expired(progress: Progress, now: int) -> bool:
    expires_at = progress.decision.expires_at
    return expires_at is not None and now > expires_at


def resumed(state: InFlight | Unknown | Working | Confirming, event: steps.Taken, policy: Policy) -> Step:
    """What was sent is followed to its end at any age; what is too old by now makes no further attempt."""
    taken = facts.Resumed(worker=event.worker, epoch=event.epoch)
    after = evolve(state, taken)
    assert isinstance(after, Unknown | Working | Confirming)
    too_late = stale(after.progress, event.now, policy)
    if too_late:
        progress = msgspec.structs.replace(after.progress, ending=too_late)
        after = msgspec.structs.replace(after, progress=progress)
    return Step(after, (taken,), standing(after, policy))


def see(state: State, event: steps.OrderSeen, policy: Policy) -> Step:
    return settled(state, facts.Seen(via=event.via, order=event.order), policy)


def settled(state: State, fact: AnyFact, policy: Policy) -> Step:
    """Journal the fact and go on with what the state it leads to wants."""
    after = evolve(state, fact)
    known: tuple[AnyFact, ...] = (fact,) if after != state else ()
    if isinstance(after, Waiting):
        return Step(after, known, standing(after, policy, pause(after.progress, policy)))
    return Step(after, known, standing(after, policy))


def again(state: Waiting | Unknown | Working | Confirming | Tidying, policy: Policy) -> Step:
    """Nothing learnt: the same again, later."""
    after = msgspec.structs.replace(state, tries=state.tries + 1)
    return Step(after, (), standing(after, policy, wait(state.tries, policy)))


def stop(
    progress: Progress,
    reason: str,
    known: tuple[AnyFact, ...] = (),
    *,
    kind: OutcomeKind = OutcomeKind.SKIPPED,
    code: int | None = None,
    veto: Veto | None = None,
) -> Step:
    """No further attempt. What was filled is confirmed first and makes the outcome REDUCED."""
    if progress.trades:
        ending = f"{code} {reason}" if code is not None else reason
        confirming = Confirming(msgspec.structs.replace(progress, ending=ending))
        return Step(confirming, known, steps.ReadPosition(position_side=progress.position_side))
    return conclude(progress, Outcome(kind, reason, code, veto), known)


def flat(
    progress: Progress,
    kind: OutcomeKind,
    position: Position,
    rules: SymbolRules,
    policy: Policy,
    reason: str = "",
) -> Step:
    """The position is zero. What it leaves behind is cancelled first, unless it is not known since when it is."""
    outcome = Outcome(kind, reason)
    if not policy.tidies or not position.update_time:
        return conclude(progress, outcome, (), position)
    tidying = Tidying(progress, Ended(outcome=outcome, position_after=position), position, rules)
    return Step(tidying, (), standing(tidying, policy))


def conclude(
    progress: Progress,
    outcome: Outcome,
    known: tuple[AnyFact, ...],
    position: Position | None = None,
    evidence: Evidence | None = None,
) -> Step:
    ended = Ended(outcome=outcome, position_after=position, evidence=evidence)
    return Step(Concluded(progress, ended), known, steps.Publish(ended=ended))
