"""The outcome: record, announcements, acknowledgement and the release of the flight, all of it or nothing."""

import pytest
from redis.exceptions import ResponseError

from sureclose.domain.events import EntryRef
from sureclose.domain.facts import Ended, Sending
from sureclose.domain.outcome import OutcomeKind
from sureclose.journal.chain import Announcement, Chain
from sureclose.journal.lease import Lease
from sureclose.journal.verdict import Fenced, Verdict
from sureclose.streams.wire import pairs
from tests.journal.journals import GROUP, NOW, SYMBOL, Desk, ended, sending


class Approved:
    """An entry delivered to the group, a close of it under way, and the streams that hear of its end."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.source = f"{desk.prefix}apply.result"
        self.results = f"{desk.prefix}execution.result"
        self.chain = Chain("plan")
        self.entries: tuple[EntryRef, ...] = ()
        self.events = (
            Announcement(self.results, {"outcome": "FLAT"}),
            Announcement(self.source, {"executed": "True"}),
        )

    async def begin(self, entries: int = 1) -> "Approved":
        do = self.desk.do
        await do("XGROUP", "CREATE", self.source, GROUP, "0", "MKSTREAM")
        add = "local ids = {} for n = 1, ARGV[1] do ids[n] = redis.call('XADD', KEYS[1], '*', 'n', n) end return ids"
        ids = [id_.decode() for id_ in await do("EVAL", add, 1, self.source, entries)]
        await do("XREADGROUP", "GROUP", GROUP, "c", "COUNT", entries, "STREAMS", self.source, ">")
        self.entries = tuple(EntryRef(self.source, id_) for id_ in ids)
        self.chain = await self.desk.admit()
        assert await self.desk.gate(self.chain) is Verdict.OK
        return self

    async def pending(self) -> int:
        return int((await self.desk.do("XPENDING", self.source, GROUP))[0])

    async def told(self, stream: str) -> list[dict[bytes, bytes]]:
        return [pairs(fields) for _, fields in await self.desk.do("XRANGE", stream, "-", "+")]


@pytest.fixture
async def approved(desk: Desk) -> Approved:
    return await Approved(desk).begin()


async def test_everything_is_said_and_done_at_once(approved: Approved) -> None:
    desk = approved.desk
    await desk.publish(approved.chain, entries=approved.entries, events=approved.events)
    evidence = approved.chain.head.hash.encode()
    assert await approved.told(approved.results) == [{b"outcome": b"FLAT", b"evidence": evidence}]
    assert (await approved.told(approved.source))[-1] == {b"executed": b"True", b"evidence": evidence}
    assert await approved.pending() == 0
    assert await desk.do("EXISTS", desk.keys.flights(SYMBOL)) == 0
    assert await desk.journal.open_plans() == []
    assert await desk.journal.state("plan") == "DONE"
    loaded = await desk.journal.load("plan")
    assert loaded is not None
    assert isinstance(loaded.facts[-1], Ended)
    assert await desk.finished_at("plan") == NOW


@pytest.mark.parametrize("stale", ["lease", "head"])
async def test_a_stale_outcome_is_not_said_at_all(approved: Approved, stale: str) -> None:
    desk = approved.desk
    held = Lease("first", 99) if stale == "lease" else desk.lease
    chain = Chain("plan") if stale == "head" else approved.chain
    before = await desk.everything()
    with pytest.raises(Fenced):
        await desk.publish(chain, held=held, entries=approved.entries, events=approved.events)
    assert await desk.everything() == before


async def test_the_same_outcome_can_not_be_published_twice(approved: Approved) -> None:
    """The answer was lost: the process that asks again is told, and nobody hears of it twice."""
    again = Chain("plan", approved.chain.head)
    await approved.desk.publish(approved.chain, entries=approved.entries, events=approved.events)
    before = await approved.desk.everything()
    with pytest.raises(Fenced, match="STALE_HEAD"):
        await approved.desk.publish(again, entries=approved.entries, events=approved.events)
    assert await approved.desk.everything() == before


@pytest.mark.parametrize("place", ["results", "source"])
async def test_a_stream_of_the_wrong_type_is_found_before_the_first_write(
    approved: Approved, place: str
) -> None:
    desk = approved.desk
    name = {"results": approved.results, "source": approved.source}[place]
    await desk.do("DEL", name)
    await desk.do("RPUSH", name, "not a stream")
    before = await desk.everything()
    with pytest.raises(ResponseError, match="WRONGTYPE"):
        await desk.publish(approved.chain, entries=approved.entries, events=approved.events)
    assert await desk.everything() == before


@pytest.mark.parametrize("before", [0, 1_500])
async def test_an_entry_id_that_is_none_writes_nothing(desk: Desk, before: int) -> None:
    """I3: nothing is acknowledged without its outcome, however many entries there are."""
    approved = await Approved(desk).begin(before + 1)
    entries = (*approved.entries, EntryRef(approved.source, "no-id"))
    held = await desk.everything()
    with pytest.raises(ResponseError, match="Invalid stream ID"):
        await desk.publish(approved.chain, entries=entries, events=approved.events)
    assert await desk.everything() == held


async def test_an_empty_announcement_writes_nothing(approved: Approved) -> None:
    desk = approved.desk
    before = await desk.everything()
    with pytest.raises(ResponseError, match="not empty"):
        await desk.journal.publish(
            approved.chain,
            desk.lease,
            ended(),
            symbol=SYMBOL,
            group=GROUP,
            entries=approved.entries,
            announce=lambda _: [Announcement(approved.results, {})],
        )
    assert await desk.everything() == before


async def test_ten_thousand_deliveries_of_one_plan_are_acknowledged_with_its_outcome(desk: Desk) -> None:
    """More than Lua passes as arguments at once: a storm of repetitions must not make an outcome unpublishable."""
    approved = await Approved(desk).begin(10_000)
    assert await approved.pending() == 10_000
    await desk.publish(approved.chain, entries=approved.entries, events=approved.events)
    assert await approved.pending() == 0
    assert len(await approved.told(approved.results)) == 1


async def test_an_outcome_whose_group_is_gone_is_published_all_the_same(approved: Approved) -> None:
    await approved.desk.do("XGROUP", "DESTROY", approved.source, GROUP)
    await approved.desk.publish(approved.chain, entries=approved.entries, events=approved.events)
    assert await approved.desk.journal.state("plan") == "DONE"


async def test_facts_not_yet_written_go_in_before_the_outcome(approved: Approved) -> None:
    approved.chain.unwritten.append(sending(2))
    await approved.desk.publish(approved.chain, ended(OutcomeKind.PARKED), entries=approved.entries)
    loaded = await approved.desk.journal.load("plan")
    assert loaded is not None
    assert [type(fact) for fact in loaded.facts[-2:]] == [Sending, Ended]
    assert loaded.state == "PARKED"
    assert await approved.desk.journal.parked_plans() == ["plan"]
    assert await approved.desk.journal.open_plans() == []
