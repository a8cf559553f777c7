"""The tokens of the HTTP door, as the configuration has them: a name, what it may do, and a digest in place of the secret."""

import re
from collections.abc import Sequence
from enum import StrEnum
from typing import Final

import msgspec

DEFAULT_TOKEN: Final = "default"  # noqa: S105 - the name of a token, not a token
"""What the token of ``http.token`` is called: a machine's, with every scope."""
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


class Scope(StrEnum):
    """What a token allows. None includes another."""

    READ = "read"
    """Look at closes."""
    CLOSE = "close"
    """Ask for one."""
    CLOSE_ALL = "close_all"
    """Ask for one of each open position."""


class TokenSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[[http.tokens]]``: `sureclose token new NAME` writes the lines. Who has the file can't use the token."""

    name: str
    """Who uses it: the actor of what is asked for with it, in journal and traces."""
    sha256: str
    scopes: tuple[Scope, ...] = (Scope.READ, Scope.CLOSE)
    person: bool = False
    """A close that comes with it is a person's, so it carries a warrant and passes under freeze."""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError("a name in http.tokens has 1 to 64 letters, digits, dots, dashes or underscores")
        if not _SHA256.fullmatch(self.sha256):
            raise ValueError(
                f"sha256 of the token {self.name} must be 64 lower-case hex digits; `sureclose token new` writes them"
            )
        if not self.scopes:
            raise ValueError(f"the token {self.name} has no scopes; give it read, close or close_all")


def check_tokens(tokens: Sequence[TokenSettings], *, default: bool) -> None:
    """Raises ``ValueError`` where two tokens could be taken for each other; ``default`` says that ``http.token`` is set."""
    names = [DEFAULT_TOKEN] * default + [token.name for token in tokens]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"two tokens are called {name}; each in http.tokens needs a name of its own")
    secrets = [token.sha256 for token in tokens]
    if len(set(secrets)) < len(secrets):
        raise ValueError("two tokens in http.tokens have the same sha256; each needs a secret of its own")
