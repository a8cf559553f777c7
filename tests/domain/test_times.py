"""A time covers its written resolution, and what is not understood is no time."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sureclose.domain.times import TimeFormatError, iso_ms, parse_time

SECOND = 1_770_734_523_000
"""2026-02-10T14:42:03Z"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1770734523", SECOND + 999),
        (" 1770734523 ", SECOND + 999),
        ("1770734523.5", SECOND + 599),
        ("1770734523.0", SECOND + 99),
        ("1770734523.36", SECOND + 369),
        ("1770734523.368", SECOND + 368),
        ("1770734523.3684444", SECOND + 368),
        ("1770734523368", SECOND + 368),
        ("1770734523368.25", SECOND + 368),
        ("2026-02-10T14:42:03Z", SECOND + 999),
        ("2026-02-10t14:42:03z", SECOND + 999),
        ("2026-02-10 14:42:03", SECOND + 999),
        ("2026-02-10T14:42:03", SECOND + 999),
        ("2026-02-10T14:42:03 +00:00", SECOND + 999),
        ("2026-02-10T14:42:03.5Z", SECOND + 599),
        ("2026-02-10T14:42:03.36Z", SECOND + 369),
        ("2026-02-10T14:42:03.368Z", SECOND + 368),
        ("2026-02-10T14:42:03.368999999Z", SECOND + 368),
        ("2026-02-10T14:42Z", SECOND - 3_000 + 59_999),
        ("2026-02-10 14:42", SECOND - 3_000 + 59_999),
        ("2026-02-10T16:42:03+02:00", SECOND + 999),
        ("2026-02-10T16:42:03+0200", SECOND + 999),
        ("2026-02-10T16:42:03+02", SECOND + 999),
        ("2026-02-10T09:12:03-05:30", SECOND + 999),
    ],
)
def test_a_time_lasts_until_the_end_of_what_was_written(text: str, expected: int) -> None:
    assert parse_time(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "nan",
        "inf",
        "0",
        "-1770734523",
        "+1770734523",
        "1.770734523e9",
        "0000000001",
        "177073452",
        "17707345230",
        "1770734523368123",
        "1770734523368123456",
        "1_770_734_523",
        "٠١٢٣٤٥٦٧٨٩",
        "2026-02-10",
        "10.02.2026 14:42:03",
        "2026-02-10T14Z",
        "2026-02-30T14:42:03Z",
        "2026-02-10T24:42:03Z",
        "2026-02-10T14:42:60Z",
        "2026-02-10T14:42:03+24:00",
        "2026-02-10T14:42:03+02:60",
        "2026-02-10T14:42:03 UTC",
        "1970-01-01T00:00:00Z",
        "0001-01-01T00:00:00+23:59",
        "0000-01-01T00:00:00Z",
        "2026-02-10T14:42:03." + "0" * 10_000,
        "9" * 10_000,
    ],
)
def test_what_is_not_understood_is_no_time(text: str) -> None:
    with pytest.raises(TimeFormatError):
        parse_time(text)


@settings(deadline=None)
@given(st.integers(min_value=10**12, max_value=10**13 - 1))
def test_the_form_that_is_written_is_exact(ms: int) -> None:
    assert parse_time(iso_ms(ms)) == ms
    assert parse_time(str(ms)) == ms


@settings(deadline=None)
@given(st.text())
def test_any_other_text_is_refused_with_one_error(text: str) -> None:
    try:
        ms = parse_time(text)
    except TimeFormatError:
        return
    assert ms >= 10**12


def test_the_last_day_of_the_calendar_parses_in_every_zone() -> None:
    assert parse_time("9999-12-31T23:59:59-23:59") > parse_time("9999-12-31T23:59:59Z")
