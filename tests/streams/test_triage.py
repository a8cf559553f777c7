"""Sorting a backlog: nothing is ended that an executor would still execute, and nothing is left that it would not."""

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sureclose.domain.backlog import Class, horizon, stale_class
from sureclose.domain.events import Decision, EntryRef, Intent, Plan
from sureclose.domain.planning import too_old
from sureclose.domain.times import CLOCK_TOLERANCE_MS, LONGEST_EXPIRY_MS, SPOKEN_AHEAD_MS
from sureclose.domain.words import Mode
from sureclose.streams.clock import Moment, Past
from sureclose.streams.codec import CodecRules, decode
from sureclose.streams.names import StreamName
from sureclose.streams.peek import Peek
from sureclose.streams.triage import Sorted, Triage
from tests.streams.test_codec_entries import (
    NOW,
    PREFIX,
    RECORDED,
    WISHES,
    as_bytes,
    decision,
    entry,
    stream_of,
)

MAX_AGE: Final = 60_000
STREAM: Final = PREFIX + StreamName.APPLY_RESULT
RULES: Final = CodecRules(Mode.PAPER)
AT: Final = Moment(NOW)
MANY: Final = settings(max_examples=300, deadline=None)


def flat(fields: Mapping[str, str]) -> list[bytes]:
    return [part for pair in as_bytes(fields).items() for part in pair]


def sort(
    *entries: tuple[str, list[bytes] | None],
    name: StreamName = StreamName.APPLY_RESULT,
    at: Moment = AT,
    under_way: frozenset[str] = frozenset(),
) -> Sorted:
    wire = [(entry_id.encode(), fields) for entry_id, fields in entries]
    return Triage(PREFIX + name, name, RULES, MAX_AGE).sort(wire, at, under_way)


def one(fields: Mapping[str, str], written: int = NOW, **more: Any) -> tuple[Class, str]:
    """Class and reason of one entry; no reason for what is left."""
    found = sort((f"{written}-0", flat(fields)), **more)
    (kind,) = found.classes
    assert len(found.rows) + len(found.kept) == 1
    return Class(kind), found.rows[0][4] if found.rows else ""


AGES: Final = st.one_of(
    st.integers(-CLOCK_TOLERANCE_MS, 4 * LONGEST_EXPIRY_MS),
    st.sampled_from([0, MAX_AGE, LONGEST_EXPIRY_MS, SPOKEN_AHEAD_MS, SPOKEN_AHEAD_MS + MAX_AGE]).flatmap(
        lambda edge: st.integers(edge - 2, edge + 2)
    ),
)


@MANY
@given(
    st.sampled_from(WISHES),
    AGES,
    st.dictionaries(st.sampled_from(["origin_at", "created_at", "timestamp", "expires_at"]), AGES),
    st.booleans(),
    st.booleans(),
)
def test_what_an_executor_would_execute_is_left_and_nothing_else(
    stream: StreamName, age: int, ages: dict[str, int], wrapped: bool, stepped: bool
) -> None:
    """Whatever the clocks of producer, log and reader say of each other, and however late it is read."""
    said = entry(stream, timestamp=None) | {name: str(NOW - back) for name, back in ages.items()}
    fields = {"payload": json.dumps(said)} if wrapped else said
    at = Moment(NOW, (Past(NOW - 3 * LONGEST_EXPIRY_MS, NOW - 3 * LONGEST_EXPIRY_MS),)) if stepped else AT
    entry_id = f"{NOW - age}-0"
    decoded = decode(
        stream, EntryRef(PREFIX + stream, entry_id), as_bytes(fields), now_ms=at.latest, rules=RULES
    )
    executable = isinstance(decoded, Intent | Plan | Decision) and not too_old(
        decoded, at.by(decoded.origin_at), MAX_AGE
    )
    found = sort((entry_id, flat(fields)), name=stream, at=at)
    assert bool(found.kept) == executable
    assert len(found.rows) == (not executable)


def test_an_entry_may_not_speak_of_a_time_far_behind_its_own_id() -> None:
    """An approval of three days, which nobody may give, does not become one of hours by lying unread."""
    written = NOW - 2 * LONGEST_EXPIRY_MS
    wish = decision(timestamp=str(written), expires_at=str(NOW + 1_000))
    assert one(wish, written) == (Class.STALE_APPROVAL, "expired")
    made = decision(timestamp=str(NOW))
    assert one(made, written) == (Class.STALE_APPROVAL, "expired")
    assert one(made, NOW - LONGEST_EXPIRY_MS) == (Class.FRESH_APPROVAL, "")


def test_ids_that_count_from_one_have_no_age() -> None:
    found = sort(("7-0", flat(decision(timestamp=str(NOW)))))
    assert [kept.entry_id for kept in found.kept] == ["7-0"]


def test_the_horizon_is_behind_every_age_that_may_be_configured() -> None:
    assert horizon(NOW, 86_400_000) < NOW - 2 * LONGEST_EXPIRY_MS


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        (decision(timestamp=str(NOW)), (Class.FRESH_APPROVAL, "")),
        (decision(timestamp=str(NOW - MAX_AGE - 1)), (Class.STALE_APPROVAL, "expired")),
        (decision(decision="SKIP", error="kill_score_close_ok"), (Class.NOT_APPROVED, "skip")),
        (decision(approved="False"), (Class.NOT_APPROVED, "not_approved")),
        (decision(executed="True", outcome="FLAT"), (Class.CONFIRMATION, "confirmation")),
        (decision(executed="True"), (Class.CONFIRMATION, "already_executed")),
        (decision(mode="live"), (Class.NOT_A_CLOSE, "other_mode")),
        (decision(approved="perhaps"), (Class.UNREADABLE, "unreadable")),
    ],
)
def test_a_young_entry_is_what_the_codec_says(fields: dict[str, str], wanted: tuple[Class, str]) -> None:
    assert one(fields) == wanted


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize("executed", ["False", "True", "", "perhaps"])
@pytest.mark.parametrize("word", ["SKIP", "blocked", "ERROR", "HOLD", "CLOSE", "EXECUTE", "WHAT", ""])
def test_of_many_young_entries_each_is_what_it_would_be_alone(
    word: str, executed: str, wrapped: bool
) -> None:
    """The words of a refusal are remembered, those of anything else are not."""
    said = [
        decision(decision=word, executed=executed, plan_id=f"plan-{number}", approved=approved)
        for number, approved in enumerate(("True", "False", "perhaps", "True"))
    ]
    asked = [{"event_type": "apply.result", "payload": json.dumps(one)} if wrapped else one for one in said]
    found = sort(*((f"{NOW}-{number}", flat(fields)) for number, fields in enumerate(asked)))
    alone = [sort((f"{NOW}-{number}", flat(fields))) for number, fields in enumerate(asked)]
    assert found.rows == [row for each in alone for row in each.rows]
    assert found.kept == [kept for each in alone for kept in each.kept]
    assert found.classes == sum((each.classes for each in alone), Counter())


def test_what_is_unreadable_is_a_letter_while_it_is_young_and_only_old_when_it_is_old() -> None:
    garbled = flat(decision(approved="perhaps"))
    young, old = f"{NOW}-0", f"{NOW - 3 * LONGEST_EXPIRY_MS}-0"
    assert [letter.entry_id for letter in sort((young, garbled), (old, garbled)).letters] == [young]
    assert sort((old, garbled), under_way=frozenset({"p2"})).letters == []


def test_a_payload_that_is_gone_is_a_letter() -> None:
    found = sort(("5-0", None), (f"{NOW}-0", []))
    assert [letter.why.reason for letter in found.letters] == ["payload_lost"] * 2
    assert found.classes == {Class.PAYLOAD_LOST: 2}


def test_what_is_under_way_is_left_at_any_age() -> None:
    written = NOW - 5 * LONGEST_EXPIRY_MS
    old = decision(timestamp=str(written))
    assert one(old, written, under_way=frozenset({"p1"})) == (Class.UNDER_WAY, "")
    assert one(old, written, under_way=frozenset({"another"})) == (Class.STALE_APPROVAL, "expired")


@pytest.mark.parametrize(
    ("word", "executed", "wanted"),
    [
        ("SKIP", "False", Class.NOT_APPROVED),
        (" close ", "", Class.STALE_APPROVAL),
        ("EXECUTE", "0", Class.STALE_APPROVAL),
        ("", "", Class.STALE_WISH),
        ("CLOSE", "TRUE", Class.CONFIRMATION),
        ("whatever", "", Class.NOT_APPROVED),
    ],
)
def test_what_is_old_is_told_apart_by_its_words(word: str, executed: str, wanted: Class) -> None:
    assert stale_class(word, executed) is wanted


# Peeking -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("recorded", RECORDED, ids=lambda recorded: str(recorded["note"])[:40])
def test_a_peek_says_what_the_codec_read_in_every_recorded_shape(recorded: dict[str, Any]) -> None:
    fields = recorded["fields"]
    if not fields:
        return
    stream, peek = stream_of(recorded), Peek()
    decoded = decode(stream, EntryRef("s", f"{NOW}-0"), as_bytes(fields), now_ms=NOW, rules=RULES)
    for _ in range(2):
        plan_id, symbol, word, _executed = peek(flat(fields))
        if isinstance(decoded, Intent | Plan | Decision):
            assert symbol == decoded.symbol
        assert word in {"", "SKIP", "CLOSE", "EXECUTE", "BLOCKED"}
        assert plan_id == fields.get("plan_id", "")


@pytest.mark.parametrize(
    "fields",
    [
        {"payload": '{"plan_id":"a","symbol":"X","decision":"SKIP","executed":true}'},
        {"event_type": "e", "data": '{"plan_id":"a","symbol":"X","decision":"SKIP","executed":"True"}'},
        {"payload": '{"data":{"plan_id":"a","symbol":"X","decision":"SKIP"}}', "executed": "true"},
        {"payload": '{"plan_id":"a","decision":"SKIP"}', "symbol": "X", "data": '{"executed":1}'},
        {"decision": "SKIP", "plan_id": "a", "details": '{"symbol":"X","executed":true}'},
        {"payload": "", "plan_id": "a", "symbol": "X", "decision": "SKIP", "executed": "yes"},
        {"payload": '{"intent_id":"a","symbol":"X","decision":"SKIP","executed":true,"plan_id":null}'},
    ],
)
def test_a_peek_looks_into_wrappings(fields: dict[str, str]) -> None:
    plan_id, symbol, word, executed = Peek()(flat(fields))
    assert (plan_id, symbol, word) == ("a", "X", "SKIP")
    assert stale_class(word, executed) is Class.CONFIRMATION


def test_a_peek_at_anything_is_text_that_can_be_recorded() -> None:
    peek = Peek()
    for junk in (b"\xff\xfe", b'{"symbol":"\\ud800"}', b"[", b"", b'{"symbol":{"a":1}}', b"\x00" * 50):
        for name in (b"payload", b"plan_id", b"details", b"\xff", b"data"):
            for text in peek([name, junk, b"symbol", b"X"]):
                assert text.encode().decode() == text


def test_producers_with_ever_new_names_are_not_remembered_for_ever() -> None:
    peek = Peek()
    for number in range(2_000):
        assert peek([b"%d" % number, b"", b"plan_id", b"a"])[0] == "a"
    assert len(peek._shapes) + len(peek._last) < 1_000
