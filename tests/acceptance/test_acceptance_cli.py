"""The commands as a newcomer types them: what they do, what they say, and with which exit code."""

import asyncio
import contextlib
import json
import signal
import socket
import tomllib
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Final

import pytest
import pytest_asyncio

from tests.acceptance.world import (
    Done,
    Process,
    World,
    beside,
    command,
    decision,
    eventually,
    hosted,
    judged,
    popen,
    token,
    typed,
    world,
)

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.usefixtures("all_under_way")]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def deployment(external_log: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with world(external_log, tmp_path_factory.mktemp("cli")) as found:
        await found.up(found.run())
        yield found


def _one_line(done: Done, *said: str) -> None:
    """An error is one line on standard error, nothing on standard output, and says what to do."""
    lines = [line for line in done.err.splitlines() if line.startswith("sureclose: ")]
    assert len(lines) == 1, done
    assert done.out == "", done
    assert "Traceback" not in done.err
    for part in said:
        assert part in lines[0], done


COMMANDS: Final = (
    "run",
    "paper",
    "close",
    "panic",
    "prove",
    "trace",
    "reconcile",
    "resolve",
    "verify",
    "audit",
    "authority",
    "freeze",
    "unfreeze",
    "safety",
    "harvest",
    "backlog",
    "token",
    "hooks",
    "doctor",
    "new-config",
    "show-config",
)


@pytest.mark.parametrize("name", COMMANDS)
async def test_each_command_starts_as_a_shell_starts_it(tmp_path: Path, name: str) -> None:
    """It imports what it needs by itself: other tests start it where all is imported."""
    done = await command(name, "--help", folder=tmp_path, begin=popen)
    assert done.code == 0, done
    assert done.out.startswith(f"Usage: sureclose {name} "), done


async def test_all_commands_are_listed(tmp_path: Path) -> None:
    done = await command("--help", folder=tmp_path, begin=popen)
    listed = done.out.partition("Commands:\n")[2].splitlines()
    assert {line.split()[0] for line in listed if line[2:3].strip()} == set(COMMANDS), done


# close --------------------------------------------------------------------------------------------------------------


async def test_close_with_wait_returns_flat_and_0(deployment: World) -> None:
    held = await deployment.exchange.open()
    done = await deployment.command("close", held.symbol, "--wait")
    assert done.code == 0, done
    order = judged(await deployment.exchange.records(), held)
    assert "FLAT" in done.out
    assert str(order["orderId"]) in done.out
    assert order["clientOrderId"] in done.out


async def test_close_with_json_prints_one_document_and_nothing_else(deployment: World) -> None:
    held = await deployment.exchange.open(-50)
    done = await deployment.command("close", held.symbol.lower(), "--wait", "--json")
    assert done.code == 0, done
    order = judged(await deployment.exchange.records(), held)
    assert done.document["outcome"] == "FLAT"
    assert done.document["order_ids"] == str(order["orderId"])
    assert done.document["symbol"] == held.symbol


async def test_close_without_wait_publishes_and_says_the_plan(deployment: World) -> None:
    held = await deployment.exchange.open()
    done = await deployment.command("close", held.symbol, "--json")
    assert (done.code, done.document["state"]) == (0, "published"), done
    assert (await deployment.log.outcome(done.document["plan_id"]))["outcome"] == "FLAT"
    judged(await deployment.exchange.records(), held)


async def test_close_of_half_leaves_half_and_is_0(deployment: World) -> None:
    held = await deployment.exchange.open(101)
    done = await deployment.command("close", held.symbol, "--fraction", "0.5", "--wait", "--json")
    assert (done.code, done.document["outcome"]) == (0, "REDUCED"), done
    judged(await deployment.exchange.records(), held, held.step * 50)


async def test_close_of_a_quantity_closes_at_most_that(deployment: World) -> None:
    held = await deployment.exchange.open(101)
    some = f"{held.step * 7:f}"
    done = await deployment.command("close", held.symbol, "--quantity", some, "--wait", "--json")
    assert (done.code, done.document["outcome"]) == (0, "REDUCED"), done
    judged(await deployment.exchange.records(), held, held.step * 7)


async def test_a_preview_tells_the_order_and_whose_right_it_goes_on_and_sends_nothing(
    deployment: World,
) -> None:
    held = await deployment.exchange.open(-101)
    done, table, other = await asyncio.gather(
        deployment.command("close", held.symbol, "--fraction", "0.5", "--preview", "--json"),
        deployment.command("close", "--all", "--dry-run"),
        deployment.command("close", held.symbol, "--side", "long", "--preview", "--json"),
    )
    assert done.code == 0, done
    [one] = done.document["closes"]
    assert (one["symbol"], one["side"], one["orders"], one["obstacle"]) == (held.symbol, "BUY", 1, None)
    assert Decimal(one["quantity"]) == held.step * 50
    assert Decimal(one["position"]) + held.step * 50 == Decimal(one["left"])
    assert Decimal(one["value"]) == Decimal(one["quantity"]) * Decimal(one["mark_price"]) > 0
    assert done.document["granted_to"] == "execution_service"
    assert (done.document["frozen"], bool(done.document["executed_by"])) == ([], True)
    assert (table.code, f"BUY {held.step * 101:f}" in table.out, "warrant" in table.out) == (0, True, True)
    assert (other.code, other.document["closes"][0]["obstacle"]) == (1, "other_side"), other
    await deployment.exchange.untouched(held)


async def test_a_person_on_a_terminal_is_asked_and_sees_each_state(deployment: World, tmp_path: Path) -> None:
    held = await deployment.exchange.open()
    refused = await asyncio.to_thread(typed, deployment, ["close", held.symbol, "--wait"], "n\n")
    assert (refused.code, "nothing was closed" in refused.out) == (1, True), refused
    assert f"SELL {abs(held.amount):f}" in refused.out
    await deployment.exchange.untouched(held)
    wish = ["close", held.symbol, "--wait", "--intent-id", f"mine-{token()}"]
    done = await asyncio.to_thread(typed, deployment, wish, "y\n")
    assert (done.code, "FLAT" in done.out) == (0, True), done
    again = await asyncio.to_thread(typed, deployment, wish, "")
    assert (again.code, "asked for at" in again.out) == (0, True), again
    judged(await deployment.exchange.records(), held)


async def test_close_of_a_short_that_is_a_long_is_refused_clearly(deployment: World) -> None:
    held = await deployment.exchange.open(101)
    done = await deployment.command("close", held.symbol, "--side", "short", "--wait")
    assert done.code == 1, done
    assert "other_side" in done.out
    assert "the position is on the other side" in done.err
    await deployment.exchange.untouched(held)


async def test_close_of_the_named_side_closes_it(deployment: World) -> None:
    held = await deployment.exchange.open(-101)
    done = await deployment.command("close", held.symbol, "--side", "short", "--wait")
    assert done.code == 0, done
    judged(await deployment.exchange.records(), held)


async def test_close_of_a_flat_symbol_is_done_already(deployment: World) -> None:
    done = await deployment.command("close", deployment.exchange.unused(), "--wait", "--json")
    assert (done.code, done.document["outcome"]) == (0, "ALREADY_FLAT"), done


async def test_close_of_a_symbol_that_is_not_listed_is_an_error_that_says_so(deployment: World) -> None:
    done = await deployment.command("close", "NOSUCHUSDT", "--wait")
    assert done.code == 1, done
    assert "no such symbol" in done.err


async def test_the_same_intent_id_twice_closes_once(deployment: World) -> None:
    held = await deployment.exchange.open()
    wish = f"mine-{token()}"
    first = await deployment.command("close", held.symbol, "--intent-id", wish, "--wait")
    second = await deployment.command("close", held.symbol, "--intent-id", wish, "--wait")
    assert (first.code, second.code) == (0, 0), second
    assert "asked for at" in second.err
    assert "FLAT" in second.out
    judged(await deployment.exchange.records(), held)


async def test_another_wish_under_the_same_intent_id_is_an_error_that_names_the_first(
    deployment: World,
) -> None:
    held = await deployment.exchange.open()
    wish = f"mine-{token()}"
    first = await deployment.command("close", held.symbol, "--intent-id", wish, "--wait")
    other = await deployment.command("close", held.symbol, "--intent-id", wish, "--fraction", "0.5")
    assert (first.code, other.code) == (0, 1), other
    _one_line(other, wish, "asked for already", held.symbol)
    judged(await deployment.exchange.records(), held)


async def test_a_fraction_out_of_range_is_a_usage_error(deployment: World) -> None:
    fractions = ("7", "0", "half")
    for done in await asyncio.gather(
        *(deployment.command("close", "ETHUSDT", f"--fraction={fraction}") for fraction in fractions)
    ):
        assert done.code == 4, done
        assert "half is 0.5" in done.err
        assert done.out == ""


async def test_close_where_nothing_runs_is_3_and_publishes_nothing(
    external_log: str, deployment: World, tmp_path: Path
) -> None:
    async with beside(deployment.exchange, external_log, tmp_path) as idle:
        embedded, external = await asyncio.gather(
            command("close", "ETHUSDT", folder=tmp_path / "empty"), idle.command("close", "ETHUSDT", "--wait")
        )
        assert (embedded.code, external.code) == (3, 3)
        _one_line(embedded, "sureclose run")
        _one_line(external, "sureclose run")
        assert await idle.log.entries("harvest.intent") == []
    assert not (tmp_path / "empty" / "sureclose-data" / "log").exists()


async def test_close_that_is_not_done_in_time_is_5_and_goes_on(
    external_log: str, deployment: World, tmp_path: Path
) -> None:
    async with beside(deployment.exchange, external_log, tmp_path) as slow:
        run = slow.run()
        await slow.up(run)
        held = await deployment.exchange.open()
        run.signal(signal.SIGSTOP)
        done = await slow.command("close", held.symbol, "--wait", "--timeout", "0.5")
        run.signal(signal.SIGCONT)
        assert done.code == 5, done
        _one_line(done, "sureclose trace ")
        plan_id = done.err.partition("sureclose trace ")[2].split("`")[0]
        assert (await slow.log.outcome(plan_id))["outcome"] == "FLAT"
        judged(await deployment.exchange.records(), held)


# trace --------------------------------------------------------------------------------------------------------------


async def test_trace_tells_the_whole_way_of_a_close(deployment: World) -> None:
    held = await deployment.exchange.open()
    closed = await deployment.command("close", held.symbol, "--wait", "--json")
    plan_id = closed.document["plan_id"]
    human, document = await asyncio.gather(
        deployment.command("trace", plan_id), deployment.command("trace", plan_id, "--json")
    )
    assert (human.code, document.code) == (0, 0), (human, document)
    order = judged(await deployment.exchange.records(), held)
    steps = [step["step"] for step in document.document["steps"]]
    assert steps == [
        *("harvest.intent", "apply.plan", "apply.result"),
        *("ADMITTED", "SIZED", "SENDING", "SEEN", "FILLED", "ENDED"),
        *("apply.result", "execution.result"),
    ]
    times = [step["since_start_ms"] for step in document.document["steps"]]
    assert times == sorted(times)
    for said in (plan_id, order["clientOrderId"], "harvest.intent", "SENDING", "FILLED", "FLAT"):
        assert said in human.out, said


async def test_trace_of_a_bare_decision_and_of_one_that_was_skipped(deployment: World) -> None:
    held = await deployment.exchange.open()
    stale, fresh = token(), token()
    await deployment.log.add("apply.result", decision(held, stale, timestamp="1770768100"))
    await deployment.log.add("apply.result", decision(held, fresh))
    await deployment.log.outcome(stale)
    await deployment.log.outcome(fresh)
    for plan_id, state, outcome in ((stale, "SKIPPED", "SKIPPED"), (fresh, "DONE", "FLAT")):
        done = await deployment.command("trace", plan_id, "--json")
        assert (done.code, done.document["state"]) == (0, state)
        assert done.document["steps"][-1]["outcome"] == outcome


async def test_trace_of_an_unknown_plan_is_2(deployment: World) -> None:
    human, document = await asyncio.gather(
        deployment.command("trace", "nobody-knows"), deployment.command("trace", "nobody-knows", "--json")
    )
    assert (human.code, document.code) == (2, 2)
    _one_line(human, "nobody-knows")
    _one_line(document, "nobody-knows")


# Configuration ------------------------------------------------------------------------------------------------------


async def test_a_new_configuration_can_be_used_as_it_is(tmp_path: Path) -> None:
    written = await command("new-config", "mine.toml", folder=tmp_path)
    assert (written.code, written.out) == (0, "wrote mine.toml\n"), written
    assert tomllib.loads((tmp_path / "mine.toml").read_text())["http"]["port"] == 8710
    again, used, default = await asyncio.gather(
        command("new-config", "mine.toml", folder=tmp_path),
        command("-c", "mine.toml", "show-config", "--json", folder=tmp_path),
        command("show-config", "--json", folder=tmp_path / "elsewhere"),
    )
    assert again.code == 4
    _one_line(again, "mine.toml", "exists already")
    assert used.code == 0
    assert used.document == default.document


async def test_later_files_win_and_the_environment_wins_over_them(tmp_path: Path) -> None:
    (tmp_path / "one.toml").write_text("[execution]\nmax_age_s = 30\ndrain_s = 3\n[venue]\naccount = 'a'\n")
    (tmp_path / "two.toml").write_text("[execution]\nmax_age_s = 40\ndrain_s = 4\n")
    done = await command(
        *("-c", "one.toml", "-c", "two.toml", "show-config", "--json"),
        settings={"EXECUTION__DRAIN_S": "5"},
        folder=tmp_path,
    )
    shown = done.document
    assert (shown["execution"]["max_age_s"], shown["execution"]["drain_s"]) == (40, 5)
    assert shown["venue"]["account"] == "a"


async def test_show_config_shows_no_secret(tmp_path: Path) -> None:
    settings = {
        "REDIS__URL": "redis://me:hunter2@127.0.0.1:1/0",
        "HTTP__TOKEN": "t0ken-t0ken",
        "ALERTS__WEBHOOK_URL": "https://hooks.example/T000/B000/XXXX",
        "VENUE__API_KEY": "the-key-itself",
        "VENUE__API_SECRET": "the-secret-itself",
    }
    human, document = await asyncio.gather(
        command("show-config", settings=settings, folder=tmp_path),
        command("show-config", "--json", settings=settings, folder=tmp_path),
    )
    assert (human.code, document.code) == (0, 0)
    for secret in ("hunter2", "t0ken", "T000", "the-key", "the-secret"):
        assert secret not in human.out + human.err + document.out + document.err
    assert "127.0.0.1:1" in document.document["redis"]["url"]


WRONG: Final = {
    "[execution]\nmax_age = 5\n": "max_age",
    "[redis]\nurll = 'embedded'\n": "urll",
    "[nosuch]\na = 5\n": "nosuch",
    "[execution]\nmax_age_s = 'soon'\n": "execution.max_age_s",
    "[execution]\nmax_age_s = 0\n": "execution.max_age_s",
    "[venue]\nenvironment = 'papper'\n": "papper",
    "[venue]\napi_secret = 'abc'\n": "SURECLOSE__VENUE__API_SECRET",
    "[redis]\nurl = 'http://127.0.0.1'\n": "redis.url",
    "x = [\n": "wrong.toml",
}


async def _is_4(text: str, said: str, folder: Path) -> None:
    folder.mkdir()
    (folder / "wrong.toml").write_text(text)
    done = await command("-c", "wrong.toml", "doctor", folder=folder)
    assert done.code == 4, (text, done)
    _one_line(done, said)
    assert not (folder / "sureclose-data").exists()


async def test_a_wrong_configuration_is_4_and_names_what_is_wrong(tmp_path: Path) -> None:
    cases = enumerate(WRONG.items())
    await asyncio.gather(*(_is_4(text, said, tmp_path / str(number)) for number, (text, said) in cases))


async def test_a_wrong_environment_is_4_and_names_the_variable(tmp_path: Path) -> None:
    wrong, unknown, missing = await asyncio.gather(
        command("run", settings={"EXECUTION": "5"}, folder=tmp_path),
        command("run", settings={"EXECUTION__MAX_AGE": "5"}, folder=tmp_path),
        command("-c", "nowhere.toml", "run", folder=tmp_path),
    )
    assert (wrong.code, unknown.code, missing.code) == (4, 4, 4)
    _one_line(wrong, "SURECLOSE__EXECUTION")
    _one_line(unknown, "max_age")
    _one_line(missing, "nowhere.toml", "new-config")


async def test_a_venue_without_keys_is_4_and_names_them(deployment: World) -> None:
    both = await deployment.command("run", VENUE__API_KEY="", VENUE__API_SECRET="")
    one = await deployment.command("run", VENUE__API_SECRET="")
    assert (both.code, one.code) == (4, 4)
    _one_line(both, "SURECLOSE__VENUE__API_KEY", "SURECLOSE__VENUE__API_SECRET")
    _one_line(one, "SURECLOSE__VENUE__API_SECRET")


async def test_keys_may_come_from_files(deployment: World, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(deployment.exchange.secret + "\n")
    file = {"VENUE__API_SECRET_FILE": str(tmp_path / "secret"), "VENUE__API_SECRET": ""}
    done = await deployment.command("doctor", "--json", **file)
    assert done.code == 0, done


# run and doctor -----------------------------------------------------------------------------------------------------


async def test_doctor_says_how_everything_is(deployment: World) -> None:
    done = await deployment.command("doctor", "--json")
    assert done.code == 0, done
    found = {check["name"]: check["status"] for check in done.document["checks"]}
    for name in ("log", "venue clock", "venue keys", "position mode", "authority", "executor"):
        assert found[name] == "ok", done
    wiring = [status for name, status in found.items() if name.startswith("wiring ")]
    assert wiring == ["ok"] * 3
    assert found["execute_is_approval"] == "ok"


async def test_doctor_fails_where_the_venue_does_not_answer_or_refuses_the_keys(deployment: World) -> None:
    gone, refused = await asyncio.gather(
        deployment.command("doctor", "--json", VENUE__BASE_URL="http://127.0.0.1:1"),
        deployment.command("doctor", "--json", VENUE__API_SECRET="not-it"),
    )
    assert (gone.code, refused.code) == (1, 1)
    assert {c["name"] for c in gone.document["checks"] if c["status"] == "fail"} >= {"venue clock"}
    failed = {c["name"]: c for c in refused.document["checks"] if c["status"] == "fail"}
    assert "venue keys" in failed
    assert failed["venue keys"]["remedy"]


async def test_a_web_port_in_use_is_one_clear_line(deployment: World) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = await deployment.command("run", HTTP__PORT=port)
    assert done.code == 1, done
    _one_line(done, port, "http.port")


async def test_a_log_that_does_not_answer_is_named_without_its_password(tmp_path: Path) -> None:
    settings = {"REDIS__URL": "redis://:hunter2@127.0.0.1:1/0"}
    done = await command("doctor", settings=settings, folder=tmp_path)
    assert done.code == 1
    _one_line(done, "127.0.0.1:1", "redis.url")
    assert "hunter2" not in done.err


async def test_run_waits_for_a_log_that_does_not_answer_and_says_so_once(tmp_path: Path) -> None:
    """After a power cut everything starts at once; whoever asks it to end while it waits is obeyed."""
    settings = {"REDIS__URL": "redis://:hunter2@127.0.0.1:1/0"}
    run = Process(["run"], settings, tmp_path, "run")
    said = await run.says("log.failing")
    assert "127.0.0.1:1" in said
    assert "redis.url" in said
    run.signal(signal.SIGTERM)
    assert await run.ended() == 1
    assert run.told.count("log.failing") == 1
    assert "hunter2" not in run.told


async def test_an_old_redis_is_refused_with_its_version_and_what_to_do(
    deployment: World, tmp_path: Path
) -> None:
    async with _old_redis() as port:
        settings = {"REDIS__URL": f"redis://127.0.0.1:{port}/0", **deployment.exchange.settings}
        done = await command("run", settings=settings, folder=tmp_path)
    assert done.code == 1, done
    _one_line(done, "6.2.14", "7.0", "embedded")


@contextlib.asynccontextmanager
async def _old_redis() -> AsyncIterator[int]:
    """Enough of a Redis 6.2 to be recognised."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while header := await reader.readline():
                parts = []
                for _ in range(int(header[1:])):
                    size = int((await reader.readline())[1:])
                    parts.append((await reader.readexactly(size + 2))[:-2])
                text = b"# Server\r\nredis_version:6.2.14\r\nredis_mode:standalone\r\n"
                info = b"$%d\r\n%s\r\n" % (len(text), text)
                writer.write(info if parts[0].upper() == b"INFO" else b"+OK\r\n")
                await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


async def test_a_role_that_does_not_exist_is_a_usage_error(tmp_path: Path) -> None:
    done = await command("run", "--roles", "execution,nosuch", folder=tmp_path)
    assert done.code == 4
    assert "nosuch" in done.err
    assert "apply-layer" in done.err


async def test_roles_can_be_divided_between_processes(
    external_log: str, deployment: World, tmp_path: Path
) -> None:
    async with beside(deployment.exchange, external_log, tmp_path) as divided:
        divided.run("--roles", "intent-executor")
        divided.run("--roles", "apply-layer")
        await divided.up(divided.run("--roles", "execution"))
        held = await deployment.exchange.open()
        done = await divided.command("close", held.symbol, "--wait")
        assert done.code == 0, done
        judged(await deployment.exchange.records(), held)


async def test_the_version_and_the_help_come_at_once(tmp_path: Path) -> None:
    version, usage = await asyncio.gather(command("-V", folder=tmp_path), command("--help", folder=tmp_path))
    assert (version.code, usage.code) == (0, 0)
    assert version.out.startswith("sureclose ")
    for name in ("run", "paper", "close", "prove", "trace", "doctor", "new-config", "show-config"):
        assert name in usage.out


# One data folder ----------------------------------------------------------------------------------------------------


async def test_a_second_run_in_a_data_folder_attaches_and_stands_by(tmp_path: Path) -> None:
    async with hosted(tmp_path) as folder:
        first = await folder.start()
        second = folder.beside()
        await second.says("listening")
        assert "hosting=false" in await second.says("starting")
        assert "lease_taken" not in second.told
        second.signal(signal.SIGTERM)
        assert await second.ended() == 0
        assert (await folder.command("doctor")).code == 0
        first.signal(signal.SIGTERM)
        assert await first.ended() == 0

        async def put_away() -> bool | None:
            return not (folder.data / "runtime.json").exists() or None

        await eventually("nothing is published any more", put_away)
        assert json.loads((await folder.command("show-config", "--json")).out)
