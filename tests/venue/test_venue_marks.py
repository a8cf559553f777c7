"""Mark prices and margin as the venue tells them: by its stream, and read."""

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal

import pytest

from sureclose.domain.safety import Mark
from sureclose.domain.words import Mode
from sureclose.paper.server import PaperExchange
from sureclose.paper.settings import PaperSettings
from sureclose.venue.environments import VenueSettings, strangers_to
from sureclose.venue.mark_stream import MarkStream, read_mark
from sureclose.venue.rest import BinanceRest
from sureclose.venue.secret import Credentials, Secret

PATIENCE_S = 10.0


@pytest.fixture
async def exchange() -> AsyncIterator[PaperExchange]:
    async with PaperExchange(PaperSettings(price_step_ppm=0)) as opened:
        yield opened


def settings(exchange: PaperExchange) -> VenueSettings:
    return VenueSettings(base_url=exchange.rest, stream_url=exchange.stream)


async def test_marks_are_heard_of_what_is_wanted_and_of_nothing_else(exchange: PaperExchange) -> None:
    exchange.desk.prices.pin("ETHUSDT", Decimal("2500.00"))
    wanted: set[str] = set()
    heard: dict[str, Mark] = {}
    stop, news = asyncio.Event(), asyncio.Event()

    def hear(symbol: str, price: Mark) -> None:
        heard[symbol] = price
        news.set()

    async def until(symbol: str) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while symbol not in heard:
                news.clear()
                await news.wait()

    stream = MarkStream(settings(exchange), lambda: frozenset(wanted), hear)
    running = asyncio.create_task(stream.run(stop))
    try:
        wanted.add("ETHUSDT")
        await until("ETHUSDT")
        assert heard["ETHUSDT"].price == Decimal("2500.00")
        assert abs(heard["ETHUSDT"].at - exchange.desk.clock()) < 5_000
        wanted.add("BTCUSDT")
        await until("BTCUSDT")
        assert set(heard) == {"ETHUSDT", "BTCUSDT"}
    finally:
        stop.set()
        await running


async def test_marks_and_margin_are_read_with_the_venue_s_own_time(exchange: PaperExchange) -> None:
    exchange.desk.prices.pin("ETHUSDT", Decimal("2500.00"))
    keys = Credentials(Secret(exchange.api_key), Secret(exchange.api_secret))
    async with BinanceRest(settings(exchange), keys) as venue:
        await venue.measure_clock()
        marks = await venue.marks()
        assert marks["ETHUSDT"].price == Decimal("2500.00")
        margin = await venue.margin()
        assert (margin.maintenance, margin.balance > 0) == (Decimal(0), True)
        for at in (marks["ETHUSDT"].at, margin.at):
            assert abs(at - venue.clock.now()) < 5_000


@pytest.mark.parametrize("frame", ["", "[]", '{"e":"markPriceUpdate","s":"X","p":"NaN"}', '{"p":true}'])
def test_a_frame_that_is_broken_is_no_price(frame: str) -> None:
    with pytest.raises(ValueError, match="mark price"):
        read_mark(frame)


def test_the_answer_to_a_subscription_is_no_price() -> None:
    assert read_mark('{"result":null,"id":1}') is None


@pytest.mark.parametrize(
    ("environment", "address", "strange"),
    [
        (Mode.LIVE, "", 0),
        (Mode.DEMO, "", 0),
        (Mode.DEMO, "https://testnet.binancefuture.com", 0),
        (Mode.LIVE, "https://gateway.example.com", 2),
        (Mode.DEMO, "https://gateway.example.com", 2),
        (Mode.PAPER, "http://127.0.0.1:9", 0),
        (Mode.DEMO, "http://127.0.0.1:9", 0),
        (Mode.LIVE, "http://127.0.0.1:9", 2),
    ],
)
def test_incident_65_what_acts_unattended_is_sure_of_its_addresses(
    environment: Mode, address: str, strange: int
) -> None:
    found = strangers_to(VenueSettings(environment=environment, base_url=address))
    assert len(found) == strange
    assert all("not known to be" in line for line in found)
