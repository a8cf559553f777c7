"""A group that nobody reads is revived: what is stale ends on record, what is fresh is executed once, nothing else is sent."""

import asyncio
import contextlib
import json
import re
import signal
import sys
import zlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Iterable
from pathlib import Path
from typing import Any, Final

import pytest
from redis.asyncio import Redis

from sureclose.fault_points import FaultPoint
from tests.acceptance.world import (
    Done,
    Fields,
    Process,
    Scenarios,
    World,
    command,
    decision,
    environment,
    eventually,
    now_ms,
    token,
    world,
)

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(300)]

GROUP: Final = "execution_service_exits"
DAY_MS: Final = 86_400_000
MASKED: Final = "kill_score_close_ok"
STEPS: Final = tuple(
    FaultPoint(f"{when}_drain_{what}") for what in ("note", "batch") for when in ("before", "after")
)


def skip(number: int) -> Fields:
    """What the first users' apply layer wrote: an approval code in the error of a SKIP. In turn flat and wrapped."""
    said = {"plan_id": f"stale{number}", "symbol": "ETHUSDT", "decision": "SKIP", "error": MASKED}
    if number % 10 == 0:
        said = said | {"decision": "CLOSE", "approved": "True", "error": ""}
    if number % 2:
        return said | {"executed": "False", "timestamp": "1770768000"}
    payload = json.dumps(said | {"executed": False, "timestamp": 1770768000})
    return {
        "event_type": "apply.result",
        "payload": payload,
        "timestamp": "1770768000",
        "source": "apply_layer",
    }


class Deployment:
    """A log with streams of its own, and commands on it; no exchange, since nothing is sent."""

    def __init__(self, log_url: str, folder: Path, prefix: str = "") -> None:
        self.prefix = prefix or f"{token()}:quantum:stream:"
        self.stream = self.prefix + "apply.result"
        self.client: Any = Redis.from_url(log_url)
        self.folder = folder
        self.settings = {
            "REDIS__URL": log_url,
            "STREAMS__PREFIX": self.prefix,
            "DATA__DIR": str(folder / "data"),
            "VENUE__BASE_URL": "http://127.0.0.1:9",
            "VENUE__STREAM_URL": "ws://127.0.0.1:9",
            "VENUE__API_KEY": "none",
            "VENUE__API_SECRET": "none",
        }

    async def filled(self, count: int, *, stream: str = "") -> list[str]:
        """Stale results, days old, and a group that was made before them."""
        name = stream or self.stream
        await self.client.xgroup_create(name, GROUP, "0", mkstream=True)
        first = now_ms() - 5 * DAY_MS
        pipe = self.client.pipeline(transaction=False)
        for number in range(count):
            pipe.xadd(name, dict(skip(number)), id=f"{first + 1_000 * number}-0")
        return [entry.decode() for entry in await pipe.execute()]

    async def add(self, fields: Fields, entry_id: str = "*") -> str:
        added: bytes = await self.client.xadd(self.stream, dict(fields), id=entry_id)
        return added.decode()

    def begin(self, *arguments: str, **settings: str) -> Process:
        return Process(["backlog", *arguments], self.settings | settings, self.folder, "backlog")

    async def command(self, *arguments: str, **settings: str) -> Done:
        return await command(*arguments, settings=self.settings | settings, folder=self.folder / "cli")

    async def rows(self) -> list[list[str]]:
        """What is on record, read as the documentation says that it is written."""
        found: list[list[str]] = []
        for _, fields in await self.client.xrange(self.prefix + "sureclose:paper:main:backlog"):
            if fields[b"rows"]:
                found += json.loads(zlib.decompress(fields[b"rows"]))
        return found

    async def pending(self) -> set[str]:
        found = await self.client.xpending_range(self.stream, GROUP, "-", "+", 100_000)
        return {one["message_id"].decode() for one in found}

    async def accounted(self, entries: Iterable[str], left: Iterable[str] = ()) -> None:
        """Each entry has exactly one row and is acknowledged, or has none and is pending."""
        rows = Counter(row[0] for row in await self.rows())
        assert rows == Counter(entries)
        assert await self.pending() == set(left)


@contextlib.asynccontextmanager
async def deployed(log_url: str, folder: Path) -> AsyncIterator[Deployment]:
    found = Deployment(log_url, folder)
    try:
        yield found
    finally:
        await found.client.aclose()


# Revived -------------------------------------------------------------------------------------------------------------


async def _revived(log_url: str, folder: Path) -> None:
    """The whole way: half of it was trimmed unread, a dead consumer holds some, one approval is fresh, one can't be read."""
    async with world(log_url, folder, {"EXECUTION__MAX_AGE_S": "3600"}) as deployment:
        dead = Deployment(log_url, folder, deployment.log.prefix)
        entries = await dead.filled(3_000)
        await dead.client.xreadgroup(GROUP, "harvest_brain_4711", {dead.stream: ">"}, count=100)
        await dead.client.xtrim(dead.stream, minid=entries[1_000], approximate=False)
        held = await deployment.exchange.open()
        fresh = await dead.add(decision(held, "fresh"))
        garbled = await dead.add(decision(held, "garbled") | {"approved": "perhaps"})
        before = await dead.client.xlen(dead.stream)

        looked = await deployment.command("backlog", "plan", GROUP, "--json", "--silent", "0")
        plan = looked.document
        assert looked.code == 0, looked
        assert (plan["readable"], plan["lost"]) == (2_002, 900)
        assert (plan["unread"]["entries"], plan["pending"]["entries"]) == (2_002, 100)
        assert plan["unread"]["classes"] == {
            "not_approved": 1_800,
            "stale_approval": 200,
            "fresh_approval": 1,
            "unreadable": 1,
        }
        assert plan["pending"]["classes"] == {"payload_lost": 100}
        assert plan["unread"]["words"] == {"SKIP": 1_800, "CLOSE": 202}
        assert [one["plan_id"] for one in plan["kept"]] == ["fresh"]
        assert [one["lives"] for one in plan["consumers"]] == [False]
        assert await dead.rows() == []
        assert len(await dead.pending()) == 100, "a look delivers nothing"

        refused = await deployment.command("backlog", "drain", GROUP, "--silent", "0")
        assert refused.code == 1
        assert "--yes" in refused.err
        assert "readable 2,002, lost 900" in refused.err, "it shows what it would do"
        assert await dead.rows() == []

        drained = await deployment.command("backlog", "drain", GROUP, "--yes", "--json", "--silent", "0")
        told = drained.document
        assert drained.code == 0, drained
        assert (told["skipped"], told["kept_count"], told["finished"]) == (2_001, 1, True)
        assert told["reasons"] == {"expired": 2_000, "unreadable": 1}
        assert told["lost"] == {"count": 900, "after": entries[99], "before": entries[1_000]}
        assert told["dead_letters"] == 101, "what was trimmed under its reader, and what can't be read"
        await dead.accounted([*entries[1_000:], garbled], [fresh])
        letters = await deployment.log.entries("dead.letter")
        assert {fields["id"] for _, fields in letters} == {*entries[:100], garbled}
        assert await dead.client.xlen(dead.stream) == before, "nothing was published there"
        assert await deployment.log.entries("execution.result") == []
        await deployment.exchange.untouched(held)

        for wanted in ("stale1010", entries[1_010]):
            traced = await deployment.command("trace", wanted, "--json")
            assert traced.code == 0, traced
            assert traced.document["state"] == "SKIPPED"
            ended = traced.document["steps"][-1]
            assert ended["drain"] == told["drain"]
            assert (ended["reason"], ended["decision"], ended["group"]) == ("expired", "CLOSE", GROUP)
            assert (ended["entry_id"], ended["stream"]) == (entries[1_010], dead.stream)

        running = deployment.run()
        await deployment.up(running)
        assert (await deployment.log.outcome("fresh"))["outcome"] == "FLAT"
        await deployment.exchange.closed_once(held)
        await deployment.log.finished("apply.result", GROUP, fresh)
        await _beside_an_executor(deployment, dead, running)
        assert len((await deployment.exchange.records()).all_placements) == 1, "nothing else was sent"
        await dead.client.aclose()


async def _beside_an_executor(deployment: World, dead: Deployment, running: Process) -> None:
    """Both read one group: what either ends, the other does not, and every entry is ended."""
    running.signal(signal.SIGSTOP)
    known, before = len(await dead.rows()), len(await deployment.log.entries("execution.result"))
    added = [await dead.add(skip(number) | {"timestamp": "1770768000"}) for number in range(1, 1_201, 2)]
    draining = asyncio.create_task(deployment.command("backlog", "drain", GROUP, "--yes", "--json"))
    running.signal(signal.SIGCONT)
    assert (await draining).code == 0
    await deployment.log.finished("apply.result", GROUP, added[-1])
    await deployment.log.consumed_all()
    rows = Counter(row[0] for row in await dead.rows())
    assert set(rows.values()) == {1}
    assert len(rows) >= known
    assert len(await deployment.log.entries("execution.result")) == before, "a SKIP has no outcome"


# Interrupted ---------------------------------------------------------------------------------------------------------


async def killed_at_each_step(log_url: str, folder: Path) -> None:
    """It dies before and after each durable step, then runs to its end; the third time without a word, by SIGKILL."""

    async def crashed(step: FaultPoint) -> None:
        async with deployed(log_url, folder / step) as dead:
            entries = await dead.filled(2_500)
            how = "kill" if step.startswith("after") else "exit"
            for time in ("1", "2"):
                died = await dead.command(
                    *("backlog", "drain", GROUP, "--yes"),
                    SURECLOSE_CRASH_AT=f"{step}:{time}",
                    SURECLOSE_CRASH_HOW=how,
                )
                assert died.code == (-signal.SIGKILL if how == "kill" else 137), died
            done = await dead.command("backlog", "drain", GROUP, "--yes", "--json")
            assert done.document["finished"] is True, done
            await dead.accounted(entries)

    await asyncio.gather(*(crashed(step) for step in STEPS))


async def _interrupted(log_url: str, folder: Path) -> None:
    """Ctrl-C ends it between two batches, says so, and the next goes on; a kill -9 from outside does no harm either."""
    async with deployed(log_url, folder) as dead:
        entries = await dead.filled(20_000)
        for number in (signal.SIGINT, signal.SIGKILL):
            process = dead.begin("drain", GROUP, "--yes", "--json")

            async def begun(known: int = len(await dead.rows())) -> bool | None:
                return len(await dead.rows()) > known or None

            await eventually("a batch is on record", begun)
            process.signal(number)
            code = await process.ended()
            if number == signal.SIGINT and code == 1:
                assert "goes on where it was" in process.told
                assert json.loads(process.out.read_text())["finished"] is False
        done = await dead.command("backlog", "drain", GROUP, "--yes", "--json")
        assert done.document["finished"] is True, done
        await dead.accounted(entries)


async def _two_at_once(log_url: str, folder: Path) -> None:
    async with deployed(log_url, folder) as dead:
        entries = await dead.filled(8_000)
        fresh = await dead.add(decision("BTCUSDT", "fresh", expires_at=str(now_ms() + 3_600_000)))
        runs = [dead.begin("drain", GROUP, "--yes", "--json") for _ in range(2)]
        assert [await run.ended() for run in runs] == [0, 0], [run.told for run in runs]
        told = [json.loads(run.out.read_text()) for run in runs]
        assert sum(one["skipped"] for one in told) == 8_000
        listed = [one["entry_id"] for run in told for one in run["kept"]]
        assert set(listed) == {fresh}, "by both, where the second took it over from the first"
        await dead.accounted(entries, [fresh])


async def _taken_away(log_url: str, folder: Path) -> None:
    """A drain is held up, its name runs out, and another ends what it was given: its own script then writes nothing."""
    async with deployed(log_url, folder) as dead:
        entries = await dead.filled(3_000)
        given = await dead.client.xreadgroup(GROUP, "backlog-1", {dead.stream: ">"}, count=500)
        ours = [entry.decode() for entry, _ in given[0][1]]
        living = await dead.client.set(f"{dead.prefix}sureclose:slot:{GROUP}:backlog:1", "another")
        assert living
        first = await dead.command("backlog", "drain", GROUP, "--yes", "--json", "--silent", "0")
        assert first.document["skipped"] == 2_500, "not what a living one holds"
        assert await dead.pending() == set(ours)
        await dead.client.delete(f"{dead.prefix}sureclose:slot:{GROUP}:backlog:1")
        await dead.client.xack(dead.stream, GROUP, *ours[:100])
        second = await dead.command("backlog", "drain", GROUP, "--yes", "--json", "--silent", "0")
        assert second.document["skipped"] == 400
        await dead.accounted([*ours[100:], *entries[500:]])


# Told ----------------------------------------------------------------------------------------------------------------


async def _told(log_url: str, folder: Path) -> None:
    async with deployed(log_url, folder) as dead:
        none = await dead.command("backlog", "plan", GROUP)
        assert none.code == 2
        assert "there are: none" in none.err
        entries = await dead.filled(1_200)
        await dead.client.xgroup_create(dead.prefix + "apply.plan", GROUP, "0", mkstream=True)
        unknown = await dead.command("backlog", "drain", "execution", "--yes")
        assert unknown.code == 2
        assert f"{GROUP} on apply.plan; {GROUP} on apply.result" in unknown.err
        several = await dead.command("backlog", "plan", GROUP)
        assert several.code == 4
        assert "--stream" in several.err
        chosen = await dead.command("backlog", "plan", GROUP, "--stream", "apply.result")
        assert chosen.code == 0, chosen
        assert re.search(r"class: not_approved +1,080", chosen.out)
        assert "nothing would be sent" in chosen.out
        altered = dead.prefix + "sureclose:paper:main:backlog"
        done = await dead.command("backlog", "drain", GROUP, "--yes", "--stream", dead.stream)
        assert done.code == 0, done
        assert "1,200 entries" in done.out
        [first, second, *_] = await dead.client.xrange(altered)
        body = second[1][b"body"].replace(b'"actor":"', b'"actor":"not-')
        await dead.client.xdel(altered, second[0])
        await dead.client.xadd(altered, {**first[1], b"body": body, b"rows": second[1][b"rows"]})
        traced = await dead.command("trace", entries[1_100], "--json")
        assert traced.document["state"] == "SKIPPED"
        assert {step["step"] for step in traced.document["steps"]} >= {"DRAIN_RECORD_ALTERED", "SKIPPED"}


async def _shown_on_a_terminal(log_url: str, folder: Path) -> None:
    """Who asks a person first shows the plan; a yes drains, and the bar stays on standard error."""
    async with deployed(log_url, folder) as dead:
        await dead.filled(1_500)
        script = folder / "person.py"
        script.write_text(
            "import os, pty, sys\n"
            "seen = b''\n"
            "def read(fd):\n"
            "    global seen\n"
            "    data = os.read(fd, 4096)\n"
            "    seen += data\n"
            "    if b'SKIPPED?' in seen:\n"
            "        os.write(fd, b'y\\n')\n"
            "        seen = b''\n"
            "    return data\n"
            "sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:], read)))\n"
        )
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, str(script), str(Path(sys.executable).parent / "sureclose")),
            *("backlog", "drain", GROUP),
            env=environment(dead.settings) | {"TERM": "xterm"},
            cwd=folder,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await child.communicate()
        text = said.decode()
        assert child.returncode == 0, text
        assert "readable 1,500, lost 0" in text
        assert "1,500 entries" in text
        assert "drained" in text
        assert len(await dead.rows()) == 1_500


# Incidents -----------------------------------------------------------------------------------------------------------


async def _incident_01(log_url: str, folder: Path) -> None:
    """164,515 by the books, 154,000 of them trimmed away: what is left is ended, what is lost is on record."""
    async with deployed(log_url, folder) as dead:
        entries = await dead.filled(1_645)
        await dead.client.xtrim(dead.stream, minid=entries[1_540], approximate=False)
        plan = (await dead.command("backlog", "plan", GROUP, "--json")).document
        assert (plan["readable"], plan["lost"], plan["delivered_at"]) == (105, 1_540, None)
        told = (await dead.command("backlog", "drain", GROUP, "--yes", "--json")).document
        assert (told["skipped"], told["lost"]["count"]) == (105, 1_540)
        [_, started] = (await dead.client.xrange(dead.prefix + "sureclose:paper:main:backlog"))[0]
        body = json.loads(started[b"body"])
        assert (body["kind"], body["readable"]) == ("STARTED", 105)
        assert body["lost"] == {"count": 1_540, "after": "0-0", "before": entries[1_540]}


async def _incident_06(log_url: str, folder: Path) -> None:
    """34 consumers named after processes, all dead: the empty ones go, what the others hold is ended, then they go."""
    async with deployed(log_url, folder) as dead:
        entries = await dead.filled(340)
        for number in range(34):
            name = f"harvest_brain_{4_000 + number}"
            given = await dead.client.xreadgroup(GROUP, name, {dead.stream: ">"}, count=10)
            if number % 2:
                await dead.client.xack(dead.stream, GROUP, *(entry for entry, _ in given[0][1]))
        held = [entry for number, entry in enumerate(entries) if not number // 10 % 2]
        kept = await dead.command("backlog", "reap", GROUP, "--json")
        assert kept.document["groups"][0]["reaped"] == [], "they were heard a moment ago"
        reaped = (await dead.command("backlog", "reap", GROUP, "--json", "--silent", "0")).document["groups"][
            0
        ]
        assert len(reaped["reaped"]) == 17
        assert [(one["pending"], one["lives"]) for one in reaped["holding"]] == [(10, False)] * 17
        assert await dead.pending() == set(held), "who holds something stays"
        listed = await dead.command("backlog", "reap", "--silent", "0")
        assert f"sureclose backlog drain {GROUP}" in listed.out
        drained = await dead.command("backlog", "drain", GROUP, "--yes", "--json", "--silent", "0")
        assert drained.document["skipped"] == 170
        await dead.accounted(held)
        last = (await dead.command("backlog", "reap", GROUP, "--json", "--silent", "0")).document["groups"][0]
        assert len(last["reaped"]) == 18
        assert await dead.client.xinfo_consumers(dead.stream, GROUP) == []


# The tests -----------------------------------------------------------------------------------------------------------


async def test_a_dead_group_is_drained_and_its_one_fresh_approval_is_then_executed_once(
    under_way: Awaitable[None],
) -> None:
    await under_way


async def test_killed_before_and_after_each_step_every_entry_has_one_row_in_the_end(
    under_way: Awaitable[None],
) -> None:
    await under_way


async def test_interrupted_by_hand_or_by_kill_it_goes_on_where_it_was(under_way: Awaitable[None]) -> None:
    await under_way


async def test_two_drains_at_once_double_no_row(under_way: Awaitable[None]) -> None:
    await under_way


async def test_what_a_living_drain_holds_is_not_touched_and_what_another_finished_has_no_row(
    under_way: Awaitable[None],
) -> None:
    await under_way


async def test_it_says_which_groups_there_are_and_which_records_can_not_be_believed(
    under_way: Awaitable[None],
) -> None:
    await under_way


async def test_a_person_on_a_terminal_is_shown_the_plan_and_asked(under_way: Awaitable[None]) -> None:
    await under_way


async def test_incident_01_what_was_trimmed_unread_is_on_record_beside_what_was_ended(
    under_way: Awaitable[None],
) -> None:
    await under_way


async def test_incident_06_dead_consumers_leave_the_group_once_they_hold_nothing(
    under_way: Awaitable[None],
) -> None:
    await under_way


SCENARIOS: Final[Scenarios] = {
    "test_a_dead_group_is_drained_and_its_one_fresh_approval_is_then_executed_once": _revived,
    "test_killed_before_and_after_each_step_every_entry_has_one_row_in_the_end": killed_at_each_step,
    "test_interrupted_by_hand_or_by_kill_it_goes_on_where_it_was": _interrupted,
    "test_two_drains_at_once_double_no_row": _two_at_once,
    "test_what_a_living_drain_holds_is_not_touched_and_what_another_finished_has_no_row": _taken_away,
    "test_it_says_which_groups_there_are_and_which_records_can_not_be_believed": _told,
    "test_a_person_on_a_terminal_is_shown_the_plan_and_asked": _shown_on_a_terminal,
    "test_incident_01_what_was_trimmed_unread_is_on_record_beside_what_was_ended": _incident_01,
    "test_incident_06_dead_consumers_leave_the_group_once_they_hold_nothing": _incident_06,
}
