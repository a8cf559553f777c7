"""When a wish was first made, and until when it holds."""

import json

import pytest

from sureclose.domain.events import Decision, Intent
from sureclose.domain.times import CLOCK_TOLERANCE_MS, LONGEST_EXPIRY_MS, iso_ms
from sureclose.domain.words import AgeSource
from sureclose.streams.fields import Unreadable
from sureclose.streams.names import StreamName
from tests.streams.test_codec_entries import NOW, decision, intent, read, read_intent, refused_intent

HARVEST, RESULT = StreamName.HARVEST_INTENT, StreamName.APPLY_RESULT
SPELLINGS = {
    "1770734523": 1_770_734_523_999,
    "1770734523.25": 1_770_734_523_259,
    "1770734523368": 1_770_734_523_368,
    "1770734523368.0": 1_770_734_523_368,
    "2026-02-10T14:42:03Z": 1_770_734_523_999,
    "2026-02-10 14:42:03.368444": 1_770_734_523_368,
    "2026-02-10T16:42:03.368+02:00": 1_770_734_523_368,
}


@pytest.mark.parametrize("name", ["origin_at", "created_at", "timestamp", "ts"])
@pytest.mark.parametrize(("text", "expected"), SPELLINGS.items())
def test_a_time_is_read_in_every_spelling_and_shape(name: str, text: str, expected: int) -> None:
    flat = intent(**{"timestamp": None, name: text})
    for fields in (flat, {"payload": json.dumps(flat)}, {"data": json.dumps(flat)}):
        decoded = read(HARVEST, fields)
        assert isinstance(decoded, Intent)
        assert (decoded.origin_at, decoded.age_source) == (expected, AgeSource.FIELD)


@pytest.mark.parametrize("name", ["origin_at", "created_at", "timestamp", "ts", "expires_at"])
@pytest.mark.parametrize(
    "text", ["0", "-1", "soon", "2026-02-10", "1770734523368123", "1970-01-01", "\udcff"]
)
def test_a_time_that_does_not_parse_is_refused(name: str, text: str) -> None:
    assert name in refused_intent(**{"timestamp": None, name: text})


def test_the_more_exact_name_counts() -> None:
    times = {"created_at": "1770734521", "timestamp": "1770734522", "ts": "1770734523"}
    for name in ("created_at", "timestamp", "ts"):
        assert read_intent(**({"timestamp": None} | times)).origin_at == int(times[name]) * 1000 + 999
        del times[name]


def test_the_inner_time_counts_before_the_outer() -> None:
    inner = json.dumps(intent(timestamp=None, ts="1770734520"))
    decoded = read(HARVEST, {"payload": inner, "created_at": "1770734599"})
    assert isinstance(decoded, Intent)
    assert decoded.origin_at == 1_770_734_520_999


def test_age_is_counted_from_when_the_wish_was_first_made() -> None:
    decoded = read_intent(origin_at="2026-02-10T14:42:03.000Z", created_at=iso_ms(NOW))
    assert decoded.origin_at == 1_770_734_523_000


@pytest.mark.parametrize("nothing", [None, "", " "])
def test_without_a_time_the_age_is_the_entrys_and_says_so(nothing: str | None) -> None:
    for entry_id in ("1770734523368-0", "1770734523368-17"):
        decoded = read(HARVEST, intent(timestamp=nothing), entry_id=entry_id)
        assert isinstance(decoded, Intent)
        assert (decoded.origin_at, decoded.age_source) == (1_770_734_523_368, AgeSource.ENTRY_ID)


def test_an_age_from_an_entry_id_stays_marked_downstream() -> None:
    passed_on = {"origin_at": "1770734523368", "age_source": "entry_id", "created_at": iso_ms(NOW)}
    assert read_intent(**passed_on).age_source is AgeSource.ENTRY_ID
    assert refused_intent(**passed_on | {"age_source": "guess"})


@pytest.mark.parametrize("entry_id", ["", "now", "1-", "*", "9" * 30 + "-0", "9999999999999-0"])
def test_without_any_time_an_entry_has_no_age(entry_id: str) -> None:
    assert isinstance(read(HARVEST, intent(timestamp=None), entry_id=entry_id), Unreadable)
    assert isinstance(read(HARVEST, intent(), entry_id=entry_id), Intent)


@pytest.mark.parametrize("name", ["origin_at", "created_at", "timestamp"])
def test_a_time_in_the_future_has_no_age(name: str) -> None:
    edge = NOW + CLOCK_TOLERANCE_MS
    assert read_intent(**{"timestamp": None, name: str(edge)}).origin_at == edge
    assert "future" in refused_intent(**{"timestamp": None, name: str(edge + 1)})


def test_an_old_origin_does_not_hide_a_clock_that_runs_ahead() -> None:
    assert refused_intent(origin_at="1770734523368", created_at=str(NOW + CLOCK_TOLERANCE_MS + 1))


def test_expiry_is_bounded_because_dedupe_is() -> None:
    edge = NOW + LONGEST_EXPIRY_MS
    assert read_intent(expires_at=iso_ms(edge)).expires_at == edge
    assert refused_intent(expires_at=iso_ms(edge + 1))
    assert read_intent(expires_at="").expires_at is None


def test_a_time_is_bounded_by_when_the_entry_was_written_too_so_that_waiting_admits_nothing() -> None:
    written = NOW - 3 * LONGEST_EXPIRY_MS
    edge = written + LONGEST_EXPIRY_MS + CLOCK_TOLERANCE_MS
    for name, why in (("expires_at", "more than a day ahead"), ("created_at", "after it was written")):
        at_most = {"timestamp": str(written)} | {name: str(edge)}
        assert isinstance(read(HARVEST, intent(**at_most), entry_id=f"{written}-0"), Intent)
        beyond = read(HARVEST, intent(**at_most | {name: str(edge + 1)}), entry_id=f"{written}-0")
        assert isinstance(beyond, Unreadable)
        assert why in beyond.reason
        assert isinstance(read(HARVEST, intent(**at_most | {name: str(NOW)}), entry_id="7-0"), Intent)


def test_an_expired_approval_is_still_read_for_the_stages_judge_age() -> None:
    decoded = read(RESULT, decision(expires_at="1770734523"))
    assert isinstance(decoded, Decision)
    assert decoded.expires_at == 1_770_734_523_999
