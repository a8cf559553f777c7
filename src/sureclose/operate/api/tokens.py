"""Who asks: bearer tokens, told apart by their digests in constant time."""

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from typing import Final

import msgspec

from sureclose.services.settings import HttpSettings
from sureclose.services.settings_tokens import DEFAULT_TOKEN, Scope, TokenSettings

_LONGEST: Final = 512
"""Characters of a token that are looked at; ours have 46."""


class Token(msgspec.Struct, frozen=True):
    """A known token. ``name`` is the actor of what is asked for with it; the secret is nowhere in it."""

    name: str
    scopes: frozenset[Scope]
    person: bool


class Minted(msgspec.Struct, frozen=True, kw_only=True):
    """A new token. The secret is told once and kept nowhere; the settings are what the configuration needs."""

    secret: str
    settings: TokenSettings

    def __repr__(self) -> str:
        return f"Minted(settings={self.settings!r})"


class Tokens:
    """The configured tokens. How long a look takes says nothing of which there are, nor how near a guess was."""

    def __init__(self, settings: HttpSettings) -> None:
        self._known = [
            (bytes.fromhex(one.sha256), Token(one.name, frozenset(one.scopes), one.person))
            for one in settings.tokens
        ]
        if settings.token:
            self._known.append(
                (_digest(settings.token), Token(DEFAULT_TOKEN, frozenset(Scope), person=False))
            )

    def __bool__(self) -> bool:
        return bool(self._known)

    def find(self, secret: str) -> Token | None:
        """The token with this secret."""
        wanted = _digest(secret[:_LONGEST])
        found = None
        for digest, token in self._known:
            if hmac.compare_digest(digest, wanted):
                found = token
        return found


def mint(name: str, scopes: Sequence[Scope], *, person: bool) -> Minted:
    """A token of 256 bits of chance; raises ``ValueError`` for a name that is none."""
    secret = f"sct_{secrets.token_urlsafe(32)}"
    digest = hashlib.sha256(secret.encode()).hexdigest()
    settings = TokenSettings(name=name, sha256=digest, scopes=tuple(scopes), person=person)
    return Minted(secret=secret, settings=settings)


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode(errors="backslashreplace")).digest()
