"""The door of one process: who is admitted, to which operation, and what is told of it without a token."""

import asyncio
from http import HTTPStatus
from typing import Final

import msgspec
from aiohttp import web

from sureclose.operate.api.admission import Admission
from sureclose.operate.api.closes import Closes
from sureclose.operate.api.everything import Everything
from sureclose.operate.api.limits import Room
from sureclose.operate.api.openapi import openapi
from sureclose.operate.api.operations import Operation
from sureclose.operate.api.page import page
from sureclose.operate.api.problems import Problem
from sureclose.operate.api.waiting import Waiting
from sureclose.operate.following import Follower
from sureclose.operate.session import Session
from sureclose.services.http import Handler, Route

_PATIENCE_S: Final = 3.0
"""How long a request waits for a connection to the log, of which the door has its own: a flood here takes none from those
that close. Less than it has for its answer."""
DOCUMENT: Final = "/v1/openapi.json"
PAGE: Final = "/v1/docs"
_POLICY: Final = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}


class Door:
    """Every process has one, whatever its roles: a wish goes into the log, and whoever executes reads it there."""

    def __init__(self, session: Session) -> None:
        self._log = session.log.apart(_PATIENCE_S)
        session = msgspec.structs.replace(session, log=self._log)
        self._admission = Admission(session.http, session.monotonic)
        self._follower = Follower(session)
        waiting = Waiting(session, self._follower, Room(session.http.most_waiting))
        self.operations = (
            *Closes(session, waiting, self._admission).operations(),
            *Everything(session).operations(),
        )

    async def run(self, stop: asyncio.Event) -> None:
        """To be supervised: the reader that wakes those who wait."""
        await self._follower.run(stop)

    async def aclose(self) -> None:
        """When nobody is served any more."""
        await self._log.aclose()

    def routes(self) -> tuple[Route, ...]:
        document = openapi(self.operations)
        told = (
            Route("GET", DOCUMENT, _static(msgspec.json.encode(document), "application/json")),
            Route("GET", PAGE, _static(page(document).encode(), "text/html", _POLICY)),
        )
        return (*told, *map(self._route, self.operations))

    def _route(self, operation: Operation) -> Route:
        async def handle(request: web.Request) -> web.StreamResponse:
            try:
                token = self._admission.admit(request, operation.scope)
                return await operation.handler(request, token)
            except Problem as problem:
                return problem.response()

        return Route(operation.method, operation.path, handle, operation.timeout_s)


def _static(body: bytes, media: str, headers: dict[str, str] | None = None) -> Handler:
    async def handle(_: web.Request) -> web.Response:
        return web.Response(
            status=HTTPStatus.OK, body=body, content_type=media, charset="utf-8", headers=headers
        )

    return handle
