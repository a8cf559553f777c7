"""Signing: what is signed are exactly the bytes that are sent."""

import hmac
from collections.abc import Iterable
from urllib.parse import quote

from sureclose.venue.secret import Secret


def encode(parameters: Iterable[tuple[str, str]]) -> str:
    """The parameters in their order, percent-encoded as UTF-8 (RFC 3986), values only: our names need none."""
    return "&".join([f"{name}={quote(value, safe='-_.~')}" for name, value in parameters])


class Signer:
    """HMAC-SHA256 over the encoded parameters, in hex, appended as the last one (Binance docs, SIGNED endpoints)."""

    __slots__ = ("_key",)

    def __init__(self, secret: Secret) -> None:
        self._key = secret.reveal().encode()

    def signature(self, payload: str) -> str:
        return hmac.digest(self._key, payload.encode(), "sha256").hex()

    def sign(self, parameters: Iterable[tuple[str, str]]) -> str:
        """The finished query string or form body. Every signed request has at least a timestamp."""
        payload = encode(parameters)
        return f"{payload}&signature={self.signature(payload)}"
