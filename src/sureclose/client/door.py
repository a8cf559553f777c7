"""The way to the API: one request, tried again only where that can't ask for anything twice."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any, Final

import aiohttp
import msgspec
from yarl import URL

from sureclose.client.address import Address
from sureclose.client.errors import (
    BadAnswer,
    ClientError,
    Conflict,
    NotFound,
    Refused,
    Unauthorised,
    Unavailable,
)
from sureclose.client.problem import Problem, problem_of
from sureclose.client.server_events import data_of

RETRIES_S: Final = (0.1, 0.3, 1.0, 2.0)
"""The pauses between the tries of one call, in seconds."""
LONGEST_PAUSE_S: Final = 10.0
"""A server that wants a longer one is told of to the caller."""
_AGAIN: Final = frozenset(
    {
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)
_EXPECTED: Final = {
    HTTPStatus.UNAUTHORIZED: Unauthorised,
    HTTPStatus.FORBIDDEN: Unauthorised,
    HTTPStatus.NOT_FOUND: NotFound,
    HTTPStatus.CONFLICT: Conflict,
}
_LOST: Final = (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, TimeoutError)
"""No answer: nobody knows whether the request was heard."""

Sleep = Callable[[float], Awaitable[None]]


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One call. Its bytes are the same in every try, and with a key or an id in them it is the same wish."""

    method: str
    path: str
    """Escaped already."""
    query: str = ""
    body: bytes | None = None
    idempotency_key: str | None = None
    intent_id: str | None = None
    patience_s: float = 0.0
    """How long the server was asked to wait with its answer."""


class Door:
    """``timeout_s`` is for one answer, beyond what the server was asked to wait. To be used on one event loop."""

    def __init__(
        self, address: Address, timeout_s: float, retries_s: Sequence[float], sleep: Sleep = asyncio.sleep
    ) -> None:
        self._address = address
        self._timeout_s = timeout_s
        self._retries_s = tuple(retries_s)
        self._sleep = sleep
        self._session: aiohttp.ClientSession | None = None

    async def disconnect(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def ask(self, request: Request) -> Mapping[str, Any]:
        """The JSON document of a good answer; raises ``ClientError``."""
        return read_document(await self._tried(request))

    async def stream(self, request: Request) -> AsyncIterator[bytes]:
        """The events of an endless answer, from the present state on; a lost line is taken up again. Raises ``ClientError``."""
        pauses = iter(self._retries_s)
        while True:
            problem = Problem(title="No answer", detail=f"{self._address.url} ends the events too early")
            try:
                async with self.opened(request, endless=True) as answer:
                    if answer.status == HTTPStatus.OK:
                        async for data in data_of(answer.content):
                            yield data
                            pauses = iter(self._retries_s)
                    else:
                        problem = problem_of(answer.status, await answer.read())
                        if answer.status not in _AGAIN:
                            raise error_of(problem)
            except _LOST as error:
                problem = self._no_answer(error)
            pause = next(pauses, None)
            if pause is None:
                raise Unavailable(problem)
            await self._sleep(pause)

    async def _tried(self, request: Request) -> bytes:
        pauses = iter(self._retries_s)
        while True:
            pause = next(pauses, None)
            try:
                async with self.opened(request) as answer:
                    body = await answer.read()
            except _LOST as error:
                problem = self._no_answer(error)
            else:
                if HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES:
                    return body
                problem = problem_of(answer.status, body)
                if answer.status not in _AGAIN:
                    raise error_of(problem)
                pause = _asked_for(answer, pause)
            if pause is None:
                raise Unavailable(
                    problem, idempotency_key=request.idempotency_key, intent_id=request.intent_id
                )
            await self._sleep(pause)

    @asynccontextmanager
    async def opened(
        self, request: Request, *, endless: bool = False
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """One try. An ``endless`` answer has no total time, but may not fall silent."""
        total = None if endless else self._timeout_s + request.patience_s
        headers = {"Accept": "text/event-stream" if endless else "application/json"}
        if request.body is not None:
            headers["Content-Type"] = "application/json"
        if request.idempotency_key is not None:
            headers["Idempotency-Key"] = request.idempotency_key
        if self._address.token:
            headers["Authorization"] = f"Bearer {self._address.token}"
        url = f"{self._address.url}{request.path}" + (f"?{request.query}" if request.query else "")
        try:
            async with self._opened().request(
                request.method,
                URL(url, encoded=True),
                data=request.body,
                headers=headers,
                allow_redirects=False,  # a token goes to nobody else
                timeout=aiohttp.ClientTimeout(total=total, connect=self._timeout_s, sock_read=_SILENCE_S),
            ) as answer:
                yield answer
        except aiohttp.ClientResponseError as error:
            status = error.status
        else:
            return
        # Not in there: that error holds the headers of the request, and so the token.
        raise BadAnswer(_bad(status, f"{self._address.url} does not speak HTTP"))

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            # Whoever waits for an outcome must not keep others from asking for a close.
            connector = aiohttp.TCPConnector(limit=0)
            self._session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
        return self._session

    def _no_answer(self, error: Exception) -> Problem:
        why = str(error) or type(error).__name__
        return Problem(
            title="No answer",
            detail=f"{self._address.url} does not answer ({why})",
            remedy="check that `sureclose run` runs, and that SURECLOSE_URL is the address that it prints",
        )


_SILENCE_S: Final = 60.0


_KEY_REUSED: Final = "#key-reused"
"""How the type of that problem ends; its status is that of a wish that makes no sense."""


def error_of(problem: Problem) -> ClientError:
    """What an answer that is no good one means."""
    if problem.type.endswith(_KEY_REUSED):
        return Conflict(problem)
    if HTTPStatus.BAD_REQUEST <= problem.status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return _EXPECTED.get(HTTPStatus(problem.status), Refused)(problem)
    return BadAnswer(problem)


def read_document(body: bytes) -> Mapping[str, Any]:
    """A JSON document; raises ``BadAnswer``."""
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadAnswer(_bad(HTTPStatus.OK, f"the answer is no JSON document ({error})")) from error


def _asked_for(answer: aiohttp.ClientResponse, pause: float | None) -> float | None:
    """The pause that the server asks for, where there is another try at all."""
    wanted = answer.headers.get("Retry-After", "")
    if pause is None or not wanted.isdecimal():
        return pause
    return float(wanted) if float(wanted) <= LONGEST_PAUSE_S else None


def _bad(status: int, detail: str) -> Problem:
    return Problem(
        status=status,
        title="Bad answer",
        detail=detail,
        remedy="check that SURECLOSE_URL is the address of a `sureclose run`, of this version or near it",
    )
