"""What is read is old, incomplete, or can't be read at all.

Margin and spread after the deadline of an order all reads together may lag, and no longer: that is assumed of the venue
(README, A4). A single kind of read may lag longer.
"""

from typing import Final

from tests.faults.scenario import (
    HELD,
    LIST,
    LONG,
    POSITIONS,
    QUERY,
    SHORT,
    TRADES,
    Ask,
    End,
    Fault,
    Scenario,
    Where,
    fault,
    reads,
    stream,
)

KIND: Final = "Reads"

_HALF: Final = HELD // 2
_SILENT: Final = stream("stream_silent")


def _lag(name: str, ms: int, *, everywhere: bool = False) -> Fault:
    return Fault(name, "", {"ms": ms}, everywhere=everywhere)


SCENARIOS: Final[tuple[Scenario, ...]] = (
    Scenario(
        "no answer, no stream event, and the order can't be found (-2013) until the window is over",
        KIND,
        (fault("answer_dropped"), _SILENT, _lag("read_lag", 600), Ask()),
    ),
    Scenario(
        "the answer is lost, the order can't be found (-2013) for 2 s, and the stream tells of it",
        KIND,
        (fault("unknown_503"), Fault("read_lag", "", {"ms": 2000}, must_strike=False), Ask()),
    ),
    Scenario(
        "no answer, no stream event, and the order can't be found (-2013) for 2 s",
        KIND,
        (
            fault("answer_dropped"),
            _SILENT,
            _lag("read_lag", 2000),
            Ask(),
        ),
    ),
    Scenario(
        "no answer, no stream event, and orders and trades are listed 2 s late",
        KIND,
        (fault("answer_dropped"), _SILENT, _lag("list_lag", 2000), Ask()),
    ),
    Scenario(
        "no answer, no stream event, no query and no list for 1.5 s",
        KIND,
        (
            fault("answer_dropped"),
            _SILENT,
            _lag("read_lag", 1500),
            _lag("list_lag", 1500),
            Ask(),
        ),
    ),
    Scenario(
        "no stream event, and trades are listed 1 s late", KIND, (_SILENT, _lag("list_lag", 1000), Ask())
    ),
    Scenario(
        "no stream event, and trades are listed 1 s late, half is closed",
        KIND,
        (_SILENT, _lag("list_lag", 1000), Ask(part="0.5")),
        ends=(End(outcomes=("REDUCED",), filled=_HALF),),
        left=_HALF,
    ),
    Scenario(
        "positions are shown as they were 1 s ago",
        KIND,
        (_lag("position_lag", 1000, everywhere=True), Ask()),
        where=Where.ALONE,
    ),
    Scenario(
        "positions are shown as they were 1 s ago, half is closed and then half of the rest",
        KIND,
        (_lag("position_lag", 1000, everywhere=True), Ask("a", part="0.5"), Ask("b", part="0.5")),
        ends=(End("a", ("REDUCED",), None), End("b", ("REDUCED",), None)),
        left=HELD // 4,
        effective=2,
        least_sent=2,
        where=Where.ALONE,
    ),
    Scenario(
        "positions are shown as they were 1 s ago, and the answer is lost",
        KIND,
        (_lag("position_lag", 1000, everywhere=True), fault("answer_dropped"), Ask()),
        where=Where.ALONE,
    ),
    *(
        Scenario(
            f"no answer, no stream event, and all reads lag, {words}",
            KIND,
            (
                fault("unknown_503"),
                _SILENT,
                _lag("read_lag", ms),
                _lag("list_lag", ms),
                _lag("position_lag", ms, everywhere=True),
                Ask(),
            ),
            where=Where.ALONE,
            settings=windows,
        )
        for ms, windows, words in (
            (800, SHORT, "almost as long as they may"),
            (3_800, LONG, "almost as long as they may (windows of production)"),
        )
    ),
    Scenario(
        "positions can't be read for a while (503)",
        KIND,
        (reads("unavailable_503", POSITIONS, count=8), Ask()),
        where=Where.ALONE,
    ),
    Scenario(
        "positions are answered by HTML with status 200 for a while",
        KIND,
        (reads("answer_html_ok", POSITIONS, count=8), Ask()),
        where=Where.ALONE,
    ),
    Scenario(
        "no stream event, and trades can't be read for a while (503)",
        KIND,
        (_SILENT, reads("unavailable_503", TRADES, count=8), Ask()),
    ),
    Scenario(
        "no stream event, and trades are answered by HTML for a while",
        KIND,
        (_SILENT, reads("answer_html", TRADES, count=8), Ask()),
    ),
    Scenario(
        "no answer, no stream event, and every read fails now and then",
        KIND,
        (
            _SILENT,
            fault("answer_dropped"),
            reads("unknown_503", QUERY, count=3),
            Fault("answer_truncated", LIST, {"count": 2}, must_strike=False),
            reads("answer_cut", TRADES, count=3),
            Ask(),
        ),
    ),
)
