"""The parameters of one request: all strings, read with Binance's refusals for what is missing or malformed."""

import re
from collections.abc import Container, Mapping
from decimal import Decimal
from typing import Any
from urllib.parse import unquote_plus

from sureclose.paper.errors import NUMBER_RANGE, VenueError

_NUMBER = re.compile(r"[0-9]{1,20}(\.[0-9]{1,20})?")
_INTEGER = re.compile(r"-?[0-9]{1,19}")
_INTEGER_RANGE = "^[0-9]{1,20}$"
_TRUTH = {"true": True, "false": False}
_LARGEST = 2**63 - 1


class Number:
    """A decimal as sent, with the number of decimals that it really needs."""

    __slots__ = ("places", "value")

    def __init__(self, text: str) -> None:
        self.value = Decimal(text)
        self.places = len(text.partition(".")[2].rstrip("0"))


class Params:
    """Named strings of one request. Reading a wrong one raises the refusal that Binance would give."""

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values

    @classmethod
    def of_wire(cls, query: str, body: str) -> "Params":
        """From a raw query string and form body; where both name a parameter the query wins."""
        return cls({**_decoded(body), **_decoded(query)})

    @classmethod
    def of_json(cls, values: Mapping[str, Any]) -> "Params":
        """From a JSON object; null means not sent."""
        return cls({name: json_text(value) for name, value in values.items() if value is not None})

    def as_dict(self) -> dict[str, str]:
        return {name: value for name, value in self._values.items() if name != "signature"}

    def has(self, name: str) -> bool:
        return name in self._values

    def text(self, name: str) -> str | None:
        value = self._values.get(name)
        if value == "":
            raise VenueError(-1105, name=name)
        return value

    def required(self, name: str) -> str:
        value = self._values.get(name)
        if not value:
            raise VenueError(-1102, name=name)
        return value

    def integer(self, name: str, *, least: int = 0) -> int | None:
        value = self.text(name)
        if value is None:
            return None
        if not _INTEGER.fullmatch(value):
            raise VenueError(-1100, name=name, legal=_INTEGER_RANGE)
        number = int(value)
        if not least <= number <= _LARGEST:
            raise VenueError(-1130, name=name)
        return number

    def required_integer(self, name: str, *, least: int = 0) -> int:
        self.required(name)
        value = self.integer(name, least=least)
        assert value is not None
        return value

    def number(self, name: str) -> Number | None:
        value = self.text(name)
        if value is None:
            return None
        if not _NUMBER.fullmatch(value):
            raise VenueError(-1100, name=name, legal=NUMBER_RANGE)
        return Number(value)

    def required_number(self, name: str) -> Number:
        self.required(name)
        value = self.number(name)
        assert value is not None
        return value

    def flag(self, name: str) -> bool | None:
        """true or false in any case: Nautilus writes True."""
        value = self.text(name)
        if value is None:
            return None
        truth = _TRUTH.get(value.lower())
        if truth is None:
            raise VenueError(-1130, name=name)
        return truth

    def choice(self, name: str, allowed: Container[str], code: int) -> str | None:
        value = self.text(name)
        if value is not None and value not in allowed:
            raise VenueError(code, name=name)
        return value

    def required_choice(self, name: str, allowed: Container[str], code: int) -> str:
        self.required(name)
        value = self.choice(name, allowed, code)
        assert value is not None
        return value


def json_text(value: Any) -> str:
    """A JSON value as the parameter string it stands for, and as it is signed."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _decoded(raw: str) -> dict[str, str]:
    values: dict[str, str] = {}
    for pair in raw.split("&"):
        if not pair:
            continue
        name, _, value = pair.partition("=")
        try:
            name, value = unquote_plus(name, errors="strict"), unquote_plus(value, errors="strict")
        except UnicodeDecodeError as error:
            raise VenueError(
                -1100, name=name[:40].encode("ascii", "replace").decode(), legal="UTF-8"
            ) from error
        if name in values:
            raise VenueError(-1101, name=name)
        values[name] = value
    return values
