"""The production core, called by numbers: fold and decide, each answer remembered.

Counters that the rules only compare with a bound are kept up to that bound, and a delay is only kept as being one: the
rules can't tell the difference, and a loop of reads is one state then.
"""

from functools import cache
from typing import Final

import msgspec

from sureclose.domain import steps
from sureclose.domain.close import Confirming, State, Unknown, Waiting, Working, fold
from sureclose.domain.decide import decide, news
from sureclose.domain.doubt import Doubts
from sureclose.domain.steps import AnyEffect, AnyEvent
from tests.model.pool import key_of
from tests.model.terms import EFFECTS, FACTS, POLICY, STATES

Decided = tuple[int, tuple[int, ...], int]
"""A state, new facts and an effect, by their numbers."""

_known: Final[dict[tuple[int, int, tuple[type, bytes]], Decided]] = {}
_EVERY_FOURTH: Final = 4
"""The order's own word is asked for again at every fourth try (``domain/attempt.py``)."""


def after(state: int, event: AnyEvent) -> Decided:
    """What the event makes of the state."""
    key = (state, -1, key_of(event))
    found = _known.get(key)
    if found is None:
        found = _known[key] = _numbers(decide(STATES[state], event, POLICY))
    return found


def after_news(state: int, event: steps.OrderSeen, effect: int) -> Decided:
    """What news of an order makes of a state whose effect is still to be performed."""
    key = (state, effect, key_of(event))
    found = _known.get(key)
    if found is None:
        found = _known[key] = _numbers(news(STATES[state], event, EFFECTS[effect], POLICY))
    return found


@cache
def folded(facts: tuple[int, ...]) -> int:
    return STATES.number(bounded(fold(FACTS[fact] for fact in facts)))


def _numbers(step: steps.Step) -> Decided:
    facts = tuple(FACTS.number(fact) for fact in step.facts)
    return STATES.number(bounded(step.state)), facts, EFFECTS.number(calm(step.effect))


def calm(effect: AnyEffect) -> AnyEffect:
    return msgspec.structs.replace(effect, delay=1) if effect.delay > 1 else effect


def bounded(state: State) -> State:
    replace = msgspec.structs.replace
    match state:
        case Waiting() | Confirming():
            return replace(state, tries=min(state.tries, POLICY.patience))
        case Unknown():
            return replace(state, tries=0, doubts=_bounded(state.doubts))
        case Working():
            tries = state.tries % _EVERY_FOURTH if state.order.terminal else 0
            return replace(state, tries=tries, doubts=_bounded(state.doubts))
        case _:
            return state


def _bounded(doubts: Doubts) -> Doubts:
    return msgspec.structs.replace(doubts, count=min(doubts.count, POLICY.not_found_answers))
