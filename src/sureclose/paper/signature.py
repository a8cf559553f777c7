"""Who may ask, and until when: HMAC-SHA256 signatures and the receive window."""

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import unquote_plus, urlencode

from sureclose.paper.errors import VenueError
from sureclose.paper.params import Params, json_text

DEFAULT_WINDOW_MS = 5_000
LARGEST_WINDOW_MS = 60_000
_AHEAD_MS = 1_000


def hexdigest(secret: str, payload: str) -> str:
    return hmac.new(secret.encode(), payload.encode("utf-8", "surrogateescape"), hashlib.sha256).hexdigest()


def payloads_of_wire(query: str, body: str, *, strict: bool) -> list[str]:
    """What may have been signed: the bytes as sent or, unless strict, their percent-decoded form.

    Query and body are joined by nothing, without `signature` wherever it stands. python-binance signs the decoded form.
    """
    wire = _unsigned(query) + _unsigned(body)
    return [wire] if strict else [wire, unquote_plus(wire)]


def payloads_of_json(params: Mapping[str, Any]) -> list[str]:
    """For the WebSocket API: all parameters but the signature, sorted by name."""
    pairs = sorted((name, json_text(value)) for name, value in params.items() if name != "signature")
    return ["&".join(f"{name}={value}" for name, value in pairs), urlencode(pairs)]


def check_signature(params: Params, secret: str, payloads: Iterable[str]) -> None:
    given = params.required("signature").lower().encode("utf-8", "surrogatepass")
    if not any(hmac.compare_digest(hexdigest(secret, payload).encode(), given) for payload in payloads):
        raise VenueError(-1022)


def check_window(params: Params, now: int) -> None:
    """Accept if and only if timestamp < now + 1000 and now - timestamp <= recvWindow, all in ms.

    Reference: Binance docs, timing security. The largest recvWindow is documented for Spot only.
    """
    timestamp = params.required_integer("timestamp")
    window = params.integer("recvWindow", least=1)
    if window is None:
        window = DEFAULT_WINDOW_MS
    if window > LARGEST_WINDOW_MS:
        raise VenueError(-1131)
    if timestamp >= now + _AHEAD_MS:
        raise VenueError(-1021, message="Timestamp for this request was 1000ms ahead of the server's time.")
    if now - timestamp > window:
        raise VenueError(-1021)


def deadline(params: Params) -> int:
    """The last ms of venue time at which a request may still be accepted."""
    window = params.integer("recvWindow", least=1)
    return params.required_integer("timestamp") + (DEFAULT_WINDOW_MS if window is None else window)


def _unsigned(raw: str) -> str:
    return "&".join(pair for pair in raw.split("&") if not pair.startswith("signature="))
