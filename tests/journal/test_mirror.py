"""What a machine remembers of its log: it only grows, survives the process, and says so when it is damaged."""

import errno
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sureclose.domain.authority import Authority
from sureclose.journal.fence import Fence, Lineage
from sureclose.journal.mirror import Memory, Mirror, MirrorDamaged

ADDRESS = "redis://127.0.0.1:1/0"
ID, OTHER = "a" * 32, "b" * 32


def mirror(folder: Path, address: str = ADDRESS) -> Mirror:
    return Mirror(folder / "mirror", "paper:main", address)


def reigning(folder: Path, epoch: int = 1, written: int = 0) -> Fence:
    fence = Fence(mirror(folder))
    fence.reign(epoch)
    fence.adopt(ID, written)
    return fence


def test_another_address_is_another_log(tmp_path: Path) -> None:
    reigning(tmp_path, written=5)
    assert Fence(mirror(tmp_path)).memory.written == 5
    assert Fence(mirror(tmp_path, "redis://127.0.0.1:2/0")).memory == Memory()
    assert Fence(Mirror(tmp_path / "mirror", "demo:main", ADDRESS)).memory == Memory()


def test_every_answer_outlives_the_process_without_a_sync(tmp_path: Path) -> None:
    fence = reigning(tmp_path)
    for written in range(1, 50):
        fence.acknowledged(written)
        assert Fence(mirror(tmp_path)).memory.written == written


def test_a_process_that_does_not_reign_writes_nothing_down(tmp_path: Path) -> None:
    fence = reigning(tmp_path, written=3)
    fence.abdicate()
    fence.acknowledged(9)
    assert fence.memory.written == 9
    assert Fence(mirror(tmp_path)).memory.written == 3


def test_one_who_wakes_up_late_does_not_write_over_its_successor(tmp_path: Path) -> None:
    late = reigning(tmp_path, epoch=4, written=10)
    successor = Fence(mirror(tmp_path))
    successor.reign(5)
    successor.acknowledged(40)
    late.acknowledged(11)
    known = Fence(mirror(tmp_path)).memory
    assert (known.written, known.epoch) == (40, 5)
    late.look()
    assert late.memory.written == 40


def test_counts_of_a_log_before_are_not_those_of_the_one_after(tmp_path: Path) -> None:
    fence = reigning(tmp_path, written=1000)
    fence.acknowledged(1001)
    fence.adopt(OTHER, 7)
    assert Fence(mirror(tmp_path)).memory.written == 7
    fence.acknowledged(8)
    assert Fence(mirror(tmp_path)).memory.written == 8


def test_an_older_authority_record_never_takes_the_place_of_a_newer_one(tmp_path: Path) -> None:
    fence, other = reigning(tmp_path), Fence(mirror(tmp_path))
    fence.authorise(Authority(2, {}, {"reason": "looked"}))
    other.authorise(Authority(1, {"component": "x"}))
    authority = Fence(mirror(tmp_path)).memory.authority
    assert authority is not None
    assert authority.revision == 2


@pytest.mark.parametrize("file", ["json", "written"])
def test_a_damaged_mirror_is_no_empty_one(tmp_path: Path, file: str) -> None:
    reigning(tmp_path, written=3).acknowledged(4)
    path = next((tmp_path / "mirror").glob(f"*.{file}"))
    path.write_bytes(path.read_bytes()[:40].replace(b"a", b"z") + b"\x01")
    with pytest.raises(MirrorDamaged):
        mirror(tmp_path).read()
    fence = Fence(mirror(tmp_path))
    assert fence.damaged
    fence.reign(9)
    assert Fence(mirror(tmp_path)).damaged, "who dies now leaves no false one"
    fence.adopt(OTHER, 1)
    assert not fence.damaged
    assert Fence(mirror(tmp_path)).memory == fence.memory


def test_a_torn_count_of_another_time_is_said_too(tmp_path: Path) -> None:
    """Whether it was the highest nobody knows any more."""
    fence = reigning(tmp_path, epoch=8, written=3)
    fence.acknowledged(4)
    path = next((tmp_path / "mirror").glob("*.written"))
    content = bytearray(path.read_bytes())
    content[3] ^= 1
    path.write_bytes(content)
    with pytest.raises(MirrorDamaged):
        mirror(tmp_path).read()


def test_a_mirror_that_another_process_made_whole_is_the_one_that_is_written(tmp_path: Path) -> None:
    """The file that was open here is in no folder any more."""
    other, fence = Fence(mirror(tmp_path)), reigning(tmp_path, epoch=1, written=5)
    next((tmp_path / "mirror").glob("*.json")).write_bytes(b"{torn")
    fence.abdicate()
    for each in (fence, other):
        each.look()
        assert each.damaged
    other.reign(2)
    other.adopt(OTHER, 10)
    fence.look()
    assert (fence.damaged, fence.memory.id) == ("", OTHER)
    fence.reign(3)
    fence.acknowledged(50)
    assert Fence(mirror(tmp_path)).memory.written == 50


def full(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_sync_notes_the_count_for_which_there_was_no_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The script has written: who called it goes on, and what was heard is not forgotten when there is room again."""
    fence = reigning(tmp_path, written=3)
    monkeypatch.setattr(Mirror, "count", full)
    fence.acknowledged(4)
    assert fence.memory.written == 4
    monkeypatch.undo()
    fence.sync()
    assert Fence(mirror(tmp_path)).memory.written == 4


def test_a_sync_says_that_there_still_is_no_room_for_a_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fence = reigning(tmp_path, written=3)
    monkeypatch.setattr(Mirror, "count", full)
    fence.acknowledged(4)
    for _ in range(2):
        with pytest.raises(OSError, match="No space"):
            fence.sync()
    monkeypatch.undo()
    fence.sync()
    assert Fence(mirror(tmp_path)).memory.written == 4


@pytest.mark.parametrize(
    ("lineage", "follows"),
    [
        (Lineage(ID, (), 10, 1), True),
        (Lineage(ID, (), 12, 1), True),
        (Lineage(ID, (), 9, 1), False),
        (Lineage("", (), 99, 1), False),
        (Lineage(OTHER, (), 99, 1), False),
        (Lineage(OTHER, (ID,), 2, 1), True),
    ],
)
def test_only_a_log_that_goes_on_from_what_is_known_is_followed(lineage: Lineage, follows: bool) -> None:
    fence = Fence()
    fence.adopt(ID, 10)
    assert fence.follow(lineage) is follows
    assert fence.memory.written == (lineage.written if follows else 10)


acts = st.lists(
    st.one_of(
        st.tuples(st.just("take"), st.integers(0, 2)),
        st.tuples(st.just("write"), st.integers(0, 2)),
        st.tuples(st.just("restart"), st.integers(0, 2)),
    ),
    max_size=30,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(acts)
def test_whoever_comes_next_knows_of_every_answer(
    tmp_path_factory: pytest.TempPathFactory, history: list[tuple[str, int]]
) -> None:
    """Three processes of one folder reign by turns and are killed; the next one knows all that any of them heard."""
    folder = tmp_path_factory.mktemp("mirror")
    processes = [Fence(mirror(folder)) for _ in range(3)]
    written, epoch, holder = 0, 0, -1
    for act, number in history:
        if act == "take":
            process = processes[number]
            process.look()
            assert process.memory.written == written
            assert process.memory.epoch == epoch
            epoch, holder = epoch + 1, number
            process.reign(epoch)
            process.adopt(ID, written)
        elif act == "write" and number == holder:
            written += 1
            processes[number].acknowledged(written)
        elif act == "restart":
            processes[number].close()
            processes[number] = Fence(mirror(folder))
            holder = -1 if holder == number else holder
    assert Fence(mirror(folder)).memory.written == written
