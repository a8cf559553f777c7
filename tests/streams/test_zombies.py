"""Dead consumers: their entries are taken over first, then their names go; nobody who holds or reads is touched."""

import asyncio

from structlog.testing import capture_logs

from sureclose.streams.connection import Log
from sureclose.streams.groups import ensure_group, group_info
from sureclose.streams.slots import Slot, slot_keys
from sureclose.streams.verdict import Drop
from sureclose.streams.zombies import reap
from tests.streams.copying import GROUP, Outcomes, running, stage
from tests.streams.raw import add_many, deliver, raw


async def consumers(log: Log, stream: str, group: str) -> dict[str, int]:
    """Their names, and what each holds."""
    info = await group_info(log.commands(), stream, group)
    assert info is not None
    return {consumer.name: consumer.pending for consumer in info.consumers}


async def test_incident_06_thirty_four_dead_consumers_are_emptied_and_then_taken_out(
    log: Log, log_prefix: str
) -> None:
    """Named by process id, as older producers did; some hold entries that nobody else would ever read."""
    stream = f"{log_prefix}in"
    await ensure_group(log.commands(), stream, GROUP)
    stranded = await add_many(log, stream, 6)
    for number in range(34):
        name = f"execution-host-{4000 + number}"
        if number < 3:
            await deliver(log, stream, GROUP, name, 2)
        else:
            await raw(log, "XGROUP", "CREATECONSUMER", stream, GROUP, name)
    assert len(await consumers(log, stream, GROUP)) == 34
    await asyncio.sleep(0.05)
    outcomes, seen = Outcomes(), []

    def decide(entry: object, at: object) -> Drop:
        seen.append(str(entry.ref.entry_id))  # type: ignore[attr-defined]
        return Drop("seen")

    with capture_logs() as logs:
        async with running(stage(log, log_prefix, outcomes, decide, claim_idle_ms=0, reap_idle_ms=50)):
            await outcomes.reach(6)

            async def only_us() -> None:
                while await consumers(log, stream, GROUP) != {"copier-1": 0}:
                    await asyncio.sleep(0.02)

            await asyncio.wait_for(only_us(), 10)
    assert sorted(seen) == sorted(stranded)
    (said,) = [line for line in logs if line["event"] == "stage.zombies_reaped"]
    assert len(said["consumers"]) == 34


async def test_a_consumer_that_holds_an_entry_is_never_taken_out(log: Log, log_prefix: str) -> None:
    stream = f"{log_prefix}s"
    await ensure_group(log.commands(), stream, "g")
    await add_many(log, stream, 1)
    await deliver(log, stream, "g", "holder")
    await raw(log, "XGROUP", "CREATECONSUMER", stream, "g", "empty")
    await asyncio.sleep(0.02)
    assert await reap(log.commands(), stream, "g", {}, idle_ms=1) == ["empty"]
    assert await consumers(log, stream, "g") == {"holder": 1}


async def test_a_name_that_is_leased_or_was_heard_of_lately_stays(log: Log, log_prefix: str) -> None:
    stream, slots = f"{log_prefix}s", slot_keys(log_prefix, "g", "execution")
    await ensure_group(log.commands(), stream, "g")
    for name in ("execution-1", "execution-2", "stranger"):
        await raw(log, "XGROUP", "CREATECONSUMER", stream, "g", name)
    slot = await Slot.take(
        log.commands(),
        prefix=log_prefix,
        group="g",
        role="execution",
        monotonic=asyncio.get_running_loop().time,
    )
    assert slot.name == "execution-1"
    await asyncio.sleep(0.02)
    assert await reap(log.commands(), stream, "g", slots, idle_ms=60_000) == []
    assert sorted(await reap(log.commands(), stream, "g", slots, idle_ms=1)) == ["execution-2", "stranger"]
    assert await consumers(log, stream, "g") == {"execution-1": 0}


async def test_where_there_is_no_stream_nobody_is_taken_out(log: Log, log_prefix: str) -> None:
    assert await reap(log.commands(), f"{log_prefix}none", "g", {}, idle_ms=1) == []
