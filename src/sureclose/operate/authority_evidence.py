"""The evidence that the authority map is computed from: what was read, when, and the hash of each piece."""

import hashlib
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec
from redis.exceptions import ResponseError

from sureclose.domain.authority import Authority
from sureclose.domain.components import Presence
from sureclose.domain.levels import LIVELY_MS, Holder, Works
from sureclose.journal import authority
from sureclose.operate.producers import Trace, trace_of
from sureclose.operate.session import Session
from sureclose.services.authority.path import Waiting, reign, waiting
from sureclose.services.authority.registry import announced
from sureclose.streams.groups import group_infos
from sureclose.streams.names import StreamName
from sureclose.streams.wire import Wire, hash_texts, id_key
from sureclose.venue.errors import VenueError

NEWEST: Final = 200
"""How many of the newest entries of each stream are looked at."""
_RECORDS: Final = 500
"""How many of the newest records of the journal."""
_REIGNS: Final = 500
"""How many of the last leases: whose processes wrote those records."""


class Piece(msgspec.Struct, frozen=True, kw_only=True):
    """One piece of evidence: its JSON exactly as it is hashed. ``error`` says why there is none."""

    name: str
    at: int
    """When it was read, by the log's clock in milliseconds."""
    json: str
    sha256: str
    error: str = ""


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """One group on one of our streams."""

    stream: str
    group: str
    readable: int | None
    lost: int | None
    waits: bool
    oldest_waiting: str | None
    last_delivered_id: str
    delivered_at: int | None
    pending: int
    asked_at: int | None
    consumers: int
    lively: bool
    """Whether one of its consumers asked lately."""

    @classmethod
    def of(cls, stream: str, found: Waiting, now: int) -> "Group":
        idle = [consumer.idle_ms for consumer in found.group.consumers]
        return cls(
            stream=stream,
            group=found.group.group,
            readable=found.backlog.readable,
            lost=found.backlog.lost,
            waits=found.waits,
            oldest_waiting=found.oldest,
            last_delivered_id=found.group.last_delivered_id,
            delivered_at=found.backlog.delivered_at,
            pending=found.group.pending,
            asked_at=now - min(idle) if idle else None,
            consumers=len(idle),
            lively=bool(idle) and min(idle) <= LIVELY_MS,
        )


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """An open position. ``amount`` is signed."""

    symbol: str
    position_side: str
    amount: str


class Gathered(msgspec.Struct, frozen=True, kw_only=True):
    """All that was read. None: it could not be, and its piece says why."""

    at: int
    standing: Authority | None
    holder: Holder | None
    announced: tuple[Presence, ...] | None
    groups: tuple[Group, ...] | None
    traces: tuple[Trace, ...] | None
    works: dict[str, Works] | None
    """By component."""
    positions: tuple[Held, ...] | None
    safety: dict[str, str] | None
    audit: dict[str, Any] | None
    """The newest audit on record; None when there is none, or it could not be read."""
    pieces: tuple[Piece, ...]

    def unread(self) -> dict[str, str]:
        """What could not be read, and why."""
        return {piece.name: piece.error for piece in self.pieces if piece.error}


async def gather(session: Session) -> Gathered:
    """Read everything. What the log or the venue refuses is unknown; raises ``RedisError`` when the log is away."""
    collect = _Collector(session)
    standing = await collect.piece("grant and freeze", lambda: authority.standing(session.wire, session.keys))
    holder = await collect.piece("lease", lambda: _holder(session))
    said = await collect.piece("registry", lambda: announced(session.wire, session.keys))
    groups = await collect.piece("groups", lambda: _groups(session))
    traces = await collect.piece("producers", lambda: _traces(session))
    works = await collect.piece("journal", lambda: _works(session))
    positions = await collect.piece("positions", lambda: _positions(session))
    safety = await collect.piece("safety", lambda: _hash(session, session.keys.safety))
    audit = await collect.piece("last audit", lambda: _audit(session))
    return Gathered(
        at=session.clock.now(),
        standing=standing,
        holder=holder,
        announced=said,
        groups=groups,
        traces=traces,
        works=works,
        positions=positions,
        safety=safety,
        audit=audit,
        pieces=tuple(collect.pieces),
    )


class _Collector:
    def __init__(self, session: Session) -> None:
        self._session = session
        self.pieces: list[Piece] = []

    async def piece(self, name: str, read: Callable[[], Awaitable[Any]]) -> Any:
        """What was read, noted with its hash; None when it could not be."""
        error, found = "", None
        try:
            found = await read()
        except (ResponseError, VenueError, msgspec.DecodeError) as failed:
            error = f"{type(failed).__name__}: {failed}"
        text = msgspec.json.encode(found, order="deterministic")
        self.pieces.append(
            Piece(
                name=name,
                at=self._session.clock.now(),
                json=text.decode(),
                sha256=hashlib.sha256(text).hexdigest(),
                error=error,
            )
        )
        return found


async def _holder(session: Session) -> Holder | None:
    found = await reign(session.wire, session.keys)
    if found is None:
        return None
    return Holder(owner=found.lease.owner, epoch=found.lease.epoch, component=found.component)


async def _groups(session: Session) -> tuple[Group, ...]:
    found = []
    for name in StreamName:
        stream = session.streams.full(name)
        for info in await group_infos(session.wire, stream):
            seen = await waiting(session.wire, stream, info.group)
            if seen is not None:
                found.append(Group.of(stream, seen, session.clock.now()))
    return tuple(found)


async def _traces(session: Session) -> tuple[Trace, ...]:
    found: list[Trace] = []
    for name in StreamName:
        stream = session.streams.full(name)
        newest = await _newest(session.wire, stream, NEWEST)
        found += trace_of(stream, newest)
    return tuple(found)


async def _works(session: Session) -> dict[str, Works]:
    """Orders and outcomes among the newest records, by the component that held the lease as their writer."""
    reigns = await _newest(session.wire, session.keys.reigns, _REIGNS)
    components = {said.get("owner", ""): said.get("component", "") for _, said in reigns}
    found: dict[str, Works] = {}
    for entry_id, fields in reversed(await _newest(session.wire, session.keys.journal, _RECORDS)):
        body = msgspec.json.decode(fields.get("body", "{}"), type=_Writer)
        component = components.get(body.worker, "")
        before = found.get(component, Works(orders=0, ordered_at=None, outcomes=0, ended_at=None))
        at = id_key(entry_id)[0]
        if fields.get("kind") == "SENDING":
            before = msgspec.structs.replace(before, orders=before.orders + 1, ordered_at=at)
        elif fields.get("kind") == "ENDED":
            before = msgspec.structs.replace(before, outcomes=before.outcomes + 1, ended_at=at)
        found[component] = before
    return found


class _Writer(msgspec.Struct, frozen=True):
    worker: str = ""


async def _positions(session: Session) -> tuple[Held, ...]:
    held = await session.venue.positions()
    return tuple(
        Held(symbol=one.symbol, position_side=str(one.position_side), amount=f"{one.amount:f}")
        for one in held
    )


async def _hash(session: Session, key: str) -> dict[str, str]:
    return hash_texts(await session.wire.execute_command(b"HGETALL", key))


async def _audit(session: Session) -> dict[str, Any] | None:
    found = await _hash(session, session.keys.audits)
    audits = [msgspec.json.decode(value, type=dict[str, Any]) for value in found.values()]
    return max(audits, key=lambda audit: str(audit.get("at", "")).rjust(20), default=None)


async def _newest(wire: Wire, stream: str, count: int) -> list[tuple[str, dict[str, str]]]:
    """The newest first."""
    reply = await wire.execute_command(b"XREVRANGE", stream, b"+", b"-", b"COUNT", count)
    return [(entry_id.decode(), _texts(fields)) for entry_id, fields in reply]


def _texts(flat: list[bytes]) -> dict[str, str]:
    return {
        name.decode(errors="replace"): value.decode(errors="replace")
        for name, value in zip(flat[::2], flat[1::2], strict=True)
    }
