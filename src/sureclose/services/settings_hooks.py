"""``[hooks.NAME]``: who may post alerts, how its secret comes, and where in an alert the close stands."""

import re
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Final

import msgspec

from sureclose.domain.alert import Place, Template

NAME: Final = re.compile(r"[a-z0-9]+(?:_[a-z0-9]+)*")
"""What a hook may be called: what a variable of the environment can name, which has no case and no dash."""
_SECRET: Final = re.compile(r"(?=[^A-Za-z]*[A-Za-z])[A-Za-z0-9._~+/=:@%!*#-]{16,256}")
_HEADER: Final = re.compile(r"[A-Za-z0-9-]{1,64}")
_QUERY: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_PLACES: Final = ("symbol", "position_side", "fraction", "quantity", "reason", "expires_at", "timestamp")


class SecretFileUnreadable(ValueError):
    """The secret of a hook can't be read from its file."""


class Carrier(StrEnum):
    """How a sender shows that it knows the secret."""

    BODY = "body"
    """It stands in the alert; for senders that can set nothing but its text."""
    QUERY = "query"
    HEADER = "header"
    HMAC_SHA256 = "hmac-sha256"
    """The header holds the HMAC-SHA256 of the body as it came, in hex or base64."""


class SecretIn(msgspec.Struct, frozen=True):
    """``secret_in``, taken apart."""

    carrier: Carrier
    name: str
    """Of the header or the parameter."""
    place: Place | None = None
    """In the body."""

    @classmethod
    def parse(cls, text: str) -> "SecretIn":
        """Raises ``ValueError`` for what is none."""
        word, _, name = text.partition(":")
        carrier = next((one for one in Carrier if one == word), None)
        if carrier is Carrier.BODY and name:
            place = Place.parse(name if name.startswith("$") else f"$.{name}")
            if place.steps:
                return cls(carrier, name, place)
        elif carrier is not None and (_QUERY if carrier is Carrier.QUERY else _HEADER).fullmatch(name):
            return cls(carrier, name)
        raise ValueError(
            f"secret_in is {text!r}; write body:FIELD, query:NAME, header:NAME or hmac-sha256:HEADER"
        )


class When(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One condition of ``when``: what has to stand at a place for the alert to be a wish."""

    path: str
    accept: tuple[str, ...]

    def __post_init__(self) -> None:
        Place.parse(self.path)
        if not self.accept:
            raise ValueError(f"when: list in accept what may stand at {self.path}")


class HookSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One sender. A text that begins with ``$`` is a place in its alert, any other one is what it says."""

    secret: str = ""
    secret_file: str = ""
    """Holds the secret, where ``secret`` and ``SURECLOSE__HOOKS__NAME__SECRET`` are not set."""
    secret_in: str = ""
    template: str = ""
    """For alerts that are a sentence: ``close {symbol} {secret}``; its blanks are ``$.symbol`` and ``$.secret``."""
    each: str = ""
    """A list of which every element is an alert, for senders that put several into one body; places are then in the element."""
    symbol: str = ""
    symbols: dict[str, str] = {}
    """What the sender calls a symbol, and what the venue does. ``EXCHANGE:`` before and ``.P`` behind need no line here."""
    position_side: str = ""
    fraction: str = ""
    """Neither this nor ``quantity``: all of the position."""
    quantity: str = ""
    reason: str = ""
    expires_at: str = ""
    timestamp: str = ""
    """When the alert was made; an older one than ``max_age_s`` is a replay."""
    max_age_s: int = 60
    identity: tuple[str, ...] = ()
    """What makes two alerts one. Empty: all that they say, but for the secret."""
    when: tuple[When, ...] = ()
    """What an alert has to say to be a wish; any other is ignored."""

    def __post_init__(self) -> None:
        if self.secret_in:
            SecretIn.parse(self.secret_in)
        if self.template:
            Template.parse(self.template)
        if self.each:
            Place.parse(self.each)
            if self.template:
                raise ValueError("each is for lists in JSON; a sentence of template holds one alert")
        for name in _PLACES:
            if getattr(self, name).startswith("$"):
                Place.parse(getattr(self, name))
        for text in self.identity:
            if not text.startswith("$"):
                raise ValueError(f"identity: {text!r} is the same in each alert; name places such as $.time")
            Place.parse(text)
        if self.fraction and self.quantity:
            raise ValueError("fraction and quantity can't both be set")
        if not 1 <= self.max_age_s <= 86_400:
            raise ValueError("max_age_s must be from 1 to 86400")
        if self.secret and not _SECRET.fullmatch(self.secret):
            raise ValueError(
                "secret must have 16 to 256 letters, digits or signs of ._~+/=:@%!*#-, a letter among them; `openssl rand -hex 16` makes one"
            )

    def __repr__(self) -> str:
        return f"HookSettings(secret_in={self.secret_in!r}, symbol={self.symbol!r})"

    @property
    def carrier(self) -> SecretIn:
        return SecretIn.parse(self.secret_in)


def check_hooks(hooks: Mapping[str, HookSettings]) -> None:
    """Raises ``ValueError`` for a hook that nobody may use, or anybody."""
    for name in hooks:
        if not NAME.fullmatch(name) or len(name) > 64:
            raise ValueError(
                f"a hook can't be called {name!r}; use lower-case letters and digits, with single underscores between"
            )


def check_secrets(hooks: Mapping[str, HookSettings]) -> None:
    """For who takes alerts; other commands, ``panic`` above all, go without, and with what is half set.

    Raises ``ValueError``.
    """
    for name, hook in hooks.items():
        try:
            SecretIn.parse(hook.secret_in)
        except ValueError as error:
            raise ValueError(f"hooks.{name}.{error}") from None
        if not hook.symbol:
            raise ValueError(f"hooks.{name}.symbol is not set; name its place in the alert, such as $.ticker")
        if not hook.secret:
            if hook.secret_file:
                secret_of_file(name, hook.secret_file)
            raise ValueError(
                f"the hook {name} has no secret, so that anybody could close through it; set "
                f"SURECLOSE__HOOKS__{name.upper()}__SECRET, or hooks.{name}.secret_file"
            )


def secret_of_file(name: str, file: str) -> str:
    """The secret that the file holds. Raises ``SecretFileUnreadable``."""
    try:
        return Path(file).expanduser().read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SecretFileUnreadable(f"hooks.{name}.secret_file: {error}") from None
