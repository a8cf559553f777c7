"""The baseline safety controller's three rules: what fires, what does not, and what can't be judged."""

from decimal import Decimal
from typing import Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sureclose.domain.actions import ACTIONS, Closes
from sureclose.domain.events import EntryRef
from sureclose.domain.market import Position, Trade
from sureclose.domain.planning import planned_id
from sureclose.domain.safety import (
    ACTION,
    AGE_MS,
    FRESH_MS,
    LOSS,
    MARGIN,
    SETTLED_MS,
    TRIES,
    VALID_MS,
    Answer,
    Breach,
    Episode,
    Margin,
    Mark,
    Rule,
    Unclear,
    age,
    decision_of,
    episode,
    episode_name,
    intent_id_of,
    judge,
    loss,
    margin,
)
from sureclose.domain.words import Mode, PositionSide, Side, Verdict

NOW: Final = 1_790_000_000_000
HOUR: Final = 3_600_000
PRICES = st.decimals("0.00000001", "1000000", places=8)
AMOUNTS = st.decimals("-1000000", "1000000", places=3).filter(bool)
MARKS = st.none() | st.builds(
    Mark, st.decimals("-10", "1000000", places=8), st.integers(NOW - 3 * FRESH_MS, NOW + 10_000)
)
MARGINS = st.none() | st.builds(
    Margin,
    maintenance=st.decimals("-10", "1000", places=2),
    balance=st.decimals("-10", "1000", places=2),
    at=st.integers(NOW - 3 * FRESH_MS, NOW + 10_000),
)


def held(
    amount: str | Decimal = "1",
    entry: str | Decimal = "100",
    *,
    changed: int = NOW - HOUR,
    read: int = NOW - 100,
    side: PositionSide = PositionSide.BOTH,
) -> Position:
    return Position(
        symbol="ETHUSDT",
        position_side=side,
        amount=Decimal(amount),
        entry_price=Decimal(entry),
        mark_price=Decimal(0),
        update_time=changed,
        requested_at=read,
    )


def mark(price: str | Decimal, at: int = NOW - 100) -> Mark:
    return Mark(Decimal(price), at)


def trade(number: int, signed: str | Decimal, at: int, side: PositionSide = PositionSide.BOTH) -> Trade:
    amount = Decimal(signed)
    return Trade(
        trade_id=number,
        order_id=number,
        symbol="ETHUSDT",
        side=Side.BUY if amount > 0 else Side.SELL,
        position_side=side,
        quantity=abs(amount),
        price=Decimal(100),
        realized_pnl=Decimal(0),
        commission=Decimal(0),
        commission_asset="USDT",
        time=at,
    )


# Loss --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("amount", "price", "answer"),
    [
        ("1", "97.00", Answer.FIRES),
        ("1", "97.01", Answer.HOLDS),
        ("1", "96", Answer.FIRES),
        ("1", "104", Answer.HOLDS),
        ("-1", "103.00", Answer.FIRES),
        ("-1", "102.99", Answer.HOLDS),
        ("-1", "96", Answer.HOLDS),
    ],
)
def test_a_loss_of_three_percent_of_the_entry_price_fires_on_either_side(
    amount: str, price: str, answer: Answer
) -> None:
    assert loss(held(amount), mark(price), NOW).answer is answer


@given(AMOUNTS, PRICES, PRICES)
def test_the_loss_rule_is_the_formula_and_nothing_else(
    amount: Decimal, entry: Decimal, price: Decimal
) -> None:
    sign = 1 if amount > 0 else -1
    found = loss(held(amount, entry), mark(price), NOW)
    assert (found.answer is Answer.FIRES) == (sign * (price - entry) <= Decimal("-0.03") * entry)


@given(AMOUNTS, PRICES, PRICES)
def test_a_short_is_the_mirror_of_a_long(amount: Decimal, entry: Decimal, price: Decimal) -> None:
    mirrored = 2 * entry - price
    if mirrored > 0:
        one = loss(held(amount, entry), mark(price), NOW)
        other = loss(held(-amount, entry), mark(mirrored), NOW)
        assert one.answer is other.answer


@pytest.mark.parametrize(
    ("position", "price", "why"),
    [
        (held(), None, "no mark price"),
        (held(), mark("0"), "a mark price of 0"),
        (held(entry="0"), mark("50"), "an entry price of 0"),
        (held(), mark("50", NOW - FRESH_MS - 1), "last read 12 s ago"),
        (held(), mark("50", NOW + 5_000), "ahead of the venue's clock"),
        (held(read=NOW - FRESH_MS - 1), mark("50"), "the position was last read"),
    ],
)
def test_absurd_and_stale_prices_are_no_loss(position: Position, price: Mark | None, why: str) -> None:
    found = loss(position, price, NOW)
    assert found.answer is Answer.UNKNOWN
    assert why in found.why


# Age ---------------------------------------------------------------------------------------------------------------


def test_the_age_is_that_of_the_episode_and_not_of_its_last_change() -> None:
    """Incident 75: updateTime is when it last changed, and a position that is traded every day never grew old."""
    opened, added = NOW - AGE_MS, NOW - HOUR
    trades = [trade(1, "2", NOW - 90 * HOUR), trade(2, "-2", NOW - 80 * HOUR), trade(3, "1", opened)]
    position = held("3", changed=added)
    found = episode(position, [*trades, trade(4, "2", added)], NOW)
    assert found == Episode(opened, exact=True)
    assert age(position, found, NOW).answer is Answer.FIRES
    assert age(position, found, NOW - 1).answer is Answer.HOLDS


def test_a_trade_that_turns_the_position_round_begins_an_episode() -> None:
    turned = NOW - 2 * HOUR
    trades = [trade(1, "1", NOW - 80 * HOUR), trade(2, "-3", turned)]
    assert episode(held("-2", changed=turned), trades, NOW) == Episode(turned, exact=True)


def test_times_that_never_agree_leave_a_doubt_for_a_minute_only() -> None:
    """Whether the venue gives a position the time of its last trade is its own affair: the rules have to work in either case."""
    opened = NOW - 80 * HOUR
    assert episode(held(changed=opened - 5), [trade(1, "1", opened)], NOW) == Episode(opened, exact=True)
    assert episode(held(changed=opened + 5), [trade(1, "1", opened)], NOW) == Episode(opened, exact=True)


def test_in_hedge_mode_each_side_has_trades_of_its_own() -> None:
    trades = [
        trade(1, "1", NOW - 80 * HOUR, PositionSide.LONG),
        trade(2, "-1", NOW - HOUR, PositionSide.SHORT),
    ]
    assert episode(held(changed=NOW - 80 * HOUR, side=PositionSide.LONG), trades, NOW) == Episode(
        NOW - 80 * HOUR, exact=True
    )
    assert episode(held("-1", side=PositionSide.SHORT), trades, NOW) == Episode(NOW - HOUR, exact=True)


@pytest.mark.parametrize(
    ("oldest", "answer"), [(NOW - AGE_MS, Answer.FIRES), (NOW - AGE_MS + 1, Answer.UNKNOWN)]
)
def test_trades_that_do_not_reach_back_count_only_where_they_decide_alone(
    oldest: int, answer: Answer
) -> None:
    position = held("5", changed=oldest)
    found = episode(position, [trade(9, "1", oldest)], NOW)
    assert found == Episode(oldest, exact=False)
    assert age(position, found, NOW).answer is answer
    assert age(position, found, NOW).seen.startswith("at least ")


@pytest.mark.parametrize(
    ("changed", "trades", "why", "passing"),
    [
        (NOW - 90 * HOUR, [], "no trade of it", False),
        (NOW - 1_000, [], "no trade of it", True),
        # The list lags behind a position that was opened just now: the trades of the last one must not age this one.
        (NOW - 1_000, [trade(1, "1", NOW - 80 * HOUR)], "not among its trades yet", True),
        (NOW - 80 * HOUR, [trade(1, "1", NOW - 1_000)], "after it was read", True),
    ],
)
def test_trades_that_do_not_fit_the_position_say_no_age(
    changed: int, trades: list[Trade], why: str, *, passing: bool
) -> None:
    found = episode(held(changed=changed), trades, NOW)
    assert isinstance(found, Unclear)
    assert why in found.why
    assert found.passing is passing
    assert age(held(changed=changed), found, NOW).answer is Answer.UNKNOWN


@given(
    st.lists(st.tuples(st.integers(-5, 5).filter(bool), st.integers(1, 5 * HOUR)), min_size=1, max_size=12)
)
def test_walking_back_finds_the_opening_that_walking_forward_made(steps: list[tuple[int, int]]) -> None:
    at, amount, opened, trades = NOW - 100 * HOUR, 0, 0, []
    for number, (signed, later) in enumerate(steps):
        at += later
        before, amount = amount, amount + signed
        if before * amount <= 0:
            opened = at
        trades.append(trade(number, str(signed), at))
    if amount:
        found = episode(held(str(amount), changed=at, read=at), trades, at + SETTLED_MS)
        assert found == Episode(opened, exact=True)


# Margin ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("maintenance", "balance", "answer"),
    [
        ("85", "100", Answer.FIRES),
        ("84.99", "100", Answer.HOLDS),
        ("0", "100", Answer.HOLDS),
        ("1", "0", Answer.UNKNOWN),
        ("0", "0", Answer.UNKNOWN),
        ("10", "-1", Answer.UNKNOWN),
        ("-1", "100", Answer.UNKNOWN),
    ],
)
def test_the_margin_ratio_is_maintenance_through_balance(
    maintenance: str, balance: str, answer: Answer
) -> None:
    account = Margin(maintenance=Decimal(maintenance), balance=Decimal(balance), at=NOW)
    assert margin(account, NOW).answer is answer
    assert margin(account, NOW + FRESH_MS + 1).answer is Answer.UNKNOWN


# All three ---------------------------------------------------------------------------------------------------------


@given(
    AMOUNTS,
    st.decimals("-10", "1000", places=2),
    st.integers(NOW - 3 * FRESH_MS, NOW + 10_000),
    MARKS,
    MARGINS,
    st.builds(Episode, st.integers(NOW - 2 * AGE_MS, NOW), exact=st.booleans())
    | st.builds(Unclear, st.just("for a reason"), passing=st.booleans()),
)
def test_what_is_not_fresh_or_makes_no_sense_never_fires(
    amount: Decimal,
    entry: Decimal,
    read: int,
    price: Mark | None,
    account: Margin | None,
    since: Episode | Unclear,
) -> None:
    """Incident 75: every rule answers, and says why where it can't; one that can't never fires."""
    position = held(amount, entry, read=read)
    found = {one.rule: one for one in judge(position, price, since, account, NOW)}
    assert set(found) == set(Rule)
    assert all(bool(one.why) == (one.answer is Answer.UNKNOWN) for one in found.values())
    assert all(bool(one.seen) for one in found.values() if one.answer is not Answer.UNKNOWN)
    fresh = range(NOW - FRESH_MS, NOW + 2_001)
    if found[Rule.LOSS].answer is Answer.FIRES:
        assert price is not None
        assert price.price > 0
        assert entry > 0
        assert price.at in fresh
        assert read in fresh
    if found[Rule.AGE].answer is Answer.FIRES:
        assert isinstance(since, Episode)
        assert read in fresh
    if found[Rule.MARGIN].answer is Answer.FIRES:
        assert account is not None
        assert account.balance > 0
        assert account.at in fresh


def test_the_rules_are_the_design_s() -> None:
    assert (Decimal("-0.03"), 72 * HOUR, Decimal("0.85"), 3) == (LOSS, AGE_MS, MARGIN, TRIES)


# The close ---------------------------------------------------------------------------------------------------------


def breach(position: Position, number: int = 1, rule: Rule = Rule.LOSS) -> Breach:
    named = episode_name(position, Episode(NOW - HOUR, exact=True))
    assert named is not None
    return Breach(
        position=position, rule=rule, seen="-4.00 %", threshold="<= -3.00 %", episode=named, number=number
    )


@given(AMOUNTS, st.sampled_from(Rule), st.integers(1, TRIES))
def test_a_decision_of_it_is_a_full_close_and_can_be_nothing_else(
    amount: Decimal, rule: Rule, number: int
) -> None:
    found = decision_of(
        "paper:main", breach(held(amount), number, rule), EntryRef("s", "1-0"), NOW, Mode.PAPER
    )
    assert (found.fraction, found.quantity, found.verdict) == (Decimal(1), None, Verdict.CLOSE)
    assert found.approved
    assert found.expires_at == NOW + VALID_MS
    assert found.plan_id == planned_id(found)
    assert found.position_amt == amount
    assert isinstance(ACTIONS[ACTION], Closes)


def test_each_try_of_each_rule_and_episode_is_another_close_and_always_the_same_one() -> None:
    other = episode_name(held(), Episode(NOW - 2 * HOUR, exact=True))
    assert other is not None
    tries = [
        *(breach(held(), number, rule) for rule in Rule for number in (1, 2, 3)),
        msgspec.structs.replace(breach(held()), episode=other),
        breach(held(side=PositionSide.LONG)),
    ]
    names = [intent_id_of("paper:main", one) for one in tries]
    assert len(set(names)) == len(names)
    assert names == [intent_id_of("paper:main", one) for one in tries]
    assert intent_id_of("paper:main", breach(held(read=NOW, changed=NOW))) == names[0]


def test_an_episode_without_a_known_opening_is_named_by_what_funding_and_reductions_leave_alone() -> None:
    unknown = Unclear("the venue shows no trade of it", passing=False)
    name = episode_name(held("2"), unknown)
    assert name == episode_name(held("1", changed=NOW), unknown)
    assert name != episode_name(held("2", "101"), unknown)
    assert name != episode_name(held("-2"), unknown)
    assert episode_name(held(), Unclear("a moment", passing=True)) is None
