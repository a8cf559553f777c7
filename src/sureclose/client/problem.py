"""Problem details for HTTP APIs (RFC 9457), as far as a client needs them."""

import contextlib
from http import HTTPStatus

import msgspec

NO_ANSWER = "about:blank"


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """What went wrong. ``status`` is 0 where there was no answer at all."""

    type: str = NO_ANSWER
    title: str = ""
    status: int = 0
    detail: str = ""
    reason: str = ""
    """One word for why a wish is refused."""
    remedy: str = ""


def problem_of(status: int, body: bytes) -> Problem:
    """The problem of an answer; one without a readable body is known by its status."""
    known = Problem()
    with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError):
        known = msgspec.json.decode(body, type=Problem)
    title = known.title or _phrase(status)
    return msgspec.structs.replace(known, status=status, title=title)


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return f"status {status}"
