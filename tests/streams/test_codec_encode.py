"""What we write: the design's fields, readable by ourselves, and nothing that could be taken for an approval."""

import json
from decimal import Decimal

import msgspec
import pytest

from sureclose.domain.events import Decision, EntryRef, Intent, Plan, Veto
from sureclose.domain.outcome import Outcome, OutcomeKind, Report
from sureclose.domain.words import AgeSource, Mode, PositionSide, Verdict
from sureclose.streams.codec import NotACloseReason
from sureclose.streams.deadletter import dead_letter, original_of
from sureclose.streams.encode import (
    SCHEMA,
    Producer,
    encode_decision,
    encode_intent,
    encode_plan,
    encode_report,
)
from sureclose.streams.fields import Unreadable
from sureclose.streams.names import StreamName
from tests.streams.test_codec_entries import NOW, as_bytes, read, why_not

US = Producer("apply_layer", "1.2.3", "box-7", 4711)
REF = EntryRef("quantum:stream:harvest.intent", "1770734523368-0")
INTENT = Intent(
    intent_id="i1",
    symbol="ETHUSDT",
    position_side=PositionSide.LONG,
    action="PARTIAL_50",
    fraction=Decimal("0.50"),
    quantity=Decimal("1.5"),
    origin_at=1_770_734_523_368,
    age_source=AgeSource.ENTRY_ID,
    expires_at=NOW + 30_000,
    position_amt=Decimal(-3),
    position_update_time=1_770_734_523_000,
    mode=Mode.PAPER,
    reason="R=2.1",
    source="harvest",
    scores={"R_net": "2.1", "k_sigma_spike": "0.0"},
    cause=(REF, EntryRef("quantum:stream:apply.plan", "1770734523369-2")),
)
WISH = {name: getattr(INTENT, name) for name in INTENT.__struct_fields__}
PLAN = Plan(**WISH, plan_id="p1", reason_codes=("kill_score_close_ok", "second"))
DECISION = Decision(**WISH, plan_id="p1", verdict=Verdict.CLOSE, approved=True, reason_codes=("a",))
REPORT = Report(
    intent_id="i1",
    plan_id="p1",
    symbol="ETHUSDT",
    position_side="BOTH",
    outcome=Outcome(OutcomeKind.FLAT),
    executed=True,
    filled_qty=Decimal("3E+1"),
    avg_price=Decimal("3000.5"),
    position_before=Decimal(-30),
    position_after=Decimal(0),
    order_ids=(8205830455, 8205830456),
    client_order_ids=("sc-1", "sc-2"),
    evidence="abc",
)
SKIPPED = msgspec.structs.replace(
    REPORT,
    executed=False,
    outcome=Outcome(OutcomeKind.SKIPPED, "frozen"),
    filled_qty=Decimal(0),
    avg_price=None,
    position_before=None,
    position_after=None,
    order_ids=(),
    client_order_ids=(),
)
HARVEST, RESULT = StreamName.HARVEST_INTENT, StreamName.APPLY_RESULT


def test_an_intent_is_written_with_the_fields_of_the_design() -> None:
    assert encode_intent(INTENT, US, NOW) == {
        "schema": SCHEMA,
        "intent_id": "i1",
        "producer": '{"name":"apply_layer","version":"1.2.3","host":"box-7","pid":4711}',
        "created_at": "2026-02-13T16:26:39.000Z",
        "mode": "paper",
        "symbol": "ETHUSDT",
        "position_side": "LONG",
        "action": "PARTIAL_50",
        "fraction": "0.50",
        "quantity": "1.5",
        "reason": "R=2.1",
        "source": "harvest",
        "origin_at": "2026-02-10T14:42:03.368Z",
        "age_source": "entry_id",
        "expires_at": "2026-02-13T16:27:09.000Z",
        "position_amt": "-3",
        "position_update_time": "1770734523000",
        "R_net": "2.1",
        "k_sigma_spike": "0.0",
        "cause": "quantum:stream:harvest.intent@1770734523368-0 quantum:stream:apply.plan@1770734523369-2",
    }


def test_what_is_written_is_read_again_as_it_was() -> None:
    assert read(HARVEST, as_bytes(encode_intent(INTENT, US, NOW))) == INTENT
    assert read(StreamName.APPLY_PLAN, as_bytes(encode_plan(PLAN, US, NOW))) == PLAN
    assert read(RESULT, as_bytes(encode_decision(DECISION, US, NOW))) == DECISION


def test_what_was_not_said_is_not_written() -> None:
    bare = msgspec.structs.replace(
        INTENT,
        quantity=None,
        expires_at=None,
        position_amt=None,
        position_update_time=None,
        mode=None,
        reason="",
        source="",
        scores={},
        cause=(),
    )
    fields = encode_intent(bare, US, NOW)
    assert all(fields.values())
    assert not fields.keys() & {"quantity", "expires_at", "position_amt", "mode", "reason", "cause"}
    assert read(HARVEST, fields) == bare


def test_incident_24_everything_says_who_wrote_it() -> None:
    for fields in (
        encode_intent(INTENT, US, NOW),
        encode_plan(PLAN, US, NOW),
        encode_decision(DECISION, US, NOW),
        encode_report(REPORT, US, NOW, Mode.DEMO, as_confirmation=True),
        dead_letter(REF, {}, Unreadable("a", "b"), US, NOW),
    ):
        assert msgspec.json.decode(fields["producer"], type=Producer) == US
        assert fields["schema"] == SCHEMA


def test_no_score_can_stand_for_a_field_of_ours() -> None:
    forged = msgspec.structs.replace(INTENT, scores={"symbol": "BTCUSDT", "action": "CLOSE"})
    fields = encode_intent(forged, US, NOW)
    assert (fields["symbol"], fields["action"]) == ("ETHUSDT", "PARTIAL_50")


def test_a_decision_is_written_with_approval_outcome_and_error_apart() -> None:
    fields = encode_decision(DECISION, US, NOW)
    said = ("decision", "approved", "executed", "would_execute", "reason_codes", "plan_id")
    assert [fields[name] for name in said] == ["CLOSE", "True", "False", "True", "a", "p1"]
    assert "error" not in fields


@pytest.mark.parametrize(
    ("verdict", "reason"),
    [
        (Verdict.SKIP, NotACloseReason.SKIP),
        (Verdict.BLOCKED, NotACloseReason.BLOCKED),
        (Verdict.ERROR, NotACloseReason.ERROR_VERDICT),
        (Verdict.CLOSE, NotACloseReason.NOT_APPROVED),
    ],
)
def test_a_decision_against_a_close_is_written_as_none(verdict: Verdict, reason: NotACloseReason) -> None:
    veto = Veto("max_age", "60000", "61000")
    against = msgspec.structs.replace(DECISION, verdict=verdict, approved=False, veto=veto)
    fields = encode_decision(against, US, NOW)
    assert fields["would_execute"] == "False"
    assert msgspec.json.decode(fields["veto"], type=Veto) == veto
    assert why_not(read(RESULT, fields)) is reason


def test_a_reducing_order_is_written_so_that_it_says_that_it_reduces() -> None:
    sell = msgspec.structs.replace(INTENT, action="SELL", fraction=None)
    fields = encode_intent(sell, US, NOW)
    assert fields["reduce_only"] == "True"
    assert read(HARVEST, fields) == sell


@pytest.mark.parametrize("codes", [("a, b",), ("",), ("[x",), (" a",), ("a", "", "b"), ('["a"]', "ü")])
def test_reason_codes_survive_whatever_they_hold(codes: tuple[str, ...]) -> None:
    coded = msgspec.structs.replace(PLAN, reason_codes=codes)
    assert read(StreamName.APPLY_PLAN, encode_plan(coded, US, NOW)) == coded


def test_a_confirmation_has_the_fields_of_the_design_and_is_no_decision() -> None:
    fields = encode_report(REPORT, US, NOW, Mode.PAPER, as_confirmation=True, cause=(REF,))
    expected = {
        "decision": "CLOSE",
        "approved": "True",
        "executed": "True",
        "outcome": "FLAT",
        "order_ids": "8205830455,8205830456",
        "client_order_ids": "sc-1,sc-2",
        "filled_qty": "30",
        "avg_price": "3000.5",
        "position_before": "-30",
        "position_after": "0",
        "evidence": "abc",
        "mode": "paper",
        "cause": str(REF),
    }
    assert expected.items() <= fields.items()
    assert not fields.keys() & {"veto", "reason", "error"}
    assert why_not(read(RESULT, fields)) is NotACloseReason.CONFIRMATION


def test_what_was_not_executed_cannot_be_confirmed() -> None:
    with pytest.raises(ValueError, match="p1 was not executed"):
        encode_report(SKIPPED, US, NOW, Mode.PAPER, as_confirmation=True)


def test_an_outcome_without_execution_never_reads_as_an_approval() -> None:
    fields = encode_report(SKIPPED, US, NOW, Mode.PAPER, as_confirmation=False)
    said = {"outcome": "SKIPPED", "reason": "frozen", "veto": "frozen", "executed": "False", "avg_price": ""}
    assert said.items() <= fields.items()
    assert why_not(read(StreamName.EXECUTION_RESULT, fields)) is NotACloseReason.OTHER_STREAM
    assert why_not(read(RESULT, fields)) is NotACloseReason.NO_DECISION


def test_an_outcome_says_the_venues_code_and_the_reason() -> None:
    refused = Outcome(OutcomeKind.REFUSED, "reduce only rejected", -2022)
    fields = encode_report(
        msgspec.structs.replace(SKIPPED, outcome=refused), US, NOW, Mode.PAPER, as_confirmation=False
    )
    assert (fields["outcome"], fields["code"], fields["reason"]) == ("REFUSED", "-2022", refused.reason)
    done = encode_report(REPORT, US, NOW, Mode.PAPER, as_confirmation=False)
    assert (done["decision"], done["executed"], done["veto"], done["reason"]) == ("CLOSE", "True", "", "")


def test_incident_9_a_dead_letter_keeps_the_entry_byte_for_byte() -> None:
    fields = {b"symbol": "币安".encode(), b"\xff\x00": b"\xc3(", b"payload": b'{"a": "\\u0000"}', b"": b""}
    letter = dead_letter(REF, fields, Unreadable("why", "how"), US, NOW)
    assert (letter["stream"], letter["id"]) == (REF.stream, REF.entry_id)
    assert (letter["reason"], letter["remedy"]) == ("why", "how")
    assert original_of(letter["entry"]) == tuple(fields.items())
    assert ["symbol", "币安"] in json.loads(letter["entry"])


def test_a_dead_letter_of_a_decoding_client_keeps_the_bytes_too() -> None:
    text = b"\xff\xfe".decode("utf-8", "surrogateescape")
    letter = dead_letter(REF, {text: "\ud800", "a": "b"}, Unreadable("why", "how"), US, NOW)
    assert original_of(letter["entry"]) == ((b"\xff\xfe", b"\xed\xa0\x80"), (b"a", b"b"))


@pytest.mark.parametrize(
    "entry", ["", "{}", "[[1, 2]]", '[["a"]]', '[["a", {"base": ""}]]', '[["a", {"base64": "?"}]]']
)
def test_what_is_no_dead_letter_is_not_unpacked(entry: str) -> None:
    with pytest.raises(ValueError):
        original_of(entry)


def test_a_plan_says_its_one_step() -> None:
    wish = {name: getattr(INTENT, name) for name in INTENT.__struct_fields__}
    fields = encode_plan(Plan(**wish, plan_id="p1"), US, NOW)
    assert json.loads(fields["steps"]) == [
        {
            "step": "REDUCE",
            "type": "market_reduce_only",
            "side": "close",
            "fraction": "0.50",
            "quantity": "1.5",
        }
    ]
