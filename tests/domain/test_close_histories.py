"""Thousands of drawn histories of one close against a model venue: whatever happens, one effect and one true outcome."""

import os

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from worlds import Crash, Fate, Foreign, Gate, History, Reply, Script, judged

from sureclose.domain.market import Class

EXAMPLES = int(os.environ.get("SURECLOSE_HISTORIES", "1"))
"""A multiple of the default number of histories, for a longer hunt."""

PROPERTY = settings(
    deadline=None,
    print_blob=True,
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
            "opened": st.sampled_from([-10_000, -2_400, -2_000, -400]),
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


full = {"position_lags": lags, "trade_lags": lags, "order_lags": lags, "foreign": foreign, "torn": st.booleans()}
amounts = {
    "fraction": st.sampled_from(["1", "0.75", "0.5", "0.25", "0.333", None]),
    "quantity": st.one_of(st.none(), st.integers(1, 12_000)),
}


def close(script: Script) -> History:
    history = History(script)
    try:
        judged(history.run())
    except BaseException as error:
        error.add_note(history.told())
        raise
    return history


@settings(PROPERTY, max_examples=700 * EXAMPLES)
@given(scripts())
def test_a_full_close_that_nobody_disturbs_ends_flat_whatever_fails_on_the_way(script: Script) -> None:
    assert close(script).outcome.kind == "FLAT"


@settings(PROPERTY, max_examples=700 * EXAMPLES)
@given(scripts(**full))
def test_a_full_close_with_others_trading_has_one_true_outcome(script: Script) -> None:
    close(script)


@settings(PROPERTY, max_examples=700 * EXAMPLES)
@given(scripts(**full, **amounts).filter(lambda script: script.fraction or script.quantity))
def test_a_partial_close_never_closes_more_than_it_was_for(script: Script) -> None:
    close(script)
