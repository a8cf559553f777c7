"""The process's own web server: /ping, /health, /ready, /metrics, and a table for the routes that come later.

No request ends in a 500, and none hangs: what a handler can't answer in its time is a 503, with the reason in the log.
"""

import asyncio
import errno
import logging
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from http import HTTPStatus
from typing import Any, Final, Self

import msgspec
import structlog
from aiohttp import web
from aiohttp.http import HttpProcessingError

from sureclose.services.health import HealthReport, Status
from sureclose.services.metrics import CONTENT_TYPE
from sureclose.services.settings import HttpSettings

log = structlog.get_logger()

TIMEOUT_S: Final = 5.0
DRY_RUN_HEADER: Final = "Sureclose-Dry-Run"
"""A dry run takes wishes with the tokens of the real one: who asks there has to see that nothing will be sent."""
_IDLE_S: Final = 30.0
_SHUTDOWN_S: Final = 1.0
"""How long an open connection may hold up the end of the process."""
_BLANK: Final = re.compile(r"\{(\w+)\}")
"""A blank of a path, which takes all but a slash: of itself aiohttp takes no braces there, and a name may have some."""
_RETRY: Final = {"Retry-After": "1"}
_NOT_CACHED: Final = {"Cache-Control": "no-store"}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class HttpProblem(Exception):
    """The web server can't listen. A class docstring is what the operator reads."""

    def __init__(self, **facts: object) -> None:
        self.facts = facts
        super().__init__(" ".join((type(self).__doc__ or "").split()).format(**facts))


class HttpAddressTaken(HttpProblem):
    """The address {address} is in use by another process.

    Set http.port to a free port, or to 0, which takes one and prints it.
    """


class HttpAddressUnusable(HttpProblem):
    """The address {address} can't be listened on: {why}.

    Set http.host to an address of this machine (127.0.0.1 is always one) and http.port to 0 or a port above 1023.
    """


class Route(msgspec.Struct, frozen=True):
    """One line of the table. ``timeout_s`` is after what time a request is answered with 503; ``None`` where the handler sees to it."""

    method: str
    path: str
    handler: Handler
    timeout_s: float | None = TIMEOUT_S


def observation(
    health: Callable[[], HealthReport], ready: Callable[[], HealthReport], metrics: Callable[[], bytes]
) -> tuple[Route, ...]:
    """The routes that tell and change nothing. What is passed in answers without I/O."""

    async def ping(_: web.Request) -> web.Response:
        return web.Response(text="pong", headers=_NOT_CACHED)

    async def tell_health(_: web.Request) -> web.Response:
        return _told(health())

    async def tell_ready(_: web.Request) -> web.Response:
        return _told(ready())

    async def tell_metrics(_: web.Request) -> web.Response:
        return web.Response(body=metrics(), headers=_NOT_CACHED | {"Content-Type": CONTENT_TYPE})

    return (
        Route("GET", "/ping", ping),
        Route("GET", "/health", tell_health),
        Route("GET", "/ready", tell_ready),
        Route("GET", "/metrics", tell_metrics),
    )


def problem(
    status: HTTPStatus,
    detail: str,
    headers: dict[str, str] | None = None,
    *,
    kind: str = "about:blank",
    title: str = "",
    facts: Mapping[str, Any] | None = None,
) -> web.Response:
    """An error as RFC 9457 has it; ``detail`` says what to do. ``about:blank`` says no more than its status."""
    known = {"type": kind, "title": title or status.phrase, "status": status.value, "detail": detail}
    body = known | dict(facts or {})
    return web.Response(
        status=status.value,
        body=msgspec.json.encode(body),
        content_type="application/problem+json",
        headers=_NOT_CACHED | (headers or {}),
    )


class HttpServer:
    """Listens while entered. ``address`` is where, with the port that was taken when the settings say 0.

    ``port_is_default`` says that nobody chose the port: where it is taken, as by another process of ours, any will do.
    Every answer of a ``dry_run`` says that it is one, in a header.
    """

    def __init__(
        self,
        settings: HttpSettings,
        routes: Iterable[Route],
        *,
        port_is_default: bool = False,
        dry_run: bool = False,
    ) -> None:
        self._settings = settings
        self._port_is_default = port_is_default
        self._dry_run = dry_run
        self._routes = tuple(routes)
        self._runner: web.AppRunner | None = None
        self.address = ""

    async def start(self) -> str:
        """Listen; the address as ``http://host:port``. Raises ``HttpAddressTaken`` or ``HttpAddressUnusable``."""
        host, port = self._settings.host, self._settings.port
        wanted = _url(host, port)
        if not host:
            raise HttpAddressUnusable(
                address=wanted, why="http.host is empty, which would mean every interface"
            )
        app = web.Application(middlewares=[_guard], client_max_size=self._settings.max_body_bytes)
        if self._dry_run:
            app.on_response_prepare.append(_say_dry_run)
        for route in self._routes:
            path = _BLANK.sub(r"{\1:[^/]+}", route.path)
            if route.method == "GET":
                app.router.add_get(path, _limited(route))  # and HEAD
            else:
                app.router.add_route(route.method, path, _limited(route))
        runner = web.AppRunner(
            app,
            handle_signals=False,
            access_log=None,
            logger=_ServerLog("sureclose.http"),
            keepalive_timeout=_IDLE_S,
            shutdown_timeout=_SHUTDOWN_S,
            lingering_time=_SHUTDOWN_S,
        )
        await runner.setup()
        try:
            await self._listen(runner, host, port)
        except (OSError, UnicodeError) as error:
            await runner.cleanup()
            if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
                raise HttpAddressTaken(address=wanted) from error
            raise HttpAddressUnusable(address=wanted, why=error) from error
        self._runner = runner
        self.address = _url(*runner.addresses[0][:2])
        return self.address

    async def _listen(self, runner: web.AppRunner, host: str, port: int) -> None:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            if error.errno != errno.EADDRINUSE or not self._port_is_default:
                raise
            remedy = "a free port is taken; set http.port to have a fixed one"
            log.warning("http_port_taken", address=_url(host, port), remedy=remedy)
            await web.TCPSite(runner, host, 0).start()

    async def stop(self) -> None:
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()


async def _say_dry_run(_: web.Request, answer: web.StreamResponse) -> None:
    answer.headers[DRY_RUN_HEADER] = "true"


class _ServerLog(logging.Logger):
    """What aiohttp says by itself. Of bytes that are no HTTP it quotes what it could not read, which may hold a token."""

    def exception(self, msg: object, *args: object, exc_info: Any = True, **_: Any) -> None:
        if isinstance(exc_info, HttpProcessingError | web.RequestPayloadError):
            log.debug("http_not_understood", kind=type(exc_info).__name__)
        else:
            log.error("http_failed", said=str(msg) % args if args else str(msg), exc_info=exc_info)


def _limited(route: Route) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        async with asyncio.timeout(route.timeout_s):
            return await route.handler(request)

    return handle


@web.middleware
async def _guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every failure becomes an answer that a client can read; the failure itself is in the log."""
    try:
        return await handler(request)
    except web.HTTPNotFound:
        return problem(HTTPStatus.NOT_FOUND, f"there is nothing here; there is {_paths(request.app)}")
    except web.HTTPMethodNotAllowed as error:
        allowed = ", ".join(sorted(error.allowed_methods))
        detail = f"{request.method} is not possible here; use {allowed}"
        return problem(HTTPStatus.METHOD_NOT_ALLOWED, detail, {"Allow": allowed})
    except web.HTTPException as error:
        if error.status < HTTPStatus.BAD_REQUEST:
            raise
        return problem(HTTPStatus(error.status), error.text or error.reason)
    except TimeoutError:
        log.warning("http_timeout", method=request.method, path=request.path)
        return problem(HTTPStatus.SERVICE_UNAVAILABLE, "no answer in time; try again", _RETRY)
    except Exception:
        log.exception("http_failed", method=request.method, path=request.path)
        return problem(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "this failed inside; the log of the process has the reason",
            _RETRY,
        )


def _paths(app: web.Application) -> str:
    return ", ".join(sorted({resource.canonical for resource in app.router.resources()}))


def _told(report: HealthReport) -> web.Response:
    """Degraded is 200: approved closes are executed, and whoever restarts on 503 would only stop them."""
    return web.Response(
        status=HTTPStatus.SERVICE_UNAVAILABLE if report.status is Status.FAILING else HTTPStatus.OK,
        body=msgspec.json.encode(report),
        content_type="application/json",
        headers=_NOT_CACHED,
    )


def _url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
