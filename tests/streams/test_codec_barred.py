"""What is told of a wish or an approval that is executable for nobody here; and that of nothing else it is."""

import pytest

from sureclose.domain.planning import planned_id
from sureclose.streams.codec import Barred, NotAClose
from sureclose.streams.elsewhere import Bar
from sureclose.streams.names import StreamName
from tests.streams.test_codec_entries import WISHES, decision, entry, intent, read, read_intent

RESULT, HARVEST = StreamName.APPLY_RESULT, StreamName.HARVEST_INTENT


def barred(stream: StreamName, fields: dict[str, str]) -> Barred | None:
    decoded = read(stream, fields)
    assert isinstance(decoded, NotAClose)
    return decoded.barred


@pytest.mark.parametrize("stream", WISHES)
def test_another_environments_is_told_by_its_names_with_both_environments(stream: StreamName) -> None:
    told = barred(stream, entry(stream, mode="live", intent_id="wish", plan_id="plan"))
    assert told is not None
    assert told.bar == Bar("other_mode", "mode paper", "mode live")
    assert told.intent_id == "wish"
    assert (told.plan_id == "plan") is (stream in {RESULT, StreamName.APPLY_PLAN}), (
        "an intent has no plan yet"
    )


@pytest.mark.parametrize(
    ("fields", "seen"),
    [
        ({"mode": "dry_run"}, "mode dry_run"),
        ({"is_dry_run": "yes"}, "is_dry_run=True"),
        ({"executed": "", "would_execute": "True"}, "would_execute=True without executed"),
        ({"status": "would_execute"}, "status says that it is a dry run"),
        ({"steps_results": '[{"dry_run":true}]'}, "steps_results say what would be done"),
    ],
)
def test_a_rehearsal_is_told_with_what_gave_it_away(fields: dict[str, str], seen: str) -> None:
    told = barred(RESULT, decision() | fields)
    assert told is not None
    assert (told.bar.rule, told.bar.seen) == ("dry_run", seen)


@pytest.mark.parametrize(
    "fields",
    [
        {"approved": "False"},
        {"approved": "perhaps"},
        {"decision": "EXECUTE", "action": "CLOSE"},
        {"decision": "SKIP"},
        {"executed": "True", "outcome": "FLAT"},
    ],
    ids=str,
)
def test_what_would_be_no_approval_anyway_is_not_told(fields: dict[str, str]) -> None:
    assert barred(RESULT, decision(mode="live") | fields) is None


@pytest.mark.parametrize("action", ["HOLD", "UPDATE_SL", "ENTRY_PROPOSED"])
def test_what_would_be_no_wish_anyway_is_not_told(action: str) -> None:
    assert barred(HARVEST, intent(action=action, mode="live")) is None


def test_the_plan_of_a_wish_is_the_one_that_it_would_have_had() -> None:
    here = read_intent(action="PARTIAL_50", intent_id="wish")
    told = barred(HARVEST, intent(action="PARTIAL_50", intent_id="wish", mode="demo"))
    assert told is not None
    assert told.plan_id == planned_id(here)


def test_a_wish_that_is_absurd_as_well_has_no_plan() -> None:
    told = barred(HARVEST, intent(action="PARTIAL_CLOSE", fraction="25", mode="live", intent_id="wish"))
    assert told is not None
    assert (told.intent_id, told.plan_id) == ("wish", "")


def test_a_wish_without_an_id_has_that_of_its_entry() -> None:
    told = barred(HARVEST, intent(mode="live"))
    assert told is not None
    assert told.intent_id == read_intent().intent_id
