"""What the stream tells of positions and resting orders, and when it is not believed."""

from decimal import Decimal

import pytest

from sureclose.domain.market import OrderReport, Position, RestingOrder
from sureclose.domain.words import PositionSide, Side
from sureclose.venue.book import DISTRUST_S, PositionBook
from sureclose.venue.clock import Sample, VenueClock
from sureclose.venue.resting_book import RestingBook
from sureclose.venue.stream_events import AccountUpdate, AlgoUpdate, OrderUpdate, StreamPosition

NOW = 1_700_000_000_000
FRESH_MS = 1_000


class Stage:
    """A book on clocks that a test sets; the venue's time is ``NOW`` when the steady clock says 100 s."""

    def __init__(self) -> None:
        self.steady = 100.0
        self.heard: float | None = 100.0
        clock = VenueClock(lambda: NOW, lambda: self.steady)
        clock.add([Sample(100.0, 100.0, NOW)])
        self.book = PositionBook(clock, lambda: self.steady, fresh_ms=FRESH_MS)
        self.book.follow(lambda: self.heard)
        self.resting = RestingBook(lambda: self.steady)

    def read(self, *rows: Position, whole: bool = True) -> None:
        self.book.check(rows, whole=whole)

    def told(self, side: PositionSide = PositionSide.BOTH) -> Decimal | None:
        position = self.book.position("BTCUSDT", side)
        return None if position is None else position.amount


@pytest.fixture
def stage() -> Stage:
    return Stage()


def row(
    amount: str, at: int = NOW - 5_000, *, asked: int = NOW, side: PositionSide = PositionSide.BOTH
) -> Position:
    return Position(
        symbol="BTCUSDT",
        position_side=side,
        amount=Decimal(amount),
        entry_price=Decimal(100),
        mark_price=Decimal(100),
        update_time=at,
        requested_at=asked,
    )


def event(amount: str, at: int) -> AccountUpdate:
    changed = StreamPosition(
        symbol="BTCUSDT", position_side=PositionSide.BOTH, amount=Decimal(amount), entry_price=Decimal(100)
    )
    return AccountUpdate(positions=(changed,), reason="ORDER", time=at, event_time=at)


def test_a_position_is_told_once_all_were_read_on_this_connection(stage: Stage) -> None:
    assert stage.told() is None
    stage.book.take(event("1", NOW - 10))
    assert stage.told() is None
    stage.read(row("1", NOW - 10))
    assert stage.told() == 1


def test_an_event_that_overtook_the_read_is_not_lost(stage: Stage) -> None:
    stage.book.take(event("2", NOW - 10))
    stage.read(row("1", NOW - 500, asked=NOW - 400))
    assert stage.told() == 2


def test_what_is_told_says_that_it_was_and_as_of_when(stage: Stage) -> None:
    stage.read(row("1"))
    stage.steady, stage.heard = 100.5, 100.2
    position = stage.book.position("BTCUSDT", PositionSide.BOTH)
    assert position is not None
    assert position.told
    assert NOW + 190 <= position.requested_at <= NOW + 200


def test_flat_is_never_told(stage: Stage) -> None:
    stage.read(row("0"))
    assert stage.told() is None
    stage.read(row("1"))
    stage.book.take(event("0", NOW + 1))
    assert stage.told() is None


def test_a_connection_not_heard_for_a_while_tells_nothing(stage: Stage) -> None:
    stage.read(row("1"))
    stage.steady = 101.001
    assert stage.told() is None
    stage.heard = None
    stage.steady = 100.0
    assert stage.told() is None


def test_a_new_connection_knows_nothing_of_the_old_one(stage: Stage) -> None:
    stage.read(row("1"))
    stage.book.forget()
    assert stage.told() is None


def test_a_read_that_shows_what_the_stream_kept_back_ends_the_trust(stage: Stage) -> None:
    stage.read(row("1"))
    stage.read(row("3", NOW - 1_500), whole=False)
    assert stage.told() is None
    stage.read(row("3", NOW - 1_500))
    assert stage.told() is None, "it is not believed for a while, whatever is read"
    stage.steady = stage.heard = 100.0 + DISTRUST_S
    assert stage.told() == 3


def test_a_read_of_what_is_still_on_its_way_is_taken_over(stage: Stage) -> None:
    stage.read(row("1"))
    stage.read(row("3", NOW - 200), whole=False)
    assert stage.told() == 3
    stage.book.take(event("3", NOW - 200))
    assert stage.told() == 3


def test_an_older_event_changes_nothing(stage: Stage) -> None:
    stage.read(row("3", NOW - 200))
    stage.book.take(event("1", NOW - 300))
    assert stage.told() == 3


def test_two_states_of_one_millisecond_are_both_forgotten(stage: Stage) -> None:
    stage.read(row("3", NOW - 200))
    stage.book.take(event("2", NOW - 200))
    assert stage.told() is None


def test_the_sides_of_a_hedge_account_are_told_apart(stage: Stage) -> None:
    stage.read(row("1", side=PositionSide.LONG), row("-2", side=PositionSide.SHORT))
    assert stage.told(PositionSide.LONG) == 1
    assert stage.told(PositionSide.SHORT) == -2
    assert stage.told() is None


# Resting orders ------------------------------------------------------------------------------------------------------


def resting(order_id: int, *, conditional: bool = False, at: int = NOW - 5_000) -> RestingOrder:
    return RestingOrder(
        order_id=order_id,
        client_order_id=f"o{order_id}",
        conditional=conditional,
        symbol="BTCUSDT",
        side=Side.SELL,
        position_side=PositionSide.BOTH,
        order_type="LIMIT",
        reduce_only=True,
        close_position=False,
        quantity=Decimal(1),
        price=Decimal(100),
        trigger_price=Decimal(0),
        time=at,
    )


def update(order_id: int, status: str) -> OrderUpdate:
    report = OrderReport(
        order_id=order_id,
        client_order_id=f"o{order_id}",
        symbol="BTCUSDT",
        side=Side.SELL,
        position_side=PositionSide.BOTH,
        status=status,
        order_type="LIMIT",
        reduce_only=True,
        orig_qty=Decimal(1),
        executed_qty=Decimal(0),
        update_time=NOW,
    )
    return OrderUpdate(report=report, trade=None, execution=status, event_time=NOW)


def test_nothing_rests_where_a_list_and_the_stream_say_so(stage: Stage) -> None:
    assert not stage.resting.has_none("BTCUSDT"), "no list was read yet"
    stage.resting.check([], NOW)
    assert stage.resting.has_none("BTCUSDT")
    stage.resting.take(update(1, "NEW"))
    assert not stage.resting.has_none("BTCUSDT")
    assert stage.resting.has_none("ETHUSDT")
    stage.resting.take(update(1, "CANCELED"))
    assert stage.resting.has_none("BTCUSDT")


def test_conditional_orders_count_and_number_apart(stage: Stage) -> None:
    stage.resting.check([resting(1, conditional=True)], NOW)
    stage.resting.take(update(1, "CANCELED"))
    assert not stage.resting.has_none("BTCUSDT")
    stage.resting.take(AlgoUpdate(symbol="BTCUSDT", algo_id=1, ended=True))
    assert stage.resting.has_none("BTCUSDT")


def test_a_list_with_an_order_that_was_never_told_ends_the_trust(stage: Stage) -> None:
    stage.resting.check([], NOW)
    stage.resting.check([resting(7, at=NOW - 200)], NOW)
    assert not stage.resting.has_none("BTCUSDT")
    assert stage.resting.has_none("ETHUSDT"), "its event may still be on its way"
    stage.resting.check([resting(8)], NOW)
    assert not stage.resting.has_none("ETHUSDT")
    stage.steady += DISTRUST_S
    assert not stage.resting.has_none("ETHUSDT"), "no list was read since"
    stage.resting.check([], NOW)
    assert stage.resting.has_none("ETHUSDT")


# The clock -----------------------------------------------------------------------------------------------------------


def test_a_stamp_of_the_venue_sharpens_the_clock_and_never_bends_it() -> None:
    steady = 100.0
    clock = VenueClock(lambda: NOW, lambda: steady)
    clock.reached(NOW)
    assert not clock.measured
    clock.add([Sample(99.98, 100.0, NOW)])
    assert clock.earliest() == NOW
    clock.reached(NOW + 9)
    assert clock.earliest() == NOW + 9
    before = clock.latest()
    clock.reached(NOW + 10_000)
    clock.reached(NOW - 10_000)
    assert (clock.earliest(), clock.latest()) == (NOW + 9, before)
