"""A close is followed to its outcome, asynchronously and not, and the thread behind it leaves nothing."""

import asyncio
import gc
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from decimal import Decimal
from typing import Any

import pytest

from sureclose import AsyncClient, Client, Close, CloseGoesOn, CloseState, NotFound
from sureclose.domain.close_state import CloseState as Told
from tests.client.double import TOKEN, Double

FLAT: dict[str, Any] = {
    "state": "flat",
    "outcome": "FLAT",
    "executed": True,
    "filled_qty": "1.50",
    "position_after": "0",
    "order_ids": [7],
    "reason": "",
    "avg_price": None,
    "news_of_a_later_version": {},
}


def test_the_states_are_those_of_the_server() -> None:
    assert [one.value for one in CloseState] == [one.value for one in Told]


async def test_a_close_is_waited_for_until_nothing_follows(double: Double, asynchronous: AsyncClient) -> None:
    close = await asynchronous.close("ETHUSDT")
    assert (close.state, close.final, close.done) == (CloseState.RECEIVED, False, False)
    waiting = asyncio.create_task(close.wait(20))
    double.finish(close.id, "sent")
    double.finish(close.id, **FLAT)
    ended = await waiting
    assert (ended.state, ended.done, ended.filled_qty) == (CloseState.FLAT, True, Decimal("1.50"))
    assert (ended.position_after, ended.order_ids, ended.avg_price) == (Decimal(0), (7,), None)


async def test_a_close_that_takes_longer_goes_on(double: Double, asynchronous: AsyncClient) -> None:
    with pytest.raises(TimeoutError, match="it goes on") as caught:
        await asynchronous.close("ETHUSDT", intent_id="slow", wait=0.2)
    assert isinstance(caught.value, CloseGoesOn)
    assert caught.value.close is not None
    double.finish("slow", **FLAT)
    assert (await asynchronous.wait(caught.value.close)).done


async def test_a_server_that_is_away_meanwhile_is_waited_for(
    double: Double, asynchronous: AsyncClient
) -> None:
    close = await asynchronous.close("ETHUSDT")
    double.mishaps.extend(["before"] * 9)
    double.finish(close.id, **FLAT)
    assert (await close.wait(20)).done
    assert not double.mishaps


async def test_what_nobody_knows_is_not_waited_for(asynchronous: AsyncClient) -> None:
    with pytest.raises(NotFound):
        await asynchronous.wait("never", 20)


@pytest.mark.parametrize(
    ("state", "reason", "done"),
    [
        ("reduced", "", True),
        ("reduced", "frozen", False),
        ("refused", "r", False),
        ("skipped", "s", False),
        ("parked", "p", False),
    ],
)
def test_only_what_was_confirmed_as_asked_is_done(
    double: Double, client: Client, state: str, reason: str, done: bool
) -> None:
    close = client.close("ETHUSDT", fraction="0.5")
    double.finish(close.id, state, reason=reason)
    assert close.wait(20).done is done


async def test_all_are_closes_of_one_wish_each_with_its_own_state(
    double: Double, asynchronous: AsyncClient, client: Client
) -> None:
    double.mishaps.extend(["after", "before"])
    one, other = await asynchronous.close_all(symbols=["ETHUSDT", "BTCUSDT"], side="long")
    assert (one.symbol, other.symbol, len(double.closes)) == ("ETHUSDT", "BTCUSDT", 2)
    assert double.asked[0][3] == b'{"side":"long","symbols":["ETHUSDT","BTCUSDT"]}'
    double.finish(one.id, **FLAT)
    again = client.close_all(symbols=["ETHUSDT", "BTCUSDT"], idempotency_key=double.keys[0], wait=0.2)
    assert [str(close.state) for close in again] == ["flat", "received"]
    assert isinstance(again[0], Close)
    with pytest.raises(TypeError):
        await asynchronous.close_all(symbols="ETHUSDT")


async def test_events_tell_every_state_once_though_the_line_is_lost(
    double: Double, asynchronous: AsyncClient
) -> None:
    close = await asynchronous.close("ETHUSDT")
    double.mishaps.append("midway")
    told = []
    async with aclosing(close.events()) as events:
        async for one in events:
            told.append(str(one.state))
            if one.state is CloseState.RECEIVED:
                double.finish(close.id, "received", warranted=True)
                double.finish(close.id, "sent")
            if one.state is CloseState.SENT:
                double.finish(close.id, **FLAT)
    assert told == ["received", "sent", "flat"]


def test_events_come_without_a_loop_of_ones_own(double: Double, client: Client) -> None:
    close = client.close("ETHUSDT")
    events = close.events()
    assert next(events).state is CloseState.RECEIVED
    double.finish(close.id, **FLAT)
    assert [one.state for one in events] == [CloseState.FLAT]


def test_events_that_nobody_reads_to_the_end_leave_nothing(double: Double) -> None:
    with Client(double.url, TOKEN) as client:
        events = client.close("ETHUSDT").events()
        next(events)
    events.close()
    gc.collect()


async def test_the_synchronous_client_works_where_a_loop_runs(double: Double, client: Client) -> None:
    close = client.close("ETHUSDT")
    double.finish(close.id, **FLAT)
    ended = close.wait(20)
    assert isinstance(ended, Close)
    assert ended == close.refresh()
    with pytest.raises(CloseGoesOn) as caught:
        client.close("BTCUSDT", wait=0.1)
    assert isinstance(caught.value.close, Close)


def test_whoever_waits_while_it_is_disconnected_is_told(double: Double) -> None:
    client = Client(double.url, TOKEN)
    close = client.close("ETHUSDT")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(close.wait, 60)
        while not any("wait=" in path for _, path, _, _ in double.asked):
            time.sleep(0.005)
        client.disconnect()
        with pytest.raises(RuntimeError, match="goes on"):
            waiting.result(20)


def test_any_thread_may_use_it(double: Double, client: Client) -> None:
    with ThreadPoolExecutor(8) as pool:
        closes = list(pool.map(lambda _: client.close("ETHUSDT"), range(16)))
    assert len({one.id for one in closes}) == len(double.closes) == 16


def test_its_thread_ends_with_it(double: Double) -> None:
    def threads() -> list[str]:
        return [one.name for one in threading.enumerate() if one.name == "sureclose"]

    client = Client(double.url, TOKEN)
    assert threads() == [], "it begins with the first call"
    client.close("ETHUSDT")
    client.disconnect()
    client.disconnect()
    assert threads() == []
    with pytest.raises(RuntimeError, match="disconnected"):
        client.close("ETHUSDT")
    forgotten = Client(double.url, TOKEN)
    forgotten.close("ETHUSDT")
    del forgotten
    gc.collect()
    assert threads() == []


def test_a_forked_child_is_told_to_make_its_own(double: Double, client: Client) -> None:
    client.close("ETHUSDT")
    pid = os.fork()
    if not pid:
        try:
            client.close("ETHUSDT")
        except RuntimeError:
            client.disconnect()
            os._exit(7)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
    assert client.close("ETHUSDT").symbol == "ETHUSDT"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_program_that_forgets_to_disconnect_ends_in_peace(double: Double, host: str) -> None:
    program = "from sureclose import Client; c = Client(); print(c.close('ETHUSDT').state)"
    environment = os.environ | {
        "SURECLOSE_URL": double.url.replace("127.0.0.1", host),
        "SURECLOSE_TOKEN": TOKEN,
    }
    done = subprocess.run(
        [sys.executable, "-Werror", "-Xdev", "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "received\n", "")


def test_the_package_itself_stays_cheap() -> None:
    program = (
        "import sys, sureclose; assert 'aiohttp' not in sys.modules and 'asyncio' not in sys.modules;"
        "assert 'Client' in dir(sureclose); from sureclose import *;"
        "assert 'aiohttp' in sys.modules and Client is sureclose.client.Client; print(sureclose.__version__)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip()
