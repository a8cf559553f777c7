"""The rules after flat: reducing orders that the position leaves behind are cancelled, as well as can be.

The outcome stands already and is not held up for long: what can't be cancelled is recorded and told.
"""

from typing import Final

import msgspec

from sureclose.domain import facts, steps
from sureclose.domain.close import Tidying, evolve
from sureclose.domain.market import RestingOrder
from sureclose.domain.moves import again, conclude, see
from sureclose.domain.policy import Policy
from sureclose.domain.resting import leftovers, still_there
from sureclose.domain.standing import standing, wait
from sureclose.domain.steps import AnyEvent, Step

_TRIES: Final = 4


def tidying(state: Tidying, event: AnyEvent, policy: Policy) -> Step:
    match event:
        case steps.RestingRead():
            return _tidy(state, event, policy)
        case steps.ReadFailed() if state.tries >= _TRIES:
            return _given_up(state)
        case steps.GateRefused():
            return _given_up(state)
        case steps.ReadFailed():
            return again(state, policy)
        case steps.OrderSeen() if evolve(state, facts.Seen(via=event.via, order=event.order)) != state:
            # An order that nobody knew of: the position is not settled.
            return see(state, event, policy)
        case _:
            return Step(state, (), standing(state, policy))


def _tidy(state: Tidying, event: steps.RestingRead, policy: Policy) -> Step:
    position, rules, clearing = event.position, event.rules, state.clearing
    if clearing is None:
        found = leftovers(event.orders, position)
        if not found:
            return _over(state, ())
        clearing = facts.Clearing(why=facts.Why.LEFTOVER, orders=found)
        begun = msgspec.structs.replace(state, clearing=clearing)
        return Step(
            begun,
            (clearing,),
            steps.CancelResting(why=facts.Why.LEFTOVER, orders=found, position=position, rules=rules),
        )
    left = still_there(event.orders, clearing.orders)
    if left and state.tries < _TRIES:
        tried = msgspec.structs.replace(state, tries=state.tries + 1)
        delay = wait(state.tries, policy)
        return Step(
            tried,
            (),
            steps.CancelResting(
                why=facts.Why.LEFTOVER, orders=left, position=position, rules=rules, delay=delay
            ),
        )
    return _over(state, left)


def _over(state: Tidying, left: tuple[RestingOrder, ...]) -> Step:
    orders = () if state.clearing is None else state.clearing.orders
    gone = tuple(order for order in orders if order not in left)
    return _concluded(state, facts.Cleared(why=facts.Why.LEFTOVER, gone=gone, left=left))


def _given_up(state: Tidying) -> Step:
    """What was found is still there as far as is known; what was never listed is not known."""
    if state.clearing is not None:
        return _over(state, state.clearing.orders)
    return _concluded(state, facts.Cleared(why=facts.Why.LEFTOVER, listed=False))


def _concluded(state: Tidying, cleared: facts.Cleared) -> Step:
    """What says nothing that was not said before is not recorded."""
    after = evolve(state, cleared)
    assert isinstance(after, Tidying)
    known = (cleared,) if state.clearing is not None or after != state else ()
    ended = state.ended
    return conclude(after.progress, ended.outcome, known, ended.position_after)
