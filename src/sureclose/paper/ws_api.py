"""The WebSocket API at /ws-fapi/v1: the same operations behind another door."""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from aiohttp import WSMsgType, web

from sureclose.paper import account_routes, market_routes, order_routes, service_routes
from sureclose.paper.call import Call, House, Route, Security
from sureclose.paper.errors import VenueError
from sureclose.paper.faults import HANG_UPS
from sureclose.paper.gate import UNKNOWN, Reply, check_key, refused, run, spend
from sureclose.paper.params import Params
from sureclose.paper.signature import check_signature, check_window, payloads_of_json
from sureclose.paper.wire import encode

PATH = "/ws-fapi/v1"
_HANDSHAKE_WEIGHT = 5
_PING_S = 180.0
_CLOSE_S = 0.5
_DECODER: msgspec.json.Decoder[Any] = msgspec.json.Decoder(float_hook=str)


def _logon_refused(_call: Call) -> Any:
    """session.logon takes Ed25519 keys only, and this exchange hands out HMAC keys."""
    raise VenueError(-1020)


def _session(call: Call) -> Any:
    return {
        "apiKey": None,
        "authorizedSince": None,
        "connectedSince": call.now,
        "returnRateLimits": True,
        "serverTime": call.now,
    }


def _empty(_call: Call) -> Any:
    return {}


METHODS: dict[str, Route] = {
    "order.place": Route(order_routes.place, Security.SIGNED, 0, 1, 1),
    "order.modify": Route(order_routes.amend, Security.SIGNED, 1, 1, 1),
    "order.cancel": Route(order_routes.cancel, Security.SIGNED),
    "order.status": Route(order_routes.query, Security.SIGNED),
    "account.position": Route(account_routes.risk_v2, Security.SIGNED, 5),
    "v2/account.position": Route(account_routes.risk_v3, Security.SIGNED, 5),
    "account.balance": Route(account_routes.balance, Security.SIGNED, 5),
    "v2/account.balance": Route(account_routes.balance, Security.SIGNED, 5),
    "account.status": Route(account_routes.account_v2, Security.SIGNED, 5),
    "v2/account.status": Route(account_routes.account_v3, Security.SIGNED, 5),
    "ticker.price": Route(market_routes.ticker_price, Security.NONE),
    "ticker.book": Route(market_routes.ticker_book, Security.NONE, 2),
    "depth": Route(market_routes.depth, Security.NONE, 2),
    "ping": Route(_empty, Security.NONE),
    "time": Route(market_routes.time, Security.NONE),
    "userDataStream.start": Route(service_routes.start_listen_key, Security.KEY, 5),
    "userDataStream.ping": Route(service_routes.extend_listen_key, Security.KEY),
    "userDataStream.stop": Route(service_routes.stop_listen_key, Security.KEY),
    "session.logon": Route(_logon_refused, Security.SIGNED, 2),
    "session.status": Route(_session, Security.NONE, 2),
    "session.logout": Route(_session, Security.NONE, 2),
}


class WsApi:
    """Each text frame is a request, answered under its id; a bad frame is answered, never a reason to hang up."""

    def __init__(self, house: House, clock: Callable[[], int]) -> None:
        self._house = house
        self._clock = clock
        self.sockets: set[web.WebSocketResponse] = set()

    async def close(self) -> None:
        await asyncio.gather(*(socket.close(code=1001, message=b"exchange stops") for socket in self.sockets))

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        socket = web.WebSocketResponse(heartbeat=_PING_S, timeout=_CLOSE_S, max_msg_size=1 << 20)
        if not socket.can_prepare(request).ok:
            return web.Response(status=400, text="WebSocket expected")
        ip = request.remote or "127.0.0.1"
        query = dict(parse_qsl(request.raw_path.partition("?")[2], errors="replace"))
        shows_limits = query.get("returnRateLimits") != "false"
        try:
            self._house.limits.spend(ip, self._clock(), weight=_HANDSHAKE_WEIGHT)
        except VenueError as refusal:
            return web.Response(
                status=refusal.status, body=refusal.as_json(), content_type="application/json"
            )
        await socket.prepare(request)
        self.sockets.add(socket)
        answers: set[asyncio.Task[None]] = set()
        try:
            async for message in socket:
                if message.type in {WSMsgType.TEXT, WSMsgType.BINARY}:
                    self._begin(
                        socket, request.transport, message.data, ip, answers, shows_limits=shows_limits
                    )
        finally:
            self.sockets.discard(socket)
            for answer in answers:
                answer.cancel()
            await asyncio.gather(*answers, return_exceptions=True)
        return socket

    def _begin(
        self,
        socket: web.WebSocketResponse,
        transport: asyncio.Transport | None,
        raw: str | bytes,
        ip: str,
        answers: set[asyncio.Task[None]],
        *,
        shows_limits: bool,
    ) -> None:
        """Execute now; send the answer in a task of its own, since a fault may hold it back."""
        try:
            frame = _DECODER.decode(raw)
            if not isinstance(frame, dict) or not isinstance(frame.get("params", {}), dict):
                raise VenueError(-1102, name="params")
        except (msgspec.DecodeError, UnicodeError):
            answer, delay = _refusal(None, VenueError(-1100, name="frame", legal="JSON")), 0
        except VenueError as refusal:
            answer, delay = _refusal(None, refusal), 0
        else:
            answered = self._execute(frame, ip, shows_limits=shows_limits)
            if answered is None:
                if transport is not None:
                    transport.abort()
                return
            answer, delay = answered
        task = asyncio.create_task(_send(socket, encode(answer), delay), name="paper ws answer")
        answers.add(task)
        task.add_done_callback(answers.discard)

    def _execute(
        self, frame: Mapping[str, Any], ip: str, *, shows_limits: bool
    ) -> tuple[dict[str, Any], int] | None:
        """Answer and its delay in ms; None to hang up."""
        number, method, given = frame.get("id"), frame.get("method"), frame.get("params", {})
        if isinstance(number, bool) or not isinstance(number, int | str | None):
            return _refusal(None, VenueError(-1130, name="id")), 0
        received = time.time_ns()
        house, now = self._house, self._clock()
        call = Call(house, str(method), Params.of_json(given), ip, now)
        values = call.params.as_dict()
        before, after = house.faults.strike_before(call.route, values, now), None
        try:
            reply = UNKNOWN if before else self._answer(call, given)
            after = house.faults.strike_after(call.route, values, now)
        except VenueError as refusal:
            reply = refused(refusal)
        struck = before or after
        house.note(
            call.route, call.params, reply.status, reply.code, received, struck.fault if struck else None
        )
        if struck is not None and struck.fault in HANG_UPS:
            return None
        if struck is not None and struck.fault == "unknown_503":
            reply = UNKNOWN
        delay = struck.ms if struck else 0
        kind = "result" if reply.status == 200 else "error"
        answer: dict[str, Any] = {"id": number, "status": reply.status, kind: msgspec.Raw(reply.body)}
        own = frame.get("returnRateLimits", given.get("returnRateLimits"))
        if shows_limits if own is None else own is True:
            answer["rateLimits"] = house.limits.counts(ip, now)
        return answer, delay

    def _answer(self, call: Call, given: Mapping[str, Any]) -> Reply:
        house = self._house
        route = METHODS.get(call.route)
        if route is None:
            raise VenueError(-1020)
        spend(route, call)
        if route.security is not Security.NONE:
            check_key(call.params.text("apiKey"), house.api_key, call.ip)
        if route.security is Security.SIGNED:
            call.params.required("timestamp")
            check_signature(call.params, house.api_secret, payloads_of_json(given))
            check_window(call.params, call.now)
        return run(route, call)


async def _send(socket: web.WebSocketResponse, answer: bytes, delay: int) -> None:
    if delay:
        await asyncio.sleep(delay / 1000)
    try:
        await socket.send_str(answer.decode())
    except ConnectionError:
        return


def _refusal(number: int | str | None, refusal: VenueError) -> dict[str, Any]:
    return {"id": number, "status": refusal.status, "error": refusal.as_dict()}
