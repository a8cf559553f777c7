"""One environment at a time reads the streams of a prefix."""

import asyncio

import pytest

from sureclose.domain.words import Mode
from sureclose.services.environment import Environment, EnvironmentTaken
from sureclose.streams.connection import Log
from sureclose.streams.wire import Wire


async def test_processes_of_one_environment_share_it_and_another_s_is_refused(
    log: Log, log_prefix: str
) -> None:
    wire: Wire = log.commands()
    paper = [Environment(wire, log_prefix, Mode.PAPER) for _ in range(3)]
    for one in (*paper, *paper):
        await one.take()
    with pytest.raises(EnvironmentTaken, match=r"environment paper, and this is live.*streams\.prefix"):
        await Environment(log.commands(), log_prefix, Mode.LIVE).take()
    assert await wire.execute_command(b"GET", f"{log_prefix}sureclose:environment") == b"paper"


async def test_of_two_that_start_at_once_one_environment_is_let_in(log: Log, log_prefix: str) -> None:
    starts = [Environment(log.commands(), log_prefix, mode).take() for mode in Mode for _ in range(5)]
    said = await asyncio.gather(*starts, return_exceptions=True)
    assert said.count(None) == 5


async def test_a_start_waits_for_those_that_have_just_ended_and_not_for_those_that_go_on(
    log: Log, log_prefix: str
) -> None:
    wire: Wire = log.commands()
    await Environment(wire, log_prefix, Mode.PAPER).take()
    await wire.execute_command(b"PEXPIRE", f"{log_prefix}sureclose:environment", 700)
    await Environment(wire, log_prefix, Mode.DEMO).await_turn(asyncio.Event())
    stop = asyncio.Event()
    keeping = asyncio.create_task(Environment(wire, log_prefix, Mode.DEMO).keep(stop))
    with pytest.raises(EnvironmentTaken):
        await Environment(wire, log_prefix, Mode.LIVE).await_turn(asyncio.Event())
    stop.set()
    await keeping


async def test_it_runs_out_with_those_that_kept_it(log: Log, log_prefix: str) -> None:
    wire: Wire = log.commands()
    await Environment(wire, log_prefix, Mode.PAPER).take()
    key = f"{log_prefix}sureclose:environment"
    assert 0 < await wire.execute_command(b"PTTL", key) <= 6_000
    await wire.execute_command(b"PEXPIRE", key, 1)
    while await wire.execute_command(b"EXISTS", key):
        await asyncio.sleep(0)
    await Environment(wire, log_prefix, Mode.DEMO).take()
