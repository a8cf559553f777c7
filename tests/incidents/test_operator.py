"""What people are told, and what they hold in their hands: verbs, answers, keys and secrets."""

import os
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from redis.asyncio import Redis

from tests.acceptance.world import QUICK, Done, Process, command, decision, descendants, eventually, token
from tests.incidents.plays import Stage, alone, shared
from tests.incidents.staged import staged

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(300)]


# Verbs ---------------------------------------------------------------------------------------------------------------


async def _close(stage: Stage, symbol: str, *more: str) -> Done:
    done = await stage.world.command("close", symbol, "--wait", "--json", *more)
    if done.out:
        stage.plans.append(done.document["plan_id"])
    return done


@shared
async def test_incident_101_a_close_that_returns_0_is_flat_at_the_venue(stage: Stage) -> None:
    held = await stage.open()
    await stage.venue.fault("unknown_503_not_executed", held.symbol)
    done = await _close(stage, held.symbol)
    assert (done.code, done.document["state"], done.document["outcome"]) == (0, "flat", "FLAT"), done
    order = await stage.venue.closed_once(held)
    assert done.document["order_ids"] == str(order["orderId"])


@shared
async def test_incident_101_a_close_that_was_refused_says_refused(stage: Stage) -> None:
    held = await stage.open()
    await stage.venue.fault("refused", held.symbol, code=-4141)
    done = await _close(stage, held.symbol)
    assert (done.code, done.document["outcome"], done.document["code"]) == (1, "REFUSED", "-4141"), done
    assert done.document["executed"] == "False"


@shared
async def test_incident_101_a_close_that_is_not_done_in_time_claims_nothing(stage: Stage) -> None:
    held = await stage.open()
    await stage.venue.fault("refused", held.symbol, code=-1112, count=6)
    done = await _close(stage, held.symbol, "--timeout", "0.5")
    assert (done.code, done.out) == (5, ""), done
    assert "no outcome within" in done.err
    assert "trace" in done.err


@alone
async def test_incident_101_a_close_whose_outcome_is_unknown_says_unknown(log_url: str, folder: Path) -> None:
    """The position went to zero and no order that the venue shows did it: parked, and never called a success."""
    settings = QUICK | {"EXECUTION__PARK_AFTER_MS": "300"}
    async with staged(log_url, folder, settings) as stage:
        await stage.world.up(stage.world.run())
        held = await stage.open()
        await stage.venue.fault("answer_dropped", held.symbol)
        match = {"symbol": held.symbol}
        await stage.control("faults", fault="stream_silent", match=match)
        for lag in ("read_lag", "list_lag"):
            await stage.control("faults", fault=lag, ms=600_000, match=match)
        done = await _close(stage, held.symbol)
        assert (done.code, done.document["outcome"]) == (6, "PARKED"), done
        assert done.document["executed"] == "False"
        assert len(await stage.sent(held.symbol)) == 1


@shared
async def test_incident_114_the_answer_names_the_state_and_published_is_not_done(stage: Stage) -> None:
    held = await stage.open()
    await stage.venue.fault("refused", held.symbol, code=-1112, count=8)
    done = await stage.world.command("close", held.symbol, "--json")
    assert (done.code, done.document["state"]) == (0, "published"), done
    assert not {"outcome", "executed", "order_ids", "filled_qty"} & set(done.document)
    stage.plans.append(done.document["plan_id"])
    assert (await stage.books()).position(held.symbol) == held.amount, "nothing was executed when it answered"
    assert (await stage.outcome(done.document["plan_id"]))["outcome"] == "FLAT"
    await stage.venue.closed_once(held)


@shared
async def test_incident_114_no_address_answers_200_to_an_order(stage: Stage) -> None:
    line = await stage.world.runs[0].says("listening")
    address = line.partition("address=")[2].split()[0]
    async with aiohttp.ClientSession() as session:
        for path in ("/close", "/order", "/api/close", "/ping", "/health"):
            async with session.post(f"{address}{path}", json={"symbol": "BTCUSDT"}) as answer:
                assert answer.status in {404, 405}, path


# Vetoes --------------------------------------------------------------------------------------------------------------


@alone
async def test_incident_102_a_person_s_close_passes_under_freeze_and_says_when_nothing_runs(
    log_url: str, folder: Path
) -> None:
    async with staged(log_url, folder) as stage:
        held, other = await stage.open(), await stage.open()
        stopped = await stage.world.command("close", held.symbol, "--wait", "--json")
        assert stopped.code == 3, stopped
        assert await stage.world.log.entries("harvest.intent") == []
        await stage.world.up(stage.world.run())
        key = stage.world.log.prefix + "sureclose:paper:main:freeze"
        async with Redis.from_url(log_url) as client:
            await client.hset(key, "reason", "a test")
        machine = await stage.outcome(await stage.decide(other))
        assert (machine["outcome"], machine["reason"]) == ("SKIPPED", "frozen")
        await stage.venue.untouched(other)
        done = await _close(stage, held.symbol)
        assert (done.code, done.document["outcome"]) == (0, "FLAT"), done
        await stage.venue.closed_once(held)


# Proofs --------------------------------------------------------------------------------------------------------------


@alone
async def test_incident_64_a_symbol_that_does_not_exist_is_no_proof(log_url: str, folder: Path) -> None:
    async with staged(log_url, folder) as stage:
        held = await stage.open()
        named = f"NOSUCHUSDT,{held.symbol}"
        done = await stage.world.command("prove", "--symbols", named, "--yes", "--json")
        assert done.code == 4, done
        assert done.out == ""
        assert "NOSUCHUSDT" in done.err
        assert await stage.world.log.entries("harvest.intent") == []
        await stage.venue.untouched(held)
        await stage.world.up(stage.world.run())
        closing = await stage.world.command("close", "NOSUCHUSDT", "--wait", "--json")
        assert (closing.code, closing.document["outcome"]) == (1, "REFUSED"), closing


# Environment, host and keys ------------------------------------------------------------------------------------------


@alone
async def test_incident_65_nothing_starts_with_an_address_of_another_environment(
    log_url: str, folder: Path
) -> None:
    for environment, address in (
        ("demo", "https://fapi.binance.com"),
        ("live", "https://testnet.binancefuture.com"),
        ("paper", "https://fapi.binance.com"),
    ):
        settings = {
            "REDIS__URL": log_url,
            "STREAMS__PREFIX": f"{token()}:",
            "DATA__DIR": str(folder / "data"),
            "VENUE__ENVIRONMENT": environment,
            "VENUE__BASE_URL": address,
            "VENUE__API_KEY": "k" * 64,
            "VENUE__API_SECRET": "s" * 64,
        }
        done = await command("run", settings=settings, folder=folder)
        assert done.code == 4, done
        assert "venue.base_url" in done.err
        assert environment in done.err


@alone
async def test_incident_65_an_executor_whose_keys_the_venue_refuses_is_not_ready(
    log_url: str, folder: Path
) -> None:
    """Keys of another exchange: what was approved can't be executed, so nobody may be told that all is well."""
    async with staged(log_url, folder) as stage:
        wrong = {"VENUE__API_KEY": "a1" * 32, "VENUE__API_SECRET": "b2" * 32}
        doctor = await stage.world.command("doctor", "--json", **wrong)
        assert doctor.code == 1, doctor
        (keys,) = [check for check in doctor.document["checks"] if check["name"] == "venue keys"]
        assert keys["status"] == "fail"
        assert "-2015" in keys["detail"]
        held = await stage.open()
        run = stage.world.run(**wrong)
        line = await run.says("listening")
        address = line.partition("address=")[2].split()[0]
        await run.says("resumed")
        plan_id = await stage.decide(held)
        await run.says("-2015")
        assert stage.watch.results(plan_id) == []

        async def refused() -> dict[str, str] | None:
            """A reason that goes away with the right keys; that it has not read yet is none."""
            async with aiohttp.ClientSession() as session, session.get(f"{address}/ready") as answer:
                checks = (await answer.json())["checks"]
            failing = [check for check in checks if check["status"] == "fail"]
            return next((one for one in failing if "key" in one["detail"] or "-2015" in one["detail"]), None)

        await eventually("it is not ready, because of its keys", refused, 5.0, told=lambda: run.told)
        await stage.venue.untouched(held)


# Secrets -------------------------------------------------------------------------------------------------------------


@alone
async def test_incident_66_no_part_of_a_secret_is_told_when_everything_fails(
    log_url: str, folder: Path
) -> None:
    """Faults, refusals, alarms and traces: no output, no file, no record and no command line has it, nor its beginning."""
    hook, http_token, wrong = f"https://hooks.example/{token()}", f"bearer-{token()}", token() * 4
    async with staged(log_url, folder) as stage:
        world, secret = stage.world, {"HTTP__TOKEN": http_token, "ALERTS__WEBHOOK_URL": hook}
        run = Process(["-v", "run"], world.settings | secret, folder, "run")
        world.runs.append(run)
        address = await world.up(run)
        lines = _command_lines()
        told = [await _failing_closes(stage), (await world.command("-v", "doctor", **secret)).out]
        for more in ({"VENUE__API_KEY": wrong}, {"VENUE__API_SECRET": wrong}):
            closing = world.command("-v", "doctor", **(secret | more))
            lines |= _command_lines()
            done = await closing
            told += [done.out, done.err]
        for plan_id in stage.plans:
            done = await world.command("-v", "trace", plan_id, "--json", **secret)
            told += [done.out, done.err]
        done = await world.command("-v", "verify", "--export", str(folder / "journal.jsonl"), **secret)
        told += [done.out, done.err]
        async with aiohttp.ClientSession() as session:
            for path in ("/health", "/ready", "/metrics"):
                async with session.get(f"{address}{path}") as answer:
                    told.append(await answer.text())
        lines |= _command_lines()
        recorded = await _everything(log_url, world.log.prefix)
        password = log_url.partition("://:")[2].partition("@")[0]
        for text in (stage.venue.secret, http_token, password, hook, wrong):
            for part in {text, text[:12]} if text != hook else {text}:
                assert len(part) >= 8
                assert not [line for line in lines if part in line]
                assert not [one for one in told if part in one]
                assert part.encode() not in recorded
                assert not _files_with(folder, part)


async def _failing_closes(stage: Stage) -> str:
    """Closes that meet what makes programs talk; what they published."""
    for fault, more in (
        ("answer_html", {}),
        ("answer_cut", {}),
        ("unexpected_1006", {}),
        ("refused", {"code": -4164}),
        ("refused", {"code": -1022}),
        ("refused", {"code": -2015}),
    ):
        held = await stage.open(9, tradable=False)
        await stage.venue.fault(fault, held.symbol, **more)
        await stage.decide(held)
    found = [str(await stage.outcome(plan_id)) for plan_id in stage.plans]
    await stage.world.log.add("apply.result", decision("BTCUSDT", token(), action="NONSENSE"))

    async def letter() -> bool | None:
        return bool(await stage.world.log.entries("dead.letter")) or None

    await eventually("a dead letter", letter)
    return " ".join(found)


def _command_lines() -> set[str]:
    """As ``ps`` shows them, of everything below the tests."""
    lines = set()
    for pid in descendants(os.getpid()):
        try:
            lines.add(Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " "))
        except OSError:
            continue
    return lines


async def _everything(log_url: str, prefix: str) -> bytes:
    """Every key of the deployment with all that it holds, as bytes."""
    found: list[bytes] = []
    async with Redis.from_url(log_url) as client:
        reads: dict[Any, Any] = {
            b"stream": client.xrange,
            b"hash": client.hgetall,
            b"string": client.get,
            b"zset": lambda key: client.zrange(key, 0, -1, withscores=True),
            b"set": client.smembers,
            b"list": lambda key: client.lrange(key, 0, -1),
        }
        async for key in client.scan_iter(match=f"{prefix}*", count=1000):
            kind = await client.type(key)
            found.append(repr((key, await reads[kind](key))).encode())
    assert len(found) > 10
    return b"\n".join(found)


def _files_with(folder: Path, text: str) -> list[Path]:
    """The exchange tells its keys once, on its own ready line, which is where everybody gets them from."""
    return [
        path
        for path in folder.rglob("*")
        if path.is_file() and path.name.partition("-")[0] != "paper" and text.encode() in path.read_bytes()
    ]
