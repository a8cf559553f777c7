"""The table of this door: each operation with all that is true of it. Routes and the OpenAPI document are made from it."""

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

import msgspec
from aiohttp import web

from sureclose.operate.api.problems import Kind
from sureclose.operate.api.tokens import Token
from sureclose.services.http import TIMEOUT_S
from sureclose.services.settings_tokens import Scope

Handler = Callable[[web.Request, Token], Awaitable[web.StreamResponse]]

ALWAYS = (
    Kind.MALFORMED,
    Kind.TOKEN_NEEDED,
    Kind.NO_TOKENS,
    Kind.SCOPE_MISSING,
    Kind.ADDRESS_TOO_LONG,
    Kind.RATE,
    Kind.TOO_MANY_FAILURES,
    Kind.LOG_UNAVAILABLE,
)
"""Problems that any request with a token may meet."""


class Parameter(msgspec.Struct, frozen=True, kw_only=True):
    """One parameter: ``where`` is path, query or header, as OpenAPI names them."""

    name: str
    where: str
    description: str
    schema: dict[str, Any]
    required: bool = False


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the table. ``problems`` are those beyond ``ALWAYS``."""

    method: str
    path: str
    name: str
    summary: str
    description: str
    handler: Handler
    scope: Scope
    answer: Any
    body: Any = None
    status: HTTPStatus = HTTPStatus.OK
    media: str = "application/json"
    parameters: tuple[Parameter, ...] = ()
    problems: tuple[Kind, ...] = ()
    timeout_s: float | None = TIMEOUT_S


KEY = Parameter(
    name="Idempotency-Key",
    where="header",
    description="Up to 255 printable characters. The same key with the same body is the same request, for 48 hours; keys of "
    "other tokens are others.",
    schema={"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
)
ID = Parameter(
    name="id",
    where="path",
    description="The intent_id of the wish, as the answer to it says; its plan_id is understood as well.",
    schema={"type": "string", "minLength": 1},
    required=True,
)
