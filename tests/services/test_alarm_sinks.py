"""Where alarms go: a real program, a real web server, and what either may do wrong."""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvloop
from aiohttp import web
from structlog.testing import capture_logs

from sureclose.services.alarms.alarm import AlarmKind
from sureclose.services.alarms.sinks import Command, NotTold, Webhook, destinations, sinks_of
from sureclose.services.settings import AlertSettings
from sureclose.streams.connection import Log
from tests.services.alarming import PATIENCE_S, Told, World, running, until

Run = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture(params=[asyncio.run, uvloop.run])
def run(request: pytest.FixtureRequest) -> Run:
    """The loop that a process of ours uses handles programs in its own way, and the standard one in another."""
    chosen: Run = request.param
    return chosen


DOCUMENT = b'{"alarm":"PARKED"}'


def program(text: str, *arguments: str) -> list[str]:
    return [sys.executable, "-I", "-S", "-c", text, *arguments]


class Hook:
    """A web server that keeps what is posted to it, on a port that stays its own when it is down."""

    def __init__(self) -> None:
        self.status = 200
        self.seconds = 0.0
        self.posted: list[tuple[str, Any]] = []
        self.asked = asyncio.Event()
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook/top-secret"

    @asynccontextmanager
    async def up(self) -> AsyncIterator["Hook"]:
        app = web.Application()
        app.router.add_post("/hook/{secret}", self._take)
        app.router.add_get("/elsewhere", self._take)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", self.port).start()
        self.port = runner.addresses[0][1]
        try:
            yield self
        finally:
            await runner.cleanup()

    async def _take(self, request: web.Request) -> web.Response:
        self.posted.append((request.content_type, json.loads(await request.read() or b"{}")))
        self.asked.set()
        await asyncio.sleep(self.seconds)
        headers = {"Location": "/elsewhere"} if self.status == 302 else {}
        return web.Response(status=self.status, headers=headers)


# The command -------------------------------------------------------------------------------------------------------


def test_the_command_gets_the_alarm_on_standard_input_and_its_arguments_without_a_shell(
    run: Run, tmp_path: Path
) -> None:
    into = tmp_path / "told"
    text = "import sys; open(sys.argv[1], 'w').write(sys.stdin.read() + sys.argv[2])"
    run(Command(program(text, str(into), "$HOME; echo *")).tell(DOCUMENT))
    assert into.read_text() == DOCUMENT.decode() + "$HOME; echo *"


def test_the_command_does_not_get_our_secrets(run: Run, tmp_path: Path) -> None:
    into = tmp_path / "environment"
    environment = {
        "SURECLOSE__VENUE__API_SECRET": "s",
        "SURECLOSE__VENUE__API_KEY_FILE": "f",
        "CREDENTIALS_DIRECTORY": "/run/credentials",
        "PAGER_TOKEN": "its own",
    }
    text = "import os, sys; open(sys.argv[1], 'w').write(','.join(sorted(os.environ)))"
    run(Command(program(text, str(into)), environment=environment).tell(DOCUMENT))
    names = set(into.read_text().split(","))
    assert "PAGER_TOKEN" in names
    assert not names & (set(environment) - {"PAGER_TOKEN"})


def test_a_command_that_fails_says_how_with_the_end_of_what_it_said(run: Run) -> None:
    text = "import sys; sys.stderr.write('x' * 1_000_000 + ' no network\\n'); sys.exit(3)"
    with pytest.raises(NotTold, match=r"^exit code 3: x+ no network$") as told:
        run(Command(program(text)).tell(DOCUMENT))
    assert len(str(told.value)) < 3_000


def test_a_command_that_reads_nothing_is_judged_by_its_exit_code_alone(run: Run) -> None:
    run(Command(program("import os; os.close(0)")).tell(b"x" * 10_000_000))


def test_a_command_that_hangs_is_killed_with_all_that_it_started(run: Run, tmp_path: Path) -> None:
    into = tmp_path / "pid"
    text = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "open(sys.argv[1], 'w').write(str(child.pid)); sys.stderr.write('waiting'); sys.stderr.flush()\n"
        "time.sleep(600)"
    )
    begun = time.monotonic()
    with pytest.raises(NotTold, match=r"^not over within 2 s: waiting$"):
        run(Command(program(text, str(into)), timeout_s=2.0).tell(DOCUMENT))
    assert time.monotonic() - begun < PATIENCE_S
    child = Path("/proc") / into.read_text()
    run(until(lambda: not child.exists() or "\nState:\tZ" in (child / "status").read_text()))


def test_what_a_command_leaves_running_in_order_is_let_alone(run: Run, tmp_path: Path) -> None:
    into = tmp_path / "done"
    text = (
        "import subprocess, sys\n"
        "late = 'import sys, time; time.sleep(0.3); open(sys.argv[1], \"w\").close()'\n"
        "subprocess.Popen([sys.executable, '-c', late, sys.argv[1]], stderr=subprocess.DEVNULL)"
    )
    run(Command(program(text, str(into))).tell(DOCUMENT))
    run(until(into.exists))


@pytest.mark.parametrize("path", ["/nowhere/notify", "/", ""])
def test_a_command_that_can_not_be_run_says_so(run: Run, path: str) -> None:
    with pytest.raises(NotTold, match="can't be run"):
        run(Command([path]).tell(DOCUMENT))


def test_a_command_under_way_does_not_outlive_the_process_s_end(run: Run, tmp_path: Path) -> None:
    into = tmp_path / "pid"
    text = "import os, sys, time; open(sys.argv[1], 'w').write(str(os.getpid()) + ' '); time.sleep(600)"

    async def cut_short() -> None:
        telling = asyncio.create_task(Command(program(text, str(into))).tell(DOCUMENT))
        await until(lambda: into.exists() and into.read_text().endswith(" "))
        telling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await telling

    run(cut_short())
    assert not (Path("/proc") / into.read_text().strip()).exists()


# The webhook -------------------------------------------------------------------------------------------------------


async def test_the_webhook_is_posted_the_alarm_as_json() -> None:
    async with Hook().up() as hook:
        hook.status = 204
        await Webhook(hook.url).tell(DOCUMENT)
        assert hook.posted == [("application/json", {"alarm": "PARKED"})]


@pytest.mark.parametrize("status", [302, 400, 404, 500, 503])
async def test_a_webhook_that_does_not_take_it_says_its_status_and_no_redirect_is_followed(
    status: int,
) -> None:
    async with Hook().up() as hook:
        hook.status = status
        with pytest.raises(NotTold, match=f"^HTTP {status}$"):
            await Webhook(hook.url).tell(DOCUMENT)
        assert len(hook.posted) == 1


async def test_a_webhook_that_is_slow_is_not_waited_for() -> None:
    async with Hook().up() as hook:
        hook.seconds = 600.0
        with pytest.raises(NotTold, match=r"no answer within 0\.2 s"):
            await Webhook(hook.url, timeout_s=0.2).tell(DOCUMENT)


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:1/top-secret", "http://nowhere.invalid/top-secret", "http://user:top-secret@[::1]:1/"],
)
async def test_no_error_of_a_webhook_holds_its_address(url: str) -> None:
    with pytest.raises(NotTold) as told:
        await Webhook(url).tell(DOCUMENT)
    assert "top-secret" not in str(told.value)
    assert str(told.value)


# Both, with alarms -------------------------------------------------------------------------------------------------


@pytest.fixture
def world(log: Log, log_prefix: str) -> World:
    return World(log.commands(), log_prefix)


async def test_a_webhook_that_was_down_gets_the_alarm_when_it_is_up(world: World) -> None:
    hook = Hook()
    async with hook.up():
        url = hook.url
    alarms = world.alarms("one", Webhook(url))
    with capture_logs() as logs:
        async with running(alarms):
            alarms.raise_(AlarmKind.PARKED, "p1", "it waits", "resolve it")
            await until(lambda: any(line["event"] == "alarm_not_told" for line in logs))
            async with hook.up():
                async with asyncio.timeout(PATIENCE_S):
                    await hook.asked.wait()
                await until(lambda: not len(alarms._couriers[0]))
    assert [posted["state"] for _, posted in hook.posted] == ["raised"]
    assert "top-secret" not in repr(logs)
    warnings = [line["event"] for line in logs if line["log_level"] == "warning"]
    assert warnings == ["alarm_not_told"], "a row of failures is one line"


async def test_a_command_that_hangs_holds_up_neither_another_sink_nor_the_end(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sureclose.services.alarms.board.DRAIN_S", 0.05)
    told = Told()
    hangs = Command(program("import time; time.sleep(600)"), timeout_s=600)
    alarms = world.alarms("one", hangs, told)
    async with asyncio.timeout(PATIENCE_S), running(alarms):
        alarms.raise_(AlarmKind.PARKED, "p1", "it waits", "resolve it")
        alarms.raise_(AlarmKind.PARKED, "p2", "it waits", "resolve it")
        await told.count(2)


async def test_a_command_that_fails_is_told_of_in_the_log_with_what_it_said(world: World) -> None:
    text = "import sys; sys.exit('who is on duty?')"
    alarms = world.alarms("one", Command(program(text)))
    with capture_logs() as logs:
        async with running(alarms):
            alarms.raise_(AlarmKind.PARKED, "p1", "it waits", "resolve it")
            await until(lambda: any(line["event"] == "alarm_not_told" for line in logs))
    line = next(line for line in logs if line["event"] == "alarm_not_told")
    assert line["why"] == "exit code 1: who is on duty?"
    assert (line["sink"], line["alarm"], line["subject"]) == ("command", "PARKED", "p1")


# Settings ----------------------------------------------------------------------------------------------------------


def test_what_is_configured_is_told_and_shown_without_secrets() -> None:
    settings = AlertSettings(
        command="/usr/bin/page 'on duty'", webhook_url="https://hooks.example/top-secret"
    )
    assert settings.arguments == ("/usr/bin/page", "on duty")
    assert [sink.name for sink in sinks_of(settings)] == ["command", "webhook"]
    assert destinations(settings) == "the command page and a webhook at hooks.example"
    assert sinks_of(AlertSettings()) == ()
    assert destinations(AlertSettings()) == ""


@pytest.mark.parametrize(
    "wrong",
    [
        {"command": "page 'on duty"},
        {"command": "   "},
        {"webhook_url": "hooks.example/x"},
        {"webhook_url": "file:///etc/passwd"},
        {"webhook_url": "https://"},
        {"unknown_s": 0},
        {"blind_s": 0},
    ],
)
def test_settings_that_nobody_could_be_told_with_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        AlertSettings(**wrong)
