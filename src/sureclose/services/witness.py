"""Who is told what happens to closes: counters, health, alarms."""

from typing import Protocol

from sureclose.domain.events import Decision
from sureclose.domain.facts import Sending
from sureclose.domain.outcome import Report


class Witness(Protocol):
    """Who is told what happens to closes: counters and health."""

    def approved(self, plan_id: str) -> None:
        """A close was taken in, or up again: an outcome is owed."""
        ...

    def elsewhere(self, plan_id: str) -> None:
        """Its outcome was recorded already, or another process has it: none is owed here."""
        ...

    def sent(self, decision: Decision, sending: Sending, answer: str) -> None:
        """One attempt was answered, or not; ``answer`` is what ``posting.answer_word`` makes of it."""
        ...

    def ended(self, report: Report) -> None:
        """One close reached its outcome, durably."""
        ...
