"""Verification of what a real log holds, and of a file that it was exported to."""

import io
import json
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from sureclose.domain.facts import Admitted, AnyFact, Ended
from sureclose.domain.outcome import Outcome, OutcomeKind
from sureclose.journal.chain import Announcement, Chain
from sureclose.journal.checking import reading
from sureclose.journal.checking.case import Bounds
from sureclose.journal.checking.examination import Report
from sureclose.journal.checking.export import JournalFileUnreadable
from sureclose.journal.checking.findings import Against, Rule
from sureclose.journal.checking.reading import Reader
from sureclose.journal.checking.stored import Stored
from sureclose.journal.library import Library
from sureclose.operate.verify import FromFile, FromLog, export, verify
from tests.domain.scripts import START, Script
from tests.journal.journals import GROUP, Desk
from tests.journal.verify_cases import ACCOUNT, broken, check, driven, put

BOTH = {(Rule.CHAIN, Against.JOURNAL)}


class Journalled:
    """Closes written to the log by the scripts that write them in earnest."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.results = f"{desk.prefix}execution.result"
        self.approvals = f"{desk.prefix}apply.result"
        self.library = Library(desk.wire, desk.keys, host="here", folder=Path("/nonexistent"))
        self.read: list[int] = []
        """What the last reader told of its progress."""

    async def close(self, plan_id: str, known: Sequence[AnyFact]) -> Chain:
        """Its facts, and what is published with its outcome when it has one."""
        chain = Chain(plan_id)
        ended = known[-1]
        chain.unwritten += known[:-1] if isinstance(ended, Ended) else known
        await self.desk.journal.append(chain, self.desk.lease)
        if isinstance(ended, Ended):
            await self.end(chain, ended)
        return chain

    async def end(self, chain: Chain, ended: Ended) -> None:
        outcome = ended.outcome.kind
        said = {
            "plan_id": chain.plan_id,
            "outcome": str(outcome),
            "executed": str(outcome in {OutcomeKind.FLAT, OutcomeKind.REDUCED}),
        }
        await self.desk.publish(chain, ended, events=(Announcement(self.results, said),))

    def reader(self) -> Reader:
        return Reader(
            self.desk.wire,
            self.desk.keys,
            groups=[GROUP],
            results=self.results,
            environment="paper",
            progress=self.read.append,
        )

    def source(self, *plan_ids: str) -> FromLog:
        self.read.clear()
        return FromLog(self.reader(), self.library, ACCOUNT, plan_ids, START + 60_000)

    async def report(self, *plan_ids: str) -> Report:
        return await verify(self.source(*plan_ids), Bounds(), None)


@pytest.fixture
def log_(desk: Desk) -> Journalled:
    return Journalled(desk)


def facts_of(plan_id: str, script: Script | None = None) -> list[AnyFact]:
    """A whole close of that plan without an attempt, whose ids would name the plan."""
    known = list(driven(script or Script(position=0)).journal.facts)
    admitted = known[0]
    assert isinstance(admitted, Admitted)
    return [Admitted(decision=put(plan_id=plan_id)(admitted.decision), entry=admitted.entry), *known[1:]]


async def test_every_close_is_read_in_pages_the_unfinished_last(
    log_: Journalled, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "_PAGE", 3)
    for number in range(7):
        await log_.close(f"plan-{number}", facts_of(f"plan-{number}")[: 1 if number == 2 else None])
    whole = driven(Script(position=3_000))
    await log_.close(whole.decision.plan_id, whole.journal.facts)
    closes = [stored async for stored in log_.source().closes()]
    assert len(closes) == 8
    assert isinstance(closes[-1], Stored)
    assert (closes[-1].plan_id, closes[-1].state) == ("plan-2", "OPEN")
    report = await log_.report()
    assert report.ok
    assert (report.closes, report.records) == (8, 13 + len(whole.journal.facts))
    assert log_.read[-1] == report.records
    assert not any(one.unclear for one in report.checks)


async def test_plans_can_be_chosen_and_one_that_is_not_there_is_none(log_: Journalled) -> None:
    for name in ("one", "two"):
        await log_.close(name, facts_of(name))
    assert (await log_.report("two")).closes == 1
    assert (await log_.report("three")).closes == 0
    assert (await log_.report("three", "one", "two", "two")).closes == 2


async def test_an_empty_log_has_no_closes(log_: Journalled) -> None:
    report = await log_.report()
    assert (report.ok, report.closes, report.records) == (True, 0, 0)


async def test_what_is_written_while_it_is_read_is_no_violation(
    log_: Journalled, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "_PAGE", 2)
    known = facts_of("one")
    skipped = Ended(outcome=Outcome(OutcomeKind.SKIPPED, "frozen"))
    chain = await log_.close("one", [known[0], skipped])
    under_way = await log_.close("two", facts_of("two")[:1])
    source = log_.source()
    closes = source.closes()
    first = await anext(closes)
    assert isinstance(first, Stored)
    chain.unwritten.append(known[0])
    await log_.desk.journal.append(chain, log_.desk.lease)
    last = facts_of("two")[-1]
    assert isinstance(last, Ended)
    await log_.end(under_way, last)
    (second,) = [stored async for stored in closes]
    assert isinstance(second, Stored)
    assert (second.plan_id, second.strays, second.state) == ("two", (), "DONE")


async def test_a_record_that_was_removed_from_the_log_is_told(log_: Journalled) -> None:
    await log_.close("one", facts_of("one"))
    (first, *_) = await log_.desk.do("XRANGE", log_.desk.keys.journal, "-", "+")
    await log_.desk.do("XDEL", log_.desk.keys.journal, first[0])
    for report in (await log_.report(), await log_.report("one")):
        assert broken(report) == BOTH
        assert f"record {first[0].decode()} is not in the log" in check(report, Rule.CHAIN).violations[0].what


async def test_a_record_that_nobody_wrote_is_told(log_: Journalled) -> None:
    await log_.close("one", facts_of("one"))
    (first, *_) = await log_.desk.do("XRANGE", log_.desk.keys.journal, "-", "+")
    await log_.desk.do("XADD", log_.desk.keys.journal, "*", *first[1])
    await log_.desk.do("XADD", log_.desk.keys.journal, "*", "plan_id", "nobody", "body", b"\xff", "hash", "h")
    report = await log_.report()
    assert broken(report) == BOTH
    assert {one.plan_id for one in check(report, Rule.CHAIN).violations} == {"one", "nobody"}


async def test_an_entry_that_is_acknowledged_before_its_outcome_is_told(log_: Journalled) -> None:
    wire = log_.desk.do
    await wire("XGROUP", "CREATE", log_.approvals, GROUP, "0", "MKSTREAM")
    entry_id = (await wire("XADD", log_.approvals, "*", "plan_id", "one")).decode()
    (admitted, *_) = facts_of("one")
    assert isinstance(admitted, Admitted)
    entry = put(stream=log_.approvals, entry_id=entry_id)(admitted.entry)
    await log_.close("one", [Admitted(decision=admitted.decision, entry=entry)])
    assert (await log_.report()).ok, "not delivered yet"
    await wire("XREADGROUP", "GROUP", GROUP, "somebody", "STREAMS", log_.approvals, ">")
    assert (await log_.report()).ok, "delivered and pending"
    await wire("XACK", log_.approvals, GROUP, entry_id)
    report = await log_.report()
    assert broken(report) == {(Rule.I3, Against.JOURNAL)}
    assert check(report, Rule.I3).violations[0].what == "its entry is acknowledged, and there is no outcome"


async def test_a_result_is_missed_unless_the_stream_was_trimmed(log_: Journalled) -> None:
    for name in ("one", "two", "three"):
        await log_.close(name, facts_of(name))
    assert (await log_.report()).ok
    await log_.desk.do("XTRIM", log_.results, "MAXLEN", 2)
    report = await log_.report()
    assert report.ok
    assert len(check(report, Rule.I3).unclear) == 1
    await log_.desk.do("DEL", log_.results)
    report = await log_.report()
    assert report.ok
    assert len(check(report, Rule.I3).unclear) == 3
    await log_.desk.do("XADD", log_.results, "*", "outcome", "of another time")
    assert broken(await log_.report()) == {(Rule.I3, Against.JOURNAL)}


# A file -------------------------------------------------------------------------------------------------------------


@pytest.fixture
async def exported(log_: Journalled, tmp_path: Path) -> Path:
    """A journal with a close of every kind: finished, skipped, under way, damaged bytes and all."""
    whole = driven(Script(position=3_000))
    await log_.close(whole.decision.plan_id, whole.journal.facts)
    await log_.close("two", [facts_of("two")[0], Ended(outcome=Outcome(OutcomeKind.SKIPPED, "frozen"))])
    await log_.close("three", facts_of("three")[:1])
    file = tmp_path / "journal.jsonl"
    with file.open("wb") as stream:
        written = await export(log_.source(), stream, pytest.fail)
    assert (written.closes, written.records) == (3, 3 + len(whole.journal.facts))
    return file


def without_segments(report: Report) -> Report:
    """An exported journal has none: what was in them stands in it as the rest does."""
    checks = tuple(one for one in report.checks if one.rule is not Rule.SEGMENTS)
    return msgspec.structs.replace(report, checks=checks)


async def test_an_exported_journal_says_what_the_log_said(log_: Journalled, exported: Path) -> None:
    source = FromFile(exported, ())
    assert (source.account, source.complete) == (ACCOUNT, True)
    said = await verify(source, Bounds(), None)
    assert without_segments(said) == without_segments(await log_.report())
    assert (await verify(FromFile(exported, ["two"]), Bounds(), None)).closes == 1


async def test_any_changed_line_of_an_exported_journal_is_told(exported: Path) -> None:
    lines = exported.read_bytes().splitlines(keepends=True)
    for number in range(1, len(lines)):
        document = json.loads(lines[number])
        if document["line"] not in {"close", "record"}:
            continue
        for forged in (b"", b"{}\n", lines[number][:-20] + b"\n", lines[number].replace(b"a", b"b", 60)):
            exported.write_bytes(b"".join([*lines[:number], forged, *lines[number + 1 :]]))
            report = await verify(FromFile(exported, ()), Bounds(), None)
            assert (Rule.CHAIN, Against.JOURNAL) in broken(report), (number, forged)


async def test_a_cut_export_is_told(exported: Path) -> None:
    lines = exported.read_bytes().splitlines(keepends=True)
    for end in range(1, len(lines)):
        exported.write_bytes(b"".join(lines[:end]))
        report = await verify(FromFile(exported, ()), Bounds(), None)
        assert (Rule.CHAIN, Against.JOURNAL) in broken(report)


@pytest.mark.parametrize("text", [b"", b"{}\n", b"\xff\n", b'{"line":"end","closes":0,"results_since":0}\n'])
async def test_a_file_that_is_no_journal_is_refused(tmp_path: Path, text: bytes) -> None:
    file = tmp_path / "other.jsonl"
    file.write_bytes(text)
    with pytest.raises(JournalFileUnreadable):
        FromFile(file, ())


async def test_bytes_that_are_no_text_are_exported_as_they_are(log_: Journalled) -> None:
    await log_.close("one", facts_of("one"))
    broken_body = (b"kind", b"ENDED", b"body", b"\xff\x00", b"hash", b"h", b"plan_id", b"other")
    await log_.desk.do("XADD", log_.desk.keys.journal, "*", *broken_body)
    stream = io.BytesIO()
    await export(log_.source(), stream, pytest.fail)
    raw = [json.loads(line).get("raw") for line in stream.getvalue().splitlines()]
    assert "/wA=" in raw
