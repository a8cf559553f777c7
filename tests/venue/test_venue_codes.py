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

REFERENCE = [
    -1000, -1001, -1002, -1003, -1004, -1005, -1006, -1007, -1008, -1010, -1011, -1013, -1014, -1015, -1016, -1020,
    -1021, -1022, -1099, -1100, -1101, -1102, -1103, -1104, -1105, -1106, -1111, -1112, -1114, -1115, -1116, -1117,
    -1118, -1119, -1121, -1122, -1125, -1130, -1136, -2010, -2011, -2013, -2014, -2015, -2017, -2018, -2019, -2020,
    -2021, -2022, -2023, -2024, -2025, -2026, -2027, -2028, -4003, -4004, -4005, -4013, -4014, -4015, -4016, -4023,
    -4024, -4028, *range(-4055, -4043), -4059, -4060, -4061, -4062, -4067, -4068, -4087, -4088, -4105, -4106, -4107,
    -4109, -4116, -4117, -4118, -4120, -4131, -4137, -4138, -4139, -4140, -4141, -4142, -4164, -4189, -4192, -4400,
    -4401, -4402, -4403, -4531, -5021, -5022, -5024, -5025, -5026, -5027, -5028, -5037, -5038, -5039, -5040, -5041,
    -5043,
]  # fmt: skip
"""Section 3 of the venue reference."""

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


def proven(status: int, code: int | None, message: str) -> bool:
    """What counts as proof, written down a second time."""
    row = CODES.get(code) if code is not None else None
    known = row is not None
    unknowable = row is not None and row.kind is Class.RESOLVE
    if status in {418, 429}:
        return not unknowable
    if status == 503:
        return code == -1008 or (code is None and message.strip().lower() == "service unavailable.")
    return 400 <= status <= 499 and status != 408 and known and not unknowable


@given(statuses, error_bodies)
def test_no_answer_raises_and_none_is_a_refusal_that_is_not_proven(status: int, body: bytes) -> None:
    answer = judge(market_order(), status, body, {"Retry-After": "1"}, 1795283000000)
    read = read_body(body)
    assert isinstance(answer, (Refusal, Unanswered, OrderReport))
    assert isinstance(answer, Refusal) == (
        not 200 <= status <= 299 and proven(status, read.code, read.message)
    )


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


@pytest.mark.parametrize("code", REFERENCE)
def test_the_table_has_every_code_of_the_reference(code: int) -> None:
    row = CODES[code]
    assert row.code == code
    assert row.name
    assert row.remedy


def test_the_table_has_nothing_else() -> None:
    assert sorted(CODES) == sorted(REFERENCE)


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
