"""Reads: a failed one is never an empty answer."""

import asyncio
import hashlib
import hmac
import itertools
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import pytest
from structlog.testing import capture_logs

from sureclose.domain.words import PositionSide
from sureclose.venue.errors import VenueError, VenueIncomplete, VenueUnreachable
from sureclose.venue.port import AccountState
from sureclose.venue.rest import BinanceRest
from tests.venue.venue_stubs import (
    SECRET,
    Request,
    answering,
    by_path,
    client,
    http,
    market_order,
    order_row,
    position_row,
    raw_venue,
    trade_row,
)

BOTH = PositionSide.BOTH


READS: dict[str, Callable[[BinanceRest], Awaitable[Any]]] = {
    "order": lambda venue: venue.order("BTCUSDT", "sc-0123456789abcdef"),
    "orders_since": lambda venue: venue.orders_since("BTCUSDT", venue.clock.now()),
    "trades_of_order": lambda venue: venue.trades_of_order("BTCUSDT", 225),
    "trades_since": lambda venue: venue.trades_since("BTCUSDT", venue.clock.now()),
    "position": lambda venue: venue.position("BTCUSDT", BOTH),
    "positions": lambda venue: venue.positions(),
    "dual_side": lambda venue: venue.dual_side(),
    "account": lambda venue: venue.account(),
    "rules": lambda venue: venue.rules("BTCUSDT"),
    "create_listen_key": lambda venue: venue.create_listen_key(),
}

FAILURES = {
    "refused": http(400, {"code": -1102, "msg": "Mandatory parameter missing"}),
    "a key that is none": http(
        401, {"code": -2015, "msg": "Invalid API-key, IP, or permissions for action."}
    ),
    "404": http(404, ""),
    "HTML": http(502, "<html>"),
    "HTML of success": http(200, "<html>"),
    "null": http(200, "null"),
    "an empty body": http(200, ""),
    "a number": http(200, "5"),
    "an error of success": http(200, {"code": 0, "msg": "x"}),
    "a list of nothing known": http(200, [{}]),
    "not found, from a server in trouble": http(503, {"code": -2013, "msg": "Order does not exist."}),
    "elsewhere": http(302, "", Location="/"),
}


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize("failure", FAILURES)
async def test_a_failed_read_raises(read: str, failure: str) -> None:
    async with raw_venue(answering(FAILURES[failure])) as stub, client(stub.url) as venue:
        await venue.measure_clock()
        with pytest.raises(VenueError) as caught:
            await READS[read](venue)
    assert SECRET not in str(caught.value)
    assert "signature" not in str(caught.value)


@pytest.mark.parametrize("read", READS)
async def test_a_read_without_an_answer_raises_unreachable(read: str) -> None:
    async def stall(_request: Request, writer: asyncio.StreamWriter) -> bool:
        writer.write(http(200, [])[:-1])
        await asyncio.sleep(30)
        return False

    async with raw_venue(stall) as stub, client(stub.url, read_timeout_ms=80) as venue:
        await venue.measure_clock()
        with pytest.raises(VenueUnreachable):
            await READS[read](venue)


async def test_a_read_is_signed_as_it_is_sent() -> None:
    async with raw_venue(answering(http(200, order_row(symbol="币USDT")))) as stub, client(stub.url) as venue:
        await venue.order("币USDT", "sc-0123456789abcdef")
        request = stub.seen("GET", "/order")[0]
    payload, _, signature = request.query.rpartition("&signature=")
    assert signature == hmac.new(SECRET.encode(), payload.encode(), hashlib.sha256).hexdigest()
    assert request.values["recvWindow"] == "5000"
    assert request.body == b""


async def test_only_the_venues_own_not_found_is_none() -> None:
    missing = http(400, {"code": -2013, "msg": "Order does not exist."})
    async with raw_venue(answering(missing)) as stub, client(stub.url) as venue:
        assert await venue.order("BTCUSDT", "sc-1") is None


async def test_an_answer_about_another_order_is_no_answer() -> None:
    async with (
        raw_venue(answering(http(200, order_row(clientOrderId="web_x")))) as stub,
        client(stub.url) as venue,
    ):
        with pytest.raises(VenueUnreachable, match="another order"):
            await venue.order("BTCUSDT", "sc-1")


async def test_a_position_of_zero_is_a_row_that_says_so() -> None:
    async with (
        raw_venue(answering(http(200, [position_row(amount="0.000")]))) as stub,
        client(stub.url) as venue,
    ):
        await venue.measure_clock()
        before = venue.clock.earliest()
        position = await venue.position("BTCUSDT", BOTH)
        after = venue.clock.latest()
    assert position.amount == 0
    assert position.update_time == 1795283737916
    assert before <= position.requested_at <= after
    request = stub.seen("GET", "/positionRisk")[0]
    assert request.path == "/fapi/v2/positionRisk"
    assert request.values["symbol"] == "BTCUSDT"


@pytest.mark.parametrize("rows", [[], [position_row("ETHUSDT")], [position_row(positionSide="LONG")]])
async def test_a_missing_row_does_not_mean_flat(rows: list[dict[str, Any]]) -> None:
    async with raw_venue(answering(http(200, rows))) as stub, client(stub.url) as venue:
        with pytest.raises(VenueError, match="no BOTH row"):
            await venue.position("BTCUSDT", BOTH)


async def test_in_hedge_mode_each_side_is_its_own_position() -> None:
    rows = [
        position_row(positionSide="LONG", amount="0.5"),
        position_row(positionSide="SHORT", amount="-0.25"),
        position_row("ETHUSDT", "0"),
    ]
    async with raw_venue(answering(http(200, rows))) as stub, client(stub.url) as venue:
        assert (await venue.position("BTCUSDT", PositionSide.SHORT)).amount == Decimal("-0.25")
        assert [(row.position_side, row.amount) for row in await venue.positions()] == [
            (PositionSide.LONG, Decimal("0.5")),
            (PositionSide.SHORT, Decimal("-0.25")),
        ]


async def test_a_position_amount_that_is_no_number_is_unreadable() -> None:
    async with (
        raw_venue(answering(http(200, [position_row(amount="NaN")]))) as stub,
        client(stub.url) as venue,
    ):
        with pytest.raises(VenueUnreachable, match="unreadable"):
            await venue.position("BTCUSDT", BOTH)


async def test_the_mode_is_asked_once_and_again_after_a_refusal_for_it() -> None:
    routes = {
        "GET /fapi/v1/positionSide/dual": http(200, {"dualSidePosition": False}),
        "POST /fapi/v1/order": http(
            400, {"code": -4061, "msg": "Order's position side does not match user's setting."}
        ),
    }
    async with raw_venue(by_path(routes)) as stub, client(stub.url) as venue:
        assert await venue.dual_side() is False
        assert await venue.dual_side() is False
        assert len(stub.seen("GET", "/dual")) == 1
        await venue.place(market_order())
        routes["GET /fapi/v1/positionSide/dual"] = http(200, {"dualSidePosition": True})
        assert await venue.dual_side() is True


async def test_the_account_says_what_its_key_may_do() -> None:
    answer = http(
        200, {"feeTier": 0, "canTrade": True, "dualSidePosition": False, "multiAssetsMargin": False}
    )
    async with raw_venue(answering(answer)) as stub, client(stub.url) as venue:
        assert await venue.account() == AccountState(can_trade=True, dual_side=False, multi_assets=False)


async def test_a_ban_holds_for_every_read_and_says_how_long() -> None:
    ban = http(418, {"code": -1003, "msg": "banned"}, Retry_After="600")
    async with raw_venue(answering(ban)) as stub, client(stub.url) as venue:
        await venue.measure_clock()
        for read in READS.values():
            with pytest.raises(VenueError) as caught:
                await read(venue)
            assert caught.value.retry_after_ms > 590_000
        assert len([request for request in stub.requests if not request.path.endswith("/time")]) == 1


async def test_a_refused_timestamp_makes_the_next_read_measure_the_clock() -> None:
    late = http(400, {"code": -1021, "msg": "Timestamp for this request is outside of the recvWindow."})
    async with raw_venue(answering(late)) as stub, client(stub.url) as venue:
        with pytest.raises(VenueError, match="-1021"):
            await venue.dual_side()
        measured = len(stub.seen("GET", "/time"))
        with pytest.raises(VenueError, match="-1021"):
            await venue.dual_side()
        assert len(stub.seen("GET", "/time")) == measured + 1


async def test_a_venue_time_that_is_none_is_unreachable() -> None:
    async with raw_venue(answering(http(200, []))) as stub, client(stub.url) as venue:
        stub.time_offset_ms = -(10**13)
        with pytest.raises(VenueUnreachable, match="no time"):
            await venue.server_time()


async def test_the_server_time_is_the_venues_own() -> None:
    async with raw_venue(answering(http(200, []))) as stub, client(stub.url) as venue:
        stub.time_offset_ms = 3_600_000
        assert abs(await venue.server_time() - stub.now()) < 1000
        assert abs(venue.clock.skew_ms() - 3_600_000) < 1000


async def test_maintenance_measures_at_intervals_survives_failures_and_stops_at_once() -> None:
    async with raw_venue(answering(http(200, []))) as stub:
        url = stub.url
        async with client(url, clock_interval_ms=1) as venue:
            stop = asyncio.Event()
            task = asyncio.create_task(venue.maintain(stop))
            while len(stub.seen("GET", "/time")) < 3:
                await asyncio.sleep(0.001)
            stop.set()
            await task
    with capture_logs() as logs:
        async with client(url, clock_interval_ms=1) as venue:
            stop = asyncio.Event()
            task = asyncio.create_task(venue.maintain(stop))
            while not logs:
                await asyncio.sleep(0.001)
            stop.set()
            await task
    assert logs[0]["event"] == "venue_clock_not_measured"


async def test_closing_tells_those_who_wait() -> None:
    async def stall(_request: Request, _writer: asyncio.StreamWriter) -> bool:
        await asyncio.sleep(30)
        return False

    async with raw_venue(stall) as stub:
        async with client(stub.url, order_connections=1) as venue:
            await venue.measure_clock()
            slot = venue.order_slot()
            await slot.__aenter__()
            waiting = [
                asyncio.ensure_future(venue.position("BTCUSDT", BOTH)),
                asyncio.ensure_future(venue.order_slot().__aenter__()),
            ]
            while not stub.seen("GET", "/positionRisk"):
                await asyncio.sleep(0.001)
        for outcome in await asyncio.gather(*waiting, return_exceptions=True):
            assert isinstance(outcome, VenueUnreachable)
        await slot.__aexit__(None, None, None)
        with pytest.raises(VenueUnreachable):
            await venue.position("BTCUSDT", BOTH)


async def test_beyond_the_venues_memory_nothing_is_complete() -> None:
    async with raw_venue(answering(http(200, []))) as stub, client(stub.url) as venue:
        await venue.measure_clock()
        long_ago = venue.clock.now() - 91 * 86_400_000
        with pytest.raises(VenueIncomplete):
            await venue.orders_since("BTCUSDT", long_ago)
        with pytest.raises(VenueIncomplete):
            await venue.trades_since("BTCUSDT", long_ago)


async def test_a_month_is_asked_for_in_windows_of_less_than_seven_days_that_leave_no_gap() -> None:
    async with raw_venue(answering(http(200, []))) as stub, client(stub.url) as venue:
        await venue.measure_clock()
        start = venue.clock.now() - 30 * 86_400_000
        assert await venue.trades_since("BTCUSDT", start) == []
    asked = [
        (int(request.values["startTime"]), int(request.values["endTime"]))
        for request in stub.seen("GET", "/userTrades")
    ]
    assert asked[0][0] == start
    assert asked[-1][1] > stub.now()
    assert all(last - first < 7 * 86_400_000 for first, last in asked)
    assert all(after[0] == before[1] + 1 for before, after in itertools.pairwise(asked))


async def test_an_order_with_more_fills_than_a_page_is_found_whole_by_its_lifetime() -> None:
    async def serve(request: Request, writer: asyncio.StreamWriter) -> bool:
        values = request.values
        rows = [trade_row(1000 + n, began + n // 4, orderId=225 + n % 2) for n in range(2600)]
        if request.path.endswith("/order"):
            writer.write(
                http(200, order_row(orderId=225, time=began, updateTime=began + 650, executedQty="13.0"))
            )
        elif "orderId" in values:
            writer.write(http(200, [row for row in rows if row["orderId"] == 225][-1000:]))
        else:
            first, last = int(values["startTime"]), int(values["endTime"])
            writer.write(http(200, [row for row in rows if first <= row["time"] <= last][-1000:]))
        return True

    async with raw_venue(serve) as stub, client(stub.url) as venue:
        await venue.measure_clock()
        began = venue.clock.now() - 10_000
        trades = await venue.trades_of_order("BTCUSDT", 225)
    assert [trade.trade_id for trade in trades] == list(range(1000, 3600, 2))
    assert sum(trade.quantity for trade in trades) == Decimal(13)
