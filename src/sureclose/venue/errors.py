"""What an answer means: exceptions for reads, and one judgement for orders.

The rule of the judgement: nothing is a failure that is not proven one.
"""

import re
from typing import Final

import msgspec

from sureclose.domain.market import Class, Refusal
from sureclose.venue.codes import CODES, PARAM_NOT_REQUIRED

_MESSAGE_LENGTH: Final = 300
_UNTIL = re.compile(r"until\s+(\d{13})\b")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


class VenueError(Exception):
    """The venue refused a read or answered something unreadable. Look at the code; don't take it for an empty answer."""

    def __init__(
        self,
        message: str,
        *,
        http_status: int | None = None,
        code: int | None = None,
        retry_after_ms: int = 0,
    ) -> None:
        super().__init__(message)
        self.http_status = http_status
        self.code = code
        self.retry_after_ms = retry_after_ms

    @property
    def remedy(self) -> str:
        """What helps, when the code is known; else an empty text."""
        row = CODES.get(self.code) if self.code is not None else None
        return "" if row is None else row.remedy


class VenueUnreachable(VenueError):
    """No answer, or none that was whole. Check the address and the network; the read may be repeated."""


class VenueIncomplete(VenueError):
    """The venue's answer can't be proven to be the whole of what was asked for. Ask for less, or look by hand."""


class WrongMode(VenueError):
    """The venue's rows speak of the other position mode than the one asked for."""

    @property
    def remedy(self) -> str:
        return "read the position mode again and build anew"


class ClockUnknown(VenueError):
    """The venue's time has never been measured. Reach the venue first."""

    def __init__(self) -> None:
        super().__init__("the venue's time has never been measured; check that the venue can be reached")


class Unanswered(msgspec.Struct, frozen=True, kw_only=True):
    """The request may have been executed: query before anything else. Not an error, a state."""

    reason: str
    http_status: int | None = None
    code: int | None = None


class ErrorBody(msgspec.Struct, frozen=True):
    """What can be read of the body of a refusal: ``{"code": -2022, "msg": "..."}`` or plain text."""

    code: int | None
    message: str


def read_body(body: bytes) -> ErrorBody:
    """Code and message of any bytes at all; what is neither JSON nor short plain text has an empty message."""
    try:
        decoded = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ErrorBody(None, _plain_text(body))
    if not isinstance(decoded, dict):
        return ErrorBody(None, decoded if isinstance(decoded, str) and len(decoded) < _MESSAGE_LENGTH else "")
    code, message = decoded.get("code"), decoded.get("msg")
    return ErrorBody(
        code if isinstance(code, int) and not isinstance(code, bool) else None,
        _CONTROL.sub(" ", message)[:_MESSAGE_LENGTH] if isinstance(message, str) else "",
    )


def classify(
    http_status: int, code: int | None, body: str, *, retry_after_ms: int = 0, now: int | None = None
) -> Refusal | Unanswered:
    """What an answer that is no acceptance means for the order it answers. Total, and never a guess.

    ``body`` is the message (or the text, when there was no JSON), ``retry_after_ms`` what a ``Retry-After`` header
    asked for, ``now`` the venue's time for messages that name the end of a ban.
    A refusal is definite only as 429 or 418, or as another 4xx (not 408) with a code that the table proves. Binance
    documents some 503 as certain failures (general info, HTTP 503, variants B to D): that stays unknown here, for a
    server in trouble is no witness, and one query costs less than an order sent twice.
    """
    row = CODES.get(code) if code is not None else None
    wait = max(retry_after_ms, ban_ms(body, now))

    def refusal(kind: Class) -> Refusal:
        return Refusal(kind=kind, http_status=http_status, code=code, message=body, retry_after_ms=wait)

    unknown = Unanswered(reason=_why_unknown(http_status, code, body), http_status=http_status, code=code)
    if http_status == 408 or not 400 <= http_status < 500:
        return unknown
    if row is not None and row.kind is Class.RESOLVE:
        return unknown
    if http_status in (418, 429):
        # the limit check stands before routing; a code that contradicts it was dealt with above
        return refusal(Class.WAIT)
    if row is not None:
        if code == PARAM_NOT_REQUIRED and "reduceonly" in body.casefold():
            # the account is in hedge mode, where the flag may not be sent: build anew
            return refusal(Class.RETRY)
        return refusal(row.kind)
    return unknown


def _plain_text(body: bytes) -> str:
    if len(body) >= _MESSAGE_LENGTH:
        return ""
    try:
        text = body.decode().strip()
    except UnicodeDecodeError:
        return ""
    return "" if "<" in text else _CONTROL.sub(" ", text)


def ban_ms(message: str, now: int | None) -> int:
    found = _UNTIL.search(message)
    return max(0, int(found[1]) - now) if found is not None and now is not None else 0


def _why_unknown(http_status: int, code: int | None, message: str) -> str:
    parts = [f"HTTP {http_status}"]
    if code is not None:
        parts.append(f"code {code}")
    parts.append(message or "no readable message")
    return ", ".join(parts)
