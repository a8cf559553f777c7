"""Every fault of the answer, byte by byte, by HTTP and by WebSocket, with and without execution."""

import asyncio
import dataclasses
import json
import time
import urllib.parse
from typing import Any

import aiohttp
import pytest

from sureclose.paper import PaperExchange
from sureclose.paper.errors import REFUSALS
from sureclose.paper.kinds import KINDS, When

from .bare import Bare

BODY_A = b'{"code":-1000,"msg":"Unknown error, please check your request or try again later."}'
BODY_C = b'{"code":-1001,"msg":"Internal error; unable to process your request. Please try again."}'
BODY_D = (
    b'{"code":-1008,"msg":"Request throttled by system-level protection. '
    b'Reduce-only/close-position orders are exempt. Please try again."}'
)
ORDER = {"symbol": "ETHUSDT", "side": "SELL", "type": "MARKET", "quantity": "0.5", "reduceOnly": "true"}


@dataclasses.dataclass
class Heard:
    """What came over the wire until the server ended it, or until a whole answer was there."""

    raw: bytes
    reset: bool

    @property
    def status(self) -> int:
        return int(self.raw.split(b" ", 2)[1])

    @property
    def head(self) -> bytes:
        return self.raw.partition(b"\r\n\r\n")[0].lower()

    @property
    def body(self) -> bytes:
        return self.raw.partition(b"\r\n\r\n")[2]

    @property
    def announced(self) -> int:
        return int(self.head.partition(b"content-length: ")[2].partition(b"\r\n")[0])


async def ask(client: Bare, text: str) -> Heard:
    """Send one request over a connection of its own and read until the server ends it."""
    host, port = urllib.parse.urlsplit(client.rest).netloc.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(text.encode())
    heard = b""
    reset = False
    try:
        async with asyncio.timeout(5):
            while piece := await reader.read(65536):
                heard += piece
    except ConnectionResetError:
        reset = True
    writer.close()
    return Heard(heard, reset)


def posted(client: Bare, *, ending: str = "close") -> str:
    body = client.signed(ORDER)
    return (
        "POST /fapi/v1/order HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        f"Connection: {ending}\r\nX-MBX-APIKEY: {client.key}\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    )


async def arm(client: Bare, fault: str, **more: Any) -> None:
    status, answer = await client.control("POST", "faults", {"fault": fault, **more})
    assert status == 200, answer


ERRORS = {
    "unknown_503": (503, BODY_A),
    "unavailable_503": (503, b"Service Unavailable."),
    "internal_503": (503, BODY_C),
    "throttled_503": (503, BODY_D),
    "timeout_408": (408, b""),
    "timeout_1007": (408, b'{"code":-1007,'),
    "unexpected_1006": (500, b'{"code":-1006,'),
    "answer_html": (502, b"<html>"),
    "answer_html_ok": (200, b"<html>"),
}
TWINNED = [name for name in ERRORS if f"{name}_not_executed" in KINDS]


@pytest.mark.parametrize(
    ("fault", "executed"),
    [*((name, True) for name in ERRORS), *((name, False) for name in TWINNED)],
)
async def test_a_wrong_answer_has_its_status_and_body_whether_executed_or_not(
    client: Bare, exchange: PaperExchange, fault: str, *, executed: bool
) -> None:
    await arm(client, fault if executed else f"{fault}_not_executed")
    heard = await ask(client, posted(client))
    status, begin = ERRORS[fault]
    assert heard.status == status
    assert heard.body == begin if begin in {b"", BODY_A, BODY_C, BODY_D} else heard.body.startswith(begin)
    assert heard.announced == len(heard.body)
    assert not heard.reset
    assert len(exchange.desk.ledger.trades) == executed


async def test_texts_that_are_no_json_do_not_claim_to_be(client: Bare) -> None:
    for fault, kind in (("unavailable_503", b"text/plain"), ("answer_html", b"text/html")):
        await arm(client, f"{fault}_not_executed")
        assert b"content-type: " + kind in (await ask(client, posted(client))).head


@pytest.mark.parametrize(("fault", "executed"), [("answer_cut", True), ("answer_cut_not_executed", False)])
async def test_a_cut_answer_announces_its_length_and_brings_half(
    client: Bare, exchange: PaperExchange, fault: str, *, executed: bool
) -> None:
    await arm(client, fault)
    heard = await ask(client, posted(client, ending="keep-alive"))
    assert heard.reset
    assert heard.status == 200
    assert len(heard.body) == heard.announced // 2 > 0
    assert heard.body.startswith(b'{"orderId":')
    assert len(exchange.desk.ledger.trades) == executed
    _, records = await client.control("GET", "records")
    assert [one["status"] for one in records["requests"]] == [200 if executed else 503]


async def test_a_whole_answer_can_be_followed_by_a_reset(client: Bare) -> None:
    await arm(client, "answer_then_cut")
    heard = await ask(client, posted(client, ending="keep-alive"))
    assert heard.reset
    assert heard.announced == len(heard.body)
    assert json.loads(heard.body)["status"] == "NEW"
    assert await client.position("ETHUSDT") == "0"


async def test_a_truncated_answer_is_well_formed_http_with_half_a_json(client: Bare) -> None:
    await arm(client, "answer_truncated")
    heard = await ask(client, posted(client))
    assert (heard.status, heard.announced, heard.reset) == (200, len(heard.body), False)
    with pytest.raises(json.JSONDecodeError):
        json.loads(heard.body)
    assert await client.position("ETHUSDT") == "0"


async def test_a_slow_answer_trickles(client: Bare) -> None:
    await arm(client, "answer_slow", ms=300)
    begin = time.monotonic()
    body = client.signed(ORDER)
    headers = {"X-MBX-APIKEY": client.key, "Content-Type": "application/x-www-form-urlencoded"}
    async with client.session.post(f"{client.rest}/fapi/v1/order", data=body, headers=headers) as answer:
        pieces = [piece async for piece, _ in answer.content.iter_chunks()]
    assert time.monotonic() - begin >= 0.25
    assert len(pieces) > 4
    assert json.loads(b"".join(pieces))["symbol"] == "ETHUSDT"


CODES = [
    -2022, -4118, -1008, -1021, -5028, -4061, -1003, -1015, -1111, -4005, -2025, -2027, -1112, -2020, -4164, -1016,
    -1001, -2011, -1000, -1006, -1007, -2013, -2018, -2019, -2023, -2024, -4131, -4116, -4400,
]  # fmt: skip
STATUSES = {-1000: 500, -1001: 503, -1003: 429, -1006: 500, -1007: 408, -1008: 503, -1015: 429, -1016: 503}


@pytest.mark.parametrize("code", CODES)
async def test_a_refusal_has_the_code_and_the_status_that_binance_gives_it(client: Bare, code: int) -> None:
    await arm(client, "refused", code=code)
    status, answer = await client.raw("POST", "/fapi/v1/order", client.signed(ORDER))
    assert (status, answer["code"]) == (STATUSES.get(code, 400), code)
    assert "{" not in answer["msg"]
    assert await client.position("ETHUSDT") == "0.500"


async def test_every_known_code_can_be_refused_with(client: Bare) -> None:
    for code in REFUSALS:
        await arm(client, "refused", code=code)
        assert (await client.raw("POST", "/fapi/v1/order", client.signed(ORDER)))[1]["code"] == code
    assert await client.position("ETHUSDT") == "0.500"


@pytest.mark.parametrize(("fault", "status"), [("rate_limited", 429), ("banned", 418)])
async def test_limits_say_when_to_come_back(client: Bare, fault: str, status: int) -> None:
    await arm(client, fault, ms=2_500, match={"route": "GET /fapi/v1/time"})
    begin = time.time_ns() // 1_000_000
    assert (await client.market("ETHUSDT", "SELL", "0.1"))["status"] == "FILLED"
    given, answer = await client.raw("GET", "/fapi/v1/time")
    assert (given, answer["code"], client.headers["Retry-After"]) == (status, -1003, "3")
    if fault == "banned":
        until = int(answer["msg"].partition("banned until ")[2].partition(".")[0])
        assert begin + 2_500 <= until <= time.time_ns() // 1_000_000 + 2_500
    await arm(client, fault)
    assert (await client.raw("POST", "/fapi/v1/order", client.signed(ORDER)))[0] == status
    assert await client.position("ETHUSDT") == "0.400"


READS = ["GET /fapi/v1/order", "GET /fapi/v2/positionRisk", "GET /fapi/v1/userTrades", "GET /fapi/v1/time"]


@pytest.mark.parametrize("route", READS)
async def test_every_fault_of_the_answer_works_on_reads_and_is_recorded(client: Bare, route: str) -> None:
    order = await client.market("ETHUSDT", "SELL", "0.1")
    method, path = route.split()
    shaped = {name for name, kind in KINDS.items() if kind.when in {When.BEFORE, When.AFTER}}
    for fault in sorted(shaped):
        own = {"code": -1001} if fault == "refused" else {}
        await arm(client, fault, match={"route": route}, **own)
        query = client.signed({"symbol": "ETHUSDT", "orderId": order["orderId"]})
        text = f"{method} {path}?{query} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-MBX-APIKEY: {client.key}\r\n\r\n"
        heard = await ask(client, text)
        if fault in {"request_dropped", "answer_dropped"}:
            assert heard.raw == b""
        elif fault.removesuffix("_not_executed") in ERRORS:
            assert heard.status == ERRORS[fault.removesuffix("_not_executed")][0]
    _, records = await client.control("GET", "records")
    assert {one["fault"] for one in records["requests"] if one["method"] == "GET" and one["fault"]} == shaped


async def place_by_socket(client: Bare, exchange: PaperExchange) -> tuple[bytes, Heard | None]:
    """The text frame that answers order.place, if a whole one came, else what came of it."""
    params: dict[str, Any] = {"apiKey": client.key, "timestamp": time.time_ns() // 1_000_000, **ORDER}
    payload = "&".join(f"{name}={params[name]}" for name in sorted(params))
    params["signature"] = client.sign(payload)
    async with client.session.ws_connect(exchange.ws_api) as socket:
        await socket.send_json({"id": 7, "method": "order.place", "params": params})
        message = await socket.receive(timeout=5)
        text = message.data.encode() if message.type is aiohttp.WSMsgType.TEXT else b""
        if text:
            return text, None
        return b"", Heard(b"", reset=message.type is aiohttp.WSMsgType.ERROR or socket.closed)


WS_ERRORS: dict[str, dict[str, Any]] = {
    "unknown_503": {"status": 503, "error": json.loads(BODY_A)},
    "unavailable_503": {"status": 503, "error": {"msg": "Service Unavailable."}},
    "internal_503": {"status": 503, "error": json.loads(BODY_C)},
    "throttled_503": {"status": 503, "error": json.loads(BODY_D)},
    "timeout_408": {"status": 408},
    "timeout_1007": {"status": 408},
    "unexpected_1006": {"status": 500},
}


@pytest.mark.parametrize(
    "fault", [*WS_ERRORS, *(f"{name}_not_executed" for name in TWINNED if name in WS_ERRORS)]
)
async def test_the_websocket_api_gives_the_same_wrong_answers(
    client: Bare, exchange: PaperExchange, fault: str
) -> None:
    await arm(client, fault)
    text, _ = await place_by_socket(client, exchange)
    answer = json.loads(text)
    assert answer["id"] == 7
    assert {**answer, **WS_ERRORS[fault.removesuffix("_not_executed")]} == answer
    assert "result" not in answer
    assert len(exchange.desk.ledger.trades) == (not fault.endswith("_not_executed"))


@pytest.mark.parametrize(
    "fault", ["answer_truncated", "answer_html", "answer_html_ok", "answer_html_not_executed"]
)
async def test_a_frame_of_the_websocket_api_may_be_no_json(
    client: Bare, exchange: PaperExchange, fault: str
) -> None:
    await arm(client, fault)
    text, _ = await place_by_socket(client, exchange)
    assert text
    with pytest.raises(json.JSONDecodeError):
        json.loads(text)
    assert len(exchange.desk.ledger.trades) == (fault != "answer_html_not_executed")


@pytest.mark.parametrize("fault", ["answer_cut", "answer_cut_not_executed"])
async def test_half_a_frame_is_no_answer(client: Bare, exchange: PaperExchange, fault: str) -> None:
    await arm(client, fault)
    text, heard = await place_by_socket(client, exchange)
    assert text == b""
    assert heard is not None
    assert heard.reset
    assert len(exchange.desk.ledger.trades) == (fault == "answer_cut")


async def test_a_frame_can_be_followed_by_a_reset_or_come_late_or_be_a_refusal(
    client: Bare, exchange: PaperExchange
) -> None:
    await arm(client, "refused", code=-2022)
    assert json.loads((await place_by_socket(client, exchange))[0])["error"]["code"] == -2022
    await arm(client, "rate_limited", match={"route": "order.place"})
    assert json.loads((await place_by_socket(client, exchange))[0])["status"] == 429
    await arm(client, "answer_slow", ms=200)
    begin = time.monotonic()
    assert json.loads((await place_by_socket(client, exchange))[0])["result"]["status"] == "NEW"
    assert time.monotonic() - begin >= 0.2
    await client.market("ETHUSDT", "BUY", "0.5")
    await arm(client, "answer_then_cut")
    assert json.loads((await place_by_socket(client, exchange))[0])["result"]["status"] == "NEW"


async def test_an_answer_without_a_fault_is_as_it_always_was(client: Bare) -> None:
    heard = await ask(client, posted(client))
    assert heard.status == 200
    assert b"content-type: application/json" in heard.head
    assert b"x-mbx-order-count-10s: 1" in heard.head
