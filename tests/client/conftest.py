"""The API's double, and clients of it."""

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from sureclose import AsyncClient, Client
from tests.client.double import TOKEN, Double, served

AT_ONCE = (0.0, 0.0, 0.0)
"""Three more tries, without pauses."""


@pytest.fixture
def double() -> Iterator[Double]:
    with served() as found:
        yield found


@pytest.fixture
def client(double: Double) -> Iterator[Client]:
    with Client(double.url, TOKEN, retries=AT_ONCE) as found:
        yield found


@pytest_asyncio.fixture
async def asynchronous(double: Double) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(double.url, TOKEN, retries=AT_ONCE) as found:
        yield found
