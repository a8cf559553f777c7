"""Thousands of drawn histories of one close against a model venue: whatever happens, one effect and one true outcome."""

import os

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from sureclose.domain import steps
from sureclose.domain.close import Concluded, Done, New, Unknown, Waiting, fold
from sureclose.domain.decide import decide
from sureclose.domain.market import Class
from sureclose.domain.outcome import OutcomeKind
from sureclose.domain.policy import Policy
from sureclose.journal.record import Head, Writer, extend, verify
from tests.domain.drivers import History
from tests.domain.judging import judged
from tests.domain.scripts import POLICY, START, Crash, Fate, Foreign, Gate, Reply, Script, Telling

EXAMPLES = int(os.environ.get("SURECLOSE_HISTORIES", "1"))
"""A multiple of the default number of histories, for a longer hunt."""

PROPERTY = settings(
    deadline=None,
    print_blob=True,
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

lags = st.lists(st.sampled_from([0, 5, 50, 200, 400, 900]), max_size=8).map(tuple)
long_lags = st.lists(st.sampled_from([0, 50, 900, 3_000, 12_000, 25_000]), max_size=8).map(tuple)
positions = st.one_of(
    st.sampled_from([10_000, -10_000, 1, -1, 4_001, 8_000]), st.integers(1, 12_000), st.integers(-12_000, -1)
)
parts = st.lists(st.integers(0, 100), min_size=1, max_size=4).map(tuple)
harmless = [Class.RETRY, Class.FLAT_CHECK, Class.WAIT]
fates = st.builds(
    Fate,
    delay=st.one_of(st.integers(0, 60), st.integers(0, 2_400), st.sampled_from([1_996, 1_999, 2_000, 2_001])),
    arrives=st.sampled_from([True, True, True, False]),
    refusal=st.sampled_from([None, None, None, None, *harmless]),
    retry_after=st.sampled_from([0, 0, 1_500]),
    parts=parts,
    gap=st.sampled_from([0, 0, 1, 20, 120]),
    reply=st.sampled_from([*Reply, Reply.GIVEN, Reply.GIVEN]),
)
foreign = st.lists(
    st.builds(Foreign, st.integers(-2_600, 9_000), st.integers(-12_000, 12_000).filter(bool)), max_size=4
).map(tuple)
crashes = st.lists(
    st.builds(Crash, st.integers(1, 40), st.booleans(), st.sampled_from([0, 300, 3_000, 8_000])), max_size=3
).map(tuple)
news = st.lists(st.one_of(st.none(), st.sampled_from([0, 1, 30, 400, 4_000])), max_size=6).map(tuple)


def scripts(**more: st.SearchStrategy[object]) -> st.SearchStrategy[Script]:
    return st.builds(
        Script,
        **{
            "position": positions,
            "opened": st.sampled_from([-10_000, -2_400, -2_000]),
            "fates": st.lists(fates, max_size=4).map(tuple),
            "gates": st.lists(st.sampled_from([Gate.OPEN, *Gate]), max_size=4).map(tuple),
            "crashes": crashes,
            "failing_reads": st.frozensets(st.integers(0, 20), max_size=5),
            "news": news,
            "echoes": st.integers(0, 2),
            "latency": st.sampled_from([1, 3, 40]),
            "clock_error": st.sampled_from([0, 0, 4, -30]),
            "known": st.booleans(),
            **more,
        },
    )


tellings = st.one_of(
    st.none(),
    st.builds(
        Telling,
        late=st.sampled_from([0, 5, 60, 400, 1_000, 2_600, 9_000]),
        silent=st.sampled_from([0, 40, 900, 999]),
    ),
)
full = {
    "opened": st.sampled_from([-10_000, -2_400, -2_000, -400, -3]),
    "position_lags": lags,
    "trade_lags": lags,
    "order_lags": lags,
    "foreign": foreign,
    "torn": st.booleans(),
    "telling": tellings,
    "timeless": st.sampled_from([False, False, False, True]),
}
amounts = {
    "fraction": st.sampled_from(["1", "0.75", "0.5", "0.25", "0.333", None]),
    "quantity": st.one_of(st.none(), st.integers(1, 12_000)),
}


def close(script: Script, policy: Policy = POLICY) -> History:
    """One drawn history, judged. What fails is told in full, and its script is what reproduces it."""
    history = History(script, policy)
    try:
        judged(history.run())
    except BaseException as error:
        error.add_note(history.told())
        raise
    return history


@settings(PROPERTY, max_examples=700 * EXAMPLES)
@given(scripts())
@example(Script(fates=(Fate(delay=0, parts=(0,), reply=Reply.STRANGE),), latency=1))
@example(Script(fates=(Fate(delay=0, parts=(0,), reply=Reply.STRANGE),), latency=40))
def test_a_full_close_that_nobody_disturbs_ends_flat_whatever_fails_on_the_way(script: Script) -> None:
    assert close(script).outcome.kind == "FLAT"


@settings(PROPERTY, max_examples=700 * EXAMPLES)
@given(scripts(**full))
@example(Script(position=1, foreign=(Foreign(2, 1),), trade_lags=(0, 50), latency=1))
def test_a_full_close_with_others_trading_has_one_true_outcome(script: Script) -> None:
    close(script)


@settings(PROPERTY, max_examples=700 * EXAMPLES)
@given(scripts(**full, **amounts).filter(lambda script: script.fraction or script.quantity))
def test_a_partial_close_never_closes_more_than_it_was_for(script: Script) -> None:
    close(script)


@settings(PROPERTY, max_examples=400 * EXAMPLES)
@given(
    scripts(
        fates=st.lists(
            st.builds(Fate, refusal=st.sampled_from([None, Class.FIX, Class.ESCALATE]), parts=parts),
            max_size=3,
        ).map(tuple),
        expires=st.one_of(st.none(), st.integers(-1, 6_000)),
        frozen_from=st.one_of(st.none(), st.integers(0, 6_000)),
        gates=st.lists(st.sampled_from(Gate), max_size=4).map(tuple),
        foreign=foreign,
    )
)
def test_a_close_that_is_stopped_says_why_and_counts_what_was_filled(script: Script) -> None:
    outcome = close(script).outcome
    allowed = {
        OutcomeKind.SKIPPED: {
            "expired",
            "frozen",
            "position_changed",
            "position_reopened",
            "other_side",
            "position_reversed",
        },
        OutcomeKind.REFUSED: {"fix", "escalate"},
        OutcomeKind.REDUCED: {
            "expired",
            "frozen",
            "position_changed",
            "position_reopened",
            "-1 fix",
            "-1 escalate",
        },
        OutcomeKind.FLAT: {""},
        OutcomeKind.ALREADY_FLAT: {""},
    }
    assert outcome.reason in allowed[outcome.kind]


@settings(PROPERTY, max_examples=350 * EXAMPLES)
@given(
    scripts(
        position_lags=long_lags,
        trade_lags=lags,
        order_lags=long_lags,
        crashes=st.lists(
            st.builds(Crash, st.integers(1, 12), st.booleans(), st.sampled_from([0, 3_000, 50_000, 600_000])),
            max_size=3,
        ).map(tuple),
        expires=st.just(86_000_000),
        foreign=foreign,
    )
)
@example(
    Script(
        fates=(Fate(arrives=False, reply=Reply.LOST),),
        crashes=(Crash(4, before=False, down=600_000),),
        foreign=(Foreign(500, -1_000),),
        position_lags=(0, 601_000),
        expires=86_000_000,
    )
)
def test_lag_alone_never_parks_however_long_the_process_was_away(script: Script) -> None:
    close(script)


@settings(PROPERTY, max_examples=250 * EXAMPLES)
@given(scripts(**full))
def test_from_every_prefix_of_a_journal_the_close_can_be_taken_up_and_every_record_is_read_back(
    script: Script,
) -> None:
    facts = History(script).run().journal.facts
    head, records = extend(Head(), "plan", facts, Writer("paper:main", "w", 1), START)
    assert verify(records)[0] == head
    assert [body.fact for body in verify(records)[1]] == facts
    for length in range(1, len(facts) + 1):
        state = fold(facts[:length])
        assert not isinstance(state, New | Concluded)
        for later in (0, 3_600_000):
            step = decide(state, steps.Taken(now=START + later, worker="w", epoch=2), POLICY)
            if isinstance(state, Done):
                assert isinstance(step.effect, steps.Rest)
            else:
                assert not isinstance(step.effect, steps.Rest | steps.Send | steps.PassGate)


PLAIN = [
    Script(),
    Script(fraction="0.5"),
    Script(position=-3_000),
    Script(fates=(Fate(parts=(30,)), Fate(arrives=False))),
    Script(position=2_000, fates=(Fate(delay=1_500, reply=Reply.LOST),)),
    Script(
        position=2_000, fates=(Fate(refusal=Class.RETRY), Fate(parts=(50, 50), gap=30, reply=Reply.EARLY))
    ),
    Script(position=0),
    Script(expires=-1),
    Script(fates=(Fate(refusal=Class.FIX),)),
]


@pytest.mark.parametrize("script", PLAIN, ids=range(len(PLAIN)))
@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_a_crash_at_any_effect_converges_to_the_same_outcome(script: Script, before: bool) -> None:
    plain = History(script).run()
    judged(plain)
    for first in range(1, len(plain.steps) + 1):
        for second in (None, first + 1, first + 4):
            crashed = tuple(Crash(step, before) for step in (first, second) if step is not None)
            history = close(
                Script(
                    **{name: getattr(script, name) for name in script.__struct_fields__}
                    | {"crashes": crashed}
                )
            )
            if plain.outcome.kind is OutcomeKind.REFUSED:
                # The venue's no was unheard, and the next attempt is not refused.
                assert history.outcome.kind in {OutcomeKind.REFUSED, OutcomeKind.FLAT}
            else:
                assert (history.outcome, history.filled) == (plain.outcome, plain.filled), history.told()


def test_what_was_sent_before_a_long_absence_is_resolved_and_nothing_more_is_sent() -> None:
    """I8: a start closes nothing. The age of a decision is judged again when it is taken up in the middle of a send."""
    for down in (3_000, 3_600_000):
        history = close(
            Script(position=2_000, fates=(Fate(arrives=False),), crashes=(Crash(3, before=False, down=down),))
        )
        late = down > POLICY.max_age
        assert len(history.world.sent) == (1 if late else 2)
        assert history.said == ("SKIPPED(expired)" if late else "FLAT")


def test_states_that_a_restart_can_meet_are_all_met() -> None:
    """The prefix test above means something only if journals end in each of the states that a fold can give."""
    script = Script(fates=(Fate(arrives=False), Fate(parts=(50,), reply=Reply.EARLY, gap=200)))
    facts = History(script).run().journal.facts
    names = {type(fold(facts[:length])).__name__ for length in range(1, len(facts) + 1)}
    assert names >= {Waiting.__name__, "InFlight", Unknown.__name__, "Working", "Done"}
