"""Candles by REST: in order, whole, and never an answer for a failure."""

from decimal import Decimal
from typing import Any

import pytest

from sureclose.paper.server import PaperExchange
from sureclose.paper.settings import PaperSettings
from sureclose.venue.environments import VenueSettings
from sureclose.venue.errors import VenueError, VenueUnreachable
from sureclose.venue.rest import BinanceRest
from sureclose.venue.secret import Credentials, Secret
from tests.venue.venue_stubs import answering, client, http, raw_venue

MINUTE = 60_000


def row(opened: int = 0, *prices: str) -> list[Any]:
    return [opened, *(prices or ("1", "2", "0.5", "1.5")), "0", opened + MINUTE - 1, "0", 0, "0", "0", "0"]


async def test_candles_are_read_oldest_first_and_weigh_little() -> None:
    async with PaperExchange(PaperSettings()) as exchange:
        keys = Credentials(Secret(exchange.api_key), Secret(exchange.api_secret))
        where = VenueSettings(base_url=exchange.rest, stream_url=exchange.stream)
        async with BinanceRest(where, keys) as venue:
            before = venue.limits.weight_used()
            found = await venue.klines("ETHUSDT", "1m", 99)
            assert len(found) == 99
            assert [one.opened_at for one in found] == sorted({one.opened_at for one in found})
            assert found[-1].closes_at >= exchange.desk.clock() - MINUTE
            assert found[-1].close == exchange.desk.prices.mark("ETHUSDT")
            assert venue.limits.weight_used() == (before or 0) + 1
            with pytest.raises(VenueError):
                await venue.klines("NOSUCHUSDT", "1m", 99)


@pytest.mark.parametrize(
    "rows",
    [
        [row(MINUTE), row(0)],
        [row(0), row(0)],
        [row(0), row(MINUTE), row(2 * MINUTE)],
        [row(0, "1", "NaN", "1", "1")],
        [row(0, "1", "1", "1", "0")],
        [row(0, "3", "2", "1", "1.5")],
        [row(0)[:6]],
        [[0, 1, 2, 1, 1, "0", MINUTE - 1]],
        [[0, "1", "2", "1", "1", "0", "59999"]],
        {"code": 0},
    ],
)
async def test_what_can_t_be_candles_is_no_answer(rows: Any) -> None:
    async with raw_venue(answering(http(200, rows))) as venue, client(venue.url) as rest:
        with pytest.raises(VenueUnreachable):
            await rest.klines("ETHUSDT", "1m", 2)


async def test_prices_are_decimals_as_they_were_sent() -> None:
    async with (
        raw_venue(answering(http(200, [row(0, "0.10", "0.30", "0.1", "0.2")]))) as venue,
        client(venue.url) as rest,
    ):
        [found] = await rest.klines("ETHUSDT", "1m", 2)
        assert (found.open, found.high, found.low, found.close) == (
            Decimal("0.10"),
            Decimal("0.30"),
            Decimal("0.1"),
            Decimal("0.2"),
        )
