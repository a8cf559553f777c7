"""How the market of one symbol has been, from its klines: trend, mean reversion or chop, volatility, strength of the trend."""

from collections.abc import Sequence
from typing import Final

from sureclose.domain.harvest.klines import Kline, doubt_of_klines, unbroken
from sureclose.domain.harvest.policy import Condition, MarketState, NoDecision

LEAST_KLINES: Final = 49
"""Closed ones without a gap: 48 returns, six times the horizon of the statistics."""


def market_state(klines: Sequence[Kline], now: int) -> MarketState | NoDecision:
    """The state by the klines that have closed before ``now``, or why there is none. No number is ever made up for it."""
    doubt = doubt_of_klines(klines, now)
    if doubt is not None:
        return doubt
    closed = unbroken(klines, now)
    if isinstance(closed, NoDecision):
        return closed
    if len(closed) < LEAST_KLINES:
        what = f"{len(closed)} klines have closed without a gap, and {LEAST_KLINES} are needed"
        return NoDecision(Condition.KLINES_TOO_FEW, what)
    # numpy takes a tenth of a second and 30 MB, which only who judges klines shall pay.
    from sureclose.domain.harvest.statistics import statistics  # noqa: PLC0415

    found = statistics([kline.close for kline in closed])
    return MarketState(
        p_trend=found.p_trend,
        p_mr=found.p_mr,
        p_chop=found.p_chop,
        sigma=found.sigma,
        trend_strength=found.trend_strength,
        at=closed[-1].closes_at,
    )
