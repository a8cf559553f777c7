"""The documents of this door: what it takes and what it answers. The OpenAPI document is made from these."""

import json
from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Final, TypeVar

import msgspec

from sureclose.domain.ids import digest
from sureclose.domain.words import Mode, PositionSide
from sureclose.operate.api.problems import Kind, Problem
from sureclose.operate.closes import CloseView
from sureclose.streams.fields import DoubtError, number_of, shown

LONGEST_ID: Final = 200
"""Characters of an intent's id, as the codec has it."""
_AMOUNTS: Final[Mapping[str, int | None]] = {"fraction": 1, "quantity": None}
"""What may be at most. Zero is how older producers leave an amount unsaid; here it is left out."""

Body = TypeVar("Body", bound="AnyBody")
Symbol = Annotated[
    str,
    msgspec.Meta(min_length=1, max_length=40, description="As the venue spells it.", examples=["ETHUSDT"]),
]
Fraction = Annotated[
    Decimal,
    msgspec.Meta(
        description="Of the position: above 0, at most 1. A text or a number; both are read exactly.",
        examples=["0.5"],
    ),
]
Quantity = Annotated[
    Decimal,
    msgspec.Meta(
        description="A maximum in base units, above 0. A text or a number; both are read exactly.",
        examples=["1.25"],
    ),
]
Reason = Annotated[
    str, msgspec.Meta(max_length=1_000, description="For the record; it changes nothing else.")
]
Expiry = Annotated[
    str | int,
    msgspec.Meta(
        description="Until when it may be acted upon, at most 24 h ahead: ISO 8601 in UTC, or milliseconds since the epoch. "
        "Without it: one minute."
    ),
]
IntentId = Annotated[
    str,
    msgspec.Meta(
        min_length=1,
        max_length=LONGEST_ID,
        description="The name of the wish, through whatever door it comes; the same again is the same close.",
    ),
]
ForMode = Annotated[
    Mode,
    msgspec.Meta(description="What it was decided for. One of another environment than this one is refused."),
]


class Side(StrEnum):
    """A side of the market."""

    LONG = "long"
    SHORT = "short"


class AnyBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A wish of either kind. A field that is left out and one that is ``null`` are the same."""

    fraction: Fraction | None = None
    reason: Reason = ""
    expires_at: Expiry | None = None
    mode: ForMode | None = None

    @property
    def said(self) -> str:
        """A digest of what is said, the same however its numbers and its order are written."""
        plain = msgspec.to_builtins(self, builtin_types=(Decimal,))
        amounts = {
            name: format(amount.normalize(), "f")
            for name, amount in plain.items()
            if isinstance(amount, Decimal)
        }
        return digest(type(self).__name__, msgspec.json.encode(plain | amounts, order="sorted").decode())


class CloseBody(AnyBody, frozen=True, kw_only=True):
    """A wish for one close. Without ``fraction`` and ``quantity`` it is for all of the position."""

    symbol: Symbol
    position_side: PositionSide = PositionSide.BOTH
    quantity: Quantity | None = None
    intent_id: IntentId | None = None

    @property
    def partial(self) -> bool:
        """Whether a second one of the same would close more."""
        return self.quantity is not None or (self.fraction is not None and self.fraction != 1)


class CloseAllBody(AnyBody, frozen=True, kw_only=True):
    """A wish for a close of each open position, or of those that the filter names."""

    side: Side | None = None
    symbols: Annotated[tuple[Symbol, ...], msgspec.Meta(min_length=1, max_length=1_000)] | None = None


class CloseList(msgspec.Struct, frozen=True, kw_only=True):
    """Several closes, each as it is known now."""

    closes: tuple[CloseView, ...]


class CloseAllAnswer(CloseList, frozen=True, kw_only=True):
    """The closes that were asked for. What was not open when it was first asked for is not among them."""

    not_open: tuple[str, ...] = ()
    """Symbols of the filter that had no position."""


class ProblemDocument(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong, as RFC 9457 has it. ``detail`` says what to do."""

    type: str
    title: str
    status: int
    detail: str
    reason: str | None = None
    """One word for why a wish is refused: ``expired``, ``absurd``, ``other_mode``."""
    remedy: str | None = None
    intent_id: str | None = None
    path: str | None = None
    """Where in an alert it stands."""
    scope: str | None = None
    """What the token lacks."""


class _Twice(ValueError):
    pass


def read_object(raw: bytes) -> dict[str, Any]:
    """The body as an object with exact numbers: no float is made. Raises ``Problem``."""
    try:
        found = _JSON.decode(raw.decode())
    except _Twice as error:
        raise Problem(Kind.MALFORMED, f"{error}; write each field once") from None
    except (ValueError, ArithmeticError, RecursionError):
        raise Problem(Kind.MALFORMED, "the body is not JSON; send one flat object") from None
    if not isinstance(found, dict):
        raise Problem(Kind.MALFORMED, "the body is JSON but no object; send one flat object")
    return found


def read_body(fields: Mapping[str, Any], kind: type[Body]) -> Body:
    """The object as one of the bodies. Raises ``Problem`` that names what is wrong."""
    known = kind.__struct_fields__
    try:
        body = msgspec.convert(
            {
                name: _exact(name, value)
                for name, value in fields.items()
                if value is not None or name not in known
            },
            kind,
        )
    except DoubtError as doubt:
        raise Problem(Kind.REFUSED, str(doubt), reason="absurd", remedy=doubt.unreadable.remedy) from None
    except msgspec.ValidationError as error:
        raise Problem(
            Kind.INVALID, str(error), remedy="/v1/docs lists the fields and what they hold"
        ) from None
    for name, value in fields.items():
        if not all(map(_sound, value if isinstance(value, list) else [value])):
            raise Problem(Kind.INVALID, f"{name} holds what is no text", remedy=f"write {name} as plain text")
    return body


def _exact(name: str, value: Any) -> Any:
    """Amounts by the one rule for numbers; a time that is a whole number as that."""
    if name in _AMOUNTS and isinstance(value, str | Decimal):
        amount, most = number_of(name, str(value)), _AMOUNTS[name]
        if amount <= 0 or (most is not None and amount > most):
            said = "above 0" if most is None else f"above 0 and at most {most}"
            raise DoubtError(
                f"{name} is {shown(str(value))}", f"write {name} {said}, or leave it out for all"
            )
        return amount
    if name == "expires_at" and isinstance(value, Decimal) and value.adjusted() < 20 and not value % 1:
        return int(value)
    return value


def _sound(value: Any) -> bool:
    """Whether it can be written as UTF-8: JSON can spell half a character."""
    try:
        str(value).encode()
    except UnicodeEncodeError:
        return False
    return True


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _Twice(f"{twice!r} stands twice")
    return found


def _no_number(word: str) -> Any:
    raise ValueError(f"{word} is no number of JSON")


_JSON: Final = json.JSONDecoder(
    object_pairs_hook=_once, parse_float=Decimal, parse_int=Decimal, parse_constant=_no_number
)
