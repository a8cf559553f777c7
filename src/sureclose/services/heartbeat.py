"""One log line a minute that says what this process does, so that silence in the log means something."""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Final

import msgspec
import structlog

from sureclose.domain.words import Mode
from sureclose.services.metrics import Metrics
from sureclose.services.vitals import Vitals
from sureclose.streams.wire import wait_set

log = structlog.get_logger()

INTERVAL_S: Final = 60.0
NOT_KNOWN: Final = "unknown"


class Identity(msgspec.Struct, frozen=True):
    """What this process is; ``why`` says where the mode comes from (incident 45)."""

    roles: tuple[str, ...]
    mode: Mode
    why: str


class Totals(msgspec.Struct, frozen=True):
    """What was counted since the start; a heartbeat tells the difference of two."""

    entries: int
    approved: int
    ended: Counter[str]

    @classmethod
    def of(cls, metrics: Metrics) -> "Totals":
        ended: Counter[str] = Counter()
        for (outcome, _), count in metrics.outcomes.items():
            ended[outcome] += count
        return cls(metrics.entries_read, metrics.approvals, ended)


class Heartbeat:
    """Writes the line ``heartbeat`` every ``interval_s``; counts are of the time since the line before."""

    def __init__(
        self,
        identity: Identity,
        metrics: Metrics,
        vitals: Callable[[], Vitals],
        monotonic: Callable[[], float],
        *,
        interval_s: float = INTERVAL_S,
    ) -> None:
        self._identity = identity
        self._metrics = metrics
        self._vitals = vitals
        self._monotonic = monotonic
        self._interval_s = interval_s

    async def run(self, stop: asyncio.Event) -> None:
        """Until ``stop`` is set; the last line comes with it, so that no count of the log is lost."""
        before = Totals.of(self._metrics)
        while True:
            stopping = await wait_set(stop, self._interval_s)
            now = Totals.of(self._metrics)
            log.info("heartbeat", **line(self._identity, before, now, self._vitals(), self._monotonic()))
            self._metrics.beat()
            before = now
            if stopping:
                return


def line(identity: Identity, before: Totals, now: Totals, vitals: Vitals, at: float) -> dict[str, object]:
    """The fields of one line. What is not known says so; what is no part of this process is not there."""
    reads = {name: stage.health.last_read_at for name, stage in vitals.stages.items()}
    fields: dict[str, object] = {
        "roles": ",".join(identity.roles),
        "mode": identity.mode.value,
        "why": identity.why,
        "entries": now.entries - before.entries,
        "last_read_s": _each({name: None if t is None else f"{at - t:.1f}" for name, t in reads.items()}),
        "lag": _each({name: _known(stage.lag) for name, stage in vitals.stages.items()}),
    }
    if vitals.dry_run:
        fields["dry_run"] = True
    if vitals.under_way is not None:
        fields |= {
            "under_way": vitals.under_way,
            "approved": now.approved - before.approved,
            "ended": _each({kind: str(n) for kind, n in (now.ended - before.ended).items()}) or "0",
            "broken": len(vitals.broken),
        }
    if vitals.lease is not None:
        fields["lease"] = vitals.lease.value
    return fields


def _known(value: int | None) -> str | None:
    return None if value is None else str(value)


def _each(values: dict[str, str | None]) -> str:
    return ",".join(f"{name}:{NOT_KNOWN if value is None else value}" for name, value in values.items())
