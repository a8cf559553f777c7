"""The bounds that are searched: each a product of few things, for one of everything is more than can be seen whole."""

from typing import Final

from tests.model.faults import Bounds, Fault
from tests.model.mutants import Mutant

_HANDS: Final = {Fault.CRASH: 9, Fault.STOP: 9}
_LOST: Final = {Fault.ANSWER: 9, Fault.LOG: 9, Fault.READ: 9, Fault.DROP: 9}
_LATE: Final = {Fault.DELAY: 9, Fault.SLOW: 9, Fault.LAG: 9, Fault.NEWS: 9}
_ALL: Final = {
    **_HANDS,
    **_LOST,
    **_LATE,
    Fault.PARTIAL: 9,
    Fault.FOREIGN: 9,
    Fault.FREEZE: 9,
    Fault.EXPIRE: 1,
}
"""Every fault but the loss of the log's tail, as often as the bound allows in all."""

_TWO: Final = Bounds(name="two halves", position=4, fractions=("0.5", "0.5"), faults=_HANDS, most=1)

_SPELLINGS: Final = Bounds(
    name="one intent in two spellings",
    position=4,
    fractions=("0.5", "0.5"),
    faults={**_HANDS, Fault.SLOW: 1, Fault.LOG: 1, Fault.FREEZE: 1},
    most=1,
    one_intent=True,
)

SHORT: Final = (
    Bounds(name="a full close", position=2, fractions=("1",), faults=_ALL, most=2, foreign=(-1, 1)),
    Bounds(name="half a position", position=2, fractions=("0.5",), faults=_ALL, most=1, foreign=(-1, 1)),
    _TWO,
    _SPELLINGS,
    Bounds(
        name="a decision that is there twice, position closed by others",
        position=2,
        fractions=("1",),
        faults=_ALL,
        most=1,
        foreign=(-2, -1, 1),
        copies=2,
    ),
    Bounds(
        name="the log's tail is lost",
        position=2,
        fractions=("1",),
        faults={**_HANDS, Fault.TAIL: 1, Fault.PARTIAL: 1, Fault.DELAY: 1},
        most=1,
    ),
    Bounds(
        name="a contradiction",
        position=2,
        fractions=("1",),
        faults={Fault.DRIFT: 1, Fault.DROP: 1, Fault.CRASH: 1},
        most=2,
    ),
)
"""What ``make test`` searches."""

FULL: Final = (
    *SHORT,
    Bounds(name="half a position", position=2, fractions=("0.5",), faults=_ALL, most=2, foreign=(-1, 1)),
    Bounds(
        name="a full close, processes and venue",
        position=2,
        fractions=("1",),
        faults={**_HANDS, Fault.ANSWER: 9, Fault.DROP: 9, Fault.DELAY: 9, Fault.PARTIAL: 9},
        most=3,
    ),
    Bounds(
        name="a full close, processes and log",
        position=2,
        fractions=("1",),
        faults={**_HANDS, Fault.LOG: 9, Fault.SLOW: 9, Fault.FREEZE: 9},
        most=3,
    ),
    Bounds(
        name="a full close, others and lagging reads",
        position=2,
        fractions=("1",),
        faults={Fault.FOREIGN: 9, Fault.LAG: 9, Fault.ANSWER: 1},
        most=3,
        foreign=(-1, 1),
    ),
    Bounds(
        name="two halves, one fault of any kind",
        position=4,
        fractions=("0.5", "0.5"),
        faults=_ALL,
        most=1,
        foreign=(-1, 1),
    ),
    Bounds(
        name="all and half",
        position=4,
        fractions=("1", "0.5"),
        faults={**_HANDS, Fault.ANSWER: 1, Fault.PARTIAL: 1, Fault.FREEZE: 1},
        most=1,
    ),
    Bounds(
        name="a decision that is there twice",
        position=2,
        fractions=("1",),
        faults={**_HANDS, Fault.LOG: 9, Fault.FREEZE: 9},
        most=2,
        copies=2,
    ),
    Bounds(
        name="the log's tail is lost, and one more",
        position=2,
        fractions=("1",),
        faults={
            **_HANDS,
            Fault.TAIL: 1,
            Fault.ANSWER: 1,
            Fault.LOG: 1,
            Fault.PARTIAL: 1,
            Fault.FOREIGN: 1,
            Fault.DELAY: 1,
        },
        most=2,
        foreign=(-1, 1),
    ),
    Bounds(
        name="the log's tail is lost under half a position",
        position=2,
        fractions=("0.5",),
        faults={**_HANDS, Fault.TAIL: 1, Fault.PARTIAL: 1, Fault.FOREIGN: 1},
        most=2,
        foreign=(-1, 1),
    ),
)
"""What ``python -m tests.model --full`` searches besides."""


def _one(faults: dict[Fault, int], most: int, fraction: str = "1", foreign: tuple[int, ...] = ()) -> Bounds:
    return Bounds(name="mutant", position=2, fractions=(fraction,), faults=faults, most=most, foreign=foreign)


BREAKS: Final[dict[Mutant, tuple[str, Bounds]]] = {
    Mutant.NO_EPOCH: ("I6", _one({Fault.STOP: 1}, 1)),
    Mutant.NO_CHAIN: ("I2", _one({Fault.LOG: 1}, 1)),
    Mutant.NO_FREEZE: ("I6", _one({Fault.FREEZE: 1}, 1)),
    Mutant.NO_FLIGHT: ("I4", _TWO),
    Mutant.NO_CLAIM: ("intent", _SPELLINGS),
    Mutant.NO_LANE: ("size", _TWO),
    Mutant.NO_DEADLINE: ("I2", _one({Fault.ANSWER: 1}, 1)),
    Mutant.RESEND: ("I2", _one({Fault.ANSWER: 1}, 1)),
    Mutant.UNHEARD_GATE: ("I1", _one({Fault.LOG: 1}, 1)),
    Mutant.LATE_SEND: ("I2", _one({Fault.SLOW: 1, Fault.STOP: 1}, 2)),
    Mutant.ACK_EARLY: ("I3", _one({}, 0)),
    Mutant.DONE_BY_ANSWER: ("I7", _one({Fault.FOREIGN: 1}, 1, "0.5", (1,))),
    Mutant.REMAINDER_BY_POSITION: ("once", _one({}, 0, "0.5")),
    Mutant.CACHED_FLAT: ("I7", _one({Fault.LAG: 1, Fault.FOREIGN: 1}, 2, "1", (1,))),
    Mutant.NO_WAIT: ("I2", _one({Fault.TAIL: 1, Fault.CRASH: 1}, 2)),
    Mutant.NO_REBUILD: ("I7", _one({Fault.TAIL: 1, Fault.CRASH: 1}, 2)),
}
"""The law that each mutant breaks, and a bound within which the search sees it."""
