"""Flat, wrapped, doubled, broken: what shape does to an entry, which is nothing unless it leaves a doubt."""

import json
from typing import Any

import pytest

from sureclose.domain.events import Intent
from sureclose.streams.codec import NotACloseReason
from sureclose.streams.fields import Unreadable
from sureclose.streams.names import StreamName
from tests.streams.test_codec_entries import (
    WISHES,
    entry,
    intent,
    read,
    read_intent,
    refused_intent,
    why_not,
)

HARVEST, TRADE = StreamName.HARVEST_INTENT, StreamName.TRADE_INTENT


@pytest.mark.parametrize("stream", WISHES)
@pytest.mark.parametrize("other", list(StreamName))
def test_an_event_for_another_stream_is_refused_where_it_would_be_a_close(
    stream: StreamName, other: StreamName
) -> None:
    same = other is stream or {stream, other} == {HARVEST, TRADE}
    for spelling in (other.value, f"quantum:stream:{other}", other.replace(".", "_").upper()):
        decoded = read(stream, entry(stream, event_type=spelling))
        assert isinstance(decoded, Unreadable) != same
    idle = read(stream, entry(stream, event_type=other.value, decision="SKIP"))
    assert why_not(idle) is NotACloseReason.SKIP


def test_an_event_type_that_names_no_stream_is_harmless() -> None:
    assert read_intent(event_type="AUTONOMOUS_EXIT").action == "CLOSE"


def test_a_newer_layout_of_ours_is_not_read_as_the_old_one() -> None:
    assert "sureclose/2" in refused_intent(schema="sureclose/2")
    assert read_intent(schema="harvest-v7").symbol == "ETHUSDT"


def test_a_payload_wins_over_the_outer_fields_which_fill_its_gaps() -> None:
    inner: dict[str, Any] = {"symbol": "BTCUSDT", "action": "PARTIAL_50", "quantity": 0.5, "reason": None}
    outer = intent(quantity="7", reason="outer", source="outer") | {"payload": json.dumps(inner)}
    decoded = read(HARVEST, outer)
    assert isinstance(decoded, Intent)
    assert (decoded.symbol, decoded.action, str(decoded.quantity)) == ("BTCUSDT", "PARTIAL_50", "0.5")
    assert (decoded.reason, decoded.source, decoded.origin_at) == ("outer", "outer", 1_770_734_523_999)


def test_details_only_fill_gaps() -> None:
    decoded = read(HARVEST, intent(details='{"symbol": "BTCUSDT", "quantity": 3}'))
    assert isinstance(decoded, Intent)
    assert (decoded.symbol, str(decoded.quantity)) == ("ETHUSDT", "3")
    assert read_intent(details='{"symbol": "BTCUS').symbol == "ETHUSDT"


@pytest.mark.parametrize(
    "payload", ["[]]", "[1]", '"text"', "5", '{"symbol": "A', '{"a": 1, "a": 2}', "[" * 9999]
)
@pytest.mark.parametrize("name", ["payload", "data"])
def test_a_wrapping_that_cannot_be_opened_is_refused(name: str, payload: str) -> None:
    assert name in refused_intent(**{name: payload})


def test_an_entry_wrapped_without_end_is_refused() -> None:
    fields = json.dumps(intent())
    for _ in range(6):
        fields = json.dumps({"data": fields})
    assert isinstance(read(HARVEST, {"data": fields}), Unreadable)


def test_a_field_that_stands_twice_with_two_values_is_refused() -> None:
    twice: dict[bytes | str, bytes | str] = {}
    for name, value in intent().items():
        twice[name] = value
        twice[name.encode()] = value.encode()
    assert isinstance(read(HARVEST, twice), Intent)
    twice["action"] = "PARTIAL_50"
    assert isinstance(read(HARVEST, twice), Unreadable)


def test_an_entry_of_megabytes_is_refused_unread() -> None:
    assert "larger" in refused_intent(reason="x" * 10_000_000)
