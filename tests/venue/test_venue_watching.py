"""A venue that can only be looked at: no request of it changes anything, whoever asks."""

import pytest

from sureclose.venue.endpoints import LISTEN_KEY, ORDER
from sureclose.venue.errors import VenueError
from sureclose.venue.port import NotSent, Purpose
from sureclose.venue.transport import NotConnected
from sureclose.venue.watching import WHY, WatchedRest
from tests.domain.test_blocked import TAKE
from tests.venue.venue_stubs import (
    CREDENTIALS,
    RawVenue,
    answering,
    http,
    market_order,
    order_row,
    position_row,
    raw_venue,
    settings,
)


def _only_gets(stub: RawVenue) -> None:
    assert {request.method for request in stub.requests} <= {"GET"}


async def test_an_order_is_certain_not_to_have_been_sent() -> None:
    async with (
        raw_venue(answering(http(200, order_row()))) as stub,
        WatchedRest(settings(stub.url), CREDENTIALS) as venue,
    ):
        answer = await venue.place(market_order())
        assert isinstance(answer, NotSent)
        assert WHY in answer.reason
        _only_gets(stub)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
async def test_no_other_method_reaches_the_network_by_any_way_through_the_client(method: str) -> None:
    async with (
        raw_venue(answering(http(200, order_row()))) as stub,
        WatchedRest(settings(stub.url), CREDENTIALS) as venue,
    ):
        client = venue._client
        with pytest.raises(VenueError):
            await venue.cancel(TAKE)
        with pytest.raises(VenueError):
            await client.read(ORDER, [("symbol", "BTCUSDT")], Purpose.CLOSE, method=method)
        with pytest.raises(VenueError):
            await client.unsigned(method, LISTEN_KEY)
        for pool in (client.orders, client.reads):
            with pytest.raises(NotConnected, match=WHY):
                await pool.request(method, ORDER.path)
            with pytest.raises(NotConnected, match=WHY):
                await pool.post_form(ORDER.path, b"symbol=BTCUSDT")
        _only_gets(stub)


async def test_reads_go_on_as_ever() -> None:
    rows = http(200, [position_row(amount="2")])
    async with (
        raw_venue(answering(rows, rows)) as stub,
        WatchedRest(settings(stub.url), CREDENTIALS) as venue,
    ):
        (held,) = await venue.positions()
        assert held.amount == 2
        _only_gets(stub)
