"""The log breaks in every way that loses nothing acknowledged: the executor says so, bears it, and goes on by itself.

Judged by the exchange: each close has one effective order, however often it was interrupted.
"""

import asyncio
import signal
import statistics
import time
from typing import Final

import aiohttp
import pytest

from tests.acceptance.world import eventually
from tests.outages.site import GROUP, STREAM, Close, Site

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(180)]

MID_SEND_MS: Final = 400
"""How late the order in flight is answered while the log breaks: time enough to break it."""


async def _under_way(site: Site) -> Close:
    """A close whose order is at the exchange, unanswered."""
    site.mark()
    close = await site.ask(delayed_ms=MID_SEND_MS)
    await site.sent(close)
    return close


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
async def test_a_log_that_restarts_in_mid_close_costs_time_and_nothing_else(
    site: Site, how: signal.Signals
) -> None:
    close = await _under_way(site)
    site.server.signal(how)

    async def ended() -> bool | None:
        return site.server.ended() is not None or None

    await eventually("the log has ended", ended)
    await site.says("log.failing")
    await site.unwell()
    await site.restart()
    await site.says("log.recovered")
    await site.flat(close)
    await site.well()


async def test_a_log_that_loads_is_waited_for(site: Site) -> None:
    """The server answers LOADING to everything for a while, as with a large file after a restart."""
    close = await _under_way(site)
    await site.operate("EVAL", "for n = 1, 4000 do redis.call('SET', 'ballast:' .. n, 'x') end", 0)
    site.server.kill()
    await site.restart(key_load_delay="500")
    await site.says("kind=BusyLoadingError")
    await site.flat(close)
    await site.well()
    await site.operate("EVAL", "for n = 1, 4000 do redis.call('DEL', 'ballast:' .. n) end", 0)


async def test_a_log_that_stands_still_is_borne(site: Site) -> None:
    """A disk that takes its time, a paused machine: no answer for longer than any timeout."""
    close = await _under_way(site)
    site.server.signal(signal.SIGSTOP)
    await site.says("log.refuses_writes", "can be reached")
    await site.unwell()
    site.server.signal(signal.SIGCONT)
    await site.says("log.takes_writes")
    await site.flat(close)
    await site.well()


async def test_a_log_that_a_script_holds_up_is_borne(site: Site) -> None:
    site.server.configure(busy_reply_threshold="50")
    close = await _under_way(site)
    loop = (
        "local t = redis.call('TIME'); local stop = t[1] * 1000 + t[2] / 1000 + 3500 "
        "repeat t = redis.call('TIME') until t[1] * 1000 + t[2] / 1000 > stop return 1"
    )
    holding = asyncio.create_task(site.operate("EVAL", loop, 0))
    await site.says("log.refuses_writes", "kind=BUSY", "SCRIPT KILL")
    assert "BUSY" in await site.unwell()
    assert await holding == 1
    await site.flat(close)
    await site.well()


async def test_without_memory_nothing_is_sent_or_acknowledged_and_with_memory_all_goes_on(
    site: Site,
) -> None:
    under_way = await _under_way(site)
    site.run.signal(signal.SIGSTOP)
    waiting = await site.ask()
    used = int((await site.operate("INFO", "memory"))["used_memory"])
    site.server.configure(maxmemory=str(used // 2))
    site.run.signal(signal.SIGCONT)
    await site.says("log.refuses_writes", "kind=OOM", "raise maxmemory")
    await site.unwell()

    async def read() -> bool | None:
        return await site.pending(waiting.entry_id) or None

    await eventually("the decision was read", read)
    await asyncio.sleep(1.0)
    books = await site.world.exchange.records()
    assert books.placements(waiting.held.symbol) == []
    assert await site.pending(waiting.entry_id), "it must not be acknowledged"
    site.server.configure(maxmemory="0")
    await site.says("log.takes_writes")
    await site.flat(under_way, waiting)
    await site.well()


async def test_a_log_that_becomes_a_replica_stops_everything_until_it_is_master_again(site: Site) -> None:
    """Its master is nowhere, so what is there stays there; only writes are refused."""
    close = await _under_way(site)
    await site.operate("REPLICAOF", "127.0.0.1", "1")
    await site.says("log.refuses_writes", "kind=READONLY", "promote it")
    await site.unwell()
    await site.operate("REPLICAOF", "NO", "ONE")
    await site.says("log.takes_writes")
    await site.flat(close)
    await site.well()


async def test_a_connection_that_swallows_both_ways_is_given_up_and_made_anew(site: Site) -> None:
    """Nobody closes anything: only a timeout can tell."""
    close = await _under_way(site)
    site.wall.up = True
    await site.says("log.refuses_writes", "can be reached")
    await site.unwell()
    held_up = await site.ask()
    site.wall.up = False
    await site.says("log.takes_writes")
    await site.flat(close, held_up)
    await site.well()


async def test_a_disk_that_is_full_ends_the_server_and_loses_nothing(site: Site) -> None:
    """With appendfsync always a server that can't write its file exits rather than answer; then it is started again."""
    close = await _under_way(site)
    await site.operate("SET", "ballast", "x")
    site.server.fill_disk()
    await eventually("the server gives up", lambda: _gone(site))
    await site.unwell()
    await site.restart()
    await site.flat(close)
    await site.well()


async def _gone(site: Site) -> bool | None:
    """It ends at its next write, which the executor's own probe is as well."""
    return site.server.ended() is not None or None


async def test_a_group_that_is_destroyed_is_made_again_where_nothing_is_lost(site: Site) -> None:
    close = await _under_way(site)
    await site.blocked(3)
    await site.operate("XGROUP", "DESTROY", site.stream, GROUP)
    await site.says("log.group_recreated", "start=0")
    later = await site.ask()
    await site.flat(close, later)
    await site.well()


async def test_a_stream_that_is_deleted_is_read_anew_from_its_beginning(site: Site) -> None:
    close = await _under_way(site)
    await site.blocked(3)
    await site.operate("DEL", site.stream)
    later = await site.ask()
    await site.says("log.group_recreated", "start=0")
    await site.flat(close, later)
    await site.well()


async def test_what_was_trimmed_is_said_both_what_was_delivered_and_what_was_not(site: Site) -> None:
    """Nobody read for a while: one entry was given to a process that died, five to nobody; then a producer trimmed."""
    await site.world.log.consumed_all()
    site.run.kill()
    await site.blocked(0)
    closes = [await site.ask() for _ in range(6)]
    await site.world.log.lose(STREAM, GROUP, closes[0].entry_id)
    await site.operate("XTRIM", site.stream, "MAXLEN", "=", 2)
    site.run = site.world.run()
    site.mark()
    site.address = await site.world.up(site.run)
    said = await site.says("log.entries_lost", "lost=3", "readable=2", "last_delivered=")
    assert "trim by MINID" in said

    async def letter() -> dict[str, str] | None:
        found = await site.world.log.entries("dead.letter")
        return next((fields for _, fields in found if fields["id"] == closes[0].entry_id), None)

    told = await eventually("a dead letter of the lost payload", letter)
    assert told["reason"] == "payload_lost"
    assert "trim by MINID" in told["remedy"]
    await site.flat(*closes[4:])
    for close in closes[:4]:
        await site.world.exchange.untouched(close.held)
    found = {check["name"]: check for check in (await site.health())["checks"]}["reads.execution"]
    assert found["status"] == "warn"
    assert "3 entries were trimmed before they were read" in found["detail"]
    await site.well()


async def test_incident_86_a_log_that_stands_still_starves_nobody(site: Site) -> None:
    """No call blocks the process: it answers at once, while every command to the log hangs."""
    site.mark()
    site.server.signal(signal.SIGSTOP)
    took = []
    async with aiohttp.ClientSession() as client:
        for _ in range(21):
            began = time.monotonic()
            async with client.get(f"{site.address}/ping") as answer:
                assert await answer.text() == "pong"
            took.append(time.monotonic() - began)
            await asyncio.sleep(0.05)
    site.server.signal(signal.SIGCONT)
    assert statistics.median(took) < 0.5, took
    await site.well()
