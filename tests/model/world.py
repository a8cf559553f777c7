"""The state of the model: venue, wire, log and processes. Everything in it is a tuple, and a move makes a new one.

Time is venue milliseconds. It moves in two ways only: by one with every change of the position, so that no two changes
have one time, and in a leap to the next moment that any rule asks about (``clock``).
"""

from enum import StrEnum
from typing import Final, NamedTuple

from tests.model.faults import PLACE, Bounds, Budget, Fault

START: Final = 1_700_000_000_000
WINDOW: Final = 2_000
"""``recv_window``: how long after its timestamp the venue takes a request."""
NAMES: Final = ("a", "b")
"""The processes."""
PLANS: Final = ("one", "two")
"""The closes, by the names that the model of the scripts has for them."""


class Kind(StrEnum):
    """What changed at the venue."""

    ACCEPTED = "accepted"
    FILLED = "filled"
    EXPIRED = "expired"
    REFUSED = "refused"
    DROPPED = "dropped"
    """No change at all: the request is gone, which only the model knows."""
    FOREIGN = "foreign"
    DRIFTED = "drifted"


class Change(NamedTuple):
    """One change. ``amount`` is an order's quantity, a signed trade, or the code of a refusal."""

    time: int
    kind: Kind
    plan: int
    attempt: int
    amount: int


class Request(NamedTuple):
    """An order on its way, or queued inside the venue."""

    plan: int
    attempt: int
    quantity: int
    deadline: int


class Gated(NamedTuple):
    """One pass of the gate, remembered whatever becomes of the log, for the laws alone."""

    plan: int
    attempt: int
    sending: int
    target: int


class Close(NamedTuple):
    """One close as the log has it."""

    facts: tuple[int, ...] = ()
    attempt: int = 0
    state: str = ""


class Log(NamedTuple):
    """What one copy of the log holds."""

    holder: str
    epoch: int
    frozen: bool
    flight: str
    claim: str | None
    """The plan that was sent for the one intent that all closes are of; ``None`` when each has its own."""
    closes: tuple[Close, ...]
    acknowledged: tuple[bool, ...]
    """For each entry; those of one close stand side by side."""


class Phase(StrEnum):
    """What a close in a process is at."""

    READY = "ready"
    """Its next effect is to be performed."""
    ANSWER = "answer"
    """Its order was sent, and the answer is awaited."""
    RECALL = "recall"
    """What it believed counts for nothing: it is to be read back from the log."""


class Closing(NamedTuple):
    """One close in one process: what only its memory holds."""

    seen: tuple[int, ...]
    """The facts that it believes are in the journal."""
    began: int
    """How many were there when it looked first."""
    state: int
    unwritten: tuple[int, ...]
    effect: int
    phase: Phase
    entry: int
    """The entry that came in; -1 when it was taken up from the journal."""
    judged: int
    """The entry that its outcome acknowledges."""


class Process(NamedTuple):
    """One process. ``epoch`` is of the lease that it believes to hold; 0 when it stands by."""

    epoch: int
    lane: int
    """The close that has the lane; -1 when it is free."""
    closings: tuple[Closing | None, ...]
    held: tuple[bool, ...]
    """The entries that were delivered to it and wait for an outcome."""


class World(NamedTuple):
    """Everything."""

    now: int
    venue: tuple[Change, ...]
    wire: tuple[Request, ...]
    log: Log
    copy: Log | None
    """The copy of the log that stopped following, and may take its place."""
    lost_at: int
    """When the log fell back to an older copy; 0 when that is reconciled, or never was."""
    highest: int
    """The highest epoch ever given, which every process mirrors in a file of its own."""
    processes: tuple[Process, ...]
    gated: tuple[Gated, ...]
    budget: Budget


def first(bounds: Bounds) -> World:
    """A position, its decisions in the stream, and processes that stand by."""
    count = len(bounds.fractions)
    entries = (False,) * (count * bounds.copies)
    nothing = Process(epoch=0, lane=-1, closings=(None,) * count, held=entries)
    opened = Change(START - 10_000, Kind.FOREIGN, -1, 0, bounds.position)
    return World(
        now=START,
        venue=(opened,),
        wire=(),
        log=Log(
            holder="",
            epoch=0,
            frozen=False,
            flight="",
            claim="" if bounds.one_intent else None,
            closes=(Close(),) * count,
            acknowledged=entries,
        ),
        copy=None,
        lost_at=0,
        highest=0,
        processes=(nothing,) * bounds.processes,
        gated=(),
        budget=bounds.budget,
    )


def spend(world: World, *faults: Fault) -> World | None:
    """The world with these faults used up; ``None`` when the bound holds no more of them."""
    if not faults:
        return world
    *kinds, left = world.budget
    left -= len(faults)
    for fault in faults:
        kinds[PLACE[fault]] -= 1
        if kinds[PLACE[fault]] < 0 or left < 0:
            return None
    # Of no kind can there be more than of all, so what is left is all that a state has to know.
    return world._replace(budget=(*(min(kind, left) for kind in kinds), left))


def holds(world: World, name: int) -> bool:
    """Whether the log takes the process for the one that has the lease."""
    process, log = world.processes[name], world.log
    return (log.holder, log.epoch) == (NAMES[name], process.epoch) and not world.lost_at


def with_process(world: World, index: int, process: Process) -> World:
    return world._replace(processes=(*world.processes[:index], process, *world.processes[index + 1 :]))


def with_closing(process: Process, plan: int, closing: Closing | None) -> Process:
    return process._replace(closings=(*process.closings[:plan], closing, *process.closings[plan + 1 :]))
