"""The REST door: from raw bytes to an operation and back. The only place that knows HTTP requests."""

import time
from collections.abc import Callable

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from sureclose.paper import (
    account_routes,
    algo_routes,
    control_routes,
    market_routes,
    order_routes,
    service_routes,
)
from sureclose.paper.answers import JSON, Delivery, Reply, refused
from sureclose.paper.call import Call, House, Route, Security
from sureclose.paper.delivery import deliver, whole
from sureclose.paper.doors import carry_out, check_key, spend
from sureclose.paper.errors import VenueError
from sureclose.paper.params import Params
from sureclose.paper.settings import SettingsError
from sureclose.paper.signature import check_signature, check_window, payloads_of_wire
from sureclose.paper.wire import encode

ROUTES: dict[str, Route] = {
    **market_routes.ROUTES,
    **order_routes.ROUTES,
    **algo_routes.ROUTES,
    **account_routes.ROUTES,
    **service_routes.ROUTES,
}
_ORDER_ROUTES = frozenset(name for name, route in ROUTES.items() if route.orders_10s)


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
            return whole(refused(VenueError(-1100, name="body", legal="UTF-8 form")))
        house = self._house
        if house.late:
            house.late.run_due()
        if path.startswith(control_routes.PREFIX):
            return whole(self._control(request, path, body))
        now = self._clock()
        call = Call(house, f"{request.method} {path}", Params({}), ip, now)
        try:
            call.params = Params.of_wire(query, body)
        except VenueError as refusal:
            reply = refused(refusal)
            house.note(call, reply.status, reply.code, received)
        else:
            reply = carry_out(call, lambda: self._admit(call, request, query, body), received)
        if reply.content_type == JSON:
            reply.headers.update(house.limits.headers(ip, now, orders=call.route in _ORDER_ROUTES))
        if reply.delivery is Delivery.WHOLE and not reply.delay:
            return whole(reply)
        return await deliver(request, reply)

    def _admit(self, call: Call, request: web.BaseRequest, query: str, body: str) -> Route:
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
        return route

    def _control(self, request: web.BaseRequest, path: str, body: str) -> Reply:
        house = self._house
        try:
            check_key(request.headers.get("X-MBX-APIKEY"), house.api_key, request.remote or "")
            answer = control_routes.answer(house, f"{request.method} {path}", body)
        except VenueError as refusal:
            return refused(refusal)
        except SettingsError as error:
            return Reply(400, encode({"code": -1130, "msg": str(error)}))
        return Reply(200, encode(answer))
