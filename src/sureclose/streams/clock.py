"""The log's clock: what entry ids are made of, what stamps are made with, and what ages are judged by.

Producers and all processes of ours share the log, and not the clocks of their machines. So its time is measured and
carried on by a local clock that nobody sets: a step of this machine's wall clock does nothing to it. A step of the
log's own clock leaves stamps of two clocks in the streams, so what it read before is remembered for a while.
"""

import asyncio
from collections.abc import Callable
from typing import Final

import msgspec
import structlog
from redis.exceptions import RedisError

from sureclose.domain.times import CLOCK_TOLERANCE_MS, DRIFT
from sureclose.streams.wire import Wire, id_key, wait_set

MEASURE_EVERY_S: Final = 2.0
GRACE_S: Final = 600.0
"""How long a reading from before a step counts: ten times the default of ``execution.max_age_s``."""
STEP_MS: Final = 1_000
"""What a measurement must be off, beyond both error bounds, to be a step. Less is corrected and spoils no age."""
IN_STEP_MS: Final = 100
"""How far the id of an entry just read may be off the estimate: a few round trips, and a busy process."""

_log = structlog.get_logger(__name__)


class Past(msgspec.Struct, frozen=True):
    """What the log's clock would say now without a step it made; ``ended`` is the last that it said. Milliseconds."""

    now: int
    ended: int


class Moment(msgspec.Struct, frozen=True):
    """One reading of the log's clock, in milliseconds, and what it would be without the steps of the last minutes."""

    now: int
    """By the clock as it is: for stamps."""
    past: tuple[Past, ...] = ()

    @property
    def latest(self) -> int:
        """By whatever clock is furthest ahead: what was stamped before a step back is not from the future."""
        return max(self.now, *(past.now for past in self.past)) if self.past else self.now

    def by(self, stamp: int) -> int:
        """Now, by the clock that made the stamp: for ages.

        Where several may have made it, the earliest counts, so that no fresh wish is taken for an old one.
        """
        if not self.past:
            return self.now
        before = [past.now for past in self.past if stamp <= past.ended + CLOCK_TOLERANCE_MS]
        may_be = [now for now in (self.now, *before) if stamp <= now + CLOCK_TOLERANCE_MS]
        return min(may_be, default=self.latest)


class _Estimate(msgspec.Struct, frozen=True):
    """At steady time ``at``, in seconds, the log's clock stood at ``ms``, give or take ``error`` milliseconds."""

    at: float
    ms: float
    error: float

    def moved(self, at: float) -> "_Estimate":
        passed = (at - self.at) * 1000
        return _Estimate(at, self.ms + passed, self.error + abs(passed) * DRIFT)


class LogClock:
    """The log's milliseconds. ``steady`` is a clock in seconds that nobody sets and that goes on in a sleep.

    Until the first measurement the wall clock of this machine stands in for it.
    """

    def __init__(self, wall: Callable[[], int], steady: Callable[[], float]) -> None:
        self._wall = wall
        self._steady = steady
        self._estimate: _Estimate | None = None
        self._past: tuple[_Estimate, ...] = ()

    def now(self) -> int:
        """The log's time, for stamps."""
        return self.moment().now

    def moment(self) -> Moment:
        """The log's time, for stamps and ages."""
        if self._estimate is None:
            return Moment(self._wall())
        at = self._steady()
        now = round(self._estimate.moved(at).ms)
        return Moment(
            now, tuple(Past(round(old.moved(at).ms), round(old.ms)) for old in self._remembered(at))
        )

    async def measure(self, wire: Wire) -> None:
        """Ask the log for its time once; raises ``RedisError``."""
        sent = self._steady()
        seconds, microseconds = await wire.execute_command(b"TIME")
        received = self._steady()
        # It was read between the sending and the reception.
        half = (received - sent) * 500
        self._take(_Estimate(received, int(seconds) * 1000 + int(microseconds) / 1000 + half, half))

    async def confirm(self, wire: Wire, entry_id: str) -> None:
        """Measure before an entry just read is judged, unless its id says that the estimate holds.

        The id of a new entry is the log's own stamp. After a step it is ahead of the estimate or falls behind it; so do
        the ids of a backlog, for which one measurement a batch is nothing. Raises ``RedisError``.
        """
        made, _ = id_key(entry_id)
        if self._estimate is None or abs(made - self.now()) > IN_STEP_MS:
            await self.measure(wire)

    async def keep(self, wire: Wire, stop: asyncio.Event) -> None:
        """Measure every few seconds until ``stop``. Through an outage of the log the steady clock carries it on."""
        while not await wait_set(stop, MEASURE_EVERY_S):
            try:
                await self.measure(wire)
            except RedisError as error:
                _log.debug("log_clock_not_measured", error=str(error))

    def _take(self, found: _Estimate) -> None:
        """The narrower of what was measured and what was known, unless they contradict each other: then the new one."""
        if self._estimate is not None:
            known = self._estimate.moved(found.at)
            apart, doubt = abs(found.ms - known.ms), found.error + known.error
            if apart > doubt + STEP_MS:
                self._past = (*self._remembered(found.at), known)
                _log.warning(
                    "log_clock_stepped",
                    ms=round(found.ms - known.ms),
                    remedy=f"set the clock of the log's machine (NTP); ages bear with it for {GRACE_S:g} s",
                )
            elif apart <= doubt and known.error < found.error:
                return
        self._estimate = found

    def _remembered(self, at: float) -> tuple[_Estimate, ...]:
        return tuple(old for old in self._past if at - old.at < GRACE_S) if self._past else ()
