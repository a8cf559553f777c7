"""What stands in a request beside its token: key, body, durations."""

import re
from typing import Any, Final

import msgspec
from aiohttp import ClientError, web
from aiohttp.http import HttpProcessingError

from sureclose.operate.api.bodies import read_object
from sureclose.operate.api.problems import Kind, Problem

_KEY: Final = re.compile(r"[!-~]{1,255}")
_DURATION: Final = re.compile(r"([0-9]{1,6})(ms|s)")
_COUNT: Final = re.compile(r"[1-9][0-9]{0,5}")
_NOT_CACHED: Final = {"Cache-Control": "no-store"}


def idempotency_key(request: web.Request) -> str | None:
    """The header, if it is there. Raises ``Problem``."""
    found = request.headers.getall("Idempotency-Key", [])
    if not found:
        return None
    if len(found) > 1 or not _KEY.fullmatch(found[0]):
        raise Problem(
            Kind.MALFORMED, "Idempotency-Key is one header of 1 to 255 printable characters, no spaces"
        )
    return str(found[0])


async def json_object(request: web.Request) -> dict[str, Any]:
    """The body. Raises ``Problem``."""
    if request.content_type != "application/json" or "Content-Encoding" in request.headers:
        raise Problem(Kind.NOT_JSON, "send `Content-Type: application/json`, and the body as it is")
    return read_object(await whole_body(request))


async def whole_body(request: web.Request) -> bytes:
    """The body as it came. Raises ``Problem``."""
    try:
        return bytes(await request.read())
    except web.HTTPRequestEntityTooLarge:
        raise Problem(Kind.TOO_LARGE, "http.max_body_bytes says how large a body may be") from None
    except (ClientError, HttpProcessingError, ConnectionError) as error:
        raise Problem(Kind.MALFORMED, "the body did not arrive whole; send it again") from error


def wait_of(request: web.Request, longest_s: float) -> float:
    """Seconds of ``?wait=5s``, 0 without it. Raises ``Problem``."""
    text = _query(request, "wait", {"wait"})
    if text is None:
        return 0
    found = _DURATION.fullmatch(text)
    if found is None:
        raise Problem(Kind.MALFORMED, "wait is a number with its unit, as in wait=5s or wait=500ms")
    return min(int(found[1]) / (1_000 if found[2] == "ms" else 1), longest_s)


def limit_of(request: web.Request, *, default: int, most: int) -> int:
    """How many of ``?limit=20``. Raises ``Problem``."""
    text = _query(request, "limit", {"limit"})
    if text is None:
        return default
    if not _COUNT.fullmatch(text) or int(text) > most:
        raise Problem(Kind.MALFORMED, f"limit is a whole number from 1 to {most}")
    return int(text)


def wanted_close(request: web.Request) -> str:
    """The id of the path. Raises ``Problem`` for one that nothing can be called."""
    found: str = request.match_info["id"]
    if not found.isprintable():
        raise unknown_close()
    return found


def unknown_close() -> Problem:
    return Problem(
        Kind.UNKNOWN_CLOSE,
        "nothing was asked for under this id through any door in the last 48 hours, and the journal has no such plan",
    )


def document(found: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """An answer as JSON."""
    return web.Response(
        status=status,
        body=msgspec.json.encode(found),
        content_type="application/json",
        headers=_NOT_CACHED | (headers or {}),
    )


def _query(request: web.Request, name: str, known: set[str]) -> str | None:
    if unknown := set(request.query) - known:
        raise Problem(Kind.MALFORMED, f"there is no parameter {min(unknown)!r}; there is {', '.join(known)}")
    found = request.query.getall(name, [])
    if len(found) > 1:
        raise Problem(Kind.MALFORMED, f"{name} stands twice")
    return found[0] if found else None
