"""Candles of a minute: what the mark price did since the exchange started, and a seeded past that leads there.

Before that past the price stood still. A minute in which nobody asked and nobody listened is flat.
"""

import random
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Self

from sureclose.paper.prices import Prices
from sureclose.paper.symbols import Contract

MINUTE_MS = 60_000
KEPT = 1_500
_SECONDS = 8
"""How much further a price comes in a minute than in a second: the root of sixty."""
_MILLION = 1_000_000


@dataclass(slots=True)
class Candle:
    """Prices in the quote asset."""

    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal

    @classmethod
    def flat(cls, price: Decimal) -> Self:
        return cls(price, price, price, price)

    def meet(self, price: Decimal) -> None:
        self.close = price
        self.high, self.low = max(self.high, price), min(self.low, price)


@dataclass(slots=True)
class _Past:
    minute: int
    """Of the last candle, which is not over yet; each before it is a minute older."""
    candles: deque[Candle] = field(default_factory=lambda: deque(maxlen=KEPT))


class Candles:
    """Of every contract, made when they are first asked for. The clock is in ms."""

    def __init__(
        self,
        contracts: Mapping[str, Contract],
        prices: Prices,
        clock: Callable[[], int],
        seed: int,
        step_ppm: int,
    ) -> None:
        self._contracts = contracts
        self._prices = prices
        self._clock = clock
        self._seed = seed
        self._step_ppm = step_ppm
        self._pasts: dict[str, _Past] = {}

    def of(self, symbol: str) -> list[tuple[int, Candle]]:
        """Opening time and candle, oldest first; the last is of the current minute."""
        past = self._rolled(symbol)
        first = past.minute - len(past.candles) + 1
        return [((first + number) * MINUTE_MS, candle) for number, candle in enumerate(past.candles)]

    def note(self, symbols: Iterable[str]) -> None:
        """Somebody listens to these: their prices belong to the current minute."""
        for symbol in symbols:
            if symbol in self._pasts:
                self._rolled(symbol)

    def over(self, symbol: str, candle: Candle) -> None:
        """A whole minute has gone by with this candle, though the clock stands: what was before is a minute older."""
        past = self._rolled(symbol)
        self._prices.pin(symbol, candle.close)
        past.candles[-1] = candle
        past.candles.append(Candle.flat(candle.close))

    def _rolled(self, symbol: str) -> _Past:
        now = self._clock() // MINUTE_MS
        price = self._prices.mark(symbol)
        past = self._pasts.get(symbol)
        if past is None:
            past = self._pasts[symbol] = _Past(now)
            past.candles.extend(self._before(symbol, price))
            past.candles.append(Candle.flat(price))
        for _ in range(min(max(0, now - past.minute), KEPT)):
            past.candles.append(Candle.flat(past.candles[-1].close))
        past.minute = max(past.minute, now)
        past.candles[-1].meet(price)
        return past

    def _before(self, symbol: str, price: Decimal) -> list[Candle]:
        """A walk backwards from the price, the same for the same seed."""
        chance = random.Random(f"{self._seed}:{symbol}:candles")  # noqa: S311  a market, not a secret
        tick, found = self._contracts[symbol].tick, []
        for _ in range(KEPT - 1):
            moved = Decimal(chance.randint(-self._step_ppm, self._step_ppm) * _SECONDS) / _MILLION
            opened = max(tick, (price / (1 + moved) / tick).to_integral_value(ROUND_HALF_EVEN) * tick)
            found.append(Candle(opened, max(opened, price), min(opened, price), price))
            price = opened
        return found[::-1]
