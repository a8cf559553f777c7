"""Which prices may be believed: each is compared with others of the same symbol (incidents 27 and 90).

A price published under another symbol's name is a fine price by itself; only a second source of the right symbol shows it. So
the mark that was told is compared with the mark that was read with the position, the klines with the mark, and the entry price
with the mark. The bounds are as wide as a market moves between the two and as narrow as that allows; two symbols that trade
within them of each other can't be told apart by any of this.
"""

from decimal import Decimal
from typing import Final

from sureclose.domain.harvest.limits import Limits
from sureclose.domain.harvest.policy import Condition, NoDecision
from sureclose.domain.market import Position
from sureclose.domain.safety import AHEAD_MS, Mark

LEAST: Final = Decimal("1e-15")
MOST: Final = Decimal("1e15")
"""No price or amount of the venue is outside: its numbers have at most eight decimals, and arithmetic inside is exact enough."""


def sane(number: Decimal) -> bool:
    """Whether it can be a price, or the size of a position: above zero, finite, of a magnitude that exists."""
    return number.is_finite() and LEAST <= number <= MOST


def apart(one: Decimal, other: Decimal, ratio: Decimal) -> bool:
    """Whether the one is more than ``ratio`` times the other, whichever is larger."""
    return max(one, other) > ratio * min(one, other)


def doubt_of_mark(mark: Mark | None, position: Position, now: int, limits: Limits) -> NoDecision | None:
    """Why a mark price is not to be believed. ``position.mark_price`` counts where the position was read and has one."""
    if mark is None:
        return NoDecision(Condition.MARK_MISSING, "no mark price has been seen")
    if not sane(mark.price):
        return NoDecision(Condition.MARK_ABSURD, f"the mark price is {mark.price}")
    if now - mark.at > limits.mark_fresh:
        return NoDecision(Condition.MARK_STALE, f"the mark price is {(now - mark.at) / 1000:.0f} s old")
    if mark.at - now > AHEAD_MS:
        return NoDecision(
            Condition.MARK_STALE,
            f"the mark price bears a time {(mark.at - now) / 1000:.0f} s ahead of the venue's clock",
        )
    read = position.mark_price
    if vouched(position) and (not sane(read) or apart(mark.price, read, limits.mark_ratio)):
        return NoDecision(
            Condition.MARK_ABSURD,
            f"the mark price is {mark.price:f}, and {read:f} in the read of the position: more than "
            f"{limits.mark_ratio} times apart",
        )
    return None


def vouched(position: Position) -> bool:
    """Whether the position came with a mark of its own; what a stream told has none."""
    return not position.told and position.mark_price != 0


def doubt_of_entry(position: Position, mark: Mark | None, limits: Limits) -> NoDecision | None:
    """Why the entry price is not to be believed beside this mark, which is."""
    entry = position.entry_price
    if not sane(entry):
        return NoDecision(Condition.ENTRY_PRICE_ABSURD, f"the entry price is {entry}")
    if mark is not None and apart(entry, mark.price, limits.entry_ratio):
        return NoDecision(
            Condition.ENTRY_PRICE_ABSURD,
            f"the entry price is {entry:f} and the mark price {mark.price:f}: more than {limits.entry_ratio} times apart",
        )
    return None


def doubt_of_close(close: Decimal, mark: Mark, limits: Limits) -> NoDecision | None:
    """Why the klines can't be this symbol's, by the close of the newest and the mark."""
    if apart(close, mark.price, limits.kline_ratio):
        return NoDecision(
            Condition.KLINES_ABSURD,
            f"the last kline closes at {close:f} and the mark price is {mark.price:f}: more than "
            f"{limits.kline_ratio} times apart",
        )
    return None
