"""What a script said of a write."""

from enum import StrEnum

import msgspec


class Verdict(StrEnum):
    """What a script said. All but OK mean that nothing was written."""

    OK = "OK"
    STALE_LEASE = "STALE_LEASE"
    STALE_HEAD = "STALE_HEAD"
    STALE_ATTEMPT = "STALE_ATTEMPT"
    FROZEN = "FROZEN"
    NOT_AUTHORISED = "NOT_AUTHORISED"
    BUSY = "BUSY"
    SAME_INTENT = "SAME_INTENT"
    """Another plan of the same intent was sent for this position."""
    USED = "USED"
    """An order with this client order id was sent before, in a history that the log has lost."""
    BURNT = "BURNT"
    """A close of that id was made and archived: it would have begun anew."""
    NOT_FROZEN = "NOT_FROZEN"
    """The safety controller acts under a freeze only."""
    NOT_ARMED = "NOT_ARMED"
    """The safety controller is not armed under this freeze, or its sunset has come."""
    SPENT = "SPENT"
    """The safety controller has made its tries in this episode of the position."""
    LOG_LOST = "LOG_LOST"
    """The log lacks what it has acknowledged to this process, or is another one."""


class Passage(msgspec.Struct, frozen=True):
    """What the gate said. ``other`` is the plan in the way: whose order is in flight, or by which the intent was sent."""

    verdict: Verdict
    other: str = ""


class Fenced(Exception):
    """Another process has taken this close up, or its chain has moved on. Nothing was written; read it again."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(str(verdict))
        self.verdict = verdict
