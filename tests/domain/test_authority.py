"""The record of authority, change by change: one grant, one freeze, and a revision that only grows."""

from collections.abc import Callable
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sureclose.domain import authority
from sureclose.domain.authority import (
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


def cause(trigger: Trigger) -> Cause:
    return Cause(trigger=trigger, reason="because", at=NOW)


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
