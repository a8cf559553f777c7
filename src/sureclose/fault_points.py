"""Named places where a test can kill the process, to show that a restart from there converges.

``reach`` stands before and after each step of a close that is durable or seen outside. Unused it is one comparison.

* ``SURECLOSE_CRASH_AT=after_gate`` ends the process there, ``after_gate:2`` the second time that it comes by.
* ``SURECLOSE_CRASH_HOW=kill`` does it by SIGKILL, the default ``exit`` by ``os._exit``.
* ``SURECLOSE_CRASH_TRACE=FILE`` notes there the name of every point reached, one a line.

A step that is new here is one member and its ``reach``; the crash matrix fails until a story reaches it.
"""

import os
import signal
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Final


class FaultPoint(StrEnum):
    """Every step, in the order of the design's section 4: first what is around a close, then the close itself."""

    # The process: who may execute, under which lease, what it takes up.
    BEFORE_CHANGE = "before_change"
    AFTER_CHANGE = "after_change"
    BEFORE_LEASE = "before_lease"
    AFTER_LEASE = "after_lease"
    AFTER_MIRROR = "after_mirror"
    BEFORE_RESUME = "before_resume"
    AFTER_RESUME = "after_resume"
    BEFORE_RENEWAL = "before_renewal"
    AFTER_RENEWAL = "after_renewal"
    BEFORE_DROP = "before_drop"
    AFTER_DROP = "after_drop"
    # A switch of paths: what was under way has ended or is left to the next, and the grant moves.
    BEFORE_SWITCH = "before_switch"
    AFTER_SWITCH = "after_switch"
    # The safety controller: its right to one close, and the event that is its cause.
    BEFORE_FIRE = "before_fire"
    AFTER_FIRE = "after_fire"
    # Harvest: a proposal becomes an intent, and its book says so.
    BEFORE_PROPOSAL = "before_proposal"
    AFTER_PROPOSAL = "after_proposal"
    # The stages: a name to read under, the entries, their ends.
    BEFORE_SLOT = "before_slot"
    AFTER_SLOT = "after_slot"
    BEFORE_SLOT_RELEASE = "before_slot_release"
    AFTER_SLOT_RELEASE = "after_slot_release"
    BEFORE_GROUP = "before_group"
    AFTER_GROUP = "after_group"
    BEFORE_READ = "before_read"
    AFTER_READ = "after_read"
    BEFORE_CLAIM = "before_claim"
    AFTER_CLAIM = "after_claim"
    BEFORE_FINISH = "before_finish"
    AFTER_FINISH = "after_finish"
    BEFORE_ACKNOWLEDGE = "before_acknowledge"
    AFTER_ACKNOWLEDGE = "after_acknowledge"
    BEFORE_LETTER = "before_letter"
    AFTER_LETTER = "after_letter"
    # 1 Receive
    BEFORE_LOAD = "before_load"
    AFTER_LOAD = "after_load"
    BEFORE_RECORD = "before_record"
    AFTER_RECORD = "after_record"
    # 2 Size
    BEFORE_RULES = "before_rules"
    AFTER_RULES = "after_rules"
    BEFORE_MODE = "before_mode"
    AFTER_MODE = "after_mode"
    BEFORE_POSITION = "before_position"
    AFTER_POSITION = "after_position"
    BEFORE_HISTORY = "before_history"
    AFTER_HISTORY = "after_history"
    BEFORE_BLOCKERS = "before_blockers"
    AFTER_BLOCKERS = "after_blockers"
    BEFORE_PERMIT = "before_permit"
    AFTER_PERMIT = "after_permit"
    BEFORE_CANCEL = "before_cancel"
    AFTER_CANCEL = "after_cancel"
    # 3 Gate and journal
    BEFORE_GATE = "before_gate"
    AFTER_GATE = "after_gate"
    # 4 Send once
    BEFORE_SEND = "before_send"
    AFTER_BYTES = "after_bytes"
    AFTER_ANSWER = "after_answer"
    # 5 Classify
    AFTER_CLASSIFY = "after_classify"
    # 6 Resolve
    BEFORE_QUERY = "before_query"
    AFTER_QUERY = "after_query"
    BEFORE_EVIDENCE = "before_evidence"
    AFTER_EVIDENCE_POSITION = "after_evidence_position"
    AFTER_EVIDENCE_ORDERS = "after_evidence_orders"
    AFTER_EVIDENCE_TRADES = "after_evidence_trades"
    # 7 Confirm
    BEFORE_FILLS = "before_fills"
    AFTER_FILLS = "after_fills"
    BEFORE_READ_BACK = "before_read_back"
    AFTER_READ_BACK = "after_read_back"
    BEFORE_LEFTOVERS = "before_leftovers"
    AFTER_LEFTOVERS = "after_leftovers"
    # 8 Publish
    BEFORE_PUBLISH = "before_publish"
    AFTER_PUBLISH = "after_publish"
    # Afterwards: finished closes go to a segment.
    BEFORE_SEGMENT = "before_segment"
    AFTER_SEGMENT = "after_segment"
    AFTER_SEGMENT_NAMED = "after_segment_named"
    BEFORE_ANCHOR = "before_anchor"
    AFTER_ANCHOR = "after_anchor"
    # After a loss of the log: it is compared with the venue, and what was lost becomes an attempt again.
    BEFORE_RECONCILED = "before_reconciled"
    AFTER_RECONCILED = "after_reconciled"
    BEFORE_ADOPTION = "before_adoption"
    AFTER_ADOPTION = "after_adoption"
    # An audit: its evidence is on disk, then the log says so.
    BEFORE_AUDIT = "before_audit"
    AFTER_AUDIT = "after_audit"
    # A backlog is drained: what it found, what it ended.
    BEFORE_DRAIN_NOTE = "before_drain_note"
    AFTER_DRAIN_NOTE = "after_drain_note"
    BEFORE_DRAIN_BATCH = "before_drain_batch"
    AFTER_DRAIN_BATCH = "after_drain_batch"


SEGMENT_POINTS: Final = (
    FaultPoint.BEFORE_SEGMENT,
    FaultPoint.AFTER_SEGMENT,
    FaultPoint.AFTER_SEGMENT_NAMED,
    FaultPoint.BEFORE_ANCHOR,
    FaultPoint.AFTER_ANCHOR,
)
"""The steps by which finished closes leave the log."""

CRASHED: Final = 137
"""The exit code of a process that ended itself here."""


def _exit() -> None:
    os._exit(CRASHED)


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
    signal.pause()


_HOWS: Final[Mapping[str, Callable[[], None]]] = {"exit": _exit, "kill": _kill}


class Watcher:
    """Notes the points as they are reached, and ends the process at one of them."""

    def __init__(self, at: str, how: str, trace: str) -> None:
        """Raises ``ValueError`` and ``KeyError``: a misspelt point would be a test that shows nothing."""
        name, _, time = at.partition(":")
        self.at = FaultPoint(name) if name else None
        self._times = int(time or "1")
        if self._times < 1:
            raise ValueError(f"{at} never comes")
        self._die = _HOWS[how]
        self._trace = os.open(trace, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600) if trace else None

    def reached(self, point: FaultPoint) -> None:
        if self._trace is not None:
            os.write(self._trace, f"{point}\n".encode())
        if point is self.at:
            self._times -= 1
            if not self._times:
                self._die()


_watcher: Watcher | None = None


def reach(point: FaultPoint) -> None:
    """Say that a step was reached."""
    if _watcher is not None:
        _watcher.reached(point)


def watching() -> bool:
    """Whether anybody asks; for a point that takes something to be seen at all."""
    return _watcher is not None


def arm(environment: Mapping[str, str]) -> None:
    """Watch as the environment asks for it; with nothing asked for, not at all."""
    global _watcher  # noqa: PLW0603 - one process dies once
    at, trace = environment.get("SURECLOSE_CRASH_AT", ""), environment.get("SURECLOSE_CRASH_TRACE", "")
    how = environment.get("SURECLOSE_CRASH_HOW", "exit")
    _watcher = Watcher(at, how, trace) if at or trace else None


arm(os.environ)
