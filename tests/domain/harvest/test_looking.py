"""What reaches a policy: prices that have been compared with others of the same symbol, or the reason why they have not."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sureclose.domain.harvest.asking import ask
from sureclose.domain.harvest.klines import Kline
from sureclose.domain.harvest.limits import HOUR_MS, Limits
from sureclose.domain.harvest.looking import view_of
from sureclose.domain.harvest.policy import Condition, EpisodeState, NoDecision, Proposal, View
from sureclose.domain.harvest.reference import Reference
from sureclose.domain.market import Position
from sureclose.domain.safety import Mark
from tests.domain.harvest.views import ENTRY, NOW, episode, klines, position, undecided

CANDLES = klines([str(2400 + number % 5) for number in range(60)])
MARK = Mark(Decimal(2410), NOW - 100)
READ = position(mark_price=Decimal(2409))


def seen(
    at: Position = READ,
    mark: Mark | None = MARK,
    candles: list[Kline] = CANDLES,
    state: EpisodeState | None = None,
    **more: Any,
) -> View | NoDecision:
    return view_of(at, mark, candles, episode() if state is None else state, NOW, **more)


def looked(*args: Any, **more: Any) -> View:
    found = seen(*args, **more)
    assert isinstance(found, View), found
    return found


def doubts(found: View) -> list[Condition]:
    return [doubt.condition for doubt in found.doubts]


def test_what_is_as_it_should_be_is_seen_whole() -> None:
    found = looked()
    assert (found.mark, found.doubts) == (MARK, ())
    assert found.market is not None


@pytest.mark.parametrize(
    ("mark", "condition"),
    [
        (None, Condition.MARK_MISSING),
        (Mark(Decimal(2410), NOW - 12_001), Condition.MARK_STALE),
        (Mark(Decimal(2410), NOW + 2_001), Condition.MARK_STALE),
        (Mark(Decimal(0), NOW), Condition.MARK_ABSURD),
        (Mark(Decimal(-2410), NOW), Condition.MARK_ABSURD),
        (Mark(Decimal("NaN"), NOW), Condition.MARK_ABSURD),
        (Mark(Decimal("Infinity"), NOW), Condition.MARK_ABSURD),
        (Mark(Decimal("1e40"), NOW), Condition.MARK_ABSURD),
        (Mark(Decimal("24.10"), NOW), Condition.MARK_ABSURD),
        (Mark(Decimal(241000), NOW), Condition.MARK_ABSURD),
        (Mark(Decimal(2650), NOW), Condition.MARK_ABSURD),
        (Mark(Decimal(2189), NOW), Condition.MARK_ABSURD),
    ],
)
def test_a_mark_that_is_not_to_be_believed_is_not_seen(mark: Mark | None, condition: Condition) -> None:
    found = looked(mark=mark)
    assert found.mark is None
    assert doubts(found)[0] is condition
    assert undecided(ask(Reference(), found)).condition is condition


def test_the_mark_read_with_the_position_bounds_the_one_that_was_told() -> None:
    assert looked(mark=Mark(Decimal(2640), NOW)).mark is not None
    loose = Limits(mark_ratio=Decimal("1.2"))
    assert looked(mark=Mark(Decimal(2650), NOW), limits=loose).mark is not None


@pytest.mark.parametrize("unread", [position(), position(mark_price=Decimal(1), told=True)])
def test_without_a_mark_of_its_own_the_klines_bound_the_mark_and_nothing_says_which_is_wrong(
    unread: Position,
) -> None:
    assert looked(unread).doubts == ()
    found = looked(unread, Mark(Decimal(3100), NOW))
    assert (found.mark, found.market) == (None, None)
    assert doubts(found) == [Condition.MARK_ABSURD, Condition.KLINES_ABSURD]


def test_klines_of_another_symbol_are_refused_and_the_mark_is_not() -> None:
    found = looked(candles=klines([str(600 + number % 5) for number in range(60)]))
    assert (found.mark, found.market) == (MARK, None)
    assert doubts(found) == [Condition.KLINES_ABSURD]


def test_the_candle_that_is_forming_counts_for_that() -> None:
    forming = klines(["2404", "3100"], end=NOW + HOUR_MS)[-1:]
    assert doubts(looked(candles=[*CANDLES, *forming])) == [Condition.KLINES_ABSURD]


@pytest.mark.parametrize("entry", ["0", "-1", "NaN", "240", "24200"])
def test_with_an_entry_price_that_can_not_be_there_is_no_price_at_all(entry: str) -> None:
    found = looked(msgspec.structs.replace(READ, entry_price=Decimal(entry)))
    assert found.mark is None
    assert doubts(found) == [Condition.ENTRY_PRICE_ABSURD]


@pytest.mark.parametrize(
    ("changes", "condition"),
    [
        ({"amount": Decimal(0)}, Condition.POSITION_FLAT),
        ({"amount": Decimal("NaN")}, Condition.POSITION_ABSURD),
        ({"amount": Decimal("1e30")}, Condition.POSITION_ABSURD),
        ({"requested_at": NOW - 12_001}, Condition.POSITION_STALE),
        ({"requested_at": NOW + 2_001}, Condition.POSITION_STALE),
        ({"amount": Decimal(-1)}, Condition.EPISODE_UNCLEAR),
    ],
)
def test_of_a_position_that_is_none_nothing_is_seen(changes: dict[str, Any], condition: Condition) -> None:
    assert undecided(seen(msgspec.structs.replace(READ, **changes))).condition is condition


@pytest.mark.parametrize("distance", ["0", "-0.02", "1", "NaN"])
def test_a_stop_distance_that_is_none_is_no_decision(distance: str) -> None:
    found = undecided(seen(stop_distance=Decimal(distance)))
    assert found.condition is Condition.STOP_DISTANCE_ABSURD


def test_the_reference_proposes_on_one_side_what_it_does_on_the_other() -> None:
    for r, name in (("2", "rung-1"), ("-2", "hard-loss")):
        for amount in (1, -1):
            moved = ENTRY * (Decimal(r) * Decimal("0.02") + Decimal("0.001"))
            price = Mark(ENTRY + amount * moved, NOW)
            at = position(str(amount), mark_price=price.price)
            answer = ask(Reference(), looked(at, price, state=episode(str(amount))))
            assert isinstance(answer, Proposal)
            assert answer.name == name


NUMBERS = st.one_of(
    st.decimals(allow_nan=True, allow_infinity=True).filter(lambda number: not number.is_snan()),
    st.decimals("0.00000001", "100000", places=8),
    st.sampled_from(tuple(map(Decimal, ("0", "1", "-1", "2400", "1e-9999", "1e9999", "-0")))),
)
TIMES = st.sampled_from((NOW, NOW - 100, NOW - 100_000, NOW + 100_000, 0))


@settings(deadline=None)
@given(
    NUMBERS,
    NUMBERS,
    NUMBERS,
    NUMBERS,
    NUMBERS,
    TIMES,
    TIMES,
    st.sampled_from((CANDLES, [], CANDLES[:20])),
    NUMBERS,
)
def test_nothing_that_is_read_can_make_it_fail(
    amount: Decimal,
    entry: Decimal,
    read_mark: Decimal,
    price: Decimal,
    first: Decimal,
    read_at: int,
    told_at: int,
    candles: list[Kline],
    distance: Decimal,
) -> None:
    at = position(amount, entry_price=entry, mark_price=read_mark, requested_at=read_at)
    found = view_of(at, Mark(price, told_at), candles, episode(first), NOW, stop_distance=distance)
    answer = found if isinstance(found, NoDecision) else ask(Reference(), found)
    if isinstance(answer, NoDecision):
        assert answer.condition not in {Condition.POLICY_FAILED, Condition.POLICY_BROKE_CONTRACT}
    if isinstance(answer, Proposal):
        assert amount.is_finite()
        assert answer.quantity is None or 0 < answer.quantity <= abs(amount)
