"""A backlog as the first users had one: results of two producers, nearly all of them no approval, and days old."""

import json
from collections.abc import Iterator
from typing import Final

SYMBOLS: Final = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "BNBUSDT", "ARCUSDT")
SPAN_MS: Final = 7 * 86_400_000
BEFORE_MS: Final = 2 * 86_400_000
"""How old the newest stale entry is."""
FRESH_HOURS: Final = 20
TODAY_MS: Final = 3 * 3_600_000

Entry = tuple[str, tuple[str, ...]]
"""The id to be, ``*`` for now, and names and values in turn."""


def stale(count: int, now: int, *, today: bool = False) -> Iterator[Entry]:
    """In turn flat and wrapped; one in fifty is an approval whose time is long over.

    With ``today`` the ids are of the last hours and the times in the entries of days ago, as of a log that was filled anew.
    """
    begun = now - BEFORE_MS - SPAN_MS
    for number in range(count):
        at = begun + SPAN_MS * number // count
        written = now - TODAY_MS + TODAY_MS * number // count if today else at
        yield f"{written}-{number % 3}", _result(number, at, approved=number % 50 == 0)


def fresh(count: int, now: int) -> Iterator[Entry]:
    """Approvals that may still be executed: they say for how long."""
    until = (now // 1000 + FRESH_HOURS * 3600) * 1000
    for number in range(count):
        yield (
            "*",
            (
                *("plan_id", f"fresh{number:027x}", "symbol", SYMBOLS[number % len(SYMBOLS)]),
                *("decision", "CLOSE", "approved", "True", "executed", "False"),
                *("error", "", "timestamp", str(now // 1000), "expires_at", str(until)),
            ),
        )


def _result(number: int, at: int, *, approved: bool) -> tuple[str, ...]:
    plan_id, symbol = f"{number * 2654435761 % 2**64:016x}", SYMBOLS[number % len(SYMBOLS)]
    decision = "CLOSE" if approved else "SKIP"
    if number % 2:
        return (
            *("plan_id", plan_id, "symbol", symbol, "decision", decision),
            *("executed", "False", "would_execute", str(approved)),
            *("error", "" if approved else "kill_score_close_ok"),
            *("kill_score", "0.7119699587849092", "timestamp", str(at // 1000)),
        )
    payload = {
        "plan_id": plan_id,
        "symbol": symbol,
        "decision": decision,
        "executed": False,
        "error": "" if approved else "kill_score_close_ok",
        "timestamp": at // 1000,
    }
    return (
        *("event_type", "apply.result", "payload", json.dumps(payload)),
        *("timestamp", str(at / 1000), "source", "apply_layer"),
    )
