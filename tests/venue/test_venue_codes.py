"""The error table, and the one judgement that reads it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sureclose.domain.market import Class, OrderReport, Refusal
from sureclose.venue.codes import CODES
from sureclose.venue.errors import Unanswered, classify, read_body
from sureclose.venue.orders import judge
from tests.venue.venue_stubs import market_order

CERTAIN_TEXT = "Service Unavailable."

REFERENCE = {
    Class.RETRY: [
        -1008, -1016, -1021, -1111, -1112, -1125, -2020, -2025, -2027, -2028, -4005, -4023, -4060, -4061, -4062,
        -4117, -4131, -5021, -5022, -5028,
    ],
    Class.RESOLVE: [-1000, -1001, -1006, -1007, -2011, -2013, -4116],
    Class.FLAT_CHECK: [-2010, -2022, -2024, -4003, -4118],
    Class.WAIT: [-1003, -1015],
    Class.ESCALATE: [
        -1002, -1004, -1005, -1011, -1099, -1122, -2014, -2015, -2017, -2018, -2019, -2023, -4004, -4088, -4109,
        -4141, -4192, -4402, -4403,
    ],
    Class.FIX: [
        -1010, -1013, -1014, -1020, -1022, *range(-1106, -1099), -1114, -1115, -1116, -1117, -1118, -1119, -1121,
        -1130, -1136, -2021, -2026, -4013, -4014, -4015, -4016, -4024, -4028, *range(-4055, -4043), -4059, -4067,
        -4068, -4087, -4105, -4106, -4107, -4120, -4137, -4138, -4139, -4140, -4142, -4164, -4189, -4400, -4401,
        -4531, *range(-5027, -5023), *range(-5041, -5036), -5043,
    ],
}  # fmt: skip
"""Section 3 of the venue reference, by its class. Where it says what to do instead: re-round, split, rebuild or cancel
and retry is RETRY, "should not occur, escalate" ESCALATE, configuration paths and "not for market orders" FIX."""

DEVIATIONS = dict.fromkeys((-4013, -4014, -4016, -4024), Class.RETRY)
"""The reference calls the prices of a limit order FIX; ours are made anew from fresh rules and a fresh mark price."""

EXPECTED = {code: kind for kind, codes in REFERENCE.items() for code in codes} | DEVIATIONS

codes = st.one_of(st.sampled_from(sorted(CODES)), st.integers(-10_000, 10), st.integers())
texts = st.one_of(
    st.sampled_from(
        [
            CERTAIN_TEXT,
            "Service Unavailable",
            "banned until 1795283737000",
            "Parameter 'reduceonly' sent when not required.",
        ]
    ),
    st.text(max_size=400),
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
error_bodies = st.one_of(
    st.binary(max_size=500),
    texts.map(str.encode),
    json_values.map(lambda value: json.dumps(value).encode()),
    st.tuples(codes | json_values, texts | json_values).map(
        lambda pair: json.dumps({"code": pair[0], "msg": pair[1]}).encode()
    ),
)
statuses = st.one_of(
    st.sampled_from([200, 302, 400, 401, 403, 404, 408, 418, 429, 500, 502, 503, 504]), st.integers(100, 999)
)


def proven(status: int, code: int | None) -> bool:
    """What counts as proof, written down a second time."""
    row = CODES.get(code) if code is not None else None
    known = row is not None
    unknowable = row is not None and row.kind is Class.RESOLVE
    if status in {418, 429}:
        return not unknowable
    return 400 <= status <= 499 and status != 408 and known and not unknowable


@given(statuses, error_bodies)
def test_no_answer_raises_and_none_is_a_refusal_that_is_not_proven(status: int, body: bytes) -> None:
    answer = judge(market_order(), status, body, {"Retry-After": "1"}, 1795283000000)
    read = read_body(body)
    assert isinstance(answer, (Refusal, Unanswered, OrderReport))
    assert isinstance(answer, Refusal) == (not 200 <= status <= 299 and proven(status, read.code))


@given(st.integers(200, 299), error_bodies)
def test_an_answer_of_success_is_never_a_refusal(status: int, body: bytes) -> None:
    assert not isinstance(judge(market_order(), status, body), Refusal)


@given(statuses, st.none() | codes, texts, st.integers(0, 10**9), st.none() | st.integers(0, 10**13))
def test_classification_is_total(
    status: int, code: int | None, text: str, wait: int, now: int | None
) -> None:
    answer = classify(status, code, text, retry_after_ms=wait, now=now)
    if isinstance(answer, Refusal):
        assert answer.kind is not Class.RESOLVE
        assert answer.retry_after_ms >= wait
        assert (answer.http_status, answer.code) == (status, code)
    else:
        assert answer.reason


@pytest.mark.parametrize("code", EXPECTED)
def test_the_table_has_every_code_of_the_reference_with_its_class(code: int) -> None:
    row = CODES[code]
    assert (row.code, row.kind) == (code, EXPECTED[code])
    assert row.name
    assert row.remedy


def test_the_table_has_nothing_else() -> None:
    assert sorted(CODES) == sorted(EXPECTED)
    assert len(EXPECTED) == sum(len(codes) for codes in REFERENCE.values())


@pytest.mark.parametrize("status", [408, 500, 502, 503, 504, 599])
def test_a_server_in_trouble_proves_nothing_whatever_it_says(status: int) -> None:
    for code in (None, *EXPECTED):
        answer = classify(status, code, CERTAIN_TEXT)
        assert isinstance(answer, Unanswered)
        assert (answer.http_status, answer.code) == (status, code)


@pytest.mark.parametrize("code", [-1000, -1001, -1006, -1007, -4116])
def test_execution_unknown_is_never_a_refusal_whatever_the_status(code: int) -> None:
    for status in range(300, 600):
        assert isinstance(classify(status, code, CERTAIN_TEXT), Unanswered)


def test_a_page_of_html_never_becomes_a_message() -> None:
    assert read_body(b"<html><body>secret</body></html>").message == ""
    assert read_body(b"\xff\xfe").message == ""


def test_a_message_has_one_line_and_an_end() -> None:
    body = json.dumps({"code": -1, "msg": "a\nb\x1b[31m" + "c" * 1000}).encode()
    message = read_body(body).message
    assert "\n" not in message
    assert "\x1b" not in message
    assert len(message) <= 300


@pytest.mark.parametrize("code", [True, "-2022", -2022.0, None, [-2022]])
def test_what_is_no_integer_is_no_code(code: object) -> None:
    assert read_body(json.dumps({"code": code, "msg": "x"}).encode()).code is None


def test_a_number_beyond_all_bounds_is_read_without_harm() -> None:
    assert isinstance(judge(market_order(), 400, b'{"code":-' + b"9" * 5000 + b',"msg":"x"}'), Unanswered)
