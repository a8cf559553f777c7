"""The venue's clock, estimated from its own answers on a local clock that nobody sets."""

import math
import time
from collections.abc import Callable
from typing import Final

import msgspec

from sureclose.domain.times import DRIFT
from sureclose.venue.errors import ClockUnknown

SANE_MS: Final = range(1_500_000_000_000, 10_000_000_000_000)
"""Venue times we believe: milliseconds from 2017 to 2286; seconds and microseconds fall outside."""


def wall_ms() -> int:
    """The local wall clock in milliseconds. It may be wrong and may be set at any time."""
    return time.time_ns() // 1_000_000


def steady_seconds() -> float:
    """A local clock that is never set and, where the system has one, goes on while the machine sleeps."""
    boot = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if boot is None else time.clock_gettime(boot)


class Sample(msgspec.Struct, frozen=True):
    """One read of the venue's time between two readings of the steady clock, in seconds."""

    sent: float
    received: float
    server_ms: int


class _Bounds(msgspec.Struct, frozen=True):
    """At steady time ``at`` the venue's clock stood between ``low`` and ``high`` milliseconds."""

    at: float
    low: float
    high: float

    def moved(self, now: float) -> "_Bounds":
        passed = (now - self.at) * 1000
        drift = abs(passed) * DRIFT
        return _Bounds(now, self.low + passed - drift, self.high + passed + drift)

    @property
    def width(self) -> float:
        return self.high - self.low


class VenueClock:
    """Venue milliseconds with an error bound; stepping the local wall clock does nothing to it.

    A sample bounds the venue's time between the sending and the reception, so the error of the estimate is half the
    round trip, plus drift since. Everything raises ``ClockUnknown`` before the first sample.
    """

    def __init__(
        self, wall: Callable[[], int] = wall_ms, steady: Callable[[], float] = steady_seconds
    ) -> None:
        self._wall = wall
        self._steady = steady
        self._bounds: _Bounds | None = None
        self._doubtful = True
        self._heard_at: float | None = None
        self.steps = 0
        """How often a sample contradicted the estimate: the venue's clock was set, or this machine stood still."""

    @property
    def trusted(self) -> bool:
        """Measured, and not contradicted by the venue (-1021) since."""
        return not self._doubtful

    def doubt(self) -> None:
        """The venue refused a timestamp of ours; measure before the next one is taken."""
        self._doubtful = True

    def add(self, samples: list[Sample]) -> None:
        """Take in one round of samples. The best of them wins over an older estimate unless that is narrower still.

        Raises ``ValueError`` for a sample that cannot be a time in milliseconds.
        """
        now = self._steady()
        best: _Bounds | None = None
        for sample in samples:
            if sample.server_ms not in SANE_MS or sample.received < sample.sent:
                raise ValueError(f"not a reading of the venue's clock: {sample}")
            # the venue truncates to a millisecond, so its clock stood in [server_ms, server_ms + 1)
            at_reception = _Bounds(
                sample.received,
                sample.server_ms,
                sample.server_ms + 1 + (sample.received - sample.sent) * 1000,
            )
            bounds = at_reception.moved(now)
            if best is None or bounds.width < best.width:
                best = bounds
        if best is None:
            return
        self._heard_at = now
        old = self._bounds.moved(now) if self._bounds is not None else None
        if old is None:
            self._bounds = best
        elif old.high < best.low or best.high < old.low:
            self.steps += 1
            self._bounds = best
        elif self._doubtful or best.width <= old.width:
            self._bounds = best
        self._doubtful = False

    def reached(self, server_ms: int) -> None:
        """The venue stamped something with this time, so its clock stands there or later. It only sharpens the estimate."""
        if self._bounds is None:
            return
        bounds = self._bounds.moved(self._steady())
        if bounds.low < server_ms <= bounds.high:
            self._bounds = _Bounds(bounds.at, server_ms, bounds.high)

    @property
    def measured(self) -> bool:
        """Whether there is an estimate at all."""
        return self._bounds is not None

    def now(self) -> int:
        """The most likely venue time, in milliseconds."""
        bounds = self._current()
        return math.floor((bounds.low + bounds.high) / 2)

    def earliest(self) -> int:
        """A venue time that has certainly passed."""
        return math.floor(self._current().low)

    def latest(self) -> int:
        """A venue time that has certainly not been reached a millisecond ago."""
        return math.ceil(self._current().high)

    def error_ms(self) -> int:
        """How far ``now`` may be off, in milliseconds."""
        return math.ceil(self._current().width / 2)

    def silent_s(self) -> float:
        """Seconds since the venue last told its time."""
        if self._heard_at is None:
            raise ClockUnknown
        return self._steady() - self._heard_at

    def skew_ms(self) -> int:
        """Venue minus local wall clock, for people: what the machine's own clock would have got wrong."""
        return self.now() - self._wall()

    def _current(self) -> _Bounds:
        if self._bounds is None:
            raise ClockUnknown
        return self._bounds.moved(self._steady())
