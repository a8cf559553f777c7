"""What is trimmed before anybody reads it is counted once, and said each time there is more."""

from structlog.testing import capture_logs

from sureclose.streams.connection import Log
from sureclose.streams.groups import ensure_group, group_info, stream_info
from sureclose.streams.losses import Losses
from tests.streams.raw import add_many, deliver


async def look(log: Log, stream: str, losses: Losses) -> None:
    info, group = (
        await stream_info(log.commands(), stream),
        await group_info(log.commands(), stream, "g"),
    )
    assert info is not None
    assert group is not None
    losses.look(info, group)


async def test_a_gap_is_counted_once_however_often_it_is_looked_at_and_more_is_added(
    log: Log, log_prefix: str
) -> None:
    stream, losses = f"{log_prefix}s", Losses()
    await ensure_group(log.commands(), stream, "g")
    await add_many(log, stream, 20)
    await deliver(log, stream, "g", "c", 5)
    counts = []
    with capture_logs() as logs:
        for maxlen in (15, 10, 10, 4):
            await log.commands().xtrim(stream, maxlen=maxlen, approximate=False)
            await look(log, stream, losses)
            counts.append(losses.count)
    assert counts == [0, 5, 5, 11]
    assert [(line["lost"], line["readable"]) for line in logs] == [(5, 10), (6, 4)]


async def test_a_group_that_reads_on_behind_a_gap_has_lost_nothing_more(log: Log, log_prefix: str) -> None:
    stream, losses = f"{log_prefix}s", Losses()
    await ensure_group(log.commands(), stream, "g")
    await add_many(log, stream, 20)
    await log.commands().xtrim(stream, maxlen=12, approximate=False)
    await look(log, stream, losses)
    await deliver(log, stream, "g", "c", 4)
    await look(log, stream, losses)
    await deliver(log, stream, "g", "c")
    await look(log, stream, losses)
    assert losses.count == 8
