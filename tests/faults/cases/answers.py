"""The answer to an order does not come, comes late, or says something else than what happened."""

from collections.abc import Iterator
from typing import Final

from tests.faults.scenario import (
    HELD,
    LIST,
    QUERY,
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

KIND: Final = "The answer to an order"
LATE: Final = "An order executed late"

_TWINS: Final = {
    "unknown_503": "503 'Unknown error' (body A)",
    "unavailable_503": "503 'Service Unavailable' (body B)",
    "internal_503": "503 'Internal error', code -1001 (body C)",
    "throttled_503": "503 'Request throttled', code -1008 (body D)",
    "timeout_408": "408 without a body",
    "timeout_1007": "408 with code -1007",
    "answer_html": "a 502 page of HTML",
    "answer_cut": "a connection that is cut in the middle of the answer",
}
"""Each is answered once after the order was executed, once although nothing was executed."""

_ONLY_AFTER: Final = {
    "unexpected_1006": ("the answer is code -1006, execution unknown", {}),
    "answer_dropped": ("the connection is cut before the first byte of the answer", {}),
    "answer_then_cut": ("the connection is cut after a whole answer", {}),
    "answer_truncated": ("the answer's JSON ends in the middle", {}),
    "answer_html_ok": ("the answer is a page of HTML with status 200", {}),
    "answer_slow": ("the answer trickles in over half a second", {"ms": 500}),
    "answer_delayed": ("the answer comes after 2 s, long after the window", {"ms": 2000}),
}


def _twins() -> Iterator[Scenario]:
    for name, words in _TWINS.items():
        yield Scenario(f"executed, and the answer is {words}", KIND, (fault(name), Ask()))
        not_executed = fault(f"{name}_not_executed")
        yield Scenario(f"not executed, and the answer is {words}", KIND, (not_executed, Ask()), least_sent=2)


def _only_after() -> Iterator[Scenario]:
    for name, (words, more) in _ONLY_AFTER.items():
        yield Scenario(f"executed, and {words}", KIND, (fault(name, **more), Ask()))


def _production() -> Iterator[Scenario]:
    for name, words in {
        "unknown_503": "executed, and the answer is 503 'Unknown error'",
        "unknown_503_not_executed": "not executed, and the answer is 503 'Unknown error'",
        "answer_dropped": "executed, and the connection is cut before the answer",
        "request_dropped": "not executed, and the connection is cut",
    }.items():
        yield Scenario(f"{words} (windows of production)", KIND, (fault(name), Ask()), where=Where.PRODUCTION)


def _delays() -> Iterator[Scenario]:
    """Tried so long before the end of the window; negative is after it."""
    tried = {
        "well inside the window": (250, 1),
        "just inside the window": (40, 1),
        "at the very end of the window": (0, 1),
        "just outside the window": (-1, 2),
        "well outside the window": (-150, 2),
    }
    for words, (until, least) in tried.items():
        for answer, heard in (("", "answered 503 'Unknown error'"), ("hang_up", "the connection is cut")):
            more = {"until_deadline_ms": until, **({"answer": answer} if answer else {})}
            yield Scenario(
                f"{heard} at once, execution is tried {words}",
                LATE,
                (fault("execution_delayed", **more), Ask()),
                least_sent=least,
            )
    for words, until in (("at the very end of the window", 0), ("just outside the window", -1)):
        yield Scenario(
            f"answered 503 'Unknown error', execution is tried {words} (windows of production)",
            LATE,
            (fault("execution_delayed", until_deadline_ms=until), Ask()),
            where=Where.PRODUCTION,
            least_sent=1 if until >= 0 else 2,
        )


_HALF: Final = HELD // 2
_REDUCED: Final = (End(outcomes=("REDUCED",), filled=_HALF),)

SCENARIOS: Final[tuple[Scenario, ...]] = (
    Scenario("nothing goes wrong", KIND, (Ask(),)),
    Scenario("nothing goes wrong (windows of production)", KIND, (Ask(),), where=Where.PRODUCTION),
    *_twins(),
    *_only_after(),
    Scenario(
        "not executed, and the connection is cut before the answer",
        KIND,
        (fault("request_dropped"), Ask()),
        least_sent=2,
    ),
    Scenario(
        "three orders in a row are lost on their way",
        KIND,
        (fault("request_dropped", count=3), Ask()),
        least_sent=4,
    ),
    Scenario(
        "half is closed, and the answer is lost after execution",
        KIND,
        (fault("answer_dropped"), Ask(part="0.5")),
        ends=_REDUCED,
        left=_HALF,
    ),
    Scenario(
        "half is closed, and the order is lost before execution",
        KIND,
        (fault("unknown_503_not_executed"), Ask(part="0.5")),
        ends=_REDUCED,
        left=_HALF,
        least_sent=2,
    ),
    Scenario(
        "half is closed, no answer, no stream event, and the order can't be found for 1.5 s",
        KIND,
        (
            stream("stream_silent"),
            fault("answer_dropped"),
            Fault("read_lag", "", {"ms": 1500}),
            Ask(part="0.5"),
        ),
        ends=_REDUCED,
        left=_HALF,
    ),
    Scenario(
        "executed, no answer, no stream event, and orders and trades are listed 1.5 s late",
        KIND,
        (stream("stream_silent"), fault("answer_dropped"), Fault("list_lag", "", {"ms": 1500}), Ask()),
    ),
    Scenario(
        "executed, no answer, no stream event, and queries fail for a while",
        KIND,
        (stream("stream_silent"), fault("unknown_503"), reads("unavailable_503", QUERY, count=6), Ask()),
    ),
    Scenario(
        "executed, no answer, no stream event, and queries are answered by HTML for a while",
        KIND,
        (stream("stream_silent"), fault("answer_dropped"), reads("answer_html_ok", QUERY, count=6), Ask()),
    ),
    Scenario(
        "not executed, and the lists that prove it fail for a while",
        KIND,
        (
            fault("unknown_503_not_executed"),
            reads("answer_html", LIST, count=4),
            reads("unavailable_503", TRADES, count=4),
            Ask(),
        ),
        least_sent=2,
    ),
    *_delays(),
    *_production(),
)
