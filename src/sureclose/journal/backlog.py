"""What drains of a backlog recorded: which entry ended SKIPPED, why, when and by whom. One chain of hashes a drain.

A record and the acknowledgement of its entries are one script, which looks first whether the entries are still the
drain's: so an acknowledged entry has exactly one row, whoever else reads the group.
"""

import hashlib
import zlib
from collections.abc import AsyncIterator, Sequence
from enum import StrEnum
from typing import Any, Final

import msgspec

from sureclose.fault_points import FaultPoint, reach
from sureclose.journal import scripts
from sureclose.journal.burnt import RETENTION_MS
from sureclose.journal.keys import Keys
from sureclose.journal.record import ChainBroken
from sureclose.streams.bulk import Bulk
from sureclose.streams.publish import Event
from sureclose.streams.wire import Wire, pairs

SCHEMA: Final = 1
_LEVEL: Final = 1
"""Of zlib: a higher one takes three times as long for a tenth less."""
_PAGE: Final = 50

_BATCH: Final = scripts.load("backlog")

Row = tuple[str, str, str, str, str]
"""Entry id, plan id, symbol, decision word, reason."""


class Drained(StrEnum):
    """What a record tells."""

    STARTED = "STARTED"
    """What was found: readable, and lost since it was trimmed unread."""
    BATCH = "BATCH"
    """Entries that ended SKIPPED."""
    ENDED = "ENDED"
    """There was nothing more."""


class Lost(msgspec.Struct, frozen=True, kw_only=True):
    """Entries that were trimmed before the group was given them: between these two ids, both exclusive.

    ``count`` is None where the log can't tell. ``before`` is None where nothing is left behind them.
    """

    count: int | None
    after: str
    before: str | None


class Drain(msgspec.Struct, frozen=True, kw_only=True):
    """One run of the command: who drains which group, and under which name it reads."""

    drain: str
    actor: str
    host: str
    pid: int
    stream: str
    group: str
    consumer: str


class DrainBody(msgspec.Struct, frozen=True, kw_only=True):
    """What is hashed. ``at`` is the log's clock in milliseconds, ``previous`` the hash of the record before, or empty."""

    schema: int = SCHEMA
    kind: Drained
    by: Drain
    number: int
    previous: str
    at: int
    rows: int = 0
    rows_sha256: str = ""
    """Of the rows as they are stored, compressed."""
    first: str = ""
    last: str = ""
    reasons: dict[str, int] = {}
    readable: int | None = None
    lost: Lost | None = None
    kept: int | None = None


class DrainRecord(msgspec.Struct, frozen=True):
    """As it is stored: the exact bytes that were hashed, their hash, and the compressed rows."""

    body: bytes
    hash: str
    rows: bytes

    def fields(self) -> list[bytes | str]:
        return [b"body", self.body, b"hash", self.hash, b"rows", self.rows]

    def read(self) -> DrainBody:
        """The content; raises ``ChainBroken`` when bytes or rows are not those that were hashed."""
        if hashlib.sha256(self.body).hexdigest() != self.hash:
            raise ChainBroken(f"the drain's record {self.hash} was altered")
        body = _decoder.decode(self.body)
        if (hashlib.sha256(self.rows).hexdigest() if self.rows else "") != body.rows_sha256:
            raise ChainBroken(f"the rows of the drain's record {self.hash} were altered")
        return body

    def json(self) -> bytes:
        return zlib.decompress(self.rows) if self.rows else b"[]"


_encoder = msgspec.json.Encoder(order="deterministic")
_decoder = msgspec.json.Decoder(DrainBody)
_rows_decoder = msgspec.json.Decoder(list[Row])


class DrainChain:
    """The records of one drain, each with the hash of the one before."""

    def __init__(self, by: Drain) -> None:
        self.by = by
        self.head = ""
        self.length = 0

    def record(self, kind: Drained, at: int, rows: Sequence[Row] = (), **told: Any) -> DrainRecord:
        """The next one; it counts as written once ``written`` is called."""
        packed = zlib.compress(msgspec.json.encode(rows), _LEVEL) if rows else b""
        body = _encoder.encode(
            DrainBody(
                kind=kind,
                by=self.by,
                number=self.length + 1,
                previous=self.head,
                at=at,
                rows=len(rows),
                rows_sha256=hashlib.sha256(packed).hexdigest() if rows else "",
                first=rows[0][0] if rows else "",
                last=rows[-1][0] if rows else "",
                **told,
            )
        )
        return DrainRecord(body, hashlib.sha256(body).hexdigest(), packed)

    def written(self, record: DrainRecord) -> None:
        self.head = record.hash
        self.length += 1


async def load_batch(bulk: Bulk) -> None:
    """Before the first batch on a connection."""
    await bulk.send(b"SCRIPT", b"LOAD", _BATCH.source)
    await bulk.answer()


async def send_batch(
    bulk: Bulk, keys: Keys, by: Drain, record: DrainRecord, rows: Sequence[Row], letters: Sequence[Event]
) -> None:
    """Record, dead letters and acknowledgement in one script; ``batch_answer`` has to be asked for."""
    fields = record.fields()
    command: list[bytes | str | int] = [
        *(b"EVALSHA", _BATCH.digest, 2 + len(letters), by.stream, keys.backlog),
        *(letter.stream for letter in letters),
        *(by.group, by.consumer, len(rows)),
    ]
    command += [row[0] for row in rows]
    command += [len(fields), *fields]
    for letter in letters:
        command.append(2 * len(letter.fields))
        command += [part for pair in letter.fields.items() for part in pair]
    reach(FaultPoint.BEFORE_DRAIN_BATCH)
    await bulk.send(*command)


async def batch_answer(bulk: Bulk) -> set[str]:
    """The ids that are not the consumer's any more; unless there are none, nothing was written."""
    missing = await bulk.answer()
    reach(FaultPoint.AFTER_DRAIN_BATCH)
    return {entry_id.decode() for entry_id in missing}


async def note(wire: Wire, keys: Keys, chain: DrainChain, record: DrainRecord) -> None:
    """Add a record that acknowledges nothing."""
    reach(FaultPoint.BEFORE_DRAIN_NOTE)
    await wire.execute_command(b"XADD", keys.backlog, b"*", *record.fields())
    reach(FaultPoint.AFTER_DRAIN_NOTE)
    chain.written(record)


async def trim_drained(wire: Wire, keys: Keys, now: int) -> int:
    """Let go what is older than a finished close is remembered; how many went."""
    oldest = max(0, now - RETENTION_MS)
    return int(await wire.execute_command(b"XTRIM", keys.backlog, b"MINID", b"=", oldest))


async def drain_records(wire: Wire, keys: Keys) -> AsyncIterator[DrainRecord]:
    """All of them, oldest first, a page at a time."""
    start = "-"
    while True:
        page = await wire.execute_command(b"XRANGE", keys.backlog, start, b"+", b"COUNT", _PAGE)
        for _, flat in page:
            fields = pairs(flat)
            yield DrainRecord(
                fields.get(b"body", b""),
                fields.get(b"hash", b"").decode(errors="replace"),
                fields.get(b"rows", b""),
            )
        if len(page) < _PAGE:
            return
        start = "(" + page[-1][0].decode()


class Skipped(msgspec.Struct, frozen=True, kw_only=True):
    """One entry that a drain ended."""

    entry_id: str
    plan_id: str
    symbol: str
    decision: str
    reason: str
    at: int
    by: Drain
    record: str
    """The hash of the record that the row stands in."""


class Altered(msgspec.Struct, frozen=True):
    """A record that is not as it was written, or not where it was: what it says counts for nothing."""

    why: str


async def skipped(wire: Wire, keys: Keys, wanted: str) -> AsyncIterator[Skipped | Altered]:
    """Every row of this plan, or of this entry, and every record on the way that was altered."""
    needle = msgspec.json.encode(wanted)
    heads: dict[str, str] = {}
    async for record in drain_records(wire, keys):
        try:
            body = record.read()
        except ChainBroken as error:
            yield Altered(str(error))
            continue
        # The first ones of a drain may have been trimmed.
        if heads.get(body.by.drain, body.previous) != body.previous:
            yield Altered(f"record {body.number} of drain {body.by.drain} does not follow the one before it")
        heads[body.by.drain] = record.hash
        rows = record.json()
        if needle not in rows:
            continue
        for entry_id, plan_id, symbol, decision, reason in _rows_decoder.decode(rows):
            if wanted in {entry_id, plan_id}:
                yield Skipped(
                    entry_id=entry_id,
                    plan_id=plan_id,
                    symbol=symbol,
                    decision=decision,
                    reason=reason,
                    at=body.at,
                    by=body.by,
                    record=record.hash,
                )
