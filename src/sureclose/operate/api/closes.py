"""What is done at ``/v1/closes``: ask for one, look at one, list them."""

import asyncio
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Final
from urllib.parse import quote

from aiohttp import web

from sureclose.operate.api import events
from sureclose.operate.api.admission import Admission
from sureclose.operate.api.bodies import CloseBody, CloseList, read_body
from sureclose.operate.api.operations import ID, KEY, Operation, Parameter
from sureclose.operate.api.problems import Kind
from sureclose.operate.api.reading import (
    document,
    idempotency_key,
    json_object,
    limit_of,
    unknown_close,
    wait_of,
    wanted_close,
)
from sureclose.operate.api.tokens import Token
from sureclose.operate.api.waiting import Waiting
from sureclose.operate.api.wishes import Answer, Sender, kept, log_answers, take_in
from sureclose.operate.closes import CloseView, look, look_at
from sureclose.operate.session import Session
from sureclose.services.http import TIMEOUT_S
from sureclose.services.settings_tokens import Scope

LONGEST_WAIT_S: Final = 30.0
_LISTED: Final = 20
_MOST_LISTED: Final = 100
_SILENT: Final = "the log does not answer, so nothing is known of the close"


class Closes:
    """The handlers."""

    def __init__(self, session: Session, waiting: Waiting, admission: Admission) -> None:
        self._session = session
        self._admission = admission
        self._waiting = waiting

    async def ask(self, request: web.Request, token: Token) -> web.StreamResponse:
        sender = Sender(token, idempotency_key(request))
        fields = await json_object(request)
        async with kept(self._session, sender, fields):
            answer = await take_in(self._session, sender, read_body(fields, CloseBody))
        return accepted(answer)

    async def tell(self, request: web.Request, _: Token) -> web.StreamResponse:
        wanted, seconds = wanted_close(request), wait_of(request, LONGEST_WAIT_S)
        async with log_answers(_SILENT):
            view = await self._seen(wanted, seconds, lambda: request.transport is None)
        if view is None:
            raise unknown_close()
        return document(view)

    async def follow(self, request: web.Request, _: Token) -> web.StreamResponse:
        return await events.stream(request, self._waiting, wanted_close(request))

    async def list(self, request: web.Request, token: Token) -> web.StreamResponse:
        limit = limit_of(request, default=_LISTED, most=_MOST_LISTED)
        async with log_answers(_SILENT):
            plans = await self._newest(limit)
            self._admission.charge(token, max(1, len(plans)))
            views = await asyncio.gather(*(look_at(self._session, plan) for plan in plans))
        return document(CloseList(closes=tuple(view for view in views if view is not None)))

    async def _seen(self, wanted: str, seconds: float, has_gone: Callable[[], bool]) -> CloseView | None:
        if not seconds:
            return await look(self._session, wanted)
        with self._waiting.seat():
            return await self._waiting.outcome(wanted, seconds, has_gone)

    async def _newest(self, limit: int) -> Sequence[str]:
        """Open closes, then those that ended and are still in the log; the newest first."""
        keys, wire = self._session.keys, self._session.wire
        found: dict[str, None] = {}
        for key in (keys.open, keys.finished):
            newest = await wire.execute_command(b"ZREVRANGE", key, 0, limit - 1)
            found |= dict.fromkeys(plan.decode() for plan in newest)
        return list(found)[:limit]

    def operations(self) -> tuple[Operation, ...]:
        return (
            Operation(
                method="POST",
                path="/v1/closes",
                name="askForClose",
                summary="Ask for a close",
                description="Says the wish and answers with its address; what became of it is told there. A partial close "
                "needs an Idempotency-Key or an intent_id. A close that comes with a person's token is that person's warrant: "
                "it passes under freeze.",
                handler=self.ask,
                scope=Scope.CLOSE,
                body=CloseBody,
                answer=CloseView,
                status=HTTPStatus.ACCEPTED,
                parameters=(KEY,),
                problems=(
                    Kind.KEY_NEEDED,
                    Kind.CONFLICT,
                    Kind.TOO_LARGE,
                    Kind.NOT_JSON,
                    Kind.KEY_REUSED,
                    Kind.INVALID,
                    Kind.REFUSED,
                ),
            ),
            Operation(
                method="GET",
                path="/v1/closes",
                name="listCloses",
                summary="The newest closes",
                description="Closes that an executor has taken in: those under way, then those that ended within "
                "journal.archive_after_s, the newest first. A wish that nobody has taken in yet is at its own address only.",
                handler=self.list,
                scope=Scope.READ,
                answer=CloseList,
                parameters=(
                    Parameter(
                        name="limit",
                        where="query",
                        description=f"How many; {_LISTED} without it.",
                        schema={"type": "integer", "minimum": 1, "maximum": _MOST_LISTED},
                    ),
                ),
            ),
            Operation(
                method="GET",
                path="/v1/closes/{id}",
                name="getClose",
                summary="How far a close is",
                description="As the journal and the streams have it. `final` says that nothing follows by itself.",
                handler=self.tell,
                scope=Scope.READ,
                answer=CloseView,
                parameters=(
                    ID,
                    Parameter(
                        name="wait",
                        where="query",
                        description="Answer when the close is final, or after that time: `5s`, `500ms`, at most "
                        f"{LONGEST_WAIT_S:g} s.",
                        schema={"type": "string", "pattern": "^[0-9]{1,6}(ms|s)$"},
                    ),
                ),
                problems=(Kind.UNKNOWN_CLOSE, Kind.TOO_MANY_WAITING),
                timeout_s=LONGEST_WAIT_S + TIMEOUT_S,
            ),
            Operation(
                method="GET",
                path="/v1/closes/{id}/events",
                name="followClose",
                summary="A close as it goes on",
                description="Server-sent events named `close`, whose data is the close's document: the state now, then each "
                "change; the stream ends with the final one. Comments keep it open. Where the log stops answering the stream "
                "ends, and a client asks again.",
                handler=self.follow,
                scope=Scope.READ,
                answer=str,
                media=events.MEDIA,
                parameters=(
                    ID,
                    Parameter(
                        name="Last-Event-ID",
                        where="header",
                        description="The last event that was seen; it is not told again.",
                        schema={"type": "string"},
                    ),
                ),
                problems=(Kind.UNKNOWN_CLOSE, Kind.TOO_MANY_WAITING),
                timeout_s=None,
            ),
        )


def accepted(answer: Answer) -> web.Response:
    """202: the wish is in the log. The header says whether it was there before."""
    headers = {"Location": f"/v1/closes/{quote(answer.view.id, safe='')}"}
    if not answer.fresh:
        headers["Idempotency-Replayed"] = "true"
    return document(answer.view, HTTPStatus.ACCEPTED, headers)
