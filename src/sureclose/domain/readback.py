"""The rules after the fills: the position is read back, and the outcome is published."""

from sureclose.domain import facts, steps
from sureclose.domain.close import Concluded, Confirming, Done, Progress
from sureclose.domain.doubt import explained
from sureclose.domain.history import increased, seen_since
from sureclose.domain.moves import again, conclude, flat, resumed, see, settled
from sureclose.domain.outcome import Outcome, OutcomeKind
from sureclose.domain.policy import Policy
from sureclose.domain.sameness import closing_side, counts, newest, sized_at, timeless
from sureclose.domain.steps import AnyEvent, Step


def confirming(state: Confirming, event: AnyEvent, policy: Policy) -> Step:
    match event:
        case steps.Taken():
            return resumed(state, event, policy)
        case steps.PositionRead():
            return _read_back(state, event, policy)
        case steps.HistoryRead():
            return _not_flat(state, event, policy)
        case steps.OrderSeen():
            return see(state, event, policy)
        case _:
            return again(state, policy)


def _read_back(state: Confirming, event: steps.PositionRead, policy: Policy) -> Step:
    progress, position = state.progress, event.position
    if not counts(position, progress):
        return again(state, policy)
    if timeless(position) and progress.sized is not None:
        since = seen_since(progress.sized.position)
        return Step(state, (), steps.ReadHistory(since=since, position=position, rules=event.rules))
    if position.amount == 0:
        return flat(progress, OutcomeKind.FLAT, position, event.rules, policy)
    if progress.ending or not progress.full or progress.sized is None:
        reason = progress.ending if progress.full or progress.remaining else ""
        return conclude(progress, Outcome(OutcomeKind.REDUCED, reason), (), position)
    if position.amount * progress.sized.position.amount < 0:
        return conclude(progress, Outcome(OutcomeKind.REDUCED, "position_changed"), (), position)
    since = sized_at(progress.sized, progress) + 1
    return Step(state, (), steps.ReadHistory(since=since, position=position, rules=event.rules))


def _not_flat(state: Confirming, event: steps.HistoryRead, policy: Policy) -> Step:
    """What the trades say of a read-back: a flat row without a time, or a full close that left something.

    Something is left when somebody added to the position, or when its sizing was stale.
    """
    progress, position = state.progress, event.position
    if position.amount == 0:
        if not emptied(progress, event):
            return again(state, policy)
        return flat(progress, OutcomeKind.FLAT, position, event.rules, policy)
    others = [trade for trade in event.trades if trade.order_id not in progress.order_ids]
    # Our own fills are in a list that has caught up with the position; without them it says nothing of others.
    late = position.update_time > newest(event.trades)
    if late and state.tries < policy.patience:
        return again(state, policy)
    if late or increased(position.amount, others):
        return conclude(progress, Outcome(OutcomeKind.REDUCED, "position_changed"), (), position)
    target = progress.filled + abs(position.amount)
    resized = facts.Sized(position=position, target=target, side=closing_side(position))
    return settled(state, resized, policy)


def emptied(progress: Progress, event: steps.HistoryRead) -> bool:
    """Whether the trades since what the sizing saw make zero, where the venue says flat and not since when."""
    sized = progress.sized
    return sized is not None and explained(sized.position, event.position, event.trades)


def concluded(state: Concluded, event: AnyEvent, policy: Policy) -> Step:
    if isinstance(event, steps.Published):
        return Step(Done(state.progress, state.ended), (), steps.Rest())
    if isinstance(event, steps.OrderSeen):
        # An order that nobody knew of: what was concluded without it is not so.
        return see(state, event, policy)
    return Step(state, (), steps.Publish(ended=state.ended))
