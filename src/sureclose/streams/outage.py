"""One time of failing reads: how long to wait, and what to say about it once."""

from collections.abc import Callable

import structlog

FIRST_DELAY_S = 0.05
LONGEST_DELAY_S = 1.0

_log = structlog.get_logger(__name__)


class Outage:
    """Counts failures in a row. Each kind of failure is logged once per outage, its end once."""

    def __init__(self, monotonic: Callable[[], float], **context: str) -> None:
        self._monotonic = monotonic
        self._context = context
        self._kinds: set[str] = set()
        self._failures = 0
        self.since: float | None = None

    def failed(self, error: Exception) -> float:
        """How many seconds to wait before the next try."""
        if self.since is None:
            self.since = self._monotonic()
        kind = type(error).__name__
        if kind not in self._kinds:
            self._kinds.add(kind)
            _log.error("log.failing", kind=kind, error=str(error), **self._context)
        delay = min(FIRST_DELAY_S * 2.0 ** min(self._failures, 10), LONGEST_DELAY_S)
        self._failures += 1
        return delay

    def over(self) -> None:
        if self.since is None:
            return
        seconds = round(self._monotonic() - self.since, 3)
        _log.warning("log.recovered", seconds=seconds, failures=self._failures, **self._context)
        self.since = None
        self._failures = 0
        self._kinds.clear()
