"""How a series of prices has moved, as probabilities: numpy, floats, and no price or quantity that goes into an order.

The only file that imports numpy; ``market_state.py`` imports it when the first klines are judged, so that no other process
carries it. numpy because the same few sums over some hundred klines of every symbol are one pass each there, and because its
pairwise summation loses nothing on series of any scale.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Final, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

Series: TypeAlias = NDArray[np.float64]

HORIZON: Final = 8
"""Klines over which a move may go on or come back: of the q = 2, 4, 8, 16 that Lo and MacKinlay tabulate, the longest that fits
several times into the fewest klines."""
RECENT: Final = 24
"""Klines that ``sigma`` and ``trend_strength`` are of: with klines of an hour, a day."""
CHANCE: Final = 2.326
"""Standard errors that chance explains: 1 % of a normal distribution lies beyond. What is below it is no evidence."""
MOST: Final = 8.0
"""Evidence beyond so many standard errors adds nothing."""
LEAST_RETURNS: Final = 6 * HORIZON
COARSE: Final = 1.5
"""A market that moves less than so many of the smallest steps of its price is mostly rounding, which takes each move back."""
_NOISE: Final = 1e-9
"""A spread of the returns below this part of the largest one is rounding, not movement."""


class Statistics(msgspec.Struct, frozen=True, kw_only=True):
    p_trend: float
    p_mr: float
    p_chop: float
    sigma: float
    trend_strength: float


def statistics(prices: Sequence[Decimal]) -> Statistics:
    """Of at least ``LEAST_RETURNS + 1`` closes, all finite and above zero, oldest first.

    Prices that stand still show nothing: three thirds, sigma 0, trend strength 0.
    """
    closes: Series = np.array(prices, dtype=np.float64)
    returns: Series = np.diff(np.log(closes))
    recent = returns[-RECENT:]
    p_trend, p_mr, p_chop = probabilities(returns, is_coarse=is_coarse(closes))
    return Statistics(
        p_trend=p_trend,
        p_mr=p_mr,
        p_chop=p_chop,
        sigma=_spread(recent),
        trend_strength=efficiency(recent),
    )


def efficiency(returns: Series) -> float:
    """|sum of returns| / sum of |returns|, Kaufman's efficiency ratio: 1 for a straight way, about 1 / sqrt(n) for chance.

    Source: P. J. Kaufman, Smarter Trading, 1995. Standing still is no trend: 0.
    """
    way = np.abs(returns).sum()
    return min(1.0, (np.abs(returns.sum()) / way).item()) if way > 0 else 0.0


def is_coarse(closes: Series) -> bool:
    """Whether the steps of the price are too large for what it moves: then what comes back may only be rounding.

    The smallest gap between two prices that were seen stands for the step. Rounding to a step adds -step^2 / 12 to the covariance
    of neighbouring returns, and nothing to what makes a trend.
    """
    gaps = np.diff(np.unique(closes))
    return len(gaps) > 0 and bool(np.diff(closes).std(ddof=1) < COARSE * gaps.min())


def probabilities(returns: Series, *, is_coarse: bool = False) -> tuple[float, float, float]:
    """Trend, mean reversion, chop: softmax of what speaks for each beyond chance.

    Trend: moves go on over ``HORIZON`` klines, or there is a drift. Mean reversion: moves come back over ``HORIZON`` klines.
    Chop: each kline takes back the one before. Without evidence each is a third, so a market that is only random
    is no regime flip, whose threshold of p_trend lies at 0.3.
    """
    drift, goes_on, takes_back = _signs(returns)
    trend = max(_beyond_chance(goes_on), _beyond_chance(drift))
    evidence = np.array(
        (trend, 0.0, 0.0) if is_coarse else (trend, _beyond_chance(-goes_on), _beyond_chance(-takes_back))
    )
    weights = np.exp(evidence)
    p_trend, p_mr, p_chop = (weights / weights.sum()).tolist()
    return p_trend, p_mr, p_chop


def _signs(returns: Series) -> tuple[float, float, float]:
    """Drift, and how far moves go on over ``HORIZON`` klines and over two, each in standard errors."""
    spread = _spread(returns)
    if spread == 0.0:
        return (CHANCE + MOST if returns.any() else 0.0), 0.0, 0.0
    drift = np.abs(returns.mean()).item() * len(returns) ** 0.5 / spread
    return drift, variance_ratio(returns, HORIZON), variance_ratio(returns, 2)


def variance_ratio(returns: Series, horizon: int) -> float:
    """How many standard errors the variance of ``horizon`` returns lies above ``horizon`` times that of one.

    Zero for a random walk, above it where moves go on, below where they come back. As the weighted sum of autocorrelations,
    each less what taking off the mean makes of it, and its standard error for returns of changing variance: A. W. Lo,
    A. C. MacKinlay, Stock Market Prices Do Not Follow Random Walks, Review of Financial Studies 1, 1988. Their estimator of
    overlapping sums has the newest return in one sum and those before it in ``horizon``, so that one large last candle reads as a
    move that comes back. The larger of that error and the one for constant variance counts, which bounds it below.
    """
    count = len(returns)
    moves = returns - returns.mean()
    squares = moves**2
    total = squares.sum()
    lags = np.arange(1, horizon)
    shares = 2 * (horizon - lags) / horizon
    correlations = np.array([(moves[lag:] * moves[:-lag]).sum() for lag in lags]) / total
    unbiased = correlations + (count - lags) / (count * (count - 1))
    covariances = np.array([(squares[lag:] * squares[:-lag]).sum() for lag in lags]) / total**2
    constant = 2 * (2 * horizon - 1) * (horizon - 1) / (3 * horizon * count)
    error = np.sqrt(max((shares**2 * covariances).sum(), constant))
    return np.float64((shares * unbiased).sum() / error).item()


def _spread(returns: Series) -> float:
    """The standard deviation; 0 for what is only rounding."""
    spread = returns.std(ddof=1).item()
    return spread if spread > _NOISE * np.abs(returns).max() else 0.0


def _beyond_chance(errors: float) -> float:
    return min(max(errors - CHANCE, 0.0), MOST)
