"""Which path leads, and whether anybody is there who would lead another."""

from typing import Final

from sureclose.journal import authority
from sureclose.operate.session import Session
from sureclose.services.routes import readers, roles_of
from sureclose.services.settings import Path
from sureclose.streams.groups import ConsumerInfo, group_info

LIVELY_MS: Final = 3_000
"""A reader blocks for at most a second, so one that has been idle for longer than this is dead."""


async def leading_path(session: Session) -> Path:
    """Whose grant it is, frozen or not; while nobody holds one, the configured path."""
    standing = await authority.standing(session.wire, session.keys)
    return Path.of(standing.component) or session.execution.path


async def executor_alive(session: Session, path: Path) -> list[str]:
    """What is missing for a path to execute: each of its groups without a live reader of ours. Empty when all is there."""
    missing = []
    roles = roles_of(path, session.harvest_brain)
    for stream, group in readers(session.streams, session.harvest_brain, path).items():
        full = session.streams.full(stream)
        info = await group_info(session.wire, full, group)
        if info is None:
            missing.append(f"there is no group {group} on {full}")
        elif not any(is_ours(one, roles) and one.idle_ms < LIVELY_MS for one in info.consumers):
            missing.append(f"nobody reads {full} as {group}")
    return missing


def is_ours(consumer: ConsumerInfo, roles: tuple[str, ...]) -> bool:
    """Whether a consumer's name is one that processes of ours read under: a role and a number."""
    role, _, number = consumer.name.rpartition("-")
    return role in roles and number.isdecimal()
