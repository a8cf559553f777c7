"""What every close of a process works with."""

from collections.abc import Callable, Iterable

import msgspec

from sureclose.domain.events import Decision
from sureclose.domain.market import OrderReport
from sureclose.domain.outcome import Report
from sureclose.domain.policy import Policy
from sureclose.journal.chain import Announcement
from sureclose.journal.store import Journal
from sureclose.services.witness import Witness
from sureclose.streams.clock import LogClock
from sureclose.venue.port import Venue


class Tools(msgspec.Struct, frozen=True, kw_only=True):
    """What every close of a process works with. ``clock`` is the log's, which ages are judged by."""

    journal: Journal
    venue: Venue
    policy: Policy
    component: str
    group: str
    recv_window: int
    announce: Callable[[Report, Decision], Iterable[Announcement]]
    clock: LogClock
    witness: Witness
    orphans: dict[str, OrderReport] = {}
    """By client order id, the orders that the venue has and the log had lost, as this reign began."""
