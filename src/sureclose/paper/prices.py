"""Mark prices: a seeded random walk in whole ticks, advanced lazily from the clock, one step a second."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal

from sureclose.paper.symbols import Contract

STEP_MS = 1_000
_LONGEST_WALK = 600
_MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Quote:
    """What an order meets: one tick around the mark price, with no end to its depth."""

    bid: Decimal
    ask: Decimal
    mark: Decimal


@dataclass(slots=True)
class _Walk:
    mark: Decimal
    step: int
    low: int
    high: int
    chance: random.Random


class Prices:
    """Every mark price. The first one read of a contract is its pinned price, else its listed one.

    A walk stays between half and twice of where it was pinned. After more than ten unread minutes it takes
    one leap instead of every step.
    """

    def __init__(
        self, contracts: Mapping[str, Contract], clock: Callable[[], int], seed: int, step_ppm: int
    ) -> None:
        self._contracts = contracts
        self._clock = clock
        self._seed = seed
        self._step_ppm = step_ppm
        self._walks: dict[str, _Walk] = {}

    def pin(self, symbol: str, price: Decimal) -> None:
        """Set the mark price as of now; the walk goes on from there."""
        known = self._walks.get(symbol)
        chance = known.chance if known else random.Random(f"{self._seed}:{symbol}")  # noqa: S311  a market, not a secret
        ticks = self._ticks(symbol, price)
        self._walks[symbol] = _Walk(
            price, self._clock() // STEP_MS, max(3, ticks // 2), max(4, ticks * 2), chance
        )

    def mark(self, symbol: str) -> Decimal:
        walk = self._walks.get(symbol)
        if walk is None:
            self.pin(symbol, self._contracts[symbol].price)
            return self._walks[symbol].mark
        now = self._clock() // STEP_MS
        if now > walk.step and self._step_ppm:
            self._advance(symbol, walk, now - walk.step)
            walk.step = now
        return walk.mark

    def quote(self, symbol: str) -> Quote:
        mark, tick = self.mark(symbol), self._contracts[symbol].tick
        below = (mark / tick).to_integral_value(ROUND_FLOOR) - 1
        above = (mark / tick).to_integral_value(ROUND_CEILING) + 1
        return Quote(bid=max(Decimal(1), below) * tick, ask=above * tick, mark=mark)

    def _ticks(self, symbol: str, price: Decimal) -> int:
        return int((price / self._contracts[symbol].tick).to_integral_value(ROUND_HALF_EVEN))

    def _advance(self, symbol: str, walk: _Walk, steps: int) -> None:
        ticks = self._ticks(symbol, walk.mark)
        sizes = [self._step_ppm] * steps
        if steps > _LONGEST_WALK:
            sizes = [self._step_ppm * min(100, _root(steps))]
        for size in sizes:
            whole, rest = divmod(ticks * walk.chance.randint(-size, size), _MILLION)
            ticks += whole + (walk.chance.randrange(_MILLION) < rest)
            ticks = min(max(ticks, walk.low), walk.high)
        walk.mark = ticks * self._contracts[symbol].tick


def _root(number: int) -> int:
    root = 1
    while root * root < number:
        root += 1
    return root
