"""Episodes: what begins one, what goes on, what ends it, over histories of trades and reads."""

from decimal import Decimal
from typing import Final

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sureclose.domain.harvest.episodes import (
    Followed,
    decode,
    encode,
    follow,
    look_back_from,
    unchanged,
    with_asked,
)
from sureclose.domain.harvest.policy import Proposal
from sureclose.domain.market import Position, Trade
from sureclose.domain.safety import SETTLED_MS, Unclear
from tests.domain.harvest.views import episode, position
from tests.domain.test_safety import trade

START: Final = 1_790_000_000_000
STEP: Final = 10 * SETTLED_MS
"""Between two trades, so that what the venue shows has settled."""


def read(amount: str | Decimal, changed: int) -> Position:
    return position(amount, update_time=changed, requested_at=changed + 2 * SETTLED_MS)


def followed(
    before: Followed | None, at: Position, trades: list[Trade], since: int | None = None
) -> Followed:
    reach = since if since is not None else (look_back_from(before) or 0)
    found = follow(before, at, [one for one in trades if one.time >= reach], reach, at.requested_at)
    assert isinstance(found, Followed), found
    return found


OPENED: Final = [trade(1, "1", START)]
FIRST: Final = followed(None, read("1", START), OPENED)
RUNG: Final = Proposal(name="rung-2", action="PARTIAL_CLOSE", quantity=Decimal(1), rung=2, reason="two")
TAKEN: Final = msgspec.structs.replace(FIRST, episode=with_asked(FIRST.episode, RUNG))


def test_a_position_seen_first_begins_an_episode_that_is_named_by_its_opening() -> None:
    state = FIRST.episode
    assert (state.first_amount, state.opened_at, state.exact, state.rung) == (Decimal(1), START, True, 0)
    again = followed(None, read("1", START), OPENED)
    assert again.episode.name == state.name


def test_a_position_that_was_added_to_or_reduced_goes_on() -> None:
    for number, signed in ((2, "3"), (3, "-0.5")):
        at = START + number * STEP
        found = followed(TAKEN, read(1 + Decimal(signed), at), [*OPENED, trade(number, signed, at)])
        assert found.episode == TAKEN.episode
        assert (found.amount, found.open_at) == (1 + Decimal(signed), at)


@pytest.mark.parametrize("amount", ["1", "-1", "0.5"])
def test_a_position_that_was_closed_and_opened_again_unseen_is_another_one(amount: str) -> None:
    trades = [*OPENED, trade(2, "-1", START + STEP), trade(3, amount, START + 2 * STEP)]
    found = followed(TAKEN, read(amount, START + 2 * STEP), trades)
    assert found.episode.name != TAKEN.episode.name
    assert (found.episode.rung, found.episode.asked) == (0, frozenset())
    assert (found.episode.first_amount, found.episode.opened_at) == (Decimal(amount), START + 2 * STEP)


def test_a_position_that_went_through_zero_in_one_trade_is_another_one() -> None:
    found = followed(TAKEN, read("-1", START + STEP), [*OPENED, trade(2, "-2", START + STEP)])
    assert found.episode.first_amount == -1
    assert found.episode.opened_at == START + STEP


def test_a_change_of_sign_is_evidence_enough_where_no_trade_is_shown() -> None:
    found = followed(TAKEN, read("-1", START + STEP), [])
    assert (found.episode.first_amount, found.episode.opened_at, found.episode.rung) == (Decimal(-1), None, 0)


def test_flat_ends_an_episode_and_what_comes_after_is_another_one() -> None:
    closed = [*OPENED, trade(2, "-1", START + STEP)]
    flat = followed(TAKEN, read("0", START + STEP), closed)
    assert not flat.is_open
    again = followed(flat, read("1", START + 2 * STEP), [*closed, trade(3, "1", START + 2 * STEP)])
    assert again.episode.opened_at == START + 2 * STEP
    assert again.episode.rung == 0


def test_a_read_that_shows_zero_for_a_moment_takes_no_rung_back() -> None:
    flat = followed(TAKEN, read("0", START + STEP), OPENED)
    assert followed(flat, read("1", START), OPENED).episode == TAKEN.episode


def test_a_change_without_trades_is_no_evidence() -> None:
    """Funding moves the time of a position and nothing else."""
    found = followed(TAKEN, read("1", START + STEP), [])
    assert (found.episode, found.open_at) == (TAKEN.episode, START + STEP)


def test_what_the_venue_does_not_show_yet_is_waited_for() -> None:
    at = position("1", update_time=START, requested_at=START + 100)
    assert follow(None, at, [], 0, START + 200) == Unclear(
        "the venue shows no trade of it, so nothing says when it was opened", passing=True
    )
    later = position("2", update_time=START + STEP, requested_at=START + STEP + 100)
    found = follow(TAKEN, later, OPENED, START, START + STEP + 200)
    assert isinstance(found, Unclear)
    assert found.passing


def test_trades_that_were_not_read_far_enough_back_are_no_answer() -> None:
    at = read("1", START + 2 * STEP)
    found = follow(TAKEN, at, [trade(3, "0.5", START + 2 * STEP)], START + STEP, at.requested_at)
    assert isinstance(found, Unclear)
    assert "not read back" in found.why


def test_nothing_is_kept_of_a_position_that_was_never_open() -> None:
    assert follow(None, read("0", START), [], 0, START + STEP) is None


def test_an_opening_that_the_venue_does_not_show_is_known_to_be_older_than_its_trades() -> None:
    found = followed(None, read("3", START), [trade(1, "1", START)])
    assert (found.episode.opened_at, found.episode.exact) == (START, False)
    unknown = followed(None, read("3", START), [])
    assert (unknown.episode.opened_at, unknown.episode.exact) == (None, False)
    assert unknown.episode.name == found.episode.name


def test_an_opening_found_later_is_learned_and_renames_nothing() -> None:
    before = followed(None, read("3", START + STEP), [trade(2, "1", START + STEP)])
    trades = [trade(1, "2", START), trade(2, "1", START + STEP), trade(3, "1", START + 2 * STEP)]
    found = followed(before, read("4", START + 2 * STEP), trades, since=0)
    assert (found.episode.opened_at, found.episode.exact) == (START, True)
    assert (found.episode.name, found.episode.first_amount) == (before.episode.name, Decimal(3))


def test_the_stamp_of_an_opening_trade_behind_that_of_the_position_makes_no_other_episode() -> None:
    late = [trade(1, "1", START + 3)]
    at = position("1", update_time=START, requested_at=START + 2 * SETTLED_MS)
    before = followed(None, at, late)
    found = followed(before, read("2", START + STEP), [*late, trade(2, "1", START + STEP)])
    assert found.episode == before.episode


def test_a_read_that_says_nothing_new_needs_no_trades() -> None:
    assert unchanged(FIRST, read("1", START))
    assert not unchanged(FIRST, read("2", START))
    assert not unchanged(FIRST, read("1", START + 1))
    assert not unchanged(None, read("1", START))
    assert follow(FIRST, read("1", START), [], START + 2 * STEP, START + STEP) == FIRST


def test_a_rung_only_grows_and_a_name_is_taken_once() -> None:
    state = with_asked(episode(), RUNG)
    assert (state.rung, state.asked) == (2, frozenset({"rung-2"}))
    lower = with_asked(state, msgspec.structs.replace(RUNG, name="rung-1", rung=1))
    assert (lower.rung, lower.asked) == (2, frozenset({"rung-1", "rung-2"}))


TEXT = st.text(max_size=8)
STATES = st.builds(
    Followed,
    symbol=TEXT,
    position_side=st.sampled_from(("BOTH", "LONG", "SHORT")),
    amount=st.decimals(allow_nan=False, allow_infinity=False),
    open_at=st.integers(0, 2**60),
    episode=st.builds(
        type(FIRST.episode),
        name=TEXT,
        first_amount=st.decimals(allow_nan=False, allow_infinity=False),
        opened_at=st.none() | st.integers(0, 2**60),
        exact=st.booleans(),
        rung=st.integers(0, 3),
        asked=st.frozensets(TEXT, max_size=3),
    ),
)


@settings(deadline=None)
@given(STATES)
def test_a_state_comes_back_as_it_was_written_and_is_always_written_alike(state: Followed) -> None:
    assert decode(encode(state)) == state
    assert encode(decode(encode(state))) == encode(state)


@pytest.mark.parametrize("text", ["", "{}", '{"symbol": 1}', "null"])
def test_what_is_no_state_is_not_taken_for_one(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode(text)


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(-3, 3).filter(bool), st.booleans(), st.booleans()), min_size=1, max_size=25
    )
)
def test_over_any_history_episodes_are_those_of_the_trades_whatever_was_seen_of_it(
    history: list[tuple[int, bool, bool]],
) -> None:
    """Some reads don't happen, some come after a restart: the episode and its rung are those of who saw everything."""
    amount, opened_at, trades = 0, 0, list[Trade]()
    known: Followed | None = None
    rungs: dict[int, int] = {}
    for number, (signed, is_read, restarts) in enumerate(history, start=1):
        now = START + number * STEP
        before, amount = amount, amount + signed
        trades.append(trade(number, str(signed), now))
        if before * amount <= 0:
            opened_at = now
        if restarts and known is not None:
            known = decode(encode(known))
        if not is_read:
            continue
        at = read(str(amount), now)
        if known is None and amount == 0:
            assert follow(known, at, trades, 0, at.requested_at) is None
            continue
        known = followed(known, at, trades)
        assert known.is_open is bool(amount)
        if not amount:
            continue
        assert known.episode.opened_at == opened_at
        assert known.episode.first_amount * amount > 0
        assert known.episode.rung == rungs.get(opened_at, 0)
        rungs[opened_at] = min(3, known.episode.rung + 1)
        taken = msgspec.structs.replace(RUNG, name=f"rung-{rungs[opened_at]}", rung=rungs[opened_at])
        known = msgspec.structs.replace(known, episode=with_asked(known.episode, taken))
