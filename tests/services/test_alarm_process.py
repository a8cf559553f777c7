"""Alarms of real processes: from the stream to an operator's program, over a kill, and at the very end."""

import json
import os
import shlex
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from sureclose.streams.embedded import EmbeddedServer
from tests.acceptance.world import QUICK, decision, descendants, eventually, hosted, now_ms, token, world

pytestmark = pytest.mark.timeout(180)

_WRITE = "import sys; open(sys.argv[1], 'a').write(sys.stdin.read() + chr(10))"


class Book:
    """What the operator's program wrote down."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "told.jsonl"
        self.command = shlex.join([sys.executable, "-I", "-S", "-c", _WRITE, str(self._file)])

    @property
    def alarms(self) -> list[dict[str, Any]]:
        lines = self._file.read_text().splitlines() if self._file.exists() else []
        return [json.loads(line) for line in lines if line]

    async def has(self, kind: str, state: str) -> dict[str, Any]:
        async def found() -> dict[str, Any] | None:
            return next((a for a in self.alarms if (a["alarm"], a["state"]) == (kind, state)), None)

        return await eventually(f"{kind} is {state}", found, 60, told=lambda: repr(self.alarms))


def expired(symbol: str, plan_id: str) -> dict[str, str]:
    return decision(symbol, plan_id, expires_at=str(now_ms() - 60_000))


async def test_approvals_that_expired_on_an_open_position_are_told_once_over_a_kill_until_it_is_closed(
    shared_log: EmbeddedServer, tmp_path: Path
) -> None:
    book = Book(tmp_path)
    settings = {**QUICK, "ALERTS__COMMAND": book.command}
    async with world(shared_log.tcp_url, tmp_path, settings) as deployment:
        run = deployment.run()
        await deployment.up(run)
        held, plans = await deployment.exchange.open(), [token() for _ in range(50)]
        for plan_id in plans:
            await deployment.log.add("apply.result", expired(held.symbol, plan_id))
        for plan_id in plans:
            outcome = await deployment.log.outcome(plan_id)
            assert (outcome["outcome"], outcome["reason"]) == ("SKIPPED", "expired")
        raised = await book.has("EXPIRED_OPEN", "raised")
        assert raised["subject"] == held.symbol
        assert raised["mode"] == "paper"
        assert raised["account"] == "paper:main"
        run.kill()
        again = deployment.run()
        address = await deployment.up(again)
        await deployment.log.add("apply.result", expired(held.symbol, token()))
        async with aiohttp.ClientSession() as client:

            async def told_of() -> dict[str, Any] | None:
                async with client.get(f"{address}/health") as answer:
                    found = await answer.json()
                return next((c for c in found["checks"] if c == _check("1 EXPIRED_OPEN", c)), None)

            await eventually("health names it", told_of)
            async with client.get(f"{address}/metrics") as answer:
                assert 'sureclose_alarms{kind="EXPIRED_OPEN"} 1.0' in await answer.text()
        await deployment.log.add("apply.result", decision(held, token()))
        await book.has("EXPIRED_OPEN", "cleared")
        again.signal(signal.SIGTERM)
        assert await again.ended() == 0, again.told
    assert [(alarm["alarm"], alarm["state"]) for alarm in book.alarms] == [
        ("EXPIRED_OPEN", "raised"),
        ("EXPIRED_OPEN", "cleared"),
    ]
    assert "alarm_cleared" in again.told


def _check(detail: str, found: dict[str, str]) -> dict[str, str]:
    return found | {"name": "alarms", "status": "warn", "detail": detail}


async def test_an_exchange_that_cannot_have_its_address_again_is_told_before_the_process_ends(
    tmp_path: Path,
) -> None:
    book = Book(tmp_path)
    async with hosted(tmp_path, {**QUICK, "ALERTS__COMMAND": book.command}) as deployment:
        run = await deployment.start()
        port = int(deployment.exchange.rest.rpartition(":")[2])
        run.signal(signal.SIGSTOP)
        for pid in descendants(run.pid):
            if b"paper.jsonl" in Path(f"/proc/{pid}/cmdline").read_bytes():
                os.kill(pid, signal.SIGKILL)
        with await eventually("the port is free for a stranger", _taken(port)):
            run.signal(signal.SIGCONT)
            assert await run.ended(60) == 1, run.told
        assert "paper_port_taken" in run.told
        [raised] = [alarm for alarm in book.alarms if alarm["alarm"] == "DEAD_TASK"]
        assert (raised["subject"], raised["level"]) == ("host", "critical")
        assert "has another address now" in raised["facts"]["why"]


def _taken(port: int) -> Callable[[], Awaitable[socket.socket | None]]:
    """A stranger's socket on the port, once that can be had."""

    async def taken() -> socket.socket | None:
        try:
            return socket.create_server(("127.0.0.1", port))
        except OSError:
            return None

    return taken


async def test_doctor_says_where_alarms_go_or_that_nobody_is_told(tmp_path: Path) -> None:
    async with hosted(tmp_path) as deployment:
        await deployment.start()
        nobody = await deployment.command("doctor", "--json")
        told = await deployment.command(
            "doctor", "--json", ALERTS__WEBHOOK_URL="https://hooks.example/top-secret"
        )
    found = {check["name"]: check for check in nobody.document["checks"]}["alarms"]
    assert found["status"] == "warn"
    assert found["remedy"] == "set alerts.command or alerts.webhook_url"
    found = {check["name"]: check for check in told.document["checks"]}["alarms"]
    assert (found["status"], found["detail"]) == ("ok", "go to a webhook at hooks.example")
    assert "top-secret" not in told.out + told.err
