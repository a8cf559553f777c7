"""A close as it was found, before anything of it is believed; and what was published of outcomes."""

from decimal import Decimal
from typing import Final

import msgspec

from sureclose.domain.outcome import OutcomeKind
from sureclose.journal.record import Record

OPEN: Final = "OPEN"
DONE: Final = "DONE"
STATES: Final = {OutcomeKind.SKIPPED: "SKIPPED", OutcomeKind.PARKED: "PARKED"}
"""The state that an outcome leaves a close in; after all others it is DONE."""


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """One close as a log or a file has it. ``head`` and ``state`` are ``None`` where they are not kept any more."""

    plan_id: str
    head: str | None
    state: str | None
    records: tuple[tuple[str, Record], ...]
    """The place of each record in the log (its entry id), and the record."""
    missing: tuple[str, ...] = ()
    """Entry ids that the close lists and the log does not have."""
    strays: tuple[str, ...] = ()
    """Entry ids of records that name this plan and that its close does not list."""
    acknowledged: bool | None = None
    """Whether the entry of an unfinished close is acknowledged; ``None`` where that is not known."""


class Unreadable(msgspec.Struct, frozen=True):
    """A part of an exported journal or of a segment that is not as it was written: ``where`` it stands and why."""

    where: str
    why: str


class Shelved(msgspec.Struct, frozen=True, kw_only=True):
    """What was found of one segment: all that is wrong with it, or why nothing can be said of it here."""

    where: str
    problems: tuple[str, ...] = ()
    absent: str = ""
    """Who has it, when it was written elsewhere."""


class Published(msgspec.Struct, frozen=True, kw_only=True):
    """What ``execution.result`` says of one outcome. ``evidence`` is the hash of the record that it rests on.

    ``filled_qty`` is ``None`` where that is not said, or is no number.
    """

    entry_id: str
    plan_id: str
    evidence: str
    outcome: str
    executed: bool
    filled_qty: Decimal | None = None


class Results(msgspec.Struct, frozen=True, kw_only=True):
    """The published outcomes that are still there, by their evidence.

    ``since`` is from when on none is missing, in milliseconds of the log's clock: 0 when nothing was ever trimmed,
    ``None`` when there is no such stream to ask.
    """

    since: int | None
    by_evidence: dict[str, Published]
