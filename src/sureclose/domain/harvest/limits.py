"""The numbers that the reference policy and the checks before every policy go by; ``[harvest]`` sets them."""

from decimal import Decimal
from typing import Final

import msgspec

HOUR_MS: Final = 3_600_000
STOP_DISTANCE: Final = Decimal("0.02")
"""Where the stop of a position is not known."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Shares are of 1 (0.02 is 2 %), times in milliseconds. Raises ``ValueError`` for numbers that mean nothing.

    A ratio says how far two prices of one symbol may be apart: the one may be so many times the other.
    """

    cost: Decimal = Decimal("0.0010")
    """Of the entry price: what opening and closing cost, taken off before profit counts. 10 basis points."""
    hard_loss: Decimal = Decimal("1.5")
    """In R, unsigned. With a stop distance of 2 % it is the 3 % of the baseline safety controller, costs included."""
    max_age: int = 72 * HOUR_MS
    """That of the baseline safety controller."""
    position_fresh: int = 12_000
    """How old the read of a position may be: two rounds of reads and the way they take."""
    mark_fresh: int = 12_000
    """How old a mark price may be: it is told once a second, and polled every five."""
    mark_ratio: Decimal = Decimal("1.10")
    """Of the mark told and the mark read with the position, seconds apart: the venue itself takes no order further away
    (PERCENT_PRICE, 5 to 15 % of the mark)."""
    kline_ratio: Decimal = Decimal("1.25")
    """Of the klines' last close and the mark, at most one kline apart."""
    entry_ratio: Decimal = Decimal(10)
    """Of the entry price and the mark: the position may be old, and nothing else bounds it."""

    def __post_init__(self) -> None:
        if not 0 <= self.cost < 1 or self.hard_loss <= 0:
            raise ValueError("the cost must be from 0 to 1, the hard loss above 0 R")
        if min(self.max_age, self.position_fresh, self.mark_fresh) < 1_000:
            raise ValueError("an age and a freshness must be at least a second")
        if min(self.mark_ratio, self.kline_ratio, self.entry_ratio) <= 1:
            raise ValueError("a ratio of prices must be above 1")
