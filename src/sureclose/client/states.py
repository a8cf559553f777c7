"""The states of a close, as the API names them."""

from enum import StrEnum


class CloseState(StrEnum):
    """How far a close is. An answer never claims more than is known."""

    RECEIVED = "received"
    """The wish is in the log; nothing has been decided."""
    APPROVED = "approved"
    """The decision is to close; no order is on its way."""
    SENT = "sent"
    """An order is on its way or at the venue."""
    FILLED = "filled"
    """The fills are complete; the position has not been read back yet."""
    FLAT = "flat"
    """The position was read back at zero."""
    REDUCED = "reduced"
    """By as much as was asked for, or by less for the reason that is told."""
    REFUSED = "refused"
    """The venue or its rules refused it for good, or the wish could not be understood."""
    SKIPPED = "skipped"
    """A rule stopped it: expired, frozen, nobody authorised, another of the same wish."""
    UNKNOWN = "unknown"
    """The fate of an order is open, and is being found out."""
    PARKED = "parked"
    """A person has to look: see ``sureclose resolve``."""
