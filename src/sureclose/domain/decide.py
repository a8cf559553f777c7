"""The rules of one effect: what an event means to a close, and what to do next. Total, without clock or chance."""

from sureclose.domain.attempt import in_flight, unknown, working
from sureclose.domain.close import (
    Concluded,
    Confirming,
    Done,
    InFlight,
    New,
    State,
    Tidying,
    Unknown,
    Waiting,
    Working,
)
from sureclose.domain.policy import Policy
from sureclose.domain.readback import concluded, confirming
from sureclose.domain.rebuilding import orphaned, rebuilding
from sureclose.domain.steps import AnyEffect, AnyEvent, OrderSeen, Orphaned, Step
from sureclose.domain.tidying import tidying
from sureclose.domain.waiting import new, waiting


def news(state: State, event: OrderSeen, effect: AnyEffect, policy: Policy) -> Step:
    """News of an order while an effect is still to be performed: what changes nothing puts nothing off."""
    step = decide(state, event, policy)
    return step if step.state != state else Step(state, (), effect)


def decide(state: State, event: AnyEvent, policy: Policy) -> Step:
    """What the event brings. An event that a state does not wait for changes nothing and repeats the state's effect."""
    if isinstance(event, Orphaned):
        return orphaned(state, event, policy)
    match state:
        case New() | Done():
            return new(state, event, policy)
        case Waiting() if state.progress.orphan is not None:
            return rebuilding(state, event, policy)
        case Waiting():
            return waiting(state, event, policy)
        case InFlight():
            return in_flight(state, event, policy)
        case Unknown():
            return unknown(state, event, policy)
        case Working():
            return working(state, event, policy)
        case Confirming():
            return confirming(state, event, policy)
        case Tidying():
            return tidying(state, event, policy)
        case Concluded():
            return concluded(state, event, policy)
