"""What is under way when the process dies: closes as the scenarios of ``tests/faults`` are, and what was there before."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from tests.faults.scenario import (
    HELD,
    Ask,
    By,
    End,
    Ended,
    Fault,
    Look,
    Resting,
    Scenario,
    Step,
    Until,
    fault,
)

_KIND: Final = "crash"
_HALF: Final = HELD // 2
_QUARTER: Final = HELD // 4
_LARGE: Final = 3_500_000
"""Steps: three and a half times the largest market order of a cheap contract."""


@dataclass(frozen=True)
class Story:
    """One scenario that must end alike, whatever dies in it.

    ``letters`` dead letters must be there at the end. Before anybody reads there is an ``unreadable`` wish, or there are
    two ``orphans``: unreadable decisions that a reader was given and died with, one of them trimmed since. ``stops`` has
    the first process told to stop once the fate of its order is unknown.
    """

    scenario: Scenario
    letters: int = 0
    unreadable: bool = False
    orphans: bool = False
    stops: bool = False
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.scenario.name


def _part(filled: int) -> tuple[End, ...]:
    return (End(outcomes=("REDUCED",), filled=filled),)


def _loose(name: str, **more: object) -> Fault:
    """A fault that a crash may keep from striking."""
    return Fault(name, more=more, must_strike=False)


def _scenario(name: str, *steps: Step, **more: object) -> Scenario:
    return Scenario(name, _KIND, steps, patience_s=60, **more)  # type: ignore[arg-type]


ALL_OF_IT: Final = Story(_scenario("all of a position", Ask()))
SEEN: Final = Story(_scenario("all of a position that the decision has seen", Look(), Ask(seen=True)))
WISH: Final = Story(_scenario("a wish, through all stages", Ask(by=By.WISH)))
PART: Final = Story(
    _scenario(
        "half of a position, and its order fills half",
        fault("partial_fill", fraction="0.5"),
        Ask(part="0.5"),
        ends=_part(_HALF),
        left=_HALF,
        effective=2,
        least_sent=2,
    )
)
LOST_ORDER: Final = Story(_scenario("the order is lost", _loose("request_dropped"), Ask()))
BLOCKED: Final = Story(
    _scenario(
        "refused until a resting order is cancelled",
        Resting(HELD),
        Fault("blocked_by_resting", "", {"code": -4118}),
        Ask(),
        least_sent=2,
    )
)
LEFTOVER: Final = Story(
    _scenario("a stop order is left over", Resting(HELD, "STOP_MARKET"), Ask()),
)
SPLIT: Final = Story(
    _scenario(
        "3.5 times the largest market order",
        Ask(),
        held=_LARGE,
        ends=(End(filled=_LARGE),),
        effective=4,
        least_sent=4,
        market="cheap",
    )
)
HALVES: Final = Story(
    _scenario(
        "two plans of a half",
        Ask("a", part="0.5"),
        Ask("b", part="0.5"),
        ends=(End("a", ("REDUCED",), None), End("b", ("REDUCED",), None)),
        left=_QUARTER,
        effective=2,
        least_sent=2,
    )
)
AGAIN: Final = Story(_scenario("one plan, delivered five times", Ask(times=5)))
FLAT_ALREADY: Final = Story(
    _scenario(
        "a second plan for a position that is closed",
        Ask(),
        Ended(),
        Ask("b"),
        ends=(End(), End("b", ("ALREADY_FLAT",), 0)),
    )
)
EXPIRED: Final = Story(
    _scenario(
        "a decision that is too old",
        Ask(aged_s=600),
        ends=(End(outcomes=("SKIPPED(*)",), filled=0),),
        left=HELD,
        effective=0,
        least_sent=0,
    )
)
CONFLICT: Final = Story(
    _scenario("one plan, and another wish under its name", Ask(), Ask(part="0.5")),
    letters=1,
)
UNREADABLE: Final = Story(
    _scenario("a wish that nobody can read, and another", Ask(by=By.WISH)), letters=1, unreadable=True
)
ORPHANS: Final = Story(
    _scenario("entries of a dead reader, one of them trimmed", Ask()), letters=2, orphans=True
)
STOPPED: Final = Story(
    _scenario("told to stop while the order is lost", _loose("request_dropped"), Ask(), Until("arrived")),
    stops=True,
    settings={"EXECUTION__DRAIN_S": "0"},
)
