"""Who wrote the newest entries of a stream, as the entries themselves say: ours, and those of older services."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from sureclose.domain.components import component_of
from sureclose.streams.encode import SCHEMA, Producer

_NAMES: Final = ("producer", "source", "service", "component")
"""Where older entries name their writer, in the order in which they are asked."""
_DATA: Final = ("payload", "data")
"""Fields that hold the whole entry as JSON in older shapes."""
UNNAMED: Final = "unnamed"


class Trace(msgspec.Struct, frozen=True, kw_only=True):
    """One writer of one stream, among the newest entries there. ``ours`` says that the entries are of our schema."""

    stream: str
    name: str
    ours: bool
    entries: int
    newest_at: int
    """By the entry's id, milliseconds."""
    decisions: dict[str, int]
    """How many of them decide what, where they are decisions."""


def trace_of(stream: str, newest_first: Iterable[tuple[str, Mapping[str, str]]]) -> list[Trace]:
    """The writers among these entries."""
    entries: Counter[tuple[str, bool]] = Counter()
    newest: dict[tuple[str, bool], int] = {}
    decisions: dict[tuple[str, bool], Counter[str]] = {}
    for entry_id, fields in newest_first:
        writer = writer_of(fields)
        entries[writer] += 1
        newest.setdefault(writer, int(entry_id.split("-", 1)[0]))
        if decided := fields.get("decision"):
            decisions.setdefault(writer, Counter())[decided] += 1
    return [
        Trace(
            stream=stream,
            name=writer[0],
            ours=writer[1],
            entries=count,
            newest_at=newest[writer],
            decisions=dict(decisions.get(writer, {})),
        )
        for writer, count in sorted(entries.items())
    ]


def writer_of(fields: Mapping[str, str]) -> tuple[str, bool]:
    """The component that wrote the entry, and whether it is one of ours."""
    if fields.get("schema") == SCHEMA:
        try:
            return component_of(msgspec.json.decode(fields.get("producer", ""), type=Producer).name), True
        except msgspec.DecodeError:
            return UNNAMED, False
    for found in (fields, *map(_inside, (fields.get(name, "") for name in _DATA))):
        for name in _NAMES:
            said = found.get(name)
            if isinstance(said, str) and said.strip():
                return said.strip(), False
    return UNNAMED, False


def _inside(text: str) -> Mapping[str, object]:
    try:
        found = msgspec.json.decode(text) if text else {}
    except msgspec.DecodeError:
        return {}
    return found if isinstance(found, dict) else {}
