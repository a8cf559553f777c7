"""A journal as a file: JSON lines that hold the exact bytes that were hashed, to be checked anywhere."""

from collections.abc import Iterable, Iterator
from typing import IO, Final

import msgspec

from sureclose.journal.checking.stored import Published, Results, Stored, Unreadable
from sureclose.journal.record import Record

SCHEMA: Final = 1


class JournalFileUnreadable(ValueError):
    """The file is no exported journal. Write one with `sureclose verify --export FILE`."""


class Line(msgspec.Struct, frozen=True, kw_only=True, tag_field="line", tag=str.lower):
    """One line of the file; ``line`` names its kind."""


class Journal(Line, frozen=True, kw_only=True):
    """The first one. ``taken_at`` is wall clock milliseconds; ``complete`` says that no close was left out."""

    schema: int = SCHEMA
    account: str
    taken_at: int
    complete: bool


class Close(Line, frozen=True, kw_only=True):
    """Comes before the records of one close."""

    plan_id: str
    head: str | None
    state: str | None
    records: int
    missing: tuple[str, ...] = ()
    strays: tuple[str, ...] = ()
    acknowledged: bool | None = None


class Entry(Line, frozen=True, kw_only=True, tag="record"):
    """One record. ``body`` is the text that was hashed; where that is no UTF-8, ``raw`` has its bytes in base64."""

    plan_id: str
    id: str
    kind: str
    hash: str
    body: str = ""
    raw: bytes = b""

    def record(self) -> Record:
        return Record(self.kind, self.raw or self.body.encode(), self.hash)


class Result(Line, frozen=True, kw_only=True):
    """What was published of one outcome."""

    published: Published


class End(Line, frozen=True, kw_only=True):
    """The last one: a file without it was cut. ``results_since`` is as in ``Results``."""

    closes: int
    results_since: int | None


AnyLine = Journal | Close | Entry | Result | End
_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[AnyLine] = msgspec.json.Decoder(AnyLine)


class Writer:
    """Writes a journal to a file as it is read, whether or not it is whole."""

    def __init__(self, file: IO[bytes], account: str, taken_at: int, *, complete: bool) -> None:
        self._file = file
        self.closes = 0
        self.records = 0
        self._line(Journal(account=account, taken_at=taken_at, complete=complete))

    def close(self, stored: Stored) -> None:
        self._line(close_line(stored))
        for entry_id, record in stored.records:
            self._line(record_line(stored.plan_id, entry_id, record))
        self.closes += 1
        self.records += len(stored.records)

    def end(self, results: Results) -> None:
        for published in results.by_evidence.values():
            self._line(Result(published=published))
        self._line(End(closes=self.closes, results_since=results.since))

    def _line(self, line: Line) -> None:
        self._file.write(_encoder.encode(line) + b"\n")


def close_line(stored: Stored) -> Close:
    """What stands before the records of a close."""
    return Close(
        plan_id=stored.plan_id,
        head=stored.head,
        state=stored.state,
        records=len(stored.records),
        missing=stored.missing,
        strays=stored.strays,
        acknowledged=stored.acknowledged,
    )


def record_line(plan_id: str, entry_id: str, record: Record) -> Entry:
    try:
        return Entry(
            plan_id=plan_id, id=entry_id, kind=record.kind, hash=record.hash, body=record.body.decode()
        )
    except UnicodeDecodeError:
        return Entry(plan_id=plan_id, id=entry_id, kind=record.kind, hash=record.hash, raw=record.body)


class Exported:
    """An exported journal. ``header`` is known at once, ``results`` when ``closes`` came to its end."""

    def __init__(self, lines: Iterable[bytes]) -> None:
        """Raises ``JournalFileUnreadable`` when the first line is not that of a journal."""
        self._lines = iter(lines)
        self.header = _header(next(self._lines, b""))
        self.results: Results | None = None

    def closes(self) -> Iterator[Stored | Unreadable]:
        """Every close, and every part that can't be read, in the order of the file."""
        current: Close | None = None
        records: list[tuple[str, Record]] = []
        published: dict[str, Published] = {}
        for number, text in enumerate(self._lines, 2):
            line = _read(text, number)
            if isinstance(line, Unreadable):
                yield line
            elif isinstance(line, Entry) and current is not None and line.plan_id == current.plan_id:
                records.append((line.id, line.record()))
            elif isinstance(line, Entry):
                yield Unreadable(f"line {number}", f"a record of {line.plan_id} stands outside of its close")
            elif isinstance(line, Result):
                published[line.published.evidence] = line.published
            else:
                if current is not None:
                    yield stored(current, records)
                current, records = (line, []) if isinstance(line, Close) else (None, [])
                if isinstance(line, End):
                    self.results = Results(since=line.results_since, by_evidence=published)
        if current is not None:
            yield stored(current, records)
        if self.results is None:
            yield Unreadable("the end of the file", "it is not there, so closes may be missing")


def _header(text: bytes) -> Journal:
    try:
        line = _decoder.decode(text)
    except msgspec.DecodeError as error:
        raise JournalFileUnreadable(f"its first line is no journal's ({error})") from None
    if not isinstance(line, Journal) or line.schema != SCHEMA:
        raise JournalFileUnreadable("its first line is not that of a journal which this version reads")
    return line


def _read(text: bytes, number: int) -> AnyLine | Unreadable:
    try:
        line = _decoder.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return Unreadable(f"line {number}", str(error))
    return Unreadable(f"line {number}", "a second journal begins") if isinstance(line, Journal) else line


def stored(close: Close, records: list[tuple[str, Record]]) -> Stored:
    """The close as its lines have it."""
    lost = close.records - len(records)
    return Stored(
        plan_id=close.plan_id,
        head=close.head,
        state=close.state,
        records=tuple(records),
        missing=(*close.missing, *(("(not in the file)",) * max(0, lost))),
        strays=close.strays,
        acknowledged=close.acknowledged,
    )
