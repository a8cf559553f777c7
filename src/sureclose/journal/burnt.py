"""Ids that are used up, of closes that have left the log: in so few bytes that a hundred thousand of them stay small.

An id is found by 96 bits of its digest, twelve of which choose a bucket: a hash that stays small enough for
the server to keep it as one packed list. Buckets belong to a generation of 100 days and go away by themselves; what was
noted in this generation or the one before is looked for, so nothing is forgotten before its time.
"""

import hashlib
from typing import Final

import msgspec

from sureclose.domain.events import Wish
from sureclose.domain.outcome import OutcomeKind
from sureclose.domain.planning import asked
from sureclose.journal.keys import Keys

RETENTION_MS: Final = 100 * 24 * 3_600_000
"""How long a finished close is remembered by its id: longer than the longest admissible expiry (one day), and than the
venue remembers an order (90 days), so that no client order id is used while the venue could still show the old one."""

BUCKET_MS: Final = 2 * RETENTION_MS
"""How long a bucket stays after it was written to last: until no id in it has to be known any more."""

_FIELD: Final = slice(2, 12)
_ASKED_LENGTH: Final = 8
_LETTERS: Final = {
    OutcomeKind.FLAT: b"F",
    OutcomeKind.REDUCED: b"R",
    OutcomeKind.ALREADY_FLAT: b"A",
    OutcomeKind.REFUSED: b"X",
}
"""The outcomes that use an id up and that are final."""
_KINDS: Final = {letter: kind for kind, letter in _LETTERS.items()}


class Burnt(msgspec.Struct, frozen=True):
    """What is left of a close: how it ended, what it was asked for, and the segment that holds its records."""

    kind: OutcomeKind
    asked: bytes
    segment: int

    def pack(self) -> bytes:
        return _LETTERS[self.kind] + self.asked + str(self.segment).encode()

    @classmethod
    def unpack(cls, packed: bytes) -> "Burnt":
        head = 1 + _ASKED_LENGTH
        return cls(_KINDS[packed[:1]], packed[1:head], int(packed[head:]))

    def is_for(self, wish: Wish) -> bool:
        """Whether that close was asked for the same."""
        return self.asked == asked_for(wish)


def asked_for(wish: Wish) -> bytes:
    """64 bits of what a wish asks for: enough to tell a duplicate from a conflict under one id."""
    return hashlib.sha256(msgspec.json.encode(asked(wish))).digest()[:_ASKED_LENGTH]


class Shelf(msgspec.Struct, frozen=True):
    """Where an id is noted now, where it was before, and under which field in both."""

    now: str
    before: str
    field: bytes


def plan_shelf(keys: Keys, plan_id: str, at: int) -> Shelf:
    """Of a plan; ``at`` is the log's clock in milliseconds."""
    return _shelf(keys, "plan", plan_id, at)


def order_shelf(keys: Keys, client_order_id: str, at: int) -> Shelf:
    """Of an order of ours; the entry has no content."""
    return _shelf(keys, "order", client_order_id, at)


def _shelf(keys: Keys, kind: str, id_: str, at: int) -> Shelf:
    digest = hashlib.sha256(f"{kind} {id_}".encode()).digest()
    bucket = digest.hex()[:3]
    generation = at // RETENTION_MS
    return Shelf(keys.burnt(generation, bucket), keys.burnt(generation - 1, bucket), digest[_FIELD])
