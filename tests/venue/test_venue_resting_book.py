"""What the stream tells of resting orders, when it is not believed, and what sharpens the venue's clock."""

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
        self.book.check(rows, whole=whole, generation=self.book.generation)

    def listed(self, orders: list[RestingOrder], requested_at: int) -> None:
        self.resting.ask()
        self.resting.check(orders, requested_at)

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


def test_an_event_that_overtook_the_read_is_not_lost(stage: Stage) -> None:
    stage.book.take(event("2", NOW - 10))
    stage.read(row("1", NOW - 500, asked=NOW - 400))
    assert stage.told() == 2


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
    stage.listed([], NOW)
    assert stage.resting.has_none("BTCUSDT")
    stage.resting.take(update(1, "NEW"))
    assert not stage.resting.has_none("BTCUSDT")
    assert stage.resting.has_none("ETHUSDT")
    stage.resting.take(update(1, "CANCELED"))
    assert stage.resting.has_none("BTCUSDT")


def test_conditional_orders_count_and_number_apart(stage: Stage) -> None:
    stage.listed([resting(1, conditional=True)], NOW)
    stage.resting.take(update(1, "CANCELED"))
    assert not stage.resting.has_none("BTCUSDT")
    stage.resting.take(AlgoUpdate(symbol="BTCUSDT", algo_id=1, ended=True))
    assert stage.resting.has_none("BTCUSDT")


def test_a_list_with_an_order_that_was_never_told_ends_the_trust(stage: Stage) -> None:
    stage.listed([], NOW)
    stage.listed([resting(7, at=NOW - 200)], NOW)
    assert not stage.resting.has_none("BTCUSDT")
    assert stage.resting.has_none("ETHUSDT"), "its event may still be on its way"
    stage.listed([resting(8)], NOW)
    assert not stage.resting.has_none("ETHUSDT")
    stage.steady += DISTRUST_S
    assert not stage.resting.has_none("ETHUSDT"), "no list was read since"
    stage.listed([], NOW)
    assert stage.resting.has_none("ETHUSDT")


def test_what_a_list_does_not_show_any_more_is_gone(stage: Stage) -> None:
    stage.listed([resting(1)], NOW)
    stage.listed([], NOW)
    assert stage.resting.has_none("BTCUSDT"), "its end was not told"


def test_an_order_that_ends_while_the_list_is_read_is_no_lost_event(stage: Stage) -> None:
    stage.listed([], NOW)
    stage.resting.ask()
    stage.resting.take(update(1, "NEW"))
    stage.resting.take(update(1, "CANCELED"))
    stage.resting.check([resting(1)], NOW)
    assert stage.resting.has_none("BTCUSDT")


def test_a_list_that_was_begun_before_another_connection_says_nothing(stage: Stage) -> None:
    stage.resting.ask()
    stage.resting.forget()
    stage.resting.check([], NOW)
    assert not stage.resting.has_none("BTCUSDT")


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
