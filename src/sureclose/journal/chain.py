"""One close as a process has it: its chain in the journal, what was read of it, and what is told with its end."""

from collections.abc import Iterable

import msgspec

from sureclose.domain.facts import AnyFact
from sureclose.journal.burnt import Burnt
from sureclose.journal.record import Body, Head


class Announcement(msgspec.Struct, frozen=True):
    """One event that is published with an outcome: the full stream name and its fields."""

    stream: str
    fields: dict[str, str]


class Chain:
    """The journal of one close as this process has it: where it stands, and what was said but not yet written."""

    def __init__(self, plan_id: str, head: Head = Head()) -> None:  # noqa: B008 - a Head is immutable
        self.plan_id = plan_id
        self.head = head
        self.unwritten: list[AnyFact] = []
        self.noted_at: list[int] = []
        """When the first of them were noted; the others are as old as their writing."""

    def note(self, known: Iterable[AnyFact], at: int) -> None:
        """Facts to be written later, with the time at which they became known (the log's milliseconds)."""
        for fact in known:
            self.unwritten.append(fact)
            self.noted_at.append(at)


class Loaded(msgspec.Struct, frozen=True):
    """A close as the log has it. ``state`` is OPEN, SKIPPED, PARKED or DONE.

    Of a close that was archived the log has ``burnt``, and neither head nor records.
    """

    head: Head
    state: str
    bodies: tuple[Body, ...]
    hashes: tuple[str, ...]
    """The hash of each record, in the same order."""
    burnt: Burnt | None = None

    @property
    def facts(self) -> tuple[AnyFact, ...]:
        return tuple(body.fact for body in self.bodies)
