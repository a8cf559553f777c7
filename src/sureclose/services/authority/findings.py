"""What this process saw at the venue that must not be: kept for its guardian, and told to those of others."""

from collections import deque
from collections.abc import Callable
from typing import Final

from sureclose.domain.authority import Ground
from sureclose.domain.components import Found
from sureclose.domain.events import Decision
from sureclose.domain.facts import Sending
from sureclose.domain.flip import flipped_by_us
from sureclose.domain.outcome import Report

MOST: Final = 20
"""The newest ones; the first of them has ended the grant."""


class Findings:
    """A ``Witness`` of closes as well, for positions that went through zero. ``wall`` gives the log's milliseconds."""

    def __init__(self, wall: Callable[[], int]) -> None:
        self._wall = wall
        self._found: deque[Found] = deque(maxlen=MOST)

    @property
    def all(self) -> tuple[Found, ...]:
        """The oldest first."""
        return tuple(self._found)

    def add(self, ground: Ground, subject: str, what: str) -> None:
        """Noted once, as long as it is remembered. The same of another order is another finding."""
        if all((found.ground, found.subject, found.what) != (ground, subject, what) for found in self._found):
            self._found.append(Found(ground=ground, subject=subject, what=what, at=self._wall()))

    def approved(self, plan_id: str) -> None:
        """Nothing that must not be."""

    def elsewhere(self, plan_id: str) -> None:
        """Nothing that must not be."""

    def sent(self, decision: Decision, sending: Sending, answer: str) -> None:
        """Nothing that must not be: an order is built so that it reduces."""

    def ended(self, report: Report) -> None:
        """Judge what the position did."""
        if flipped_by_us(report):
            what = f"our fills took {report.symbol} from {report.position_before} to {report.position_after}"
            self.add(Ground.FAILURE_UNSAFE, report.plan_id, what)
