"""Closes that are sized by what the stream tells, which may be older than the truth."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from sureclose.domain import facts
from sureclose.domain.close import Done, fold
from sureclose.domain.market import Class
from sureclose.domain.outcome import OutcomeKind
from sureclose.domain.report import report_of
from tests.domain.scripts import START, Crash, Fate, Foreign, Gate, Script, Telling
from tests.domain.test_close_histories import EXAMPLES, PROPERTY, close, fates, lags, scripts, tellings
from tests.domain.test_close_rules import after, position, read, run, waiting

LATE = Telling(late=9_000)
"""What it tells is from before all that others did here."""

before = st.lists(
    st.builds(Foreign, st.integers(-8_000, -30), st.integers(-12_000, 12_000).filter(bool)),
    min_size=1,
    max_size=4,
).map(tuple)
"""What others did before the first attempt, by any clock: some of it before the decision and some since."""


def test_a_full_close_needs_no_read_before_its_first_order() -> None:
    history = run(position=2_000, telling=Telling())
    assert [type(effect).__name__ for effect in history.effects[:3]] == ["ReadPosition", "PassGate", "Send"]
    assert history.world.sent[0].timestamp == START
    assert history.world.sent[0].position.told


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ({"fraction": "0.5"}, "a part"),
        ({"position": 0}, "flat"),
        ({"telling": Telling(silent=1_000)}, "a stream that is silent"),
        ({"hedge": True}, "a side that is not named"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_the_stream_may_not_size_is_read(script: dict[str, object], why: str) -> None:
    history = run(**({"telling": Telling()} | script))
    assert not any(sending.position.told for sending in history.world.sent), why


def test_an_attempt_after_the_first_is_made_with_a_read() -> None:
    history = run(telling=Telling())
    assert history.said == "FLAT"
    assert [sending.position.told for sending in history.world.sent] == [True, False, False]


def test_what_is_told_of_a_position_that_the_decision_saw_later_is_read() -> None:
    history = run(telling=LATE, known=True, foreign=(Foreign(-5_000, 2_000),))
    assert not any(sending.position.told for sending in history.world.sent)
    assert history.filled == 12


@pytest.mark.parametrize(
    ("change", "filled"),
    [(-5_000, "5"), (10_000, "20"), (-9_999, "0.001"), (1, "10.001")],
    ids=["halved", "doubled", "nearly closed", "a little more"],
)
def test_a_position_that_others_changed_before_the_decision_is_closed_to_the_end(
    change: int, filled: str
) -> None:
    history = run(telling=LATE, foreign=(Foreign(-4_000, change),))
    assert history.said == "FLAT"
    assert history.filled == Decimal(filled)


def test_a_position_that_was_closed_and_opened_anew_before_the_decision_is_closed() -> None:
    history = run(telling=LATE, foreign=(Foreign(-5_000, -10_000), Foreign(-4_000, 3_000)))
    assert history.said == "FLAT"
    assert history.filled == 3


def test_a_position_that_was_reversed_before_the_decision_is_closed_on_its_own_side() -> None:
    """The decision is about what was there; the order that the stream sized is refused, and nothing is lost."""
    history = run(telling=LATE, foreign=(Foreign(-4_000, -13_000),))
    assert history.said == "FLAT"
    assert history.filled == 3
    first, *rest = (sending.side for sending in history.world.sent)
    assert first not in rest


def test_a_position_that_was_closed_before_the_decision_is_found_flat() -> None:
    history = run(telling=LATE, foreign=(Foreign(-4_000, -10_000),))
    assert history.said == "ALREADY_FLAT"
    assert len(history.world.sent) == 1


def test_a_position_that_was_reversed_after_the_decision_is_not_touched() -> None:
    history = run(telling=LATE, foreign=(Foreign(-300, -13_000),))
    assert history.said == "SKIPPED(position_changed)"
    assert not history.filled
    assert run(telling=LATE, known=True, foreign=(Foreign(-300, -13_000),)).said == (
        "SKIPPED(position_reversed)"
    )


def test_a_position_that_changes_its_sign_after_the_first_attempt_is_not_touched() -> None:
    history = run(telling=Telling(), foreign=(Foreign(4, -13_000),))
    assert history.said == "SKIPPED(position_changed)"
    assert not history.filled


def test_what_others_add_after_the_send_is_left() -> None:
    history = run(telling=Telling(), position=2_000, foreign=(Foreign(12, 3_000),))
    assert history.said == "REDUCED(position_changed)"
    assert history.filled == 2


def test_what_others_added_before_the_send_is_closed_although_it_was_not_told() -> None:
    history = run(telling=LATE, position=2_000, foreign=(Foreign(-1, 3_000),))
    assert history.said == "FLAT"
    assert history.filled == 5


def test_a_told_sizing_that_nothing_was_filled_by_binds_nothing() -> None:
    """Refused, lost or not sent: the next attempt is sized by a read."""
    for first in (Fate(refusal=Class.RETRY), Fate(arrives=False), Fate(delay=2_500)):
        history = run(telling=LATE, fates=(first,), foreign=(Foreign(-3_000, 1_000),), latency=1)
        assert history.said == "FLAT"
        assert [sized.position.told for sized in history.sized] == [True, False]
        assert history.sized[-1].target == 11
    slow = run(telling=LATE, gates=(Gate.SLOW,), foreign=(Foreign(-3_000, 1_000),))
    assert slow.sized[-1].target == 11


def test_a_flat_position_is_never_believed_because_it_was_told() -> None:
    """It is not told at all; were it, the trades would still be looked at."""
    told = replace(position("0"), told=True)
    step = after(waiting(), read(told))
    assert type(step.effect).__name__ == "ReadHistory"


def test_what_is_told_of_a_refused_told_attempt_does_not_depend_on_who_tells_it() -> None:
    history = run(telling=LATE, foreign=(Foreign(-4_000, -10_000),))
    final = fold(history.journal.facts)
    assert isinstance(final, Done)
    assert history.report == report_of(final, "")


@pytest.mark.parametrize("lags_", [(45,), (0, 45)], ids=["told", "read"])
def test_a_sizing_is_as_young_as_the_read_that_its_first_attempt_was_made_with(
    lags_: tuple[int, ...],
) -> None:
    """The gate was occupied at the first try. The read at the second lags behind what others added in between."""
    history = run(
        position=2_000,
        telling=Telling() if len(lags_) == 1 else None,
        gates=(Gate.BUSY,),
        foreign=(Foreign(20, 1_000),),
        position_lags=lags_,
    )
    assert history.said == "FLAT"
    assert history.filled == 3


def test_a_crash_before_or_after_a_told_attempt_comes_to_the_same_end() -> None:
    for step in range(1, 12):
        for died_before in (True, False):
            history = run(
                telling=LATE, foreign=(Foreign(-4_000, -9_000),), crashes=(Crash(step, died_before),)
            )
            assert history.said == "FLAT"
            assert history.filled == 1


@settings(PROPERTY, max_examples=350 * EXAMPLES)
@given(
    scripts(
        foreign=before,
        telling=tellings.filter(bool),
        fates=st.lists(fates, max_size=3).map(tuple),
        trade_lags=lags,
        order_lags=lags,
    )
)
def test_a_told_full_close_that_nobody_disturbs_after_its_send_ends_flat_if_it_closes_anything(
    script: Script,
) -> None:
    history = close(script)
    assert history.outcome.kind in {OutcomeKind.FLAT, OutcomeKind.ALREADY_FLAT, OutcomeKind.SKIPPED}
    assert (history.outcome.kind is OutcomeKind.FLAT) is bool(history.filled)
    assert history.filled <= sum(
        (fact.quantity for fact in history.journal.facts if isinstance(fact, facts.Sending)), start=0
    )
