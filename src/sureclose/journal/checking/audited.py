"""What an audit looks at and what it says: its evidence file is the whole of this, and nothing else is believed later."""

from decimal import Decimal
from enum import StrEnum
from typing import Final

import msgspec

from sureclose.domain.outcome import OutcomeKind
from sureclose.journal.checking.books import BookOrder, BookTrade

SCHEMA: Final = 1
EXECUTED: Final = frozenset({OutcomeKind.FLAT, OutcomeKind.REDUCED})
"""Outcomes that stand for a confirmed close."""


class Verdict(StrEnum):
    """What an audit says of one question. Only the first is a pass."""

    PASSES = "passes"
    FAILS = "does not pass"
    NOTHING = "nothing to look at"


class Link(StrEnum):
    """What leads from the event to the fill, in this order."""

    INTENT = "intent"
    PLAN = "plan"
    DECISION = "decision"
    JOURNAL = "journal"
    CLIENT_ORDER_ID = "client order id"
    ORDER_ID = "order id"
    TRADES = "trades"


class Presence(StrEnum):
    """Whether an entry that a decision names is still in its stream."""

    THERE = "there"
    TRIMMED = "trimmed"
    """Older than what the stream keeps; the ADMITTED record holds what it came to."""
    ABSENT = "absent"


class LinkedEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One entry on the way of a close. ``plan_id`` is what the entry itself says, empty where it says nothing."""

    link: Link
    stream: str
    entry_id: str
    presence: Presence
    plan_id: str = ""


class TracedOrder(msgspec.Struct, frozen=True, kw_only=True):
    """One order of ours at the venue, with all that leads to it.

    ``component`` is whose reign the epoch of its SENDING record was, empty where no recorded reign has that epoch.
    ``position`` is what was open when it passed the gate, signed; ``warrant`` the person whose warrant it ran on.
    """

    plan_id: str
    intent_id: str
    action: str
    source: str
    component: str
    epoch: int
    attempt: int
    sent_at: int
    """The timestamp of the request, venue milliseconds."""
    recorded_at: int
    """When its SENDING was written, the log's milliseconds."""
    position: Decimal
    order: BookOrder
    trades: tuple[BookTrade, ...]
    entries: tuple[LinkedEntry, ...]
    records: tuple[str, ...]
    """Hashes of the records of this attempt."""
    missing: tuple[str, ...]
    """Each link that is not there, and why."""
    unapproved: str = ""
    """Why its decision is no approved CLOSE of an action that closes."""
    unadmitted: str = ""
    """Why its SENDING does not follow from a decision that its own reign admitted or took up."""
    warrant: str = ""
    rebuilt: bool = False
    under_way: bool = False

    @property
    def told(self) -> str:
        """How a person finds it."""
        return f"order {self.order.order_id} ({self.order.client_order_id}) {self.order.symbol}"

    @property
    def begins_at(self) -> Link | None:
        """The first event that its decision names."""
        return self.entries[0].link if self.entries else None

    @property
    def whole(self) -> bool:
        """From the wish to the last trade, with nothing missing."""
        return not self.missing and not self.under_way and self.begins_at is Link.INTENT


class AuditedPlan(msgspec.Struct, frozen=True, kw_only=True):
    """One close within the period. ``records`` are the hashes of its chain, the last one is its ``head``."""

    plan_id: str
    state: str
    outcome: str
    settled_by: str
    """The person who settled it, where it was parked."""
    last_at: int
    """When its last record was written, the log's milliseconds."""
    head: str
    records: tuple[str, ...]
    orders: int = 0
    components: tuple[str, ...] = ()
    whole: bool = False
    """Whether its chain is in order and each of its orders is traced whole."""

    @property
    def confirmed(self) -> bool:
        """Filled, read back and said by the machine."""
        return self.outcome in EXECUTED and self.state == "DONE" and not self.settled_by and self.orders > 0


class Unjoined(msgspec.Struct, frozen=True, kw_only=True):
    """An order of our prefix that no close which was read has sent. Without ``plan_id`` nobody knows it at all."""

    order: BookOrder
    plan_id: str = ""


class Reduces(StrEnum):
    """Whether somebody's order made a position smaller."""

    BY_FLAG = "by its flag or side"
    BY_EFFECT = "by its effect"
    NO = "no"


class ForeignOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An order without our prefix. ``by`` names the venue where it was its own: liquidation, adl, delisting."""

    order: BookOrder
    reduces: Reduces
    by: str = ""


class Reign(msgspec.Struct, frozen=True, kw_only=True):
    """One lease as it was taken. ``restart`` unless it is the component's first, or the same process took it again."""

    epoch: int
    owner: str
    component: str
    at: int
    entry_id: str
    restart: bool = False


class Probe(msgspec.Struct, frozen=True, kw_only=True):
    """A process of ours that was killed and started again. Times are the log's milliseconds."""

    began_at: int
    ended_at: int
    how: str
    killed: int
    held_the_lease: bool
    """Whether what was killed was the one that executes."""
    positions: tuple[str, ...]
    orders: int
    differences: tuple[str, ...]
    """What changed at the venue meanwhile and no journalled close explains."""


class Minimum(msgspec.Struct, frozen=True, kw_only=True):
    """What there has to be to look at, as configured."""

    closes: int
    restarts: int
    exclusive_exits: bool


class Period(msgspec.Struct, frozen=True, kw_only=True):
    """What was looked at, by the venue's clock (milliseconds)."""

    since: int
    until: int


class Remark(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that a question does not pass for, or that has to be known beside it, and what to do about it."""

    what: str
    remedy: str = ""
    plan_id: str = ""
    order_id: int = 0
    client_order_id: str = ""
    records: tuple[str, ...] = ()


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """One of the five. ``looked_at`` counts what it rests on, all of it about the audited component."""

    number: int
    asks: str
    verdict: Verdict
    looked_at: int
    of: str
    """What is counted."""
    exceptions: tuple[Remark, ...]
    notes: tuple[Remark, ...]
    to_do: str = ""
    """What is missing and how to get it, where there was too little to look at."""


class Versions(msgspec.Struct, frozen=True, kw_only=True):
    sureclose: str
    python: str
    log: str


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """The whole of one audit, as its file has it. ``at`` is the log's clock (milliseconds), as are all but venue times.

    ``began_at`` is before the first of its reads: what happened later it may not have seen.

    ``newest_evidence_at`` is when the newest confirmed close of the component was concluded, 0 without one.
    """

    schema: int = SCHEMA
    account: str
    environment: str
    component: str
    at: int
    began_at: int = 0
    period: Period
    passed: bool
    newest_evidence_at: int
    minimum: Minimum
    questions: tuple[Question, ...]
    plans: tuple[AuditedPlan, ...]
    """Those that sent something, or can't be read."""
    idle: int
    """How many closes of the period never sent anything: skipped, refused before the gate, or waiting for it."""
    orders: tuple[TracedOrder, ...]
    unjoined: tuple[Unjoined, ...]
    foreign: tuple[ForeignOrder, ...]
    reigns: tuple[Reign, ...]
    probe: Probe | None
    positions: tuple[str, ...]
    unread: tuple[str, ...]
    versions: Versions
    heads: dict[str, str]
    """The last record of each confirmed close that it rests on, the newest of them."""
