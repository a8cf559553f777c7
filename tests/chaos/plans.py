"""What is asked for: positions, and plans whose quantities no other plan of the symbol has.

A position is 64 k steps with k odd and taken once. Its plans take 64 k, 48 k, 36 k, 16 k or 12 k of them. These numbers,
and what halving them leaves, differ for any two k of the range, because neither is three times the other: so a quantity
that an order asks for tells its plan, whoever sent it and however late.
"""

import random
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Final

from tests.acceptance.world import Market

UNIT: Final = 64
ODD: Final = range(257, 770, 2)
"""The values of k: the largest is less than three times the smallest."""


class Expiry(StrEnum):
    """Whether an approval can run out."""

    NONE = "none"
    """It lives longer than any outage here."""
    PAST = "past"
    """It had run out when it was published: it must have no effect."""
    SOON = "soon"
    """It runs out within a second or two: it may have its effect or none, and never more."""


@dataclass
class Plan:
    """One decision or wish. ``name`` is the plan's id or the intent's; ``at`` is when it was first published, ms."""

    name: str
    quantity: Decimal
    whole: bool
    """Whether it asked for everything that is there, else for its quantity or for a fraction of the position."""
    expiry: Expiry
    at: int
    outcome: str = ""
    """What the streams said; for the report and for no verdict."""


@dataclass
class Episode:
    """A position that was put there, and what was asked of it until it was gone."""

    symbol: str
    put: Decimal
    at: int
    """When it was put there, ms."""
    plans: list[Plan] = field(default_factory=list)


def sizes(market: Market, chance: random.Random) -> list[Decimal]:
    """All sizes of positions that the market can have, each once."""
    numbers = list(ODD)
    chance.shuffle(numbers)
    return [market.step * UNIT * number for number in numbers]
