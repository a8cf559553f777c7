"""When a grant ends by itself: what stands still long enough ends it, and nothing that is merely quiet does."""

from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sureclose.domain.authority import Ground, Trigger
from sureclose.domain.components import Found
from sureclose.domain.grounds import RIVAL_S, Evidence, Finding, Thresholds, Watch, judge, watch

LIMITS = Thresholds(ghost_s=20, path_broken_s=30, unverifiable_s=40, grace_s=10, gap_s=15)
CALM = Evidence(component="execution_service", judged_at=100, held=True)
EVERY = 5.0
UNREAD = {"g": "5-0"}
"""A group with entries that wait, and its last delivery."""


def seen(**more: Any) -> Evidence:
    return msgspec.structs.replace(CALM, **more)


def after(looks: list[Evidence], every: float = EVERY) -> Finding | None:
    """What the watcher finds at the last of these looks; each earlier one must have found nothing."""
    memory: Watch | None = None
    finding: Finding | None = None
    for number, look in enumerate(looks):
        assert finding is None, f"already at look {number}"
        memory = watch(memory, look, 1_000 + number * every, LIMITS)
        finding = judge(memory, look, LIMITS)
    return finding


def first_at(look: Evidence, every: float = EVERY) -> tuple[float, Finding]:
    """After how many seconds of the same look there is a finding, and which."""
    memory: Watch | None = None
    for number in range(100):
        memory = watch(memory, look, number * every, LIMITS)
        if (finding := judge(memory, look, LIMITS)) is not None:
            return number * every, finding
    raise AssertionError("nothing is ever found")


def test_no_traffic_at_all_ends_nothing() -> None:
    """Nothing unread, nothing open, the lease held: for an hour."""
    assert after([CALM] * 720) is None


def test_entries_that_wait_unread_end_the_grant_after_their_time() -> None:
    """GHOST: the lease is held, entries wait, and the group is given none."""
    at, finding = first_at(seen(unread=UNREAD))
    assert (finding.ground, finding.trigger) == (Ground.GHOST, Trigger.DEMOTED)
    assert at == LIMITS.ghost_s
    assert (finding.threshold, finding.seen) == ("20 s", "20 s")


@pytest.mark.parametrize(
    "relief",
    [{"unread": {"g": "6-0"}}, {"unread": {}}, {"full": True}, {"held": False}],
    ids=["given", "nothing waits", "full", "no lease"],
)
def test_a_group_that_moves_is_no_ghost(relief: dict[str, Any]) -> None:
    """One look in which it was given something, owed nothing, had no room or no lease begins the count anew."""
    waits = seen(unread=UNREAD)
    assert after([*[waits] * 4, seen(**{"unread": UNREAD, **relief}), *[waits] * 4]) is None


def test_of_two_groups_each_has_to_move() -> None:
    """The one that is read does not hide the one that is not."""
    looks = [seen(unread={"g": f"{number}-0", "h": "5-0"}) for number in range(5)]
    finding = after(looks)
    assert finding is not None
    assert finding.subject == "h, last delivery 5-0"


def test_a_full_controller_or_one_that_makes_sure_of_the_log_is_no_ghost() -> None:
    assert after([seen(unread=UNREAD, full=True)] * 100) is None


def test_an_overdue_close_ends_the_grant_when_a_new_holder_had_its_time_too() -> None:
    """PATH_BROKEN: it was overdue at the first look, as after an outage; a holder has a grace from then on."""
    at, finding = first_at(seen(overdue="plan", overdue_s=400))
    assert (finding.ground, finding.trigger) == (Ground.PATH_BROKEN, Trigger.DEMOTED)
    assert (finding.subject, finding.seen) == ("plan", "400 s")
    assert at == LIMITS.grace_s


def test_closes_that_end_one_after_the_other_break_no_path() -> None:
    """A long queue: each look has another close for its oldest."""
    assert after([seen(overdue=f"plan-{number}", overdue_s=100) for number in range(50)]) is None


def test_a_venue_that_takes_no_orders_breaks_no_path_but_makes_it_unverifiable_in_the_end() -> None:
    """Nobody is to blame, and nobody can tell whether it works: frozen, and the grant stays."""
    banned = seen(overdue="plan", overdue_s=400, held_back="banned for 100 s", finished="7-0")
    at, finding = first_at(banned)
    assert (finding.ground, finding.trigger) == (None, Trigger.UNVERIFIABLE)
    assert at == LIMITS.unverifiable_s
    assert "banned for 100 s" in finding.what


def test_closes_held_back_by_the_venues_limits_while_others_end_are_served_in_turn() -> None:
    """A full queue behind the order limits: what is urgent goes first, and outcomes come all the time."""
    looks = [
        seen(overdue="plan", overdue_s=400, held_back="limits", finished=f"{number}-0")
        for number in range(50)
    ]
    assert after(looks) is None


def test_what_cant_be_known_freezes_after_its_time_and_takes_no_grant() -> None:
    at, finding = first_at(seen(unknown=("the group can't be read",)))
    assert (finding.ground, finding.trigger) == (None, Trigger.UNVERIFIABLE)
    assert at == LIMITS.unverifiable_s
    assert "the group can't be read" in finding.what


def test_a_fault_that_is_over_in_time_ends_nothing() -> None:
    """Unknown again and again, each time for less than its time."""
    doubt = seen(unknown=("positions can't be read",))
    assert after([*[doubt] * 8, CALM, *[doubt] * 8, CALM]) is None


def test_a_watcher_that_was_stopped_begins_anew() -> None:
    """What it saw before says nothing of the time in between."""
    waits = seen(unread=UNREAD)
    memory = watch(None, waits, 0, LIMITS)
    memory = watch(memory, waits, 1_000, LIMITS)
    assert judge(memory, waits, LIMITS) is None
    assert memory.unread_since == {"g": 1_000}


def test_a_watcher_begins_anew_with_another_grant() -> None:
    memory = watch(None, seen(unread=UNREAD), 0, LIMITS)
    other = seen(unread=UNREAD, component="harvest_brain")
    assert watch(memory, other, 5, LIMITS).unread_since == {"g": 5}


def test_a_close_that_is_stuck_in_the_holder_ends_the_grant_at_once() -> None:
    finding = after([seen(broken=("plan",))])
    assert finding is not None
    assert (finding.ground, finding.subject) == (Ground.FAILURE_UNSAFE, "plan")
    assert after([seen(broken=("plan",), held=False)]) is None


@pytest.mark.parametrize("ground", [Ground.FAILURE_UNSAFE, Ground.SCOPE_VIOLATED, Ground.BREACH])
def test_what_was_seen_at_the_venue_ends_the_grant_at_once(ground: Ground) -> None:
    found = Found(ground=ground, subject="BTCUSDT", what="must not be", at=100)
    finding = after([seen(found=(found,), held=False)])
    assert finding is not None
    assert finding.ground is ground
    assert finding.trigger is (Trigger.BREACH if ground is Ground.BREACH else Trigger.DEMOTED)


def test_what_was_found_before_the_grant_was_given_does_not_end_it() -> None:
    """The audit that the grant names has judged it."""
    found = Found(ground=Ground.BREACH, subject="BTCUSDT", what="must not be", at=99)
    assert after([seen(found=(found,))] * 10) is None


def test_two_that_claim_the_scope_freeze_once_it_is_no_takeover_any_more() -> None:
    at, finding = first_at(seen(rivals=("harvest_brain holds the lease",)))
    assert (finding.ground, finding.trigger) == (None, Trigger.TWO_GRANTS)
    assert at == RIVAL_S


_LOOKS = st.builds(
    Evidence,
    component=st.just("execution_service"),
    judged_at=st.just(100),
    held=st.booleans(),
    unread=st.sampled_from([{}, {"g": "1-0"}, {"g": "2-0"}, {"g": "1-0", "h": "1-0"}]),
    full=st.booleans(),
    overdue=st.sampled_from(["", "one", "two"]),
    finished=st.sampled_from(["", "1-0", "2-0"]),
    held_back=st.sampled_from(["", "banned"]),
    unknown=st.sampled_from([(), ("why",)]),
    rivals=st.sampled_from([(), ("other",)]),
)


@given(st.lists(st.tuples(_LOOKS, st.floats(0.1, 30)), min_size=1, max_size=40))
def test_nothing_ends_a_grant_before_its_threshold_was_watched_without_a_gap(
    looks: list[tuple[Evidence, float]],
) -> None:
    """Whatever is seen: from the first look after a gap until a finding, the smallest threshold has passed."""
    memory: Watch | None = None
    at, began = 0.0, 0.0
    times = [0.0]
    for _, pause in looks:
        times.append(times[-1] + pause)
    for (look, _), (before, at) in zip(looks, pairwise(times), strict=True):
        if at - before >= LIMITS.gap_s or memory is None:
            began = at
        memory = watch(memory, look, at, LIMITS)
        if (finding := judge(memory, look, LIMITS)) is not None:
            least = {Ground.GHOST: LIMITS.ghost_s, Ground.PATH_BROKEN: LIMITS.grace_s}
            wanted = RIVAL_S if finding.trigger is Trigger.TWO_GRANTS else LIMITS.unverifiable_s
            assert at - began >= (wanted if finding.ground is None else least[finding.ground])
            return
