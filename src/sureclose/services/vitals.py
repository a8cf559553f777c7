"""What is so in this process now: the facts that health, metrics and heartbeat all read, gathered in one place.

Gathering them costs no I/O, so that nobody who asks waits for what may be broken. None means "not known" or "no part of
this process"; it never stands for zero.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, Self

import msgspec

from sureclose.domain.authority import Authority
from sureclose.services.supervisor import TaskReport
from sureclose.streams.stage import StageHealth
from sureclose.venue.clock import VenueClock

NOT_BEGUN: Final = StageHealth(
    consumer=None, last_read_at=None, failing_since=None, first_entry_at=None, in_flight=0
)


class Waits(StrEnum):
    """Why a reader rightly does not read now."""

    NO_ROOM = "no_room"
    STANDING_BY = "standing_by"
    MAKING_SURE = "making_sure"
    """Nothing is read before it is certain that the log is the one that was there."""


class LeaseState(StrEnum):
    HELD = "held"
    STANDING_BY = "standing_by"
    OBSERVING = "observing"
    """Another path has the grant: this one reads, and executes nothing."""
    UNKNOWN = "unknown"
    """The log has not said yet, or does not answer."""


class StageVitals(msgspec.Struct, frozen=True, kw_only=True):
    """One reader. Without ``health`` it has not begun, as in a process that stands by for the lease.

    ``since`` is the monotonic time from which it owes reads, None for the start of the process.
    """

    health: StageHealth = NOT_BEGUN
    lag: int | None = None
    waits: Waits | None = None
    since: float | None = None


class ClockVitals(msgspec.Struct, frozen=True, kw_only=True):
    """``error_ms`` is None before the first measurement; ``trusted`` is false after the venue contradicted it.

    ``silent_s`` is how long ago the venue last told its time.
    """

    trusted: bool
    error_ms: int | None
    silent_s: float = 0.0

    @classmethod
    def of(cls, clock: VenueClock) -> Self:
        if not clock.measured:
            return cls(trusted=clock.trusted, error_ms=None)
        return cls(trusted=clock.trusted, error_ms=clock.error_ms(), silent_s=clock.silent_s())


class PositionVitals(msgspec.Struct, frozen=True, kw_only=True):
    """``failing_since`` is monotonic, None while reads of all positions succeed; ``why`` is the venue's word."""

    failing_since: float | None
    why: str = ""


class UserStreamVitals(msgspec.Struct, frozen=True, kw_only=True):
    """``down_since`` is monotonic, None while connected; ``doubt`` says why a connected stream is not believed."""

    down_since: float | None
    doubt: str = ""


class AuthorityVitals(msgspec.Struct, frozen=True, kw_only=True):
    """Grant and freeze as this process saw them last. ``component`` is empty while nobody has the grant."""

    component: str
    frozen: bool
    triggers: tuple[str, ...]

    @classmethod
    def of(cls, standing: Authority) -> Self:
        triggers = tuple(str(cause.trigger) for cause in standing.triggers)
        return cls(component=standing.component or "", frozen=standing.frozen, triggers=triggers)


class Vitals(msgspec.Struct, frozen=True, kw_only=True):
    """``under_way`` counts closes (None: this process executes none); ``broken`` has those stuck here, and why."""

    tasks: tuple[TaskReport, ...]
    stages: Mapping[str, StageVitals]
    log_reachable: bool | None
    log_refusal: str = ""
    """Why the log does not take writes; empty while it does."""
    stopping: bool = False
    dry_run: str = ""
    """What this process does in the place of sending; empty when it sends."""
    under_way: int | None = None
    broken: Mapping[str, str] = {}
    clock: ClockVitals | None = None
    user_stream: UserStreamVitals | None = None
    positions: PositionVitals | None = None
    lease: LeaseState | None = None
    authority: AuthorityVitals | None = None
    weight_used: int | None = None
    alarms: Mapping[str, int] | None = None
    """How many of each kind stand in the account."""
