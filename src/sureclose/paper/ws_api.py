"""The WebSocket API at /ws-fapi/v1: the same operations behind another door."""

import asyncio
import struct
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from aiohttp import WSMsgType, web

from sureclose.paper import account_routes, algo_routes, market_routes, order_routes, service_routes
from sureclose.paper.answers import JSON, Delivery, Reply
from sureclose.paper.call import Call, House, Route, Security
from sureclose.paper.delivery import write_and_reset
from sureclose.paper.doors import carry_out, check_key, spend
from sureclose.paper.errors import VenueError
from sureclose.paper.params import Params
from sureclose.paper.signature import check_signature, check_window, payloads_of_json
from sureclose.paper.wire import encode

PATH = "/ws-fapi/v1"
_HANDSHAKE_WEIGHT = 5
_PING_S = 180.0
_CLOSE_S = 0.5
_HTML = "text/html"
_SHORT_FRAME = 126
_PLAIN = Reply(200, b"")
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
    "algoOrder.place": Route(algo_routes.place, Security.SIGNED, 0, 1, 1),
    "algoOrder.cancel": Route(algo_routes.cancel, Security.SIGNED),
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
        reply = _PLAIN
        try:
            frame = _DECODER.decode(raw)
            if not isinstance(frame, dict) or not isinstance(frame.get("params", {}), dict):
                raise VenueError(-1102, name="params")
        except (msgspec.DecodeError, UnicodeError):
            answer = encode(_refusal(None, VenueError(-1100, name="frame", legal="JSON")))
        except VenueError as refusal:
            answer = encode(_refusal(None, refusal))
        else:
            answer, reply = self._execute(frame, ip, shows_limits=shows_limits)
        task = asyncio.create_task(_send(socket, transport, answer, reply), name="paper ws answer")
        answers.add(task)
        task.add_done_callback(answers.discard)

    def _execute(self, frame: Mapping[str, Any], ip: str, *, shows_limits: bool) -> tuple[bytes, Reply]:
        """The answer's text, and the reply that says how it travels."""
        number, method, given = frame.get("id"), frame.get("method"), frame.get("params", {})
        if isinstance(number, bool) or not isinstance(number, int | str | None):
            return encode(_refusal(None, VenueError(-1130, name="id"))), _PLAIN
        received = time.time_ns()
        house = self._house
        if house.late:
            house.late.run_due()
        now = self._clock()
        call = Call(house, str(method), Params.of_json(given), ip, now)
        reply = carry_out(call, lambda: self._admit(call, given), received)
        if reply.content_type == _HTML:
            return reply.body, reply
        answer = {"id": number, "status": reply.status, **_content(reply)}
        own = frame.get("returnRateLimits", given.get("returnRateLimits"))
        if shows_limits if own is None else own is True:
            answer["rateLimits"] = house.limits.counts(ip, now)
        return encode(answer), reply

    def _admit(self, call: Call, given: Mapping[str, Any]) -> Route:
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
        return route


def _content(reply: Reply) -> dict[str, Any]:
    """What stands beside id and status. A text that is no JSON is an error without a code."""
    if reply.content_type == JSON:
        return {"result" if reply.status == 200 else "error": msgspec.Raw(reply.body)}
    return {"error": {"msg": reply.body.decode()}} if reply.body else {}


async def _send(
    socket: web.WebSocketResponse, transport: asyncio.Transport | None, answer: bytes, reply: Reply
) -> None:
    """One text frame. What travels slowly by HTTP comes late here, for a frame comes whole or not at all."""
    wait = reply.delay + reply.spread
    if wait:
        await asyncio.sleep(wait / 1000)
    try:
        match reply.delivery:
            case Delivery.WHOLE | Delivery.SLOWLY:
                await socket.send_str(answer.decode())
            case Delivery.HALF:
                await socket.send_str(answer[: len(answer) // 2].decode("ascii", "ignore"))
            case Delivery.NOTHING if transport is not None:
                transport.abort()
            case Delivery.CUT:
                write_and_reset(transport, _frame_head(answer) + answer[: len(answer) // 2])
            case Delivery.THEN_CUT:
                write_and_reset(transport, _frame_head(answer) + answer)
    except ConnectionError:
        return


def _frame_head(text: bytes) -> bytes:
    """The head of an unmasked text frame (RFC 6455, 5.2)."""
    if len(text) < _SHORT_FRAME:
        return struct.pack("!BB", 0x81, len(text))
    if len(text) < 1 << 16:
        return struct.pack("!BBH", 0x81, _SHORT_FRAME, len(text))
    return struct.pack("!BBQ", 0x81, _SHORT_FRAME + 1, len(text))


def _refusal(number: int | str | None, refusal: VenueError) -> dict[str, Any]:
    return {"id": number, "status": refusal.status, "error": refusal.as_dict()}
