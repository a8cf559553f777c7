"""Levels are what is proven: each piece of evidence that is missing can only lower one."""

from collections.abc import Iterator
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from sureclose.domain.authority import Component, Level
from sureclose.domain.components import Facts, Presence, component_of, scope_of
from sureclose.domain.levels import (
    FOREIGN_GONE_MS,
    GONE_MS,
    Holder,
    Judgement,
    Reads,
    Ruling,
    Signs,
    Writes,
    judge,
)

NOW = 1_700_000_000_000
GHOST_MS = 120_000
EXECUTION = str(Component.EXECUTION_SERVICE)


def announced(at: int = NOW, **more: Any) -> Presence:
    usual: dict[str, Any] = {
        "component": EXECUTION,
        "scope": "exit",
        "version": "1",
        "host": "h",
        "pid": 7,
        "worker": "h:7:ab",
        "started_at": NOW - 1_000,
        "at": at,
        "roles": ("execution",),
    }
    return Presence(**(usual | more))


def reads(**more: Any) -> Reads:
    usual: dict[str, Any] = {
        "stream": "apply.result",
        "group": "execution_service_exits",
        "readable": 0,
        "waits": False,
        "waits_since": None,
        "lost": 0,
        "pending": 0,
        "full": False,
        "delivered_at": NOW - 5_000,
        "asked_at": NOW - 300,
        "consumers": 1,
    }
    return Reads(**(usual | more))


HOLDER = Holder(owner="h:7:ab", epoch=3, component=EXECUTION)
RULING = Ruling(granted=EXECUTION, frozen=False, holder=HOLDER)
SIGNS = Signs(component=EXECUTION, announced=(announced(),), reads=(reads(),))


def judged(signs: Signs = SIGNS, ruling: Ruling = RULING) -> Judgement:
    return judge(signs, ruling, NOW, ghost_ms=GHOST_MS)


def ruled(**more: Any) -> Ruling:
    return msgspec.structs.replace(RULING, **more)


def signed(**more: Any) -> Signs:
    return msgspec.structs.replace(SIGNS, **more)


def test_grant_lease_and_a_group_that_is_read_make_a_controller() -> None:
    assert judged() == Judgement(level=Level.CONTROLLER, reasons=(), alive_at=NOW)


def test_under_freeze_nobody_is_in_control_and_the_reason_says_so() -> None:
    found = judged(ruling=ruled(frozen=True, triggers=("ABSENCE",)))
    assert (found.level, found.reasons) == (Level.OBSERVER, ("frozen: ABSENCE",))


def test_unknown_is_never_healthy() -> None:
    """A freeze, a group and what waits in it that could not be read: each alone takes control away."""
    assert judged(ruling=ruled(frozen=None)).level is Level.OBSERVER
    assert judged(signed(reads=())).level is Level.OBSERVER
    assert judged(signed(reads=(reads(waits=None, readable=None),))).level is Level.OBSERVER


def test_a_grant_without_a_lease_of_its_own_process_controls_nothing() -> None:
    assert judged(ruling=ruled(holder=None)).reasons == ("nobody holds the lease",)
    other = Holder(owner="x", epoch=4, component="harvest_brain")
    assert judged(ruling=ruled(holder=other)).reasons == ("the lease is held by harvest_brain (x)",)


def test_entries_that_nobody_reads_take_control_away_and_those_just_written_do_not() -> None:
    fresh = reads(waits=True, readable=3, waits_since=NOW - 50)
    assert judged(signed(reads=(fresh,))).level is Level.CONTROLLER
    silent = reads(waits=True, readable=3, waits_since=NOW - 50, asked_at=NOW - 60_000)
    assert judged(signed(reads=(silent,))).level is Level.OBSERVER
    old = reads(waits=True, readable=3, waits_since=NOW - GHOST_MS - 1)
    assert judged(signed(reads=(old,))).level is Level.OBSERVER
    assert judged(signed(reads=(reads(waits=True, waits_since=NOW - GHOST_MS - 1, full=True),))).reasons == ()


def test_incident_91_a_producer_without_a_live_reader_is_an_observer_whatever_it_is_called() -> None:
    """39,000 decisions were written to a stream that nobody read, and the docs called the writer a controller."""
    writes = Writes(
        stream="harvest.v3", entries=200, newest_at=NOW - 1, decisions={"CLOSE": 200}, read_live=False
    )
    found = judged(Signs(component="harvest_controller", foreign=True, writes=(writes,)))
    assert found.level is Level.OBSERVER
    assert "nobody reads what it writes to harvest.v3" in found.reasons


def test_incident_77_a_component_without_a_sign_of_life_is_dead() -> None:
    """A controller was dead for ten days, and nobody knew: the grant alone keeps nobody alive."""
    ten_days = NOW - 10 * 86_400_000
    gone = signed(announced=(announced(at=ten_days),), reads=(reads(asked_at=ten_days),))
    found = judged(gone, ruled(holder=None))
    assert found.level is Level.DEAD
    assert found.alive_at == ten_days
    assert found.reasons[0].startswith("no sign of life for 60 s: the last was ")


def test_one_that_stopped_in_order_is_dead_without_waiting_when_nothing_else_lives() -> None:
    stopped = signed(announced=(announced(stopped_at=NOW),), reads=())
    assert judged(stopped, ruled(holder=None)).level is Level.DEAD


def test_an_older_service_that_calls_itself_as_the_granted_component_controls_nothing() -> None:
    found = judged(Signs(component=EXECUTION, foreign=True, announced=(announced(),), reads=(reads(),)))
    assert (found.level, found.reasons) == (Level.OBSERVER, ("it executes nothing of ours",))


def test_older_services_are_known_by_their_traces_and_have_longer_to_say_something() -> None:
    writes = Writes(stream="apply.result", entries=1, newest_at=NOW - GONE_MS - 1, read_live=True)
    assert judged(Signs(component="old", foreign=True, writes=(writes,))).level is Level.OBSERVER
    writes = msgspec.structs.replace(writes, newest_at=NOW - FOREIGN_GONE_MS - 1)
    assert judged(Signs(component="old", foreign=True, writes=(writes,))).level is Level.DEAD


def test_a_role_stands_for_one_component_and_only_three_can_execute() -> None:
    assert component_of("execution") == Component.EXECUTION_SERVICE
    assert component_of("harvest-brain") == Component.HARVEST_BRAIN
    assert component_of("safety") == Component.SAFETY_CONTROLLER
    assert {scope_of(component) for component in ("intent_executor", "apply_layer", "old")} == {"none"}
    assert scope_of(EXECUTION) == scope_of(str(Component.SAFETY_CONTROLLER)) == "exit"


# For any evidence ---------------------------------------------------------------------------------------------------

_TIMES = st.one_of(st.none(), st.integers(NOW - 1_000_000, NOW))
_READS = st.builds(
    Reads,
    stream=st.just("s"),
    group=st.just("g"),
    readable=st.one_of(st.none(), st.integers(0, 5)),
    waits=st.sampled_from([True, False, None]),
    waits_since=_TIMES,
    lost=st.none(),
    pending=st.just(0),
    full=st.booleans(),
    delivered_at=_TIMES,
    asked_at=_TIMES,
    consumers=st.just(1),
)
_WRITES = st.builds(
    Writes,
    stream=st.just("s"),
    entries=st.just(1),
    newest_at=st.integers(NOW - 1_000_000, NOW),
    read_live=st.sampled_from([True, False, None]),
)
_SIGNS = st.builds(
    Signs,
    component=st.sampled_from([*map(str, Component), "old"]),
    foreign=st.booleans(),
    announced=st.lists(
        st.builds(announced, at=st.integers(NOW - 1_000_000, NOW), facts=st.just(Facts())), max_size=2
    ).map(tuple),
    reads=st.lists(_READS, max_size=2).map(tuple),
    writes=st.lists(_WRITES, max_size=2).map(tuple),
)
_RULINGS = st.builds(
    Ruling,
    granted=st.sampled_from([None, EXECUTION, "harvest_brain"]),
    frozen=st.sampled_from([True, False, None]),
    holder=st.sampled_from([None, HOLDER, Holder(owner="x", epoch=1, component="")]),
)
_RANK = (Level.DEAD, Level.OBSERVER, Level.CONTROLLER)


def _less(signs: Signs, ruling: Ruling) -> Iterator[tuple[Signs, Ruling]]:
    """The same with one piece of evidence fewer, each."""
    for name in ("announced", "writes"):
        kept = getattr(signs, name)
        for number in range(len(kept)):
            fewer = {name: kept[:number] + kept[number + 1 :]}
            yield msgspec.structs.replace(signs, **fewer), ruling
    yield msgspec.structs.replace(signs, reads=()), ruling
    unknown = tuple(msgspec.structs.replace(one, waits=None, asked_at=None) for one in signs.reads)
    yield msgspec.structs.replace(signs, reads=unknown), ruling
    for nothing in ({"granted": None}, {"frozen": None}, {"holder": None}):
        yield signs, msgspec.structs.replace(ruling, **nothing)


@given(_SIGNS, _RULINGS)
def test_taking_evidence_away_never_raises_a_level(signs: Signs, ruling: Ruling) -> None:
    level = _RANK.index(judge(signs, ruling, NOW, ghost_ms=GHOST_MS).level)
    for fewer, known in _less(signs, ruling):
        assert _RANK.index(judge(fewer, known, NOW, ghost_ms=GHOST_MS).level) <= level


@given(st.sampled_from([*map(str, Component), "old"]), st.booleans())
def test_no_evidence_at_all_makes_nobody_a_controller(component: str, foreign: bool) -> None:
    found = judge(Signs(component=component, foreign=foreign), Ruling(), NOW, ghost_ms=GHOST_MS)
    assert found.level is Level.DEAD
