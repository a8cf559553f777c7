"""A dead task is never a quiet one."""

import asyncio
from typing import Any

import pytest
from structlog.testing import capture_logs

from sureclose.services.supervisor import Supervisor, TaskReport, TaskState


async def until(stop: asyncio.Event) -> None:
    await stop.wait()


async def fail() -> None:
    raise NameError("name 'consumer' is not defined")


async def give_up() -> None:
    return


@pytest.fixture
def stop() -> asyncio.Event:
    return asyncio.Event()


async def test_incident_13_a_task_that_dies_of_a_name_error_stops_the_process_loudly(
    stop: asyncio.Event,
) -> None:
    """The consumer died, everything else went on, and /health said healthy."""
    supervisor = Supervisor(stop)
    supervisor.spawn("history", until(stop))
    with capture_logs() as logs:
        supervisor.spawn("consumer", fail())
        assert await supervisor.wait() == 1
    assert stop.is_set()
    assert not supervisor.alive
    dead = "NameError: name 'consumer' is not defined"
    assert supervisor.tasks() == (
        TaskReport("history", TaskState.FINISHED),
        TaskReport("consumer", TaskState.DEAD, dead),
    )
    [line] = logs
    error: Any = line.pop("exc_info")
    assert isinstance(error, NameError)
    assert error.__traceback__ is not None
    assert line == {"event": "task_died", "log_level": "critical", "task": "consumer", "why": dead}


async def test_a_task_that_returns_before_it_was_asked_to_is_dead(stop: asyncio.Event) -> None:
    supervisor = Supervisor(stop)
    supervisor.spawn("reader", give_up())
    with capture_logs():
        assert await supervisor.wait() == 1
    assert supervisor.tasks()[0].why == "returned although nobody had asked it to stop"


async def test_a_task_that_somebody_cancels_is_dead(stop: asyncio.Event) -> None:
    supervisor = Supervisor(stop)
    supervisor.spawn("reader", until(asyncio.Event()))
    [task] = [task for task in asyncio.all_tasks() if task.get_name() == "reader"]
    with capture_logs():
        task.cancel()
        assert await supervisor.wait() == 1
    assert supervisor.tasks() == (TaskReport("reader", TaskState.DEAD, "was cancelled"),)


async def test_a_death_before_anybody_waits_is_not_lost(stop: asyncio.Event) -> None:
    supervisor = Supervisor(stop)
    with capture_logs() as logs:
        supervisor.spawn("reader", fail())
        await stop.wait()
        assert [line["event"] for line in logs] == ["task_died"]
        assert await supervisor.wait() == 1


async def test_tasks_that_end_after_stop_was_asked_for_are_a_clean_end(stop: asyncio.Event) -> None:
    supervisor = Supervisor(stop)
    supervisor.spawn("a", until(stop))
    supervisor.spawn("b", until(stop))
    assert supervisor.alive
    assert {report.state for report in supervisor.tasks()} == {TaskState.ALIVE}
    stop.set()
    with capture_logs() as logs:
        assert await supervisor.wait() == 0
    assert logs == []
    assert {report.state for report in supervisor.tasks()} == {TaskState.FINISHED}


async def test_a_task_that_fails_while_it_stops_makes_the_end_a_failure(stop: asyncio.Event) -> None:
    """Its failure and the stop fall into the same turn of the loop, whatever the order."""

    async def fail_on_stop() -> None:
        await stop.wait()
        raise OSError("disk full")

    supervisor = Supervisor(stop)
    supervisor.spawn("writer", fail_on_stop())
    waiting = asyncio.create_task(supervisor.wait())
    await asyncio.sleep(0)
    stop.set()
    with capture_logs():
        assert await waiting == 1
    assert supervisor.tasks()[0].why == "OSError: disk full"


async def test_a_read_under_way_is_not_cancelled_within_the_grace(stop: asyncio.Event) -> None:
    finished = asyncio.Event()

    async def slow_read() -> None:
        await stop.wait()
        await asyncio.sleep(0.02)
        finished.set()

    supervisor = Supervisor(stop, grace_s=5)
    supervisor.spawn("reader", slow_read())
    stop.set()
    assert await supervisor.wait() == 0
    assert finished.is_set()


async def test_a_task_that_does_not_see_the_flag_is_cancelled_after_the_grace(stop: asyncio.Event) -> None:
    supervisor = Supervisor(stop, grace_s=0.01)
    supervisor.spawn("deaf", until(asyncio.Event()))
    stop.set()
    with capture_logs() as logs:
        assert await supervisor.wait() == 1
    assert [line["event"] for line in logs] == ["task_died"]
    assert supervisor.tasks() == (TaskReport("deaf", TaskState.DEAD, "did not stop within 0.01 s"),)


async def test_a_task_spawned_while_stopping_is_waited_for_too(stop: asyncio.Event) -> None:
    supervisor = Supervisor(stop)

    async def hand_over() -> None:
        await stop.wait()
        supervisor.spawn("late", until(stop))

    supervisor.spawn("early", hand_over())
    stop.set()
    assert await supervisor.wait() == 0
    assert [report.name for report in supervisor.tasks()] == ["early", "late"]


async def test_two_tasks_can_not_have_one_name(stop: asyncio.Event) -> None:
    supervisor = Supervisor(stop)
    supervisor.spawn("reader", until(stop))
    with pytest.raises(ValueError, match="there is a task 'reader' already"):
        supervisor.spawn("reader", until(stop))
    stop.set()
    assert await supervisor.wait() == 0
