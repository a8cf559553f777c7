"""The web server over real sockets: it answers, says what is wrong, and neither fails nor hangs."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import msgspec
import pytest
from aiohttp import web
from structlog.testing import capture_logs

from sureclose.services.health import Health
from sureclose.services.http import (
    HttpAddressTaken,
    HttpAddressUnusable,
    HttpServer,
    Route,
    observation,
)
from sureclose.services.metrics import Metrics
from sureclose.services.settings import HttpSettings
from sureclose.services.vitals import Vitals
from tests.services.living import Clock, stage, well

FREE = HttpSettings(port=0)


class Process:
    """A process whose vitals the test sets."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.vitals: Callable[[], Vitals] = lambda: well(self.clock.now)
        self.health = Health(self.clock, stages=("execution",))
        self.metrics = Metrics(self.gather, self.clock, stages=("execution",))
        self.routes = observation(
            lambda: self.health.report(self.gather()),
            lambda: self.health.ready(self.gather()),
            self.metrics.exposition,
        )

    def gather(self) -> Vitals:
        return self.vitals()


@pytest.fixture
def process() -> Process:
    return Process()


@pytest.fixture
async def address(process: Process) -> AsyncIterator[str]:
    async def hang(_: web.Request) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    async def break_down(_: web.Request) -> web.Response:
        raise KeyError("half-built")

    async def take(request: web.Request) -> web.Response:
        return web.json_response(await request.json())

    async def refuse(_: web.Request) -> web.Response:
        raise web.HTTPUnauthorized(text="a token is needed")

    later = (
        Route("GET", "/hang", hang, timeout_s=0.01),
        Route("GET", "/break", break_down),
        Route("POST", "/close", take),
        Route("GET", "/refuse", refuse),
    )
    async with HttpServer(FREE, (*process.routes, *later)) as server:
        yield server.address


async def get(url: str, method: str = "GET", **options: Any) -> tuple[int, str, bytes]:
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, url, timeout=aiohttp.ClientTimeout(5), **options) as answer,
    ):
        return answer.status, answer.headers.get("Content-Type", ""), await answer.read()


def problem(status: int, kind: str, body: bytes) -> dict[str, Any]:
    """The body as a problem; every one has the four members."""
    assert kind == "application/problem+json"
    said: dict[str, Any] = msgspec.json.decode(body)
    assert said.keys() == {"type", "title", "status", "detail"}
    assert said["status"] == status
    return said


async def test_ping_answers_pong(address: str) -> None:
    status, _, body = await get(f"{address}/ping")
    assert (status, body) == (200, b"pong")


async def test_port_0_takes_a_free_port_of_the_loopback_and_names_it(address: str) -> None:
    assert address.startswith("http://127.0.0.1:")
    assert int(address.rpartition(":")[2]) > 0


async def test_health_is_200_when_well_and_503_when_not(process: Process, address: str) -> None:
    status, kind, body = await get(f"{address}/health")
    assert (status, kind) == (200, "application/json")
    assert msgspec.json.decode(body)["status"] == "ok"
    process.vitals = lambda: well(process.clock.now, broken={"p": "why"})
    status, _, body = await get(f"{address}/health")
    assert status == 503
    report = msgspec.json.decode(body)
    assert report["status"] == "failing"
    [check] = [check for check in report["checks"] if check["status"] != "ok"]
    assert check.keys() == {"name", "status", "detail", "remedy"}
    assert (check["name"], check["status"], check["detail"]) == ("broken_closes", "fail", "p: why")


async def test_degraded_is_200_because_closes_are_executed(process: Process, address: str) -> None:
    process.vitals = lambda: well(process.clock.now, stopping=True)
    status, _, body = await get(f"{address}/health")
    assert (status, msgspec.json.decode(body)["status"]) == (200, "degraded")


async def test_ready_is_503_until_something_was_read(process: Process, address: str) -> None:
    process.vitals = lambda: well(process.clock.now, stages={"execution": stage(None)})
    assert (await get(f"{address}/ready"))[0] == 503
    process.vitals = lambda: well(process.clock.now)
    assert (await get(f"{address}/ready"))[0] == 200


async def test_metrics_are_prometheus_text(address: str) -> None:
    status, kind, body = await get(f"{address}/metrics")
    assert status == 200
    assert kind.startswith("text/plain; version=")
    assert b"sureclose_closes_under_way 0.0\n" in body


async def test_an_unknown_path_is_a_problem_that_names_the_known_ones(address: str) -> None:
    status, kind, body = await get(f"{address}/healthz")
    assert status == 404
    assert "/health, " in problem(status, kind, body)["detail"]


async def test_a_wrong_method_is_a_problem_that_names_the_right_ones(address: str) -> None:
    status, kind, body = await get(f"{address}/health", "DELETE")
    assert status == 405
    assert problem(status, kind, body)["detail"] == "DELETE is not possible here; use GET, HEAD"


async def test_what_a_handler_refuses_is_a_problem_too(address: str) -> None:
    status, kind, body = await get(f"{address}/refuse")
    assert (status, problem(status, kind, body)["detail"]) == (401, "a token is needed")


async def test_head_asks_without_a_body(address: str) -> None:
    assert (await get(f"{address}/health", "HEAD"))[::2] == (200, b"")


@pytest.mark.parametrize(("path", "event"), [("/break", "http_failed"), ("/hang", "http_timeout")])
async def test_a_handler_that_fails_or_hangs_is_a_503_and_in_the_log(
    address: str, path: str, event: str
) -> None:
    with capture_logs() as logs:
        status, kind, body = await get(address + path)
    assert status == 503
    assert "half-built" not in problem(status, kind, body)["detail"]
    assert [(line["event"], line["path"]) for line in logs] == [(event, path)]


async def test_vitals_that_can_not_be_gathered_are_a_503_and_no_health(
    process: Process, address: str
) -> None:
    def gone() -> Vitals:
        raise RuntimeError("the engine is half built")

    process.vitals = gone
    with capture_logs() as logs:
        assert [(await get(address + path))[0] for path in ("/health", "/ready", "/metrics")] == [503] * 3
    assert [line["event"] for line in logs] == ["http_failed"] * 3


async def test_the_place_for_the_later_api_takes_bodies(address: str) -> None:
    status, _, body = await get(f"{address}/close", "POST", json={"symbol": "ETHUSDT"})
    assert (status, msgspec.json.decode(body)) == (200, {"symbol": "ETHUSDT"})


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET /%ff%00 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /ping?" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /ping HTTP/1.1\r\nHost: x\r\nExpect: a miracle\r\n\r\n",
        b"GET /ping HTTP/1.1\r\nHost: x\r\nX: " + b"b" * 20_000 + b"\r\n\r\n",
        b"POST /close HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /close HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /health HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
        b"POST /close HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nContent-Encoding: gzip\r\n\r\nnope",
        b"BREW /coffee HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET http://elsewhere/ HTTP/1.1\r\nHost: x\r\n\r\n",
        b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03\r\n\r\n",
        b"\r\n\r\n\r\nGET\r\n\r\n",
    ],
)
async def test_no_request_makes_it_fail_or_hang(address: str, request_bytes: bytes) -> None:
    """Whatever comes, the answer is no 500, and the next client is served."""
    host, _, port = address.removeprefix("http://").partition(":")
    with capture_logs():
        async with asyncio.timeout(5):
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(request_bytes)
            line = await reader.readline()
            writer.close()
            await writer.wait_closed()
    assert line.startswith(b"HTTP/1.")
    assert line.split()[1] not in {b"500", b"502"}
    assert (await get(f"{address}/ping"))[0] == 200


async def test_bytes_that_are_no_http_leave_nothing_of_themselves_in_the_log(
    address: str, caplog: pytest.LogCaptureFixture
) -> None:
    host, _, port = address.removeprefix("http://").partition(":")
    with capture_logs() as logs:
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"GET /ping HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer se\x00cret\r\n\r\n")
        assert b" 400 " in await reader.readline()
        writer.close()
        await writer.wait_closed()
    assert logs == [{"event": "http_not_understood", "kind": "BadHttpMessage", "log_level": "debug"}]
    assert caplog.text == ""


async def test_a_port_in_use_is_named_with_what_to_do(address: str) -> None:
    taken = int(address.rpartition(":")[2])
    with pytest.raises(HttpAddressTaken) as caught:
        await HttpServer(HttpSettings(port=taken), ()).start()
    assert str(caught.value) == (
        f"The address {address} is in use by another process. "
        "Set http.port to a free port, or to 0, which takes one and prints it."
    )


@pytest.mark.parametrize("host", ["", "203.0.113.1", "a..b", "no such host"])
async def test_an_address_that_is_none_of_ours_is_named_with_what_to_do(host: str) -> None:
    with pytest.raises(HttpAddressUnusable, match=r"Set http\.host to an address of this machine"):
        await HttpServer(HttpSettings(host=host, port=0), ()).start()


async def test_an_open_connection_does_not_hold_up_the_end(process: Process) -> None:
    server = HttpServer(FREE, process.routes)
    host, _, port = (await server.start()).removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n")
    await reader.readuntil(b"pong")
    async with asyncio.timeout(3):
        await server.stop()
        await server.stop()  # twice is once
        assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()


@pytest.mark.skipif(not socket.has_ipv6, reason="the machine has no IPv6")
async def test_an_ipv6_address_is_written_in_brackets(process: Process) -> None:
    try:
        server = HttpServer(HttpSettings(host="::1", port=0), process.routes)
        await server.start()
    except HttpAddressUnusable:
        pytest.skip("the loopback has no IPv6 address")
    try:
        assert server.address.startswith("http://[::1]:")
        assert (await get(f"{server.address}/ping"))[0] == 200
    finally:
        await server.stop()
