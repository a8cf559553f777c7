"""When a grant is taken away, and when an account is frozen, without anybody asking.

What stands still is counted by the watching process's own steady clock, from when it saw it first. A watcher that was
stopped itself begins anew: what it remembers says nothing of the time in between. Without traffic nothing stands still.
"""

from typing import Final

import msgspec

from sureclose.domain.authority import Ground, Trigger
from sureclose.domain.components import Found

RIVAL_S: Final = 10.0
"""How long two may seem to claim the scope: two announcements of each, and a lease that ran out between them."""


class Thresholds(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds, as ``[authority]`` has them."""

    ghost_s: float
    path_broken_s: float
    unverifiable_s: float
    grace_s: float
    """How long whoever begins to execute has for what it finds overdue; as long as nobody may execute at all."""
    gap_s: float
    """How long after its last look a watcher begins anew: it was stopped, or could not read."""


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """One look at the granted component. None is not known."""

    component: str
    judged_at: int
    """The log's clock in milliseconds: what was found before is the business of the audit that the grant rests on."""
    held: bool
    """Whether a process of the component holds a valid lease, or one of which nothing says what it is."""
    unread: dict[str, str] = {}
    """Its groups with entries that wait to be given to it, and the id of the last one that each was given."""
    full: bool = False
    """Whether it rightly takes no more: as many are unfinished as may be, or it makes sure of the log first."""
    overdue: str = ""
    """The oldest machine close that is open for longer than ``path_broken_s``; empty when there is none."""
    overdue_s: float = 0.0
    """Its age by the log's clock."""
    finished: str = ""
    """Id of the newest outcome on the stream."""
    held_back: str = ""
    """Why the venue takes no orders now, as the holder says; empty when it takes them or nothing is known."""
    unknown: tuple[str, ...] = ()
    """What could not be read or is not known, and without which the path can't be judged."""
    broken: tuple[str, ...] = ()
    """Closes that can't go on in the holder's process."""
    found: tuple[Found, ...] = ()
    """What any process saw at the venue."""
    rivals: tuple[str, ...] = ()
    """Who else claims the scope."""


class Watch(msgspec.Struct, frozen=True, kw_only=True):
    """What a watcher remembers: since when, by its steady clock in seconds, something has been as it is."""

    looked_at: float
    component: str
    unread: dict[str, str] = {}
    unread_since: dict[str, float] = {}
    overdue: str = ""
    finished: str = ""
    stuck_since: float | None = None
    held_back_since: float | None = None
    unknown_since: float | None = None
    rivals_since: float | None = None


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """Why to act. Without a ``ground`` the account is frozen and the grant stays."""

    trigger: Trigger
    ground: Ground | None
    what: str
    subject: str
    threshold: str
    seen: str


def watch(before: Watch | None, seen: Evidence, at: float, limits: Thresholds) -> Watch:
    """What is remembered after this look, ``at`` being the watcher's steady seconds."""
    old = Watch(looked_at=at, component=seen.component)
    if before is not None and before.component == seen.component and at - before.looked_at < limits.gap_s:
        old = before
    waits = seen.unread if seen.held and not seen.full else {}
    still = {group for group, delivered in waits.items() if old.unread.get(group) == delivered}
    stuck = seen.held and bool(seen.overdue) and not seen.held_back
    still_stuck = stuck and seen.overdue == old.overdue
    held_back = seen.held and bool(seen.overdue and seen.held_back)
    nothing_ends = held_back and seen.finished == old.finished
    return Watch(
        looked_at=at,
        component=seen.component,
        unread=waits,
        unread_since={group: old.unread_since[group] if group in still else at for group in waits},
        overdue=seen.overdue,
        finished=seen.finished,
        stuck_since=_since(old.stuck_since if still_stuck else None, at, holds=stuck),
        held_back_since=_since(old.held_back_since if nothing_ends else None, at, holds=held_back),
        unknown_since=_since(old.unknown_since, at, holds=bool(seen.held and seen.unknown)),
        rivals_since=_since(old.rivals_since, at, holds=bool(seen.rivals)),
    )


def _since(before: float | None, at: float, *, holds: bool) -> float | None:
    if not holds:
        return None
    return at if before is None else before


def judge(memory: Watch, seen: Evidence, limits: Thresholds) -> Finding | None:
    """The first reason to act, gravest first; None while there is none."""
    return (
        _seen_at_the_venue(seen)
        or _broken(seen)
        or _rivals(memory, seen)
        or _path_broken(memory, seen, limits)
        or _ghost(memory, limits)
        or _unverifiable(memory, seen, limits)
    )


def _seen_at_the_venue(seen: Evidence) -> Finding | None:
    for found in sorted(seen.found, key=lambda one: _GRAVITY.index(one.ground)):
        if found.at >= seen.judged_at:
            trigger = Trigger.BREACH if found.ground is Ground.BREACH else Trigger.DEMOTED
            return Finding(
                trigger=trigger,
                ground=found.ground,
                what=found.what,
                subject=found.subject,
                threshold="none",
                seen="1",
            )
    return None


_GRAVITY: Final = tuple(Ground)


def _broken(seen: Evidence) -> Finding | None:
    if not (seen.held and seen.broken):
        return None
    return Finding(
        trigger=Trigger.DEMOTED,
        ground=Ground.FAILURE_UNSAFE,
        what="closes can't go on in the process that executes",
        subject=" ".join(seen.broken),
        threshold="no broken close",
        seen=str(len(seen.broken)),
    )


def _rivals(memory: Watch, seen: Evidence) -> Finding | None:
    lasted = _lasted(memory.rivals_since, memory)
    if lasted < RIVAL_S:
        return None
    return Finding(
        trigger=Trigger.TWO_GRANTS,
        ground=None,
        what=f"the grant names {seen.component}, and others claim the scope",
        subject=" ".join(seen.rivals),
        threshold=f"{RIVAL_S:g} s",
        seen=f"{lasted:.0f} s",
    )


def _path_broken(memory: Watch, seen: Evidence, limits: Thresholds) -> Finding | None:
    """Overdue by the log's clock, and watched for as long as a new holder has for what it finds."""
    lasted = _lasted(memory.stuck_since, memory)
    if memory.stuck_since is None or lasted < min(limits.grace_s, limits.path_broken_s):
        return None
    return Finding(
        trigger=Trigger.DEMOTED,
        ground=Ground.PATH_BROKEN,
        what="an approved close has no outcome, and nothing says that the venue takes no orders",
        subject=seen.overdue,
        threshold=f"{limits.path_broken_s:g} s",
        seen=f"{seen.overdue_s:.0f} s",
    )


def _ghost(memory: Watch, limits: Thresholds) -> Finding | None:
    group = min(memory.unread_since, key=lambda name: memory.unread_since[name], default=None)
    if group is None or (lasted := memory.looked_at - memory.unread_since[group]) < limits.ghost_s:
        return None
    return Finding(
        trigger=Trigger.DEMOTED,
        ground=Ground.GHOST,
        what="entries wait unread while the lease is held",
        subject=f"{group}, last delivery {memory.unread[group]}",
        threshold=f"{limits.ghost_s:g} s",
        seen=f"{lasted:.0f} s",
    )


def _unverifiable(memory: Watch, seen: Evidence, limits: Thresholds) -> Finding | None:
    unknown, held_back = _lasted(memory.unknown_since, memory), _lasted(memory.held_back_since, memory)
    if max(unknown, held_back) < limits.unverifiable_s:
        return None
    why = "; ".join(seen.unknown) if unknown >= limits.unverifiable_s else seen.held_back
    return Finding(
        trigger=Trigger.UNVERIFIABLE,
        ground=None,
        what=f"whether the path works can't be judged: {why}",
        subject=seen.component,
        threshold=f"{limits.unverifiable_s:g} s",
        seen=f"{max(unknown, held_back):.0f} s",
    )


def _lasted(since: float | None, memory: Watch) -> float:
    return 0.0 if since is None else memory.looked_at - since
