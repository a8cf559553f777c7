"""What makes an entry a close, and what doesn't: decision, approval, execution, rehearsal, environment."""

import json

import pytest

from sureclose.domain.events import Decision, Intent, Plan, Veto
from sureclose.domain.words import Mode, PositionSide, Verdict
from sureclose.streams.codec import NotACloseReason
from sureclose.streams.fields import Unreadable
from sureclose.streams.names import StreamName
from tests.streams.test_codec_entries import (
    WISHES,
    decision,
    entry,
    intent,
    plan,
    read,
    read_decision,
    read_intent,
    refused_intent,
    why_not,
)

RESULT, PLAN = StreamName.APPLY_RESULT, StreamName.APPLY_PLAN
HARVEST, TRADE = StreamName.HARVEST_INTENT, StreamName.TRADE_INTENT

TRUE = ["True", "true", "TRUE", "1", "yes", " true "]
FALSE = ["False", "false", "FALSE", "0", "no", ""]
GARBAGE = ["maybe", "2", "None", "TrueFalse", "\udcff"]

STEPS = '[{"step":"CLOSE_PARTIAL_75","type":"market_reduce_only","side":"close","pct":75.0}]'


def wrapped(shape: str, stream: StreamName, fields: dict[str, str]) -> dict[str, str]:
    shapes: dict[str, dict[str, str]] = {
        "flat": fields,
        "payload": {"event_type": stream.value, "payload": json.dumps(fields), "source": "x"},
        "data": {"data": json.dumps(fields)},
        "details": {"event_type": stream.value, "details": json.dumps(fields)},
        "payload in data": {"data": json.dumps({"event_type": stream.value, "payload": fields})},
    }
    return shapes[shape]


SHAPES = ["flat", "payload", "data", "details", "payload in data"]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("executed", FALSE)
@pytest.mark.parametrize("approved", TRUE)
def test_an_approved_close_is_one_in_every_shape_and_spelling(
    shape: str, executed: str, approved: str
) -> None:
    fields = decision(approved=approved, executed=executed, would_execute=None)
    decoded = read(RESULT, wrapped(shape, RESULT, fields))
    assert isinstance(decoded, Decision)
    assert decoded.approved
    assert decoded.verdict is Verdict.CLOSE


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("stream", WISHES)
@pytest.mark.parametrize("word", TRUE)
def test_what_was_executed_is_never_a_close(shape: str, stream: StreamName, word: str) -> None:
    fields = wrapped(shape, stream, entry(stream, executed=word))
    assert why_not(read(stream, fields)) is NotACloseReason.ALREADY_EXECUTED


@pytest.mark.parametrize("name", ["outcome", "order_id", "order_ids", "filled_qty"])
def test_an_executed_close_with_its_result_is_a_confirmation(name: str) -> None:
    assert why_not(read(RESULT, decision(executed="True", **{name: "5"}))) is NotACloseReason.CONFIRMATION


@pytest.mark.parametrize("layer", ["payload", "data", "details"])
def test_no_layer_can_hide_that_it_was_executed_or_not_approved(layer: str) -> None:
    inside = {layer: json.dumps({"executed": True})}
    assert why_not(read(RESULT, decision() | inside)) is NotACloseReason.ALREADY_EXECUTED
    outside = {"executed": "True", layer: json.dumps(decision())}
    assert why_not(read(RESULT, outside)) is NotACloseReason.ALREADY_EXECUTED
    outside = {"approved": "False", layer: json.dumps(decision())}
    assert why_not(read(RESULT, outside)) is NotACloseReason.NOT_APPROVED
    outside = {"mode": "live", layer: json.dumps(decision(mode="paper"))}
    assert why_not(read(RESULT, outside)) is NotACloseReason.OTHER_MODE


@pytest.mark.parametrize("stream", WISHES)
@pytest.mark.parametrize("executed", GARBAGE)
def test_in_doubt_whether_it_was_executed_it_is_refused(stream: StreamName, executed: str) -> None:
    assert isinstance(read(stream, entry(stream, executed=executed)), Unreadable)


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("SKIP", NotACloseReason.SKIP),
        ("skip", NotACloseReason.SKIP),
        ("BLOCKED", NotACloseReason.BLOCKED),
        ("ERROR", NotACloseReason.ERROR_VERDICT),
        (" Hold ", NotACloseReason.HOLD),
    ],
)
@pytest.mark.parametrize("stream", WISHES)
def test_other_verdicts_are_no_closes_on_any_stream(
    stream: StreamName, word: str, reason: NotACloseReason
) -> None:
    assert why_not(read(stream, entry(stream, decision=word, executed="False", approved="True"))) is reason


@pytest.mark.parametrize("word", ["close", " Close ", "CLOSE"])
def test_a_verdict_is_understood_in_any_case(word: str) -> None:
    assert read_decision(decision=word) == read_decision()


@pytest.mark.parametrize("word", ["UNKNOWN", "APPROVED", "CLOSED", "\udcff", "SKIP CLOSE"])
@pytest.mark.parametrize("stream", [RESULT, PLAN])
def test_a_verdict_of_no_known_word_is_refused(stream: StreamName, word: str) -> None:
    assert isinstance(read(stream, entry(stream, decision=word)), Unreadable)


def test_a_result_without_a_verdict_is_somebody_elses() -> None:
    for verdict in (None, "", " "):
        assert why_not(read(RESULT, decision(decision=verdict))) is NotACloseReason.NO_DECISION


def test_approval_is_given_when_absent_and_denied_when_false() -> None:
    assert read_decision(approved=None).approved
    for word in FALSE:
        assert why_not(read(RESULT, decision(approved=word))) is NotACloseReason.NOT_APPROVED
    for word in GARBAGE:
        assert isinstance(read(RESULT, decision(approved=word)), Unreadable)


def test_execute_approves_only_where_the_configuration_says_so() -> None:
    fields = decision(decision="EXECUTE", approved=None, would_execute=None, steps=STEPS)
    assert why_not(read(RESULT, fields)) is NotACloseReason.EXECUTE_IS_NOT_APPROVAL
    decoded = read(RESULT, fields, execute_is_approval=True)
    assert isinstance(decoded, Decision)
    assert (str(decoded.fraction), decoded.action, decoded.verdict) == (
        "0.75",
        "PARTIAL_CLOSE",
        Verdict.CLOSE,
    )


@pytest.mark.parametrize(
    ("fields", "fraction"),
    [
        ({"action": "PARTIAL_50"}, "0.50"),
        ({"action": "PARTIAL_75", "steps": STEPS}, "0.75"),
        ({"action": "FULL_CLOSE_PROPOSED"}, "1"),
        ({"steps": '[{"step": "CLOSE_FULL"}]'}, "1"),
        ({"fraction": "0.3"}, "0.3"),
    ],
)
def test_execute_takes_its_amount_from_its_steps_or_action(fields: dict[str, str], fraction: str) -> None:
    decoded = read(RESULT, decision(decision="EXECUTE", **fields), execute_is_approval=True)
    assert isinstance(decoded, Decision)
    assert str(decoded.fraction) == fraction


def test_execute_without_an_amount_is_refused_for_all_is_no_default_of_it() -> None:
    assert isinstance(read(RESULT, decision(decision="EXECUTE"), execute_is_approval=True), Unreadable)


def test_execute_of_what_closes_nothing_is_no_close() -> None:
    for word in ("ENTRY_PROPOSED", "BUY"):
        decoded = read(RESULT, decision(decision="EXECUTE", action=word), execute_is_approval=True)
        assert why_not(decoded) is NotACloseReason.ENTRY


def test_execute_that_is_denied_is_not_approved() -> None:
    fields = decision(decision="EXECUTE", action="CLOSE", approved="False")
    assert why_not(read(RESULT, fields, execute_is_approval=True)) is NotACloseReason.NOT_APPROVED


DRY = [
    {"executed": None, "would_execute": "True"},
    {"executed": "", "would_execute": "1"},
    {"dry_run": "true"},
    {"dryRun": "1"},
    {"is_dry_run": "yes"},
    {"mode": "dry_run"},
    {"status": "would_execute"},
    {"details": "dry_run"},
    {"details": '{"dry_run": true}'},
    {"steps_results": '[{"step":"CLOSE_FULL","status":"would_execute","order_id":null}]'},
    {"steps_results": '[{"step":"CLOSE_FULL","dry_run":true}]'},
    {"steps_results": "[{'step': 'CLOSE_FULL', 'status': 'would_execute'}]"},
    {"steps": '[{"step":"CLOSE_FULL","note":{"deep":["this would be DRY_RUN only"]}}]'},
]


@pytest.mark.parametrize("fields", DRY, ids=str)
@pytest.mark.parametrize("word", ["CLOSE", "EXECUTE"])
def test_a_rehearsal_is_executable_for_nobody(word: str, fields: dict[str, str | None]) -> None:
    rehearsal = decision(decision=word, action="CLOSE") | {"would_execute": "False"} | fields
    said = {name: value for name, value in rehearsal.items() if value is not None}
    for allowed in (False, True):
        decoded = read(RESULT, said, execute_is_approval=allowed)
        assert why_not(decoded) is NotACloseReason.DRY_RUN


@pytest.mark.parametrize("stream", WISHES)
def test_a_rehearsal_is_one_on_every_stream(stream: StreamName) -> None:
    assert why_not(read(stream, entry(stream, dry_run="True"))) is NotACloseReason.DRY_RUN


def test_a_rehearsal_that_is_denied_is_none() -> None:
    steps = '[{"status":"pending","dry_run":false}]'
    assert read_decision(dry_run="False", steps_results=steps).approved
    assert isinstance(read(RESULT, decision(dry_run="perhaps")), Unreadable)


def test_would_execute_beside_executed_false_is_what_path_1b_was_written_for() -> None:
    assert read_decision(would_execute="True", executed="False").approved


@pytest.mark.parametrize("stream", WISHES)
@pytest.mark.parametrize("mode", list(Mode))
def test_incident_45_what_was_decided_for_one_environment_is_executable_in_no_other(
    stream: StreamName, mode: Mode
) -> None:
    for written in Mode:
        decoded = read(stream, entry(stream, mode=f" {written.upper()} "), mode=mode)
        if written is mode:
            assert isinstance(decoded, Intent | Plan | Decision)
            assert decoded.mode is mode
        else:
            assert why_not(decoded) is NotACloseReason.OTHER_MODE


@pytest.mark.parametrize("mode", ["testnet", "production", "isolated", "\udcff"])
def test_an_unknown_environment_is_refused(mode: str) -> None:
    assert "mode" in refused_intent(mode=mode)


def test_an_approval_code_in_the_error_field_is_recorded_and_not_obeyed() -> None:
    decoded = read_decision(error="kill_score_close_ok", reason_codes="a, b")
    assert decoded.reason_codes == ("a", "b", "kill_score_close_ok")
    assert read_decision(error="a", reason_codes="a").reason_codes == ("a",)
    assert read_decision(error="Timeout, then retried").reason_codes == ("Timeout, then retried",)


def test_a_veto_beside_an_approval_is_recorded() -> None:
    assert read_decision(veto='{"rule":"r","threshold":1,"seen":null}').veto == Veto("r", "1", "")
    assert read_decision(veto="cooldown").veto == Veto("cooldown", "", "")


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("HOLD", NotACloseReason.HOLD),
        ("UPDATE_SL", NotACloseReason.STOP_LOSS_UPDATE),
        ("ENTRY_PROPOSED", NotACloseReason.ENTRY),
        ("SELL", NotACloseReason.ENTRY),
        ("BUY", NotACloseReason.ENTRY),
    ],
)
@pytest.mark.parametrize("stream", [HARVEST, TRADE, PLAN])
def test_actions_that_close_nothing_are_no_closes(
    stream: StreamName, word: str, reason: NotACloseReason
) -> None:
    assert why_not(read(stream, entry(stream, action=word))) is reason


@pytest.mark.parametrize("word", ["UNKNOWN", "PARTIAL_90", "exit", "\udcff", None, ""])
@pytest.mark.parametrize("stream", [HARVEST, TRADE, PLAN])
def test_incident_21_other_actions_are_refused(stream: StreamName, word: str | None) -> None:
    assert isinstance(read(stream, entry(stream, action=word)), Unreadable)


@pytest.mark.parametrize("verdict", [None, "EXECUTE", "CLOSE"])
def test_a_plan_is_read_by_its_action(verdict: str | None) -> None:
    decoded = read(PLAN, plan(decision=verdict, action="partial_50"))
    assert isinstance(decoded, Plan)
    assert (decoded.action, str(decoded.fraction)) == ("PARTIAL_50", "0.50")


@pytest.mark.parametrize("word", ["HOLD", "ENTRY_PROPOSED", "UPDATE_SL", "SELL", "WHATEVER"])
def test_incident_35_an_approved_close_is_never_dropped_in_silence(word: str) -> None:
    assert isinstance(read(RESULT, decision(action=word)), Unreadable)


def test_an_approved_reducing_sell_is_a_close() -> None:
    decoded = read_decision(action="SELL", reduceOnly="true", qty="0.5")
    assert (decoded.action, str(decoded.quantity), decoded.fraction) == ("SELL", "0.5", None)
    assert decoded.position_side is PositionSide.LONG, "after a flip to short it must not reduce the short"


@pytest.mark.parametrize("stream", [HARVEST, TRADE, PLAN, RESULT])
@pytest.mark.parametrize("flag", ["reduceOnly", "reduce_only"])
@pytest.mark.parametrize("word", TRUE)
def test_incident_40_an_order_reduces_only_if_it_says_so_in_either_spelling(
    stream: StreamName, flag: str, word: str
) -> None:
    decoded = read(stream, entry(stream, action="SELL", quantity="0.25", **{flag: word}))
    assert isinstance(decoded, Intent | Plan | Decision)
    assert str(decoded.quantity) == "0.25"


@pytest.mark.parametrize("word", FALSE)
def test_incident_40_no_side_reduces_by_default(word: str) -> None:
    fields = intent(action="SELL", quantity="1", reduce_only=word)
    assert why_not(read(TRADE, fields)) is NotACloseReason.ENTRY


@pytest.mark.parametrize(
    "flags",
    [
        {"reduceOnly": "true", "reduce_only": "false"},
        {"reduce_only": "perhaps"},
        {"reduceOnly": "true", "reduce_only": "perhaps"},
        {"reduceOnly": "true", "payload": '{"reduce_only": false}'},
    ],
)
def test_incident_40_two_answers_are_none(flags: dict[str, str]) -> None:
    assert isinstance(read(TRADE, intent(action="SELL", quantity="1") | flags), Unreadable)


def test_two_spellings_that_contradict_each_other_are_refused_on_a_close_too() -> None:
    assert refused_intent(reduceOnly="true", reduce_only="false")
    assert read_intent(reduceOnly="garbage").action == "CLOSE"
    assert read_intent(reduceOnly="false").action == "CLOSE"


def test_a_reducing_order_without_a_quantity_is_refused() -> None:
    for quantity in (None, "", "0", "0.0"):
        fields = intent(action="BUY", reduce_only="true", quantity=quantity)
        assert isinstance(read(TRADE, fields), Unreadable)


def test_a_trade_intent_may_say_its_action_as_a_side() -> None:
    fields = intent(action=None, side="sell", reduceOnly="1", qty="2")
    decoded = read(TRADE, fields)
    assert isinstance(decoded, Intent)
    assert decoded.action == "SELL"
    assert why_not(read(TRADE, intent(action=None, side="BUY", qty="2"))) is NotACloseReason.ENTRY
    assert isinstance(read(HARVEST, fields), Unreadable)


def test_a_reducing_order_cannot_reduce_the_other_side() -> None:
    sell = intent(action="SELL", reduce_only="true", quantity="1")
    assert isinstance(read(TRADE, sell | {"position_side": "SHORT"}), Unreadable)
    decoded = read(TRADE, sell | {"position_side": "LONG"})
    assert isinstance(decoded, Intent)
    assert decoded.position_side is PositionSide.LONG
