from collections.abc import AsyncIterator
from decimal import Decimal

import aiohttp
import pytest

from sureclose.paper import PaperExchange, PaperSettings, SeedPosition

from .bare import Bare, bare

LONG_ETH = SeedPosition("ETHUSDT", Decimal("0.5"), Decimal(2400))
SHORT_BTC = SeedPosition("BTCUSDT", Decimal("-0.01"), Decimal(65000))


@pytest.fixture
def settings() -> PaperSettings:
    """Prices hold still; a module that wants otherwise overrides this."""
    return PaperSettings(positions=(LONG_ETH, SHORT_BTC), price_step_ppm=0)


@pytest.fixture
async def exchange(settings: PaperSettings) -> AsyncIterator[PaperExchange]:
    async with PaperExchange(settings) as running:
        yield running


@pytest.fixture
async def client(exchange: PaperExchange) -> AsyncIterator[Bare]:
    async with aiohttp.ClientSession() as session:
        yield bare(session, exchange)
