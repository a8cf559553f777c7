"""Who reads which stream: each of ours by its own group, and no group on a stream where it has no business (incident 5).

Of every group it is told what it can still read, what is lost to it, and when it was last given something: a group that
nobody reads is seen here, not in an audit (incident 1).
"""

from collections.abc import Iterator

import msgspec

from sureclose.domain.times import iso_ms
from sureclose.operate.check import Check, Status
from sureclose.services.settings import StreamSettings
from sureclose.streams.groups import GroupInfo, StreamInfo, backlog, group_infos, stream_info
from sureclose.streams.names import StreamName
from sureclose.streams.wire import Wire

_LIVELY_MS = 3_000
"""A reader blocks for at most a second, so one that has been idle for longer than this is dead."""


class Reading(msgspec.Struct, frozen=True):
    """One stream as it is: None where there is no such stream."""

    stream: str
    info: StreamInfo | None
    groups: tuple[GroupInfo, ...]


def purposes(streams: StreamSettings) -> dict[str, str]:
    """Our streams, and the group that reads each."""
    return {
        streams.full(streams.intents): streams.intent_executor_group,
        streams.full(StreamName.APPLY_PLAN): streams.apply_layer_group,
        streams.full(StreamName.APPLY_RESULT): streams.execution_group,
    }


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


def wired(found: list[Reading], purpose: dict[str, str]) -> Iterator[Check]:
    """Each stream that a stage of ours writes or reads has a live reader of the right group."""
    for reading in found:
        if reading.stream in purpose:
            yield _reader(reading, purpose[reading.stream])


def misplaced(found: list[Reading], purpose: dict[str, str]) -> Iterator[Check]:
    """Groups of our names on other streams, and groups that nobody reads."""
    ours = {group: stream for stream, group in purpose.items()}
    for reading in found:
        for group in reading.groups:
            if purpose.get(reading.stream) == group.group:
                continue
            name = f"group {group.group} of {reading.stream}"
            destroy = f"XGROUP DESTROY {reading.stream} {group.group}"
            if group.group in ours:
                detail = f"belongs on {ours[group.group]}: {_told(reading, group)}"
                remedy = f"see that nobody reads it here, then {destroy}"
                yield Check(name=name, status=Status.WARN, detail=detail, remedy=remedy)
            elif not _live(group):
                detail = f"nobody reads it: {_told(reading, group)}"
                remedy = f"start its reader, or {destroy}"
                yield Check(name=name, status=Status.WARN, detail=detail, remedy=remedy)


def _reader(reading: Reading, group: str) -> Check:
    name = f"wiring {reading.stream}"
    ours = next((info for info in reading.groups if info.group == group), None)
    others = ", ".join(info.group for info in reading.groups if info.group != group)
    beside = f"; other groups: {others}" if others else ""
    if ours is None:
        remedy = "start `sureclose run`: it makes the group at the beginning of the stream"
        return Check(name=name, status=Status.WARN, detail=f"no group {group}{beside}", remedy=remedy)
    live = _live(ours)
    detail = f"{group}: {_told(reading, ours)}, live {', '.join(live) or 'nobody'}{beside}"
    if live:
        return Check(name=name, status=Status.OK, detail=detail)
    return Check(name=name, status=Status.WARN, detail=detail, remedy="start `sureclose run`")


def _live(group: GroupInfo) -> list[str]:
    return [consumer.name for consumer in group.consumers if consumer.idle_ms < _LIVELY_MS]


def _told(reading: Reading, group: GroupInfo) -> str:
    assert reading.info is not None
    found = backlog(reading.info, group)
    since = "never" if found.delivered_at is None else iso_ms(found.delivered_at)
    readable, lost = ("unknown" if one is None else one for one in (found.readable, found.lost))
    return f"unread {readable}, trimmed unread {lost}, pending {group.pending}, last delivery {since}"
