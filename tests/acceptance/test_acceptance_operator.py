"""What an operator sees: the six proofs, and no secret anywhere."""

import asyncio
import json
import os
import stat
import sys
from collections.abc import Awaitable
from pathlib import Path
from typing import Any, Final

import pytest

from tests.acceptance.world import (
    SURECLOSE,
    Done,
    Scenarios,
    World,
    command,
    descendants,
    hosted,
    judged,
    popen,
    token,
    world,
)

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(300)]

NAMES: Final = [
    "CLOSE intent generated (harvest.intent)",
    "Service consumes intent",
    "Binance order placed",
    "Order confirmation received",
    "Position goes to 0",
    "System survives restart",
]


# The proofs ---------------------------------------------------------------------------------------------------------


def _six_hold(done: Done) -> dict[str, Any]:
    """The document of the issue, and each proof with fresh evidence of its plan."""
    assert done.code == 0, done
    document: dict[str, Any] = done.document
    proofs = document["proofs"]
    assert [(proof["number"], proof["name"]) for proof in proofs] == list(enumerate(NAMES, 1))
    assert all(proof["holds"] is True for proof in proofs)
    assert all(proof["evidence"]["plan_id"] == document["plan_id"] for proof in proofs[:5])
    assert proofs[5]["evidence"]["start_to_first_entry_read_ms"] < 10_000
    folder = Path(document["evidence_folder"])
    assert json.loads((folder / "proofs.json").read_text()) == document
    assert json.loads((folder / "proof-6.json").read_text())["evidence"] == proofs[5]["evidence"]
    return document


async def _proven_on_a_fresh_folder(_: str, folder: Path) -> None:
    done = await command("prove", "--json", "--out", "evidence", folder=folder, begin=popen)
    document = _six_hold(done)
    assert document["evidence_folder"] == str(folder / "evidence")
    assert not done.err.startswith("{")
    again = await command("prove", folder=folder)
    assert again.code == 0, again
    assert "6 of 6 hold" in again.out
    for name in NAMES:
        assert name.split()[0] in again.out


async def _proven_on_existing_positions(log_url: str, folder: Path) -> None:
    async with world(log_url, folder) as deployment:
        venue = deployment.exchange
        first, second, spared = await venue.open(20), await venue.open(-30), await venue.open(40)
        named = f"{first.symbol},{second.symbol}"
        refused = await deployment.command("prove", "--symbols", named)
        assert refused.code == 1
        assert "--yes" in refused.err
        await venue.untouched(first)
        flat = await deployment.command("prove", "--symbols", f"{first.symbol},{venue.unused()}", "--yes")
        assert flat.code == 4
        assert "no open position" in flat.err
        unnamed = await deployment.command("prove", "--yes")
        assert unnamed.code == 4
        assert "--symbols" in unnamed.err
        done = await deployment.command("prove", "--symbols", named, "--yes", "--json")
        document = _six_hold(done)
        books = await venue.records()
        order, survived = judged(books, first), judged(books, second)
        placed = document["proofs"][2]["evidence"]["orders"]
        assert [one["client_order_id"] for one in placed] == [order["clientOrderId"]]
        assert document["proofs"][5]["evidence"]["effective_orders"] == [survived["clientOrderId"]]
        await venue.untouched(spared)
        asked = [request["params"]["symbol"] for request in books.all_placements]
        assert sorted(set(asked)) == sorted([first.symbol, second.symbol]), "nothing was opened"


async def _proven_across_a_restart_command(log_url: str, folder: Path) -> None:
    """The command that the operator names, here a service manager in eight lines."""
    async with world(log_url, folder) as deployment:
        venue = deployment.exchange
        first, second = await venue.open(20), await venue.open(-30)
        running = deployment.run()
        await deployment.up(running)
        pid = folder / "pid"
        pid.write_text(str(running.pid))
        restart = folder / "restart.py"
        restart.write_text(
            "import os, pathlib, signal, subprocess\n"
            f"pid = pathlib.Path({str(pid)!r})\n"
            "os.killpg(int(pid.read_text()), signal.SIGKILL)\n"
            f"log = open({str(folder / 'restarted.log')!r}, 'wb')\n"
            f"new = subprocess.Popen([{SURECLOSE!r}, 'run'], stdout=log, stderr=log, start_new_session=True)\n"
            "pid.write_text(str(new.pid))\n"
        )
        try:
            done = await deployment.command(
                *("prove", "--symbols", f"{first.symbol},{second.symbol}", "--yes", "--json"),
                *("--restart-command", f"{sys.executable} {restart}"),
            )
            document = _six_hold(done)
            assert "restart.py" in document["proofs"][5]["evidence"]["killed_by"]
            books = await venue.records()
            judged(books, first)
            judged(books, second)
            assert int(pid.read_text()) != running.pid
            assert await deployment.log.lease_owner() == int(pid.read_text()), "it was left running"
        finally:
            if int(pid.read_text()) != running.pid:
                os.killpg(int(pid.read_text()), 9)


async def _no_proof_beside_a_run(_: str, folder: Path) -> None:
    async with hosted(folder) as deployment:
        await deployment.start()
        done = await deployment.command("prove")
        assert done.code == 1, done
        assert "sureclose run" in done.err
        assert "--restart-command" in done.err
        assert await deployment.log.entries("harvest.intent") == []


# Secrets ------------------------------------------------------------------------------------------------------------


async def _nothing_secret_is_told(log_url: str, folder: Path) -> None:
    """Every command once, then every file, every output and every command line is searched."""
    webhook, http_token = f"https://hooks.example/{token()}", f"bearer-{token()}"
    async with world(log_url, folder / "outside", symbols=30) as deployment:
        venue = deployment.exchange
        secret = {"HTTP__TOKEN": http_token, "ALERTS__WEBHOOK_URL": webhook}
        run = deployment.run(**secret)
        await deployment.up(run)
        first, second, third = await venue.open(), await venue.open(), await venue.open()
        lines = _command_lines()
        closing = deployment.command("-v", "close", first.symbol, "--wait", "--json", **secret)
        proving = asyncio.create_task(_proven_beside(deployment, second.symbol, third.symbol, secret))
        done = await closing
        lines |= _command_lines()
        told = [done]
        plan_id = done.document["plan_id"]
        commands = (["trace", plan_id], ["trace", plan_id, "--json"], ["doctor"], ["show-config"])
        told += [await deployment.command("-v", *arguments, **secret) for arguments in commands]
        told.append(await deployment.command("doctor", VENUE__API_SECRET="wrong-but-secret", **secret))
        told.append(await deployment.command("doctor", REDIS__URL="redis://:wrong-password@127.0.0.1:1/0"))
        told.append(await proving)
        lines |= _command_lines()
        password = log_url.partition("://:")[2].partition("@")[0]
        secrets = [venue.secret, http_token, password, webhook, "wrong-but-secret", "wrong-password"]
        for secret_text in secrets:
            assert secret_text
            assert not [line for line in lines if secret_text in line]
            assert not [one for one in told if secret_text in one.out + one.err]
            assert not _files_with(folder, secret_text, but={"paper"})


async def _proven_beside(deployment: World, one: str, other: str, secret: dict[str, str]) -> Done:
    """The proofs, which end without six since another process executes; their evidence is what is wanted here."""
    return await deployment.command("-v", "prove", "--symbols", f"{one},{other}", "--yes", "--json", **secret)


def _command_lines() -> set[str]:
    """As ``ps`` shows them, of everything below the tests."""
    lines = set()
    for pid in descendants(os.getpid()):
        try:
            lines.add(Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " "))
        except OSError:
            continue
    return lines


def _files_with(folder: Path, text: str, but: set[str]) -> list[Path]:
    """The exchange tells its keys once, on its own ready line, which is where everybody gets them from."""
    return [
        path
        for path in folder.rglob("*")
        if path.is_file() and path.name.partition("-")[0] not in but and text.encode() in path.read_bytes()
    ]


async def _only_the_owner_reads_what_is_secret(_: str, folder: Path) -> None:
    async with hosted(folder) as deployment:
        await deployment.start()
        keys = json.loads((deployment.data / "runtime.json").read_text())
        texts = {keys["paper"]["api_secret"], keys["log_url"].partition("://:")[2].partition("@")[0]}
        for text in texts:
            found = _files_with(folder, text, but=set())
            assert found
            for path in found:
                assert path.suffix not in {".err", ".out", ".log"}, path
                assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
            assert not [line for line in _command_lines() if text in line]


# The tests ----------------------------------------------------------------------------------------------------------


async def test_prove_shows_six_facts_on_a_fresh_folder_and_again_on_a_used_one(
    under_way: Awaitable[None],
) -> None:
    await under_way


async def test_prove_closes_two_existing_positions_and_never_opens_anything(
    under_way: Awaitable[None],
) -> None:
    await under_way


async def test_prove_restarts_a_service_by_its_command(under_way: Awaitable[None]) -> None:
    await under_way


async def test_prove_beside_a_run_of_its_folder_says_what_to_do(under_way: Awaitable[None]) -> None:
    await under_way


async def test_no_secret_is_in_any_output_log_evidence_or_command_line(under_way: Awaitable[None]) -> None:
    await under_way


async def test_files_with_secrets_are_their_owners_only(under_way: Awaitable[None]) -> None:
    await under_way


SCENARIOS: Final[Scenarios] = {
    "test_prove_shows_six_facts_on_a_fresh_folder_and_again_on_a_used_one": _proven_on_a_fresh_folder,
    "test_prove_closes_two_existing_positions_and_never_opens_anything": _proven_on_existing_positions,
    "test_prove_restarts_a_service_by_its_command": _proven_across_a_restart_command,
    "test_prove_beside_a_run_of_its_folder_says_what_to_do": _no_proof_beside_a_run,
    "test_no_secret_is_in_any_output_log_evidence_or_command_line": _nothing_secret_is_told,
    "test_files_with_secrets_are_their_owners_only": _only_the_owner_reads_what_is_secret,
}
