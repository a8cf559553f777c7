"""Klines at intervals: one symbol's failure is its own, and many symbols are read less often."""

import asyncio
from decimal import Decimal
from typing import Self

from sureclose.domain.harvest.klines import Kline
from sureclose.services.harvest.candles import AGAIN_S, BUDGET, Candles
from sureclose.venue.errors import VenueError

CANDLE = Kline(
    opened_at=0,
    open=Decimal(1),
    high=Decimal(1),
    low=Decimal(1),
    close=Decimal(1),
    closes_at=59_999,
)


class Source:
    """Fails for some symbols, and never answers for others."""

    def __init__(self) -> None:
        self.failing: set[str] = set()
        self.slow: set[str] = set()
        self.broken: set[str] = set()
        self.asked: list[tuple[str, str, int]] = []
        self.answered = asyncio.Event()

    async def klines(self, symbol: str, interval: str, limit: int) -> list[Kline]:
        self.asked.append((symbol, interval, limit))
        if symbol in self.slow:
            await asyncio.Event().wait()
        if symbol in self.failing:
            raise VenueError("no answer")
        if symbol in self.broken:
            raise KeyError(symbol)
        self.answered.set()
        return [CANDLE]


class Reading:
    """Candles at work, with a clock that the test moves."""

    def __init__(self, *symbols: str) -> None:
        self.now = 0.0
        self.open = frozenset(symbols)
        self.source = Source()
        self.candles = Candles(
            self.source, lambda: self.open, lambda: self.now, interval="1h", count=121, every_s=60
        )
        self._stop = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self.candles.run(self._stop))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stop.set()
        await self._task

    async def until_asked(self, count: int) -> None:
        async with asyncio.timeout(10):
            while len(self.source.asked) < count:
                await asyncio.sleep(0.01)


async def test_a_symbol_that_fails_or_never_answers_holds_up_no_other() -> None:
    async with Reading("AUSDT", "BUSDT", "CUSDT") as reading:
        reading.source.failing.add("AUSDT")
        reading.source.slow.add("BUSDT")
        await reading.until_asked(3)
        async with asyncio.timeout(10):
            await reading.source.answered.wait()
            while not reading.candles.of("CUSDT"):
                await asyncio.sleep(0.01)
        assert (reading.candles.of("AUSDT"), reading.candles.why("AUSDT")) == ([], "no answer")
        assert reading.candles.of("BUSDT") == []
        # What failed is asked again soon, what was answered is not, and what never answers is not asked twice.
        reading.source.failing.clear()
        reading.now = AGAIN_S + 1
        await reading.until_asked(4)
        assert [symbol for symbol, _, _ in reading.source.asked].count("BUSDT") == 1
        assert [symbol for symbol, _, _ in reading.source.asked].count("CUSDT") == 1
        assert set(reading.source.asked) == {(symbol, "1h", 121) for symbol in reading.open}
        # What is closed is forgotten.
        reading.open = frozenset()
        async with asyncio.timeout(10):
            while reading.candles.of("CUSDT"):
                await asyncio.sleep(0.01)


async def test_an_answer_that_breaks_the_reader_is_its_symbol_s_own() -> None:
    async with Reading("AUSDT", "BUSDT") as reading:
        reading.source.broken.add("AUSDT")
        async with asyncio.timeout(10):
            while not (reading.candles.of("BUSDT") and reading.candles.why("AUSDT")):
                await asyncio.sleep(0.01)
        assert "KeyError" in reading.candles.why("AUSDT")


def test_many_symbols_are_read_less_often_so_that_closes_have_room() -> None:
    few, many = Reading("AUSDT"), Reading(*(f"S{number}USDT" for number in range(600)))
    assert few.candles.every_s == 60
    assert 600 * 2 * 60 / many.candles.every_s == BUDGET
