"""Bodies: numbers exactly as written, nothing guessed at, and everything wrong named."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sureclose.domain.words import Mode, PositionSide
from sureclose.operate.api.bodies import CloseAllBody, CloseBody, Side, read_body, read_object
from sureclose.operate.api.problems import Kind, Problem


def _read(raw: str) -> CloseBody:
    return read_body(read_object(raw.encode()), CloseBody)


def _problem(raw: bytes) -> Problem:
    with pytest.raises(Problem) as caught:
        read_body(read_object(raw), CloseBody)
    return caught.value


@pytest.mark.parametrize(
    "written", ['"0.1000000000000000055511151231257827"', "0.1000000000000000055511151231257827"]
)
def test_an_amount_is_read_exactly_whether_text_or_number(written: str) -> None:
    body = _read(f'{{"symbol": "ETHUSDT", "quantity": {written}}}')
    assert body.quantity == Decimal("0.1000000000000000055511151231257827")


def test_what_is_left_out_and_what_is_null_is_the_same() -> None:
    body = _read('{"symbol": "ETHUSDT", "fraction": null, "reason": null, "mode": null}')
    assert body == CloseBody(symbol="ETHUSDT")
    assert (body.position_side, body.partial) == (PositionSide.BOTH, False)
    assert body.said == _read('{"symbol": "ETHUSDT"}').said


def test_all_fields_are_understood() -> None:
    raw = (
        '{"symbol":"ETHUSDT","position_side":"SHORT","fraction":"0.5","quantity":2,"reason":"r","expires_at":1764322000000,'
        '"intent_id":"i","mode":"paper"}'
    )
    assert _read(raw) == CloseBody(
        symbol="ETHUSDT",
        position_side=PositionSide.SHORT,
        fraction=Decimal("0.5"),
        quantity=Decimal(2),
        reason="r",
        expires_at=1_764_322_000_000,
        intent_id="i",
        mode=Mode.PAPER,
    )
    every = read_body(read_object(b'{"side":"long","symbols":["A","B"]}'), CloseAllBody)
    assert (every.side, every.symbols, every.fraction) == (Side.LONG, ("A", "B"), None)


def test_the_same_said_otherwise_is_the_same_and_each_difference_is_another() -> None:
    one = _read('{"symbol": "ETHUSDT", "fraction": "0.50", "reason": "r"}').said
    assert one == _read('{"reason": "r", "fraction": 5e-1, "symbol": "ETHUSDT"}').said
    others = [
        '{"symbol": "ETHUSDT", "fraction": "0.51", "reason": "r"}',
        '{"symbol": "ETHUSDT", "quantity": "0.50", "reason": "r"}',
        '{"symbol": "BTCUSDT", "fraction": "0.50", "reason": "r"}',
        '{"symbol": "ETHUSDT", "fraction": "0.50", "reason": "s"}',
        '{"symbol": "ETHUSDT", "fraction": "0.50", "reason": "r", "intent_id": "i"}',
        '{"symbol": "ETHUSDT", "fraction": "0.50", "reason": "r", "expires_at": 1764322000000}',
    ]
    assert len({one, *(_read(other).said for other in others)}) == len(others) + 1


@pytest.mark.parametrize(
    ("amount", "partial"), [("fraction", True), ("quantity", True), ("all", False), ("said all", False)]
)
def test_a_second_one_of_a_partial_close_would_close_more(amount: str, partial: bool) -> None:
    more = {"all": "", "said all": ', "fraction": "1.00"'}.get(amount, f', "{amount}": "0.5"')
    assert _read(f'{{"symbol": "ETHUSDT"{more}}}').partial is partial


@pytest.mark.parametrize(
    "value",
    [
        "0",
        "-1",
        "-0.5",
        '"0"',
        "1e-400",
        '"1e-400"',
        '"NaN"',
        '"Infinity"',
        '"half"',
        '""',
        "1e31",
        '"1_0"',
        '"٣"',
    ],
)
@pytest.mark.parametrize("name", ["fraction", "quantity"])
def test_an_absurd_amount_is_refused_with_the_reason(name: str, value: str) -> None:
    problem = _problem(f'{{"symbol": "ETHUSDT", "{name}": {value}}}'.encode())
    assert (problem.kind, problem.facts["reason"]) == (Kind.REFUSED, "absurd")
    assert name in problem.detail
    assert problem.facts["remedy"]


def test_a_fraction_of_25_is_not_taken_for_a_percentage() -> None:
    assert _problem(b'{"symbol": "ETHUSDT", "fraction": 25}').facts["reason"] == "absurd"
    assert _problem(b'{"symbol": "ETHUSDT", "fraction": 1.0000001}').facts["reason"] == "absurd"


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ('{"symbol": "ETHUSDT", "size": 1}', "unknown field `size`"),
        ('{"symbol": "ETHUSDT", "size": null}', "unknown field `size`"),
        ('{"fraction": 1}', "missing required field `symbol`"),
        ('{"symbol": 5}', "$.symbol"),
        ('{"symbol": "ETHUSDT", "fraction": true}', "$.fraction"),
        ('{"symbol": "ETHUSDT", "fraction": [1]}', "$.fraction"),
        ('{"symbol": "ETHUSDT", "position_side": "UP"}', "'UP'"),
        ('{"symbol": "ETHUSDT", "mode": "lve"}', "'lve'"),
        ('{"symbol": "ETHUSDT", "expires_at": 1.5}', "$.expires_at"),
        ('{"symbol": "ETHUSDT", "intent_id": "\\ud800"}', "intent_id"),
        ('{"symbol": ""}', "$.symbol"),
    ],
)
def test_what_is_not_as_documented_is_named(raw: str, said: str) -> None:
    problem = _problem(raw.encode())
    assert problem.kind is Kind.INVALID
    assert said in problem.detail


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b'{"symbol": NaN}', "not JSON"),
        (b"[" * 60_000, "not JSON"),
        (b'{"a":' * 10_000, "not JSON"),
        (b'{"a": 1e999999999999999999999}', "not JSON"),
        (b"[]", "no object"),
        (b"null", "no object"),
        (b'{"symbol": "A", "symbol": "A"}', "'symbol' stands twice"),
    ],
)
def test_what_is_no_object_is_no_wish(raw: bytes, said: str) -> None:
    problem = _problem(raw)
    assert problem.kind is Kind.MALFORMED
    assert said in problem.detail


@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode(errors="replace")))
def test_no_body_is_more_than_a_problem(raw: bytes) -> None:
    for kind in (CloseBody, CloseAllBody):
        try:
            read_body(read_object(raw), kind)
        except Problem:
            continue
