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


class Told(NamedTuple):
    """Texts as they stand there; empty where nothing is said. ``plan_id`` is the intent's id where there is no plan's."""

    plan_id: str = ""
    symbol: str = ""
    decision: str = ""
    executed: str = ""


NOTHING: Final = Told()


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
    """Where the values stand in an entry of these names; -1 where the name isn't there, which is an empty text."""

    plan_id: int
    symbol: int
    decision: int
    executed: int
    wrapped: int
    loose: bool
    """Names may be written in more places than are looked at here."""


class Peek:
    """Entries of one producer repeat the names of their fields, so where the values stand is found out once."""

    def __init__(self) -> None:
        self._shapes: dict[tuple[bytes, ...], _Shape] = {}
        self._last: list[bytes] = []
        self._shape = _shape([])

    def __call__(self, flat: list[bytes]) -> Told:
        """Of an entry's names and values in turn."""
        names = flat[::2]
        if names != self._last:
            self._last, self._shape = names, self._of(tuple(names))
        plan, symbol, decision, executed, wrapped, loose = self._shape
        if loose:
            return _read(flat)
        if wrapped < 0:
            return Told(
                str(flat[plan], "utf-8", "replace") if plan >= 0 else "",
                str(flat[symbol], "utf-8", "replace") if symbol >= 0 else "",
                str(flat[decision], "utf-8", "replace") if decision >= 0 else "",
                str(flat[executed], "utf-8", "replace") if executed >= 0 else "",
            )
        try:
            inner = _decode(flat[wrapped])
        except msgspec.DecodeError:
            return _read(flat)
        if inner.payload or inner.data or inner.details or not inner.decision:
            return _read(flat)
        executed_text = inner.executed if isinstance(inner.executed, str) else str(inner.executed)
        return Told(inner.plan_id or inner.intent_id, inner.symbol, inner.decision, executed_text)

    def _of(self, names: tuple[bytes, ...]) -> _Shape:
        shape = self._shapes.get(names)
        if shape is None:
            shape = _shape(names)
            if len(self._shapes) < _MOST_SHAPES:
                self._shapes[names] = shape
        return shape


def _shape(names: tuple[bytes, ...] | list[bytes]) -> _Shape:
    def at(*wanted: bytes) -> int:
        return next((2 * names.index(name) + 1 for name in wanted if name in names), -1)

    wrappings = [name for name in names if name in _UNNAMED]
    return _Shape(
        at(b"plan_id", b"intent_id"),
        at(b"symbol"),
        at(b"decision"),
        at(b"executed"),
        at(*_WRAPPINGS) if len(wrappings) == 1 else -1,
        len(wrappings) > 1 or b"details" in wrappings or len(set(names)) < len(names),
    )


def _read(flat: list[bytes]) -> Told:
    """Slowly, by the codec's own reading of layers; what it can't open says nothing."""
    raw: RawFields = dict(zip(flat[::2], flat[1::2], strict=True))
    try:
        fields = read_fields(raw)
        return Told(
            *(
                text.encode(errors="replace").decode()
                for text in (
                    fields.text("plan_id") or fields.text("intent_id"),
                    fields.text("symbol"),
                    fields.text("decision"),
                    next((text for text in fields.every("executed") if text), ""),
                )
            )
        )
    except DoubtError:
        return NOTHING
