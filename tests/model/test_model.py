"""The protocol within a small bound, seen whole; and that the search finds each deliberate break of it."""

import pytest

from tests.model.configurations import BREAKS, FULL, SHORT
from tests.model.faults import Bounds, Fault
from tests.model.laws import LAWS
from tests.model.mutants import Mutant
from tests.model.page import BEGIN, END, PAGE, kinds
from tests.model.search import search
from tests.model.world import NAMES

MET = {
    "a full close": {
        *("FLAT", "REDUCED", "ALREADY_FLAT", "SKIPPED"),
        *("Answered", "Seen", "Filled", "Dead", "NotSent", "Resumed"),
    },
    "two halves": {"REDUCED", "Resumed", "Dead"},
    "one intent in two spellings": {"REDUCED", "SKIPPED", "NotSent", "Resumed"},
    "half a position": {"REDUCED", "SKIPPED", "Answered"},
    "a contradiction": {"FLAT", "PARKED"},
}
"""What a search must have gone through, for a desert has no broken laws either."""


@pytest.mark.parametrize("bounds", SHORT, ids=lambda bounds: bounds.name)
def test_every_law_holds_in_every_state_within_the_bound(bounds: Bounds) -> None:
    found = search(bounds)
    assert found.broken is None, str(found.broken)
    assert found.whole
    assert found.ends, "some histories end"
    assert set(found.met) >= MET.get(bounds.name, {"FLAT"})


@pytest.mark.parametrize("mutant", Mutant, ids=lambda mutant: mutant.name.lower())
def test_a_deliberate_break_of_the_protocol_is_found(mutant: Mutant) -> None:
    law, bounds = BREAKS[mutant]
    found = search(bounds, mutant).broken
    assert found is not None, f"nothing notices that {mutant}"
    assert found.law == law, str(found)
    assert found.moves, "the way there is told"


@pytest.mark.parametrize("mutant", [one for one, (_, bounds) in BREAKS.items() if bounds not in SHORT])
def test_nothing_is_found_where_nothing_is_broken(mutant: Mutant) -> None:
    """Else a mutant would be found for a reason that is not its own. The short bounds are searched above."""
    _, bounds = BREAKS[mutant]
    assert search(bounds).broken is None


def test_a_trace_is_a_shortest_one_and_reads_as_steps() -> None:
    law, bounds = BREAKS[Mutant.NO_EPOCH]
    found = search(bounds, Mutant.NO_EPOCH).broken
    assert found is not None
    told = str(found).splitlines()
    assert told[0].split() == ["1.", NAMES[0], "takes", "the", "lease"]
    assert any("runs out" in step for step in told)
    assert told[-1].startswith(f"{law} does not hold")


def test_a_contradiction_may_park_and_a_fault_may_not() -> None:
    """The one bound with a contradiction is not a bound in which nothing ever parks."""
    injected = [bounds for bounds in FULL if Fault.DRIFT in bounds.faults]
    assert [bounds.name for bounds in injected] == ["a contradiction"]


def test_every_fault_is_in_a_short_bound() -> None:
    assert {fault for bounds in SHORT for fault in bounds.faults} == set(Fault)


def test_the_page_shows_every_bound_law_and_mutant() -> None:
    """``make model`` generates it."""
    shown = PAGE.read_text().partition(BEGIN)[2].partition(END)[0]
    for bounds in FULL:
        assert f"| {bounds.name} | {bounds.position}; " in shown
        assert f"| {kinds(bounds)} | {bounds.most} |" in shown
    for law in LAWS:
        assert f"| {law.name} | {law.words} |" in shown
    for mutant in Mutant:
        assert f"| {mutant} | {BREAKS[mutant][0]} |" in shown
    assert "do not hold" not in shown
