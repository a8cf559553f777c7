"""The audits of an account: the evidence of each in a file, and in the log what it came to and the hash of that file."""

import hashlib
import os
import tempfile
from pathlib import Path
from typing import Final

import msgspec

from sureclose.fault_points import FaultPoint, reach
from sureclose.journal import scripts
from sureclose.journal.checking.audited import Evidence, Verdict
from sureclose.journal.keys import Keys
from sureclose.streams.wire import Wire

KEPT: Final = 200
"""How many audits the log remembers; their files stay."""
_ID_LENGTH: Final = 16

_audited = scripts.load("audited")


class AuditUnreadable(Exception):
    """What is stored of an audit is not what was written there; the message says which part. Audit again."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """One question in short."""

    number: int
    verdict: Verdict
    looked_at: int


class AuditRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What the log says of one audit. ``since`` is venue milliseconds, the other times are the log's.

    ``began_at`` is when it began to read, 0 in one of a version that did not say so.

    ``sha256`` is of the bytes of the evidence file; the id is how it begins.
    """

    id: str
    component: str
    at: int
    began_at: int = 0
    since: int
    passed: bool
    newest_evidence_at: int
    questions: tuple[Answer, ...]
    sha256: str
    heads: dict[str, str]


def encode(evidence: Evidence) -> bytes:
    """The bytes of the evidence file: readable, and the same for the same evidence."""
    return msgspec.json.format(msgspec.json.encode(evidence, order="deterministic"), indent=2) + b"\n"


def decode(content: bytes) -> Evidence:
    """Raises ``AuditUnreadable``."""
    try:
        return msgspec.json.decode(content, type=Evidence)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise AuditUnreadable(f"the evidence can't be read: {error}") from None


def record_of(evidence: Evidence, content: bytes) -> AuditRecord:
    """What the log is to say of evidence with this content."""
    digest = hashlib.sha256(content).hexdigest()
    return AuditRecord(
        id=digest[:_ID_LENGTH],
        component=evidence.component,
        at=evidence.at,
        began_at=evidence.began_at,
        since=evidence.period.since,
        passed=evidence.passed,
        newest_evidence_at=evidence.newest_evidence_at,
        questions=tuple(
            Answer(number=one.number, verdict=one.verdict, looked_at=one.looked_at)
            for one in evidence.questions
        ),
        sha256=digest,
        heads=evidence.heads,
    )


# Files -------------------------------------------------------------------------------------------------------------


def evidence_file(folder: Path, audit_id: str) -> Path:
    """Where the evidence of an audit is, in the data folder."""
    return folder / "audits" / f"{audit_id}.json"


def keep(folder: Path, audit_id: str, content: bytes) -> Path:
    """Write the evidence durably, for our eyes only: whole or not at all. Raises ``OSError``."""
    path = evidence_file(folder, audit_id)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    replace_durably(path, content)
    return path


def replace_durably(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Put the content in the file's place in one step, on disk. Raises ``OSError``."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".new")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


# The log -----------------------------------------------------------------------------------------------------------


async def record(wire: Wire, keys: Keys, found: AuditRecord) -> None:
    """Say in the log that this audit was made; its file has to be on disk before."""
    reach(FaultPoint.BEFORE_AUDIT)
    await _audited.call(wire, [keys.audits], [found.id, msgspec.json.encode(found), KEPT])
    reach(FaultPoint.AFTER_AUDIT)


async def recorded(wire: Wire, keys: Keys, audit_id: str) -> AuditRecord | None:
    """What the log says of an audit, or ``None``; raises ``AuditUnreadable``."""
    found = await wire.execute_command(b"HGET", keys.audits, audit_id)
    if found is None:
        return None
    try:
        return msgspec.json.decode(found, type=AuditRecord)
    except msgspec.DecodeError as error:
        raise AuditUnreadable(f"the log's record of audit {audit_id} can't be read: {error}") from None
