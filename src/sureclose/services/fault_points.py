"""Named places where a test can kill the process, to show that a restart from there converges.

Unused, each costs one comparison. ``SURECLOSE_CRASH_AT=after_gate`` ends the process there as SIGKILL would.
"""

import os
from enum import StrEnum


class FaultPoint(StrEnum):
    """The steps of one effect, in their order, and then those of a segment."""

    BEFORE_ADMISSION = "before_admission"
    AFTER_ADMISSION = "after_admission"
    BEFORE_GATE = "before_gate"
    AFTER_GATE = "after_gate"
    AFTER_SEND = "after_send"
    BEFORE_PUBLISH = "before_publish"
    AFTER_PUBLISH = "after_publish"
    BEFORE_SEGMENT = "before_segment"
    AFTER_SEGMENT = "after_segment"
    AFTER_SEGMENT_NAMED = "after_segment_named"
    BEFORE_ANCHOR = "before_anchor"
    AFTER_ANCHOR = "after_anchor"


class LossPoint(StrEnum):
    """The steps after a loss of the log, in their order."""

    BEFORE_ADOPTION = "before_adoption"
    AFTER_ADOPTION = "after_adoption"
    BEFORE_RECONCILED = "before_reconciled"
    AFTER_RECONCILED = "after_reconciled"
    AFTER_MIRROR = "after_mirror"


SEGMENT_POINTS = (
    FaultPoint.BEFORE_SEGMENT,
    FaultPoint.AFTER_SEGMENT,
    FaultPoint.AFTER_SEGMENT_NAMED,
    FaultPoint.BEFORE_ANCHOR,
    FaultPoint.AFTER_ANCHOR,
)
"""The steps by which finished closes go to a segment."""

_CRASH_AT = os.environ.get("SURECLOSE_CRASH_AT", "")

if _CRASH_AT and _CRASH_AT not in set(LossPoint):
    FaultPoint(_CRASH_AT)  # a misspelt point would be a test that shows nothing


def reach(point: FaultPoint | LossPoint) -> None:
    """Say that a step was reached."""
    if point == _CRASH_AT:
        os._exit(137)
