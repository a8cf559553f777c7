"""The REST door: from raw bytes to an operation and back. The only place that knows HTTP requests."""

import asyncio
import hmac
import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from sureclose.paper import account_routes, control_routes, market_routes, order_routes, service_routes
from sureclose.paper.call import Call, House, Route, Security
from sureclose.paper.errors import VenueError
from sureclose.paper.faults import HANG_UPS, UNKNOWN_ERROR
from sureclose.paper.params import Params
from sureclose.paper.settings import SettingsError
from sureclose.paper.signature import check_signature, check_window, payloads_of_wire
from sureclose.paper.wire import encode

ROUTES: dict[str, Route] = {
    **market_routes.ROUTES,
    **order_routes.ROUTES,
    **account_routes.ROUTES,
    **service_routes.ROUTES,
}
_JSON = "application/json"

log = structlog.get_logger("sureclose.paper")


@dataclass(slots=True)
class Reply:
    status: int
    body: bytes
    headers: dict[str, str]
    code: int = 0


UNKNOWN = Reply(503, encode({"code": -1000, "msg": UNKNOWN_ERROR}), {}, -1000)


class Gate:
    """Answers every request of the exchange's REST side; whatever is sent, a fault of the sender is a 4xx."""

    def __init__(self, house: House, clock: Callable[[], int]) -> None:
        self._house = house
        self._clock = clock

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        received = time.time_ns()
        path, _, query = request.raw_path.partition("?")
        query = query.partition("#")[0]
        ip = request.remote or "127.0.0.1"
        try:
            body = (await request.read()).decode() if request.can_read_body else ""
        except (UnicodeDecodeError, HttpProcessingError, web.HTTPException, web.RequestPayloadError):
            refusal = VenueError(-1100, name="body", legal="UTF-8 form")
            return _response(Reply(refusal.status, refusal.as_json(), {}))
        if path.startswith(control_routes.PREFIX):
            return _response(self._control(request, path, body))
        route = f"{request.method} {path}"
        house, now = self._house, self._clock()
        params, faults = Params({}), house.faults
        before = after = None
        try:
            params = Params.of_wire(query, body)
            before = faults.strike_before(route, params.as_dict(), now)
            reply = (
                UNKNOWN if before else self._answer(Call(house, route, params, ip, now), request, query, body)
            )
            after = faults.strike_after(route, params.as_dict(), now)
        except VenueError as refusal:
            reply = refused(refusal)
        struck = before or after
        house.note(route, params, reply.status, reply.code, received, struck.fault if struck else None)
        if struck is not None:
            if struck.ms:
                await asyncio.sleep(struck.ms / 1000)
            if struck.fault in HANG_UPS:
                return _hang_up(request)
            if struck.fault == "unknown_503":
                reply = UNKNOWN
        headers = reply.headers | house.limits.headers(ip, now, orders=route in _ORDER_ROUTES)
        return _response(Reply(reply.status, reply.body, headers))

    def _answer(self, call: Call, request: web.BaseRequest, query: str, body: str) -> Reply:
        house = self._house
        route = ROUTES.get(call.route)
        if route is None:
            method, _, path = call.route.partition(" ")
            raise VenueError(-5000, path=path, method=method)
        spend(route, call)
        if route.security is not Security.NONE:
            check_key(request.headers.get("X-MBX-APIKEY"), house.api_key, call.ip)
        if route.security is Security.SIGNED:
            call.params.required("timestamp")
            strict = house.desk.settings.strict_signatures
            check_signature(call.params, house.api_secret, payloads_of_wire(query, body, strict=strict))
            check_window(call.params, call.now)
        return run(route, call)

    def _control(self, request: web.BaseRequest, path: str, body: str) -> Reply:
        house = self._house
        try:
            check_key(request.headers.get("X-MBX-APIKEY"), house.api_key, request.remote or "")
            answer = control_routes.answer(house, f"{request.method} {path}", body)
        except VenueError as refusal:
            return refused(refusal)
        except SettingsError as error:
            return Reply(400, encode({"code": -1130, "msg": str(error)}), {})
        return Reply(200, encode(answer), {})


_ORDER_ROUTES = frozenset(name for name, route in ROUTES.items() if route.orders_10s)


def check_key(given: str | None, known: str, ip: str) -> None:
    if not given:
        raise VenueError(-2014)
    if not hmac.compare_digest(given.encode("utf-8", "surrogateescape"), known.encode()):
        raise VenueError(-2015, ip=ip)


def spend(route: Route, call: Call) -> None:
    """Count the call against the limits, whichever way it came; raises the refusal when they are exceeded."""
    call.house.limits.spend(
        call.ip,
        call.now,
        weight=route.weigh(call.params),
        orders_10s=route.orders_10s,
        orders_1m=route.orders_1m,
    )


def run(route: Route, call: Call) -> Reply:
    """The operation's answer. What it raises beyond refusals is our mistake: logged, and a 500."""
    try:
        if call.house.desk.ledger.open_orders:
            call.house.desk.sweep()
        return Reply(200, encode(route.operation(call)), {})
    except VenueError as refusal:
        return refused(refusal)
    except Exception:
        log.exception("paper exchange bug", route=call.route, params=call.params.as_dict())
        bug = VenueError(-1000)
        return Reply(bug.status, bug.as_json(), {}, bug.code)


def refused(refusal: VenueError) -> Reply:
    headers = {} if refusal.retry_after is None else {"Retry-After": str(refusal.retry_after)}
    return Reply(refusal.status, refusal.as_json(), headers, refusal.code)


def _response(reply: Reply) -> web.Response:
    return web.Response(status=reply.status, body=reply.body, headers=reply.headers, content_type=_JSON)


def _hang_up(request: web.BaseRequest) -> web.Response:
    """Close the connection without a byte of answer."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=503)
