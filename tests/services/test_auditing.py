"""What a grant or an unfreeze may rest on: every stored part of an audit is held against the others, and each lie is named."""

import hashlib
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from sureclose.journal import audits
from sureclose.journal.archive import Archive, Keeping
from sureclose.journal.audits import AuditRecord
from sureclose.journal.checking.audited import Evidence, Verdict
from sureclose.services import identity
from sureclose.services.archiver import Archiver
from sureclose.streams.connection import Log
from tests.journal.journals import Desk
from tests.services.audited import AT, BEGAN_AT, NOW, PLAN, Audit


@pytest.fixture
async def audit(log: Log, log_prefix: str, tmp_path: Path) -> Audit:
    made = Audit(await Desk(log, log_prefix).open(), log, tmp_path)
    await made.make()
    return made


async def test_an_audit_that_is_whole_and_fresh_lacks_nothing(audit: Audit) -> None:
    assert await audit.missing() == []
    assert await audit.missing(after=BEGAN_AT - 1) == []
    assert audit.file.stat().st_mode & 0o777 == 0o600
    assert hashlib.sha256(audit.file.read_bytes()).hexdigest().startswith(audit.id)


async def test_an_audit_that_nobody_made_is_missing(audit: Audit) -> None:
    [told] = await audit.missing("deadbeefdeadbeef")
    assert "there is no audit deadbeefdeadbeef" in told


async def test_an_audit_of_another_component_or_from_before_the_freeze_is_none(audit: Audit) -> None:
    [told] = await audit.missing(component="harvest_brain")
    assert "it is about execution_service, and this is about harvest_brain" in told
    for during in (BEGAN_AT, AT - 1):
        [told] = await audit.missing(after=during)
        assert "before the freeze" in told, "what happened while it read it may not have seen"


async def test_evidence_grows_old_by_the_logs_clock(audit: Audit) -> None:
    audit.now = AT - 1_000 + 3_600_000
    assert await audit.missing() == []
    audit.now += 1
    [told] = await audit.missing()
    assert "authority.evidence_max_age_s is 3600" in told


async def test_an_audit_that_did_not_pass_says_which_question(audit: Audit) -> None:
    evidence = audits.decode(audit.file.read_bytes())
    second = msgspec.structs.replace(evidence.questions[1], verdict=Verdict.FAILS)
    questions = (evidence.questions[0], second, *evidence.questions[2:])
    await audit.keep(msgspec.structs.replace(evidence, questions=questions, passed=False))
    [told] = await audit.missing()
    assert "question 2 (nothing unintended) does not pass" in told
    await audit.keep(msgspec.structs.replace(evidence, questions=questions, passed=True))
    assert any("question 2" in told for told in await audit.missing())
    await audit.keep(msgspec.structs.replace(evidence, passed=False))
    assert any("the log's record was changed" in told for told in await audit.missing())
    await audit.keep(msgspec.structs.replace(evidence, questions=questions[:1]))
    assert any("5 (a crash closes nothing) is not answered" in told for told in await audit.missing())


async def test_an_audit_without_evidence_is_none_whatever_it_says(audit: Audit) -> None:
    evidence = audits.decode(audit.file.read_bytes())
    await audit.keep(msgspec.structs.replace(evidence, heads={}, newest_evidence_at=0))
    told = "\n".join(await audit.missing())
    assert "rests on no confirmed close" in told
    assert "no evidence of a confirmed close" in told


async def test_evidence_that_is_gone_is_named(audit: Audit) -> None:
    audit.file.unlink()
    [told] = await audit.missing()
    assert str(audit.file) in told
    assert "not there" in told


FIELDS = tuple(Evidence.__struct_fields__)


@pytest.mark.parametrize("field", FIELDS)
async def test_evidence_with_one_field_edited_is_refused(audit: Audit, field: str) -> None:
    document = json.loads(audit.file.read_bytes())
    document[field] = _other(document[field])
    audit.file.write_text(json.dumps(document, indent=2))
    told = await audit.missing()
    assert any("was changed: its bytes hash to" in one for one in told)
    if field in AuditRecord.__struct_fields__:
        assert any(f"the log says of {field} " in one for one in told), told


def _other(value: Any) -> Any:
    match value:
        case bool():
            return not value
        case int():
            return value + 1
        case str():
            return value + "x"
        case None:
            return {}
        case {"since": int(since), **more}:
            return {"since": since + 1, **more}
        case dict():
            return dict.fromkeys(value, "x")
        case [first, *_]:
            return [first]
        case _:
            return ["x"]


async def test_one_byte_more_is_an_edit(audit: Audit) -> None:
    audit.file.write_bytes(audit.file.read_bytes() + b" ")
    [*told] = await audit.missing()
    assert any("was changed" in one for one in told)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", "0123456789abcdef"),
        ("component", "harvest_brain"),
        ("at", AT + 1),
        ("began_at", AT),
        ("since", 1),
        ("passed", False),
        ("newest_evidence_at", AT),
        ("questions", ()),
        ("sha256", "0" * 64),
        ("heads", {}),
    ],
)
async def test_a_field_of_the_logs_record_that_was_edited_is_named(
    audit: Audit, field: str, value: Any
) -> None:
    await audit.put(**{field: value})
    told = await audit.missing()
    assert any(f"the log says of {field} " in one for one in told), told


def test_every_field_of_the_logs_record_is_held_against_the_file() -> None:
    assert set(AuditRecord.__struct_fields__) == {
        "id",
        "component",
        "began_at",
        "at",
        "since",
        "passed",
        "newest_evidence_at",
        "questions",
        "sha256",
        "heads",
    }


async def test_forged_evidence_with_a_record_that_fits_it_still_needs_the_journal(audit: Audit) -> None:
    """Whoever can write file and log names closes that were never made, or chains that end otherwise."""
    evidence = audits.decode(audit.file.read_bytes())
    await audit.keep(msgspec.structs.replace(evidence, heads={"no-such-plan": "0" * 64}))
    [told] = await audit.missing()
    assert "the journal has no close of plan no-such-plan" in told
    await audit.keep(msgspec.structs.replace(evidence, heads={PLAN: "0" * 64}))
    [told] = await audit.missing()
    assert f"the chain of plan {PLAN} comes to" in told


async def test_a_journal_that_was_altered_under_an_audit_is_named(audit: Audit) -> None:
    desk = audit.desk
    entries = await desk.do("XRANGE", desk.keys.journal, "-", "+")
    await desk.do("XDEL", desk.keys.journal, entries[2][0])
    told = await audit.missing()
    assert any(f"the chain of plan {PLAN} is broken" in one for one in told)


async def test_closes_that_have_left_the_log_since_are_found_in_their_segment(audit: Audit) -> None:
    desk, folder = audit.desk, audit.session.segments
    all_of_them = Keeping(closes=0, ms=0, segment=100)
    archive = Archive(desk.wire, desk.keys, lambda: NOW, all_of_them, host=identity.host(), folder=folder)
    assert await Archiver(archive, desk.keys.account, lambda: desk.lease).round(desk.lease) == 1
    assert await audit.missing() == []
    [segment] = folder.glob("*.jsonl")
    segment.unlink()
    [told] = await audit.missing()
    assert f"the journal has no close of plan {PLAN}" in told
    assert "is missing" in told


async def test_an_audit_of_another_account_is_none(audit: Audit) -> None:
    evidence = audits.decode(audit.file.read_bytes())
    await audit.keep(msgspec.structs.replace(evidence, account="live:main"))
    [told] = await audit.missing()
    assert "its evidence is of live:main" in told


async def test_a_record_that_cant_be_read_is_no_audit(audit: Audit) -> None:
    await audit.desk.do("HSET", audit.desk.keys.audits, audit.id, "yes, it passed")
    [told] = await audit.missing()
    assert "can't be read" in told


async def test_an_audit_from_the_future_is_none(audit: Audit) -> None:
    audit.now = AT - 500
    [told] = await audit.missing()
    assert "lie ahead" in told


async def test_the_log_keeps_the_newest_audits(audit: Audit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audits, "KEPT", 3)
    evidence = audits.decode(audit.file.read_bytes())
    await audit.desk.do("HSET", audit.desk.keys.audits, "unreadable", "what is this")
    ids = []
    for later in (5, 4, 3, 2):
        await audit.keep(msgspec.structs.replace(evidence, at=AT + later))
        ids.append(audit.id)
    kept = {name.decode() for name in await audit.desk.do("HKEYS", audit.desk.keys.audits)}
    assert kept == {ids[0], ids[1], ids[3]}, "the newest, and the one that was just made"
