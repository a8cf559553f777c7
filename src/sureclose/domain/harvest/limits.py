"""The numbers that the reference policy and the checks before every policy go by; ``[harvest]`` sets them."""

from decimal import Decimal
from typing import Final

import msgspec

HOUR_MS: Final = 3_600_000


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Shares are of 1 (0.02 is 2 %), times in milliseconds."""

    cost: Decimal = Decimal("0.0010")
    """Of the entry price: what opening and closing cost, taken off before profit counts. 10 basis points."""
    hard_loss: Decimal = Decimal("1.5")
    """In R, unsigned: at -1.5 R everything is closed, whatever the market looks like."""
    max_age: int = 72 * HOUR_MS
    """At this age everything is closed."""
    kill_at: Decimal = Decimal("0.6")
    """The kill score from which everything is closed."""
    position_fresh: int = 12_000
    """How old the read of a position may be."""
    mark_fresh: int = 12_000
    """How old a mark price may be: told once a second, polled every five."""
    mark_ratio: Decimal = Decimal("1.10")
    """How far two marks of one symbol, told and read, may be apart: one may be so many times the other."""
    kline_ratio: Decimal = Decimal("1.25")
    """Likewise the last close of the klines and the mark."""
    entry_ratio: Decimal = Decimal(10)
    """Likewise the entry price and the mark."""
