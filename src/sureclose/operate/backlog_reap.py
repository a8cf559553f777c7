"""``backlog reap``: dead consumers that hold nothing leave their groups; those that hold something are listed."""

import msgspec

from sureclose.operate.backlog import ROLES, find_all
from sureclose.operate.session import Session
from sureclose.streams.holders import DRAIN, Holder, drain_group, holders
from sureclose.streams.slots import slot_keys
from sureclose.streams.zombies import reap


class Reaped(msgspec.Struct, frozen=True, kw_only=True):
    """One group: who left it, and who stays although he is dead, since he holds entries."""

    stream: str
    group: str
    reaped: tuple[str, ...]
    holding: tuple[Holder, ...]
    living: tuple[Holder, ...]


async def reap_groups(session: Session, group: str, silence_ms: int) -> list[Reaped]:
    """Every group of that name, or every group of ours where it is empty; raises ``NoGroup``.

    ``silence_ms`` is how long a consumer must have been silent: of a reader that waits for long, only its owner knows
    that it lives.
    """
    found = []
    for _, info in await find_all(session, group):
        prefix = session.streams.prefix
        slots = slot_keys(prefix, drain_group(info.group), DRAIN)
        for role in ROLES:
            slots |= slot_keys(prefix, info.group, role)
        gone = await reap(session.wire, info.stream, info.group, slots, idle_ms=silence_ms)
        left = [
            one
            for one in await holders(session.wire, prefix, info, ROLES, silence_ms)
            if one.name not in gone
        ]
        found.append(
            Reaped(
                stream=info.stream,
                group=info.group,
                reaped=tuple(gone),
                holding=tuple(one for one in left if one.pending and not one.lives),
                living=tuple(one for one in left if one.lives),
            )
        )
    return found
