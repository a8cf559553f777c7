"""The position changes under the close: by others, by the venue itself, or it is another one by now."""

from typing import Final

from tests.faults.scenario import (
    HELD,
    Ask,
    Control,
    End,
    Ended,
    Fault,
    Foreign,
    Look,
    Scenario,
    Step,
    Until,
    Where,
    fault,
)

KIND: Final = "The position changes under the close"
VENUE: Final = "Liquidation and auto-deleveraging"

_QUARTER: Final = HELD // 4
_HALF: Final = HELD // 2
_BETWEEN: Final[tuple[Step, ...]] = (fault("refused", code=-1112, count=4), Ask(), Until("arrived"))
"""The first attempts are refused, so that something can happen between sizing and execution."""
_ALREADY: Final = (End(outcomes=("ALREADY_FLAT",), filled=0),)
_TAKEN: Final = {False: "ALREADY_FLAT(liquidation)", True: "ALREADY_FLAT(adl)"}
_OTHER: Final = ("SKIPPED(position_reopened)", "SKIPPED(position_changed)", "SKIPPED(position_reversed)")


def _liquidated(**more: object) -> Control:
    return Control("liquidate", more, about_symbol=True)


SCENARIOS: Final[tuple[Scenario, ...]] = (
    Scenario(
        "somebody else has closed the position before",
        KIND,
        (Foreign(HELD), Ask()),
        ends=_ALREADY,
        effective=0,
        total=0,
        least_sent=0,
        market="tradable",
    ),
    Scenario(
        "somebody else closes the position between two attempts",
        KIND,
        (*_BETWEEN, Foreign(HELD)),
        ends=_ALREADY,
        effective=0,
        total=0,
        market="tradable",
    ),
    Scenario(
        "somebody else closes the position, the read shows it still (-2022)",
        KIND,
        (
            Ask("a", part="0.25"),
            Ended("a"),
            Fault("position_lag", "", {"ms": 1500}, everywhere=True),
            Foreign(HELD - _QUARTER),
            Ask("b"),
        ),
        ends=(End("a", ("REDUCED",), _QUARTER), End("b", ("ALREADY_FLAT",), 0)),
        total=_QUARTER,
        least_sent=1,
        where=Where.ALONE,
        market="tradable",
    ),
    Scenario(
        "somebody else reduces the position between two attempts",
        KIND,
        (*_BETWEEN, Foreign(_QUARTER)),
        ends=(End(filled=HELD - _QUARTER),),
        least_sent=2,
        market="tradable",
    ),
    Scenario(
        "somebody else reduces the position while the fate of the order is open",
        KIND,
        (fault("unknown_503_not_executed"), Ask(), Until("arrived"), Foreign(_QUARTER)),
        ends=(End(filled=HELD - _QUARTER),),
        least_sent=2,
        market="tradable",
    ),
    Scenario(
        "somebody else adds to the position between two attempts",
        KIND,
        (*_BETWEEN, Foreign(_QUARTER, adds=True)),
        ends=(End(outcomes=("REDUCED(position_changed)",), filled=HELD),),
        left=_QUARTER,
        least_sent=2,
        market="tradable",
    ),
    Scenario(
        "somebody else adds to the position while half of it is being closed",
        KIND,
        (
            fault("unknown_503_not_executed"),
            Ask(part="0.5"),
            Until("arrived"),
            Foreign(_QUARTER, adds=True),
        ),
        ends=(End(outcomes=("REDUCED",), filled=_HALF),),
        left=_HALF + _QUARTER,
        least_sent=2,
        market="tradable",
    ),
    Scenario(
        "somebody else closes and re-opens the position between two attempts",
        KIND,
        (*_BETWEEN, Foreign(HELD), Foreign(HELD, adds=True)),
        ends=(End(outcomes=_OTHER, filled=0),),
        left=HELD,
        effective=0,
        market="tradable",
    ),
    Scenario(
        "somebody else reverses the position between two attempts",
        KIND,
        (*_BETWEEN, Foreign(2 * HELD, reduce_only=False)),
        ends=(End(outcomes=_OTHER, filled=0),),
        left=-HELD,
        effective=0,
        market="tradable",
    ),
    Scenario(
        "the position was closed and re-opened after the decision had seen it",
        KIND,
        (Look(), Foreign(HELD), Foreign(HELD, adds=True), Ask(seen=True)),
        ends=(End(outcomes=_OTHER, filled=0),),
        left=HELD,
        effective=0,
        least_sent=0,
        market="tradable",
    ),
    Scenario(
        "the position was reversed after the decision had seen it",
        KIND,
        (Look(), Foreign(2 * HELD, reduce_only=False), Ask(seen=True)),
        ends=(End(outcomes=_OTHER, filled=0),),
        left=-HELD,
        effective=0,
        least_sent=0,
        market="tradable",
    ),
    Scenario(
        "the position was closed and re-opened, and the decision is 10 s old",
        KIND,
        (Foreign(HELD), Foreign(HELD, adds=True), Ask(aged_s=10)),
        ends=(End(outcomes=_OTHER, filled=0),),
        left=HELD,
        effective=0,
        least_sent=0,
        market="tradable",
    ),
    *(
        Scenario(
            f"the venue {words} before the close",
            VENUE,
            (_liquidated(adl=adl), Ask()),
            ends=(End(outcomes=(_TAKEN[adl],), filled=0),),
            effective=0,
            total=0,
            least_sent=0,
        )
        for adl, words in ((False, "liquidates the position"), (True, "deleverages the position (ADL)"))
    ),
    *(
        Scenario(
            f"the venue {words} in the moment before the order",
            VENUE,
            (fault("liquidated", adl=adl), Ask()),
            ends=(End(outcomes=(_TAKEN[adl],), filled=0),),
            effective=0,
            total=0,
        )
        for adl, words in ((False, "liquidates the position"), (True, "deleverages the position (ADL)"))
    ),
    *(
        Scenario(
            f"the venue {words} while the fate of the order is open",
            VENUE,
            (fault("unknown_503_not_executed"), Ask(), Until("arrived"), _liquidated(adl=adl)),
            ends=(End(outcomes=(_TAKEN[adl],), filled=0),),
            effective=0,
            total=0,
        )
        for adl, words in ((False, "liquidates the position"), (True, "deleverages the position (ADL)"))
    ),
    Scenario(
        "the venue liquidates the position in the moment before the order, and orders can't be found for 1 s",
        VENUE,
        (fault("liquidated"), Fault("read_lag", "", {"ms": 1000}), Ask()),
        ends=(End(outcomes=(_TAKEN[False],), filled=0),),
        effective=0,
        total=0,
    ),
    Scenario(
        "the venue liquidates half of the position while the fate of the order is open",
        VENUE,
        (
            fault("unknown_503_not_executed"),
            Ask(),
            Until("arrived"),
            _liquidated(adl=False, fraction="0.5"),
        ),
        ends=(End(filled=_HALF),),
        least_sent=2,
    ),
)
