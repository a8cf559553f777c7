"""The line that makes silence in the log mean something."""

import asyncio
from collections import Counter

from structlog.testing import capture_logs

from sureclose.domain.outcome import OutcomeKind
from sureclose.domain.words import Mode
from sureclose.services.heartbeat import Heartbeat, Identity, Totals, line
from sureclose.services.metrics import Metrics
from sureclose.services.vitals import LeaseState, Vitals
from sureclose.streams.stage import Kind
from tests.services.living import Clock, ended, stage, well

IDENTITY = Identity(("intent-executor", "execution"), Mode.PAPER, "venue.environment is paper")


def test_the_line_has_what_a_reader_asks_first() -> None:
    before = Totals(100, 7, Counter(FLAT=5, SKIPPED=2))
    now = Totals(112, 10, Counter(FLAT=7, SKIPPED=2, PARKED=1))
    stages = {"intent-executor": stage(999.0, lag=3), "execution": stage(None, lag=None)}
    vitals = well(1_000.0, stages=stages, under_way=2, lease=LeaseState.HELD)
    assert line(IDENTITY, before, now, vitals, 1_000.0) == {
        "roles": "intent-executor,execution",
        "mode": "paper",
        "why": "venue.environment is paper",
        "entries": 12,
        "last_read_s": "intent-executor:1.0,execution:unknown",
        "lag": "intent-executor:3,execution:unknown",
        "under_way": 2,
        "approved": 3,
        "ended": "FLAT:2,PARKED:1",
        "broken": 0,
        "lease": "held",
    }


def test_a_process_that_closes_nothing_says_nothing_of_closes() -> None:
    none = Totals(0, 0, Counter())
    fields = line(IDENTITY, none, none, well(1_000.0, under_way=None, lease=None), 1_000.0)
    assert fields.keys() == {"roles", "mode", "why", "entries", "last_read_s", "lag"}


async def test_it_beats_until_stop_and_counts_only_what_came_since() -> None:
    clock, stop, beaten = Clock(), asyncio.Event(), asyncio.Event()

    def vitals() -> Vitals:
        beaten.set()
        return well(clock.now)

    metrics = Metrics(vitals, clock, stages=("execution",))
    with capture_logs() as logs:
        beating = asyncio.create_task(Heartbeat(IDENTITY, metrics, vitals, clock, interval_s=0.001).run(stop))
        metrics("execution", Kind.DROPPED, "skip")
        metrics.approved("p")
        metrics.ended(ended("p", OutcomeKind.SKIPPED, "expired"))
        await beaten.wait()
        metrics("execution", Kind.DROPPED, "skip")
        stop.set()
        await beating
    assert {entry["event"] for entry in logs} == {"heartbeat"}
    assert sum(entry["entries"] for entry in logs) == 1
    assert logs[-1]["ended"] == "0"
    assert b"sureclose_heartbeat_age_seconds 0.0" in metrics.exposition()
