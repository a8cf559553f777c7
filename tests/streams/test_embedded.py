"""The embedded server: one per folder, never an orphan, nothing answered is lost."""

import asyncio
import os
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import uvloop

from sureclose.streams import embedded
from sureclose.streams.connection import Log, LogSettings
from sureclose.streams.embedded import EmbeddedServer
from sureclose.streams.errors import (
    DataFolderInUse,
    LogAccessDenied,
    ServerNotStarted,
    SocketFolderUnsafe,
    StartedOffMainThread,
)
from tests.streams.fakes import fake_binary

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


Starter = Callable[[], Awaitable[tuple[asyncio.subprocess.Process, int, str]]]


@pytest.fixture
async def start_parent(tmp_path: Path) -> AsyncIterator[Starter]:
    """Start a process that runs a server: the process, the server's id and its address. None outlives the test."""
    parents: list[asyncio.subprocess.Process] = []

    async def start() -> tuple[asyncio.subprocess.Process, int, str]:
        parent = await asyncio.create_subprocess_exec(
            sys.executable, "-c", PARENT, str(tmp_path), stdout=asyncio.subprocess.PIPE
        )
        parents.append(parent)
        assert parent.stdout is not None
        async for line in parent.stdout:
            if line.startswith(b"ready "):
                _, pid, url = line.decode().split()
                return parent, int(pid), url
        raise AssertionError("the parent ended before its server was ready")

    yield start
    for parent in parents:
        if parent.returncode is None:
            parent.kill()
            await parent.wait()


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


async def test_killing_the_parent_leaves_no_orphan_and_the_next_start_works_at_once(
    tmp_path: Path, start_parent: Starter
) -> None:
    parent, pid, url = await start_parent()
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


async def test_an_orphan_that_lingers_still_holds_the_folder(tmp_path: Path, start_parent: Starter) -> None:
    """Two servers on one folder would append to one file; the lock lives as long as the server does."""
    parent, pid, url = await start_parent()
    os.kill(pid, signal.SIGSTOP)
    parent.kill()
    await parent.wait()
    server = EmbeddedServer(tmp_path)
    with pytest.raises(DataFolderInUse):
        await server.start(patience_s=0.1)
    starting = asyncio.create_task(server.start())
    await asyncio.sleep(0)
    os.kill(pid, signal.SIGCONT)
    await starting
    assert await length(url, "s") == 0
    await server.stop()


async def test_a_kill_of_parent_and_server_together_leaves_only_stale_files_that_do_no_harm(
    tmp_path: Path,
    start_parent: Starter,
) -> None:
    parent, pid, url = await start_parent()
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
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    server = EmbeddedServer(deep)
    with tempfile.TemporaryDirectory(prefix="t-") as folder:
        monkeypatch.setattr(tempfile, "gettempdir", lambda: folder)
        async with server:
            short = next(Path(folder).iterdir())
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
