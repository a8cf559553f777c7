"""``backlog``: a group by its name, what it was not given yet, and who holds what of it."""

import msgspec

from sureclose.operate.session import Session
from sureclose.services.settings import Role
from sureclose.streams.groups import Backlog, GroupInfo, StreamInfo, backlog, group_infos, stream_info
from sureclose.streams.holders import Holder, holders
from sureclose.streams.names import StreamName
from sureclose.streams.zombies import REAP_IDLE_MS

ROLES = tuple(Role)
"""Whose consumer names are leased."""


class NoGroup(Exception):
    """No stream of ours has a group of that name; the message lists those there are."""


class SeveralGroups(Exception):
    """Several streams have a group of that name, and it has to be said which is meant."""


class Where(msgspec.Struct, frozen=True, kw_only=True):
    """One group on one stream, as it was found."""

    name: StreamName
    stream: StreamInfo
    group: GroupInfo
    consumers: tuple[Holder, ...]

    @property
    def unread(self) -> Backlog:
        return backlog(self.stream, self.group)

    @property
    def lost_range(self) -> tuple[str, str | None]:
        """Between which ids entries were lost, if any were."""
        return self.group.last_delivered_id, self.stream.first_id

    @property
    def living(self) -> tuple[Holder, ...]:
        return tuple(one for one in self.consumers if one.lives)

    @property
    def dead(self) -> tuple[Holder, ...]:
        return tuple(one for one in self.consumers if not one.lives)


async def find(session: Session, group: str, stream: str = "", silence_ms: int = REAP_IDLE_MS) -> Where:
    """The group of that name. ``stream`` is a stream's short or full name, or empty.

    Raises ``NoGroup`` and ``SeveralGroups``.
    """
    wanted = await find_all(session, group, stream)
    if len(wanted) > 1:
        there = ", ".join(str(name) for name, _ in wanted)
        raise SeveralGroups(f"{group} is on several streams: {there}; choose one with --stream")
    ((name, info),) = wanted
    full = session.streams.full(name)
    facts = await stream_info(session.wire, full)
    if facts is None:
        raise NoGroup(f"the stream {full} has vanished")
    found = await holders(session.wire, session.streams.prefix, info, ROLES, silence_ms)
    return Where(name=name, stream=facts, group=info, consumers=tuple(found))


async def find_all(session: Session, group: str, stream: str = "") -> list[tuple[StreamName, GroupInfo]]:
    """Every group of that name, or every group of ours where it is empty; raises ``NoGroup`` where there is none."""
    everything = await groups(session)
    wanted = [
        (name, info)
        for name, info in everything
        if group in {"", info.group} and stream in {"", name, session.streams.full(name)}
    ]
    if not wanted:
        there = "; ".join(f"{info.group} on {name}" for name, info in everything)
        what = (
            f"no group {group} on {stream}" if stream else f"no stream of ours has a group {group}".rstrip()
        )
        raise NoGroup(f"{what}; there are: {there or 'none'}")
    return wanted


async def groups(session: Session) -> list[tuple[StreamName, GroupInfo]]:
    """Every group on a stream of ours."""
    return [
        (name, info)
        for name in StreamName
        for info in await group_infos(session.wire, session.streams.full(name))
    ]
