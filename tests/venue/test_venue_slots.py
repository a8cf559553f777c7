"""Order slots, room for reads that close, and patience, seen from the client."""

import asyncio
import contextlib
import time
from typing import Any

import pytest

from sureclose.domain.market import Refusal
from sureclose.domain.words import PositionSide
from sureclose.venue.errors import Unanswered, VenueError, VenueUnreachable
from sureclose.venue.port import NotSent, Purpose
from tests.venue.venue_stubs import (
    Request,
    answering,
    by_path,
    client,
    http,
    market_order,
    order_row,
    position_row,
    raw_venue,
)

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


async def test_orders_that_wait_are_told_with_how_long_they_will() -> None:
    told = http(429, {"code": -1015, "msg": "Too many new orders"}, Retry_After="3")
    async with raw_venue(answering(told)) as stub, client(stub.url, order_connections=1) as venue:
        assert (venue.order_queue, venue.order_wait_ms()) == (0, 0)
        async with venue.order_slot():
            waiting = asyncio.create_task(_enter(venue.order_slot()))
            await asyncio.sleep(0)
            assert venue.order_queue == 1
            await venue.place(market_order())
            assert 2000 < venue.order_wait_ms() <= 3000
        waiting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await waiting
        assert venue.order_queue == 0


async def test_after_a_refusal_without_a_time_orders_are_not_repeated_before_a_wait_that_grows() -> None:
    refusal = http(429, {"code": -1003, "msg": "Too many requests"})
    steady = [100.0]
    async with raw_venue(answering(refusal)) as stub, client(stub.url, steady=lambda: steady[0]) as venue:
        for number, wait in enumerate((1000, 2000, 4000, 8000), start=1):
            assert isinstance(await venue.place(market_order()), Refusal)
            assert venue.order_wait_ms() == wait
            assert isinstance(await venue.place(market_order()), NotSent)
            assert len(stub.seen("POST")) == number
            steady[0] += wait / 1000


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, {"code": -1003, "msg": "Too many requests"}),
        (503, {"code": -1003, "msg": "Too many requests"}),
        (429, {"code": -1007, "msg": "Timeout"}),
    ],
)
async def test_the_venues_wish_is_heeded_whatever_the_answer_means_for_the_order(
    status: int, body: dict[str, Any]
) -> None:
    async with (
        raw_venue(answering(http(status, body, Retry_After="9"))) as stub,
        client(stub.url) as venue,
    ):
        assert isinstance(await venue.place(market_order()), Refusal | Unanswered)
        assert 8000 < venue.order_wait_ms() <= 9000


async def test_a_ban_that_an_order_met_holds_for_reads_and_one_that_a_read_met_for_orders() -> None:
    ban = http(418, {"code": -1003, "msg": "banned"}, Retry_After="600")
    async with raw_venue(answering(ban)) as stub, client(stub.url) as venue:
        await venue.measure_clock()
        await venue.place(market_order())
        with pytest.raises(VenueError):
            await venue.dual_side()
    async with raw_venue(answering(ban)) as stub, client(stub.url) as venue:
        with pytest.raises(VenueError) as caught:
            await venue.create_listen_key()
        assert caught.value.retry_after_ms == 600_000
        assert isinstance(await venue.place(market_order()), NotSent)
        assert len(stub.requests) == 1


SPENT = {
    "GET /fapi/v2/positionRisk": http(200, [position_row()], X_MBX_USED_WEIGHT_1M="2396"),
    "GET /fapi/v1/accountConfig": http(200, {"canTrade": True, "dualSidePosition": False}),
}


async def test_a_read_that_closes_waits_for_the_next_window_when_that_is_near() -> None:
    async with raw_venue(by_path(SPENT)) as stub, client(stub.url, read_timeout_ms=2000) as venue:
        stub.to_the_middle_of_a_minute()
        stub.time_offset_ms += 29_500  # half a second before the window ends
        await venue.measure_clock()
        await venue.position("BTCUSDT", PositionSide.BOTH)
        minute = stub.now() // 60_000
        await venue.position("BTCUSDT", PositionSide.BOTH)
        assert stub.now() // 60_000 == minute + 1
        assert len(stub.seen("GET", "/positionRisk")) == 2


async def test_a_read_that_closes_says_when_to_come_back_when_the_next_window_is_far() -> None:
    async with raw_venue(by_path(SPENT)) as stub, client(stub.url, read_timeout_ms=2000) as venue:
        stub.to_the_middle_of_a_minute()
        await venue.measure_clock()
        await venue.position("BTCUSDT", PositionSide.BOTH)
        with pytest.raises(VenueError) as caught:
            await venue.position("BTCUSDT", PositionSide.BOTH)
        assert 25_000 < caught.value.retry_after_ms <= 30_000
        assert len(stub.seen("GET", "/positionRisk")) == 1


async def test_reads_that_observe_and_get_no_answer_stand_before_no_read_that_closes() -> None:
    async def serve(request: Request, writer: asyncio.StreamWriter) -> bool:
        if request.path.endswith("/accountConfig"):
            await asyncio.sleep(30)
            return False
        writer.write(http(200, [position_row()]))
        return True

    async with raw_venue(serve) as stub, client(stub.url, read_connections=2) as venue:
        await venue.measure_clock()
        observing = [asyncio.create_task(venue.account()) for _ in range(20)]
        while not stub.seen("GET", "/accountConfig"):
            await asyncio.sleep(0.001)
        for _ in range(5):
            await asyncio.gather(*(venue.position("BTCUSDT", PositionSide.BOTH) for _ in range(10)))
        assert not any(task.done() for task in observing)
        assert len(stub.seen("GET", "/accountConfig")) == 1
        for task in observing:
            task.cancel()
        await asyncio.gather(*observing, return_exceptions=True)


async def test_many_reads_at_once_do_not_spend_more_than_the_budget() -> None:
    async def serve(request: Request, writer: asyncio.StreamWriter) -> bool:
        spent = 5 * len(stub.seen("GET", "/allOrders"))
        writer.write(http(200, [], X_MBX_USED_WEIGHT_1M=str(spent)))
        return True

    async with (
        raw_venue(serve) as stub,
        client(stub.url, weight_limit=100, read_timeout_ms=1000) as venue,
    ):
        stub.to_the_middle_of_a_minute()
        await venue.measure_clock()
        start = venue.clock.now()
        reads = (venue.orders_since("BTCUSDT", start, Purpose.CLOSE) for _ in range(50))
        outcomes = await asyncio.gather(*reads, return_exceptions=True)
        refused = [outcome for outcome in outcomes if isinstance(outcome, VenueError)]
        assert not any(isinstance(outcome, VenueUnreachable) for outcome in refused)
        assert 15 <= len(stub.seen("GET", "/allOrders")) <= 20
        assert len(refused) + len(stub.seen("GET", "/allOrders")) == 50
