"""The kill score: the formula, its bounds, and what it proposes."""

import math
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sureclose.domain.actions import ALL
from sureclose.domain.harvest.kill_score import TERMS, kill, kill_score, sigmoid
from sureclose.domain.harvest.limits import HOUR_MS
from sureclose.domain.harvest.policy import Condition, MarketState
from tests.domain.harvest.views import CALM, FLIPPED, NOW, episode, held, proposed, undecided, view

DAY = 24 * HOUR_MS
SHARES = st.floats(0, 1)


@st.composite
def markets(draw: st.DrawFn) -> MarketState:
    trend, rest = draw(SHARES), draw(SHARES)
    reverting = (1 - trend) * rest
    return MarketState(
        p_trend=trend,
        p_mr=reverting,
        p_chop=1 - trend - reverting if 1 - trend - reverting > 0 else 0.0,
        sigma=draw(st.floats(0, 10)),
        trend_strength=draw(SHARES),
        at=NOW,
    )


@settings(deadline=None)
@given(markets(), st.integers(0, 1000 * HOUR_MS))
def test_the_score_is_the_formula_and_nothing_else(market: MarketState, age: int) -> None:
    flip = 1 if market.p_trend < 0.3 and market.p_chop + market.p_mr > 0.5 else 0
    spike = min(max(market.sigma / 0.01 - 1, 0), 2)
    drop = min(max(0.3 - market.trend_strength, 0), 0.5)
    old = min(age / DAY, 1)
    score = kill_score(market, age)
    assert score.value == pytest.approx(
        1 / (1 + math.exp(-(1.0 * flip + 0.5 * spike + 0.5 * drop + 0.3 * old)))
    )
    assert score.terms == pytest.approx((flip, spike, drop, old))


@settings(deadline=None)
@given(markets(), st.integers(0, 1000 * HOUR_MS))
def test_the_score_is_never_below_a_half_nor_above_what_all_terms_together_make(
    market: MarketState, age: int
) -> None:
    most = sigmoid(sum(term.weight * term.most for term in TERMS))
    assert 0.5 <= kill_score(market, age).value <= most == pytest.approx(0.92, abs=0.001)


@settings(deadline=None)
@given(markets(), st.integers(0, 1000 * HOUR_MS))
def test_the_score_can_be_computed_again_from_the_breakdown_that_travels(
    market: MarketState, age: int
) -> None:
    scores = kill_score(market, age).scores
    assert set(scores) == {"kill_score", "k_regime_flip", "k_sigma_spike", "k_trend_drop", "k_age"}
    again = sigmoid(sum(term.weight * float(scores[term.name]) for term in TERMS))
    assert float(scores["kill_score"]) == pytest.approx(again, abs=2e-6)


def test_a_regime_flip_alone_makes_0_731_and_so_a_full_close() -> None:
    answer = proposed(kill(view(market=FLIPPED, of=episode(age=0))))
    assert answer.scores["kill_score"][:5] == "0.731"
    assert (answer.name, answer.action, answer.fraction) == ("kill", "FULL_CLOSE_PROPOSED", ALL)
    assert "1.0 x 1.000000 (k_regime_flip)" in answer.reason


@pytest.mark.parametrize(
    "changes",
    [
        {"p_trend": 0.3, "p_mr": 0.35, "p_chop": 0.35},
        {"sigma": 0.0181},
        {"trend_strength": 0.0},
    ],
)
def test_what_stays_below_the_threshold_proposes_nothing(changes: dict[str, Any]) -> None:
    market = msgspec.structs.replace(CALM, **changes)
    assert "limit 0.6" in held(kill(view(market=market, of=episode(age=0)))).reason


@pytest.mark.parametrize(("sigma", "closes"), [(0.0181, False), (0.0182, True)])
def test_a_sigma_that_spikes_is_enough_by_itself(sigma: float, *, closes: bool) -> None:
    market = msgspec.structs.replace(CALM, sigma=sigma)
    assert (kill_score(market, 0).value >= 0.6) is closes


def test_without_klines_there_is_no_score() -> None:
    assert undecided(kill(view(market=None))).condition is Condition.KLINES_MISSING


STILL = msgspec.structs.replace(CALM, trend_strength=0.05)
"""With it a day of age decides."""


def test_an_age_that_decides_and_is_not_known_is_no_decision() -> None:
    proposed(kill(view(market=STILL, of=episode(age=DAY))))
    for state in (episode(age=None), episode(age=HOUR_MS, exact=False)):
        assert undecided(kill(view(market=STILL, of=state))).condition is Condition.AGE_UNKNOWN


def test_an_age_that_does_not_decide_need_not_be_known() -> None:
    held(kill(view(market=CALM, of=episode(age=None))))
    proposed(kill(view(market=FLIPPED, of=episode(age=None))))
    proposed(kill(view(market=STILL, of=episode(age=DAY, exact=False))))


@pytest.mark.parametrize(
    "changes",
    [
        {"p_trend": math.nan},
        {"sigma": math.nan},
        {"sigma": math.inf},
        {"p_chop": 0.9},
        {"trend_strength": -0.1},
    ],
)
def test_a_state_of_a_market_that_is_none_can_not_be_made(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"no state of a market|do not sum"):
        msgspec.structs.replace(CALM, **changes)


@settings(deadline=None)
@given(st.floats(allow_nan=False))
def test_the_sigmoid_is_defined_everywhere(x: float) -> None:
    assert 0 <= sigmoid(x) <= 1
