"""A segment: finished closes in one file, written once, with the exact bytes that were hashed.

JSON lines in the shape of an exported journal: a header, each close with its records, and a footer that seals them. A
file without its footer was cut; what else happened to it shows in the hash of its anchor, and where, in its lines.
"""

import hashlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from sureclose.journal.anchors import file_name
from sureclose.journal.checking.export import Close, Entry, Line, close_line, record_line, stored
from sureclose.journal.checking.stored import Stored, Unreadable
from sureclose.journal.record import Record

SCHEMA: Final = 1


class Segment(Line, frozen=True, kw_only=True):
    """The header. ``previous`` is the hash of the anchor before; ``plans`` are the closes in their order, to find one."""

    schema: int = SCHEMA
    account: str
    number: int
    previous: str
    plans: tuple[str, ...]


class Sealed(Line, frozen=True, kw_only=True):
    """The footer: what must be above it, and the SHA-256 of that."""

    closes: int
    records: int
    sha256: str


AnySegmentLine = Segment | Close | Entry | Sealed
_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[AnySegmentLine] = msgspec.json.Decoder(AnySegmentLine)


class SegmentUnreadable(Exception):
    """A segment is not there or is no segment; the message names the file."""


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """A file under its temporary name. ``sha256`` is of all of it, ``size`` in bytes."""

    temporary: Path
    path: Path
    sha256: str
    size: int
    closes: int
    records: int


def write(folder: Path, account: str, number: int, previous: str, closes: Sequence[Stored]) -> Written:
    """Write the closes under a temporary name, down to the disk; raises ``OSError``."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=".", suffix=".new", dir=folder)
    temporary = Path(name)
    plans = tuple(close.plan_id for close in closes)
    whole, size, records = hashlib.sha256(), 0, 0
    with os.fdopen(descriptor, "wb") as file:

        def line(content: Line) -> None:
            nonlocal size
            text = _encoder.encode(content) + b"\n"
            file.write(text)
            whole.update(text)
            size += len(text)

        line(Segment(account=account, number=number, previous=previous, plans=plans))
        for close in closes:
            line(close_line(close))
            for entry_id, record in close.records:
                line(record_line(close.plan_id, entry_id, record))
                records += 1
        line(Sealed(closes=len(closes), records=records, sha256=whole.hexdigest()))
        file.flush()
        os.fsync(file.fileno())
    sha256 = whole.hexdigest()
    path = folder / file_name(number, sha256)
    return Written(
        temporary=temporary, path=path, sha256=sha256, size=size, closes=len(closes), records=records
    )


def put_in_place(written: Written) -> None:
    """Give the file its name, durably; raises ``OSError``."""
    written.temporary.replace(written.path)
    folder = os.open(written.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def clear_temporary(folder: Path) -> None:
    """Remove what a writer that died left half-written; one that lives still finds out when it gives the name."""
    for left in folder.glob(".*.new"):
        left.unlink(missing_ok=True)


class Reading:
    """One segment as its file has it, in one pass. ``header`` is known at once, the rest when ``closes`` is at its end."""

    def __init__(self, path: Path) -> None:
        """Raises ``SegmentUnreadable`` when there is no such file or its first line is no header."""
        self.path = path
        try:
            self._file = path.open("rb")
        except OSError as error:
            raise SegmentUnreadable(f"{path}: {error.strerror}") from None
        with self._file:
            first = self._file.readline()
        try:
            header = _decoder.decode(first)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise SegmentUnreadable(f"{path} line 1: {error}") from None
        if not isinstance(header, Segment) or header.schema != SCHEMA:
            raise SegmentUnreadable(f"{path} line 1 is not the header of a segment that this version reads")
        self.header = header
        self.sha256 = ""
        """Of the whole file."""

    def closes(self) -> Iterator[Stored | Unreadable]:
        """Every close, and everything that is not as it was written, with its line."""
        whole, sealed, number = hashlib.sha256(), False, 0
        current: Close | None = None
        records: list[tuple[str, Record]] = []
        told = _Told()
        with self.path.open("rb") as file:
            for number, text in enumerate(file, 1):
                above = whole.copy()
                whole.update(text)
                try:
                    line = _decoder.decode(text)
                except (msgspec.DecodeError, UnicodeDecodeError) as error:
                    yield self._bad(number, f"can't be read: {error}")
                    continue
                if sealed:
                    yield self._bad(number, "stands behind the footer")
                elif isinstance(line, Entry):
                    told.records += 1
                    records.append((line.id, line.record()))
                    if current is None or line.plan_id != current.plan_id:
                        yield self._bad(
                            number, f"a record of plan {line.plan_id} stands outside of its close"
                        )
                        records.pop()
                    elif hashlib.sha256(line.record().body).hexdigest() != line.hash:
                        yield self._bad(number, f"a record of plan {line.plan_id} was altered")
                elif isinstance(line, Segment):
                    if number > 1:
                        yield self._bad(number, "a second segment begins")
                else:
                    if current is not None:
                        yield stored(current, records)
                    current, records = (line, []) if isinstance(line, Close) else (None, [])
                    told.closes += isinstance(line, Close)
                    if isinstance(line, Sealed):
                        sealed = True
                        if (line.closes, line.records, line.sha256) != (
                            told.closes,
                            told.records,
                            above.hexdigest(),
                        ):
                            yield self._bad(number, "the footer seals something else than stands above it")
        if current is not None:
            yield stored(current, records)
        if not sealed:
            yield self._bad(number + 1, "the footer is not there, so the file was cut")
        self.sha256 = whole.hexdigest()

    def close_of(self, plan_id: str) -> Stored | None:
        """The close of a plan, if it is here."""
        if plan_id not in self.header.plans:
            return None
        found = (part for part in self.closes() if isinstance(part, Stored) and part.plan_id == plan_id)
        return next(found, None)

    def _bad(self, number: int, why: str) -> Unreadable:
        return Unreadable(f"{self.path} line {number}", why)


class _Told:
    closes = 0
    records = 0
