"""Whatever comes, decode answers; and nothing that comes is approved which must not be."""

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sureclose.domain.actions import ACTIONS, Closes, NotClosing, Trades
from sureclose.domain.events import Decision, EntryRef, Intent, Plan, Veto
from sureclose.domain.times import CLOCK_TOLERANCE_MS, LONGEST_EXPIRY_MS
from sureclose.domain.words import AgeSource, Mode, PositionSide, Verdict
from sureclose.streams.codec import Decoded, NotAClose
from sureclose.streams.deadletter import dead_letter, original_of
from sureclose.streams.encode import Producer, encode_decision, encode_intent, encode_plan
from sureclose.streams.fields import RawFields, Unreadable
from sureclose.streams.names import StreamName
from tests.streams.test_codec_entries import (
    CLOSES,
    NOW,
    PREFIX,
    RECORDED,
    WISHES,
    as_bytes,
    decision,
    entry,
    read,
    stream_of,
)

US = Producer("test", "1", "here", 1)
MANY = settings(max_examples=300, deadline=None)

NAMES = [
    *(
        "schema",
        "intent_id",
        "plan_id",
        "producer",
        "created_at",
        "mode",
        "symbol",
        "position_side",
        "action",
    ),
    *("fraction", "percentage", "quantity", "qty", "close_qty", "reason", "source", "expires_at", "price"),
    *("position_amt", "position_update_time", "R_net", "k_x", "steps", "steps_results", "reason_codes"),
    *("decision", "approved", "executed", "would_execute", "veto", "error", "timestamp", "ts", "origin_at"),
    *("age_source", "cause", "payload", "data", "details", "event_type", "reduceOnly", "reduce_only", "side"),
    *("close_pct", "pct", "dry_run", "status", "positionSide", "entry_price"),
]
NASTY = [
    *("", " ", "0", "-1", "NaN", "Infinity", "1e999999", "9" * 6000, "true", "False", "null", "None", "\x00"),
    *("\udcff", "\ud800", "[]", "{}", "[" * 3000, '{"a":' * 3000, '{"a":1,"a":2}', '"\\ud800"', "1970-01-01"),
    *("CLOSE", "EXECUTE", "SELL", "PARTIAL_CLOSE", "live", "BOTH", "99999999999", "25", "0.5", "x" * 5000),
    *(
        '{"symbol":"X","action":"CLOSE"}',
        '[{"pct":75}]',
        "[" * 900 + "]" * 900,
        '{"a":' * 400 + "1" + "}" * 400,
    ),
]

any_text = st.text(st.characters(), max_size=30)
any_side = st.one_of(st.sampled_from(NAMES), any_text, st.binary(max_size=30), st.sampled_from(NASTY))


def check(stream: StreamName, fields: RawFields) -> Decoded:
    """Total, bounded, and stable: what is a close can be written, and is read again as the same."""
    decoded = read(stream, fields)
    if isinstance(decoded, Unreadable):
        assert decoded.reason.encode()
        assert decoded.remedy
        assert len(decoded.reason) < 1000
    elif not isinstance(decoded, NotAClose):
        written = encode(decoded)
        assert read(stream, as_bytes(written)) == decoded
        assert decoded.fraction is not None or decoded.quantity is not None
        assert decoded.fraction is None or 0 < decoded.fraction <= 1
        assert decoded.quantity is None or decoded.quantity > 0
    return decoded


def encode(wish: Intent | Plan | Decision) -> dict[str, str]:
    if isinstance(wish, Intent):
        return encode_intent(wish, US, NOW)
    return encode_plan(wish, US, NOW) if isinstance(wish, Plan) else encode_decision(wish, US, NOW)


@MANY
@given(st.sampled_from(StreamName), st.dictionaries(any_side, any_side, max_size=12))
def test_whatever_comes_there_is_an_answer(
    stream: StreamName, fields: dict[bytes | str, bytes | str]
) -> None:
    check(stream, fields)


@MANY
@given(st.sampled_from(WISHES), st.dictionaries(st.sampled_from(NAMES), any_side, max_size=4))
def test_whatever_one_field_holds_there_is_an_answer(
    stream: StreamName, fields: dict[str, bytes | str]
) -> None:
    check(stream, {**entry(stream), **fields})


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("stream", WISHES)
def test_each_field_may_hold_each_nasty_thing(stream: StreamName, name: str) -> None:
    for nasty in NASTY:
        fields = entry(stream, **{name: nasty})
        check(stream, fields)
        check(stream, {name.encode(): nasty.encode("utf-8", "surrogatepass"), **as_bytes(entry(stream))})
        check(stream, {"payload": json.dumps(fields)})


BOMBS: list[Callable[[int], str]] = [
    lambda depth: "[" * depth,
    lambda depth: "[" * depth + "]" * depth,
    lambda depth: '{"a":' * depth,
    lambda depth: '{"a":' * depth + "1" + "}" * depth,
    lambda depth: '{"payload":' * depth + "{}" + "}" * depth,
    lambda depth: '[{"step":' * depth + "1" + "}]" * depth,
    lambda depth: '{"a":1,"a":' * depth + "1" + "}" * depth,
    lambda depth: "[" + "9" * depth + "]",
]


@pytest.mark.parametrize(
    "name", ["payload", "data", "details", "steps", "steps_results", "veto", "reason_codes"]
)
@pytest.mark.parametrize("bomb", range(len(BOMBS)))
def test_no_json_is_too_deep_to_be_answered(name: str, bomb: int) -> None:
    for depth in (10, 300, 480, 900, 980, 995, 1_000, 20_000):
        check(StreamName.APPLY_RESULT, decision(**{name: BOMBS[bomb](depth)}))
        inside = json.dumps({name: "?"} | decision()).replace('"?"', BOMBS[bomb](depth))
        check(StreamName.APPLY_RESULT, {"payload": inside})


def _mutate(fields: dict[str, Any], data: st.DataObject) -> dict[str, Any]:
    for _ in range(data.draw(st.integers(0, 4))):
        name = data.draw(st.sampled_from([*fields, *NAMES]))
        match data.draw(st.sampled_from(["drop", "replace", "cut", "wrap payload", "wrap data", "borrow"])):
            case "drop":
                fields.pop(name, None)
            case "replace":
                fields[name] = data.draw(st.one_of(st.sampled_from(NASTY), any_text))
            case "cut":
                fields[name] = str(fields.get(name, ""))[: data.draw(st.integers(0, 20))]
            case "borrow":
                fields |= data.draw(st.sampled_from(RECORDED))["fields"]
            case "wrap payload":
                fields = {"event_type": "x", "payload": json.dumps(fields)}
            case _:
                fields = {"data": json.dumps(fields)}
    return fields


@MANY
@given(st.sampled_from(RECORDED), st.sampled_from(WISHES), st.booleans(), st.data())
def test_a_damaged_entry_gets_an_answer(
    recorded: dict[str, Any], other: StreamName, moved: bool, data: st.DataObject
) -> None:
    check(other if moved else stream_of(recorded), _mutate(dict(recorded["fields"]), data))


@MANY
@given(
    st.sampled_from(["executed", "approved", "mode"]),
    st.sampled_from(["flat", "inner", "outer", "details"]),
    st.data(),
)
def test_nothing_is_approved_that_was_executed_denied_or_decided_elsewhere(
    name: str, layer: str, data: st.DataObject
) -> None:
    words = {"executed": ["True", "true", "1", "yes"], "approved": ["False", "false", "0", "no", ""]}
    bad = {name: data.draw(st.sampled_from(words.get(name, ["demo", "live", "LIVE", " Demo "])))}
    fields = (
        decision()
        | {"approved": "True"}
        | data.draw(
            st.dictionaries(st.sampled_from(NAMES).filter(lambda field: field != name), any_text, max_size=3)
        )
    )
    shape: dict[str, str] = {
        "flat": fields | bad,
        "inner": fields | {"payload": json.dumps(bad)},
        "outer": bad | {"payload": json.dumps(fields)},
        "details": fields | {"details": json.dumps(bad)},
    }[layer]
    for allowed in (False, True):
        assert not isinstance(read(StreamName.APPLY_RESULT, shape, execute_is_approval=allowed), CLOSES)


printable = st.text(st.characters(codec="utf-8").filter(str.isprintable), min_size=1, max_size=200).filter(
    lambda text: not text.isspace()
)
free = st.text(max_size=200).filter(lambda text: not text.isspace())
amounts = st.decimals(min_value="1e-9", max_value="1e12", places=9, allow_nan=False)
fractions = st.decimals(min_value="0.0001", max_value=1, places=6)
refs = st.builds(
    EntryRef,
    st.sampled_from(["quantum:stream:harvest.intent", "quantum:{main}:stream:apply.plan", "出口"]),
    st.builds("{}-{}".format, st.integers(0, 10**13), st.integers(0, 10**6)),
)


@st.composite
def wishes(draw: st.DrawFn) -> dict[str, Any]:
    word = draw(st.sampled_from([word for word, kind in ACTIONS.items() if not isinstance(kind, NotClosing)]))
    kind = ACTIONS[word]
    fraction = kind.fraction if isinstance(kind, Closes) else draw(st.none() | fractions)
    required = fraction is None or isinstance(kind, Trades)
    side = st.sampled_from([kind.reduces] if isinstance(kind, Trades) else list(PositionSide))
    scores = st.sampled_from(["R_net", "kill_score"]) | st.text(max_size=20).map("k_{}".format)
    return {
        "intent_id": draw(printable),
        "symbol": draw(st.from_regex(r"[A-Z0-9币安]{1,20}(USDT|_260327)", fullmatch=True)),
        "position_side": draw(side),
        "action": word,
        "fraction": fraction,
        "quantity": draw(amounts if required else st.none() | amounts),
        "origin_at": draw(st.integers(10**12, NOW + CLOCK_TOLERANCE_MS)),
        "age_source": draw(st.sampled_from(AgeSource)),
        "expires_at": draw(st.none() | st.integers(10**12, NOW + LONGEST_EXPIRY_MS)),
        "position_amt": draw(st.none() | st.decimals(-(10**12), 10**12, places=8)),
        "position_update_time": draw(st.none() | st.just(0) | st.integers(10**12, 10**13 - 1)),
        "mode": draw(st.sampled_from([None, Mode.PAPER])),
        "reason": draw(free),
        "source": draw(free),
        "scores": draw(st.dictionaries(scores, free, max_size=4)),
        "cause": tuple(draw(st.lists(refs, max_size=3))),
    }


codes = st.lists(st.text(max_size=30), max_size=4).map(tuple)
vetoes = st.none() | st.builds(Veto, free, free, free)
closes: st.SearchStrategy[Intent | Plan | Decision] = st.one_of(
    st.builds(lambda wish: Intent(**wish), wishes()),
    st.builds(
        lambda wish, plan_id, reasons: Plan(**wish, plan_id=plan_id, reason_codes=reasons),
        wishes(),
        printable,
        codes,
    ),
    st.builds(
        lambda wish, plan_id, reasons, veto: Decision(
            **wish, plan_id=plan_id, verdict=Verdict.CLOSE, approved=True, reason_codes=reasons, veto=veto
        ),
        wishes(),
        printable,
        codes,
        vetoes,
    ),
)


def home(wish: Intent | Plan | Decision) -> StreamName:
    if isinstance(wish, Decision):
        return StreamName.APPLY_RESULT
    return StreamName.APPLY_PLAN if isinstance(wish, Plan) else StreamName.HARVEST_INTENT


@MANY
@given(closes)
def test_what_we_write_is_what_we_read_in_any_shape(wish: Intent | Plan | Decision) -> None:
    fields = encode(wish)
    stream = home(wish)
    assert read(stream, fields) == wish
    assert read(stream, as_bytes(fields)) == wish
    assert read(stream, {"event_type": stream.value, "payload": json.dumps(fields), "source": "bus"}) == (
        wish if wish.source else type(wish)(**_parts(wish) | {"source": "bus"})
    )
    assert read(stream, {b"data": json.dumps(fields).encode()}) == wish


def _parts(wish: Intent | Plan | Decision) -> dict[str, Any]:
    return {name: getattr(wish, name) for name in wish.__struct_fields__}


@MANY
@given(st.dictionaries(st.binary(max_size=20), st.binary(max_size=60), max_size=6))
def test_a_dead_letter_gives_every_byte_back(fields: dict[bytes, bytes]) -> None:
    letter = dead_letter(EntryRef(PREFIX + "x", "1-0"), fields, Unreadable("a", "b"), US, NOW)
    assert original_of(letter["entry"]) == tuple(fields.items())
    assert all(value.encode() for value in letter.values())


@MANY
@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_no_number_is_read_that_could_not_be_formatted(number: Decimal) -> None:
    decoded = check(StreamName.HARVEST_INTENT, {**entry(StreamName.HARVEST_INTENT), "quantity": str(number)})
    if isinstance(decoded, Intent) and decoded.quantity is not None:
        assert decoded.quantity == number
        assert len(format(decoded.quantity, "f")) < 120
