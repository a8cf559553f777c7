"""Two chained stages under kills and lost replies: all that went in comes out once."""

import asyncio
import itertools
import os
import signal
import sys
from pathlib import Path

import pytest

from sureclose.streams import stage as stage_module
from sureclose.streams.connection import Log, LogSettings
from sureclose.streams.embedded import EmbeddedServer
from tests.streams import copying
from tests.streams.copying import Outcomes, came_out, chain, come_out
from tests.streams.lossy_proxy import Loss, LossyProxy
from tests.streams.raw import add_many

COUNT = 2000


async def test_a_kill_of_the_server_in_mid_stream_loses_nothing_and_doubles_nothing(tmp_path: Path) -> None:
    async with EmbeddedServer(tmp_path) as server, Log(LogSettings(url=server.url, block_ms=200)) as log:
        await add_many(log, "in", COUNT)
        outcomes, stop = Outcomes(), asyncio.Event()
        running = asyncio.create_task(chain(log, "", outcomes, stop))
        for part in (0.2, 0.5):
            await come_out(log, "", int(COUNT * part))
            assert server.pid is not None
            os.kill(server.pid, signal.SIGKILL)
            await server.died()
            await server.stop()
            await server.start()
        await come_out(log, "", COUNT)
        stop.set()
        await running
        assert await came_out(log, "") == list(range(COUNT))


async def test_a_kill_of_consumers_in_mid_stream_loses_nothing_and_doubles_nothing(
    log: Log, log_url: str, log_prefix: str
) -> None:
    async def child() -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            copying.__name__,
            log_url,
            log_prefix,
            cwd=Path(__file__).parents[2],
            stdout=asyncio.subprocess.DEVNULL,
        )

    children = [await child(), await child()]
    await add_many(log, f"{log_prefix}in", COUNT)
    for part in (0.1, 0.4, 0.7):
        await come_out(log, log_prefix, int(COUNT * part))
        killed = children.pop(0)
        killed.kill()
        await killed.wait()
        children.append(await child())
    await come_out(log, log_prefix, COUNT)
    for process in children:
        process.kill()
        await process.wait()
    assert sorted(await came_out(log, log_prefix)) == list(range(COUNT))


async def test_lost_replies_in_mid_stream_lose_nothing_and_double_nothing(
    log: Log, log_server: EmbeddedServer, log_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage_module, "CLAIM_EVERY_S", 0.1)
    losses = itertools.cycle(
        itertools.product((b"XREADGROUP", b"EVALSHA", b"XPENDING"), (Loss.CUT, Loss.SWALLOW))
    )
    parts = 12
    async with (
        LossyProxy(log_server.tcp_url) as proxy,
        Log(LogSettings(url=proxy.url, block_ms=50, socket_timeout_s=0.2)) as lossy,
    ):
        stop = asyncio.Event()
        running = asyncio.create_task(chain(lossy, log_prefix, Outcomes(), stop))
        try:
            for part, (request, loss) in zip(range(1, parts + 1), losses, strict=False):
                proxy.lose(request, loss=loss)
                await add_many(log, f"{log_prefix}in", COUNT // parts)
                await asyncio.wait_for(proxy.lost.wait(), 5)
                await come_out(log, log_prefix, part * (COUNT // parts))
        finally:
            stop.set()
            await running
    assert sorted(await came_out(log, log_prefix)) == sorted(list(range(COUNT // parts)) * parts)
