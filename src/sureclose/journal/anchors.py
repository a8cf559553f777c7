"""Anchors: what the log keeps of each segment, so that the file can be found and can't be changed unseen.

The anchors of an account are one chain of hashes. Each is the entry of its segment's number in one stream.
"""

import hashlib
from typing import Any, Final

import msgspec

from sureclose.journal.keys import Keys
from sureclose.journal.record import ChainBroken
from sureclose.streams.wire import Wire, pairs

SCHEMA: Final = 1
_PAGE: Final = 1_000


class Anchor(msgspec.Struct, frozen=True, kw_only=True):
    """One segment as it was archived. ``previous`` is the hash of the anchor before, ``sha256`` that of the whole file.

    ``host`` and ``folder`` are where the file was written, ``at`` is the log's clock in milliseconds.
    """

    schema: int = SCHEMA
    account: str
    number: int
    previous: str
    sha256: str
    size: int
    closes: int
    records: int
    host: str
    folder: str
    worker: str
    epoch: int
    at: int

    @property
    def file(self) -> str:
        """The file's name: it holds the digest, so no other content ever has it."""
        return file_name(self.number, self.sha256)

    @property
    def where(self) -> str:
        return f"segment {self.number} ({self.file}), written to {self.folder} on {self.host}"


def file_name(number: int, sha256: str) -> str:
    return f"{number:08d}-{sha256[:16]}.jsonl"


class Anchored(msgspec.Struct, frozen=True):
    """An anchor as it stands in the log: the exact bytes that were hashed, and their hash."""

    body: bytes
    hash: str

    @classmethod
    def of(cls, anchor: Anchor) -> "Anchored":
        body = _encoder.encode(anchor)
        return cls(body, hashlib.sha256(body).hexdigest())

    def read(self) -> Anchor:
        """Raises ``ChainBroken`` when the bytes are not those that were hashed."""
        if hashlib.sha256(self.body).hexdigest() != self.hash:
            raise ChainBroken(f"anchor {self.hash} was altered")
        return _decoder.decode(self.body)


_encoder = msgspec.json.Encoder(order="deterministic")
_decoder = msgspec.json.Decoder(Anchor)


async def anchors(wire: Wire, keys: Keys) -> list[Anchored]:
    """All of them, oldest first: some hundreds of bytes for hundreds of closes."""
    found: list[Anchored] = []
    start = "-"
    while True:
        page = await wire.execute_command(b"XRANGE", keys.anchors, start, b"+", b"COUNT", _PAGE)
        found += (_anchored(entry) for entry in page)
        if len(page) < _PAGE:
            return found
        start = "(" + page[-1][0].decode()


async def last_anchor(wire: Wire, keys: Keys) -> Anchored | None:
    page = await wire.execute_command(b"XREVRANGE", keys.anchors, b"+", b"-", b"COUNT", 1)
    return _anchored(page[0]) if page else None


def _anchored(entry: list[Any]) -> Anchored:
    fields = pairs(entry[1])
    return Anchored(fields.get(b"body", b""), fields.get(b"hash", b"").decode(errors="replace"))
