"""What a process says of itself in the registry, made of its vitals."""

from typing import Final

from sureclose.domain.components import Facts, Found
from sureclose.services.vitals import StageVitals, Vitals, Waits

_SHOWN: Final = 5
"""How many broken closes are named."""
_WHY_LENGTH: Final = 200
_READ_AGE_S: Final = 10.0
_HELD_UP: Final = (Waits.MAKING_SURE, Waits.NO_ROOM)
"""Why none of the readers of a process that leads takes an entry."""


def facts_of(
    role: str,
    vitals: Vitals,
    now: float,
    *,
    executes: bool,
    queued: int,
    held_back_ms: int,
    found: tuple[Found, ...],
) -> Facts:
    """``now`` is the steady clock of the vitals; what concerns orders is said only by a role that ``executes``."""
    stage = vitals.stages.get(role)
    reading, waits = _reading(stage, now)
    if not executes:
        return Facts(reading=reading, waits=waits)
    held_up = [str(one.waits) for one in vitals.stages.values() if one.waits in _HELD_UP]
    blind = vitals.positions
    return Facts(
        lease=None if vitals.lease is None else str(vitals.lease),
        reading=reading,
        waits=held_up[0] if held_up else waits,
        under_way=vitals.under_way,
        broken={plan: why[:_WHY_LENGTH] for plan, why in list(vitals.broken.items())[:_SHOWN]},
        queued=queued,
        held_back_ms=held_back_ms,
        blind_ms=None if blind is None else _since(blind.failing_since, now),
        found=found,
    )


def _reading(stage: StageVitals | None, now: float) -> tuple[bool | None, str]:
    if stage is None:
        return None, ""
    if stage.waits is not None:
        return False, str(stage.waits)
    read_at = stage.health.last_read_at
    if read_at is None:
        return None, ""
    return stage.health.failing_since is None and now - read_at < _READ_AGE_S, ""


def _since(failing_since: float | None, now: float) -> int:
    """In milliseconds, at least 1 while it fails: 0 says that all is well."""
    return 0 if failing_since is None else max(1, round((now - failing_since) * 1000))
