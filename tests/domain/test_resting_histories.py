"""Drawn histories of closes with resting orders in the way, a price band, hedge mode and the venue's own hand."""

from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from sureclose.domain.market import Class
from sureclose.domain.outcome import OutcomeKind
from sureclose.domain.policy import Clears, Policy
from tests.domain.scripts import Cancel, Crash, Fate, Foreign, Gate, Resting, Script
from tests.domain.test_close_histories import (
    EXAMPLES,
    PROPERTY,
    amounts,
    close,
    fates,
    foreign,
    full,
    lags,
    parts,
    scripts,
)

CODES = [-4118, -2022]
placed = st.sampled_from([-20_000, -9_000, -5_000, -1, 0, 4, 20, 300, 4_000])
fires = st.one_of(st.none(), st.none(), st.integers(0, 3_000))
sizes = st.sampled_from([0, 1, 500, 4_000, 20_000])
blocking = st.builds(
    Resting,
    at=st.sampled_from([-20_000, -5_000, -1, 3, 12, 60]),
    thousandths=sizes,
    conditional=st.booleans(),
    blocks=st.sampled_from([*CODES, None]),
    fires=fires,
)
anything = st.builds(
    Resting,
    at=placed,
    thousandths=sizes,
    closing=st.booleans(),
    reducing=st.booleans(),
    conditional=st.booleans(),
    stubborn=st.sampled_from([False, False, True]),
    other=st.booleans(),
    fires=fires,
)
quiet = anything.map(
    lambda resting: resting if resting.closing and resting.reducing else replace(resting, fires=None)
)
"""Orders that nobody notices, or that close along."""
stubborn = st.builds(
    Resting, thousandths=sizes, blocks=st.sampled_from(CODES), stubborn=st.just(True), fires=fires
)
cancels = st.lists(st.sampled_from([Cancel.DONE, *Cancel]), max_size=4).map(tuple)
permits = st.lists(
    st.sampled_from([Gate.OPEN, Gate.OPEN, Gate.WRITTEN_UNHEARD, Gate.UNWRITTEN_UNHEARD]), max_size=3
).map(tuple)
band = {
    "band_until": st.one_of(st.none(), st.integers(1, 5_000)),
    "prices": st.lists(st.sampled_from([-4016, -4024, -4013, -4014, -5021]), max_size=3).map(tuple),
}
more_fates = st.one_of(
    fates,
    st.builds(
        Fate,
        refusal=st.sampled_from([Class.RETRY, Class.FLAT_CHECK]),
        code=st.sampled_from([-4061, -4131, -2022, -4118]),
        parts=parts,
    ),
)
waiting = {
    "cancels": cancels,
    "permits": permits,
    "fates": st.lists(more_fates, max_size=4).map(tuple),
    **band,
}
hedged = {
    "hedge": st.booleans(),
    "other": st.sampled_from([0, 0, 3_000]),
    "named": st.just(value=True),
}


def shelves(*kinds: st.SearchStrategy[Resting]) -> st.SearchStrategy[tuple[Resting, ...]]:
    return st.lists(st.one_of(*kinds), max_size=4).map(tuple)


@settings(PROPERTY, max_examples=400 * EXAMPLES)
@given(scripts(resting=shelves(blocking, quiet), **waiting, **hedged))
@example(Script(resting=(Resting(thousandths=0),), echoes=2))
@example(
    Script(
        resting=(Resting(thousandths=0, blocks=-4118),) * 2,
        cancels=(Cancel.BEATEN,),
        failing_reads=frozenset({0, 1, 2, 3, 8}),
        fates=(Fate(refusal=Class.RETRY, parts=(0,)),),
        latency=1,
    )
)
@example(
    Script(
        resting=(
            Resting(thousandths=0, blocks=-4118),
            Resting(at=60, thousandths=0, blocks=-4118, fires=0),
        ),
        permits=(Gate.WRITTEN_UNHEARD,),
        latency=1,
    )
)
def test_a_full_close_whose_blockers_can_be_cancelled_ends_flat_whatever_fails_on_the_way(
    script: Script,
) -> None:
    history = close(script)
    assert history.outcome.kind is (OutcomeKind.FLAT if history.filled else OutcomeKind.ALREADY_FLAT)
    assert history.filled or any(resting.fired for resting in history.world.shelf.orders)


@settings(PROPERTY, max_examples=400 * EXAMPLES)
@given(
    scripts(
        resting=shelves(blocking, stubborn, anything),
        resting_lags=lags,
        **{**full, **waiting, **hedged, **amounts},
    ).filter(lambda script: script.fraction or script.quantity)
)
def test_with_others_trading_and_lists_that_lag_there_is_one_true_outcome(script: Script) -> None:
    close(script)


@settings(PROPERTY, max_examples=350 * EXAMPLES)
@given(
    scripts(
        resting=shelves(blocking, stubborn, anything),
        expires=st.one_of(st.none(), st.integers(-1, 3_000)),
        frozen_from=st.one_of(st.none(), st.integers(0, 3_000)),
        foreign=foreign,
        **{**waiting, **hedged},
    ),
    st.builds(Policy, account=st.just("paper:main"), clears=st.sampled_from(Clears), tidies=st.booleans()),
)
@example(
    Script(
        position=-1,
        foreign=(Foreign(60, 1),),
        crashes=(Crash(6, before=False, down=0),),
        resting=(Resting(thousandths=0, blocks=-4118),),
        latency=1,
    ),
    Policy(account="paper:main"),
)
def test_a_close_that_is_stopped_among_resting_orders_tells_all_that_it_cancelled(
    script: Script, policy: Policy
) -> None:
    close(script, policy)


@settings(PROPERTY, max_examples=200 * EXAMPLES)
@given(
    scripts(
        hedge=st.just(value=True),
        foreign=st.lists(
            st.builds(
                Foreign, st.integers(0, 3_000), st.integers(-9_000, 9_000).filter(bool), st.just(value=True)
            ),
            max_size=4,
        ).map(tuple),
        resting=shelves(blocking.map(lambda resting: replace(resting, fires=None))),
        cancels=st.lists(st.sampled_from([Cancel.DONE, Cancel.LOST]), max_size=4).map(tuple),
    )
)
def test_the_side_that_was_filled_from_is_closed_whatever_becomes_of_the_other(script: Script) -> None:
    history = close(script)
    assert history.said == ("FLAT" if history.filled else "REFUSED(position_side_needed)")
