"""The HTTP door of real processes: what it takes, what it tells, and what it does when they die. The exchange judges."""

import asyncio
import hashlib
import json
import os
import re
import signal
from collections.abc import AsyncIterator, Awaitable
from functools import partial
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest
import pytest_asyncio

from tests.acceptance.door import MACHINE, PERSON, READER, SETTINGS, Door
from tests.acceptance.world import (
    QUICK,
    Held,
    Process,
    Scenarios,
    World,
    descendants,
    eventually,
    hosted,
    judged,
    token,
    typed,
    world,
)
from tests.clients.test_clients import PYTHON

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.timeout(300),
    pytest.mark.usefixtures("all_under_way"),
]
ROOT: Final = Path(__file__).parents[2]


class Two:
    """Two processes on one log, each with its door."""

    def __init__(self, deployment: World, runs: list[Process], doors: list[Door]) -> None:
        self.deployment = deployment
        self.exchange = deployment.exchange
        self.runs = runs
        self.doors = doors
        self.eth = deployment.exchange.reserve("ETHUSDT")
        """The market of the page's examples."""

    @property
    def door(self) -> Door:
        return self.doors[0]

    async def refusals(self, intent_id: str) -> list[dict[str, str]]:
        """What the log has of refused wishes of that name."""
        entries = await self.deployment.log.entries("sureclose:paper:main:refused")
        return [fields for _, fields in entries if fields.get("intent_id") == intent_id]


async def _two(deployment: World, session: aiohttp.ClientSession) -> Two:
    runs = [deployment.run() for _ in range(2)]
    doors = []
    for run in runs:
        line = await run.says("listening")
        doors.append(Door(line.partition("address=")[2].split()[0], session))
    await eventually("one of them executes", lambda: _executes(runs))
    return Two(deployment, runs, doors)


async def _executes(runs: list[Process]) -> bool | None:
    return any("resumed" in run.told for run in runs) or None


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def two(external_log: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Two]:
    folder = tmp_path_factory.mktemp("http")
    async with (
        aiohttp.ClientSession() as session,
        world(external_log, folder, QUICK | SETTINGS) as deployment,
    ):
        yield await _two(deployment, session)


# Asking ----------------------------------------------------------------------------------------------------------------


async def test_a_wish_is_a_close_with_an_address_and_its_repeat_is_the_same(two: Two) -> None:
    held, key = await two.exchange.open(101), token()
    first = await two.door.ask(key, symbol=held.symbol, fraction="0.5", reason="half of it")
    assert first.status == 202
    assert "Idempotency-Replayed" not in first.headers
    assert first.document["state"] == "received"
    close_id = first.document["id"]
    assert first.headers["Location"] == f"/v1/closes/{close_id}"
    ended = await two.door.outcome(close_id)
    assert (ended["state"], ended["executed"], ended["fraction"]) == ("reduced", True, "0.5")
    again = await two.door.ask(key, reason="half of it", fraction=0.50, symbol=held.symbol)
    assert (again.status, again.headers["Idempotency-Replayed"]) == (202, "true")
    assert again.document == ended
    order = await two.exchange.closed_once(held, held.share("0.5"))
    assert ended["order_ids"] == [order["orderId"]]
    assert (await two.door.get(ended["plan_id"])).document["state"] == "reduced"


async def test_the_same_key_at_both_processes_at_once_is_one_close(two: Two) -> None:
    held, key = await two.exchange.open(90), token()
    answers = await asyncio.gather(
        *(door.ask(key, symbol=held.symbol, quantity=str(held.step * 7)) for door in two.doors * 10)
    )
    assert {answer.status for answer in answers} == {202}
    [close_id] = {answer.document["id"] for answer in answers}
    assert sum("Idempotency-Replayed" not in answer.headers for answer in answers) == 1
    await two.door.outcome(close_id)
    await two.exchange.closed_once(held, held.step * 7)


async def test_a_key_belongs_to_its_request_and_to_its_token(two: Two) -> None:
    held, key = await two.exchange.open(80), token()
    await two.door.ask(key, symbol=held.symbol, fraction="0.25")
    other = await two.doors[1].ask(key, symbol=held.symbol, fraction="0.75")
    assert (other.status, other.kind) == (422, "key-reused")
    named = await two.door.ask(key, symbol=held.symbol, fraction="0.25", intent_id=token())
    assert (named.status, named.kind) == (422, "key-reused")
    everything = await two.door.ask(key, "/v1/closes:all", symbols=[held.symbol])
    assert (everything.status, everything.kind) == (422, "key-reused")
    mine = await two.door.ask(key, symbol=held.symbol, fraction="0.25")
    await two.door.outcome(mine.document["id"])
    await two.exchange.closed_once(held, held.share("0.25"))
    persons = await two.door.of(PERSON).ask(key, symbol=held.symbol, fraction="0.5")
    assert persons.document["id"] != mine.document["id"]
    await two.door.outcome(persons.document["id"])


async def test_an_intent_id_is_one_wish_whatever_the_key(two: Two) -> None:
    held, intent_id = await two.exchange.open(70), f"wish {{{token()}}}/ä"
    answers = [
        await two.door.ask(key, symbol=held.symbol, fraction="0.5", intent_id=intent_id)
        for key in (None, token(), token())
    ]
    assert {(answer.status, answer.document["id"]) for answer in answers} == {(202, intent_id)}
    [place] = {answer.headers["Location"] for answer in answers}
    told = await two.door.send("GET", f"{place}?wait=20s")
    assert (told.document["id"], told.document["state"]) == (intent_id, "reduced")
    other = await two.door.ask(token(), symbol=held.symbol, fraction="0.6", intent_id=intent_id)
    assert (other.status, other.kind, other.document["intent_id"]) == (409, "conflict", intent_id)
    assert [one["reason"] for one in await two.refusals(intent_id)] == ["conflict"]
    await two.exchange.closed_once(held, held.share("0.5"))


@pytest.mark.parametrize("dots", [".", ".."])
async def test_a_name_that_has_no_address_is_refused(two: Two, dots: str) -> None:
    answer = await two.door.ask(symbol=two.exchange.unused(), intent_id=dots)
    assert (answer.status, answer.document["reason"]) == (422, "absurd")


async def test_a_person_is_asked_before_a_machines_wish_gets_a_warrant(two: Two) -> None:
    symbol, intent_id = two.exchange.unused(), token()
    assert (await two.door.ask(symbol=symbol, intent_id=intent_id)).status == 202
    wish = ["close", symbol, "--intent-id", intent_id]
    refused = await asyncio.to_thread(typed, two.deployment, wish, "n\n")
    assert (refused.code, "nothing was closed" in refused.out) == (1, True), refused
    events = await two.deployment.log.entries("authority.events")
    assert not [fields for _, fields in events if fields.get("intent_id") == intent_id]


async def test_a_partial_close_needs_a_key_or_a_name_and_a_full_one_does_not(two: Two) -> None:
    held = await two.exchange.open(60)
    for amount in ({"fraction": "0.5"}, {"quantity": "1"}):
        answer = await two.door.ask(symbol=held.symbol, **amount)
        assert (answer.status, answer.kind) == (400, "key-needed")
    full = await two.door.ask(symbol=held.symbol)
    assert (await two.door.outcome(full.document["id"]))["state"] == "flat"
    await two.exchange.closed_once(held)


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"fraction": 25}, "absurd"),
        ({"fraction": -1}, "absurd"),
        ({"fraction": 0}, "absurd"),
        ({"quantity": "1e-400"}, "absurd"),
        ({"quantity": "NaN"}, "absurd"),
        ({"quantity": "9" * 40}, "absurd"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "expired"),
        ({"expires_at": "2100-01-01T00:00:00Z"}, "absurd"),
        ({"expires_at": "tomorrow"}, "absurd"),
        ({"expires_at": 12}, "absurd"),
        ({"mode": "live"}, "other_mode"),
        ({"mode": "test"}, "invalid"),
        ({"size": 1}, "invalid"),
        ({"symbol": " "}, "absurd"),
        ({"symbol": "E\u0000X"}, "absurd"),
    ],
)
async def test_a_wish_that_nobody_could_mean_is_refused_and_its_reason_kept(
    two: Two, wrong: dict[str, Any], reason: str
) -> None:
    intent_id = token()
    answer = await two.door.ask(token(), **({"symbol": "ETHUSDT", "intent_id": intent_id} | wrong))
    assert answer.status == 422
    assert answer.kind == ("invalid" if reason == "invalid" else "refused")
    assert answer.document.get("reason", "invalid") == reason
    assert answer.document["intent_id"] == intent_id
    [kept] = await two.refusals(intent_id)
    assert (kept["where"], kept["reason"], kept["actor"]) == ("http", reason, "default")
    assert kept["seen"]
    assert (await two.door.get(intent_id)).status == 404


async def test_what_expired_since_it_was_asked_for_is_still_the_same_close(two: Two) -> None:
    """The repeat comes when nobody would take the wish any more."""
    held, key = await two.exchange.open(50), token()
    now = await two.door.ask(token(), symbol=two.exchange.unused())
    wish = {"symbol": held.symbol, "expires_at": now.document["requested_at"] + 1_500}
    asked = await two.door.ask(key, **wish)
    ended = await two.door.outcome(asked.document["id"])

    async def refused_anew() -> bool | None:
        return (await two.door.ask(token(), **wish)).status == 422 or None

    await eventually("it has expired", refused_anew)
    again = await two.door.ask(key, **wish)
    assert (again.status, again.document) == (202, ended)
    await two.exchange.closed_once(held)


# Telling ---------------------------------------------------------------------------------------------------------------


async def test_an_id_that_nobody_knows_is_not_found(two: Two) -> None:
    for wanted in ("nobody", "a" * 500, "%00", "%ff", "..%2f..", "%F0%9F%92%A5"):
        assert ((answer := await two.door.get(wanted)).status, answer.kind) == (404, "unknown-close")
        assert (await two.door.send("GET", f"/v1/closes/{wanted}/events")).status == 404


@pytest.mark.parametrize("wait", ["5", "x", "-1s", "1h", "1e3s", "1.5s", "%31s%00", "9999999s"])
async def test_a_wait_that_is_none_is_a_problem(two: Two, wait: str) -> None:
    assert ((answer := await two.door.get("nobody", wait)).status, answer.kind) == (400, "malformed")


async def test_who_waits_is_answered_when_it_is_final_or_the_time_is_up(two: Two) -> None:
    held = await two.exchange.open(44)
    await two.exchange.fault("answer_delayed", held.symbol, ms=700)
    asked = await two.door.ask(symbol=held.symbol)
    close_id = asked.document["id"]
    early = await two.doors[1].get(close_id, "200ms")
    assert (early.status, early.document["final"]) == (200, False)
    late = await two.doors[1].get(close_id, "20s")
    assert (late.document["state"], late.document["final"]) == ("flat", True)


async def test_events_tell_each_state_once_and_end_with_the_final_one(two: Two) -> None:
    held = await two.exchange.open(45)
    await two.exchange.fault("answer_delayed", held.symbol, ms=400)
    asked = await two.door.ask(symbol=held.symbol)
    close_id = asked.document["id"]
    told = [(name, one) async for name, one in two.doors[1].events(close_id) if one is not None]
    states = [one["state"] for _, one in told]
    assert states[-1] == "flat"
    assert "sent" in states
    assert [one["final"] for _, one in told] == [False] * (len(told) - 1) + [True]
    assert len({name for name, _ in told}) == len(told)
    assert told[-1][1] == (await two.door.get(close_id)).document
    again = [one async for _, one in two.door.events(close_id, last=told[-1][0])]
    assert again == [None], "who has seen the last one is told nothing twice"


async def test_the_newest_closes_are_listed(two: Two) -> None:
    held = await two.exchange.open(46)
    asked = await two.door.ask(symbol=held.symbol)
    await two.door.outcome(asked.document["id"])
    listed = await two.door.send("GET", "/v1/closes?limit=100")
    assert asked.document["plan_id"] in {one["plan_id"] for one in listed.document["closes"]}
    assert len((await two.door.send("GET", "/v1/closes?limit=1")).document["closes"]) == 1
    for wrong in ("limit=0", "limit=x", "limit=101", "state=open", "limit=1&limit=2"):
        assert (await two.door.send("GET", f"/v1/closes?{wrong}")).status == 400


# All of them -----------------------------------------------------------------------------------------------------------


async def test_all_is_a_close_of_each_position_of_the_filter_and_its_repeat_is_the_same(two: Two) -> None:
    long, short, other = [await two.exchange.open(steps) for steps in (50, -60, 70)]
    names, key = [long.symbol, short.symbol.lower(), "NOSUCHUSDT"], token()
    body: dict[str, Any] = {"symbols": names, "fraction": "0.5"}
    assert (await two.door.ask(path="/v1/closes:all", **body)).kind == "key-needed"
    assert (await two.door.ask(key, "/v1/closes:all", fraction=25)).status == 422
    answers = await asyncio.gather(*(door.ask(key, "/v1/closes:all", **body) for door in two.doors * 3))
    assert {answer.status for answer in answers} == {202}
    ids = {one["id"]: one["symbol"] for answer in answers for one in answer.document["closes"]}
    assert sorted(ids.values()) == sorted([long.symbol, short.symbol])
    assert {tuple(answer.document["not_open"]) for answer in answers} == {("NOSUCHUSDT",)}
    for close_id in ids:
        assert (await two.door.outcome(close_id))["state"] == "reduced"
    for held in (long, short):
        await two.exchange.closed_once(held, held.share("0.5"))
    again = await two.doors[1].ask(key, "/v1/closes:all", **body)
    assert {one["id"] for one in again.document["closes"]} == set(ids)
    await two.exchange.closed_once(long, long.share("0.5"))
    await two.exchange.untouched(other)
    sided = await two.door.ask(token(), "/v1/closes:all", symbols=names, side="short")
    assert [one["symbol"] for one in sided.document["closes"]] == [short.symbol]
    await two.door.outcome(sided.document["closes"][0]["id"])


# Who may ---------------------------------------------------------------------------------------------------------------


async def test_who_has_no_token_or_not_the_scope_is_told_what_is_missing(two: Two) -> None:
    nobody = await two.door.of("").ask(symbol="ETHUSDT")
    assert (nobody.status, nobody.kind) == (401, "token-needed")
    assert nobody.headers["WWW-Authenticate"] == 'Bearer realm="sureclose"'
    stranger = await two.door.of(MACHINE + "x").ask(symbol="ETHUSDT")
    assert 'error="invalid_token"' in stranger.headers["WWW-Authenticate"]
    for path, scope in (("/v1/closes", "close"), ("/v1/closes:all", "close_all")):
        reader = await two.door.of(READER).ask(token(), path, symbol="ETHUSDT")
        assert (reader.status, reader.kind, reader.document["scope"]) == (403, "scope-missing", scope)
        assert f'scope="{scope}"' in reader.headers["WWW-Authenticate"]
    assert (await two.door.of(READER).get("nobody")).status == 404


async def test_a_flood_without_a_token_locks_out_nobody_who_has_one(two: Two) -> None:
    answers = await asyncio.gather(*(two.doors[1].of("x").get("nobody") for _ in range(60)))
    assert {answer.kind for answer in answers} == {"token-needed", "too-many-failures"}
    assert (await two.doors[1].get("nobody")).status == 404


async def test_a_persons_close_is_a_warrant_and_a_machines_is_none(two: Two) -> None:
    held, intent_id = await two.exchange.open(33), token()
    asked = await two.door.of(PERSON).ask(symbol=held.symbol, intent_id=intent_id)
    assert asked.document["warranted"] is True
    await two.door.outcome(intent_id)
    events = await two.deployment.log.entries("authority.events")
    warrants = [json.loads(fields["facts"]) for _, fields in events if fields["event"] == "WARRANT"]
    assert [one["actor"] for one in warrants if one["intent_id"] == intent_id] == ["alice"]
    assert {one["actor"] for one in warrants} == {"alice"}, "a machine's is none"


async def test_what_is_too_large_or_no_json_is_refused_before_it_is_read(two: Two) -> None:
    large = await two.door.send("POST", "/v1/closes", token(), b'{"symbol": "' + b"A" * 70_000 + b'"}')
    assert (large.status, large.kind) == (413, "too-large")
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    other = await two.door.send("POST", "/v1/closes", token(), b"symbol=ETHUSDT", **form)
    assert (other.status, other.kind) == (415, "not-json")
    packed = await two.door.send("POST", "/v1/closes", token(), b"{}", **{"Content-Encoding": "gzip"})
    assert packed.status in {400, 415}
    long = await two.door.get("a" * 3_000)
    assert (long.status, long.kind) == (414, "address-too-long")
    for key in ("", "a b", "a" * 256, "ä"):
        assert (await two.door.ask(key, symbol="ETHUSDT")).status == 400


# What is told of it ----------------------------------------------------------------------------------------------------


async def test_the_document_and_the_page_are_told_without_a_token(two: Two) -> None:
    document = (await two.door.of("").send("GET", "/v1/openapi.json")).document
    assert document["openapi"] == "3.1.0"
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{two.door.address}/v1/docs") as answer,
    ):
        assert (answer.status, answer.content_type) == (200, "text/html")
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


async def test_schemathesis_finds_no_500(two: Two, tmp_path: Path) -> None:
    """Some of what the document allows and does not; SCHEMATHESIS="--phases coverage,fuzzing" tries more of it."""
    phases = os.environ.get("SCHEMATHESIS", "--phases examples,fuzzing --max-examples 8").split()
    child = await asyncio.create_subprocess_exec(
        *(PYTHON.with_name("schemathesis"), "run", f"{two.doors[1].address}/v1/openapi.json"),
        *(
            "--header",
            f"Authorization: Bearer {MACHINE}",
            "--checks",
            "not_a_server_error,status_code_conformance",
        ),
        *("--checks", "content_type_conformance,response_schema_conformance"),
        *(*phases, "--seed", "1", "--no-color"),
        *("--exclude-operation-id", "followClose", "--request-timeout", "40"),
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await child.communicate()
    assert child.returncode == 0, said.decode()
    assert not [run.told.partition("http_failed")[2][:3_000] for run in two.runs if "http_failed" in run.told]


async def test_the_examples_of_the_page_about_it_do_what_they_say(two: Two, tmp_path: Path) -> None:
    page = (ROOT / "docs" / "http.md").read_text()
    blocks = re.findall(r"^```sh(?: (refused))?\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert len(blocks) > 5
    await two.exchange.put(two.eth, two.eth.step * 100)
    for refused, block in blocks:
        child = await asyncio.create_subprocess_exec(
            *("sh", "-euc", block),
            env={"PATH": os.environ["PATH"], "SURECLOSE_URL": two.door.address, "SURECLOSE_TOKEN": PERSON},
            cwd=tmp_path,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await child.communicate()
        assert child.returncode == (22 if refused else 0), (block, out, err)


async def test_no_token_is_in_a_log_or_in_a_trace(two: Two) -> None:
    secrets = (MACHINE, PERSON, READER)
    for run in two.runs:
        assert not [secret for secret in secrets if secret in run.told + run.out.read_text()]
    for stream in ("harvest.intent", "authority.events", "sureclose:paper:main:refused"):
        entries = str(await two.deployment.log.entries(stream))
        assert not [secret for secret in secrets if secret in entries]
    shown = await two.deployment.command("show-config", "--json")
    assert shown.code == 0
    digests = [hashlib.sha256(secret.encode()).hexdigest() for secret in secrets]
    assert not [secret for secret in (*secrets, *digests) if secret in shown.out]


# Scenarios of their own ------------------------------------------------------------------------------------------------


async def _killed_under_load(log_url: str, folder: Path) -> None:
    async with (
        aiohttp.ClientSession() as session,
        world(log_url, folder, QUICK | SETTINGS) as deployment,
    ):
        two = await _two(deployment, session)
        held = [await deployment.exchange.open(40 + number) for number in range(24)]
        acknowledged: dict[str, tuple[str, Held]] = {}

        async def ask(key: str, one: Held, door: Door) -> None:
            answer = await door.ask(key, symbol=one.symbol, fraction="0.5")
            if answer.status == 202:
                acknowledged[key] = (answer.document["id"], one)

        wishes = {token(): one for one in held}
        asking = [asyncio.create_task(ask(key, one, two.door)) for key, one in wishes.items()]
        await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
        two.runs[0].kill()
        await asyncio.gather(*asking, return_exceptions=True)
        assert acknowledged
        survivor = two.doors[1]
        for close_id, _ in acknowledged.values():
            assert (await survivor.get(close_id)).status == 200
        known = dict(acknowledged)
        await asyncio.gather(*(ask(key, one, survivor) for key, one in wishes.items()))
        assert len(acknowledged) == len(held)
        assert {key: acknowledged[key] for key in known} == known
        ended = await asyncio.gather(*(survivor.outcome(close_id) for close_id, _ in acknowledged.values()))
        assert {one["state"] for one in ended} == {"reduced"}
        books = await deployment.exchange.records()
        for _, one in acknowledged.values():
            judged(books, one, one.share("0.5"))
        line = await deployment.run().says("listening")
        again = Door(line.partition("address=")[2].split()[0], session)
        for key, (close_id, one) in acknowledged.items():
            assert (await again.ask(key, symbol=one.symbol, fraction="0.5")).document["id"] == close_id


async def _log_stands_still(_: str, folder: Path) -> None:
    async with (
        aiohttp.ClientSession() as session,
        hosted(
            folder, QUICK | SETTINGS | {"HTTP__MOST_WAITING": "2", "HTTP__RATE_PER_S": "50"}
        ) as deployment,
    ):
        run = await deployment.start()
        door = Door((await run.says("listening")).partition("address=")[2].split()[0], session)
        await deployment.exchange.list_markets()
        held, key = await deployment.exchange.open(30), token()
        asked = await door.ask(key, symbol=held.symbol, fraction="0.5")
        ended = await door.outcome(asked.document["id"])
        [server] = [
            pid for pid in descendants(run.pid) if "valkey" in Path(f"/proc/{pid}/cmdline").read_text()
        ]
        os.kill(server, signal.SIGSTOP)
        try:
            answers = await asyncio.gather(
                door.get(ended["id"]),
                door.get(ended["id"], "5s"),
                door.ask(key, symbol=held.symbol, fraction="0.5"),
                door.ask(token(), symbol=held.symbol, fraction="0.25"),
                door.ask(token(), "/v1/closes:all", symbols=[held.symbol]),
                door.send("GET", "/v1/closes"),
                door.send("GET", f"/v1/closes/{ended['id']}/events"),
            )
        finally:
            os.kill(server, signal.SIGCONT)
        assert {(answer.status, answer.kind) for answer in answers} == {(503, "log-unavailable")}
        assert {answer.headers["Retry-After"] for answer in answers} == {"1"}

        async def answers_again() -> bool | None:
            return (await door.get(ended["id"])).document == ended or None

        await eventually("the door answers again", answers_again)
        await deployment.exchange.fault("answer_delayed", held.symbol, ms=2_000, count=2)
        slow = (await door.ask(token(), symbol=held.symbol, fraction="0.5")).document["id"]
        waits = [asyncio.create_task(door.get(slow, "1500ms")) for _ in range(3)]
        done, _pending = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        [full] = [task.result() for task in done]
        assert (full.status, full.kind) == (429, "too-many-waiting")
        await asyncio.gather(*waits)
        assert (await door.get(slow, "1ms")).status == 200, "their places are free again"
        stuck = await deployment.log.unheard(held.symbol)
        waits = [asyncio.create_task(door.get(stuck, "30s")) for _ in range(2)]
        await eventually("both have their places", partial(_status, door, stuck, 429))
        for task in waits:
            task.cancel()
        await eventually("who has gone has no place", partial(_status, door, stuck, 200), 10)
        assert not (await door.get(stuck)).document["final"]
        flood = await asyncio.gather(*(door.get("nobody") for _ in range(120)))
        assert {answer.status for answer in flood} == {404, 429}
        assert {answer.kind for answer in flood if answer.status == 429} == {"rate"}


async def _status(door: Door, close_id: str, wanted: int) -> bool | None:
    await asyncio.sleep(0.1)  # the rate of this door is low
    return (await door.get(close_id, "1ms")).status == wanted or None


async def _shut(log_url: str, folder: Path) -> None:
    async with (
        aiohttp.ClientSession() as session,
        world(log_url, folder) as deployment,
    ):
        run = deployment.run("--roles", "apply-layer")
        door = Door((await run.says("listening")).partition("address=")[2].split()[0], session)
        for answer in (await door.ask(symbol="ETHUSDT"), await door.get("nobody")):
            assert (answer.status, answer.kind) == (403, "no-tokens")
            assert "sureclose token new" in answer.document["detail"]
        made = await deployment.command("token", "new", "alice", "--scope", "close_all", "--person")
        assert made.code == 0, made
        secret, _, lines = made.out.strip().partition("\n\n")
        file = folder / "tokens.toml"
        file.write_text(lines)
        executor = deployment.run()
        await deployment.up(executor)
        frozen = await deployment.command("freeze", "--reason", "a drill")
        assert frozen.code == 0, frozen
        held = [await deployment.exchange.open(steps) for steps in (40, -41)]
        deployment.run()  # another one, whose door stays shut
        opened = Process(
            ["-c", str(file), "run", "--roles", "apply-layer"], deployment.settings, folder, "with-token"
        )
        try:
            address = (await opened.says("listening")).partition("address=")[2].split()[0]
            alice = Door(address, session, secret)
            answer = await alice.ask("panic", "/v1/closes:all")
            assert answer.status == 202
            assert {one["symbol"] for one in answer.document["closes"]} == {one.symbol for one in held}
            for one in held:
                await eventually("it is flat", partial(_flat, deployment, one))
                await deployment.exchange.closed_once(one)
        finally:
            opened.kill()


async def _flat(deployment: World, held: Held) -> bool | None:
    return (await deployment.exchange.amount(held.symbol)) == 0 or None


async def test_what_was_acknowledged_before_a_kill_is_there_after_it(under_way: Awaitable[None]) -> None:
    await under_way


async def test_where_the_log_does_not_answer_nothing_is_claimed(under_way: Awaitable[None]) -> None:
    await under_way


async def test_a_door_without_tokens_is_shut_and_a_persons_works_under_freeze(
    under_way: Awaitable[None],
) -> None:
    await under_way


SCENARIOS: Final[Scenarios] = {
    "test_what_was_acknowledged_before_a_kill_is_there_after_it": _killed_under_load,
    "test_where_the_log_does_not_answer_nothing_is_claimed": _log_stands_still,
    "test_a_door_without_tokens_is_shut_and_a_persons_works_under_freeze": _shut,
}
