"""Market state from klines: what each number says, that it is always a number, and when there is none."""

import math
import subprocess
import sys
from decimal import Decimal
from itertools import pairwise
from typing import Final

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sureclose.domain.harvest.klines import JUMP
from sureclose.domain.harvest.limits import HOUR_MS
from sureclose.domain.harvest.market_state import LEAST_KLINES, market_state
from sureclose.domain.harvest.policy import Condition, MarketState, NoDecision
from sureclose.domain.harvest.statistics import (
    LEAST_RETURNS,
    RECENT,
    Series,
    efficiency,
    probabilities,
    variance_ratio,
)
from tests.domain.harvest.views import NOW, klines

COUNT: Final = 120


def state(closes: list[float] | Series) -> MarketState:
    found = market_state(klines([f"{close:.12g}" for close in closes]), NOW)
    assert isinstance(found, MarketState), found
    return found


def walk(returns: Series, start: float = 2400.0) -> Series:
    closes: Series = start * np.exp(np.cumsum(np.concatenate(([0.0], returns))))
    return closes


def noise(seed: int, sigma: float = 0.005) -> Series:
    found: Series = np.random.default_rng(seed).standard_normal(COUNT) * sigma
    return found


# What it says --------------------------------------------------------------------------------------------------------


def test_chance_alone_is_hardly_ever_a_regime_flip() -> None:
    found = [state(walk(noise(seed))) for seed in range(300)]
    flips = sum(one.p_trend < 0.3 for one in found)
    assert flips <= 6, f"{flips} of 300"
    assert np.mean([one.p_trend for one in found]) == pytest.approx(1 / 3, abs=0.03)


def test_a_drift_is_a_trend() -> None:
    found = [state(walk(noise(seed) + 0.0025)) for seed in range(50)]
    assert np.mean([one.p_trend > 0.5 for one in found]) > 0.9


def test_a_way_straight_down_is_a_trend_of_full_strength_without_volatility() -> None:
    found = state(walk(np.full(COUNT, -0.01)))
    assert found.p_trend > 0.99
    assert found.trend_strength == pytest.approx(1)
    assert found.sigma == 0


def test_candles_that_take_each_other_back_are_chop() -> None:
    back = np.array([0.004 * (number % 2) for number in range(COUNT)])
    found = state(2400 * (1 + back + noise(5, 0.0003)))
    assert found.p_chop > 0.9
    assert found.trend_strength < 0.1


@pytest.mark.parametrize("ticks", [0.3, 0.5, 1.0])
def test_the_rounding_of_a_coarse_price_is_no_chop(ticks: float) -> None:
    """A price of 0.05 in steps of 0.0001 that moves less than such a step from candle to candle."""
    walks = [0.05 + np.cumsum(noise(seed, ticks * 0.0001)) for seed in range(100)]
    flips = sum(state(np.round(one, 4)).p_trend < 0.3 for one in walks)
    assert flips <= 2, f"{flips} of 100"


def test_a_coarse_price_that_goes_one_way_is_a_trend() -> None:
    found = state(np.round(0.05 + np.cumsum(noise(1, 0.00005) + 0.00003), 4))
    assert found.p_trend > 0.8


def test_a_price_that_swings_around_its_mean_reverts() -> None:
    """Waves of eight candles: each goes on for some candles and comes back over eight."""
    found = state([2400 * (1 + 0.01 * math.sin(number * math.tau / 8)) for number in range(COUNT)])
    assert found.p_mr > 0.5
    assert found.p_trend < 0.3


@pytest.mark.parametrize("sigma", [0.0005, 0.005, 0.02])
def test_sigma_is_the_standard_deviation_of_the_returns_of_the_last_day(sigma: float) -> None:
    returns = noise(3, sigma)
    found = state(walk(returns))
    assert found.sigma == pytest.approx(np.std(returns[-RECENT:], ddof=1), rel=1e-6)


def test_the_numbers_are_of_the_last_candle_that_closed() -> None:
    candles = klines([str(2400 + number % 7) for number in range(COUNT)])
    forming = klines(["2399", "2405"], end=NOW + HOUR_MS)[-1:]
    found = market_state([*candles, *forming], NOW)
    assert found == market_state(candles, NOW)
    assert isinstance(found, MarketState)
    assert found.at == candles[-1].closes_at < NOW


def test_the_variance_ratio_is_that_of_lo_and_mackinlay() -> None:
    """Computed once more, term by term, as the paper writes it."""
    returns, q = noise(11), 4
    n, mean = len(returns), returns.mean()
    squares = [(r - mean) ** 2 for r in returns]
    theta = sum(
        (2 * (q - j) / q) ** 2 * sum(squares[t] * squares[t - j] for t in range(j, n)) / sum(squares) ** 2
        for j in range(1, q)
    )
    excess = sum(
        2
        * (q - j)
        / q
        * (
            sum((returns[t] - mean) * (returns[t - j] - mean) for t in range(j, n)) / sum(squares)
            + (n - j) / (n * (n - 1))
        )
        for j in range(1, q)
    )
    error = max(theta, 2 * (2 * q - 1) * (q - 1) / (3 * q * n)) ** 0.5
    assert variance_ratio(returns, q) == pytest.approx(excess / error)


@pytest.mark.parametrize("at", [0, 60, -2, -1])
@pytest.mark.parametrize("jump", [0.02, -0.02, 0.3])
def test_one_large_candle_is_no_regime_flip_wherever_it_stands(jump: float, at: int) -> None:
    """The newest one least of all: what has just moved has not come back."""
    for seed in range(20):
        returns = noise(seed)
        returns[at] += jump
        p_trend, p_mr, p_chop = probabilities(returns)
        assert p_mr + p_chop < 0.7, (seed, p_trend, p_mr, p_chop)


def test_the_efficiency_of_a_walk_by_chance_is_about_one_over_the_root_of_its_length() -> None:
    found = np.mean([efficiency(noise(seed)[:RECENT]) for seed in range(400)])
    assert found == pytest.approx(1 / math.sqrt(RECENT), rel=0.15)


# That it is a number -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("price", ["2400", "0.00000001", "99999999"])
def test_prices_that_stand_still_show_nothing(price: str) -> None:
    found = market_state(klines([price] * COUNT), NOW)
    assert isinstance(found, MarketState)
    assert (found.sigma, found.trend_strength) == (0, 0)
    assert [found.p_trend, found.p_mr, found.p_chop] == pytest.approx([1 / 3] * 3)


STEPS = st.lists(
    st.one_of(
        st.floats(-0.69, 0.69),
        st.floats(-1e-3, 1e-3),
        st.floats(-1e-14, 1e-14),
        st.sampled_from((0.0, 0.0, 0.01, -0.01, 0.69)),
    ),
    min_size=LEAST_RETURNS,
    max_size=80,
)


@settings(deadline=None)
@given(STEPS, st.sampled_from((-8, -4, 0, 3, 7)), st.integers(1, 12))
def test_whatever_the_prices_do_the_answer_is_numbers_in_their_bounds(
    steps: list[float], magnitude: int, digits: int
) -> None:
    level, closes = 0.0, []
    for step in (0.0, *steps):
        level = max(-6.0, min(6.0, level + step))
        closes.append(Decimal(f"{math.exp(level):.{digits}e}") * Decimal(10) ** magnitude)
    found = market_state(klines(closes), NOW)
    if isinstance(found, NoDecision):
        assert found.condition is Condition.KLINES_ABSURD
        assert any(max(a, b) > JUMP * min(a, b) for a, b in pairwise(closes))
        return
    assert found.p_trend + found.p_mr + found.p_chop == pytest.approx(1)
    for share in (found.p_trend, found.p_mr, found.p_chop, found.trend_strength):
        assert 0 <= share <= 1
    assert 0 <= found.sigma < 1


@settings(deadline=None, max_examples=30)
@given(STEPS.filter(lambda steps: any(abs(step) > 1e-6 for step in steps)), st.sampled_from((-10, -3, 6, 12)))
def test_the_state_does_not_depend_on_the_scale_of_the_prices(steps: list[float], magnitude: int) -> None:
    level, closes = 0.0, []
    for step in (0.0, *steps):
        level = max(-3.0, min(3.0, level + step))
        closes.append(Decimal(f"{math.exp(level):.9f}"))
    one = market_state(klines(closes), NOW)
    other = market_state(klines([close.scaleb(magnitude) for close in closes]), NOW)
    if isinstance(one, NoDecision) or isinstance(other, NoDecision):
        assert isinstance(one, NoDecision)
        assert isinstance(other, NoDecision)
        return
    assert msgspec.structs.astuple(one) == pytest.approx(msgspec.structs.astuple(other), rel=1e-4, abs=1e-6)


# When there is none --------------------------------------------------------------------------------------------------

GOOD = klines([str(2400 + number % 7) for number in range(COUNT)])


def condition(candles: list[msgspec.Struct], now: int = NOW) -> Condition:
    found = market_state(candles, now)  # type: ignore[arg-type]
    assert isinstance(found, NoDecision), found
    assert found.why
    return found.condition


def test_no_klines_are_no_state() -> None:
    assert condition([]) is Condition.KLINES_MISSING


def test_too_few_klines_are_no_state() -> None:
    assert condition([*GOOD[-LEAST_KLINES + 1 :]]) is Condition.KLINES_TOO_FEW
    assert isinstance(market_state(GOOD[-LEAST_KLINES:], NOW), MarketState)


def test_klines_before_a_gap_do_not_count() -> None:
    assert condition([*GOOD[:-40], *GOOD[-39:]]) is Condition.KLINES_TOO_FEW
    after = market_state([*GOOD[:-60], *GOOD[-59:]], NOW)
    assert after == market_state(GOOD[-59:], NOW)


def test_klines_that_ended_long_ago_are_no_state() -> None:
    assert isinstance(market_state(GOOD, NOW + HOUR_MS), MarketState)
    assert condition([*GOOD], NOW + 2 * HOUR_MS) is Condition.KLINES_STALE


def test_klines_of_the_future_are_no_state() -> None:
    assert condition([*GOOD], NOW - 2 * HOUR_MS) is Condition.KLINES_ABSURD


@pytest.mark.parametrize(
    "changes",
    [
        {"close": Decimal(0)},
        {"low": Decimal(-1)},
        {"high": Decimal("NaN")},
        {"open": Decimal("Infinity")},
        {"close": Decimal("1e30"), "high": Decimal("1e30")},
        {"high": Decimal(2300)},
        {"low": Decimal(2500)},
        {"closes_at": GOOD[60].opened_at},
        {"closes_at": GOOD[60].closes_at - 1},
        {"opened_at": GOOD[59].opened_at, "closes_at": GOOD[59].closes_at},
        {"close": Decimal(4900), "high": Decimal(4900)},
        {"close": Decimal(1100), "low": Decimal(1100)},
    ],
)
def test_one_candle_that_is_none_or_of_another_symbol_makes_no_state_of_all(
    changes: dict[str, Decimal | int],
) -> None:
    candles = [*GOOD[:60], msgspec.structs.replace(GOOD[60], **changes), *GOOD[61:]]
    assert condition([*candles]) is Condition.KLINES_ABSURD


def test_numpy_is_imported_when_klines_are_judged_and_not_before() -> None:
    program = (
        "import sys, sureclose.cli.main, sureclose.config, sureclose.policies\n"
        "from sureclose.domain.harvest.looking import view_of\n"
        "from sureclose.domain.harvest.reference import Reference\n"
        "sys.exit('numpy' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
