"""Which path leads: the one whose component holds the grant."""

from sureclose.journal import authority
from sureclose.operate.session import Session
from sureclose.services.settings import Path


async def leading_path(session: Session) -> Path:
    """Whose grant it is, frozen or not; while nobody holds one, the configured path."""
    standing = await authority.standing(session.wire, session.keys)
    return Path.of(standing.component) or session.execution.path
