"""Positions as the stream tells them: what may size an order, and what proves nothing."""

from decimal import Decimal

import pytest

from sureclose.domain.market import Position
from sureclose.domain.words import PositionSide
from sureclose.venue.book import DISTRUST_S, LATE_MS, PositionBook
from sureclose.venue.clock import Sample, VenueClock
from sureclose.venue.stream_events import AccountUpdate, StreamPosition

BOTH = PositionSide.BOTH
NOW = 1_700_000_000_000
FRESH_MS = 500


class Told:
    """A book that follows a stream which was just heard; its time is moved by the test, in seconds."""

    def __init__(self) -> None:
        self.at = 100.0
        self.heard_at: float | None = 100.0
        self.clock = VenueClock(lambda: NOW, self.seconds)
        self.clock.add([Sample(self.at, self.at, NOW)])
        self.book = PositionBook(self.clock, self.seconds, fresh_ms=FRESH_MS)
        self.book.follow(lambda: self.heard_at)
        self.book.check([row("3")], whole=True, generation=self.book.generation)

    def seconds(self) -> float:
        return self.at

    def amount(self) -> Decimal | None:
        found = self.book.position("BTCUSDT", BOTH)
        return None if found is None else found.amount

    def tell(self, amount: str, at: int = NOW) -> None:
        told = StreamPosition(
            symbol="BTCUSDT", position_side=BOTH, amount=Decimal(amount), entry_price=Decimal(1)
        )
        self.book.take(AccountUpdate(positions=(told,), reason="ORDER", time=at, event_time=at))


def row(amount: str, at: int = NOW - 5_000, requested_at: int = NOW) -> Position:
    return Position(
        symbol="BTCUSDT",
        position_side=BOTH,
        amount=Decimal(amount),
        entry_price=Decimal(1),
        mark_price=Decimal(1),
        update_time=at,
        requested_at=requested_at,
    )


@pytest.fixture
def told() -> Told:
    return Told()


def test_an_open_position_is_told_and_marked_as_told(told: Told) -> None:
    told.tell("2")
    found = told.book.position("BTCUSDT", BOTH)
    assert found is not None
    assert (found.amount, found.update_time, found.told) == (Decimal(2), NOW, True)
    assert found.requested_at <= NOW


def test_the_stream_never_proves_flat(told: Told) -> None:
    told.tell("0")
    assert told.amount() is None


def test_a_row_that_reads_zero_is_not_told_either(told: Told) -> None:
    told.book.check([row("0")], whole=True, generation=told.book.generation)
    assert told.amount() is None


def test_a_silent_stream_sizes_nothing(told: Told) -> None:
    told.at += FRESH_MS / 1000
    assert told.amount() == 3
    told.at += 0.001
    assert told.amount() is None


def test_without_a_connection_nothing_is_told(told: Told) -> None:
    told.heard_at = None
    assert told.amount() is None


def test_after_a_reconnect_nothing_is_told_before_all_positions_were_read(told: Told) -> None:
    told.book.forget()
    told.tell("2")
    assert told.amount() is None
    told.book.check([row("2")], whole=True, generation=told.book.generation)
    assert told.amount() == 2


def test_older_news_does_not_overtake_younger(told: Told) -> None:
    told.tell("2", NOW)
    told.tell("5", NOW - 1)
    assert told.amount() == 2


def test_two_states_of_one_millisecond_are_neither_believed(told: Told) -> None:
    told.tell("2")
    told.tell("1")
    assert told.amount() is None


def test_a_read_that_shows_what_the_stream_should_have_told_long_ago_ends_its_credit_for_a_while(
    told: Told,
) -> None:
    told.book.check(
        [row("1", at=NOW, requested_at=NOW + LATE_MS + 1)], whole=True, generation=told.book.generation
    )
    assert told.amount() is None
    told.book.check([row("1", at=NOW)], whole=True, generation=told.book.generation)
    assert told.amount() is None, "it was late once and may be again"
    told.at += DISTRUST_S
    told.heard_at = told.at
    assert told.amount() == 1


def test_a_read_that_is_only_a_little_ahead_of_the_stream_is_believed(told: Told) -> None:
    told.book.check(
        [row("1", at=NOW, requested_at=NOW + LATE_MS)], whole=True, generation=told.book.generation
    )
    assert told.amount() == 1


def test_a_read_that_was_begun_before_another_connection_says_nothing(told: Told) -> None:
    begun = told.book.generation
    told.book.forget()
    told.book.check([row("3")], whole=True, generation=begun)
    assert told.amount() is None
