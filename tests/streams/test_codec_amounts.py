"""How much, of what, on which side: numbers, symbols and ids as they come, and what is out of range."""

import json

import pytest

from sureclose.domain.events import Decision, EntryRef, Intent, Plan
from sureclose.domain.ids import intent_id_for_entry, plain, plan_id_for
from sureclose.domain.words import PositionSide
from sureclose.streams.fields import Unreadable
from sureclose.streams.names import StreamName
from tests.streams.test_codec_entries import (
    NOW,
    PREFIX,
    decision,
    intent,
    read,
    read_decision,
    read_intent,
    refused_intent,
)

RESULT, HARVEST, PLAN = StreamName.APPLY_RESULT, StreamName.HARVEST_INTENT, StreamName.APPLY_PLAN

NO_NUMBERS = [
    "abc",
    "NaN",
    "sNaN",
    "inf",
    "-Infinity",
    "1,5",
    "1_000",
    "0x1",
    "٢",
    "1e9999",
    "1e999999",
    "1e-999",
    "1e31",
    "--1",
    "9" * 5000,
    "100%",
    "None",
    "\udcff",
]


@pytest.mark.parametrize("name", ["fraction", "percentage"])
@pytest.mark.parametrize("text", ["0.25", "0.250", ".25", "2.5e-1", " 0.25 ", "25E-2", "+0.25"])
def test_a_fraction_is_read_in_every_spelling(name: str, text: str) -> None:
    decoded = read_intent(action="PARTIAL_CLOSE", **{name: text})
    assert decoded.fraction is not None
    assert decoded.fraction * 4 == 1


@pytest.mark.parametrize("name", ["fraction", "percentage"])
@pytest.mark.parametrize(
    "text", ["0", "0.0", "-0.5", "1.01", "25", "100", "1.0000000000000000000000000000000000001", *NO_NUMBERS]
)
def test_a_fraction_out_of_range_is_refused(name: str, text: str) -> None:
    for action in ("CLOSE", "PARTIAL_CLOSE"):
        assert refused_intent(action=action, **{name: text})


def test_two_fractions_have_to_agree() -> None:
    assert read_intent(action="PARTIAL_CLOSE", fraction="0.5", percentage="0.50").fraction
    assert refused_intent(action="PARTIAL_CLOSE", fraction="0.5", percentage="0.25")


@pytest.mark.parametrize(
    ("action", "fraction"),
    [("CLOSE", "0.25"), ("PARTIAL_50", "0.75"), ("PARTIAL_25", "1"), ("HARVEST_70_KEEP_30", "0.3")],
)
def test_incident_21_a_fraction_that_contradicts_its_action_is_refused(action: str, fraction: str) -> None:
    assert refused_intent(action=action, fraction=fraction)
    assert refused_intent(action=action, percentage=fraction)
    assert isinstance(read(RESULT, decision(action=action, fraction=fraction)), Unreadable)


@pytest.mark.parametrize(
    ("action", "pct"),
    [("PARTIAL_75", "75.0"), ("CLOSE", "100"), ("HARVEST_70_KEEP_30", "70"), ("REDUCE_25", "25.00")],
)
def test_steps_that_agree_are_fine(action: str, pct: str) -> None:
    assert read_intent(action=action, steps=f'[{{"step": "X", "pct": {pct}}}]').action == action
    assert read_intent(action=action, close_pct=pct, pct=pct).action == action


@pytest.mark.parametrize(
    "steps",
    [
        '[{"step": "CLOSE_PARTIAL_75", "pct": 50.0}]',
        '[{"step": "CLOSE_PARTIAL_50"}]',
        '[{"pct": 0.75}]',
        '[{"pct": 7500}]',
        '[{"pct": "lots"}]',
        '[{"pct": [75]}]',
        '[{"pct": 75}, {"pct": 75}]',
        '[{"step": "CLOSE_SOME"}]',
        '["CLOSE_PARTIAL_75"]',
        '{"step": "CLOSE_PARTIAL_75"}',
        "CLOSE_PARTIAL_75",
        '[{"pct": 75}',
    ],
)
def test_steps_that_leave_a_doubt_are_refused(steps: str) -> None:
    assert refused_intent(action="PARTIAL_75", steps=steps)


@pytest.mark.parametrize(
    "steps",
    [
        "[]",
        "",
        "{}",
        '[{"step": "UPDATE_SL", "pct": 5}, {"step": "CLOSE_PARTIAL_75"}]',
        '[{"type": "notify"}]',
    ],
)
def test_steps_that_say_nothing_of_closing_are_no_contradiction(steps: str) -> None:
    assert str(read_intent(action="PARTIAL_75", steps=steps).fraction) == "0.75"


@pytest.mark.parametrize("name", ["close_pct", "pct"])
def test_a_percent_never_says_the_amount_but_may_contradict_it(name: str) -> None:
    assert refused_intent(action="PARTIAL_CLOSE", **{name: "25"})
    assert refused_intent(action="PARTIAL_CLOSE", quantity="1", **{name: "25"})
    assert refused_intent(action="PARTIAL_25", **{name: "0.25"})
    assert refused_intent(action="CLOSE", **{name: "1.0"})
    assert refused_intent(action="CLOSE", **{name: "half"})
    assert read_intent(action="CLOSE", **{name: "0.0"}).action == "CLOSE"


@pytest.mark.parametrize("action", ["PARTIAL_CLOSE", "RECONCILE_CLOSE"])
def test_an_open_partial_close_needs_its_amount(action: str) -> None:
    assert refused_intent(action=action)
    assert refused_intent(action=action, quantity="0.0", fraction="")
    assert str(read_intent(action=action, qty="3").quantity) == "3"
    assert str(read_intent(action=action, fraction="0.3").fraction) == "0.3"


@pytest.mark.parametrize("name", ["quantity", "qty", "close_qty"])
def test_a_quantity_is_a_maximum_beside_the_fraction(name: str) -> None:
    decoded = read_intent(**{name: "1.50"})
    assert (str(decoded.fraction), str(decoded.quantity)) == ("1", "1.50")
    for nothing in ("", " ", "0", "0.0", "-0", "0e5"):
        assert read_intent(**{name: nothing}).quantity is None
    for wrong in ("-1", "-0.001", *NO_NUMBERS):
        assert refused_intent(**{name: wrong})


def test_a_number_that_is_read_can_be_read_again_in_its_plain_form() -> None:
    tiny = read_intent(quantity="5.99999999999997556125426316808754E-31").quantity
    assert tiny is not None
    assert read_intent(quantity=plain(tiny)).quantity == tiny


def test_two_different_quantities_are_refused() -> None:
    assert refused_intent(quantity="1", qty="2")
    assert refused_intent(quantity="1", qty="1", close_qty="2")
    assert str(read_intent(quantity="1", qty="1.0", close_qty="0.0").quantity) in {"1", "1.0"}
    assert str(read_intent(quantity="0", qty="3").quantity) == "3"


@pytest.mark.parametrize(
    ("fields", "action", "fraction", "quantity"),
    [
        ({}, "CLOSE", "1", None),
        ({"fraction": "1.0"}, "CLOSE", "1.0", None),
        ({"fraction": "0.5"}, "PARTIAL_CLOSE", "0.5", None),
        ({"close_qty": "2"}, "PARTIAL_CLOSE", None, "2"),
        ({"close_qty": "0.0"}, "CLOSE", "1", None),
        ({"fraction": "0.5", "qty": "2"}, "PARTIAL_CLOSE", "0.5", "2"),
        ({"action": "PARTIAL_50"}, "PARTIAL_50", "0.50", None),
        ({"action": "TIME_STOP_EXIT", "quantity": "2"}, "TIME_STOP_EXIT", "1", "2"),
        ({"steps": '[{"step": "CLOSE_PARTIAL_25", "pct": 25.0}]'}, "PARTIAL_CLOSE", "0.25", None),
    ],
)
def test_an_approved_close_closes_all_unless_it_says_less(
    fields: dict[str, str], action: str, fraction: str | None, quantity: str | None
) -> None:
    decoded = read_decision(**fields)
    assert decoded.action == action
    assert (decoded.fraction and str(decoded.fraction)) == fraction
    assert (decoded.quantity and str(decoded.quantity)) == quantity


def test_json_numbers_keep_the_text_that_they_were_written_with() -> None:
    payload = '{"symbol":"ETHUSDT","action":"CLOSE","quantity":0.1000000000000000000001,"k_x":1e999999}'
    decoded = read(HARVEST, {"payload": payload})
    assert isinstance(decoded, Intent)
    assert str(decoded.quantity) == "0.1000000000000000000001"
    assert decoded.scores == {"k_x": "1e999999"}


@pytest.mark.parametrize("text", ["NaN", "Infinity", "9" * 5000, "[1]", '{"a":1}', "true", "1e400"])
def test_json_that_is_no_number_is_refused_where_a_number_belongs(text: str) -> None:
    payload = f'{{"symbol":"ETHUSDT","action":"CLOSE","quantity":{text}}}'
    assert isinstance(read(HARVEST, {"payload": payload}), Unreadable)


@pytest.mark.parametrize("name", ["entry_price", "exit_price", "price"])
def test_a_price_is_positive_or_not_said(name: str) -> None:
    assert read_intent(**{name: ""}).symbol
    assert read_intent(**{name: "70385.54117647"}).symbol
    for wrong in ("0", "0.0", "-5", *NO_NUMBERS):
        assert name in refused_intent(**{name: wrong})


def test_scores_are_recorded_and_never_obeyed() -> None:
    scores = {"R_net": "NaN", "kill_score": "very high", "k_regime_flip": "1.0", "k_": "", "pnl_usd": "x"}
    decoded = read_intent(**scores)
    del scores["pnl_usd"]
    assert decoded.scores == scores


@pytest.mark.parametrize(
    ("text", "symbol"),
    [
        ("ethusdt", "ETHUSDT"),
        (" ETHUSDT\n", "ETHUSDT"),
        ("1000pepeusdt", "1000PEPEUSDT"),
        ("币安人生usdt", "币安人生USDT"),
        ("straßeusdt", "STRAßEUSDT"),
        ("btcusdt_260327", "BTCUSDT_260327"),
        ("x" * 40, "X" * 40),
    ],
)
def test_a_symbol_is_upper_case_in_ascii_and_untouched_beyond(text: str, symbol: str) -> None:
    assert read_intent(symbol=text).symbol == symbol


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "  ",
        "ETH USDT",
        "ETH\tUSDT",
        "ETH\x00",
        "ETH\u200bUSDT",
        "ETH\u00a0USDT",
        "\udcff",
        "x" * 41,
    ],
)
def test_a_symbol_that_cannot_be_one_is_refused(text: str | None) -> None:
    assert "symbol" in refused_intent(symbol=text)


@pytest.mark.parametrize("value", [["ETHUSDT"], {"a": "b"}])
def test_a_structure_is_no_symbol(value: object) -> None:
    assert isinstance(read(HARVEST, {"data": json.dumps(intent() | {"symbol": value})}), Unreadable)


@pytest.mark.parametrize("name", ["position_side", "positionSide"])
def test_a_position_side_is_both_unless_said(name: str) -> None:
    assert read_intent(**{name: ""}).position_side is PositionSide.BOTH
    for side in PositionSide:
        assert read_intent(**{name: f" {side.lower()} "}).position_side is side
    for wrong in ("SELL", "NET", "\udcff"):
        assert "position_side" in refused_intent(**{name: wrong})


def test_incident_63_a_side_is_no_position_side() -> None:
    for side in ("CLOSE", "SELL", "BUY", "whatever"):
        assert read_intent(side=side).position_side is PositionSide.BOTH


def test_two_position_sides_are_none() -> None:
    assert refused_intent(position_side="LONG", positionSide="SHORT")


def test_the_position_that_was_seen_is_signed() -> None:
    decoded = read_intent(position_amt="-1.5", position_update_time="1770734523368")
    assert (str(decoded.position_amt), decoded.position_update_time) == ("-1.5", 1_770_734_523_368)
    assert read_intent(position_amt="0", position_update_time="0").position_amt == 0
    assert read_intent(position_amt="", position_update_time="").position_amt is None
    for wrong in NO_NUMBERS:
        assert refused_intent(position_amt=wrong)
    for wrong in ("1770734523", "-1", "2026-02-10T14:42:03Z", "1770734523368.5", "9" * 5000):
        assert refused_intent(position_update_time=wrong)


def test_incident_20_no_position_is_invented() -> None:
    decoded = read_intent()
    assert (decoded.position_amt, decoded.position_update_time) == (None, None)


def test_an_intent_without_an_id_gets_the_one_of_its_entry() -> None:
    ours = intent_id_for_entry(PREFIX + HARVEST, f"{NOW}-0")
    for missing in (None, "", " "):
        assert read_intent(intent_id=missing).intent_id == ours
    other = read(HARVEST, intent(), entry_id=f"{NOW}-1")
    assert isinstance(other, Intent)
    assert other.intent_id != ours


def test_a_plan_without_an_id_gets_the_one_of_its_intent() -> None:
    decoded = read(PLAN, intent(intent_id="i1"))
    assert isinstance(decoded, Plan)
    assert decoded.plan_id == plan_id_for("i1", "ETHUSDT", "BOTH", "CLOSE", decoded.fraction, None)
    result = read(RESULT, decision(plan_id=None, intent_id="i1"))
    assert isinstance(result, Decision)
    assert result.plan_id == decoded.plan_id


def test_the_ids_of_others_are_kept_as_they_are() -> None:
    for odd in ("x" * 200, "Exit Proof/ETH #1", "出口-7"):
        assert read_decision(intent_id=odd, plan_id=odd).plan_id == odd
        assert read_decision(intent_id=odd, plan_id=odd).intent_id == odd


@pytest.mark.parametrize("name", ["intent_id", "plan_id"])
@pytest.mark.parametrize("text", ["x" * 201, "a\nb", "a\x00", "\udcff"])
def test_an_id_that_cannot_be_printed_is_refused(name: str, text: str) -> None:
    decoded = read(RESULT, decision(**{name: text}))
    assert isinstance(decoded, Unreadable)
    assert name in decoded.reason


def test_a_trace_is_read_and_anothers_cause_is_none() -> None:
    refs = (EntryRef("quantum:{main}:stream:harvest.intent", "1-0"), EntryRef("b", "1770734523368-12"))
    assert read_intent(cause=" ".join(map(str, refs))).cause == refs
    for text in ("stop loss hit", "a@b", "@1-0", "1-0", "a@1-0 because", "a\u200b@1-0"):
        assert read_intent(cause=text).cause == ()


def test_reason_codes_come_as_commas_or_as_json() -> None:
    assert read_decision(reason_codes="a,b , c,").reason_codes == ("a", "b", "c")
    assert read_decision(reason_codes='["a", "b, c", 5, {}]').reason_codes == ("a", "b, c", "5")
    assert read_decision(reason_codes="[a").reason_codes == ("[a",)


def test_a_text_that_is_only_recorded_never_stops_a_close() -> None:
    long = "because " * 1000
    assert read_intent(reason=long).reason == long[:1000]
    decoded = read(
        HARVEST, {b"symbol": b"ETHUSDT", b"action": b"CLOSE", b"reason": b"caf\xe9", b"\xff": b"\xff"}
    )
    assert isinstance(decoded, Intent)
    assert decoded.reason == "caf?"
    assert decoded.reason.encode()
