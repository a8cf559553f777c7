"""Named places where a test can kill the process, to show that a restart from there converges.

Unused, each costs one comparison. ``SURECLOSE_CRASH_AT=after_gate`` ends the process there as SIGKILL would.
"""

import os
from enum import StrEnum


class FaultPoint(StrEnum):
    """The steps of one effect, in their order."""

    BEFORE_ADMISSION = "before_admission"
    AFTER_ADMISSION = "after_admission"
    BEFORE_GATE = "before_gate"
    AFTER_GATE = "after_gate"
    AFTER_SEND = "after_send"
    BEFORE_PUBLISH = "before_publish"
    AFTER_PUBLISH = "after_publish"


class LossPoint(StrEnum):
    """The steps after a loss of the log, in their order."""

    BEFORE_RECONCILED = "before_reconciled"
    AFTER_RECONCILED = "after_reconciled"
    AFTER_MIRROR = "after_mirror"
    BEFORE_ADOPTION = "before_adoption"
    AFTER_ADOPTION = "after_adoption"


_CRASH_AT = os.environ.get("SURECLOSE_CRASH_AT", "")

if _CRASH_AT and _CRASH_AT not in set(LossPoint):
    FaultPoint(_CRASH_AT)  # a misspelt point would be a test that shows nothing


def reach(point: FaultPoint | LossPoint) -> None:
    """Say that a step was reached."""
    if point == _CRASH_AT:
        os._exit(137)
