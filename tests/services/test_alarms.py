"""An alarm is told once and cleared once, whatever restarts, whoever else runs, and whether the log answers or not."""

import asyncio
import time
from contextlib import AsyncExitStack
from typing import Any

import pytest
from redis.exceptions import ConnectionError as LogGone
from structlog.testing import capture_logs

from sureclose.services.alarms.alarm import AlarmKey, AlarmKind, AlarmLevel
from sureclose.services.alarms.board import ADOPT_MS
from sureclose.services.alarms.courier import CLEARING_S, Courier
from sureclose.streams.connection import Log
from tests.services.alarming import Told, World, alarm, running, until
from tests.services.living import Clock

PARKED = AlarmKind.PARKED


@pytest.fixture
def world(log: Log, log_prefix: str) -> World:
    return World(log.commands(), log_prefix)


class Flaky:
    """A wire to the log that can be cut, before the command or between it and its reply."""

    def __init__(self, wire: Any) -> None:
        self._wire = wire
        self.cut = False
        self.replies_lost = False

    async def execute_command(self, *args: Any) -> Any:
        if self.cut:
            raise LogGone("the log is gone")
        reply = await self._wire.execute_command(*args)
        if self.replies_lost:
            raise LogGone("the reply is lost")
        return reply


async def test_an_alarm_says_what_is_so_and_what_to_do(world: World) -> None:
    sink = Told()
    alarms = world.alarms("one", sink)
    async with running(alarms):
        alarms.raise_(PARKED, "p1", "it waits", "resolve it", symbol="BTCUSDT", count=3)
        await sink.count(1)
        world.now += 1_500
        alarms.clear(PARKED, "p1")
        await sink.count(2)
    raised = {
        "alarm": "PARKED",
        "subject": "p1",
        "level": "critical",
        "state": "raised",
        "what": "it waits",
        "remedy": "resolve it",
        "since": "2023-11-14T22:13:20.000Z",
        "at": "2023-11-14T22:13:20.000Z",
        "account": "paper:main",
        "mode": "paper",
        "worker": "one",
        "facts": {"symbol": "BTCUSDT", "count": "3"},
    }
    assert sink.alarms == [raised, raised | {"state": "cleared", "at": "2023-11-14T22:13:21.500Z"}]


async def test_what_is_raised_again_while_it_stands_is_told_once_and_cleared_with_the_newest_facts(
    world: World,
) -> None:
    sink = Told()
    alarms = world.alarms("one", sink)
    async with running(alarms):
        for count in range(100):
            alarms.raise_(PARKED, "p1", "it waits", "resolve it", count=count)
        await sink.count(1)
        alarms.raise_(PARKED, "p1", "it waits", "resolve it", count=100)
        await until(lambda: alarms._synced)
        alarms.clear(PARKED, "p1")
        alarms.clear(PARKED, "p1")
        await sink.count(2)
    assert [alarm["facts"]["count"] for alarm in sink.alarms] == ["0", "100"]
    assert await world.kept() == {}


async def test_a_restart_between_raising_and_clearing_tells_each_once(world: World) -> None:
    sink = Told()
    before = world.alarms("before", sink)
    async with running(before):
        before.raise_(PARKED, "p1", "it waits", "resolve it")
        await sink.count(1)
    world.now += 60_000
    after = world.alarms("after", sink)
    async with running(after):
        after.raise_(PARKED, "p1", "it waits", "resolve it")  # it is still so
        await until(lambda: after._synced)
        assert sink.said == [("PARKED", "p1", "raised")]
        after.clear(PARKED, "p1")
        await sink.count(2)
    assert sink.said == [("PARKED", "p1", "raised"), ("PARKED", "p1", "cleared")]
    assert sink.alarms[1]["since"] == sink.alarms[0]["since"], "it has stood since before the restart"
    assert sink.alarms[1]["worker"] == "after"


async def test_what_is_cleared_before_the_log_was_read_is_cleared_all_the_same(world: World) -> None:
    sink = Told()
    before = world.alarms("before", sink)
    async with running(before):
        before.raise_(PARKED, "p1", "it waits", "resolve it")
        await sink.count(1)
    after = world.alarms("after", sink)
    after.clear(PARKED, "p1")
    async with running(after):
        await sink.count(2)
    assert sink.said[1] == ("PARKED", "p1", "cleared")


async def test_of_several_processes_that_see_the_same_one_tells(world: World) -> None:
    sink = Told()
    several = [world.alarms(f"worker-{number}", sink) for number in range(5)]
    for alarms in several:
        alarms.raise_(PARKED, "p1", "it waits", "resolve it")
    async with AsyncExitStack() as stack:
        for alarms in several:
            await stack.enter_async_context(running(alarms))
        await sink.count(1)
        await until(lambda: all(alarms._synced and not alarms._changes for alarms in several))
        for alarms in several:
            alarms.clear(PARKED, "p1")
        await sink.count(2)
        await until(lambda: not any(alarms._changes for alarms in several))
    assert sink.said == [("PARKED", "p1", "raised"), ("PARKED", "p1", "cleared")]


async def test_every_process_knows_what_stands_and_what_another_has_cleared(world: World) -> None:
    one, other = world.alarms("one"), world.alarms("other")
    async with running(one), running(other):
        assert other.counts() is None, "nothing is known before the log was read"
        one.raise_(AlarmKind.FLAG, "BTCUSDT", "no flag", "report it")
        await until(lambda: AlarmKey(AlarmKind.FLAG, "BTCUSDT") in other.standing)
        assert (other.counts() or {})["FLAG"] == 1
        assert (other.counts() or {})["PARKED"] == 0
        other.clear(AlarmKind.FLAG, "BTCUSDT")
        await until(lambda: not one.standing)


async def test_without_a_log_an_alarm_is_told_and_kept_when_it_is_back(world: World) -> None:
    sink, wire = Told(), Flaky(world.wire)
    wire.cut = True
    alarms = world.alarms("one", sink, wire=wire)
    with capture_logs() as logs:
        async with running(alarms):
            alarms.raise_(PARKED, "p1", "it waits", "resolve it")
            alarms.raise_(PARKED, "p2", "it waits", "resolve it")
            await sink.count(2)
            alarms.clear(PARKED, "p2")
            await sink.count(3)
            wire.cut = False
            alarms._away_until = 0.001  # as if the wait were over
            await until(lambda: alarms._synced)
            assert set(await world.kept()) == {"PARKED:p1"}
            alarms.clear(PARKED, "p1")
            await sink.count(4)
    assert sink.said[-2:] == [("PARKED", "p2", "cleared"), ("PARKED", "p1", "cleared")]
    assert await world.kept() == {}
    assert [line["event"] for line in logs].count("alarms_not_kept") == 1, "an outage is one line"


@pytest.mark.parametrize("clears", [False, True])
async def test_a_reply_of_the_log_that_is_lost_neither_loses_nor_doubles_an_alarm(
    world: World, clears: bool
) -> None:
    sink, wire = Told(), Flaky(world.wire)
    alarms = world.alarms("one", sink, wire=wire)
    async with running(alarms):
        if clears:
            alarms.raise_(PARKED, "p1", "it waits", "resolve it")
            await sink.count(1)
            await until(lambda: not alarms._receipts)
        wire.replies_lost = True
        if clears:
            alarms.clear(PARKED, "p1")
        else:
            alarms.raise_(PARKED, "p1", "it waits", "resolve it")
        await sink.count(2 if clears else 1)
        wire.replies_lost = False
        alarms._away_until = 0.001
        await until(lambda: alarms._synced and not alarms._unkept)
    assert len(sink.said) == (2 if clears else 1)
    assert set(await world.kept()) == (set() if clears else {"PARKED:p1"})


async def test_an_alarm_that_comes_back_while_the_log_is_away_is_told_again(world: World) -> None:
    sink, wire = Told(), Flaky(world.wire)
    alarms = world.alarms("one", sink, wire=wire)
    async with running(alarms):
        alarms.raise_(PARKED, "p1", "it waits", "resolve it")
        await sink.count(1)
        wire.cut = True
        alarms.clear(PARKED, "p1")
        await sink.count(2)
        wire.cut = False
        alarms._away_until = 0.001
        alarms.raise_(PARKED, "p1", "it waits again", "resolve it")
        await sink.count(3)
        await until(lambda: not alarms._unkept)
    assert [state for _, _, state in sink.said] == ["raised", "cleared", "raised"]
    assert set(await world.kept()) == {"PARKED:p1"}


async def test_a_sink_that_refuses_is_told_when_it_no_longer_does_and_delays_no_other(world: World) -> None:
    down, up = Told("down"), Told("up")
    down.refuses = "HTTP 503"
    alarms = world.alarms("one", down, up)
    async with running(alarms):
        alarms.raise_(PARKED, "p1", "it waits", "resolve it")
        await up.count(1)
        await down.until(lambda sink: sink.tries >= 4)
        assert (await world.kept())["PARKED:p1"]["owed"] == ["down"]
        down.refuses = ""
        await down.count(1)
        await until(lambda: not alarms._receipts)
    assert (await world.kept())["PARKED:p1"]["owed"] == []
    assert down.said == up.said == [("PARKED", "p1", "raised")]


async def test_an_alarm_that_came_and_went_while_a_sink_was_down_is_told_in_order(world: World) -> None:
    sink = Told()
    sink.refuses = "HTTP 503"
    alarms = world.alarms("one", sink)
    async with running(alarms):
        for _ in range(4):
            alarms.raise_(AlarmKind.BLIND, "venue", "blind", "look")
            alarms.clear(AlarmKind.BLIND, "venue")
        await sink.until(lambda sink: sink.tries >= 3)
        await until(lambda: not alarms._changes)
        sink.refuses = ""
        await sink.count(2)
        await until(lambda: not len(alarms._couriers[0]))
    assert sink.said == [("BLIND", "venue", "raised"), ("BLIND", "venue", "cleared")]


async def test_what_is_new_does_not_wait_behind_what_a_sink_refuses(world: World) -> None:
    sink = Told()
    sink.refuses = "HTTP 400"
    alarms = world.alarms("one", sink, first_pause_s=60.0)
    async with running(alarms):
        for number in range(20):
            alarms.raise_(AlarmKind.REFUSED, f"S{number}", "refused", "look")
        await sink.until(lambda sink: sink.tries >= 20)
        sink.refuses = ""
        alarms.raise_(PARKED, "p1", "it waits", "resolve it")
        assert await sink.count(1) == [("PARKED", "p1", "raised")]


async def test_what_was_never_tried_and_is_critical_goes_first(world: World) -> None:
    sink = Told()
    sink.refuses = "HTTP 400"
    courier = Courier(sink, lambda *_: None, time.monotonic, first_pause_s=0.001)
    said = [
        (kind, subject)
        for kind in (AlarmKind.REFUSED, AlarmKind.FLAG, PARKED, AlarmKind.BLIND)
        for subject in ("a", "b")
    ]
    bringing = asyncio.create_task(courier.run())
    courier.put(alarm(AlarmKind.REFUSED, "tried"))
    await sink.until(lambda sink: sink.tries >= 2)
    sink.refuses = ""
    for kind, subject in said:
        courier.put(alarm(kind, subject))
    await sink.count(9)
    bringing.cancel()
    kinds = [kind for kind, _, _ in sink.said]
    tried = sink.said.index(("REFUSED", "tried", "raised"))
    assert tried in {0, 8}, "it was under way, or comes last"
    del kinds[tried]
    assert kinds == ["PARKED", "PARKED", "BLIND", "BLIND", "REFUSED", "REFUSED", "FLAG", "FLAG"]


async def test_an_end_that_nobody_would_hear_of_is_given_up_after_an_hour() -> None:
    sink, clock = Told(), Clock()
    sink.refuses = "HTTP 404"
    courier = Courier(sink, lambda *_: None, clock, first_pause_s=0.001)
    bringing = asyncio.create_task(courier.run())
    courier.put(alarm(PARKED, "p1"))
    courier.put(alarm(PARKED, "p1").over("2023-11-14T23:00:00.000Z", "one"))
    await sink.until(lambda sink: sink.tries >= 1)
    assert len(courier) == 1
    with capture_logs() as logs:
        clock.now += CLEARING_S + 1
        await until(lambda: not len(courier))
    bringing.cancel()
    assert logs[-1]["event"] == "alarm_never_told"


async def test_what_a_dead_process_could_not_tell_the_next_one_tells(world: World) -> None:
    sink = Told()
    sink.refuses = "HTTP 503"
    dead = world.alarms("dead", sink, first_pause_s=60.0)
    async with running(dead):
        dead.raise_(PARKED, "p1", "it waits", "resolve it")
        await sink.until(lambda sink: sink.tries >= 1)
    sink.refuses = ""
    idle, after = world.alarms("idle", sink, leads=False), world.alarms("after", sink)
    async with running(idle), running(after):
        await until(lambda: idle._synced and after._synced)
        assert sink.said == [], "the one that raised it may still be about to tell"
        world.now += ADOPT_MS + 1
        await sink.count(1)
        await until(lambda: not after._receipts)
        assert (await world.kept())["PARKED:p1"]["owed"] == []
    assert sink.said == [("PARKED", "p1", "raised")]
    assert sink.alarms[0]["worker"] == "dead"


async def test_an_alarm_of_the_last_moment_is_told_before_the_end(world: World) -> None:
    sink = Told()
    alarms = world.alarms("one", sink)
    stop = asyncio.Event()
    task = asyncio.create_task(alarms.run(stop))
    await until(lambda: alarms._synced)
    stop.set()
    alarms.raise_(AlarmKind.DEAD_TASK, "execution", "died", "look")
    await task
    assert sink.said == [("DEAD_TASK", "execution", "raised")]
    assert set(await world.kept()) == {"DEAD_TASK:execution"}


async def test_the_end_is_not_held_up_by_a_sink_that_takes_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sureclose.services.alarms.board.DRAIN_S", 0.05)
    sink = Told()
    sink.refuses = "HTTP 503"
    alarms = world.alarms("one", sink)
    with capture_logs() as logs:
        async with running(alarms):
            alarms.raise_(PARKED, "p1", "it waits", "resolve it")
            await sink.until(lambda sink: sink.tries >= 1)
    [line] = [line for line in logs if line["event"] == "alarms_not_told"]
    assert line["sinks"] == {"told": 1}


async def test_each_alarm_is_one_line_in_the_log_of_the_process_without_any_sink(world: World) -> None:
    alarms = world.alarms("one")
    with capture_logs() as logs:
        async with running(alarms):
            alarms.breach("I9", "an order of ours is not in the journal", {"order_id": 7})
            await until(lambda: not alarms._changes)
            alarms.clear(AlarmKind.BREACH, "I9")
            await until(lambda: not alarms._changes)
    said = [(line["event"], line["log_level"], line["subject"], line["facts"]) for line in logs]
    facts = {"order_id": "7"}
    assert said == [("alarm_raised", "critical", "I9", facts), ("alarm_cleared", "info", "I9", facts)]


async def test_what_another_version_keeps_is_let_alone(world: World) -> None:
    await world.wire.execute_command(b"HSET", world.keys.alarms, "LATER:x", b'{"alarm":"LATER"}')
    await world.wire.execute_command(b"HSET", world.keys.alarms, "broken", b"\xff")
    alarms = world.alarms("one")
    async with running(alarms):
        await until(lambda: alarms._synced)
        assert dict(alarms.standing) == {}
    found = await world.wire.execute_command(b"HKEYS", world.keys.alarms)
    assert set(found) == {b"LATER:x", b"broken"}


def test_what_needs_a_person_at_once_is_critical() -> None:
    critical = {kind for kind in AlarmKind if AlarmLevel.of(kind) is AlarmLevel.CRITICAL}
    assert critical == {
        "PARKED",
        "SAFETY_FAILED",
        "HARVEST_BLIND",
        "SAFETY_EXPIRED",
        "BREACH",
        "BLIND",
        "DEAD_TASK",
        "UNPROTECTED",
        "EXPIRED_OPEN",
        "LOG_LOST",
        "ORPHAN",
        "FROZEN",
        "DEMOTED",
    }
