"""Recorded entries of older producers, and what the other codec tests build entries with."""

import json
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from sureclose.domain.events import Decision, EntryRef, Intent, Plan
from sureclose.domain.words import Mode
from sureclose.streams.codec import CodecRules, Decoded, NotAClose, NotACloseReason, decode
from sureclose.streams.fields import RawFields, Unreadable
from sureclose.streams.names import StreamName

NOW = 1_770_999_999_000
PREFIX = "quantum:stream:"
CLOSES = (Intent, Plan, Decision)
RECORDED: list[dict[str, Any]] = [
    json.loads(line)
    for line in (Path(__file__).parents[1] / "data" / "recorded-entries.jsonl").read_text().splitlines()
]

WISHES = (
    StreamName.HARVEST_INTENT,
    StreamName.TRADE_INTENT,
    StreamName.APPLY_PLAN,
    StreamName.APPLY_RESULT,
)


def read(
    stream: StreamName,
    fields: RawFields,
    *,
    mode: Mode = Mode.PAPER,
    execute_is_approval: bool = False,
    entry_id: str = f"{NOW}-0",
) -> Decoded:
    return decode(
        stream,
        EntryRef(PREFIX + stream, entry_id),
        fields,
        now_ms=NOW,
        rules=CodecRules(mode, execute_is_approval),
    )


def intent(**fields: str | None) -> dict[str, str]:
    return _said({"symbol": "ETHUSDT", "action": "CLOSE", "timestamp": "1770734523"}, fields)


def plan(**fields: str | None) -> dict[str, str]:
    return _said({"plan_id": "p1", "decision": "EXECUTE", **intent()}, fields)


def decision(**fields: str | None) -> dict[str, str]:
    base = {"plan_id": "p1", "symbol": "ETHUSDT", "decision": "CLOSE", "approved": "True"}
    return _said(base | {"executed": "False", "would_execute": "True", "timestamp": "1770734523"}, fields)


def _said(base: dict[str, str], fields: Mapping[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in {**base, **fields}.items() if value is not None}


def entry(stream: StreamName, **fields: str | None) -> dict[str, str]:
    """A close as that stream carries it."""
    if stream is StreamName.APPLY_RESULT:
        return decision(**fields)
    return plan(**fields) if stream is StreamName.APPLY_PLAN else intent(**fields)


def as_bytes(fields: Mapping[str, str]) -> dict[bytes, bytes]:
    return {name.encode(): value.encode() for name, value in fields.items()}


def read_intent(**fields: str | None) -> Intent:
    decoded = read(StreamName.HARVEST_INTENT, intent(**fields))
    assert isinstance(decoded, Intent), decoded
    return decoded


def read_decision(**fields: str | None) -> Decision:
    decoded = read(StreamName.APPLY_RESULT, decision(**fields))
    assert isinstance(decoded, Decision), decoded
    return decoded


def refused_intent(**fields: str | None) -> str:
    """Why it is unreadable."""
    decoded = read(StreamName.HARVEST_INTENT, intent(**fields))
    assert isinstance(decoded, Unreadable), decoded
    return decoded.reason


def why_not(decoded: Decoded) -> NotACloseReason:
    assert isinstance(decoded, NotAClose), decoded
    return decoded.reason


def stream_of(recorded: Mapping[str, Any]) -> StreamName:
    return StreamName(recorded["stream"].removeprefix(PREFIX))


def expectation(decoded: Decoded) -> str:
    if isinstance(decoded, NotAClose):
        return "not_a_close"
    return "dead_letter" if isinstance(decoded, Unreadable) else "close"


@pytest.mark.parametrize("recorded", RECORDED, ids=[recorded["note"] for recorded in RECORDED])
def test_incident_16_every_recorded_entry_is_understood_as_it_was_meant(recorded: dict[str, Any]) -> None:
    stream, entry_id = stream_of(recorded), recorded["id"] or f"{NOW}-0"
    as_text = read(stream, recorded["fields"], entry_id=entry_id)
    assert expectation(as_text) == recorded["expect"]
    assert read(stream, as_bytes(recorded["fields"]), entry_id=entry_id) == as_text


def test_incident_12_skip_events_are_not_orders() -> None:
    skipped = RECORDED[0]["fields"]
    assert why_not(read(StreamName.APPLY_RESULT, skipped)) is NotACloseReason.SKIP
    nonsense = skipped | {"symbol": "", "fraction": "25", "timestamp": "never", "price": "0"}
    assert why_not(read(StreamName.APPLY_RESULT, nonsense)) is NotACloseReason.SKIP


def test_incident_11_a_flat_entry_is_as_good_as_a_wrapped_one() -> None:
    for recorded in RECORDED:
        if recorded["expect"] == "close":
            flat = read(stream_of(recorded), recorded["fields"])
            wrapped = {"event_type": stream_of(recorded).value, "payload": json.dumps(recorded["fields"])}
            assert read(stream_of(recorded), wrapped) == flat
            assert read(stream_of(recorded), {"data": json.dumps(recorded["fields"])}) == flat


def test_incident_9_what_cannot_be_understood_names_its_remedy() -> None:
    for recorded in RECORDED:
        if recorded["expect"] == "dead_letter":
            decoded = read(stream_of(recorded), recorded["fields"])
            assert isinstance(decoded, Unreadable)
            assert decoded.reason
            assert decoded.remedy


@pytest.mark.parametrize("stream", WISHES)
@pytest.mark.parametrize("fields", [{}, {"symbol": ""}, {"a": " ", "b": "\n"}, {"data": "{}"}])
def test_an_empty_entry_was_lost_and_is_nobodys_decision(stream: StreamName, fields: dict[str, str]) -> None:
    decoded = read(stream, fields)
    assert isinstance(decoded, Unreadable)
    assert "lost" in decoded.reason


@pytest.mark.parametrize("stream", [stream for stream in StreamName if stream not in WISHES])
def test_streams_of_outcomes_ask_for_nothing(stream: StreamName) -> None:
    assert why_not(read(stream, decision())) is NotACloseReason.OTHER_STREAM
    assert why_not(read(stream, {})) is NotACloseReason.OTHER_STREAM


def test_the_recorded_decision_says_everything_that_the_engine_needs() -> None:
    recorded = next(entry for entry in RECORDED if "PATH 1B" in entry["note"])
    decoded = read(StreamName.APPLY_RESULT, recorded["fields"])
    assert isinstance(decoded, Decision)
    assert (decoded.plan_id, decoded.symbol, decoded.approved) == ("c10se00000000001", "SOLUSDT", True)
    assert (decoded.action, decoded.fraction, decoded.quantity) == ("CLOSE", Decimal(1), None)
    assert (decoded.origin_at, decoded.mode) == (1_770_768_100_999, None)
