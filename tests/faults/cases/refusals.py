"""The venue says no: for a moment, until something is done about it, or because it is closed already."""

from collections.abc import Iterator
from typing import Final

from tests.faults.scenario import (
    HELD,
    Ask,
    Control,
    End,
    Ended,
    Fault,
    Foreign,
    Scenario,
    Until,
    Where,
    fault,
)

KIND: Final = "Refusals"
LIMITS: Final = "Limits of the venue"
FILLS: Final = "Fills that are not all"

_HALF: Final = HELD // 2

_ONCE: Final = {
    -1008: "throttled, though reducing orders are exempt",
    -1016: "the service is shutting down",
    -1021: "the timestamp is outside of the window",
    -1111: "too precise",
    -1112: "nobody on the book",
    -2020: "can't be filled",
    -2025: "too many open orders",
    -2027: "leverage",
    -4005: "above the largest quantity",
    -4131: "the book is outside of the price band",
    -5028: "too late at the matching engine",
}


def _once() -> Iterator[Scenario]:
    for code, words in _ONCE.items():
        yield Scenario(
            f"refused once with {code}: {words}", KIND, (fault("refused", code=code), Ask()), least_sent=2
        )


SCENARIOS: Final[tuple[Scenario, ...]] = (
    *_once(),
    Scenario(
        "refused five times with -1112: nobody on the book",
        KIND,
        (fault("refused", code=-1112, count=5), Ask()),
        least_sent=6,
    ),
    Scenario(
        "refused once with -1001, which proves nothing",
        KIND,
        (fault("refused", code=-1001), Ask()),
        least_sent=2,
    ),
    Scenario(
        "MARKET orders are refused with -4131 until further notice",
        KIND,
        (Fault("market_rejected", ""), Ask()),
        least_sent=2,
    ),
    Scenario(
        "MARKET orders are refused with -4131 until further notice, half is closed",
        KIND,
        (Fault("market_rejected", ""), Ask(part="0.5")),
        ends=(End(outcomes=("REDUCED",), filled=_HALF),),
        left=_HALF,
        least_sent=2,
    ),
    Scenario(
        "a second plan comes when the first has closed the position",
        KIND,
        (Ask(), Ended(), Ask("b")),
        ends=(End("a"), End("b", ("ALREADY_FLAT",), 0)),
    ),
    Scenario(
        "refused with -2022 once, and the position is still there",
        KIND,
        (fault("refused", code=-2022), Ask()),
        least_sent=2,
    ),
    Scenario(
        "refused with -4118 once, and nothing rests",
        KIND,
        (fault("refused", code=-4118), Ask()),
        least_sent=2,
    ),
    Scenario(
        "refused with -4061 once, although the mode is what it was",
        KIND,
        (fault("refused", code=-4061), Ask()),
        least_sent=2,
    ),
    # Limits
    Scenario(
        "429 with Retry-After 2 s",
        LIMITS,
        (fault("rate_limited", ms=2000), Ask()),
        least_sent=2,
        where=Where.ALONE,
    ),
    Scenario(
        "418, banned for 3 s",
        LIMITS,
        (fault("banned", ms=3000), Ask()),
        least_sent=2,
        where=Where.ALONE,
    ),
    Scenario(
        "429 to a read of the position, with Retry-After 2 s",
        LIMITS,
        (
            Fault("rate_limited", "GET /fapi/v2/positionRisk", {"ms": 2000, "count": 1}, everywhere=True),
            Ask(),
        ),
        where=Where.ALONE,
    ),
    Scenario(
        "too many orders (-1015) once",
        LIMITS,
        (fault("refused", code=-1015), Ask()),
        least_sent=2,
        where=Where.ALONE,
    ),
    # Fills
    Scenario(
        "half is filled, then EXPIRED with reason 9",
        FILLS,
        (fault("partial_fill", fraction="0.5"), Ask()),
        effective=2,
        least_sent=2,
    ),
    Scenario(
        "half is filled, then EXPIRED, three times in a row",
        FILLS,
        (fault("partial_fill", fraction="0.5", count=3), Ask()),
        effective=4,
        least_sent=4,
    ),
    Scenario(
        "half is filled, then EXPIRED, and the answer is lost",
        FILLS,
        (fault("partial_fill", fraction="0.5"), fault("answer_dropped"), Ask()),
        effective=2,
        least_sent=2,
    ),
    Scenario(
        "EXPIRED with nothing filled",
        FILLS,
        (fault("partial_fill", fraction="0"), Ask()),
        least_sent=2,
    ),
    Scenario(
        "EXPIRED with nothing filled, three times in a row, half is closed",
        FILLS,
        (fault("partial_fill", fraction="0", count=3), Ask(part="0.5")),
        ends=(End(outcomes=("REDUCED",), filled=_HALF),),
        left=_HALF,
        least_sent=4,
    ),
    Scenario(
        "EXPIRED with nothing filled, and the answer is lost",
        FILLS,
        (fault("partial_fill", fraction="0"), fault("answer_dropped"), Ask()),
        least_sent=2,
    ),
    *(
        Scenario(
            f"somebody else reduces the position before an order is executed, which {words}",
            FILLS,
            (
                Control("settings", {"oversize_market": setting}),
                fault("execution_delayed", until_deadline_ms=100),
                Ask(),
                Until("arrived"),
                Foreign(HELD // 4),
            ),
            ends=(End(filled=HELD - HELD // 4),),
            where=Where.ALONE,
            market="tradable",
        )
        for setting, words in (("clamp", "is clamped"), ("expire", "fills what is there and then expires"))
    ),
    *(
        Scenario(
            f"answers to orders come {words} avgPrice",
            FILLS,
            (Control("settings", {"order_response_includes_avg_price": setting}), Ask()),
            where=Where.ALONE,
        )
        for setting, words in ((True, "with"), (False, "without"))
    ),
)
