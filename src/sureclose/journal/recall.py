"""What the log knows of a plan, in one round trip: its close, or what is left of one that was archived."""

from typing import Any

import msgspec

from sureclose.journal import scripts
from sureclose.journal.burnt import Burnt, plan_shelf
from sureclose.journal.keys import Keys
from sureclose.journal.record import Record
from sureclose.streams.wire import Wire, pairs

_recall = scripts.load("recall", fenced=False)


class Recalled(msgspec.Struct, frozen=True):
    """A close as it stands in the log, before anything of it is believed. ``state`` is OPEN, SKIPPED, PARKED or DONE."""

    head: str
    state: str
    records: tuple[tuple[str, Record], ...]
    """The entry id of each record, and the record."""


async def recall(wire: Wire, keys: Keys, plan_id: str, at: int) -> Recalled | Burnt | None:
    """``at`` is the log's clock in milliseconds. ``None`` when the log knows nothing of the plan."""
    shelf = plan_shelf(keys, plan_id, at)
    reply: Any = await _recall.call(
        wire, [keys.close(plan_id), keys.journal, shelf.now, shelf.before], [shelf.field]
    )
    packed, *close = reply
    if not close:
        return Burnt.unpack(packed) if packed else None
    head, state, entries = close
    return Recalled(
        head.decode(), state.decode(), tuple((entry_id.decode(), _record(flat)) for entry_id, flat in entries)
    )


def _record(flat: list[bytes]) -> Record:
    fields = pairs(flat)
    return Record(fields[b"kind"].decode(), fields[b"body"], fields[b"hash"].decode())
