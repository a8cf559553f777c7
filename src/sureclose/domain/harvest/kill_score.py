"""The kill score: how much speaks for ending a position, from 0.5 to 0.92.

K = sigmoid(sum of weight x term). All terms are zero or more, so K is never below 0.5, and a regime flip alone makes
sigmoid(1) = 0.731 and so a full close. ``TERMS`` is the one place of the weights: the score is computed from it and the table
in ``docs/harvest.md`` is generated from it (incident 19: documented and coded weights of one formula differed).
"""

import math
from collections.abc import Callable
from typing import Final

import msgspec

from sureclose.domain.actions import ALL
from sureclose.domain.harvest.limits import HOUR_MS
from sureclose.domain.harvest.policy import Condition, Hold, MarketState, NoDecision, Proposal, View
from sureclose.domain.harvest.seen import age_at_least, age_is_exact, age_unknown

KILL: Final = "kill"
THRESHOLD: Final = 0.6
"""From here on a full close is proposed."""

KLINES: Final = (
    Condition.KLINES_MISSING,
    Condition.KLINES_TOO_FEW,
    Condition.KLINES_STALE,
    Condition.KLINES_ABSURD,
)


class Term(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that speaks for ending the position: ``value`` of the market and the age in hours, at most ``most``."""

    name: str
    weight: float
    formula: str
    most: float
    value: Callable[[MarketState, float], float]


def _regime_flip(market: MarketState, _: float) -> float:
    return 1.0 if market.p_trend < 0.3 and market.p_chop + market.p_mr > 0.5 else 0.0


def _sigma_spike(market: MarketState, _: float) -> float:
    return _clip(market.sigma / 0.01 - 1, 2.0)


def _trend_drop(market: MarketState, _: float) -> float:
    return _clip(0.3 - market.trend_strength, 0.5)


def _age(_: MarketState, hours: float) -> float:
    return min(hours / 24, 1.0)


TERMS: Final = (
    Term(
        name="k_regime_flip",
        weight=1.0,
        formula="1 if p_trend < 0.3 and p_chop + p_mr > 0.5, else 0",
        most=1.0,
        value=_regime_flip,
    ),
    Term(
        name="k_sigma_spike",
        weight=0.5,
        formula="clip(sigma / 0.01 - 1, 0, 2)",
        most=2.0,
        value=_sigma_spike,
    ),
    Term(
        name="k_trend_drop",
        weight=0.5,
        formula="clip(0.3 - trend_strength, 0, 0.5)",
        most=0.3,
        value=_trend_drop,
    ),
    Term(name="k_age", weight=0.3, formula="min(age / 24 h, 1)", most=1.0, value=_age),
)


class KillScore(msgspec.Struct, frozen=True):
    """The score and the value of each term, in the order of ``TERMS`` and before its weight."""

    value: float
    terms: tuple[float, ...]

    @property
    def scores(self) -> dict[str, str]:
        """The breakdown, from which the score can be computed again."""
        named = zip((term.name for term in TERMS), self.terms, strict=True)
        return {"kill_score": _text(self.value)} | {name: _text(value) for name, value in named}

    @property
    def sum(self) -> str:
        """The breakdown with its weights, for people."""
        parts = zip(TERMS, self.terms, strict=True)
        return " + ".join(f"{term.weight} x {_text(value)} ({term.name})" for term, value in parts)


def sigmoid(x: float) -> float:
    """1 / (1 + e^-x), for any x without overflow."""
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


def kill_score(market: MarketState, age: int) -> KillScore:
    """K of a market and an age in milliseconds."""
    terms = tuple(term.value(market, age / HOUR_MS) for term in TERMS)
    return KillScore(
        sigmoid(sum(term.weight * value for term, value in zip(TERMS, terms, strict=True))), terms
    )


def kill(view: View) -> Proposal | Hold | NoDecision:
    """A full close from the threshold on.

    An age that is not known in full counts as what it is at least. If only more could reach the threshold, it is not known
    whether K does.
    """
    if view.market is None:
        return view.doubt(*KLINES)
    score = kill_score(view.market, age_at_least(view))
    told = f"K {_text(score.value)} = sigmoid({score.sum})"
    if score.value >= THRESHOLD:
        return Proposal(
            name=KILL,
            action="FULL_CLOSE_PROPOSED",
            fraction=ALL,
            reason=f"kill score: {told}, limit {THRESHOLD}",
            scores=score.scores,
        )
    if not age_is_exact(view) and kill_score(view.market, 24 * HOUR_MS).value >= THRESHOLD:
        return age_unknown(view)
    return Hold(reason=f"{told}, limit {THRESHOLD}", scores=score.scores)


def table() -> str:
    """The weights as ``docs/harvest.md`` shows them."""
    rows = [f"| `{term.name}` | {term.weight} | {term.formula} | {term.most} |" for term in TERMS]
    return "\n".join(("| term | weight | value | at most |", "|---|---|---|---|", *rows))


def _clip(value: float, most: float) -> float:
    return min(max(value, 0.0), most)


def _text(value: float) -> str:
    return f"{value:.6f}"
