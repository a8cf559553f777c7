"""What Prometheus is told, and that no text from outside can become a time series."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families

from sureclose.domain.outcome import OutcomeKind
from sureclose.services.health import Health
from sureclose.services.metrics import Metrics, Witnesses
from sureclose.services.supervisor import TaskReport, TaskState
from sureclose.services.vitals import LeaseState
from sureclose.streams.stage import Kind
from tests.services.living import ALIVE, Clock, decision, ended, sending, stage, well

Sample = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples(metrics: Metrics) -> Sample:
    """The exposition as a scraper reads it."""
    families = text_string_to_metric_families(metrics.exposition().decode())
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return samples(metrics).get((f"sureclose_{name}", frozenset(labels.items())))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def make(clock: Clock) -> Callable[..., Metrics]:
    def made(**other: Any) -> Metrics:
        return Metrics(lambda: well(clock.now, **other), clock, stages=("execution", "apply-layer"))

    return made


def test_entries_are_counted_by_stage_kind_and_reason(make: Callable[..., Metrics]) -> None:
    metrics = make()
    metrics("execution", Kind.DROPPED, "skip")
    metrics("execution", Kind.DROPPED, "skip")
    metrics("apply-layer", Kind.LOST, "finished_elsewhere")
    assert value(metrics, "entries_total", stage="execution", kind="dropped", reason="skip") == 2
    lost = {"stage": "apply-layer", "kind": "lost", "reason": "finished_elsewhere"}
    assert value(metrics, "entries_total", **lost) == 1
    assert metrics.entries_read == 3


@given(st.lists(st.tuples(st.text(), st.sampled_from(Kind), st.text()), max_size=30))
def test_incident_85_no_text_from_outside_becomes_a_time_series(seen: list[tuple[str, Kind, str]]) -> None:
    clock = Clock()
    metrics = Metrics(lambda: well(clock.now), clock, stages=("execution",))
    for name, kind, reason in seen:
        metrics(name, kind, f"{reason} is no word of ours")
        metrics.sent(decision(name), sending(), f"REFUSED {reason}")
        metrics.sent(decision(name), sending(), reason + "?")
        metrics.ended(ended(name, OutcomeKind.PARKED, f"{reason} is not at the venue"))
    assert metrics.entries_read == len(seen)
    assert {(stage, reason) for stage, _, reason in metrics.entries} <= {("other", "other")}
    assert {code for _, code in metrics.orders} <= {"", "other"}
    samples(metrics)


def test_orders_are_counted_by_answer_and_known_code(make: Callable[..., Metrics]) -> None:
    metrics = make()
    for answer in (
        "FILLED",
        "UNKNOWN",
        "NOT_SENT",
        "REFUSED -2022",
        "REFUSED None",
        "REFUSED -9999",
        "MELTED",
    ):
        metrics.sent(decision("p"), sending(), answer)
    assert metrics.orders == {
        ("FILLED", ""): 1,
        ("UNKNOWN", ""): 1,
        ("NOT_SENT", ""): 1,
        ("REFUSED", "-2022"): 1,
        ("REFUSED", "other"): 2,
        ("other", ""): 1,
    }
    assert value(metrics, "orders_total", answer="REFUSED", code="-2022") == 1


def test_every_outcome_is_there_from_the_start_so_that_its_first_is_an_increase(
    make: Callable[..., Metrics],
) -> None:
    metrics = make()
    for kind in OutcomeKind:
        assert value(metrics, "closes_ended_total", outcome=kind.value, reason="") == 0
    metrics.ended(ended("p", OutcomeKind.SKIPPED, "frozen"))
    assert value(metrics, "closes_ended_total", outcome="SKIPPED", reason="frozen") == 1


def test_closes_that_begin_are_ended_elsewhere_or_under_way(make: Callable[..., Metrics]) -> None:
    metrics = make(under_way=1)
    for plan in ("a", "b", "c", "c"):  # a log that fails makes a close begin again
        metrics.approved(plan)
    metrics.ended(ended("a"))
    metrics.elsewhere("b")
    metrics.elsewhere("d")  # delivered after its end
    assert value(metrics, "closes_approved_total") == 3
    assert value(metrics, "closes_elsewhere_total") == 1
    assert value(metrics, "closes_under_way") == 1


def test_gauges_say_what_is_so_when_they_are_read(make: Callable[..., Metrics], clock: Clock) -> None:
    dead = TaskReport("x", TaskState.DEAD, "y")
    metrics = make(broken={"p": "why"}, tasks=(*ALIVE, dead, TaskReport("z", TaskState.FINISHED)))
    metrics.beat()
    clock.now += 5
    assert value(metrics, "last_read_age_seconds", stage="execution") == 0.5
    assert value(metrics, "lag_entries", stage="execution") == 0
    assert value(metrics, "closes_broken") == 1
    assert value(metrics, "tasks_alive") == 2
    assert value(metrics, "tasks_dead") == 1
    assert value(metrics, "venue_weight_used") == 42
    assert value(metrics, "venue_clock_error_ms") == 7
    assert value(metrics, "lease_held") == 1
    assert value(metrics, "frozen") == 0
    assert value(metrics, "grant", component="execution_service") == 1
    assert value(metrics, "grant", component="harvest_brain") == 0
    assert value(metrics, "heartbeat_age_seconds") == 5
    assert value(make(lease=LeaseState.STANDING_BY), "lease_held") == 0


def test_what_is_not_known_has_no_sample_and_is_no_zero(make: Callable[..., Metrics]) -> None:
    unknown = make(
        stages={"execution": stage(None, lag=None)},
        under_way=None,
        clock=None,
        lease=LeaseState.UNKNOWN,
        authority=None,
        weight_used=None,
    )
    names = {name for name, _ in samples(unknown)}
    for name in (
        *("last_read_age_seconds", "lag_entries", "closes_under_way", "lease_held", "frozen", "grant"),
        *("venue_clock_error_ms", "venue_weight_used", "heartbeat_age_seconds"),
    ):
        assert f"sureclose_{name}" not in names


def test_two_processes_in_one_interpreter_share_no_counter(make: Callable[..., Metrics]) -> None:
    one, other = make(), make()
    one("execution", Kind.DROPPED, "skip")
    assert other.entries_read == 0
    assert not any(family.name.startswith("sureclose") for family in REGISTRY.collect())


def test_every_witness_is_told_everything(make: Callable[..., Metrics], clock: Clock) -> None:
    metrics, health = make(), Health(clock)
    witnesses = Witnesses(metrics, health)
    witnesses.approved("p")
    witnesses.approved("q")
    witnesses.elsewhere("q")
    witnesses.sent(decision("p"), sending(), "UNKNOWN")
    assert (health._owed, health._unknown) == ({"p": clock.now}, {"p": clock.now})
    witnesses.ended(ended("p"))
    assert (health._owed, health._unknown) == ({}, {})
    assert (metrics.approvals, metrics.left) == (2, 1)
    assert metrics.orders == {("UNKNOWN", ""): 1}
    assert metrics.outcomes["FLAT", ""] == 1
