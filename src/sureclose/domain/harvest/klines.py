"""Candles of one symbol, as the venue gives them, and which of them may be believed."""

from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise
from typing import Final

import msgspec

from sureclose.domain.harvest.policy import Condition, NoDecision
from sureclose.domain.harvest.prices import LEAST, MOST, apart
from sureclose.domain.safety import AHEAD_MS

JUMP: Final = Decimal(2)
"""From one close to the next no price more than doubles or halves: one candle of another symbol would be a volatility that was
never there, and with it a full close."""
STALE: Final = 2
"""So many klines may be missing at the end: the one that is being formed, and one that was not asked for yet."""


class Kline(msgspec.Struct, frozen=True, kw_only=True):
    """One candle; times in venue milliseconds, ``closes_at`` its last one.

    Source: Binance docs, ``GET /fapi/v1/klines``, fields 0 to 4 and 6.
    """

    opened_at: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    closes_at: int


def doubt_of_klines(klines: Sequence[Kline], now: int) -> NoDecision | None:
    """Why these are no candles of one symbol up to ``now``, oldest first; the last may still be forming."""
    if not klines:
        return NoDecision(Condition.KLINES_MISSING, "no klines have been read")
    broken = next((found for kline in klines if (found := _broken(kline))), "")
    length = length_of(klines)
    if not broken and any(kline.closes_at - kline.opened_at + 1 != length for kline in klines):
        broken = "they are not all of one length"
    if not broken and any(later.opened_at <= kline.closes_at for kline, later in pairwise(klines)):
        broken = "they are not in order of time"
    if broken:
        return NoDecision(Condition.KLINES_ABSURD, broken)
    newest = klines[-1]
    if newest.opened_at - now > AHEAD_MS:
        return NoDecision(Condition.KLINES_ABSURD, "the last one opens ahead of the venue's clock")
    if now - newest.closes_at > STALE * length:
        return NoDecision(
            Condition.KLINES_STALE, f"the last kline closed {(now - newest.closes_at) / 60_000:.0f} min ago"
        )
    return None


def unbroken(klines: Sequence[Kline], now: int) -> Sequence[Kline] | NoDecision:
    """Those that have closed, since the last gap: a return over a gap is not one of one kline."""
    closed = [kline for kline in klines if kline.closes_at < now]
    begins = 0
    for number, (kline, later) in enumerate(pairwise(closed), start=1):
        if later.opened_at != kline.closes_at + 1:
            begins = number
        elif apart(kline.close, later.close, JUMP):
            return NoDecision(
                Condition.KLINES_ABSURD,
                f"one closes at {kline.close:f} and the next at {later.close:f}: more than {JUMP} times apart",
            )
    return closed[begins:]


def length_of(klines: Sequence[Kline]) -> int:
    """Of one kline, in milliseconds."""
    return klines[0].closes_at - klines[0].opened_at + 1


def _broken(kline: Kline) -> str:
    opened, high, low, close = kline.open, kline.high, kline.low, kline.close
    if kline.closes_at <= kline.opened_at:
        return "one of them ends before it begins"
    if not (opened.is_finite() and high.is_finite() and low.is_finite() and close.is_finite()):
        return f"one of them has prices of {opened}, {high}, {low}, {close}"
    if not (LEAST <= low <= opened <= high <= MOST and low <= close <= high):
        return f"one of them opens at {opened} and closes at {close}, between {low} and {high}"
    return ""
