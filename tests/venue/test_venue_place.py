"""One order, one request, and whatever can be proven about it: against real sockets that misbehave."""

import asyncio
import hashlib
import hmac
from decimal import Decimal

import aiohttp.client
import pytest

from sureclose.domain.market import Class, OrderReport, Refusal
from sureclose.domain.words import PositionSide, Side
from sureclose.venue.errors import Unanswered, VenueUnreachable
from sureclose.venue.port import NotSent
from tests.venue.venue_stubs import (
    KEY,
    SECRET,
    Behaviour,
    Request,
    answering,
    client,
    http,
    market_order,
    order_row,
    raw_venue,
)

UNKNOWN_503 = "Unknown error, please check your request or try again later."
GOOD = http(200, order_row())


def writing(*pieces: bytes, keep: bool = False) -> Behaviour:
    async def behaviour(_request: Request, writer: asyncio.StreamWriter) -> bool:
        for piece in pieces:
            writer.write(piece)
        await writer.drain()
        return keep

    return behaviour


async def reset(_request: Request, writer: asyncio.StreamWriter) -> bool:
    writer.transport.abort()
    return False


async def test_an_order_is_one_signed_form_that_reduces_and_carries_its_own_timestamp() -> None:
    order = market_order(timestamp=1795283737000)
    async with raw_venue(answering(GOOD)) as stub, client(stub.url) as venue:
        await venue.place(order)
    (request,) = stub.requests
    payload, _, signature = request.body.decode().rpartition("&signature=")
    assert (request.method, request.path, request.query) == ("POST", "/fapi/v1/order", "")
    assert payload == (
        "symbol=BTCUSDT&side=SELL&positionSide=BOTH&type=MARKET&quantity=0.010&reduceOnly=true"
        "&newClientOrderId=sc-0123456789abcdef&newOrderRespType=RESULT&recvWindow=2000&timestamp=1795283737000"
    )
    assert signature == hmac.new(SECRET.encode(), payload.encode(), hashlib.sha256).hexdigest()
    assert request.headers["x-mbx-apikey"] == KEY
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"


@pytest.mark.parametrize(
    ("side", "position_side"), [(Side.SELL, PositionSide.LONG), (Side.BUY, PositionSide.SHORT)]
)
async def test_in_hedge_mode_the_side_reduces_and_the_flag_is_left_out(
    side: Side, position_side: PositionSide
) -> None:
    order = market_order(side=side, position_side=position_side)
    answer = http(200, order_row(side=side.value, positionSide=position_side.value, reduceOnly=False))
    async with raw_venue(answering(answer)) as stub, client(stub.url) as venue:
        report = await venue.place(order)
    assert isinstance(report, OrderReport)
    assert "reduceOnly" not in stub.requests[0].values
    assert stub.requests[0].values["positionSide"] == position_side.value


async def test_with_a_price_it_is_a_limit_order_that_never_rests_and_still_reduces() -> None:
    order = market_order(timestamp=1795283737000, limit_price=Decimal("6.43E+4"))
    async with raw_venue(answering(GOOD)) as stub, client(stub.url) as venue:
        await venue.place(order)
    assert stub.requests[0].body.decode().rpartition("&signature=")[0] == (
        "symbol=BTCUSDT&side=SELL&positionSide=BOTH&type=LIMIT&timeInForce=IOC&quantity=0.010&price=64300"
        "&reduceOnly=true&newClientOrderId=sc-0123456789abcdef&newOrderRespType=RESULT&recvWindow=2000"
        "&timestamp=1795283737000"
    )


async def test_with_a_price_in_hedge_mode_the_side_reduces() -> None:
    order = market_order(side=Side.BUY, position_side=PositionSide.SHORT, limit_price=Decimal("65000.1"))
    async with raw_venue(answering(GOOD)) as stub, client(stub.url) as venue:
        await venue.place(order)
    values = stub.requests[0].values
    assert "reduceOnly" not in values
    assert (values["side"], values["positionSide"], values["price"]) == ("BUY", "SHORT", "65000.1")
    with pytest.raises(ValueError):
        market_order(side=Side.SELL, position_side=PositionSide.SHORT, limit_price=Decimal("65000.1"))


async def test_nothing_goes_over_the_network_between_the_order_and_its_post() -> None:
    async with raw_venue(answering(GOOD)) as stub, client(stub.url) as venue:
        venue.clock.doubt()
        await venue.place(market_order())
        assert [(request.method, request.path) for request in stub.requests] == [("POST", "/fapi/v1/order")]


async def test_maintenance_keeps_connections_open_that_orders_at_once_then_use() -> None:
    async with raw_venue(answering(http(200, {}))) as stub, client(stub.url, warm_connections=3) as venue:
        stop = asyncio.Event()
        task = asyncio.create_task(venue.maintain(stop))
        while len(stub.seen("GET", "/ping")) < 3:
            await asyncio.sleep(0.001)
        stop.set()
        await task
        assert stub.connections == 3
        await asyncio.gather(*(venue.place(market_order(client_order_id=f"sc-{n}")) for n in range(3)))
        assert len(stub.seen("POST")) == 3
        assert stub.connections == 3


async def test_pings_leave_scarce_weight_to_others() -> None:
    told = http(200, {}, X_MBX_USED_WEIGHT_1M="1990")
    async with raw_venue(answering(told)) as stub, client(stub.url, clock_interval_ms=1) as venue:
        stub.to_the_middle_of_a_minute()
        await venue.measure_clock()
        await venue.place(market_order())
        measured = len(stub.seen("GET", "/time"))
        stop = asyncio.Event()
        task = asyncio.create_task(venue.maintain(stop))
        while len(stub.seen("GET", "/time")) < measured + 3:
            await asyncio.sleep(0.001)
        stop.set()
        await task
        assert stub.seen("GET", "/ping") == []


@pytest.mark.parametrize(
    "changes",
    [
        {"limit_price": Decimal(0)},
        {"limit_price": Decimal(-1)},
        {"limit_price": Decimal("NaN")},
        {"limit_price": Decimal("Infinity")},
        {"side": Side.BUY, "position_side": PositionSide.LONG},
        {"side": Side.SELL, "position_side": PositionSide.SHORT},
        {"quantity": Decimal(0)},
        {"quantity": Decimal(-1)},
        {"quantity": Decimal("NaN")},
        {"client_order_id": "a:b"},
        {"client_order_id": "x" * 37},
        {"client_order_id": ""},
        {"recv_window": 60001},
        {"recv_window": 0},
        {"timestamp": 0},
        {"symbol": ""},
    ],
)
def test_an_order_that_could_not_reduce_can_not_be_written_down(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        market_order(**changes)


async def test_no_quantity_reaches_the_wire_with_an_exponent() -> None:
    async with raw_venue(answering(GOOD)) as stub, client(stub.url) as venue:
        await venue.place(market_order(quantity=Decimal("1E-7")))
        await venue.place(market_order(quantity=Decimal("1E+3")))
    assert [request.values["quantity"] for request in stub.requests] == ["0.0000001", "1000"]


async def test_a_symbol_outside_ascii_is_signed_as_it_is_sent() -> None:
    order = market_order(symbol="币安人生USDT")
    async with (
        raw_venue(answering(http(200, order_row(symbol="币安人生USDT")))) as stub,
        client(stub.url) as venue,
    ):
        assert isinstance(await venue.place(order), OrderReport)
    payload, _, signature = stub.requests[0].body.decode("ascii").rpartition("&signature=")
    assert signature == hmac.new(SECRET.encode(), payload.encode(), hashlib.sha256).hexdigest()
    assert stub.requests[0].values["symbol"] == "币安人生USDT"


@pytest.mark.parametrize(
    "extra", [{}, {"avgPrice": "65000.1", "cumQuote": "650.001", "somethingNew": {"a": 1}}]
)
async def test_an_accepted_order_is_reported_with_and_without_its_average_price(
    extra: dict[str, object],
) -> None:
    async with raw_venue(answering(http(200, order_row(**extra)))) as stub, client(stub.url) as venue:
        report = await venue.place(market_order())
    assert report == OrderReport(
        order_id=22542179,
        client_order_id="sc-0123456789abcdef",
        symbol="BTCUSDT",
        side=Side.SELL,
        position_side=PositionSide.BOTH,
        status="FILLED",
        order_type="MARKET",
        reduce_only=True,
        orig_qty=Decimal("0.010"),
        executed_qty=Decimal("0.010"),
        update_time=1795283737916,
    )


async def test_executed_quantity_is_exact_to_the_last_digit() -> None:
    row = order_row(executedQty="0.1000000000000000055511151231257827")
    async with raw_venue(answering(http(200, row))) as stub, client(stub.url) as venue:
        report = await venue.place(market_order())
    assert isinstance(report, OrderReport)
    assert str(report.executed_qty) == "0.1000000000000000055511151231257827"


UNKNOWN: dict[str, Behaviour] = {
    "closed without an answer": writing(),
    "reset": reset,
    "cut inside the status line": writing(b"HTTP/1.1 2"),
    "cut inside the headers": writing(b"HTTP/1.1 200 OK\r\nContent-Le"),
    "cut inside the body": writing(GOOD[:-40]),
    "cut inside a refusal": writing(http(400, {"code": -2022, "msg": "ReduceOnly"})[:-4]),
    "cut inside a chunk": writing(b"HTTP/1.1 400 X\r\nTransfer-Encoding: chunked\r\n\r\n40\r\n" + b'{"code":-2022,"msg":"a"}'),
    "an unframed refusal cut short": writing(b"HTTP/1.1 400 X\r\nConnection: close\r\n\r\n" + b'{"code":-2022,"ms'),
    "not HTTP": writing(b"\x00\x16\x03 hello\r\n\r\n"),
    "an informational answer and the end": writing(b"HTTP/1.1 100 Continue\r\n\r\n"),
    "an oversized body": writing(http(200, b" " * 2_000_000)),
    "an endless header": writing(b"HTTP/1.1 200 OK\r\nX: " + b"a" * 100_000),
    "a false gzip": writing(http(400, b"no gzip", Content_Encoding="gzip")),
    "HTML, 502": writing(http(502, "<html>Bad Gateway</html>")),
    "HTML, 403": writing(http(403, "<html>Request blocked</html>")),
    "HTML, 200": writing(http(200, "<html>Welcome</html>")),
    "408": writing(http(408, {"code": -1007, "msg": "Timeout waiting for response from backend server."})),
    "408 with a definite code": writing(http(408, {"code": -2022, "msg": "?"})),
    "503 A": writing(http(503, {"code": -1000, "msg": UNKNOWN_503})),
    "503 A, plain": writing(http(503, UNKNOWN_503)),
    "503 C": writing(http(503, {"code": -1001, "msg": "Internal error; unable to process your request. Please try again."})),
    "503 B": writing(http(503, "Service Unavailable.")),
    "503 D": writing(http(503, {"code": -1008, "msg": "Request throttled by system-level protection."})),
    "503 with a definite code": writing(http(503, {"code": -2022, "msg": "?"})),
    "504 with a limit": writing(http(504, {"code": -1015, "msg": "Too many new orders"})),
    "503 of a proxy": writing(http(503, "Service Unavailable")),
    "500 with a definite code": writing(http(500, {"code": -2022, "msg": "?"})),
    "400 unknown code": writing(http(400, {"code": -7777, "msg": "new"})),
    "400 without a code": writing(http(400, {"msg": "no"})),
    "400 -1006": writing(http(400, {"code": -1006, "msg": "unexpected response"})),
    "400 -4116": writing(http(400, {"code": -4116, "msg": "ClientOrderId is duplicated."})),
    "451": writing(http(451, {"code": 0, "msg": "Service unavailable from a restricted location"})),
    "200 empty": writing(http(200, "")),
    "200 null": writing(http(200, "null")),
    "200 a list": writing(http(200, [order_row()])),
    "200 a refusal": writing(http(200, {"code": -2022, "msg": "ReduceOnly Order is rejected."})),
    "200 another order": writing(http(200, order_row(clientOrderId="sc-other"))),
    "200 another symbol": writing(http(200, order_row(symbol="ETHUSDT"))),
    "200 another side": writing(http(200, order_row(side="BUY"))),
    "200 no number": writing(http(200, order_row(executedQty="NaN"))),
    "200 less than nothing": writing(http(200, order_row(executedQty="-1"))),
    "200 not UTF-8": writing(http(200, b'{"orderId":\xff}')),
    "200 too deep": writing(http(200, "[" * 100_000)),
    "204": writing(http(204, "")),
    "302": writing(http(302, "", Location="/fapi/v1/order")),
}  # fmt: skip


@pytest.mark.parametrize("name", UNKNOWN)
async def test_whatever_proves_nothing_is_unanswered_and_asked_once(name: str) -> None:
    async with raw_venue(UNKNOWN[name]) as stub, client(stub.url) as venue:
        await venue.measure_clock()  # the connection is a kept one, as in real life
        answer = await venue.place(market_order())
    assert isinstance(answer, Unanswered), answer
    assert answer.reason
    assert len(stub.seen("POST")) == 1
    assert SECRET not in repr(answer)
    assert KEY not in repr(answer)


async def test_a_venue_that_stalls_is_unanswered_when_the_time_is_up() -> None:
    stalled = asyncio.Event()

    async def stall(_request: Request, writer: asyncio.StreamWriter) -> bool:
        writer.write(GOOD[:30])
        stalled.set()
        await asyncio.sleep(30)
        return False

    async with raw_venue(stall) as stub, client(stub.url, order_timeout_ms=100) as venue:
        answer = await venue.place(market_order())
        assert stalled.is_set()
    assert answer == Unanswered(reason="no answer within 100 ms")
    assert len(stub.requests) == 1


async def test_a_throttle_that_must_not_meet_us_is_unknown_and_keeps_its_code_for_the_alarm() -> None:
    throttled = http(503, {"code": -1008, "msg": "Request throttled by system-level protection."})
    async with raw_venue(answering(throttled)) as stub, client(stub.url) as venue:
        answer = await venue.place(market_order())
    assert isinstance(answer, Unanswered)
    assert (answer.http_status, answer.code) == (503, -1008)


REFUSALS = [
    (400, {"code": -2022, "msg": "ReduceOnly Order is rejected."}, Class.FLAT_CHECK),
    (400, {"code": -1021, "msg": "Timestamp for this request is outside of the recvWindow."}, Class.RETRY),
    (400, {"code": -5028, "msg": "Timestamp for this request is outside of the ME recvWindow."}, Class.RETRY),
    (400, {"code": -4005, "msg": "Quantity greater than max quantity."}, Class.RETRY),
    (400, {"code": -4164, "msg": "Order's notional must be no smaller than 5"}, Class.FIX),
    (400, {"code": -1106, "msg": "Parameter 'reduceonly' sent when not required."}, Class.RETRY),
    (400, {"code": -1106, "msg": "Parameter 'price' sent when not required."}, Class.FIX),
    (401, {"code": -2015, "msg": "Invalid API-key, IP, or permissions for action."}, Class.ESCALATE),
    (400, {"code": -1008, "msg": "Request throttled by system-level protection."}, Class.RETRY),
    (
        400,
        {"code": -4131, "msg": "The counterparty's best price does not meet the PERCENT_PRICE filter limit"},
        Class.RETRY,
    ),
    (429, {"code": -1015, "msg": "Too many new orders"}, Class.WAIT),
    (429, "slow down", Class.WAIT),
]


@pytest.mark.parametrize(("status", "body", "kind"), REFUSALS)
async def test_a_proven_refusal_is_a_refusal(status: int, body: dict[str, object] | str, kind: Class) -> None:
    async with raw_venue(answering(http(status, body))) as stub, client(stub.url) as venue:
        answer = await venue.place(market_order())
    assert isinstance(answer, Refusal)
    assert (answer.kind, answer.http_status) == (kind, status)
    assert answer.code == (body["code"] if isinstance(body, dict) else None)


async def test_where_nobody_listens_nothing_was_sent() -> None:
    async with raw_venue(answering(GOOD)) as stub:
        url = stub.url
    async with client(url) as venue:
        answer = await venue.place(market_order())
    assert isinstance(answer, NotSent)
    assert "ClientConnectorError" in answer.reason


async def test_where_the_name_is_unknown_nothing_was_sent() -> None:
    async with client("http://venue.invalid") as venue:
        assert isinstance(await venue.place(market_order()), NotSent)


async def test_where_tls_fails_nothing_was_sent() -> None:
    async def no_tls(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example.com ESMTP\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(no_tls, "127.0.0.1", 0)
    async with server, client(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}") as venue:
        assert isinstance(await venue.place(market_order()), NotSent)


async def test_where_tls_stalls_nothing_was_sent() -> None:
    async with (
        raw_venue(answering(GOOD)) as stub,
        client(stub.url.replace("http:", "https:"), connect_timeout_ms=50) as venue,
    ):
        assert isinstance(await venue.place(market_order()), NotSent)
        assert stub.requests == []


async def test_a_closed_client_sends_nothing() -> None:
    async with raw_venue(answering(GOOD)) as stub:
        venue = client(stub.url)
        assert isinstance(await venue.place(market_order()), NotSent)
        async with venue:
            pass
        assert isinstance(await venue.place(market_order()), NotSent)
        assert stub.requests == []


async def test_aiohttp_repeats_a_read_on_a_dead_kept_connection_but_never_an_order() -> None:
    async with raw_venue(reset) as stub, client(stub.url) as venue:
        await venue.measure_clock()
        assert isinstance(await venue.place(market_order()), Unanswered)
        await venue.server_time()
        with pytest.raises(VenueUnreachable):
            await venue.dual_side()
    assert len(stub.seen("POST")) == 1
    assert len(stub.seen("GET", "/dual")) == 2
    assert "POST" not in aiohttp.client.IDEMPOTENT_METHODS


async def test_a_connection_that_died_idle_is_replaced_before_the_order() -> None:
    async with raw_venue(answering(GOOD)) as stub, client(stub.url) as venue:
        await venue.measure_clock()
        stub.drop_all()
        await asyncio.sleep(0.02)  # the reset has to arrive before the order leaves
        assert isinstance(await venue.place(market_order()), OrderReport)
    assert stub.connections == 2


async def test_an_answer_too_many_is_never_taken_for_the_next_orders_answer() -> None:
    async def twice(request: Request, writer: asyncio.StreamWriter) -> bool:
        writer.write(http(200, order_row(clientOrderId=request.values["newClientOrderId"])) * 2)
        return True

    async with raw_venue(twice) as stub, client(stub.url) as venue:
        answers = [await venue.place(market_order(client_order_id=f"sc-{n}")) for n in range(5)]
    for n, answer in enumerate(answers):
        assert isinstance(answer, Unanswered) or (
            isinstance(answer, OrderReport) and answer.client_order_id == f"sc-{n}"
        )
    assert len(stub.requests) == 5


async def test_a_redirect_takes_no_order_elsewhere() -> None:
    async with raw_venue(answering(GOOD)) as trap:
        away = http(307, "", Location=f"{trap.url}/fapi/v1/order")
        async with raw_venue(answering(away)) as stub, client(stub.url) as venue:
            assert isinstance(await venue.place(market_order()), Unanswered)
        assert trap.requests == []


async def test_cookies_and_proxies_of_the_environment_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    async with (
        raw_venue(answering(GOOD)) as proxy,
        raw_venue(answering(http(200, order_row(), Set_Cookie="a=b"))) as stub,
    ):
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("http_proxy", proxy.url)
        async with client(stub.url) as venue:
            await venue.place(market_order())
            await venue.place(market_order())
        assert proxy.requests == []
    assert [request.headers.get("cookie") for request in stub.requests] == [None, None]


async def test_a_venue_that_echoes_our_key_does_not_get_it_into_our_words() -> None:
    async def echo(request: Request, writer: asyncio.StreamWriter) -> bool:
        said = f"{request.headers['x-mbx-apikey']} {SECRET}"
        writer.write(http(400, {"code": -2022, "msg": said}))
        return True

    async with raw_venue(echo) as stub, client(stub.url) as venue:
        answer = await venue.place(market_order())
    assert isinstance(answer, Refusal)
    assert answer.message == "*** ***"
