"""What can be wrong with a request, as RFC 9457 tells it: a closed list, each with a ``type`` that stays."""

import math
from enum import StrEnum
from http import HTTPStatus
from typing import Any, Final

from aiohttp import web

from sureclose.services.http import problem

WHERE: Final = "/v1/docs#"
"""A problem's ``type`` is its paragraph on the page of this door."""


class Kind(StrEnum):
    """The problems, by the last part of their ``type``."""

    MALFORMED = "malformed"
    KEY_NEEDED = "key-needed"
    TOKEN_NEEDED = "token-needed"  # noqa: S105 - a problem's name
    HOOK_UNKNOWN = "hook-unknown"
    NO_TOKENS = "no-tokens"
    SCOPE_MISSING = "scope-missing"
    UNKNOWN_CLOSE = "unknown-close"
    CONFLICT = "conflict"
    TOO_LARGE = "too-large"
    ADDRESS_TOO_LONG = "address-too-long"
    NOT_JSON = "not-json"
    KEY_REUSED = "key-reused"
    INVALID = "invalid"
    REFUSED = "refused"
    RATE = "rate"
    TOO_MANY_FAILURES = "too-many-failures"
    TOO_MANY_WAITING = "too-many-waiting"
    LOG_UNAVAILABLE = "log-unavailable"
    VENUE_UNAVAILABLE = "venue-unavailable"

    @property
    def status(self) -> HTTPStatus:
        return _KINDS[self][0]

    @property
    def heading(self) -> str:
        return _KINDS[self][1]


_KINDS: Final = {
    Kind.MALFORMED: (HTTPStatus.BAD_REQUEST, "The request can't be read"),
    Kind.KEY_NEEDED: (HTTPStatus.BAD_REQUEST, "Idempotency-Key or intent_id is needed"),
    Kind.TOKEN_NEEDED: (HTTPStatus.UNAUTHORIZED, "A token that is known is needed"),
    Kind.HOOK_UNKNOWN: (HTTPStatus.UNAUTHORIZED, "No hook of this name has this secret"),
    Kind.NO_TOKENS: (HTTPStatus.FORBIDDEN, "No token is configured"),
    Kind.SCOPE_MISSING: (HTTPStatus.FORBIDDEN, "The token does not allow this"),
    Kind.UNKNOWN_CLOSE: (HTTPStatus.NOT_FOUND, "Nobody asked for such a close"),
    Kind.CONFLICT: (HTTPStatus.CONFLICT, "Something else was asked for under this id"),
    Kind.TOO_LARGE: (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The body is too large"),
    Kind.ADDRESS_TOO_LONG: (HTTPStatus.REQUEST_URI_TOO_LONG, "The address is too long"),
    Kind.NOT_JSON: (HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "The body is not said to be JSON"),
    Kind.KEY_REUSED: (HTTPStatus.UNPROCESSABLE_ENTITY, "The Idempotency-Key belongs to another request"),
    Kind.INVALID: (HTTPStatus.UNPROCESSABLE_ENTITY, "The body is not a wish as documented"),
    Kind.REFUSED: (HTTPStatus.UNPROCESSABLE_ENTITY, "The wish is refused"),
    Kind.RATE: (HTTPStatus.TOO_MANY_REQUESTS, "Too many requests with this token"),
    Kind.TOO_MANY_FAILURES: (HTTPStatus.TOO_MANY_REQUESTS, "Too many requests without a known token"),
    Kind.TOO_MANY_WAITING: (HTTPStatus.TOO_MANY_REQUESTS, "Too many requests are waiting"),
    Kind.LOG_UNAVAILABLE: (HTTPStatus.SERVICE_UNAVAILABLE, "The log does not answer"),
    Kind.VENUE_UNAVAILABLE: (HTTPStatus.SERVICE_UNAVAILABLE, "The venue does not answer"),
}
_PASSING: Final = 1.0
"""Seconds after which to try again what failed for a reason of ours."""


class Problem(Exception):
    """A request that is answered with an error. ``facts`` are further members of its document."""

    def __init__(
        self, kind: Kind, detail: str, *, headers: dict[str, str] | None = None, **facts: Any
    ) -> None:
        self.kind = kind
        self.detail = detail
        self.headers = headers or {}
        self.facts = {name: value for name, value in facts.items() if value}
        super().__init__(detail)

    def response(self) -> web.Response:
        return problem(
            self.kind.status,
            self.detail,
            self.headers,
            kind=WHERE + self.kind,
            title=self.kind.heading,
            facts=self.facts,
        )


def later(kind: Kind, detail: str, seconds: float = _PASSING) -> Problem:
    """A problem that passes: ``Retry-After`` is in whole seconds, so never too early."""
    return Problem(kind, detail, headers={"Retry-After": str(max(1, math.ceil(seconds)))})
