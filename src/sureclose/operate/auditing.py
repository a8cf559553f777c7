"""Whether a grant or an unfreeze may rest on an audit: everything that is missing for it, by what is stored and no word."""

import asyncio
import hashlib
from collections.abc import Iterator, Mapping
from typing import Final

from sureclose.domain.times import iso_ms
from sureclose.journal import audits
from sureclose.journal.audits import AuditRecord, AuditUnreadable
from sureclose.journal.checking import rules_chain
from sureclose.journal.checking.audited import Evidence, Verdict
from sureclose.journal.checking.findings import Verdict as Finding
from sureclose.journal.checking.questions import ASKS
from sureclose.journal.checking.stored import Shelved, Stored, Unreadable
from sureclose.operate.audit_reading import journal_of
from sureclose.operate.session import Session

_AGAIN: Final = "run `sureclose audit` again"


async def missing_for(
    session: Session, audit_id: str, component: str, *, after: int | None = None
) -> list[str]:
    """All that is missing, each a line that says what to do; an empty list means that the audit is good for it.

    ``after`` is when the last trigger of the freeze was that stands, in the log's milliseconds. Changes nothing. Raises
    ``RedisError``.
    """
    try:
        record = await audits.recorded(session.wire, session.keys, audit_id)
    except AuditUnreadable as error:
        return [f"{error}; {_AGAIN}"]
    if record is None:
        return [
            f"there is no audit {audit_id} in the log of {session.keys.account}; {_AGAIN} and give its id"
        ]
    now, oldest = session.clock.now(), session.authority.evidence_max_age_s * 1000
    found = [
        *_unfit(record, audit_id, component),
        *_stale(record, now, oldest),
        *_before(record, after),
        *await asyncio.to_thread(lambda: list(_file(session, record, audit_id))),
    ]
    return [*found, *await _chains(session, record)]


# What the log says of it -------------------------------------------------------------------------------------------


def _unfit(record: AuditRecord, audit_id: str, component: str) -> Iterator[str]:
    if record.id != audit_id:
        yield f"the log's record of audit {audit_id} says that it is {record.id}; {_AGAIN}"
    answers = {answer.number: answer.verdict for answer in record.questions}
    failed = [
        f"{number} ({asks}) {answers.get(number, 'is not answered')}"
        for number, asks in enumerate(ASKS, 1)
        if answers.get(number) is not Verdict.PASSES
    ]
    if failed:
        yield f"it did not pass: question {', '.join(failed)}; its evidence says why"
    elif not record.passed:
        yield "it did not pass, and its five answers say that it did: the log's record was changed"
    if record.component != component:
        yield f"it is about {record.component}, and this is about {component}; audit that with --component {component}"
    if not record.heads:
        yield "it rests on no confirmed close"


def _stale(record: AuditRecord, now: int, oldest: int) -> Iterator[str]:
    age = now - record.newest_evidence_at
    if not record.newest_evidence_at:
        yield "it has no evidence of a confirmed close; `sureclose prove`, then audit again"
    elif age > oldest:
        yield (
            f"its newest evidence is of {iso_ms(record.newest_evidence_at)}, {age // 1000} s ago, and"
            f" authority.evidence_max_age_s is {oldest // 1000}; `sureclose prove`, then audit again"
        )
    elif record.newest_evidence_at > record.at or record.at > now:
        yield f"its times lie ahead: evidence {record.newest_evidence_at}, audit {record.at}, now {now}; {_AGAIN}"


def _before(record: AuditRecord, after: int | None) -> Iterator[str]:
    """What happened while it read it may not have seen."""
    if after is not None and record.began_at <= after:
        yield f"it was begun at {iso_ms(record.began_at)}, before the freeze of {iso_ms(after)}; {_AGAIN}"


# The file ----------------------------------------------------------------------------------------------------------


def _file(session: Session, record: AuditRecord, audit_id: str) -> Iterator[str]:
    path = audits.evidence_file(session.folder, audit_id)
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        yield f"its evidence {path} is not there; copy it here from the host that audited, or {_AGAIN}"
        return
    except OSError as error:
        yield f"its evidence {path} can't be read: {error.strerror}"
        return
    digest = hashlib.sha256(content).hexdigest()
    if digest != record.sha256:
        yield f"its evidence {path} was changed: its bytes hash to {digest}, and {record.sha256} was recorded"
    try:
        evidence = audits.decode(content)
    except AuditUnreadable as error:
        yield f"{path}: {error}"
        return
    yield from _differences(record, evidence, content)
    if evidence.account != session.keys.account:
        yield f"its evidence is of {evidence.account}, and this is {session.keys.account}"


def _differences(record: AuditRecord, evidence: Evidence, content: bytes) -> Iterator[str]:
    """Each field of the log's record that is not what the file comes to."""
    meant = audits.record_of(evidence, content)
    for field in AuditRecord.__struct_fields__:
        said, comes_to = getattr(record, field), getattr(meant, field)
        if said != comes_to:
            yield f"the log says of {field} {said}, and the evidence comes to {comes_to}"


# The journal -------------------------------------------------------------------------------------------------------


async def _chains(session: Session, record: AuditRecord) -> list[str]:
    """What is wrong with the closes that it rests on, their chains computed anew: those of the log, then of segments."""
    found = _Chains(session.keys.account, session.clock.now())
    if record.heads:
        async for part in journal_of(session, tuple(record.heads)).closes():
            found.see(part)
    elsewhere = [
        plan_id for plan_id, head in record.heads.items() if head not in found.heads.get(plan_id, ())
    ]
    if elsewhere:
        async for other in journal_of(session, elsewhere).archived():
            found.see(other)
    return [*found.broken, *found.differences(record.heads)]


class _Chains:
    """Where the chains of some closes end, and what is wrong with them."""

    def __init__(self, account: str, taken_at: int) -> None:
        self._account = account
        self._taken_at = taken_at
        self._absent: list[str] = []
        self.heads: dict[str, set[str]] = {}
        self.broken: list[str] = []

    def see(self, part: Stored | Unreadable | Shelved) -> None:
        match part:
            case Stored():
                case, findings = rules_chain.read(part, self._account, self._taken_at)
                wrong = [one.what for one in findings if one.verdict is Finding.VIOLATED]
                self.broken += [f"the chain of plan {part.plan_id} is broken: {what}" for what in wrong]
                if case.kept:
                    self.heads.setdefault(part.plan_id, set()).add(case.kept[-1].hash)
            case Unreadable():
                self.broken.append(f"{part.where} can't be read: {part.why}")
            case Shelved():
                self._absent.append(part.absent)

    def differences(self, wanted: Mapping[str, str]) -> Iterator[str]:
        for plan_id, head in wanted.items():
            found = self.heads.get(plan_id)
            if found is None:
                elsewhere = f" ({'; '.join(self._absent)})" if self._absent else ""
                yield f"the journal has no close of plan {plan_id}, which it rests on{elsewhere}"
            elif head not in found:
                comes_to = " or ".join(sorted(found))
                yield f"the chain of plan {plan_id} comes to {comes_to}, and the evidence says {head}"
