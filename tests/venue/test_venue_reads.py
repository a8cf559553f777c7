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

from sureclose.domain.market import RestingOrder
from sureclose.domain.words import PositionSide, Side
from sureclose.venue.errors import VenueError, VenueIncomplete, VenueUnreachable, WrongMode
from sureclose.venue.port import AccountState
from sureclose.venue.rest import BinanceRest
from tests.venue.venue_stubs import (
    SECRET,
    Request,
    algo_order_row,
    answering,
    by_path,
    client,
    http,
    market_order,
    open_order_row,
    order_row,
    position_row,
    raw_venue,
    trade_row,
)

BOTH = PositionSide.BOTH


RESTING = RestingOrder(
    order_id=8001,
    client_order_id="web_tp",
    conditional=False,
    symbol="BTCUSDT",
    side=Side.SELL,
    position_side=BOTH,
    order_type="LIMIT",
    reduce_only=True,
    close_position=False,
    quantity=Decimal("0.010"),
    price=Decimal("70000.0"),
    trigger_price=Decimal(0),
    time=1795283000000,
)
CONDITIONAL = RestingOrder(
    order_id=9001,
    client_order_id="web_sl",
    conditional=True,
    symbol="BTCUSDT",
    side=Side.SELL,
    position_side=BOTH,
    order_type="STOP_MARKET",
    reduce_only=True,
    close_position=True,
    quantity=Decimal(0),
    price=Decimal(0),
    trigger_price=Decimal("60000.0"),
    time=1795283000001,
)

READS: dict[str, Callable[[BinanceRest], Awaitable[Any]]] = {
    "order": lambda venue: venue.order("BTCUSDT", "sc-0123456789abcdef"),
    "orders_since": lambda venue: venue.orders_since("BTCUSDT", venue.clock.now()),
    "trades_of_order": lambda venue: venue.trades_of_order("BTCUSDT", 225),
    "trades_since": lambda venue: venue.trades_since("BTCUSDT", venue.clock.now()),
    "position": lambda venue: venue.position("BTCUSDT", BOTH),
    "positions": lambda venue: venue.positions(),
    "resting": lambda venue: venue.resting("BTCUSDT"),
    "cancel": lambda venue: venue.cancel(RESTING),
    "cancel a conditional one": lambda venue: venue.cancel(CONDITIONAL),
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


@pytest.mark.parametrize("rows", [[], [position_row("ETHUSDT")]])
async def test_a_missing_row_does_not_mean_flat(rows: list[dict[str, Any]]) -> None:
    async with raw_venue(answering(http(200, rows))) as stub, client(stub.url) as venue:
        with pytest.raises(VenueError, match="no BOTH row"):
            await venue.position("BTCUSDT", BOTH)


LONG_ZERO, SHORT_ZERO = position_row(positionSide="LONG"), position_row(positionSide="SHORT")


@pytest.mark.parametrize(
    ("side", "rows"),
    [
        (BOTH, [LONG_ZERO, SHORT_ZERO]),
        (BOTH, [position_row(), position_row(positionSide="LONG", amount="0.5"), SHORT_ZERO]),
        (BOTH, [position_row(positionSide="SHORT", amount="-0.5")]),
        (PositionSide.LONG, [position_row()]),
        (PositionSide.SHORT, [position_row(amount="0.5")]),
        (PositionSide.LONG, [position_row(amount="0.5"), LONG_ZERO, SHORT_ZERO]),
    ],
)
async def test_rows_of_the_other_mode_are_no_flat_position_and_the_mode_is_asked_again(
    side: PositionSide, rows: list[dict[str, Any]]
) -> None:
    routes = {
        "GET /fapi/v1/positionSide/dual": http(200, {"dualSidePosition": side is not BOTH}),
        "GET /fapi/v2/positionRisk": http(200, rows),
    }
    async with raw_venue(by_path(routes)) as stub, client(stub.url) as venue:
        assert await venue.dual_side() is (side is not BOTH)
        with pytest.raises(WrongMode, match="hedge mode") as caught:
            await venue.position("BTCUSDT", side)
        assert "mode" in caught.value.remedy
        routes["GET /fapi/v1/positionSide/dual"] = http(200, {"dualSidePosition": side is BOTH})
        assert await venue.dual_side() is (side is BOTH)
        assert len(stub.seen("GET", "/dual")) == 2


async def test_rows_of_both_modes_that_are_zero_contradict_nobody() -> None:
    rows = [position_row(), LONG_ZERO, SHORT_ZERO]
    routes = {
        "GET /fapi/v1/positionSide/dual": http(200, {"dualSidePosition": True}),
        "GET /fapi/v2/positionRisk": http(200, rows),
    }
    async with raw_venue(by_path(routes)) as stub, client(stub.url) as venue:
        for side in PositionSide:
            assert (await venue.position("BTCUSDT", side)).amount == 0


async def test_what_is_known_of_the_mode_is_what_the_venue_last_said() -> None:
    routes = {
        "GET /fapi/v1/positionSide/dual": http(200, {"dualSidePosition": True}),
        "POST /fapi/v1/order": http(400, {"code": -4061, "msg": "Order's position side does not match."}),
    }
    async with raw_venue(by_path(routes)) as stub, client(stub.url) as venue:
        known = [venue.known_dual_side]
        assert stub.requests == []
        await venue.dual_side()
        await venue.place(market_order())
        known.append(venue.known_dual_side)
        routes["GET /fapi/v1/positionSide/dual"] = http(200, {"dualSidePosition": False})
        await venue.dual_side()
        known.append(venue.known_dual_side)
    assert known == [False, True, False]


def lists(booked: list[dict[str, Any]], conditional: list[dict[str, Any]]) -> dict[str, bytes]:
    return {
        "GET /fapi/v1/openOrders": http(200, booked),
        "GET /fapi/v1/openAlgoOrders": http(200, conditional),
    }


async def test_what_rests_is_what_waits_in_the_book_and_what_waits_for_its_trigger() -> None:
    async with (
        raw_venue(by_path(lists([open_order_row()], [algo_order_row()]))) as stub,
        client(stub.url) as venue,
    ):
        assert await venue.resting("BTCUSDT") == [CONDITIONAL, RESTING]
    asked = [request for request in stub.requests if not request.path.endswith("/time")]
    # conditional ones first, so that one that triggers in between is in both lists, not in neither
    assert [request.path for request in asked] == ["/fapi/v1/openAlgoOrders", "/fapi/v1/openOrders"]
    assert {request.values["symbol"] for request in asked} == {"BTCUSDT"}


async def test_only_what_can_still_act_rests_and_what_is_open_of_it_counts() -> None:
    booked = [
        open_order_row(status="PARTIALLY_FILLED", executedQty="0.004"),
        open_order_row(orderId=8002, status="FILLED", executedQty="0.010"),
    ]
    ended = ["CANCELED", "TRIGGERED", "FINISHED", "REJECTED", "EXPIRED"]
    conditional = [
        *(algo_order_row(algoId=9100 + n, algoStatus=status) for n, status in enumerate(ended)),
        algo_order_row(algoStatus="TRIGGERING", closePosition=False, quantity="0.25", price="59000"),
        algo_order_row(algoId=9002, algoStatus="SOMETHING_NEW", quantity="0", price="", triggerPrice=None),
    ]
    async with raw_venue(by_path(lists(booked, conditional))) as stub, client(stub.url) as venue:
        rows = await venue.resting("BTCUSDT")
    assert [(row.order_id, row.quantity, row.price) for row in rows] == [
        (9001, Decimal("0.25"), Decimal(59000)),
        (9002, Decimal(0), Decimal(0)),
        (8001, Decimal("0.006"), Decimal(70000)),
    ]


@pytest.mark.parametrize(
    "routes",
    [
        lists([open_order_row()], []) | {"GET /fapi/v1/openAlgoOrders": http(502, "<html>")},
        lists([], [algo_order_row()]) | {"GET /fapi/v1/openOrders": http(503, {"code": -1000, "msg": "?"})},
        lists([], []) | {"GET /fapi/v1/openAlgoOrders": http(404, "")},
        lists([open_order_row(symbol="ETHUSDT")], []),
        lists([], [algo_order_row(symbol="ETHUSDT")]),
        lists([open_order_row(price="NaN")], []),
        lists([], [algo_order_row(quantity="much")]),
        lists([], [algo_order_row(triggerPrice="-1")]),
        lists([], [algo_order_row(side="CLOSE")]),
    ],
)
async def test_half_a_list_of_what_rests_is_none(routes: dict[str, bytes]) -> None:
    async with raw_venue(by_path(routes)) as stub, client(stub.url) as venue:
        with pytest.raises(VenueError):
            await venue.resting("BTCUSDT")


@pytest.mark.parametrize(
    ("order", "path", "name", "answer"),
    [
        (RESTING, "/fapi/v1/order", "orderId", open_order_row(status="CANCELED")),
        (
            CONDITIONAL,
            "/fapi/v1/algoOrder",
            "algoId",
            {"algoId": 9001, "clientAlgoId": "web_sl", "code": "200", "msg": "success"},
        ),
    ],
)
async def test_an_order_is_cancelled_where_it_lives_and_one_that_is_gone_is_no_error(
    order: RestingOrder, path: str, name: str, answer: dict[str, Any]
) -> None:
    gone = http(400, {"code": -2011, "msg": "Unknown order sent."})
    async with raw_venue(answering(http(200, answer), gone)) as stub, client(stub.url) as venue:
        await venue.cancel(order)
        await venue.cancel(order)
        request, _ = stub.seen("DELETE")
        assert (request.path, request.body) == (path, b"")
        assert (request.values["symbol"], request.values[name]) == ("BTCUSDT", str(order.order_id))
        payload, _, signature = request.query.rpartition("&signature=")
        assert signature == hmac.new(SECRET.encode(), payload.encode(), hashlib.sha256).hexdigest()


@pytest.mark.parametrize("order", [RESTING, CONDITIONAL])
@pytest.mark.parametrize(
    "answer",
    [
        http(200, open_order_row(orderId=7, algoId=7)),
        http(503, {"code": -2011, "msg": "Unknown order sent."}),
        http(400, {"code": -1102, "msg": "?"}),
        http(200, {}),
    ],
)
async def test_whatever_does_not_say_that_this_order_is_cancelled_raises(
    order: RestingOrder, answer: bytes
) -> None:
    async with raw_venue(answering(answer)) as stub, client(stub.url) as venue:
        with pytest.raises(VenueError):
            await venue.cancel(order)


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
