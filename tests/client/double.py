"""A server of the published API that does as it is told: answers, mishaps and states come from the test."""

import asyncio
import json
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from aiohttp import web

TOKEN: Final = "a-token-of-the-tests"
FINAL: Final = frozenset({"flat", "reduced", "refused", "skipped", "parked"})


class Double:
    """Its closes by their ids, what it was asked, and what goes wrong with the next requests.

    A mishap is a status with its headers and body, or a time at which the connection is lost: ``before`` or ``after`` the
    request was acted on, or ``midway`` in its events. Served by a thread of its own, so that a test may block its own loop.
    """

    def __init__(self) -> None:
        self.url = ""
        self.closes: dict[str, dict[str, Any]] = {}
        self.asked: list[tuple[str, str, dict[str, str], Any]] = []
        self.mishaps: deque[tuple[int, dict[str, str], Any] | str] = deque()
        self._changed = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop

    @property
    def keys(self) -> list[str]:
        """The keys of the wishes, as they came."""
        return [headers["Idempotency-Key"] for method, _, headers, _ in self.asked if method == "POST"]

    def finish(self, close_id: str, state: str, **more: Any) -> None:
        """From any thread: the close is there now."""
        self._loop.call_soon_threadsafe(self._put, close_id, {"state": state, **more})

    def _put(self, close_id: str, fields: dict[str, Any]) -> None:
        self.closes[close_id] |= fields | {"final": fields["state"] in FINAL}
        self._changed.set()
        self._changed = asyncio.Event()

    async def serve(self, stop: asyncio.Event, ready: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        app = web.Application(middlewares=[self._mishap])
        app.router.add_post("/v1/closes", self._ask)
        app.router.add_post("/v1/closes:all", self._ask_all)
        app.router.add_get("/v1/closes/{id}", self._tell)
        app.router.add_get("/v1/closes/{id}/events", self._follow)
        runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = "http://{}:{}".format(*runner.addresses[0])
        ready.set()
        await stop.wait()
        await runner.cleanup()

    @web.middleware
    async def _mishap(self, request: web.Request, handler: Any) -> web.StreamResponse:
        body = await request.read()
        self.asked.append((request.method, request.path_qs, dict(request.headers), body))
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return _problem(401, "no such token", "take one of http.tokens")
        mishap = self.mishaps.popleft() if self.mishaps and self.mishaps[0] != "midway" else None
        if isinstance(mishap, tuple):
            status, headers, told = mishap
            return web.Response(
                status=status, headers=headers, text=told if isinstance(told, str) else json.dumps(told)
            )
        if mishap == "before":
            return _lose(request)
        answer: web.StreamResponse = await handler(request)
        return _lose(request) if mishap == "after" else answer

    async def _ask(self, request: web.Request) -> web.Response:
        body = json.loads(await request.read())
        close_id = body.get("intent_id") or "of-" + request.headers["Idempotency-Key"]
        known = {
            name: body[name] for name in ("symbol", "position_side", "fraction", "quantity") if name in body
        }
        if close_id in self.closes and any(self.closes[close_id].get(name) != known[name] for name in known):
            return _problem(409, "asked for already", "use another key")
        if close_id not in self.closes:
            self.closes[close_id] = {
                "id": close_id,
                "plan_id": "p1",
                "state": "received",
                "final": False,
                **known,
            }
        return web.json_response(
            self.closes[close_id], status=202, headers={"Location": f"/v1/closes/{close_id}"}
        )

    async def _ask_all(self, request: web.Request) -> web.Response:
        key = request.headers["Idempotency-Key"]
        for symbol in json.loads(await request.read())["symbols"]:
            close_id = f"{key}-{symbol}"
            if close_id not in self.closes:
                fields = {"id": close_id, "plan_id": close_id, "symbol": symbol}
                self.closes[close_id] = fields | {"state": "received", "final": False}
        closes = [one for close_id, one in self.closes.items() if close_id.startswith(key)]
        return web.json_response({"closes": closes, "not_open": []}, status=202)

    async def _tell(self, request: web.Request) -> web.Response:
        close = self.closes.get(request.match_info["id"])
        if close is None:
            return _problem(404, "nobody knows it", "ask for what was answered")
        wait = float(request.query.get("wait", "0ms").removesuffix("ms")) / 1_000
        try:
            async with asyncio.timeout(wait):
                while not close["final"]:
                    await self._changed.wait()
        except TimeoutError:
            pass
        return web.json_response(close)

    async def _follow(self, request: web.Request) -> web.StreamResponse:
        close = self.closes[request.match_info["id"]]
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await answer.prepare(request)
        while True:
            changed = self._changed
            await answer.write(f": here\n\nevent: close\ndata: {json.dumps(close)}\n\n".encode())
            if close["final"]:
                return answer
            if self.mishaps and self.mishaps[0] == "midway":
                self.mishaps.popleft()
                return _lose(request)
            await changed.wait()


def _problem(status: int, detail: str, remedy: str) -> web.Response:
    body = {"type": "urn:a", "title": "t", "status": status, "detail": detail, "remedy": remedy}
    return web.Response(status=status, text=json.dumps(body), content_type="application/problem+json")


def _lose(request: web.Request) -> web.Response:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


@contextmanager
def served() -> Iterator[Double]:
    double, ready = Double(), threading.Event()
    loop, stop = asyncio.new_event_loop(), asyncio.Event()
    thread = threading.Thread(target=loop.run_until_complete, args=(double.serve(stop, ready),))
    thread.start()
    try:
        assert ready.wait(10)
        yield double
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()
