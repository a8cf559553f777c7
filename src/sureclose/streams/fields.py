"""The fields of one entry, whatever shape its producer gave them: unwrapped, decoded, and asked by name.

An empty field, a blank one and a JSON ``null`` all mean "not said". Numbers keep the text they were written with.
"""

import json
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final, TypeAlias

import msgspec

from sureclose.domain.actions import STEP_FRACTIONS, NotClosing, canonical, classify_action
from sureclose.domain.events import EntryRef, Veto
from sureclose.domain.times import TimeFormatError, parse_time

RawFields: TypeAlias = (
    Mapping[bytes, bytes | str] | Mapping[str, bytes | str] | Mapping[bytes | str, bytes | str]
)
"""What a Redis client hands over, with or without ``decode_responses``."""

Value: TypeAlias = str | list[Any] | dict[str, Any]
Layer: TypeAlias = dict[str, Value]

LARGEST_ENTRY: Final = 262_144
"""Bytes of names and values. A decision takes a few hundred; what is larger was not meant for this stream."""
_DEEPEST_WRAPPING: Final = 4
_LONGEST_SYMBOL: Final = 40
_LONGEST_NUMBER: Final = 128
"""More than the plain form of any number within the exponents below, so that what was read can be read again."""
LARGEST_EXPONENT: Final = 30
_SMALLEST_EXPONENT: Final = -64
_UNDECODED: Final = "surrogateescape"
"""What is no UTF-8 survives as lone surrogates, which no rule takes for a symbol, a number or a word."""
_LONGEST_RECORDED: Final = 1_000
"""Texts that are only recorded are cut here: a long reason must neither stop a close nor fill the journal."""

_HUNDRED: Final = Decimal(100)
_WRAPPINGS: Final = ("payload", "data")
_QUANTITIES: Final = ("quantity", "qty", "close_qty")
_SAY_FRACTION: Final = "write fraction as 0 < f <= 1, equal to what the action says, and leave percents out"

ENTRY_ID = re.compile(r"([0-9]{1,19})-[0-9]{1,20}")
_LOWER = re.compile(r"[a-z]+")
_VENUE_TIME = re.compile(r"0|[1-9][0-9]{12}")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_TRUE = frozenset({"true", "1", "yes"})
_FALSE = frozenset({"false", "0", "no"})


class Unreadable(msgspec.Struct, frozen=True):
    """An entry that can't be understood: why, and what its producer must do. It goes to the dead letters."""

    reason: str
    remedy: str


class DoubtError(Exception):
    """Raised where reading on would be guessing; ``decode`` turns it into ``Unreadable``."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.unreadable = Unreadable(reason, remedy)


class Fields:
    """One entry as layers, the one that wins first: payload over data over the outer fields over details."""

    __slots__ = ("layers", "winning")

    def __init__(self, layers: list[Layer]) -> None:
        self.layers = layers
        self.winning = layers[0]
        if len(layers) > 1:
            self.winning = {}
            for layer in layers:
                for name, value in layer.items():
                    self.winning[name] = self.winning.get(name) or value

    @property
    def empty(self) -> bool:
        """Whether nothing is said, be it in a wrapping that holds nothing."""
        return not any(value for name, value in self.winning.items() if name not in _WRAPPINGS)

    def value(self, name: str) -> Value:
        """The winning statement, structured if it came so; empty text when nothing was said."""
        return self.winning.get(name) or ""

    def text(self, name: str) -> str:
        """The winning statement, which has to be a scalar."""
        found = self.winning.get(name)
        return _scalar(name, found) if found else ""

    def recorded(self, name: str) -> str:
        """A text that is only kept, never obeyed: a wrong one is repaired and not refused."""
        found = self.winning.get(name)
        kept = recordable(found) if isinstance(found, str) else ""
        return "" if kept.isspace() else kept

    def nearest(self, *names: str) -> list[tuple[str, str]]:
        """What the first layer that says any of the names says of them, in the order of the names."""
        if not any(map(self.winning.get, names)):
            return []
        for layer in self.layers:
            stated = [(name, _scalar(name, found)) for name in names if (found := layer.get(name))]
            if stated:
                return stated
        return []

    def every(self, *names: str) -> list[str]:
        """All statements of all layers, for what holds as soon as anyone says it. Includes the empty ones."""
        stated = [name for name in names if name in self.winning]
        return [_scalar(name, layer[name]) for name in stated for layer in self.layers if name in layer]

    def loose(self, *names: str) -> list[str]:
        """All statements that are texts, of names that belong to nobody and may hold anything."""
        return [text for layer in self.layers for name in names if isinstance(text := layer.get(name), str)]

    def structure(self, name: str) -> Any:
        """The winning statement with JSON in text unfolded; the text itself where it is no JSON."""
        found = self.winning.get(name) or ""
        if isinstance(found, str) and found.lstrip()[:1] in {"[", "{"}:
            loaded = parse_json(found)
            return found if loaded is None else loaded
        return found

    def number(self, name: str) -> Decimal | None:
        text = self.text(name)
        return number_of(name, text) if text else None

    def positive(self, name: str) -> Decimal | None:
        """A number for which zero is no default but a mistake."""
        number = self.number(name)
        if number is not None and number <= 0:
            raise DoubtError(f"{name} is {number}", f"leave {name} out where there is none")
        return number

    def quantity(self) -> Decimal | None:
        """The stated maximum in base units; a zero is how older producers say nothing."""
        if not any(map(self.winning.get, _QUANTITIES)):
            return None
        for layer in self.layers:
            found = {
                name: number_of(name, _scalar(name, text))
                for name in _QUANTITIES
                if (text := layer.get(name))
            }
            if any(quantity < 0 for quantity in found.values()):
                raise DoubtError(
                    "a quantity is negative", "write quantity as a positive number of base units"
                )
            stated = {quantity for quantity in found.values() if quantity}
            if len(stated) > 1:
                raise DoubtError(f"{' and '.join(found)} differ", "write quantity once")
            if stated:
                return stated.pop()
        return None

    def fractions(self) -> list[Decimal]:
        """Every stated fraction, of which each has to be meant: the caller compares them."""
        stated = []
        for name, text in self.nearest("fraction", "percentage"):
            fraction = number_of(name, text)
            if not 0 < fraction <= 1:
                raise DoubtError(
                    f"{name} is {shown(text)}, in doubt between fraction and percent", _SAY_FRACTION
                )
            stated.append(fraction)
        return stated + self._of_steps()

    def check_percents(self, fraction: Decimal | None) -> None:
        """``close_pct`` and ``pct`` are percent by their names: they never say the amount, but may contradict it."""
        for name, text in self.nearest("close_pct", "pct"):
            percent = number_of(name, text)
            if percent and (fraction is None or percent != fraction * _HUNDRED):
                raise DoubtError(
                    f"{name} is {shown(text)}, which is not the fraction of the close", _SAY_FRACTION
                )

    def _of_steps(self) -> list[Decimal]:
        """The fraction of the one closing step of an older plan."""
        steps = self.structure("steps")
        if not isinstance(steps or [], list):
            raise DoubtError(
                "steps is no JSON list", "write steps as a JSON list of objects, or leave it out"
            )
        stated: list[Decimal] = []
        for step in steps or []:
            if not isinstance(step, dict):
                raise DoubtError("a step is no JSON object", "write steps as a JSON list of objects")
            word = canonical(_scalar("step", step.get("step", "")))
            said = [STEP_FRACTIONS[word]] if word in STEP_FRACTIONS else []
            if isinstance(classify_action(word), NotClosing):
                continue
            if pct := _scalar("pct", step.get("pct", "")):
                percent = number_of("pct", pct)
                if not 1 < percent <= _HUNDRED:
                    raise DoubtError(
                        f"pct is {shown(pct)}, in doubt between fraction and percent", _SAY_FRACTION
                    )
                said.append(percent / _HUNDRED)
            if not said and word.startswith("CLOSE"):
                raise DoubtError(f"the step {shown(word)} doesn't say how much", _SAY_FRACTION)
            if said and stated:
                raise DoubtError(
                    "two steps close, and it is in doubt what they close together", _SAY_FRACTION
                )
            stated += said
        return stated

    def time(self, *names: str) -> int | None:
        """The first of the names that the innermost layer states; a time that does not parse is refused."""
        for name, text in self.nearest(*names)[:1]:
            try:
                return parse_time(text)
            except TimeFormatError as error:
                raise DoubtError(
                    f"{name} is {shown(text)}, which is not understood as a time",
                    f"write {name} as ISO 8601 in UTC with milliseconds",
                ) from error
        return None

    def symbol(self) -> str:
        """Upper case in ASCII, untouched beyond it: symbols in other scripts exist."""
        text = self.text("symbol").strip()
        symbol = text.upper() if text.isascii() else _LOWER.sub(lambda found: found[0].upper(), text)
        if not symbol or len(symbol) > _LONGEST_SYMBOL or not symbol.isprintable() or " " in symbol:
            raise DoubtError(
                f"symbol is {shown(text)}" if text else "there is no symbol",
                "write symbol as the venue spells it",
            )
        return symbol

    def venue_time(self, name: str) -> int | None:
        """The venue's own milliseconds; it writes zero for what never changed."""
        text = self.text(name).strip()
        if text and not _VENUE_TIME.fullmatch(text):
            raise DoubtError(f"{name} is {shown(text)}", f"write {name} in milliseconds, as the venue does")
        return int(text) if text else None

    def refs(self, name: str) -> tuple[EntryRef, ...]:
        """The trace of an entry of ours. Another's text under that name is his, and traces nothing."""
        found = self.value(name)
        refs = []
        for part in found.split() if isinstance(found, str) else ():
            stream, _, entry_id = part.rpartition("@")
            if not stream or not part.isprintable() or not ENTRY_ID.fullmatch(entry_id):
                return ()
            refs.append(EntryRef(stream, entry_id))
        return tuple(refs)

    def codes(self, name: str) -> tuple[str, ...]:
        """Reason codes as JSON or separated by commas; recorded, never obeyed."""
        found = self.value(name)
        if isinstance(found, str) and found.startswith("["):
            found = self.structure(name)
        if isinstance(found, list):
            return tuple(recordable(code) for code in found if isinstance(code, str))
        parts = found.split(",") if isinstance(found, str) else []
        return tuple(recordable(code) for part in parts if (code := part.strip()))

    def veto(self) -> Veto | None:
        """What an older producer writes as a word is the rule."""
        found = self.structure("veto")
        if isinstance(found, dict):
            parts = (found.get(part) for part in ("rule", "threshold", "seen"))
            return Veto(*(recordable(part) if isinstance(part, str) else "" for part in parts))
        return Veto(recordable(found), "", "") if isinstance(found, str) and found else None

    def printable(self, name: str, longest: int) -> str:
        """An id: kept as it came, as long as it can be printed and is no longer than ``longest``."""
        text = self.text(name)
        if len(text) > longest or not text.isprintable():
            raise DoubtError(
                f"{name} is {shown(text)}, which is too long or has characters that can't be printed",
                f"write {name} with at most {longest} printable characters",
            )
        return text


def read_fields(raw: RawFields) -> Fields:
    """Raises ``DoubtError`` where two statements contradict each other or a wrapping can't be opened."""
    if sum(map(len, raw)) + sum(map(len, raw.values())) > LARGEST_ENTRY:
        raise DoubtError(
            f"the entry is larger than {LARGEST_ENTRY} bytes", "publish the decision, not its data"
        )
    outer: Layer = {_decoded(name): _decoded(value) for name, value in raw.items()}
    if len(outer) < len(raw):
        for name, value in raw.items():
            if outer[_decoded(name)] != _decoded(value):
                raise DoubtError(
                    f"{shown(_decoded(name))} stands twice, with two values", "write each field once"
                )
    return Fields(_layers(_unblanked(outer), 0))


def number_of(name: str, text: str) -> Decimal:
    """A finite decimal of sane size: what passes can be formatted and compared without harm."""
    stripped = text.strip()
    if len(stripped) <= _LONGEST_NUMBER and _NUMBER.fullmatch(stripped):
        number = Decimal(stripped)
        exponent = number.as_tuple().exponent
        assert isinstance(exponent, int)  # the pattern admits no NaN and no infinity
        if exponent >= _SMALLEST_EXPONENT and number.adjusted() <= LARGEST_EXPONENT:
            return number
    raise DoubtError(f"{name} is {shown(text)}, which is no number", f"write {name} as a plain decimal")


def flag_of(text: str) -> bool | None:
    """True and False as they are spelt out there, empty is False; None when the text is neither."""
    word = text.strip().lower()
    if word in _TRUE:
        return True
    return False if not word or word in _FALSE else None


def parse_json(text: str) -> Any:
    """Numbers as the text they were written with; None where the text is no JSON or states a name twice."""
    try:
        return _JSON.decode(text)
    except (ValueError, RecursionError):
        return None


def recordable(text: str) -> str:
    """The text as it can be published again: cut, and without what is no UTF-8."""
    cut = text[:_LONGEST_RECORDED]
    return cut if cut.isascii() else cut.encode("utf-8", "replace").decode()


def shown(text: str) -> str:
    """A foreign text as part of a message: short and printable."""
    return repr(text) if len(text) <= 60 else f"{text[:60]!r}..."


def _scalar(name: str, found: Value) -> str:
    if isinstance(found, str):
        return found
    raise DoubtError(f"{name} is a structure", f"write {name} as one value")


def _unambiguous(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name, value in pairs:
        if value is None:
            continue
        plain = ("true" if value else "false") if isinstance(value, bool) else value
        if made.setdefault(name, plain) != plain:
            raise ValueError(f"{name!r} stands twice")
    return made


_JSON = json.JSONDecoder(object_pairs_hook=_unambiguous, parse_float=str, parse_int=str, parse_constant=str)


def _layers(layer: Layer, depth: int) -> list[Layer]:
    """The layer with what is wrapped in it. A truncated ``details`` is only a text; a payload is the entry itself."""
    if depth > _DEEPEST_WRAPPING:
        raise DoubtError("the entry is wrapped too often", "write the fields flat")
    layers: list[Layer] = []
    for name in _WRAPPINGS:
        wrapped = layer.get(name)
        if wrapped:
            opened = _opened(wrapped)
            if opened is None:
                raise DoubtError(
                    f"{name} is no JSON object, or states a name twice",
                    f"write {name} as one JSON object, or write the fields flat",
                )
            layers += _layers(opened, depth + 1)
    layers.append(layer)
    details = _opened(layer.get("details"))
    if details:
        layers += _layers(details, depth + 1)
    return layers


def _opened(wrapped: Value | None) -> Layer | None:
    found = parse_json(wrapped) if isinstance(wrapped, str) else wrapped
    if not isinstance(found, dict):
        return None
    return _unblanked(found)


def _unblanked(layer: Layer) -> Layer:
    for name, value in layer.items():
        if isinstance(value, str) and value.isspace():
            layer[name] = ""
    return layer


def _decoded(raw: bytes | str) -> str:
    return raw if isinstance(raw, str) else str(raw, "utf-8", _UNDECODED)
