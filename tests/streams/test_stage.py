"""The stage runner: each entry ends once, and none blocks the others."""

import asyncio
from collections.abc import AsyncIterator, Callable
from urllib.parse import urlsplit

import pytest
import redis
from redis.exceptions import RedisError
from structlog.testing import capture_logs

from sureclose.streams import slots
from sureclose.streams import stage as stage_module
from sureclose.streams.clock import Moment
from sureclose.streams.connection import Log, LogSettings
from sureclose.streams.deadletter import original_of
from sureclose.streams.embedded import EmbeddedServer
from sureclose.streams.entry import Entry
from sureclose.streams.fields import Unreadable
from sureclose.streams.groups import ensure_group
from sureclose.streams.publish import Event, acknowledge
from sureclose.streams.slots import slot_key
from sureclose.streams.stage import Kind
from sureclose.streams.verdict import Dead, Drop, Emit, Keep, StageVerdict
from tests.streams.copying import GROUP, Outcomes, pending, running, stage
from tests.streams.raw import add, add_many, contents, deliver, raw


@pytest.fixture
async def quick(log_url: str) -> AsyncIterator[Log]:
    """A log whose reads block so briefly that stopping takes no time."""
    async with Log(LogSettings(url=log_url, block_ms=50)) as log:
        yield log


@pytest.fixture
def outcomes() -> Outcomes:
    return Outcomes()


def by_n(verdicts: dict[bytes, Callable[[Entry], StageVerdict]]) -> Callable[[Entry, Moment], StageVerdict]:
    return lambda entry, at: verdicts[entry.fields[b"n"]](entry)


def emit(prefix: str) -> Callable[[Entry, Moment], StageVerdict]:
    return lambda entry, at: Emit((Event(f"{prefix}out", entry.fields),), "copied")


async def test_each_verdict_ends_its_entry_and_is_counted_with_its_reason(
    quick: Log, log_prefix: str, outcomes: Outcomes
) -> None:
    for n in ("emit", "twice", "drop", "dead"):
        await add(quick, f"{log_prefix}in", {"n": n})
    out = Event(f"{log_prefix}out", {b"made": b"1"})
    decide = by_n(
        {
            b"emit": lambda entry: Emit((out,), "made"),
            b"twice": lambda entry: Emit((out, out), "made"),
            b"drop": lambda entry: Drop("not_a_close"),
            b"dead": lambda entry: Dead(Unreadable("nonsense", "write sense"), "unreadable"),
        }
    )
    async with running(stage(quick, log_prefix, outcomes, decide)):
        await outcomes.reach(4)
    assert outcomes == {
        ("from in", Kind.EMITTED, "made"): 2,
        ("from in", Kind.DROPPED, "not_a_close"): 1,
        ("from in", Kind.DEAD, "unreadable"): 1,
    }
    assert len(await contents(quick, f"{log_prefix}out")) == 3
    (letter,) = await contents(quick, f"{log_prefix}dead")
    assert (letter[b"reason"], letter[b"remedy"]) == (b"nonsense", b"write sense")
    assert original_of(letter[b"entry"].decode()) == ((b"n", b"dead"),)
    assert await pending(quick, log_prefix) == 0


async def test_a_refusal_is_told_with_the_acknowledgement_and_counted_as_dropped(
    quick: Log, log_prefix: str, outcomes: Outcomes
) -> None:
    told = Event(f"{log_prefix}refused", {b"reason": b"other_mode"})
    await add_many(quick, f"{log_prefix}in", 3)
    async with running(stage(quick, log_prefix, outcomes, lambda entry, at: Drop("other_mode", (told,)))):
        await outcomes.reach(3)
    assert outcomes == {("from in", Kind.DROPPED, "other_mode"): 3}
    assert len(await contents(quick, f"{log_prefix}refused")) == 3
    assert await pending(quick, log_prefix) == 0


async def test_a_batch_of_which_nothing_comes_is_acknowledged_and_counted(
    quick: Log, log_prefix: str, outcomes: Outcomes
) -> None:
    await add_many(quick, f"{log_prefix}in", 120)
    async with running(stage(quick, log_prefix, outcomes, lambda entry, at: Drop("stale"))):
        await outcomes.reach(120)
    assert outcomes == {("from in", Kind.DROPPED, "stale"): 120}
    assert await pending(quick, log_prefix) == 0


async def test_a_kept_entry_is_neither_acknowledged_nor_handed_out_again_while_it_is_held(
    quick: Log, log_prefix: str, outcomes: Outcomes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the close engine does it: taken, held in flight, acknowledged by its own script."""
    monkeypatch.setattr(stage_module, "CLAIM_EVERY_S", 0.05)
    held: set[str] = set()

    def decide(entry: Entry, at: Moment) -> StageVerdict:
        held.add(entry.ref.entry_id)
        return Keep("close")

    keeper = stage(
        quick,
        log_prefix,
        outcomes,
        decide,
        in_flight=lambda: held,
        free=lambda: 2 - len(held),
        claim_idle_ms=0,
    )
    added = await add_many(quick, f"{log_prefix}in", 3)
    async with running(keeper):
        await outcomes.reach(2)
        assert keeper.health().in_flight == 2
        assert held == set(added[:2])
        await acknowledge(quick.commands(), f"{log_prefix}in", GROUP, added[:1])
        held.discard(added[0])
        keeper.freed()
        await outcomes.reach(3)
        held.discard(added[1])  # let go without an end: it is found again
        keeper.freed()
        await outcomes.reach(4)
    assert held == set(added[1:])
    assert outcomes == {("from in", Kind.KEPT, "close"): 4}
    assert await pending(quick, log_prefix) == 2


async def test_incident_06_entries_of_a_dead_consumer_are_taken_over(
    quick: Log, log_prefix: str, outcomes: Outcomes
) -> None:
    name = f"{log_prefix}in"
    await ensure_group(quick.commands(), name, GROUP)
    await add_many(quick, name, 1200)
    await deliver(quick, name, GROUP, "worker-31337", 1200)
    async with running(stage(quick, log_prefix, outcomes, emit(log_prefix), claim_idle_ms=0)):
        await outcomes.reach(1200)
    assert [int(fields[b"n"]) for fields in await contents(quick, f"{log_prefix}out")] == list(range(1200))
    assert await pending(quick, log_prefix) == 0


@pytest.mark.parametrize("drops", [True, False])
async def test_an_entry_finished_by_another_is_counted_as_lost_and_not_published(
    quick: Log, log_url: str, log_prefix: str, outcomes: Outcomes, drops: bool
) -> None:
    parts = urlsplit(log_url)

    def decide(entry: Entry, at: Moment) -> StageVerdict:
        """Somebody else finishes the entry while we decide."""
        with redis.Redis(unix_socket_path=parts.path, password=parts.password) as other:
            assert other.xack(f"{log_prefix}in", GROUP, entry.ref.entry_id) == 1
        return Drop("stale") if drops else Emit((Event(f"{log_prefix}out", entry.fields),), "copied")

    await add(quick, f"{log_prefix}in", {"n": "1"})
    async with running(stage(quick, log_prefix, outcomes, decide)):
        await outcomes.reach(1)
    assert outcomes == {("from in", Kind.LOST, "finished_elsewhere"): 1}
    assert await contents(quick, f"{log_prefix}out") == []


async def test_a_write_that_fails_is_tried_again_and_shows_in_the_health(
    quick: Log, log_prefix: str, outcomes: Outcomes
) -> None:
    """The target is no stream at first: nothing is written, nothing lost, and once it is mended all comes out."""
    await raw(quick, "SET", f"{log_prefix}out", "text")
    await add_many(quick, f"{log_prefix}in", 3)
    copier = stage(quick, log_prefix, outcomes, emit(log_prefix))
    with capture_logs() as logs:
        async with running(copier):
            async with asyncio.timeout(5):
                while copier.health().failing_since is None:
                    await asyncio.sleep(0.01)
            assert await pending(quick, log_prefix) == 3
            await raw(quick, "DEL", f"{log_prefix}out")
            await outcomes.reach(3)
    assert [entry["event"] for entry in logs if entry["log_level"] == "error"] == ["log.failing"]
    assert [fields[b"n"] for fields in await contents(quick, f"{log_prefix}out")] == [b"0", b"1", b"2"]


async def test_a_stage_that_loses_its_name_takes_another_and_loses_nothing(
    quick: Log, log_prefix: str, outcomes: Outcomes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slots, "RENEW_EVERY_S", 0.01)
    copier = stage(quick, log_prefix, outcomes, emit(log_prefix))
    async with running(copier):
        await add(quick, f"{log_prefix}in", {"n": "1"})
        await outcomes.reach(1)
        assert copier.health().consumer == "copier-1"
        await quick.commands().set(slot_key(log_prefix, GROUP, 1), "another", px=60_000)
        async with asyncio.timeout(5):
            while copier.health().consumer != "copier-2":
                await asyncio.sleep(0.01)
        await add(quick, f"{log_prefix}in", {"n": "2"})
        await outcomes.reach(2)
    assert len(await contents(quick, f"{log_prefix}out")) == 2
    assert await quick.commands().get(slot_key(log_prefix, GROUP, 2)) is None


async def test_health_tells_reads_and_failures(quick: Log, log_prefix: str, outcomes: Outcomes) -> None:
    copier = stage(quick, log_prefix, outcomes, emit(log_prefix))
    before = copier.health()
    assert (before.consumer, before.last_read_at, before.first_entry_at) == (None, None, None)
    async with running(copier):
        await add(quick, f"{log_prefix}in", {"n": "1"})
        await outcomes.reach(1)
        during = copier.health()
    assert during.last_read_at is not None
    assert during.first_entry_at is not None
    assert (during.failing_since, during.in_flight) == (None, 0)


async def test_a_log_that_is_not_there_at_the_start_is_waited_for(
    tmp_path_factory: pytest.TempPathFactory, outcomes: Outcomes
) -> None:
    server = EmbeddedServer(tmp_path_factory.mktemp("own"))
    await server.start()
    async with Log(LogSettings(url=server.url, block_ms=50)) as log:
        await server.stop()
        copier = stage(log, "", outcomes, emit(""))
        async with running(copier):
            async with asyncio.timeout(5):
                while copier.health().failing_since is None:
                    await asyncio.sleep(0.01)
            await server.start()
            with pytest.raises(RedisError):
                await raw(log, "NONSENSE")
            await add(log, "in", {"n": "1"})
            await outcomes.reach(1)
            assert copier.health().failing_since is None
        await server.stop()
