"""An alert is read as it was written, or not at all; a place in it is found or said to be empty."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sureclose.domain.alert import AlertUnreadable, Missing, Place, Template, read_alert, wording


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("$.a", "1"),
        ("$.list[1].b", "two"),
        ("$.list.1.b", "two"),
        ('$["a name"]', "there"),
        ("$['a.b']", "dotted"),
    ],
)
def test_a_place_is_found(text: str, found: str) -> None:
    tree = read_alert(b'{"a": 1, "list": [0, {"b": " two "}], "a name": "there", "a.b": "dotted"}')
    assert Place.parse(text).text_in(tree) == found


@pytest.mark.parametrize("text", ["", "a", "$a", "$.", "$..a", "$.a b", "$[x]", "$.a[", "$[-1]"])
def test_what_is_no_place_is_not_taken_for_one(text: str) -> None:
    with pytest.raises(ValueError, match="no place"):
        Place.parse(text)


@pytest.mark.parametrize("text", ["$.b", "$.a.b", "$.list[5]", "$.list", "$.null", "$.blank", "$.list.x"])
def test_an_empty_place_is_missing_and_named(text: str) -> None:
    tree = read_alert(b'{"a": 1, "list": [0], "null": null, "blank": " "}')
    with pytest.raises(Missing) as missing:
        Place.parse(text).text_in(tree)
    assert text in str(missing.value)


def test_numbers_stay_as_they_were_written() -> None:
    assert read_alert(b'{"a": 0.1000, "b": 12345678901234567890.5, "c": 1e2, "d": [true, NaN]}') == {
        "a": "0.1000",
        "b": "12345678901234567890.5",
        "c": "1e2",
        "d": ["true", "NaN"],
    }


@pytest.mark.parametrize(
    "body",
    [b"symbol=ETHUSDT fraction=0.5", b"symbol=ETHUSDT&fraction=0.5", b"\nsymbol=ETHUSDT;\n fraction=0.5\n"],
)
def test_pairs_are_read_however_they_are_parted(body: bytes) -> None:
    assert read_alert(body) == {"symbol": "ETHUSDT", "fraction": "0.5"}


def test_other_text_is_one_text() -> None:
    assert read_alert("\ufeffclose ETHUSDT now".encode()) == "close ETHUSDT now"


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "empty"),
        (b"\xff\xfe", "UTF-8"),
        (b'{"a": 1', "not JSON"),
        (b'{"a": 1, "a": 2}', "stands twice"),
        (b"a=1 a=2", "stands twice"),
        (b"[" * 60_000, "nested too deeply"),
    ],
)
def test_what_can_not_be_read_says_why(body: bytes, why: str) -> None:
    with pytest.raises(AlertUnreadable, match=why):
        read_alert(body)


TRADINGVIEW = "order {action} @ {amount} filled on {ticker}. Position is {size} {secret}"


def test_a_sentence_is_read_by_its_template() -> None:
    said = b"order  sell @ 1.5 filled on\nBINANCE:ETHUSDT.P. Position is 0 s3cret "
    assert read_alert(said, Template.parse(TRADINGVIEW)) == {
        "action": "sell",
        "amount": "1.5",
        "ticker": "BINANCE:ETHUSDT.P",
        "size": "0",
        "secret": "s3cret",
    }


@pytest.mark.parametrize(
    "said",
    ["", "order", "buy now", "order sell @ 1.5 filled on X", "order  @ 1 filled on X. Position is 0 s"],
)
def test_a_sentence_of_another_kind_is_refused(said: str) -> None:
    with pytest.raises(AlertUnreadable, match="template"):
        read_alert(said.encode(), Template.parse(TRADINGVIEW))


@pytest.mark.parametrize("text", ["", "close it", "{a}{b}", "{a} and {a}"])
def test_a_template_that_is_in_doubt_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="blank"):
        Template.parse(text)


def test_what_is_removed_is_gone_and_nothing_else() -> None:
    tree = read_alert(b'{"a": {"secret": "x", "b": 1}, "list": ["x", 2]}')
    assert Place.parse("$.a.secret").removed_from(tree) == {"a": {"b": "1"}, "list": ["x", "2"]}
    assert Place.parse("$.list[0]").removed_from(tree) == {"a": {"b": "1"}, "list": [None, "2"]}
    assert Place.parse("$.nowhere.at").removed_from(tree) == {"a": {"b": "1"}, "list": [None, "2"]}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(JSON)
def test_the_wording_is_the_same_however_it_is_laid_out(value: Any) -> None:
    plain = read_alert(json.dumps(value).encode())
    laid_out = json.dumps(value, indent=3, sort_keys=True)
    assert wording(plain) == wording(read_alert(laid_out.encode()))


@given(st.binary())
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    try:
        tree = read_alert(raw)
    except AlertUnreadable:
        return
    assert wording(tree).isascii()
