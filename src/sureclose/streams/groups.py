"""Consumer groups: made so that nothing is lost, and asked without guessing.

A group created at ``$`` loses everything published before, at lag 0 (incident 3). A lag that the server can't tell is
unknown, never zero: after an XDEL among unread entries it is null while entries wait.
"""

from typing import Any

import msgspec
from redis.exceptions import ResponseError

from sureclose.fault_points import FaultPoint, reach
from sureclose.streams.wire import Wire, error_code, id_key, pairs

START = "0"


class ConsumerInfo(msgspec.Struct, frozen=True):
    name: str
    pending: int
    idle_ms: int


class GroupInfo(msgspec.Struct, frozen=True, kw_only=True):
    stream: str
    group: str
    last_delivered_id: str
    pending: int
    lag: int | None
    """Entries not delivered yet; None is unknown. Entries trimmed unread are counted by some servers."""
    entries_read: int | None
    consumers: tuple[ConsumerInfo, ...]


class StreamInfo(msgspec.Struct, frozen=True, kw_only=True):
    stream: str
    length: int
    last_id: str
    """The newest id ever given in this stream, trimmed or not; ``0-0`` in one that never had an entry."""
    first_id: str | None
    """The oldest entry still there."""
    entries_added: int | None
    groups: int


class Backlog(msgspec.Struct, frozen=True, kw_only=True):
    """What a group was not given yet. None is unknown, never zero (incident 1)."""

    readable: int | None
    lost: int | None
    """Trimmed or deleted between the last entry delivered and the oldest one there: nobody reads them any more."""
    delivered_at: int | None
    """When the last entry delivered was written, in milliseconds, by its id; None before the first."""


def backlog(stream: StreamInfo, group: GroupInfo) -> Backlog:
    """Computed here, because some servers go on counting what was trimmed unread as lag (Redis 7.0)."""
    delivered = id_key(group.last_delivered_id)
    written_at = delivered[0] or None
    if delivered >= id_key(stream.last_id):
        return Backlog(readable=0, lost=0, delivered_at=written_at)
    if stream.first_id is not None and id_key(stream.first_id) <= delivered:
        return Backlog(readable=group.lag, lost=None if group.lag is None else 0, delivered_at=written_at)
    read = 0 if delivered == (0, 0) else group.entries_read
    lost = (
        None if read is None or stream.entries_added is None else stream.entries_added - read - stream.length
    )
    # The two were asked one after the other, and the group may have moved on in between.
    return Backlog(
        readable=stream.length, lost=None if lost is None else max(0, lost), delivered_at=written_at
    )


async def group_backlog(wire: Wire, stream: str, group: str) -> Backlog | None:
    """None if the stream or the group isn't there."""
    info, reader = await stream_info(wire, stream), await group_info(wire, stream, group)
    return None if info is None or reader is None else backlog(info, reader)


async def ensure_group(wire: Wire, stream: str, group: str, start: str = START) -> bool:
    """Make the group unless it is there, the stream too; True if it was made.

    ``start`` is the id after which it reads: the beginning, or a checkpoint up to which everything is resolved. A
    server without memory refuses XGROUP CREATE even where it would change nothing, so it is looked for first: reading
    and acknowledging go on there.
    """
    id_key(start)  # "$" is no id: a group made there has lost what came before it
    there = await _unless_missing(wire, b"XINFO", b"GROUPS", stream)
    if any(pairs(facts)[b"name"] == group.encode() for facts in there or ()):
        return False
    try:
        reach(FaultPoint.BEFORE_GROUP)
        await wire.execute_command(b"XGROUP", b"CREATE", stream, group, start, b"MKSTREAM")
        reach(FaultPoint.AFTER_GROUP)
    except ResponseError as error:
        if error_code(error) != "BUSYGROUP":
            raise
        return False
    return True


async def stream_info(wire: Wire, stream: str) -> StreamInfo | None:
    """None if there is no such stream."""
    reply = await _unless_missing(wire, b"XINFO", b"STREAM", stream)
    if reply is None:
        return None
    facts = pairs(reply)
    first = facts.get(b"first-entry")
    return StreamInfo(
        stream=stream,
        length=int(facts[b"length"]),
        last_id=facts[b"last-generated-id"].decode(),
        first_id=first[0].decode() if first else None,
        entries_added=_number(facts.get(b"entries-added")),
        groups=int(facts[b"groups"]),
    )


async def group_infos(wire: Wire, stream: str) -> list[GroupInfo]:
    """Every group of the stream; none if there is no such stream."""
    reply = await _unless_missing(wire, b"XINFO", b"GROUPS", stream)
    infos = []
    for facts in map(pairs, reply or ()):
        group = facts[b"name"].decode()
        infos.append(
            GroupInfo(
                stream=stream,
                group=group,
                last_delivered_id=facts[b"last-delivered-id"].decode(),
                pending=int(facts[b"pending"]),
                lag=_number(facts.get(b"lag")),
                entries_read=_number(facts.get(b"entries-read")),
                consumers=await _consumers(wire, stream, group),
            )
        )
    return infos


async def group_info(wire: Wire, stream: str, group: str) -> GroupInfo | None:
    """None if the stream or the group isn't there."""
    return next((info for info in await group_infos(wire, stream) if info.group == group), None)


async def is_pending(wire: Wire, stream: str, group: str, entry_id: str) -> bool:
    """Whether the entry was delivered to somebody and not acknowledged; False if there is no such group."""
    reply = await _unless_missing(wire, b"XPENDING", stream, group, entry_id, entry_id, 1)
    return bool(reply)


async def is_read(wire: Wire, stream: str, group: str, entry_id: str) -> bool:
    """Whether the group is done with the entry: at or before the last one delivered, and not pending.

    Pending is asked first: an entry delivered in between is then reported as unread, not as done.
    """
    if await is_pending(wire, stream, group, entry_id):
        return False
    info = await group_info(wire, stream, group)
    if info is None or id_key(entry_id) > id_key(info.last_delivered_id):
        return False
    return not await is_pending(wire, stream, group, entry_id)


async def _consumers(wire: Wire, stream: str, group: str) -> tuple[ConsumerInfo, ...]:
    reply = await _unless_missing(wire, b"XINFO", b"CONSUMERS", stream, group)
    return tuple(
        ConsumerInfo(facts[b"name"].decode(), int(facts[b"pending"]), int(facts[b"idle"]))
        for facts in map(pairs, reply or ())
    )


async def _unless_missing(wire: Wire, *command: bytes | str | int) -> list[Any] | None:
    """The reply, or None when the server says that the key or the group isn't there. Any other failure is raised."""
    try:
        reply: list[Any] = await wire.execute_command(*command)
    except ResponseError as error:
        if error_code(error) == "NOGROUP" or "no such key" in str(error):
            return None
        raise
    return reply


def _number(value: Any) -> int | None:
    return None if value is None else int(value)
