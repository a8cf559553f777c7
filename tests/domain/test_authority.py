"""The record of authority, change by change: one grant, one freeze, and a revision that only grows."""

from collections.abc import Callable
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sureclose.domain import authority
from sureclose.domain.authority import (
    MOST_CAUSES,
    Authority,
    CantChange,
    Cause,
    Component,
    Ground,
    LastLease,
    Trigger,
    absent_for,
)

NOW: Final = 1_771_000_000_000
TTL: Final = 3_000
CONTROLLERS: Final = (Component.EXECUTION_SERVICE, Component.HARVEST_BRAIN)
Change = Callable[[Authority], Authority]


def cause(trigger: Trigger, reason: str = "because", at: int = NOW) -> Cause:
    return Cause(trigger=trigger, reason=reason, at=at)


CHANGES: Final[st.SearchStrategy[Change]] = st.one_of(
    st.sampled_from(Trigger).map(lambda trigger: lambda before: authority.freeze(before, cause(trigger))),
    st.sampled_from(CONTROLLERS).map(
        lambda component: lambda before: authority.grant(before, component, "AUDIT", NOW, audit="a")
    ),
    st.sampled_from(CONTROLLERS).map(
        lambda component: (
            lambda before: authority.demote(before, component, Ground.COMMAND, cause(Trigger.DEMOTED))
        )
    ),
    st.just(lambda before: authority.unfreeze(before, NOW, audit="a")),
)


@given(st.lists(CHANGES, max_size=12), st.booleans())
def test_whatever_is_changed_the_revision_grows_and_nobody_is_granted_beside_another(
    changes: list[Change], paper: bool
) -> None:
    record = authority.first(Component.EXECUTION_SERVICE if paper else None, NOW)
    for change in changes:
        try:
            after = change(record)
        except CantChange:
            continue
        assert after == record or after.revision == record.revision + 1
        assert Authority.of(after.grant, after.freeze) == after, "what is stored is what is read"
        held = {record.component, after.component} - {None}
        assert len(held) <= 1 or record.component is None
        if record.component and not after.component:
            assert after.frozen, "a demotion freezes in the same step"
        if record.frozen and not after.frozen:
            assert after.component, "nothing is unfrozen for nobody"
        record = after


def test_a_freeze_says_once_why_for_each_trigger() -> None:
    record = authority.first(Component.EXECUTION_SERVICE, NOW)
    for trigger in (Trigger.COMMAND, Trigger.ABSENCE, Trigger.COMMAND):
        record = authority.freeze(record, cause(trigger))
    assert [one.trigger for one in record.triggers] == [Trigger.COMMAND, Trigger.ABSENCE]
    assert record.freeze["kind"] == "COMMAND"


@pytest.mark.parametrize(
    "trigger", [Trigger.FIRST_START, Trigger.ABSENCE, Trigger.UNVERIFIABLE, Trigger.TWO_GRANTS]
)
def test_what_several_watchers_find_at_once_is_one_trigger(trigger: Trigger) -> None:
    record = authority.freeze(Authority(), cause(trigger, "for 60 s"))
    assert authority.freeze(record, cause(trigger, "for 61 s")) == record


@pytest.mark.parametrize("trigger", [Trigger.DEMOTED, Trigger.BREACH, Trigger.LOG_LOST, Trigger.COMMAND])
def test_what_happens_under_a_freeze_is_one_more_trigger_that_an_audit_has_to_come_after(
    trigger: Trigger,
) -> None:
    record = authority.freeze(Authority(), cause(trigger, "one"))
    again = authority.freeze(record, cause(trigger, "another", NOW + 5))
    assert [(one.reason, one.at) for one in again.triggers] == [("one", NOW), ("another", NOW + 5)]
    assert again.revision == record.revision + 1
    assert authority.freeze(again, cause(trigger, "one", NOW + 9)) == again


def test_a_second_demotion_for_the_same_reason_is_younger_than_the_audit_in_between() -> None:
    """Else the audit that gave the grant back would give it back once more."""
    component = Component.EXECUTION_SERVICE
    record = authority.first(component, NOW)
    for at in (NOW + 1, NOW + 3):
        why = cause(Trigger.DEMOTED, at=at)
        record = authority.demote(record, component, Ground.COMMAND, why)
        assert [one.at for one in record.triggers] == [at]
        record = authority.grant(record, component, "AUDIT", at + 1, judged_at=str(at))


def test_a_freeze_remembers_its_first_trigger_and_the_newest() -> None:
    record = Authority()
    for number in range(MOST_CAUSES + 10):
        record = authority.freeze(record, cause(Trigger.BREACH, f"order {number}", NOW + number))
    reasons = [one.reason for one in record.triggers]
    assert reasons == ["order 0", *(f"order {number}" for number in range(11, MOST_CAUSES + 10))]
    assert len(reasons) == MOST_CAUSES


@pytest.mark.parametrize(
    ("dropped", "started", "gone"),
    [
        (0, 0, 57_000),  # it ran out three seconds after its last renewal, a minute ago
        (0, NOW - 10_000, 57_000),  # whatever the log did since: who was killed proves nothing
        (NOW - 50_000, 0, 50_000),  # given up at a stop, and the log was there all the time
        (NOW - 50_000, NOW - 10_000, 10_000),  # given up, and the log is only back since then
        (NOW - 5_000, NOW - 10_000, 5_000),
    ],
)
def test_absence_counts_from_the_end_of_a_lease_or_from_when_another_could_be_taken(
    dropped: int, started: int, gone: int
) -> None:
    last = LastLease(
        component="execution_service", owner="one", epoch=7, renewed_at=NOW - 60_000, dropped_at=dropped
    )
    assert absent_for(last, NOW, TTL, started) == gone
