"""The reference policy: protective rules, then the kill score, then the profit ladder."""

from collections.abc import Callable
from typing import Final, TypeAlias

import msgspec

from sureclose.domain.harvest.kill_score import KILL, kill, kill_score
from sureclose.domain.harvest.ladder import PROFIT_LOCK, ladder
from sureclose.domain.harvest.policy import Hold, Judgement, NoDecision, Proposal, View
from sureclose.domain.harvest.protective import HARD_LOSS, MAX_AGE, hard_loss, max_age
from sureclose.domain.harvest.risk import in_r
from sureclose.domain.harvest.seen import age_at_least, seen_r

Rule: TypeAlias = Callable[[View], Judgement]

RULES: Final[tuple[tuple[str, Rule], ...]] = (
    (HARD_LOSS, hard_loss),
    (MAX_AGE, max_age),
    (KILL, kill),
    ("", ladder),
)
"""In their order, each with the name of the full close that it asks for."""


class Reference:
    """The first rule that proposes is the answer, each judged on its own data: one that lacks some holds up no other.

    A full close that was asked for in this episode silences its own rule and those below it, for one wish about a position is
    enough, and not those above it. When nothing is proposed, what could not be judged goes before what holds: a position is
    said to be left alone only by rules that have seen it.
    """

    name = "reference"

    def judge(self, view: View) -> Judgement:
        scores, doubts, holds = scores_of(view), list[NoDecision](), list[str]()
        for name, rule in RULES:
            if name in view.episode.asked:
                holds.append(f"{name} was asked for in this episode")
                break
            match rule(view):
                case Proposal() as proposal:
                    return msgspec.structs.replace(proposal, scores=scores)
                case NoDecision() as doubt:
                    doubts.append(doubt)
                case Hold(reason=reason):
                    holds.append(reason)
        return doubts[0] if doubts else Hold(reason="; ".join(holds), scores=scores)


def scores_of(view: View) -> dict[str, str]:
    """All that is known, as information: R, whether the profit lock is reached, the kill score and its breakdown."""
    scores: dict[str, str] = {}
    r = seen_r(view)
    if not isinstance(r, NoDecision):
        scores |= {"R_net": in_r(r), "profit_lock": "true" if r >= PROFIT_LOCK else "false"}
    if view.market is not None:
        scores |= kill_score(view.market, age_at_least(view)).scores
    return scores
