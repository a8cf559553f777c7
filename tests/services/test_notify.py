"""What reaches the service manager's socket, real sockets of both kinds."""

import asyncio
import os
import secrets
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from sureclose.services.notify import Notifier


class Manager:
    """The other end: what was received, datagram by datagram."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.line = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.line.bind(name.replace("@", "\0", 1))
        self.line.setblocking(False)

    async def hears(self) -> str:
        async with asyncio.timeout(5):
            return (await asyncio.get_running_loop().sock_recv(self.line, 4096)).decode()

    def silent(self) -> bool:
        try:
            self.line.recv(4096)
        except BlockingIOError:
            return True
        return False


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    name = str(tmp_path / "notify") if request.param == "path" else f"@sureclose-{secrets.token_hex(8)}"
    manager = Manager(name)
    yield manager
    manager.line.close()


def watched(manager: Manager, seconds: float, pid: int | None = None) -> dict[str, str]:
    return {
        "NOTIFY_SOCKET": manager.name,
        "WATCHDOG_USEC": str(round(seconds * 1_000_000)),
        "WATCHDOG_PID": str(os.getpid() if pid is None else pid),
    }


async def test_ready_status_and_stopping_arrive_as_systemd_spells_them(manager: Manager) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": manager.name})
    assert notifier.connected
    notifier.ready("paper: intent-executor, execution")
    assert await manager.hears() == "READY=1\nSTATUS=paper: intent-executor, execution"
    notifier.status("3 closes under way")
    assert await manager.hears() == "STATUS=3 closes under way"
    notifier.stopping()
    assert await manager.hears() == "STOPPING=1"


async def test_a_line_break_in_a_status_is_no_second_message(manager: Manager) -> None:
    Notifier({"NOTIFY_SOCKET": manager.name}).status("lost\nREADY=1")
    assert await manager.hears() == "STATUS=lost READY=1"


async def test_the_watchdog_is_fed_at_half_its_time_until_stop(manager: Manager) -> None:
    stop = asyncio.Event()
    notifier = Notifier(watched(manager, 0.02))
    assert notifier.interval_s == 0.01
    feeding = asyncio.create_task(notifier.feed(lambda: True, stop))
    assert [await manager.hears() for _ in range(3)] == ["WATCHDOG=1"] * 3
    stop.set()
    await feeding


async def test_the_watchdog_does_not_cut_the_drain_short(manager: Manager) -> None:
    """After a death nobody feeds it, and closes under way still have their time to finish."""
    stop = asyncio.Event()
    stop.set()
    await Notifier(watched(manager, 10)).feed(lambda: False, stop, stop_s=12.5)
    assert await manager.hears() == "STOPPING=1\nWATCHDOG_USEC=12500000"


async def test_incident_13_the_watchdog_starves_while_a_task_is_dead(manager: Manager) -> None:
    stop, asked = asyncio.Event(), asyncio.Event()
    answers = iter([False, False, True])

    def healthy() -> bool:
        well = next(answers, True)
        if well:
            asked.set()
        else:
            assert manager.silent()
        return well

    with capture_logs() as logs:
        feeding = asyncio.create_task(Notifier(watched(manager, 0.002)).feed(healthy, stop))
        await asked.wait()
        assert await manager.hears() == "WATCHDOG=1"
        stop.set()
        await feeding
    assert [(line["event"], line["log_level"]) for line in logs] == [
        ("watchdog_withheld", "error"),
        ("watchdog_fed_again", "warning"),
    ]


async def test_a_watchdog_meant_for_another_process_is_not_fed(manager: Manager) -> None:
    assert Notifier(watched(manager, 1, pid=os.getpid() + 1)).interval_s is None


@pytest.mark.parametrize("text", ["0", "-5", "soon", "²"])
async def test_a_watchdog_time_that_is_none_is_said_and_not_guessed(manager: Manager, text: str) -> None:
    with capture_logs() as logs:
        notifier = Notifier({"NOTIFY_SOCKET": manager.name, "WATCHDOG_USEC": text})
    assert notifier.interval_s is None
    assert [line["event"] for line in logs] == ["watchdog_unreadable"]


async def test_without_a_socket_nothing_happens_and_the_feeder_lives_until_stop() -> None:
    """A feeder that returned at once would be a dead task to the supervisor."""
    stop = asyncio.Event()
    notifier = Notifier({"WATCHDOG_USEC": "1000"})
    assert not notifier.connected
    notifier.ready("up")
    notifier.stopping()
    feeding = asyncio.create_task(notifier.feed(lambda: True, stop))
    await asyncio.sleep(0)
    assert not feeding.done()
    stop.set()
    await feeding


async def test_stopping_is_said_when_it_begins_with_a_watchdog_or_without(manager: Manager) -> None:
    stop = asyncio.Event()
    feeding = asyncio.create_task(Notifier({"NOTIFY_SOCKET": manager.name}).feed(lambda: True, stop))
    stop.set()
    await feeding
    assert await manager.hears() == "STOPPING=1"


async def test_a_manager_that_is_gone_is_a_warning_and_no_failure(tmp_path: Path) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")})
    with capture_logs() as logs:
        notifier.ready()
    assert [(line["event"], line["message"]) for line in logs] == [("notify_failed", "READY=1")]


async def test_an_address_of_an_unknown_kind_is_said_at_once() -> None:
    with capture_logs() as logs:
        assert not Notifier({"NOTIFY_SOCKET": "vsock:2:1234"}).connected
    assert [line["event"] for line in logs] == ["notify_socket_unusable"]
