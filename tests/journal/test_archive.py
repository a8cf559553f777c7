"""From the log to a segment, against the real log: what leaves, what stays, and what a crash in between costs."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from redis.exceptions import RedisError

from sureclose.domain.outcome import OutcomeKind
from sureclose.fault_points import SEGMENT_POINTS, FaultPoint
from sureclose.journal.anchors import anchors
from sureclose.journal.archive import Archive, Keeping, NotAnchored
from sureclose.journal.burnt import RETENTION_MS
from sureclose.journal.chain import Chain
from sureclose.journal.segment import Reading
from sureclose.journal.store import Journal
from sureclose.journal.verdict import Fenced, Verdict
from sureclose.services import archiver
from sureclose.services.archiver import Archiver
from tests.journal.journals import NOW, Desk, admitted, ended

ALL = Keeping(closes=0, ms=0, segment=100)


class Crash(Exception):
    """The process ends here."""


class Room:
    """A desk, and an archiver that takes every finished close at once."""

    def __init__(self, desk: Desk, folder: Path) -> None:
        self.desk = desk
        self.folder = folder
        self.archive = self.archive_of(ALL)
        self.archiver = Archiver(self.archive, desk.keys.account, lambda: desk.lease)

    def archive_of(self, keeping: Keeping, at: int = NOW) -> Archive:
        desk = self.desk
        return Archive(desk.wire, desk.keys, lambda: at, keeping, host="here", folder=self.folder)

    async def closed(self, plan_id: str, how: OutcomeKind = OutcomeKind.FLAT, *, sent: bool = True) -> Chain:
        chain = await self.desk.admit(plan_id)
        if sent:
            assert await self.desk.gate(chain, 1, client_order_id=f"sc-{plan_id}-1") is Verdict.OK
        await self.desk.publish(chain, ended(how))
        return chain

    async def round(self) -> int:
        return await self.archiver.round(self.desk.lease)

    async def kept(self) -> list[str]:
        """The plans of all anchored segments."""
        found = []
        for anchored in await anchors(self.desk.wire, self.desk.keys):
            reading = Reading(self.folder / anchored.read().file)
            parts = list(reading.closes())
            assert reading.sha256 == anchored.read().sha256
            found += [part.plan_id for part in parts]  # type: ignore[union-attr]
        return found


@pytest.fixture
async def room(desk: Desk, tmp_path: Path) -> Room:
    return Room(desk, tmp_path / "segments")


async def test_a_finished_close_leaves_the_log_and_is_in_a_segment_to_the_byte(room: Room) -> None:
    chain = await room.closed("plan")
    loaded = await room.desk.journal.load("plan")
    assert loaded is not None
    assert await room.round() == 1
    assert await room.kept() == ["plan"]
    assert await room.desk.do("XLEN", room.desk.keys.journal) == 0
    assert await room.desk.do("EXISTS", room.desk.keys.close("plan"), room.desk.keys.order("sc-plan-1")) == 0
    assert await room.desk.finished_at("plan") is None
    (anchored,) = await anchors(room.desk.wire, room.desk.keys)
    stored = Reading(room.folder / anchored.read().file).close_of("plan")
    assert stored is not None
    assert (stored.head, stored.state) == (chain.head.hash, "DONE")
    assert tuple(record.read() for _, record in stored.records) == loaded.bodies


async def test_its_id_stays_used_up_and_its_order_stays_ours(room: Room) -> None:
    await room.closed("plan", OutcomeKind.REDUCED)
    await room.round()
    journal = room.desk.journal
    found = await journal.load("plan")
    assert found is not None
    assert found.burnt is not None
    assert (found.state, found.burnt.kind, found.burnt.segment) == ("DONE", OutcomeKind.REDUCED, 1)
    assert found.burnt.is_for(admitted("plan").decision)
    other = msgspec.structs.replace(admitted("plan").decision, symbol="ETHUSDT")
    assert not found.burnt.is_for(other)
    assert await journal.plan_of("sc-plan-1") == ""
    assert await journal.plan_of("sc-plan-2") is None


@pytest.mark.parametrize(("days", "known"), [(0, True), (99, True), (100, True), (201, False)])
async def test_a_used_up_id_is_known_for_a_hundred_days_and_not_for_ever(
    room: Room, days: int, known: bool
) -> None:
    await room.closed("plan")
    await room.round()
    later = Journal(room.desk.wire, room.desk.keys, lambda: NOW + days * RETENTION_MS // 100)
    assert (await later.load("plan") is not None) is known
    assert (await later.plan_of("sc-plan-1") is not None) is known


@pytest.mark.parametrize("door", ["append", "gate", "permit", "publish"])
async def test_no_script_begins_a_close_anew_under_a_used_up_id(room: Room, door: str) -> None:
    await room.closed("plan")
    await room.round()
    before = await room.desk.everything()
    chain = Chain("plan")
    chain.unwritten.append(admitted("plan"))
    calls: dict[str, Callable[[], object]] = {
        "append": lambda: room.desk.journal.append(chain, room.desk.lease),
        "gate": lambda: room.desk.gate(chain),
        "permit": lambda: room.desk.permit(chain),
        "publish": lambda: room.desk.publish(chain),
    }
    with pytest.raises(Fenced) as refused:
        await calls[door]()  # type: ignore[misc]
    assert refused.value.verdict is Verdict.BURNT
    assert await room.desk.everything() == before


@pytest.mark.parametrize("point", SEGMENT_POINTS)
async def test_a_crash_at_each_step_converges_to_one_segment_and_an_empty_log(
    room: Room, point: FaultPoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    await room.closed("one")
    await room.closed("two", OutcomeKind.SKIPPED, sent=False)

    def die(reached: FaultPoint) -> None:
        if reached is point:
            raise Crash

    monkeypatch.setattr(archiver, "reach", die)
    with pytest.raises(Crash):
        await room.round()
    monkeypatch.undo()
    again = Room(room.desk, room.folder)
    assert await again.round() == (0 if point is FaultPoint.AFTER_ANCHOR else 2)
    assert await again.kept() == ["one", "two"]
    assert len(list(room.folder.iterdir())) == 1, "what the crash left was replaced or cleared away"
    assert await room.desk.do("XLEN", room.desk.keys.journal) == 0
    assert await again.round() == 0


async def test_an_archiver_that_lost_its_lease_anchors_nothing(room: Room) -> None:
    await room.closed("plan")
    zombie = room.desk.lease
    await room.desk.do("DEL", room.desk.keys.lease)
    await room.desk.open(owner="second")
    before = await room.desk.everything()
    with pytest.raises(NotAnchored, match="STALE_LEASE"):
        await room.archiver.round(zombie)
    assert await room.desk.everything() == before
    assert await room.round() == 1, "the one who holds it now does"


async def test_a_close_that_moved_on_meanwhile_stays_with_all_the_others(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    await room.closed("one")
    skipped = await room.closed("two", OutcomeKind.SKIPPED, sent=False)
    closes = await room.archive.due()
    place = await room.archive.next_place()
    written = room.archiver._write(place, closes)
    skipped.unwritten.append(admitted("two"))
    await room.desk.journal.append(skipped, room.desk.lease)
    before = await room.desk.everything()
    with pytest.raises(NotAnchored, match="STALE_HEAD two"):
        await room.archive.anchor(room.desk.lease, written, place, closes)
    assert await room.desk.everything() == before
    assert await room.round() == 1
    assert await room.kept() == ["one"]
    assert await room.desk.journal.open_plans() == ["two"]


async def test_two_archivers_of_one_lease_make_one_segment_of_a_number(room: Room) -> None:
    """The second script of the two finds another anchor than it began with."""
    await room.closed("plan")
    closes, place = await room.archive.due(), await room.archive.next_place()
    written = room.archiver._write(place, closes)
    await room.archive.anchor(room.desk.lease, written, place, closes)
    with pytest.raises(NotAnchored, match="STALE_HEAD"):
        await room.archive.anchor(room.desk.lease, written, place, closes)


async def test_a_skipped_close_that_was_never_sent_is_forgotten_and_begins_anew(room: Room) -> None:
    await room.closed("plan", OutcomeKind.SKIPPED, sent=False)
    assert await room.round() == 1
    assert await room.desk.journal.load("plan") is None
    await room.closed("plan")
    assert await room.round() == 1
    assert await room.kept() == ["plan", "plan"], "two chains of one plan, in two segments"


async def test_a_skipped_close_stays_for_as_long_as_its_decision_is_valid(room: Room) -> None:
    """Another group may be given the same entry until then, and nothing else would tell it that it has its outcome (I8)."""
    for plan_id, kind in (("skipped", OutcomeKind.SKIPPED), ("flat", OutcomeKind.FLAT)):
        chain = await room.desk.admit(plan_id)
        await room.desk.publish(chain, ended(kind), valid_until=NOW + 3_600_000)
    assert await room.desk.finished_at("skipped") == NOW + 3_600_000
    assert await room.round() == 1
    assert await room.kept() == ["flat"], "its id is burnt"
    assert (await room.desk.journal.load("skipped")) is not None


async def test_a_skipped_close_that_was_sent_stays_and_never_uses_an_attempt_number_twice(room: Room) -> None:
    chain = await room.closed("plan", OutcomeKind.SKIPPED)
    assert await room.round() == 0
    with pytest.raises(Fenced):
        await room.desk.gate(Chain("plan"), 1)
    with pytest.raises(Fenced):
        await room.desk.gate(Chain("plan", chain.head), 1)
    assert await room.desk.gate(Chain("plan", chain.head), 2, before=[admitted("plan")]) is Verdict.OK
    late = room.archive_of(ALL, NOW + RETENTION_MS)
    assert await late.due() == [], "it is open again"


async def test_open_and_parked_closes_stay(room: Room) -> None:
    await room.desk.admit("open")
    await room.closed("parked", OutcomeKind.PARKED)
    assert await room.round() == 0
    loaded = await room.desk.journal.load("parked")
    assert loaded is not None
    await room.desk.resolve("parked", loaded.head)
    assert await room.round() == 1
    found = await room.desk.journal.load("parked")
    assert found is not None
    assert found.burnt is not None
    assert found.burnt.kind is OutcomeKind.FLAT, "what the person said"


async def test_a_close_whose_chain_is_broken_stays_and_keeps_nobody_back(room: Room) -> None:
    await room.closed("broken")
    await room.closed("whole")
    ids = (await room.desk.do("HGET", room.desk.keys.close("broken"), "records")).decode().split()
    await room.desk.do("XDEL", room.desk.keys.journal, ids[1])
    assert await room.round() == 1
    assert await room.kept() == ["whole"]
    assert await room.round() == 0
    assert await room.desk.journal.state("broken") == "DONE"


@pytest.mark.parametrize(
    ("closes", "age_s", "gone"),
    [(6, 0, 0), (6, 11, 3), (5, 11, 0), (5, 99, 0), (5, 100, 3), (1, 100, 1)],
    ids=["too young", "a segment beyond those kept", "less than one", "young", "old", "old and alone"],
)
async def test_what_leaves_when(room: Room, closes: int, age_s: int, gone: int) -> None:
    for number in range(closes):
        await room.closed(f"plan-{number}", sent=False)
    keeping = Keeping(closes=3, ms=100_000, segment=3)
    archive = room.archive_of(keeping, NOW + age_s * 1000)
    assert len(await archive.due()) == gone


async def test_a_skipped_close_that_was_delivered_again_since_it_was_listed_is_nobodys_damage(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    skipped = await room.closed("plan", OutcomeKind.SKIPPED, sent=False)
    listed = room.archive._due_plans

    async def delivered_meanwhile(*, patient: bool) -> list[str]:
        plans = await listed(patient=patient)
        skipped.unwritten.append(admitted("plan"))
        await room.desk.journal.append(skipped, room.desk.lease)
        return plans

    monkeypatch.setattr(room.archive, "_due_plans", delivered_meanwhile)
    assert await room.round() == 0
    monkeypatch.undo()
    await room.desk.publish(skipped, ended(OutcomeKind.SKIPPED))
    assert await room.round() == 1, "it is still one of those that may leave"


async def test_a_log_without_memory_is_archived_which_gives_it_memory(room: Room) -> None:
    """The other scripts are refused then, and no close would ever make room for another."""
    await room.closed("plan")
    await room.desk.do("CONFIG", "SET", "maxmemory", 1)
    try:
        with pytest.raises(RedisError, match="maxmemory"):
            await room.desk.admit("other")
        assert await room.round() == 1
    finally:
        await room.desk.do("CONFIG", "SET", "maxmemory", 0)
    assert await room.kept() == ["plan"]
    assert await room.desk.do("EXISTS", room.desk.keys.close("plan")) == 0


async def test_a_close_of_more_than_a_script_can_name_at_once_leaves_the_log(room: Room) -> None:
    """One that waited for days for a venue; if it stayed, all others of its segment would. Most of it is made up."""
    await room.closed("plan")
    closes, place = await room.archive.due(), await room.archive.next_place()
    written = room.archiver._write(place, closes)
    many = " ".join(f"{number}-1" for number in range(1, 8_101))
    (first, *others), close = closes[0].stored.records, room.desk.keys.close("plan")
    last = " ".join(entry_id for entry_id, _ in others)
    await room.desk.do("HSET", close, "records", f"{first[0]} {many} {last}")
    orders = (*closes[0].orders, *(f"sc-plan-{attempt}" for attempt in range(2, 8_102)))
    leaving = msgspec.structs.replace(closes[0], orders=orders)
    await room.archive.anchor(room.desk.lease, written, place, [leaving])
    assert await room.kept() == ["plan"]
    assert await room.desk.do("XLEN", room.desk.keys.journal) == 0
    assert await room.desk.do("EXISTS", close, room.desk.keys.order("sc-plan-1")) == 0


async def test_while_closes_are_under_way_finished_ones_wait_for_as_long_as_there_is_room(room: Room) -> None:
    """A burst and its archiving would share the log and the processors."""
    few = Keeping(closes=2, ms=0, segment=2)
    busy = [True]
    archiver = Archiver(
        room.archive_of(few), room.desk.keys.account, lambda: room.desk.lease, busy=lambda: busy[0]
    )
    for number in range(7):
        await room.closed(f"plan-{number}")
    assert await archiver.round(room.desk.lease) == 0
    await room.closed("plan-7")
    assert await archiver.round(room.desk.lease) == 2, "four times what is kept is the most that may wait"
    assert await archiver.round(room.desk.lease) == 0
    busy[0] = False
    assert await archiver.round(room.desk.lease) == 2
