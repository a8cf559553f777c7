"""Health asks whether approved closes are confirmed, whether reads succeed, and whether tasks live."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from sureclose.domain.outcome import OutcomeKind
from sureclose.services.checks import Check, Level
from sureclose.services.health import Health, HealthReport, Status
from sureclose.services.supervisor import TaskReport, TaskState
from sureclose.services.vitals import (
    AuthorityVitals,
    ClockVitals,
    LeaseState,
    StageVitals,
    UserStreamVitals,
    Waits,
)
from tests.services.living import ALIVE, Clock, decision, ended, sending, stage, well

FROZEN = AuthorityVitals(component="execution_service", frozen=True, triggers=("ABSENCE", "BREACH"))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def health(clock: Clock) -> Health:
    return Health(clock, stages=("execution",))


def check(report: HealthReport, name: str) -> Check:
    [found] = [check for check in report.checks if check.name == name]
    return found


def test_no_traffic_at_all_is_well(health: Health, clock: Clock) -> None:
    report = health.report(well(clock.now))
    assert report.status is Status.OK
    assert check(report, "closes").detail == "none due in 900 s, 0 under way"
    assert all(not found.remedy for found in report.checks)


def test_incident_13_a_dead_task_is_a_failure_while_everything_else_shines(
    health: Health, clock: Clock
) -> None:
    dead = TaskReport("consumer", TaskState.DEAD, "NameError: name 'x' is not defined")
    report = health.report(well(clock.now, tasks=(*ALIVE, dead)))
    assert report.status is Status.FAILING
    assert check(report, "tasks").detail == "dead: consumer (NameError: name 'x' is not defined)"
    assert [found.name for found in report.checks if found.status is not Level.OK] == ["tasks"]


def test_incident_13_a_reader_that_an_edit_removed_is_a_failure_and_not_silence(
    health: Health, clock: Clock
) -> None:
    report = health.report(well(clock.now, stages={"intent-executor": stage(clock.now)}))
    assert report.status is Status.FAILING
    assert check(report, "reads.execution").detail == "there is no such reader"


def test_incident_14_a_thousand_acknowledgements_are_no_close(health: Health, clock: Clock) -> None:
    """97 % success counted acknowledgements: orders are answered and entries read, and no close is confirmed."""
    for number in range(100):
        health.approved(f"p{number}")
        for _ in range(10):
            health.sent(decision(f"p{number}"), sending(), "NEW")
    health.ended(ended("p0"))
    clock.now += 31
    report = health.report(well(clock.now, under_way=99))
    assert report.status is Status.FAILING
    expected = "1 of 100 confirmed in 900 s, 99 without an outcome (oldest p1, 31 s)"
    assert check(report, "closes").detail == expected


def test_incident_14_counters_that_stand_still_are_not_calm(health: Health, clock: Clock) -> None:
    """No read fails and none succeeds: for minutes that looked like an idle stream."""
    stages = {"execution": stage(clock.now)}
    clock.now += 60
    report = health.report(well(clock.now, stages=stages))
    assert report.status is Status.FAILING
    assert check(report, "reads.execution").detail == "last read 60.0 s ago"


def test_a_young_approval_is_under_way_and_an_old_one_counts_against_health(
    health: Health, clock: Clock
) -> None:
    health.approved("p")
    clock.now += 29
    assert health.report(well(clock.now, under_way=1)).status is Status.OK
    clock.now += 1
    assert health.report(well(clock.now, under_way=1)).status is Status.FAILING
    health.ended(ended("p"))
    assert health.report(well(clock.now)).status is Status.OK


def test_delivering_an_approval_again_does_not_make_it_young(health: Health, clock: Clock) -> None:
    health.approved("p")
    clock.now += 30
    health.approved("p")
    assert health.report(well(clock.now)).status is Status.FAILING


def test_a_close_that_another_process_has_is_not_owed_here(health: Health, clock: Clock) -> None:
    health.approved("p")
    health.elsewhere("p")
    clock.now += 100
    assert health.report(well(clock.now)).status is Status.OK


@pytest.mark.parametrize(
    ("kind", "reason", "status"),
    [
        (OutcomeKind.FLAT, "", Status.OK),
        (OutcomeKind.ALREADY_FLAT, "", Status.OK),
        (OutcomeKind.REDUCED, "", Status.OK),
        (OutcomeKind.REDUCED, "frozen", Status.FAILING),
        (OutcomeKind.REFUSED, "below_step", Status.FAILING),
        (OutcomeKind.PARKED, "contradiction", Status.FAILING),
        (OutcomeKind.SKIPPED, "expired", Status.DEGRADED),
        (OutcomeKind.SKIPPED, "same_intent", Status.OK),
    ],
)
def test_only_what_did_what_was_approved_is_confirmed(
    health: Health, clock: Clock, kind: OutcomeKind, reason: str, status: Status
) -> None:
    health.ended(ended("p", kind, reason))
    assert health.report(well(clock.now)).status is status


def test_one_refusal_among_many_closes_degrades_and_half_of_them_fail(health: Health, clock: Clock) -> None:
    for number in range(3):
        health.ended(ended(f"p{number}"))
    for number in range(3):
        health.ended(ended(f"r{number}", OutcomeKind.REFUSED))
        assert health.report(well(clock.now)).status is Status.DEGRADED
    health.ended(ended("r", OutcomeKind.REFUSED))
    assert health.report(well(clock.now)).status is Status.FAILING


def test_outcomes_leave_the_window_and_health_comes_back(health: Health, clock: Clock) -> None:
    health.ended(ended("p", OutcomeKind.REFUSED))
    clock.now += 880
    assert health.report(well(clock.now)).status is Status.FAILING
    clock.now += 40
    assert health.report(well(clock.now)).status is Status.OK


@given(st.lists(st.tuples(st.floats(0, 400), st.sampled_from(OutcomeKind)), max_size=60))
def test_the_memory_of_health_is_bounded_by_its_window(steps: list[tuple[float, OutcomeKind]]) -> None:
    clock = Clock(0.0)
    health = Health(clock)
    for passed, kind in steps:
        clock.now += passed
        health.approved("p")
        health.ended(ended("p", kind))
        health.report(well(clock.now))
        assert len(health._window) <= 60
        assert not health._owed


def test_an_order_without_an_answer_may_not_stay_unresolved(health: Health, clock: Clock) -> None:
    health.approved("p")
    health.sent(decision("p"), sending(), "UNKNOWN")
    clock.now += 14
    assert health.report(well(clock.now)).status is Status.OK
    clock.now += 1
    found = check(health.report(well(clock.now)), "unknown_orders")
    assert (found.status, found.detail) == (Level.WARN, "1 unknown (oldest p, 15 s)")
    health.sent(decision("p"), sending(), "FILLED")
    assert check(health.report(well(clock.now)), "unknown_orders").status is Level.OK


def test_a_broken_close_is_a_failure_and_is_named(health: Health, clock: Clock) -> None:
    broken = {f"p{number}": "the chain does not verify" for number in range(5)}
    found = check(health.report(well(clock.now, broken=broken)), "broken_closes")
    assert found.status is Level.FAIL
    assert found.detail.startswith("p0: the chain does not verify; ")
    assert found.detail.endswith("; and 2 more")


@pytest.mark.parametrize(
    ("facts", "level", "detail"),
    [
        ({"last_read_at": 999.5}, Level.OK, "last read 0.5 s ago, lag 0"),
        ({"last_read_at": 999.5, "lag": None}, Level.OK, "last read 0.5 s ago, lag not known"),
        ({"last_read_at": None}, Level.WARN, "no read yet, 0.0 s after it began, lag 0"),
        ({"last_read_at": 999.0, "failing_since": 998.0}, Level.WARN, "reads fail for 2.0 s"),
        ({"last_read_at": 999.0, "failing_since": 980.0}, Level.FAIL, "reads fail for 20.0 s"),
        ({"last_read_at": 900.0, "waits": Waits.STANDING_BY}, Level.OK, "stands by: the lease is another's"),
        (
            {"last_read_at": 900.0, "waits": Waits.MAKING_SURE},
            Level.WARN,
            "compares the log with the venue",
        ),
        (
            {"last_read_at": 900.0, "waits": Waits.NO_ROOM},
            Level.WARN,
            "as many closes are under way as may be",
        ),
        ({"last_read_at": 900.0, "since": 995.0}, Level.OK, "last read 100.0 s ago, lag 0"),
    ],
)
def test_reads_are_judged_by_when_one_last_succeeded(
    health: Health, clock: Clock, facts: dict[str, Any], level: Level, detail: str
) -> None:
    found = check(health.report(well(clock.now, stages={"execution": stage(**facts)})), "reads.execution")
    assert (found.status, found.detail) == (level, detail)


def test_a_reader_that_never_read_fails_once_it_should_have(health: Health, clock: Clock) -> None:
    clock.now += 11
    found = check(health.report(well(clock.now, stages={"execution": stage(None)})), "reads.execution")
    assert (found.status, found.detail) == (Level.FAIL, "no read yet, 11.0 s after it began")


@pytest.mark.parametrize(
    ("other", "name", "level"),
    [
        ({"tasks": ()}, "tasks", Level.FAIL),
        ({"log_reachable": None}, "log", Level.FAIL),
        ({"log_reachable": False}, "log", Level.FAIL),
        ({"clock": ClockVitals(trusted=False, error_ms=None)}, "venue_clock", Level.FAIL),
        ({"clock": ClockVitals(trusted=False, error_ms=7)}, "venue_clock", Level.WARN),
        ({"clock": ClockVitals(trusted=True, error_ms=7, silent_s=46.0)}, "venue_clock", Level.FAIL),
        ({"clock": ClockVitals(trusted=True, error_ms=501)}, "venue_clock", Level.WARN),
        ({"user_stream": UserStreamVitals(down_since=990.0)}, "user_stream", Level.OK),
        ({"user_stream": UserStreamVitals(down_since=970.0)}, "user_stream", Level.WARN),
        ({"user_stream": UserStreamVitals(down_since=None, doubt="silent")}, "user_stream", Level.WARN),
        ({"lease": LeaseState.STANDING_BY}, "lease", Level.OK),
        ({"lease": LeaseState.UNKNOWN}, "lease", Level.FAIL),
        ({"authority": None}, "authority", Level.WARN),
        ({"authority": AuthorityVitals(component="", frozen=False, triggers=())}, "authority", Level.WARN),
        ({"authority": FROZEN}, "authority", Level.WARN),
    ],
)
def test_each_fact_is_judged_on_its_own(
    health: Health, clock: Clock, other: dict[str, Any], name: str, level: Level
) -> None:
    report = health.report(well(clock.now, **other))
    found = check(report, name)
    assert found.status is level
    assert bool(found.remedy) is (level is not Level.OK)
    assert {other.status for other in report.checks if other is not found} == {Level.OK}


def test_what_a_process_does_not_do_is_not_judged(clock: Clock) -> None:
    """A process without the execution role has no closes, no clock, no stream and no lease to be judged by."""
    none = dict.fromkeys(("under_way", "clock", "user_stream", "lease"))
    report = Health(clock).report(well(clock.now, stages={"apply-layer": stage(clock.now)}, **none))
    assert [found.name for found in report.checks] == ["tasks", "log", "reads.apply-layer", "authority"]
    assert report.status is Status.OK


def test_stopping_is_said_and_asks_for_no_reads(health: Health, clock: Clock) -> None:
    vitals = well(clock.now, stopping=True, stages={"execution": stage(clock.now - 100)})
    assert health.report(vitals).status is Status.DEGRADED
    assert health.ready(vitals).status is Status.FAILING


@pytest.mark.parametrize(
    ("other", "not_ready"),
    [
        ({}, []),
        (
            {"lease": LeaseState.STANDING_BY, "stages": {"execution": stage(None, waits=Waits.STANDING_BY)}},
            [],
        ),
        ({"stages": {"execution": stage(None, waits=Waits.MAKING_SURE)}}, ["reads.execution"]),
        ({"authority": None}, ["authority"]),
        ({"authority": FROZEN}, []),
        ({"log_reachable": None}, ["log"]),
        ({"stages": {}}, ["reads.execution"]),
        ({"stages": {"execution": stage(None)}}, ["reads.execution"]),
        ({"stages": {"execution": stage(None, consumer=None)}}, ["reads.execution"]),
        ({"stages": {"execution": stage(1.0, failing_since=2.0)}}, ["reads.execution"]),
        ({"clock": ClockVitals(trusted=False, error_ms=None)}, ["venue_clock"]),
        ({"lease": LeaseState.UNKNOWN}, ["lease"]),
    ],
)
def test_ready_is_log_name_reads_clock_and_lease(
    health: Health, clock: Clock, other: dict[str, Any], not_ready: list[str]
) -> None:
    report = health.ready(well(clock.now, **other))
    assert [found.name for found in report.checks if found.status is Level.FAIL] == not_ready
    assert (report.status is Status.FAILING) is bool(not_ready)


def test_a_process_that_never_held_the_lease_is_well_and_ready(health: Health, clock: Clock) -> None:
    """Its reader has not begun, and owes nothing until the lease is taken."""
    begun = StageVitals(waits=Waits.STANDING_BY)
    clock.now += 100
    vitals = well(clock.now, lease=LeaseState.STANDING_BY, stages={"execution": begun})
    assert health.report(vitals).status is Status.OK
    assert health.ready(vitals).status is Status.OK
    taken_over = well(clock.now, stages={"execution": StageVitals(since=clock.now - 1)})
    assert health.report(taken_over).status is Status.DEGRADED
    assert health.ready(taken_over).status is Status.FAILING


def test_ready_says_whether_the_lease_is_held_or_stood_by_for(health: Health, clock: Clock) -> None:
    assert check(health.ready(well(clock.now)), "lease").detail == "held"
    standing_by = health.ready(well(clock.now, lease=LeaseState.STANDING_BY))
    assert check(standing_by, "lease").detail.startswith("standing by")


def test_a_log_that_takes_no_writes_is_a_failure_though_it_answers(health: Health, clock: Clock) -> None:
    report = health.report(well(clock.now, log_refusal="command not allowed when used memory > 'maxmemory'"))
    assert report.status is Status.FAILING
    assert check(report, "log").detail.startswith("takes no writes: command not allowed")


def test_what_was_trimmed_unread_is_no_calm(health: Health, clock: Clock) -> None:
    found = stage(clock.now)
    lossy = replace(found, health=replace(found.health, trimmed_unread=3))
    report = health.report(well(clock.now, stages={"execution": lossy}))
    assert report.status is Status.DEGRADED
    assert "3 entries were trimmed before they were read" in check(report, "reads.execution").detail
