"""Secrets that can be passed around and not be seen."""

from typing import Final, NoReturn

import msgspec

MASK: Final = "***"


class Secret:
    """A text that shows as ``***`` wherever it is printed, formatted or logged, and that nothing can serialize.

    ``reveal`` is the one way out; its callers are the signer and the request header.
    """

    __slots__ = ("__text",)

    def __init__(self, text: str) -> None:
        self.__text = text

    def reveal(self) -> str:
        return self.__text

    def scrub(self, text: str) -> str:
        """The text with every occurrence of this secret masked: for messages that come from outside."""
        return text.replace(self.__text, MASK) if self.__text else text

    def __bool__(self) -> bool:
        return bool(self.__text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other.__text == self.__text

    def __hash__(self) -> int:
        return hash((Secret, self.__text))

    def __repr__(self) -> str:
        return f"Secret({MASK!r})"

    def __str__(self) -> str:
        return MASK

    def __format__(self, _spec: str) -> str:
        return MASK

    def __reduce_ex__(self, _protocol: object) -> NoReturn:
        raise TypeError("a secret is not serialized")

    def __copy__(self) -> "Secret":
        return self

    def __deepcopy__(self, _memo: object) -> "Secret":
        return self


class Credentials(msgspec.Struct, frozen=True):
    """An API key and its secret (HMAC). Encoding this struct fails, on purpose."""

    api_key: Secret
    api_secret: Secret

    def scrub(self, text: str) -> str:
        """The text without key and secret."""
        return self.api_secret.scrub(self.api_key.scrub(text))
