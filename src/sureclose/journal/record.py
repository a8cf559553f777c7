"""Records and their chain: each close has one SHA-256 chain, so any change to what was recorded shows."""

import hashlib
from collections.abc import Iterable, Sequence
from itertools import zip_longest

import msgspec

from sureclose.domain.facts import AnyFact

SCHEMA = 1


class ChainBroken(Exception):
    """The journal of a close does not hash to what was recorded. Stop, keep the log, and compare with a copy."""


class Body(msgspec.Struct, frozen=True, kw_only=True):
    """What is hashed. ``at`` is the log's clock in milliseconds, as the writer knew it, ``previous`` the hash before, or empty."""

    schema: int = SCHEMA
    account: str
    plan_id: str
    seq: int
    at: int
    worker: str
    epoch: int
    previous: str
    fact: AnyFact


class Record(msgspec.Struct, frozen=True):
    """A record as it is stored: the exact bytes that were hashed, and their hash."""

    kind: str
    body: bytes
    hash: str

    def read(self) -> Body:
        """The content; raises ``ChainBroken`` when the bytes are not those that were hashed."""
        if hashlib.sha256(self.body).hexdigest() != self.hash:
            raise ChainBroken(f"record {self.hash} was altered")
        return _decoder.decode(self.body)


_encoder = msgspec.json.Encoder(order="deterministic")
_decoder = msgspec.json.Decoder(Body)


class Head(msgspec.Struct, frozen=True):
    """Where a chain stands: the hash of its last record and how many there are."""

    hash: str = ""
    length: int = 0


class Writer(msgspec.Struct, frozen=True):
    """Who writes: the process and the epoch of its lease."""

    account: str
    worker: str
    epoch: int


def extend(
    head: Head,
    plan_id: str,
    known: Iterable[AnyFact],
    writer: Writer,
    at: int,
    noted_at: Sequence[int] = (),
) -> tuple[Head, list[Record]]:
    """The records that put the facts on the chain, and where it stands with them.

    ``noted_at`` has the times of the first facts, ``at`` is that of the others.
    """
    records = []
    for fact, when in zip_longest(known, noted_at, fillvalue=at):
        assert not isinstance(fact, int)
        body = _encoder.encode(
            Body(
                account=writer.account,
                plan_id=plan_id,
                seq=head.length + 1,
                at=when,
                worker=writer.worker,
                epoch=writer.epoch,
                previous=head.hash,
                fact=fact,
            )
        )
        record = Record(type(fact).__name__.upper(), body, hashlib.sha256(body).hexdigest())
        records.append(record)
        head = Head(record.hash, head.length + 1)
    return head, records


def verify(records: Iterable[Record]) -> tuple[Head, list[Body]]:
    """The contents of a whole chain; raises ``ChainBroken`` at the first record that does not follow."""
    head = Head()
    bodies = []
    for record in records:
        body = record.read()
        if body.previous != head.hash or body.seq != head.length + 1:
            raise ChainBroken(f"record {body.seq} of plan {body.plan_id} does not follow {head.length}")
        bodies.append(body)
        head = Head(record.hash, body.seq)
    return head, bodies
