"""Resting orders of others that make the venue refuse a close until they are cancelled."""

from typing import Final

from tests.faults.scenario import HELD, Ask, Control, End, Fault, Resting, Scenario, Where, fault

KIND: Final = "Resting orders that block a close"

_HALF: Final = HELD // 2


def _blocked(code: int) -> Fault:
    return Fault("blocked_by_resting", "", {"code": code})


_KINDS: Final = {
    "a reduce-only LIMIT order rests": (Resting(HELD),),
    "two reduce-only LIMIT orders rest": (Resting(_HALF), Resting(HELD // 4)),
    "a conditional order (STOP_MARKET) waits": (Resting(HELD, "STOP_MARKET"),),
    "a conditional order that closes the position waits": (
        Resting(HELD, "TAKE_PROFIT_MARKET", close_position=True),
    ),
    "a LIMIT and a conditional order are there": (Resting(_HALF), Resting(HELD, "STOP_MARKET")),
}

SCENARIOS: Final[tuple[Scenario, ...]] = (
    *(
        Scenario(f"refused with {code} while {words}", KIND, (*resting, _blocked(code), Ask()), least_sent=2)
        for code in (-4118, -2022)
        for words, resting in _KINDS.items()
    ),
    Scenario(
        "refused with -4118 while a LIMIT order rests, half is closed",
        KIND,
        (Resting(HELD), _blocked(-4118), Ask(part="0.5")),
        ends=(End(outcomes=("REDUCED",), filled=_HALF),),
        left=_HALF,
        least_sent=2,
    ),
    Scenario(
        "refused with -4118 while a LIMIT order rests, and the next answer is lost",
        KIND,
        (Resting(HELD), _blocked(-4118), fault("answer_dropped", skip=1), Ask()),
        least_sent=2,
    ),
    Scenario(
        "a LIMIT order rests that the close knocks out",
        KIND,
        (Resting(HELD), Ask()),
    ),
    Scenario(
        "the venue refuses every close while reduce-only orders cover the position",
        KIND,
        (Control("settings", {"resting_reduce_only": "refuse"}), Resting(HELD), Ask()),
        least_sent=2,
        where=Where.ALONE,
    ),
)
