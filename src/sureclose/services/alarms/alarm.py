"""What an alarm is: a condition that a person has to know of, told when it begins and when it is over."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

import msgspec

from sureclose.domain.words import Mode


class AlarmKind(StrEnum):
    """The conditions that are alarms. The subject of each is in brackets."""

    PARKED = "PARKED"
    """A close waits for a person (plan id)."""
    UNKNOWN = "UNKNOWN"
    """An order's fate is open for longer than finding it out should take (plan id)."""
    EXPIRED_OPEN = "EXPIRED_OPEN"
    """An approval expired and the position is still open (symbol, or symbol:side)."""
    SAME_INTENT = "SAME_INTENT"
    """An approval was skipped, its intent has had its close, and the position is open (symbol, or symbol:side)."""
    BREACH = "BREACH"
    """What must never be so is so (what its finder names)."""
    BLIND = "BLIND"
    """Positions can't be read (``venue``), or not by the safety controller (``safety``) or harvest (``harvest``)."""
    DEAD_TASK = "DEAD_TASK"
    """A background task died, and its process ends (the task's name)."""
    STUCK = "STUCK"
    """A close can't go on in the process that executes (plan id)."""
    UNPROTECTED = "UNPROTECTED"
    """Protective orders were cancelled for a close that did not close (symbol, or symbol:side)."""
    LEFTOVER = "LEFTOVER"
    """Reducing orders of a closed position could not be cancelled (symbol, or symbol:side)."""
    FLAG = "FLAG"
    """The venue did not see that an order reduces (symbol)."""
    REFUSED = "REFUSED"
    """The venue or its rules refused a close for good (symbol, or symbol:side)."""

    LOG_LOST = "LOG_LOST"
    """The log lacks what it had acknowledged, or is another one (``log``)."""
    ORPHAN = "ORPHAN"
    """An order of ours whose plan the log had lost (client order id)."""
    FROZEN = "FROZEN"
    """No grant counts, so no machine close is executed (``exit``)."""
    DEMOTED = "DEMOTED"
    """The grant was taken away from a component (its name), and no other has it."""
    SAFETY_FAILED = "SAFETY_FAILED"
    """A rule of the safety controller fires, and its three closes did not end it (symbol, or symbol:side)."""
    SAFETY_EXPIRED = "SAFETY_EXPIRED"
    """The safety controller's arming has ended by its age (``safety``)."""

    HARVEST_BLIND = "HARVEST_BLIND"
    """Nobody can decide about an open position (symbol, or symbol:side)."""
    HARVEST_POLICY = "HARVEST_POLICY"
    """A policy raises, is late or breaks its contract; only what protects goes on (its name)."""
    HARVEST_UNHEEDED = "HARVEST_UNHEEDED"
    """What harvest proposed ended without effect, and its cause stands (symbol, or symbol:side)."""


class AlarmLevel(StrEnum):
    CRITICAL = "critical"
    WARNING = "warning"

    @classmethod
    def of(cls, kind: AlarmKind) -> "AlarmLevel":
        return cls.CRITICAL if kind in _CRITICAL else cls.WARNING


class AlarmState(StrEnum):
    RAISED = "raised"
    CLEARED = "cleared"


_CRITICAL: Final = frozenset(
    {
        AlarmKind.PARKED,
        AlarmKind.EXPIRED_OPEN,
        AlarmKind.BREACH,
        AlarmKind.LOG_LOST,
        AlarmKind.ORPHAN,
        AlarmKind.BLIND,
        AlarmKind.DEAD_TASK,
        AlarmKind.UNPROTECTED,
        AlarmKind.FROZEN,
        AlarmKind.DEMOTED,
        AlarmKind.SAFETY_FAILED,
        AlarmKind.SAFETY_EXPIRED,
        AlarmKind.HARVEST_BLIND,
    }
)


class AlarmKey(msgspec.Struct, frozen=True, order=True):
    """Which alarm: there is at most one of a kind and subject in an account, whoever raises it."""

    kind: AlarmKind
    subject: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.subject}"


class Alarm(msgspec.Struct, frozen=True, kw_only=True):
    """One alarm as it is told, field by field. ``since`` and ``at`` are ISO 8601 in UTC with milliseconds.

    ``since`` is when it was raised, ``at`` when this was said. ``worker`` is the process that says it.
    """

    alarm: AlarmKind
    subject: str
    level: AlarmLevel
    state: AlarmState
    what: str
    remedy: str
    since: str
    at: str
    account: str
    mode: Mode
    worker: str
    facts: Mapping[str, str]

    @property
    def key(self) -> AlarmKey:
        return AlarmKey(self.alarm, self.subject)

    def document(self) -> bytes:
        """The one JSON document that a sink is given."""
        return msgspec.json.encode(self)

    def over(self, at: str, worker: str) -> "Alarm":
        """The same, cleared."""
        return msgspec.structs.replace(self, state=AlarmState.CLEARED, at=at, worker=worker)
