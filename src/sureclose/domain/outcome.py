"""How a close can end: a closed set, and the report that says so to others."""

from decimal import Decimal
from enum import StrEnum
from typing import Final

import msgspec

from sureclose.domain.events import Veto


class OutcomeKind(StrEnum):
    """The six ends of a close. A SKIPPED close does not burn its id; all others do."""

    FLAT = "FLAT"
    REDUCED = "REDUCED"
    ALREADY_FLAT = "ALREADY_FLAT"
    SKIPPED = "SKIPPED"
    REFUSED = "REFUSED"
    PARKED = "PARKED"


BELOW_STEP: Final = "below_step"
"""Why a close of less than the smallest quantity that the venue trades is refused."""


class Outcome(msgspec.Struct, frozen=True):
    """One terminal outcome. ``reason`` says why it is not simply FLAT or REDUCED as asked."""

    kind: OutcomeKind
    reason: str = ""
    code: int | None = None
    veto: Veto | None = None
    """The rule that stopped it, where it takes more than the reason to say it."""

    def __str__(self) -> str:
        inside = ", ".join(
            part for part in (str(self.code) if self.code is not None else "", self.reason) if part
        )
        return f"{self.kind}({inside})" if inside else str(self.kind)


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What ``execution.result`` says of one close, and ``apply.result`` too when it was executed.

    ``executed`` is true only after the venue's own fills and a position read made after them.
    Quantities are unsigned base units, positions are signed, ``evidence`` is the hash of the close's last record.
    """

    intent_id: str
    plan_id: str
    symbol: str
    position_side: str
    outcome: Outcome
    executed: bool
    filled_qty: Decimal
    avg_price: Decimal | None
    position_before: Decimal | None
    position_after: Decimal | None
    order_ids: tuple[int, ...]
    client_order_ids: tuple[str, ...]
    evidence: str
    cancelled: tuple[str, ...] = ()
    """Client order ids of resting orders that stood in the way of the close and were cancelled for it, or may have been."""
    left: tuple[str, ...] = ()
    """Those of reducing orders that a flat position left behind and that could not be cancelled."""
    would_send: str = ""
    """Of a dry run: the order that would have been sent, as JSON."""
    unlisted: bool = False
    """Whether it is not known what the flat position left behind, for no list of it could be read."""
