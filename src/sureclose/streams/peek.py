"""What an entry says of itself, read and not interpreted: for the account of entries that nothing can be made of.

Nothing is decided by it. Whether an entry may be executed is the codec's to say, or is settled by its age.
"""

from typing import Any, Final, NamedTuple

import msgspec

from sureclose.streams.fields import DoubtError, RawFields, read_fields

_WRAPPINGS: Final = (b"payload", b"data")
_UNNAMED: Final = frozenset({*_WRAPPINGS, b"details"})
"""Where names may stand that are not among those of the entry itself."""
_MOST_SHAPES: Final = 256
"""Producers have a few; whatever has more is read without remembering."""


Told = tuple[str, str, str, str]
"""Plan id, or the intent's where there is no plan's; symbol, decision word, executed: the texts as they stand there."""

NOTHING: Final[Told] = ("", "", "", "")


class _Wrapped(msgspec.Struct):
    """The JSON in a wrapping, as far as it is asked for."""

    plan_id: str = ""
    intent_id: str = ""
    symbol: str = ""
    decision: str = ""
    executed: str | bool = ""
    payload: Any = None
    data: Any = None
    details: Any = None


_decode = msgspec.json.Decoder(_Wrapped).decode


class _Shape(NamedTuple):
    """Where the values stand in an entry of these names; 0 where the name isn't there."""

    plan_id: int
    symbol: int
    decision: int
    executed: int
    wrapped: int
    loose: bool
    """Names may be written in more places than are looked at here."""

    @property
    def whole(self) -> bool:
        """Everything stands in the entry itself."""
        return not (self.wrapped or self.loose) and 0 not in self[:4]


class Peek:
    """Entries of one producer repeat the names of their fields, so where the values stand is found out once."""

    def __init__(self) -> None:
        self._shapes: dict[tuple[bytes, ...], _Known] = {}
        self._last: dict[bytes, _Known] = {}
        """By the first name, what was seen last: to compare is quicker than to hash."""
        self.plain = False
        """Whether decision and executed stand in one place of the last entry, where the codec looks for them as well."""

    def __call__(self, flat: list[bytes]) -> Told:
        """Of an entry's names and values in turn."""
        names = flat[::2]
        last = self._last.get(flat[0])
        if last is None or last[0] != names:
            last = self._last[flat[0]] = self._of(names)
        _, whole, (plan, symbol, decision, executed, wrapped, loose) = last
        self.plain = whole
        try:
            if whole:
                return (
                    flat[plan].decode(),
                    flat[symbol].decode(),
                    flat[decision].decode(),
                    flat[executed].decode(),
                )
            if loose:
                return _read(flat)
            if not wrapped:
                return (
                    flat[plan].decode() if plan else "",
                    flat[symbol].decode() if symbol else "",
                    flat[decision].decode() if decision else "",
                    flat[executed].decode() if executed else "",
                )
            inner = _decode(flat[wrapped])
        except (UnicodeDecodeError, msgspec.DecodeError):
            self.plain = False
            return _read(flat)
        if inner.payload or inner.data or inner.details or not inner.decision:
            return _read(flat)
        said = inner.executed
        self.plain = not (decision or executed)
        return (
            inner.plan_id or inner.intent_id,
            inner.symbol,
            inner.decision,
            said if said.__class__ is str else str(said),
        )

    def _of(self, names: list[bytes]) -> "_Known":
        if len(self._last) > _MOST_SHAPES:
            self._last.clear()
        key = tuple(names)
        known = self._shapes.get(key)
        if known is None:
            shape = _shape(key)
            known = (names, shape.whole, shape)
            if len(self._shapes) < _MOST_SHAPES:
                self._shapes[key] = known
        return known


_Known = tuple[list[bytes], bool, _Shape]


def _shape(names: tuple[bytes, ...]) -> _Shape:
    def at(*wanted: bytes) -> int:
        return next((2 * names.index(name) + 1 for name in wanted if name in names), 0)

    wrappings = [name for name in names if name in _UNNAMED]
    return _Shape(
        at(b"plan_id", b"intent_id"),
        at(b"symbol"),
        at(b"decision"),
        at(b"executed"),
        at(*_WRAPPINGS) if len(wrappings) == 1 else 0,
        len(wrappings) > 1 or b"details" in wrappings or len(set(names)) < len(names),
    )


def _read(flat: list[bytes]) -> Told:
    """Slowly, by the codec's own reading of layers; what it can't open says nothing."""
    raw: RawFields = dict(zip(flat[::2], flat[1::2], strict=True))
    try:
        fields = read_fields(raw)
        return (
            _clean(fields.text("plan_id") or fields.text("intent_id")),
            _clean(fields.text("symbol")),
            _clean(fields.text("decision")),
            _clean(next((text for text in fields.every("executed") if text), "")),
        )
    except DoubtError:
        return NOTHING


def _clean(text: str) -> str:
    """Without what is no UTF-8."""
    return text.encode(errors="replace").decode()
