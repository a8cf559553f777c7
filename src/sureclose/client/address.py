"""Where Sureclose is, and what opens it."""

import os
from typing import Final, Self

from yarl import URL

URL_VARIABLE: Final = "SURECLOSE_URL"
TOKEN_VARIABLE: Final = "SURECLOSE_TOKEN"  # noqa: S105 - the name of a variable
DEFAULT_URL: Final = "http://127.0.0.1:8710"


class Address:
    """The token is in no text that is made of this. Errors are ``ValueError`` and don't show it either."""

    __slots__ = ("token", "url")

    def __init__(self, url: str, token: str) -> None:
        parsed = URL(url)
        if (
            parsed.scheme not in {"http", "https"}
            or not parsed.host
            or parsed.query_string
            or parsed.fragment
        ):
            raise ValueError(f"a URL such as {DEFAULT_URL} is needed")
        if parsed.user is not None or parsed.password is not None:
            raise ValueError(f"the URL holds a user; a token is given as token, or as {TOKEN_VARIABLE}")
        if not token.isascii() or not token.isprintable() or " " in token:
            raise ValueError("the token is not one line of visible ASCII; give it as it was made")
        self.url = str(parsed).rstrip("/")
        self.token = token

    @classmethod
    def of(cls, url: str | None, token: str | None) -> Self:
        """As given, else from the environment, else this machine without a token."""
        found = os.environ.get(TOKEN_VARIABLE, "") if token is None else token
        return cls(url or os.environ.get(URL_VARIABLE) or DEFAULT_URL, found.strip())

    def __repr__(self) -> str:
        return self.url
