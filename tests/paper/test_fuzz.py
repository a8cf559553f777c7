"""No request, however broken, yields a 500, and none stops the exchange."""

import asyncio
import contextlib
import io
import json
import random
import string
import urllib.parse
from typing import Any

import aiohttp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sureclose.paper import PaperExchange
from sureclose.paper.call import Call, House
from sureclose.paper.clock import VenueClock
from sureclose.paper.doors import run
from sureclose.paper.errors import VenueError
from sureclose.paper.faults import Faults
from sureclose.paper.gate import ROUTES
from sureclose.paper.late import Latecomers
from sureclose.paper.limits import Limits
from sureclose.paper.listen_keys import ListenKeys
from sureclose.paper.params import Params
from sureclose.paper.ws_api import METHODS

from .bare import Bare
from .pure import Pure

NAMES = [
    "symbol",
    "side",
    "type",
    "quantity",
    "price",
    "timeInForce",
    "reduceOnly",
    "newClientOrderId",
    "newOrderRespType",
    "positionSide",
    "orderId",
    "origClientOrderId",
    "startTime",
    "endTime",
    "fromId",
    "limit",
    "interval",
    "leverage",
    "marginType",
    "dualSidePosition",
    "batchOrders",
    "orderIdList",
    "origClientOrderIdList",
    "countdownTime",
    "listenKey",
    "goodTillDate",
    "closePosition",
    "incomeType",
    "multiAssetsMargin",
    "selfTradePreventionMode",
    "algoId",
    "clientAlgoId",
    "algoType",
    "triggerPrice",
    "workingType",
    "priceProtect",
]
GOOD = ["ETHUSDT", "BTCUSDT", "DOGEUSDT", "BUY", "SELL", "MARKET", "LIMIT", "STOP_MARKET", "TAKE_PROFIT", "CONDITIONAL", "2300", "GTC", "IOC", "FOK", "GTX", "GTD", "true", "false", "RESULT", "ACK", "BOTH", "LONG", "SHORT", "0", "1", "0.5", "2400", "2400.01", "10000000001", "1790000000000", "1m", "ISOLATED", "CROSSED", "same", "-1", "1e-05", "9223372036854775807", "9223372036854775808", "99999999999999999999.99999999999999999999", "0.00000000000000000001", "00000000000000000001", "1790000700000", "[1]", '["same"]']  # fmt: skip
BATCH = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(GOOD),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=6),
    max_leaves=10,
).map(json.dumps)
VALUE = st.sampled_from(GOOD) | st.sampled_from(GOOD) | st.text(max_size=8) | BATCH
PARAMS = st.dictionaries(st.sampled_from(NAMES), VALUE, max_size=10)
ORDER = st.fixed_dictionaries(
    {"symbol": st.sampled_from(["ETHUSDT", "DOGEUSDT"]), "side": st.sampled_from(["BUY", "SELL"])},
    optional={
        "type": st.sampled_from(["MARKET", "LIMIT"]),
        "quantity": VALUE,
        "price": VALUE,
        "timeInForce": VALUE,
        "reduceOnly": VALUE,
        "newClientOrderId": VALUE,
        "orderId": VALUE,
        "goodTillDate": VALUE,
    },
)


@given(
    requests=st.lists(st.tuples(st.sampled_from([*ROUTES, *METHODS]), PARAMS | ORDER), min_size=1, max_size=6)
)
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_parameters_of_any_route_yield_a_500(requests: list[tuple[str, dict[str, str]]]) -> None:
    pure = Pure()
    pure.seed("0.5")
    clock = VenueClock(lambda: pure.now)
    late = Latecomers(clock)
    house = House(pure.desk, Faults(), Limits(enforced=False), ListenKeys(), "k", "s", clock, late)
    for name, values in requests:
        route = ROUTES.get(name) or METHODS[name]
        call = Call(house, name, Params(values), "127.0.0.1", pure.now)
        route.weigh(call.params)
        assert run(route, call).status in {200, 400, 401, 404}


@given(st.text(alphabet=string.printable, max_size=60), st.text(max_size=60))
def test_no_query_or_body_breaks_the_parser(query: str, body: str) -> None:
    with contextlib.suppress(VenueError):
        Params.of_wire(query, body)


async def test_signed_nonsense_over_http_is_a_4xx(client: Bare) -> None:
    chance = random.Random(4)
    routes = [name.split() for name in ROUTES]
    for _ in range(400):
        method, path = chance.choice(routes)
        values = {
            chance.choice(NAMES): chance.choice([*GOOD, "\x00", "é", "%", "&", "=", "", "💥"])
            for _ in range(chance.randrange(8))
        }
        signed = client.signed(values)
        if method == "POST" and chance.random() < 0.5:
            status, _ = await client.raw(method, path, signed)
        else:
            status, _ = await client.raw(method, f"{path}?{signed}")
        assert status < 500, (method, path, values)


async def test_raw_garbage_is_refused_and_the_exchange_lives(client: Bare, exchange: PaperExchange) -> None:
    chance = random.Random(5)
    host, port = urllib.parse.urlsplit(exchange.rest).netloc.split(":")
    heads = [
        b"GET /fapi/v1/order?%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"POST /fapi/v1/order HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 8\r\n\r\n%s",
        b"POST /fapi/v1/order HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Encoding: gzip\r\nContent-Length: 8\r\n\r\n%s",
        b"POST /fapi/v1/order HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n%s\r\n\r\n",
        b"DELETE /fapi/v1/%s HTTP/1.1\r\nHost: x\r\nX-MBX-APIKEY: \xff\xfe\r\nConnection: close\r\n\r\n",
        b"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: close\r\nUpgrade: %s\r\n\r\n",
        b"GET /ws-fapi/v1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX: %s\r\n\r\n",
        b"%s\r\n\r\n",
    ]
    for _ in range(240):
        noise = bytes(chance.choice(b'%&=?/\x80\xffab01{["') for _ in range(8))
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(chance.choice(heads) % noise)
        writer.write_eof()
        answer = await asyncio.wait_for(reader.read(), 10)
        writer.close()
        assert not answer or answer.split()[1].startswith(b"4"), answer
    assert await client.position("ETHUSDT") == "0.500"


async def test_a_large_body_is_refused(client: Bare) -> None:
    large = io.BytesIO(b"a=" + b"x" * (2 << 20))
    async with client.session.post(f"{client.rest}/fapi/v1/order", data=large) as answer:
        assert 400 <= answer.status < 500


async def test_broken_control_requests_are_refused(client: Bare, exchange: PaperExchange) -> None:
    async def send(body: Any) -> int:
        async with client.session.post(
            f"{exchange.rest}/paper/v1/faults", data=body, headers={"X-MBX-APIKEY": client.key}
        ) as answer:
            return answer.status

    for body in (b"", b"{", b"[]", b"null", b'{"fault":[]}', b"\xff", b'{"fault":"read_lag","ms":1e99}'):
        assert await send(body) == 400
    async with aiohttp.ClientSession() as session:
        answer = await session.put(f"{exchange.rest}/paper/v1/faults", headers={"X-MBX-APIKEY": client.key})
        assert answer.status == 404
