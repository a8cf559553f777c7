"""Who reads which stream: each of ours by its own group, and no group on a stream where it has no business (incident 5).

Of every group it is told what it can still read, what is lost to it, and when it was last given something: a group that
nobody reads is seen here, not in an audit (incident 1).
"""

from collections.abc import Iterator

import msgspec

from sureclose.domain.times import iso_ms
from sureclose.operate.check import Check, Status
from sureclose.operate.leading import LIVELY_MS
from sureclose.operate.session import Session
from sureclose.services.routes import readers, roles_of
from sureclose.services.settings import Path, Role, StreamSettings
from sureclose.streams.groups import GroupInfo, StreamInfo, backlog, group_infos, stream_info
from sureclose.streams.names import StreamName
from sureclose.streams.wire import Wire


class Purpose(msgspec.Struct, frozen=True):
    """One group of ours. ``needed`` is whether nothing closes without it: the other path's may be without a reader."""

    stream: str
    group: str
    roles: tuple[Role, ...]
    needed: bool = True


class Reading(msgspec.Struct, frozen=True):
    """One stream as it is: None where there is no such stream."""

    stream: str
    info: StreamInfo | None
    groups: tuple[GroupInfo, ...]


def purposes(session: Session, leading: Path | None = None) -> list[Purpose]:
    """Our groups, each with its stream; ``leading`` is the path that executes, by default the configured one."""
    streams, harvest = session.streams, session.harvest_brain
    leading = leading or session.execution.path
    found = [
        Purpose(streams.full(streams.intents), streams.intent_executor_group, (Role.INTENT_EXECUTOR,)),
        Purpose(streams.full(StreamName.APPLY_PLAN), streams.apply_layer_group, (Role.APPLY_LAYER,)),
    ]
    for path in sorted(Path, key=lambda path: path is not leading):
        for stream, group in readers(streams, harvest, path).items():
            full = streams.full(stream)
            found.append(Purpose(full, group, roles_of(path, harvest), needed=path is leading))
    return found


async def readings(wire: Wire, streams: StreamSettings) -> list[Reading]:
    """Every stream of the pipeline; raises what the log raises.

    The stream is asked first: what a group is given and what is trimmed in between must not look lost.
    """
    found = []
    for name in StreamName:
        stream = streams.full(name)
        info = await stream_info(wire, stream)
        groups = [] if info is None else await group_infos(wire, stream)
        found.append(Reading(stream, info, tuple(groups)))
    return found


def wired(found: list[Reading], purpose: list[Purpose]) -> Iterator[Check]:
    """Each stream that a stage of ours writes or reads has a live reader of the right group.

    The other path's group may have none. If it is there and nobody reads it, it keeps its stream from being trimmed.
    """
    by_stream = {reading.stream: reading for reading in found}
    for one in purpose:
        check = _reader(by_stream[one.stream], one)
        if check is not None:
            yield check


def misplaced(found: list[Reading], purpose: list[Purpose]) -> Iterator[Check]:
    """Groups of our names on other streams, and groups that nobody reads."""
    ours = {one.group: one.stream for one in purpose}
    places = {(one.stream, one.group) for one in purpose}
    for reading in found:
        for group in reading.groups:
            if (reading.stream, group.group) in places:
                continue
            name = f"group {group.group} of {reading.stream}"
            destroy = f"XGROUP DESTROY {reading.stream} {group.group}"
            if group.group in ours:
                detail = f"belongs on {ours[group.group]}: {told(reading, group)}"
                remedy = f"see that nobody reads it here, then {destroy}"
                yield Check(name=name, status=Status.WARN, detail=detail, remedy=remedy)
            elif not live(group):
                detail = f"nobody reads it: {told(reading, group)}"
                remedy = f"start its reader, or {destroy}"
                yield Check(name=name, status=Status.WARN, detail=detail, remedy=remedy)


def _reader(reading: Reading, one: Purpose) -> Check | None:
    name = f"wiring {reading.stream}" if one.needed else f"other path on {reading.stream}"
    ours = next((info for info in reading.groups if info.group == one.group), None)
    others = ", ".join(info.group for info in reading.groups if info.group != one.group)
    beside = f"; other groups: {others}" if others else ""
    start = f"start `sureclose run --roles {','.join(one.roles)}`"
    if ours is None:
        if not one.needed:
            return None
        remedy = f"{start}: it makes the group at the beginning of the stream"
        return Check(name=name, status=Status.WARN, detail=f"no group {one.group}{beside}", remedy=remedy)
    alive = live(ours)
    detail = f"{one.group}: {told(reading, ours)}, live {', '.join(alive) or 'nobody'}{beside}"
    if alive:
        return Check(name=name, status=Status.OK, detail=detail)
    if one.needed:
        return Check(name=name, status=Status.WARN, detail=detail, remedy=start)
    remedy = f"{start} to observe with it, or XGROUP DESTROY {one.stream} {one.group}"
    detail = f"{detail}: what it has not read is never trimmed"
    return Check(name=name, status=Status.WARN, detail=detail, remedy=remedy)


def live(group: GroupInfo) -> list[str]:
    """The consumers that read now."""
    return [consumer.name for consumer in group.consumers if consumer.idle_ms < LIVELY_MS]


def told(reading: Reading, group: GroupInfo) -> str:
    """What a group has and lacks, for people."""
    assert reading.info is not None
    found = backlog(reading.info, group)
    since = "never" if found.delivered_at is None else iso_ms(found.delivered_at)
    readable, lost = ("unknown" if one is None else one for one in (found.readable, found.lost))
    return f"unread {readable}, trimmed unread {lost}, pending {group.pending}, last delivery {since}"
