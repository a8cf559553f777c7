"""Order slots and patience, seen from the client."""

import asyncio
import contextlib
import time

from sureclose.domain.market import Refusal
from sureclose.venue.port import NotSent
from tests.venue.venue_stubs import answering, client, http, market_order, order_row, raw_venue

GOOD = http(200, order_row())


async def test_a_venue_that_asks_for_patience_is_not_asked_again_before() -> None:
    refusal = http(429, {"code": -1003, "msg": "Too many requests"}, Retry_After="7")
    async with raw_venue(answering(refusal)) as stub, client(stub.url) as venue:
        first = await venue.place(market_order())
        second = await venue.place(market_order())
    assert isinstance(first, Refusal)
    assert first.retry_after_ms == 7000
    assert isinstance(second, NotSent)
    assert len(stub.requests) == 1


async def test_the_end_of_a_ban_is_read_from_its_message() -> None:
    until = time.time_ns() // 1_000_000 + 600_000
    ban = http(
        418,
        {
            "code": -1003,
            "msg": f"Way too many requests; IP(1.2.3.4) banned until {until}. Please use the websocket",
        },
    )
    async with raw_venue(answering(ban)) as stub, client(stub.url) as venue:
        refusal = await venue.place(market_order())
        assert isinstance(refusal, Refusal)
        assert 590_000 < refusal.retry_after_ms <= 600_000
        assert venue.limits.blocked_ms() > 590_000


async def test_orders_in_flight_are_bounded() -> None:
    async with raw_venue(answering(GOOD)) as stub, client(stub.url, order_connections=2) as venue:
        async with venue.order_slot(), venue.order_slot():
            waiting = asyncio.create_task(_enter(venue.order_slot()))
            await asyncio.sleep(0)
            assert not waiting.done()
        await waiting


async def _enter(slot: contextlib.AbstractAsyncContextManager[None]) -> None:
    async with slot:
        pass


async def test_a_refused_timestamp_makes_the_next_slot_measure_the_clock() -> None:
    late = http(400, {"code": -1021, "msg": "Timestamp for this request is outside of the recvWindow."})
    async with raw_venue(answering(late)) as stub, client(stub.url) as venue:
        async with venue.order_slot():
            await venue.place(market_order())
        measured = len(stub.seen("GET", "/time"))
        stub.time_offset_ms = 10_000
        async with venue.order_slot():
            assert len(stub.seen("GET", "/time")) == measured + 1
            assert abs(venue.clock.now() - stub.now()) < 500
