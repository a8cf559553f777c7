"""The page's words: a journal as one line, and times in steps that don't move with every run."""

from typing import Any

import pytest

from tests.faults.believing import beliefs_of
from tests.faults.page import bound


def _sent(attempt: int) -> dict[str, Any]:
    return {"fact": "SENDING", "attempt": attempt}


def _refused(code: int) -> dict[str, Any]:
    return {"fact": "ANSWERED", "answer": "refused", "code": code}


ENDED: dict[str, Any] = {"fact": "ENDED", "outcome": {"kind": "REFUSED", "code": -1112, "reason": "no"}}


def test_a_journal_is_told_in_its_order() -> None:
    unknown = {"fact": "ANSWERED", "answer": "unknown", "code": None, "http_status": 503}
    seen = {"fact": "SEEN", "via": "order_list", "order": {"status": "FILLED"}}
    facts = [
        {"fact": "ADMITTED"},
        {"fact": "SIZED"},
        _sent(1),
        unknown,
        seen,
        {"fact": "FILLED", "trades": [1]},
    ]
    assert beliefs_of(facts) == "sent → unknown (503) → FILLED by list of orders → trades read"


def test_what_was_said_again_and_again_is_said_once() -> None:
    facts = [_sent(1), _refused(-1112), *(one for n in range(2, 7) for one in (_sent(n), _refused(-1112)))]
    told = beliefs_of([*facts, ENDED])
    assert told == ("sent → (refused -1112 → sent again) several times → refused -1112 → REFUSED(-1112, no)")


@pytest.mark.parametrize(
    ("took_ms", "said"), [(0, "50 ms"), (50, "50 ms"), (51, "100 ms"), (1_001, "2 s"), (31_000, "40 s")]
)
def test_a_time_is_the_next_step_above(took_ms: int, said: str) -> None:
    assert bound(took_ms) == said
