"""An entry as a reader hands it out."""

from enum import StrEnum
from typing import Any

import msgspec

from sureclose.domain.events import EntryRef
from sureclose.streams.wire import pairs


class Delivered(StrEnum):
    """How the entry came to us."""

    NEW = "new"
    OWN_PENDING = "own_pending"
    """Delivered under our name before, and never finished: by a process before us, or its reply was lost."""
    CLAIMED = "claimed"
    """Taken over from a consumer that did not finish it."""


class Entry(msgspec.Struct, frozen=True):
    ref: EntryRef
    fields: dict[bytes, bytes]
    """Empty when the payload was trimmed away while the entry was pending: never to be executed."""
    delivered: Delivered
    pending: bool = True
    """False for a trimmed entry which the server has taken out of the pending list while we claimed it: an XACK
    returns 0 for it, so nothing that hangs on an XACK can report it."""

    @property
    def lost(self) -> bool:
        """Whether the payload is gone; a stream has no empty entries."""
        return not self.fields


def parse_entries(stream: str, reply: list[Any] | None, delivered: Delivered) -> list[Entry]:
    """Entries from a list of ids and flat fields; nil for fields is a trimmed entry, and so is nil for all of it."""
    return [
        Entry(EntryRef(stream, item[0].decode()), pairs(item[1]) if item[1] else {}, delivered)
        for item in reply or ()
        if item is not None
    ]
