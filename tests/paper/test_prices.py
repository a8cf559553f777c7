from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from sureclose.paper.prices import Prices
from sureclose.paper.symbols import catalogue

CONTRACTS = catalogue(40, 1)


class Clock:
    now = 1_790_000_000_000

    def __call__(self) -> int:
        return self.now


def walk(seed: int, seconds: int) -> list[Decimal]:
    clock = Clock()
    prices = Prices(CONTRACTS, clock, seed, 100)
    seen = []
    for _ in range(seconds):
        seen.append(prices.mark("ETHUSDT"))
        clock.now += 1000
    return seen


def test_the_first_mark_is_the_pinned_price_even_off_the_tick() -> None:
    prices = Prices(CONTRACTS, Clock(), 1, 100)
    prices.pin("ETHUSDT", Decimal("2400.1234"))
    assert prices.mark("ETHUSDT") == Decimal("2400.1234")


def test_the_walk_moves_and_is_the_same_for_the_same_seed_only() -> None:
    assert walk(1, 60) == walk(1, 60) != walk(2, 60)
    assert len(set(walk(1, 60))) > 20


def test_reading_late_gives_the_same_path_as_reading_often() -> None:
    clock = Clock()
    prices = Prices(CONTRACTS, clock, 1, 100)
    prices.mark("ETHUSDT")
    clock.now += 59_000
    assert prices.mark("ETHUSDT") == walk(1, 60)[-1]


@given(gaps=st.lists(st.integers(0, 10**9), max_size=20), symbol=st.sampled_from(sorted(CONTRACTS)))
def test_prices_stay_on_the_tick_and_between_half_and_twice_and_the_quote_around_them(
    gaps: list[int], symbol: str
) -> None:
    clock = Clock()
    prices = Prices(CONTRACTS, clock, 3, 10_000)
    start, tick = prices.mark(symbol), CONTRACTS[symbol].tick
    for gap in gaps:
        clock.now += gap
        quote = prices.quote(symbol)
        assert start / 2 - tick <= quote.mark <= start * 2
        assert quote.mark % tick == quote.bid % tick == quote.ask % tick == 0
        assert 0 < quote.bid < quote.mark < quote.ask
