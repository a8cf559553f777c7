"""What a state wants done when nothing has happened, and how long it waits before it does the same again."""

from typing import Final

from sureclose.domain import steps
from sureclose.domain.close import (
    Concluded,
    Confirming,
    Done,
    InFlight,
    New,
    Progress,
    State,
    Tidying,
    Unknown,
    Waiting,
    Working,
)
from sureclose.domain.facts import Why
from sureclose.domain.market import OrderReport
from sureclose.domain.policy import Policy
from sureclose.domain.steps import AnyEffect

LONGEST_LIFE_MS: Final = 60_000
"""How long before its last change an order of ours can have begun: they fill at once or not at all."""


def standing(state: State, policy: Policy, delay: int = 0) -> AnyEffect:
    """What a state wants done when nothing has happened."""
    match state:
        case Waiting(progress=Progress(orphan=OrderReport() as orphan)):
            return steps.ReadOrphan(
                since=orphan.update_time - LONGEST_LIFE_MS, position_side=orphan.position_side, delay=delay
            )
        case Waiting() | Confirming():
            return steps.ReadPosition(delay=delay, position_side=state.progress.position_side)
        case InFlight():
            return steps.Send(sending=state.sending)
        case Unknown():
            return steps.QueryOrder(client_order_id=state.sending.client_order_id, delay=delay)
        case Working():
            if state.order.terminal:
                return steps.ReadTrades(order_id=state.order.order_id, delay=delay)
            return steps.QueryOrder(
                client_order_id=state.order.client_order_id, delay=delay or policy.first_wait
            )
        case Tidying():
            return steps.ReadResting(
                why=Why.LEFTOVER, position=state.position, rules=state.rules, delay=delay
            )
        case Concluded():
            return steps.Publish(ended=state.ended)
        case New() | Done():
            return steps.Rest()


def pause(progress: Progress, policy: Policy) -> int:
    """How long to wait before an attempt: nothing at first, then doubling with each setback."""
    return wait(progress.setbacks - 1, policy) if progress.setbacks else 0


def wait(tries: int, policy: Policy) -> int:
    """How long after so many tries: doubling, up to the longest wait."""
    return min(policy.first_wait << min(tries, 16), policy.longest_wait)


def between(policy: Policy) -> int:
    """How far apart answers lie that are to count together."""
    return max(policy.first_wait, policy.spread // max(1, policy.not_found_answers - 1))
