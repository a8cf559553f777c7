"""A segment is what was written, or what is wrong with it is named: file, line and plan."""

import os
import re
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from sureclose.domain.outcome import OutcomeKind
from sureclose.journal.anchors import Anchored, anchors
from sureclose.journal.checking.stored import Shelved, Stored, Unreadable
from sureclose.journal.library import Library
from sureclose.journal.segment import Reading, SegmentUnreadable, put_in_place, write
from tests.journal.journals import Desk
from tests.journal.test_archive import Room


class Shelf:
    """Two segments of two closes each, and the library that reads them."""

    def __init__(self, room: Room) -> None:
        self.room = room
        self.library = self.on("here")

    async def fill(self) -> "Shelf":
        for first in (1, 3):
            for number in (first, first + 1):
                await self.room.closed(f"plan-{number}")
            assert await self.room.round() == 2
        return self

    def on(self, host: str) -> Library:
        return Library(self.room.desk.wire, self.room.desk.keys, host=host, folder=self.room.folder)

    async def file(self, number: int) -> Path:
        anchored = await anchors(self.room.desk.wire, self.room.desk.keys)
        return self.room.folder / anchored[number - 1].read().file

    async def read(self, library: Library | None = None) -> tuple[list[str], list[str]]:
        """The plans that could be read, and all that is said to be wrong."""
        library = library or self.library
        plans, wrong = [], []
        async for part in library.all(await library.anchored()):
            match part:
                case Stored():
                    plans.append(part.plan_id)
                case Unreadable():
                    wrong.append(f"{part.where}: {part.why}")
                case Shelved():
                    wrong += [f"{part.where}: {problem}" for problem in part.problems]
                    wrong += [f"{part.where}: {part.absent}"] if part.absent else []
        return plans, wrong


@pytest.fixture
async def shelf(desk: Desk, tmp_path: Path) -> Shelf:
    return await Shelf(Room(desk, tmp_path / "segments")).fill()


async def test_what_was_written_is_read_and_nothing_is_wrong(shelf: Shelf) -> None:
    assert await shelf.read() == (["plan-1", "plan-2", "plan-3", "plan-4"], [])
    found = await shelf.library.closes_of("plan-3")
    assert [close.plan_id for close in found.closes] == ["plan-3"]
    assert found.absent == ()


def _line(text: bytes, number: int, change: Callable[[bytes], bytes]) -> bytes:
    lines = text.splitlines(keepends=True)
    lines[number - 1] = change(lines[number - 1])
    return b"".join(lines)


async def test_an_edited_record_is_named_by_file_line_and_plan(shelf: Shelf) -> None:
    path = await shelf.file(2)
    text = path.read_bytes()
    number = next(n for n, line in enumerate(text.splitlines(), 1) if b'"kind":"SENDING"' in line)
    path.write_bytes(_line(text, number, lambda line: line.replace(b"sc-plan-3-1", b"sc-plan-3-2")))
    plans, wrong = await shelf.read()
    assert plans == ["plan-1", "plan-2", "plan-3", "plan-4"]
    assert f"{path} line {number}: a record of plan plan-3 was altered" in wrong
    assert any("was anchored" in one and path.name in one for one in wrong)


async def test_every_byte_of_a_segment_matters(shelf: Shelf) -> None:
    path = await shelf.file(1)
    text = path.read_bytes()
    for at in range(0, len(text), 97):
        path.write_bytes(text[:at] + bytes([text[at] ^ 1]) + text[at + 1 :])
        _, wrong = await shelf.read()
        assert any(path.name in one for one in wrong), at
    path.write_bytes(text)
    assert (await shelf.read())[1] == []


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.99])
async def test_a_torn_segment_is_named(shelf: Shelf, share: float) -> None:
    path = await shelf.file(2)
    text = path.read_bytes()
    path.write_bytes(text[: int(len(text) * share)])
    plans, wrong = await shelf.read()
    assert plans[:2] == ["plan-1", "plan-2"], "the others can be read"
    assert any(path.name in one for one in wrong)


async def test_a_line_that_was_taken_out_is_named(shelf: Shelf) -> None:
    path = await shelf.file(1)
    path.write_bytes(_line(path.read_bytes(), 4, lambda _: b""))
    _, wrong = await shelf.read()
    assert any(re.search(r"line \d+: the footer seals something else", one) for one in wrong)


async def test_a_missing_segment_is_named(shelf: Shelf) -> None:
    path = await shelf.file(1)
    path.unlink()
    plans, wrong = await shelf.read()
    assert plans == ["plan-3", "plan-4"]
    assert len(wrong) == 1
    assert f"{path} is missing" in wrong[0]
    found = await shelf.library.closes_of("plan-1")
    assert found.closes == ()
    assert [path.name in one for one in found.absent] == [True]


async def test_swapped_segments_are_named_both(shelf: Shelf) -> None:
    one, two = await shelf.file(1), await shelf.file(2)
    text = one.read_bytes()
    one.write_bytes(two.read_bytes())
    two.write_bytes(text)
    _, wrong = await shelf.read()
    for path, number in ((one, 2), (two, 1)):
        assert any(path.name in said and f"it is segment {number}" in said for said in wrong)


async def test_a_changed_or_lost_anchor_is_named(shelf: Shelf) -> None:
    first, second = await shelf.library.anchored()
    lost = [part async for part in shelf.library.all([second])]
    assert any(isinstance(part, Shelved) and "segment 1 is of" in str(part.problems) for part in lost)
    changed = Anchored(first.body.replace(b'"closes":2', b'"closes":3'), first.hash)
    forged = Anchored.of(msgspec.structs.replace(first.read(), closes=3))
    for other, what in ((changed, "can't be read"), (forged, "segment 2 does not follow")):
        said = [part async for part in shelf.library.all([other, second])]
        assert any(isinstance(part, Shelved) and what in str(part.problems) for part in said)


async def test_segments_that_were_written_before_a_time_need_not_be_read(shelf: Shelf) -> None:
    """An audit of a day must not read the years before it; the anchors are held against each other all the same."""
    os.utime(await shelf.file(1), (1_000, 1_000))
    anchored = await shelf.library.anchored()
    parts = [part async for part in shelf.library.all(anchored, since=2_000_000)]
    assert [part.plan_id for part in parts if isinstance(part, Stored)] == ["plan-3", "plan-4"]
    (await shelf.file(1)).unlink()
    parts = [part async for part in shelf.library.all(anchored, since=2_000_000)]
    assert any(isinstance(part, Shelved) and "is missing" in str(part.problems) for part in parts)


async def test_a_file_that_the_log_does_not_know_is_told(shelf: Shelf) -> None:
    """As after a loss of the log: then it may be all that is left of a close."""
    path = await shelf.file(2)
    await shelf.room.desk.do("XDEL", shelf.room.desk.keys.anchors, "2-0")
    plans, wrong = await shelf.read()
    assert plans == ["plan-1", "plan-2"]
    assert len(wrong) == 1
    assert wrong[0].startswith(f"{path}: not anchored")


async def test_a_host_without_a_segment_says_who_has_it(shelf: Shelf) -> None:
    for number in (1, 2):
        path = await shelf.file(number)
        path.rename(path.parent.parent / path.name)
    elsewhere = shelf.on("there")
    plans, wrong = await shelf.read(elsewhere)
    assert plans == []
    assert len(wrong) == 2
    assert all("on here: not on this host" in one and str(shelf.room.folder) in one for one in wrong)
    assert len((await elsewhere.closes_of("plan-1")).absent) == 2


def test_what_is_no_segment_is_refused_by_name(tmp_path: Path) -> None:
    for text in (b"", b"nothing\n", b'{"line":"close","plan_id":"p","head":null,"state":null,"records":0}\n'):
        path = tmp_path / "00000001-0000.jsonl"
        path.write_bytes(text)
        with pytest.raises(SegmentUnreadable, match="00000001-0000"):
            Reading(path)


def test_the_same_closes_make_the_same_file(tmp_path: Path) -> None:
    """What a crash left between file and anchor is replaced, not added to."""
    close = Stored(plan_id="plan", head="0", state=str(OutcomeKind.SKIPPED), records=())
    paths = set()
    for _ in range(2):
        written = write(tmp_path, "paper:main", 1, "", [close])
        put_in_place(written)
        paths.add(written.path)
    assert set(tmp_path.iterdir()) == paths
