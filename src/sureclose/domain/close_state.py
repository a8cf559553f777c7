"""How far a close is, in one word: what a door answers. Never more than the journal says."""

from enum import StrEnum
from typing import Final

from sureclose.domain import close
from sureclose.domain.close import State
from sureclose.domain.outcome import OutcomeKind


class CloseState(StrEnum):
    """The states of a close as others see it."""

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
    """A person has to look: see `sureclose resolve`."""

    @property
    def final(self) -> bool:
        """Whether nothing follows by itself."""
        return self in _FINAL


_FINAL: Final = frozenset(
    {CloseState.FLAT, CloseState.REDUCED, CloseState.REFUSED, CloseState.SKIPPED, CloseState.PARKED}
)
_OUTCOMES: Final = {
    OutcomeKind.FLAT: CloseState.FLAT,
    OutcomeKind.ALREADY_FLAT: CloseState.FLAT,
    OutcomeKind.REDUCED: CloseState.REDUCED,
    OutcomeKind.REFUSED: CloseState.REFUSED,
    OutcomeKind.SKIPPED: CloseState.SKIPPED,
    OutcomeKind.PARKED: CloseState.PARKED,
}


def of_outcome(kind: OutcomeKind) -> CloseState:
    """What an outcome is called here."""
    return _OUTCOMES[kind]


def close_state(state: State) -> CloseState:
    """What the fold of a journal is called here."""
    match state:
        case close.New():
            return CloseState.RECEIVED
        case close.Waiting(progress=progress):
            sent = len(progress.attempts) > progress.begun
            return CloseState.SENT if sent else CloseState.APPROVED
        case close.InFlight() | close.Working():
            return CloseState.SENT
        case close.Unknown():
            return CloseState.UNKNOWN
        case close.Confirming() | close.Tidying() | close.Concluded():
            return CloseState.FILLED
        case close.Done(ended=ended):
            return of_outcome(ended.outcome.kind)
