"""A task that dies is told before its process ends, and is over when another process has lived with it for a while."""

import asyncio

import pytest

from sureclose.services.alarms.alarm import AlarmKind
from sureclose.services.alarms.tasks import TaskAlarms
from sureclose.services.supervisor import Supervisor
from sureclose.streams.connection import Log
from tests.services.alarming import Told, World, running, until


@pytest.fixture
def world(log: Log, log_prefix: str) -> World:
    return World(log.commands(), log_prefix)


async def until_set(event: asyncio.Event) -> None:
    await event.wait()


async def fail() -> None:
    raise NameError("name 'consumer' is not defined")


async def test_a_death_is_told_while_the_process_still_stops(world: World) -> None:
    sink, stop, drained = Told(), asyncio.Event(), asyncio.Event()
    alarms, supervisor = world.alarms("one", sink), Supervisor(stop)
    tasks = TaskAlarms(alarms, supervisor.tasks, wall=lambda: world.now)
    async with running(alarms):
        supervisor.spawn("task alarms", tasks.run(stop))
        supervisor.spawn("drains", until_set(drained))
        supervisor.spawn("consumer", fail())
        await sink.count(1)
        drained.set()
        assert await supervisor.wait() == 1
        tasks.look()
    assert sink.said == [("DEAD_TASK", "consumer", "raised")]
    assert sink.alarms[0]["level"] == "critical"
    assert sink.alarms[0]["facts"] == {
        "task": "consumer",
        "why": "NameError: name 'consumer' is not defined",
    }


async def test_a_death_in_the_last_moment_is_told_as_well(world: World) -> None:
    sink, stop = Told(), asyncio.Event()
    alarms, supervisor = world.alarms("one", sink), Supervisor(stop, grace_s=0.01)
    tasks = TaskAlarms(alarms, supervisor.tasks, wall=lambda: world.now)
    async with running(alarms):
        supervisor.spawn("task alarms", tasks.run(stop))
        supervisor.spawn("deaf", until_set(asyncio.Event()))
        stop.set()
        assert await supervisor.wait() == 1
        tasks.look()
    assert sink.said == [("DEAD_TASK", "deaf", "raised")]


async def test_a_clean_end_is_no_alarm(world: World) -> None:
    sink, stop = Told(), asyncio.Event()
    alarms, supervisor = world.alarms("one", sink), Supervisor(stop)
    tasks = TaskAlarms(alarms, supervisor.tasks, wall=lambda: world.now)
    async with running(alarms):
        supervisor.spawn("task alarms", tasks.run(stop))
        supervisor.spawn("reader", until_set(stop))
        stop.set()
        assert await supervisor.wait() == 0
        tasks.look()
    assert sink.said == []


async def test_it_is_over_when_a_later_process_has_lived_with_that_task_for_a_while(world: World) -> None:
    sink = Told()
    died = world.alarms("died", sink)
    beside = TaskAlarms(died, lambda: (), wall=lambda: world.now)
    async with running(died):
        died.raise_(AlarmKind.DEAD_TASK, "reader", "died", "look")
        died.raise_(AlarmKind.DEAD_TASK, "history", "died", "look")
        await sink.count(2)
    beside._clear()
    assert len(died.standing) == 2, "a process that was there before is no proof that it works again"
    world.now += 1_000
    stop = asyncio.Event()
    alarms, supervisor = world.alarms("later", sink), Supervisor(stop)
    async with running(alarms):
        await until(lambda: len(alarms.standing) == 2)
        supervisor.spawn("reader", until_set(stop))
        tasks = TaskAlarms(alarms, supervisor.tasks, wall=lambda: world.now, settled_s=0.01)
        supervisor.spawn("task alarms", tasks.run(stop))
        await sink.count(3)
        stop.set()
        assert await supervisor.wait() == 0
    assert sink.said[2:] == [("DEAD_TASK", "reader", "cleared")]
