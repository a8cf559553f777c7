"""The user data stream loses, delays, doubles and reorders, falls silent, or is taken away."""

from typing import Final

from tests.faults.scenario import (
    HELD,
    Ask,
    Control,
    Elapse,
    End,
    Ended,
    Foreign,
    Scenario,
    Where,
    fault,
    stream,
)

KIND: Final = "The user data stream"

_FILLED: Final = "ORDER_TRADE_UPDATE"
_THEN: Final = (End("a"),)
_HALF: Final = HELD // 2
_QUARTER: Final = HELD // 4
_UNTOLD: Final = (
    (stream("stream_silent"), "the stream does not tell of it"),
    (stream("stream_late", ms=2000), "the stream tells of it 2 s later"),
    (stream("stream_cut", "ACCOUNT_UPDATE"), "the stream is cut before it tells of it"),
)
"""Played alone: a stream that others have caught losing something is not believed anyway."""

SCENARIOS: Final[tuple[Scenario, ...]] = (
    Scenario("all events of the symbol are lost", KIND, (stream("stream_silent"), Ask())),
    Scenario(
        "all events of the symbol are lost, and the answer too",
        KIND,
        (stream("stream_silent"), fault("answer_dropped"), Ask()),
    ),
    Scenario(
        "only ORDER_TRADE_UPDATE is lost, and the answer",
        KIND,
        (stream("stream_silent", _FILLED), fault("answer_dropped"), Ask()),
    ),
    Scenario(
        "all events of the symbol are lost, and nothing was executed",
        KIND,
        (stream("stream_silent"), fault("request_dropped"), Ask()),
        least_sent=2,
    ),
    Scenario(
        "events come 1 s late, and the answer is lost",
        KIND,
        (stream("stream_late", ms=1000), fault("answer_dropped"), Ask()),
    ),
    Scenario(
        "events come 1 s late, of an order that filled half and expired",
        KIND,
        (stream("stream_late", ms=1000), fault("partial_fill", fraction="0.5"), Ask()),
        effective=2,
        least_sent=2,
    ),
    Scenario(
        "every event comes twice, and the answer is lost",
        KIND,
        (stream("stream_doubled", count=20), fault("unknown_503"), Ask()),
    ),
    Scenario(
        "every event comes twice, of an order that filled half and expired",
        KIND,
        (stream("stream_doubled", count=20), fault("partial_fill", fraction="0.5"), Ask()),
        effective=2,
        least_sent=2,
    ),
    Scenario(
        "the position's event comes before the order's, and the answer is lost",
        KIND,
        (stream("stream_reordered", ms=400, count=20), fault("answer_dropped"), Ask()),
    ),
    *(
        Scenario(
            f"somebody else halves the position, {words}, and half of the rest is closed",
            KIND,
            (lost, Foreign(_HALF), Ask(part="0.5")),
            ends=(End(outcomes=("REDUCED",), filled=_QUARTER),),
            left=_QUARTER,
            where=Where.ALONE,
            market="tradable",
        )
        for lost, words in _UNTOLD
    ),
    *(
        Scenario(
            f"somebody else reverses the position, {words}, and then it is to be closed",
            KIND,
            (lost, Foreign(2 * HELD, reduce_only=False), Ask()),
            ends=(End(filled=HELD),),
            total=HELD,
            where=Where.ALONE,
            market="tradable",
        )
        for lost, words in _UNTOLD
    ),
    *(
        Scenario(
            f"somebody else doubles the position, {words}, and then it is to be closed",
            KIND,
            (lost, Foreign(HELD, adds=True), Ask()),
            ends=(End(filled=2 * HELD),),
            effective=None,
            where=Where.ALONE,
            market="tradable",
        )
        for lost, words in _UNTOLD
    ),
    Scenario(
        "the stream answers pings and delivers nothing, and the answer is lost",
        KIND,
        (stream("stream_silent", everywhere=True), fault("unknown_503"), Ask()),
        where=Where.ALONE,
    ),
    Scenario(
        "the stream answers pings and delivers nothing, and the answer is lost (windows of production)",
        KIND,
        (stream("stream_silent"), fault("unknown_503"), Ask()),
        where=Where.PRODUCTION,
    ),
    Scenario(
        "the stream is cut at the order's event, and the answer is lost",
        KIND,
        (stream("stream_cut", _FILLED), fault("answer_dropped"), Ask()),
        where=Where.ALONE,
    ),
    Scenario(
        "another program deletes the listen key, and the next answer is lost",
        KIND,
        (Control("listen-key/delete"), fault("answer_dropped"), Ask()),
        where=Where.ALONE,
    ),
    Scenario(
        "another program deletes the listen key while the fate of an order is open",
        KIND,
        (
            fault("execution_delayed", until_deadline_ms=50),
            Ask(),
            Elapse(100),
            Control("listen-key/delete"),
            Ended(),
        ),
        ends=_THEN,
        where=Where.ALONE,
    ),
)
