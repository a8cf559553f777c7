"""Complete lists out of bounded answers, whichever end of a full window the venue shows."""

from collections.abc import Iterator

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sureclose.venue import history
from sureclose.venue.errors import VenueIncomplete
from sureclose.venue.schemas import TradeRow
from tests.venue.venue_stubs import trade_row

START = 1_795_283_737_000


class Book:
    """Trades at a venue that answers at most a page, newest or oldest of a window first."""

    def __init__(self, times: list[int], *, newest: bool) -> None:
        self.rows = [trade(number, moment) for number, moment in enumerate(sorted(times), start=5000)]
        self.newest = newest
        self.reads = 0

    async def window(self, first: int, last: int) -> list[TradeRow]:
        self.reads += 1
        assert last - first < 7 * 86_400_000
        found = [row for row in self.rows if first <= row.time <= last]
        return found[-history.PAGE :] if self.newest else found[: history.PAGE]

    async def from_id(self, first: int, limit: int) -> list[TradeRow]:
        self.reads += 1
        return [row for row in self.rows if row.id >= first][:limit]

    async def instant(self, moment: int, page: list[TradeRow]) -> list[TradeRow]:
        return await history.trades_of_instant(self.from_id, moment, page)


def trade(number: int, moment: int) -> TradeRow:
    return msgspec.convert(trade_row(number, moment), TradeRow)


@pytest.fixture(autouse=True, scope="module")
def small_pages() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(history, "PAGE", 3)
        yield


bunches = st.lists(st.tuples(st.integers(0, 20 * 86_400_000), st.integers(1, 9)), max_size=8)


@given(bunches, st.booleans())
async def test_every_trade_is_found_however_they_lie(spread: list[tuple[int, int]], newest: bool) -> None:
    times = [START + offset for offset, count in spread for _ in range(count)]
    book = Book(times, newest=newest)
    found = await history.whole(book.window, START, START + 20 * 86_400_000, book.instant)
    assert sorted({row.id for row in found}) == [row.id for row in book.rows]


async def test_what_fits_takes_one_read() -> None:
    book = Book([START, START + 5], newest=True)
    assert len(await history.whole(book.window, START, START + 1000, book.instant)) == 2
    assert book.reads == 1


async def test_too_many_orders_of_one_millisecond_are_not_passed_off_as_all() -> None:
    book = Book([START] * 3, newest=True)
    with pytest.raises(VenueIncomplete):
        await history.whole(book.window, START, START + 1000, history.too_many)


async def test_trades_that_go_backwards_are_incomplete_rather_than_endless() -> None:
    async def stuck(_first: int, limit: int) -> list[TradeRow]:
        return [trade(number, START) for number in (1, 2, 3)][:limit]

    with pytest.raises(VenueIncomplete):
        await history.trades_of_instant(stuck, START, [trade(number, START) for number in (1, 2, 3)])


async def test_trades_that_vanish_meanwhile_are_incomplete() -> None:
    async def empty(_first: int, _limit: int) -> list[TradeRow]:
        return []

    with pytest.raises(VenueIncomplete):
        await history.trades_of_instant(empty, START, [trade(number, START) for number in (1, 2, 3)])
