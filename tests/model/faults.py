"""What may go wrong, and how often in one history: a bound of the search."""

from enum import StrEnum
from typing import Final

import msgspec


class Fault(StrEnum):
    """One kind of thing that a history may hold so many of. Everything else may happen at any time, and any number of times."""

    CRASH = "crash"
    """A process dies with all that it only knew in memory."""
    STOP = "stop"
    """The lease of a live process runs out: it is stopped, and wakes as a zombie."""
    SLOW = "slow"
    """Half the window passes between the gate and the send, or a second between the read and the gate."""
    ANSWER = "answer"
    """The venue's answer to an order is lost."""
    READ = "read"
    """A read fails."""
    LAG = "lag"
    """A read shows the venue as it was before its last changes."""
    NEWS = "news"
    """The user data stream tells of an order, now or late."""
    LOG = "log"
    """The answer of a script is lost; the script ran or did not."""
    DELAY = "delay"
    """A request waits past its deadline, on the way or inside the venue."""
    DROP = "drop"
    """A request never arrives."""
    PARTIAL = "partial"
    """An order is filled in part or not at all, and the rest waits or expires."""
    FOREIGN = "foreign"
    """Somebody else trades on the account."""
    FREEZE = "freeze"
    """Authority is frozen, or unfrozen."""
    TAIL = "tail"
    """The log falls back to an older copy of itself."""
    EXPIRE = "expire"
    """The approval grows older than its greatest age."""
    DRIFT = "drift"
    """The position moves and no trade says why: the one thing that is a contradiction and not a fault."""


FAULTS: Final = tuple(Fault)
PLACE: Final = {fault: place for place, fault in enumerate(FAULTS)}

Budget = tuple[int, ...]
"""How many of each fault are left, in the order of ``FAULTS``, and last how many of all."""


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """One search: what there is, and how many faults its histories hold at most: ``most`` in all, and so many of each kind.

    Amounts are whole units: ``position`` is signed, ``fractions`` is one close each, ``foreign`` are the trades that others may
    make. ``copies`` is how often each decision stands in the stream. With ``one_intent`` the closes are spellings of one wish.
    """

    name: str
    position: int
    fractions: tuple[str, ...]
    faults: dict[Fault, int]
    most: int
    foreign: tuple[int, ...] = ()
    copies: int = 1
    one_intent: bool = False
    processes: int = 2

    @property
    def budget(self) -> Budget:
        return (*(min(self.faults.get(fault, 0), self.most) for fault in FAULTS), self.most)
