"""What a log line looks like in each place it can go to, and that no secret is in it."""

import io
import json
import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from sureclose.cli.logs import configure, redact, redacted
from sureclose.venue.secret import Credentials, Secret

log: Any = structlog.get_logger()
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z"


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """The logging of the session stays as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level
    structlog.reset_defaults()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def out() -> io.StringIO:
    return io.StringIO()


def in_journal(tmp_path: Path, **options: bool) -> tuple[Any, Path]:
    """Log to a file that JOURNAL_STREAM names, as systemd does with its socket."""
    path = tmp_path / "journal"
    stream = path.open("w")
    status = os.fstat(stream.fileno())
    configure(stream=stream, environment={"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}, **options)
    return stream, path


def test_a_line_is_a_time_a_level_an_event_and_its_fields(out: io.StringIO) -> None:
    configure(stream=out, environment={})
    log.info("order", plan_id="p", quantity=Decimal("1E-7"), status="REFUSED -2022", order_id=None, late=True)
    expected = 'order plan_id=p quantity=0.0000001 status="REFUSED -2022" order_id=null late=true'
    assert re.fullmatch(rf"{TIME} info     {re.escape(expected)}\n", out.getvalue())


def test_under_the_journal_a_line_has_its_level_as_a_prefix_and_no_time(tmp_path: Path) -> None:
    stream, path = in_journal(tmp_path)
    with stream:
        log.info("heartbeat", entries=0)
        log.warning("close_fenced")
        log.critical("task_died", task="reader")
    assert path.read_text() == "<6>heartbeat entries=0\n<4>close_fenced\n<2>task_died task=reader\n"


def test_under_the_journal_every_line_of_a_traceback_keeps_the_level(tmp_path: Path) -> None:
    """The journal takes each line for an entry: without its prefix, a traceback would be mere information."""
    stream, path = in_journal(tmp_path)
    with stream:
        log.critical("task_died", exc_info=NameError("consumer"))
    lines = path.read_text().splitlines()
    assert lines[0] == "<2>task_died"
    assert lines[-1] == "<2>    NameError: consumer"
    assert all(line.startswith("<2>") for line in lines)


def test_a_journal_that_somebody_else_writes_to_is_not_ours(out: io.StringIO, tmp_path: Path) -> None:
    """JOURNAL_STREAM is inherited by children whose standard error goes elsewhere."""
    configure(stream=out, environment={"JOURNAL_STREAM": "8:1"})
    log.info("up")
    assert re.fullmatch(rf"{TIME} info     up\n", out.getvalue())


def test_only_a_terminal_gets_colors(out: io.StringIO) -> None:
    terminal = Terminal()
    for stream in (out, terminal):
        configure(stream=stream, environment={})
        log.error("close_broken")
    assert "\x1b" not in out.getvalue()
    assert "\x1b[31merror   \x1b[0m close_broken" in terminal.getvalue()


def test_debug_lines_come_with_verbose_only(out: io.StringIO) -> None:
    configure(stream=out, environment={})
    log.debug("quiet")
    assert out.getvalue() == ""
    configure(stream=out, environment={}, verbose=True)
    log.debug("loud")
    assert "loud" in out.getvalue()


def test_json_lines_are_one_object_each(out: io.StringIO) -> None:
    configure(stream=out, environment={}, as_json=True)
    log.info("order", quantity=Decimal("0.10"), nothing=None, far=float("inf"), why="a\nb")
    try:
        raise ValueError("x")
    except ValueError:
        log.exception("close_broken")
    first, second = map(json.loads, out.getvalue().splitlines())
    assert re.fullmatch(TIME, first.pop("timestamp"))
    assert first == {
        "event": "order",
        "level": "info",
        "quantity": "0.10",
        "nothing": None,
        "far": "inf",
        "why": "a\nb",
    }
    assert second["level"] == "error"
    assert second["exception"].endswith("ValueError: x")


@given(st.text(), st.text())
def test_no_text_from_outside_can_pose_as_a_line_of_ours(event: str, value: str) -> None:
    out = io.StringIO()
    configure(stream=out, environment={})
    log.info(event, value=value)
    [line, rest] = out.getvalue().split("\n")
    assert rest == ""
    assert line.isprintable()


def test_an_exception_can_not_forge_a_line_either(out: io.StringIO) -> None:
    configure(stream=out, environment={})
    log.error("failed", exc_info=ValueError("bad\n2026-01-01T00:00:00Z info     closed\x1b[2J"))
    head, *trace = out.getvalue().splitlines()
    assert head.endswith("failed")
    assert all(line.startswith("    ") for line in trace)
    assert "\x1b" not in out.getvalue()


def test_the_lines_of_libraries_take_the_same_way(out: io.StringIO) -> None:
    configure(stream=out, environment={})
    logging.getLogger("aiohttp.server").error("no way to %s", "redis://u:hunter2@h")
    logging.getLogger("odd").log(45, "between the levels")
    logging.getLogger("asyncio").info("not wanted")
    first, second = out.getvalue().splitlines()
    assert first.endswith('error    "no way to redis://u:***@h" logger=aiohttp.server')
    assert second.endswith('error    "between the levels" logger=odd')


@pytest.mark.parametrize(
    "key",
    [
        *("api_key", "API_SECRET", "venue.api_secret", "X-MBX-APIKEY", "token", "http_token", "password"),
        *("signature", "listenKey", "Authorization", "webhook_url", "redis_password"),
    ],
)
def test_what_stands_under_a_telling_key_is_masked_at_any_depth(out: io.StringIO, key: str) -> None:
    configure(stream=out, environment={})
    log.info("a", **{key: "hunter2"})
    log.info("b", inside={"deep": [{key: "hunter2"}, {key: ["hunter2"]}]})
    log.info("c", number={key: 47114711})
    assert "hunter2" not in out.getvalue()
    assert "47114711" not in out.getvalue()
    assert out.getvalue().count("***") == 4


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("redis://user:hunter2@host:6379/0", "redis://user:***@host:6379/0"),
        ("rediss://:hunter2@host", "rediss://:***@host"),
        ("at redis://u:a@b:c@host/0, again", "at redis://u:***@host/0, again"),
        (
            "GET /fapi/v1/order?symbol=X&signature=hunter2&x=1",
            "GET /fapi/v1/order?symbol=X&signature=***&x=1",
        ),
        ("/private/ws?listenKey=hunter2", "/private/ws?listenKey=***"),
        ('{"api_key": "hunter2", "n": 1}', '{"api_key": "***", "n": 1}'),
        ("X-MBX-APIKEY: hunter2", "X-MBX-APIKEY: ***"),
        ("Authorization: Bearer hunter2hunter2", "Authorization: Bearer ***"),
        ("Config(token='hunter2', port=1)", "Config(token='***', port=1)"),
        ("password='hunter2 hunter3', x", "password='***', x"),
        (r'{"token": "hun\"ter2", "n": 1}', '{"token": "***", "n": 1}'),
        ("token='hunter2 and no end", "token='***'"),
        ("https://host:8710/path?user=a@b", "https://host:8710/path?user=a@b"),
        ("check user and password in redis.url", "check user and password in redis.url"),
    ],
)
def test_credentials_inside_a_text_are_masked_and_the_rest_stays(text: str, shown: str) -> None:
    assert redacted(text) == shown
    assert redact(None, "", {"event": text, "error": OSError(text)}) == {"event": shown, "error": shown}


def test_secrets_are_masked_as_what_they_are(out: io.StringIO) -> None:
    credentials = Credentials(Secret("hunter2"), Secret("hunter3"))
    configure(stream=out, environment={})
    log.info("venue", who=Secret("hunter2"), both=credentials, listed=[credentials], text=f"{credentials}")
    assert "hunter" not in out.getvalue()
    assert out.getvalue().count("***") == 7


def test_that_there_is_no_secret_is_no_secret(out: io.StringIO) -> None:
    configure(stream=out, environment={})
    log.info("http", token="", password=None, has_token=False)
    assert out.getvalue().endswith('http token="" password=null has_token=false\n')


def test_a_traceback_shows_no_credentials(out: io.StringIO) -> None:
    configure(stream=out, environment={})
    log.error("failed", exc_info=OSError("no answer from redis://u:hunter2@h:1"))
    assert "hunter2" not in out.getvalue()
    assert "redis://u:***@h:1" in out.getvalue()


class Odd(msgspec.Struct):
    name: str
    token: str
    size: Decimal


def test_structs_and_endless_structures_are_shown_as_far_as_they_go(out: io.StringIO) -> None:
    loop: list[Any] = []
    loop.append(loop)
    configure(stream=out, environment={})
    log.info("odd", struct=Odd("a", "hunter2", Decimal("1.50")), loop=loop)
    assert 'struct={"name":"a","token":"***","size":"1.50"}' in out.getvalue()
    assert '"..."' in out.getvalue()


def test_a_line_that_can_not_be_written_stops_nobody_and_is_told_of_later() -> None:
    """The line of an order is written between its answer and its record: a full disk must not break the close."""

    class Full(io.StringIO):
        full = True

        def write(self, text: str) -> int:
            if self.full:
                raise OSError(28, "No space left on device")
            return super().write(text)

    stream = Full()
    configure(stream=stream, environment={})
    log.info("order")
    log.info("order")
    stream.full = False
    log.info("closed")
    log.info("next")
    first, second = stream.getvalue().splitlines()
    assert first.endswith("closed lines_lost=2")
    assert second.endswith("next")


def test_standard_output_stays_empty_for_json() -> None:
    code = "from sureclose.cli.logs import configure; import structlog; configure(); structlog.get_logger().info('up')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == ""
    assert re.fullmatch(rf"{TIME} info     up\n", done.stderr)
