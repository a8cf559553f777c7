"""``[harvest]``: who decides, by which numbers, and from which klines."""

from decimal import Decimal
from enum import StrEnum
from typing import Final

import msgspec

from sureclose.domain.harvest.asking import NAME
from sureclose.domain.harvest.limits import HOUR_MS, STOP_DISTANCE, Limits
from sureclose.domain.harvest.market_state import LEAST_KLINES

REFERENCE: Final = "reference"
_MINUTE_MS: Final = 60_000
_BASIS_POINTS: Final = Decimal(10_000)


class Interval(StrEnum):
    """The lengths of klines that are used here, of those that the venue has (Binance docs, kline intervals)."""

    MINUTE = "1m"
    FIVE_MINUTES = "5m"
    QUARTER = "15m"
    HALF_HOUR = "30m"
    HOUR = "1h"
    FOUR_HOURS = "4h"

    @property
    def milliseconds(self) -> int:
        return _MINUTES[self] * _MINUTE_MS


_MINUTES: Final = {
    Interval.MINUTE: 1,
    Interval.FIVE_MINUTES: 5,
    Interval.QUARTER: 15,
    Interval.HALF_HOUR: 30,
    Interval.HOUR: 60,
    Interval.FOUR_HOURS: 240,
}


class HarvestSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[harvest]``. Shares are of 1; a ratio says how far two prices of one symbol may be apart."""

    policy: str = REFERENCE
    """Whose proposals become intents: a name of the entry-point group ``sureclose.policies``."""
    shadow: tuple[str, ...] = ()
    """Policies whose proposals are only published to the shadow stream."""
    stop_distance: Decimal = STOP_DISTANCE
    """Of the entry price: one R."""
    stop_distances: dict[str, Decimal] = {}
    """Of the symbols for which it is known, e.g. ``{ BTCUSDT = 0.01 }``."""
    cost_bps: Decimal = Decimal(10)
    hard_loss: Decimal = Limits().hard_loss
    """In R, unsigned; costs included."""
    max_age_h: Decimal = Decimal(72)
    kline_interval: Interval = Interval.HOUR
    """The thresholds of the kill score are meant for returns of an hour: a sigma of 1 % is a lot there."""
    klines: int = 121
    """How many are looked at: five days of hours, the one that is forming included."""
    kline_read_s: int = 60
    """Between two reads of a symbol's klines; more where so many symbols are open that they would weigh too much."""
    mark_ratio: Decimal = Limits().mark_ratio
    kline_ratio: Decimal = Limits().kline_ratio
    entry_ratio: Decimal = Limits().entry_ratio

    def __post_init__(self) -> None:
        names = (self.policy, *self.shadow)
        if any(NAME.fullmatch(name) is None for name in names):
            raise ValueError(
                "harvest.policy and harvest.shadow are names of small letters, digits and dashes"
            )
        if len(set(names)) != len(names):
            raise ValueError("harvest.shadow must not name harvest.policy, nor one policy twice")
        distances = (self.stop_distance, *self.stop_distances.values())
        if not all(distance.is_finite() and 0 < distance < 1 for distance in distances):
            raise ValueError(
                "harvest.stop_distance is a share of the entry price: above 0 and below 1, 0.02 is 2 %"
            )
        if not LEAST_KLINES < self.klines <= 1_500:
            raise ValueError(
                f"harvest.klines must be from {LEAST_KLINES + 1} to 1500, the most that the venue gives at once"
            )
        if self.kline_read_s < 1:
            raise ValueError("harvest.kline_read_s must be at least 1")
        numbers = (
            self.cost_bps,
            self.hard_loss,
            self.max_age_h,
            self.mark_ratio,
            self.kline_ratio,
            self.entry_ratio,
        )
        if not all(number.is_finite() for number in numbers):
            raise ValueError("what [harvest] measures must be a number")
        try:
            _ = self.limits
        except ValueError as error:
            raise ValueError(f"[harvest]: {error}") from None

    @property
    def limits(self) -> Limits:
        """As the rules take them."""
        return Limits(
            cost=self.cost_bps / _BASIS_POINTS,
            hard_loss=self.hard_loss,
            max_age=int(self.max_age_h * HOUR_MS),
            mark_ratio=self.mark_ratio,
            kline_ratio=self.kline_ratio,
            entry_ratio=self.entry_ratio,
        )

    def stop_distance_of(self, symbol: str) -> Decimal:
        return self.stop_distances.get(symbol, self.stop_distance)
