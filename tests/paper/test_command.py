"""`sureclose paper` from outside."""

import asyncio
import json
import os
import signal
import socket
import sys

import pytest

from .test_data_file import CHILD, Child


async def outcome(*arguments: str) -> tuple[int | None, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        CHILD,
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 20)
    return process.returncode, out.decode(), err.decode()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_prints_one_line_serves_and_stops_with_0(number: signal.Signals) -> None:
    child = await Child.start("--position", "ETHUSDT=0.5@2400", "--position", "BTCUSDT=-0.01@65000")
    assert child.ready["ready"] is True
    assert child.ready["ws_api"] == child.ready["stream"] + "/ws-fapi/v1"
    child.process.send_signal(number)
    out, _ = await asyncio.wait_for(child.process.communicate(), 10)
    assert (child.process.returncode, out) == (0, b"")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--position", "ETHUSDT=abc"], "SYMBOL=AMOUNT@ENTRY"),
        (["--position", "NOUSDT=1@1"], "not listed"),
        (["--position", "DOGEUSDT=1.5@0.16"], "multiple of 1"),
        (["--position", "ETHUSDT=0@2400"], "must not be zero"),
        (["--position", "ETHUSDT=1@0"], "entry price"),
        (["--position", "ETHUSDT=1@2400", "--position", "ETHUSDT=1@2400"], "more than one position"),
        (["--port", "70000"], "does not exist"),
        (["--symbols", "-1"], "out of range"),
        (["--host", "999.1.1.1"], "can't be opened"),
        (["--data", "/nonexistent/paper.jsonl"], "can't be opened"),
    ],
)
async def test_a_bad_option_is_one_line_that_says_what_to_do_and_exit_code_4(
    arguments: list[str], says: str
) -> None:
    code, out, err = await outcome(*arguments)
    assert (code, out) == (4, "")
    assert says in err
    assert err.count("\n") == 1


async def test_a_port_in_use_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code, out, err = await outcome("--port", str(taken.getsockname()[1]))
    assert (code, out) == (4, "")
    assert "choose another with --port" in err


async def test_it_ends_with_its_parent() -> None:
    script = (
        "import os, subprocess, sys, time\n"
        f"child = subprocess.Popen([sys.executable, '-c', {CHILD!r}, '--parent-death', str(os.getpid())], stdout=subprocess.PIPE)\n"
        "child.stdout.readline()\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    assert parent.stdout is not None
    grandchild = int(await asyncio.wait_for(parent.stdout.readline(), 20))
    watch = os.pidfd_open(grandchild)
    parent.kill()
    await parent.wait()
    gone = asyncio.Event()
    asyncio.get_running_loop().add_reader(watch, gone.set)
    await asyncio.wait_for(gone.wait(), 10)
    asyncio.get_running_loop().remove_reader(watch)
    os.close(watch)


async def test_more_symbols_are_made_up_and_the_same_for_the_same_seed() -> None:
    from sureclose.paper.symbols import catalogue

    assert catalogue(200, 7) == catalogue(200, 7)
    assert len(catalogue(200, 7)) == 200
    assert json.dumps([one.describe() for one in catalogue(40, 7).values()])
