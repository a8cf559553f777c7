"""What `close` shows before it asks: the orders that would be sent, and whose right they would go on."""

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from sureclose.domain.authority import Authority
from sureclose.domain.market import Position
from sureclose.domain.preview import Preview, preview_of
from sureclose.domain.words import PositionSide
from sureclose.journal import authority, lease
from sureclose.operate.asking import VALID_MS
from sureclose.operate.session import Session


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """``granted_to`` is who may send machine closes, ``executed_by`` the process that sends closes now; empty is nobody."""

    closes: tuple[Preview, ...]
    actor: str
    """Whose warrant it would be: that of a person, which a freeze does not stop."""
    valid_s: int = VALID_MS // 1_000
    granted_to: str
    frozen: tuple[str, ...]
    """Why the account is frozen; empty where it is not."""
    executed_by: str


async def show(
    session: Session,
    held: Sequence[Position],
    wanted: Sequence[tuple[str, PositionSide]],
    *,
    fraction: Decimal | None,
    quantity: Decimal | None,
    actor: str,
) -> Shown:
    """Reads rules and authority, sends nothing. Raises ``VenueError``, ``RedisError``."""
    closes = [
        preview_of(symbol, side, held, await session.venue.rules(symbol), fraction, quantity)
        for symbol, side in wanted
    ]
    standing = await authority.standing(session.wire, session.keys)
    holder = await lease.holder(session.wire, session.keys)
    return Shown(
        closes=tuple(closes),
        actor=actor,
        granted_to=standing.component or "",
        frozen=_causes(standing),
        executed_by="" if holder is None else holder.owner,
    )


def _causes(standing: Authority) -> tuple[str, ...]:
    if not standing.frozen:
        return ()
    return tuple(f"{cause.trigger}: {cause.reason}" for cause in standing.triggers) or (
        "no reason is recorded",
    )
