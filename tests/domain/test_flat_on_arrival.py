"""A position that reads flat before this close has closed it: by whose order it became so, and since when."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from sureclose.domain import facts, steps
from sureclose.domain.close import Waiting, Working, fold
from sureclose.domain.facts import Via
from sureclose.domain.market import OrderReport, Position, Trade
from tests.domain.drivers import History
from tests.domain.scripts import POLICY, RULES, START, Fate, Foreign, Reply, Script
from tests.domain.test_close_histories import EXAMPLES, PROPERTY, close, crashes, lags, scripts
from tests.domain.test_close_rules import (
    admitted,
    after,
    concluded,
    flat_already,
    order,
    position,
    read,
    run,
    sending,
    sized,
    trade,
    waiting,
)
from tests.domain.test_hedge import BY_THE_VENUE

FLAT = position("0", at=START - 300)
CLOSED = trade("-10", at=START - 300)
LOST = Fate(delay=5, reply=Reply.LOST)


def history_read(shown: Position, *trades: Trade, closed_by: OrderReport | None) -> steps.HistoryRead:
    return steps.HistoryRead(now=START, position=shown, rules=RULES, trades=trades, closed_by=closed_by)


def dead(attempt: int = 1) -> facts.Dead:
    return facts.Dead(
        attempt=attempt,
        not_found=3,
        first_not_found_at=START + 3_001,
        last_not_found_at=START + 4_001,
        evidence_begun_at=START + 4_002,
        orders_read=0,
        position=position(),
        foreign_moves=Decimal(0),
    )


# By an order of ours that had been proven dead ---------------------------------------------------------------------


def test_an_order_of_ours_that_emptied_the_position_after_its_death_was_proven_is_counted() -> None:
    state = fold([admitted(), sized(), sending(), dead()])
    flat, fill = (
        position("0", at=START + 5, requested_at=START + 4_100),
        trade("-10", at=START + 5, order_id=1),
    )
    own = order(executed="10")
    step = after(state, read(flat))
    assert isinstance(step.effect, steps.ReadHistory)
    step = after(step.state, history_read(flat, fill, closed_by=own))
    assert step.facts == (facts.Seen(via=Via.ORDER_LIST, order=own),)
    assert isinstance(step.state, Working)
    assert step.effect == steps.ReadTrades(order_id=1)


def test_an_order_of_ours_that_is_known_is_not_seen_again() -> None:
    known = facts.Filled(order=order(status="EXPIRED", executed="0"), trades=())
    state = fold([admitted(), sized(), sending(), known])
    flat, fill = position("0", at=START + 5, requested_at=START + 100), trade("-10", at=START + 5, order_id=1)
    step = after(state, read(flat), history_read(flat, fill, closed_by=order(executed="0")))
    assert not step.facts


@pytest.mark.parametrize("lag", [5_000, 6_000])
def test_reads_that_all_lag_longer_than_a_proof_of_death_takes_lose_no_fill(lag: int) -> None:
    """The attempt filled, its answer and its news were lost, and it was proven dead by what was shown of the past."""
    history = run(
        position=2_000,
        fates=(LOST,),
        news=(None,) * 6,
        position_lags=(0, lag),
        order_lags=(lag,) * 12,
        trade_lags=(lag,),
    )
    assert any(isinstance(fact, facts.Dead) for fact in history.journal.facts)
    assert history.said == "FLAT"
    assert history.filled == 2
    assert history.report is not None
    assert history.report.executed


def test_trades_that_show_later_than_the_flat_position_lose_no_fill_either() -> None:
    """The position changed after the attempt was made, and nothing in the list says by whom."""
    history = History(
        Script(
            position=2_000,
            fates=(LOST,),
            news=(None,) * 6,
            position_lags=(0, 5_000),
            order_lags=(5_000,) * 12,
            trade_lags=(5_000, 5_000),
        )
    ).run()
    assert history.said == "FLAT"


@settings(PROPERTY, max_examples=150 * EXAMPLES)
@given(
    scripts(
        position=st.integers(1, 4_000).flatmap(lambda size: st.sampled_from([size, -size])),
        opened=st.just(-10_000),
        fates=st.just((LOST,)),
        gates=st.just(()),
        news=st.just((None,) * 12),
        echoes=st.just(0),
        crashes=crashes,
        position_lags=st.sampled_from([0, 200, 5_000, 6_000]).map(lambda lag: (0, lag)),
        order_lags=st.tuples(st.sampled_from([200, 5_000, 6_000]), st.integers(0, 14)).map(
            lambda drawn: drawn[:1] * drawn[1]
        ),
        trade_lags=st.sampled_from([0, 200, 5_000]).map(lambda lag: (lag,)),
    )
)
def test_a_close_that_one_order_emptied_counts_it_however_late_it_shows(script: Script) -> None:
    history = close(script)
    assert history.said == "FLAT"
    assert history.filled == abs(Decimal(script.position)) / 1000


# By somebody else's, whose order does not show yet -----------------------------------------------------------------


def test_who_closed_the_position_is_asked_again_while_it_does_not_show() -> None:
    state = flat_already(waiting())
    for _ in range(POLICY.patience):
        step = after(state, history_read(FLAT, CLOSED, closed_by=None))
        assert isinstance(step.effect, steps.ReadPosition)
        assert step.effect.delay
        assert isinstance(step.state, Waiting)
        state = step.state
    # Not for ever: that it is flat is true whoever did it.
    assert isinstance(after(state, history_read(FLAT, CLOSED, closed_by=None)).effect, steps.ReadResting)


def test_a_position_that_never_traded_is_not_asked_about_again() -> None:
    step = after(flat_already(waiting()), history_read(FLAT, closed_by=None))
    assert isinstance(step.effect, steps.ReadResting)


def test_flat_on_arrival_is_said_twice_before_it_burns_the_id() -> None:
    """Position and trades can lag together, and agree on what was before the position was opened."""
    flat = position("0", at=0, requested_at=START)
    step = after(waiting(), read(flat), history_read(flat, closed_by=None))
    assert step.effect == steps.ReadPosition(delay=POLICY.spread)
    caught_up = read(position("10", at=START - 200, requested_at=START + POLICY.spread))
    assert isinstance(after(step.state, caught_up).effect, steps.PassGate)


@pytest.mark.parametrize(("client", "cause"), BY_THE_VENUE)
def test_the_cause_is_told_although_the_venues_order_shows_late(client: str, cause: str) -> None:
    history = run(foreign=(Foreign(-300, -10_000, client=client),), order_lags=(2_000,) * 3)
    assert history.said == f"ALREADY_FLAT({cause})"


@settings(PROPERTY, max_examples=100 * EXAMPLES)
@given(
    scripts(
        position=st.sampled_from([10_000, -10_000]),
        opened=st.just(-10_000),
        foreign=st.tuples(st.integers(-6_000, -1), st.sampled_from(BY_THE_VENUE)).map(
            lambda drawn: (Foreign(drawn[0], -10_000, client=drawn[1][0]),)
        ),
        order_lags=lags,
    ).map(
        lambda script: replace(
            script,
            foreign=tuple(replace(theirs, thousandths=-script.position) for theirs in script.foreign),
        )
    )
)
def test_the_cause_is_told_whatever_fails_on_the_way(script: Script) -> None:
    (theirs,) = script.foreign
    cause = dict(BY_THE_VENUE)[theirs.client]
    assert close(script).said == f"ALREADY_FLAT({cause})"


# Without a time ----------------------------------------------------------------------------------------------------


def partly(fill: Trade) -> Waiting:
    state = fold(
        [admitted(), sized(), sending(), facts.Filled(order=order(status="EXPIRED"), trades=(fill,))]
    )
    assert isinstance(state, Waiting)
    return state


def test_a_flat_row_without_a_time_between_attempts_is_believed_when_the_trades_make_zero() -> None:
    """Four of ten are filled; the other six were closed by somebody, and the row says flat and not since when."""
    fill = trade("-4", at=START + 5, order_id=1)
    flat = position("0", at=0, requested_at=START + 60)
    step = after(partly(fill), read(flat))
    assert isinstance(step.effect, steps.ReadHistory)
    theirs = trade("-6", at=START + 20)
    whole = after(step.state, history_read(flat, fill, theirs, closed_by=None))
    assert concluded(whole) == "FLAT"
    # A row of a symbol that was never traded, and trades that do not make zero: read again.
    half = after(step.state, history_read(flat, fill, closed_by=None))
    assert isinstance(half.effect, steps.ReadPosition)
    assert half.effect.delay
