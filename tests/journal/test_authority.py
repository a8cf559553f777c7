"""Grant, freeze and warrants as recorded: said once, and never over what is there already."""

import asyncio

import pytest
from redis.exceptions import ResponseError

from sureclose.journal.authority import Standing, bootstrap, issue_warrant, standing
from sureclose.streams.connection import Log
from tests.journal.journals import Desk


@pytest.fixture
def bare(log: Log, log_prefix: str) -> Desk:
    """An account that nobody has ever used."""
    return Desk(log, log_prefix)


async def first_start(desk: Desk, *, grant: bool, component: str = "execution_service") -> str:
    record = {"component": component, "kind": "BOOTSTRAP"} if grant else {"reason": "nothing is proven"}
    return await bootstrap(
        desk.wire,
        desk.keys,
        f"{desk.prefix}authority.events",
        grant=grant,
        record=record,
        event={"event": "X"},
    )


async def events(desk: Desk) -> int:
    return int(await desk.do("XLEN", f"{desk.prefix}authority.events"))


async def test_an_account_without_record_has_no_grant_and_no_freeze(bare: Desk) -> None:
    found = await standing(bare.wire, bare.keys)
    assert found == Standing(None, {}, {})
    assert not found.frozen


async def test_the_first_start_records_a_grant_or_a_freeze_once(bare: Desk) -> None:
    assert await first_start(bare, grant=True) == "GRANT"
    assert (await standing(bare.wire, bare.keys)).component == "execution_service"
    for grant in (True, False):
        assert await first_start(bare, grant=grant, component="harvest_brain") == "execution_service"
    found = await standing(bare.wire, bare.keys)
    assert (found.component, found.frozen) == ("execution_service", False)
    assert await events(bare) == 1


async def test_a_frozen_account_is_not_granted_to_anybody_by_a_start(bare: Desk) -> None:
    """I8: nothing may close because of a start."""
    assert await first_start(bare, grant=False) == "FREEZE"
    assert await first_start(bare, grant=True) == "FREEZE"
    found = await standing(bare.wire, bare.keys)
    assert (found.component, found.frozen) == (None, True)
    assert await events(bare) == 1


async def test_of_many_first_starts_one_is_the_first(bare: Desk) -> None:
    said = await asyncio.gather(*(first_start(bare, grant=True, component=f"c{n}") for n in range(8)))
    assert said.count("GRANT") == 1
    assert await events(bare) == 1
    winner = (await standing(bare.wire, bare.keys)).component
    assert all(word in {"GRANT", winner} for word in said)


async def test_events_of_the_wrong_type_stop_the_first_start_before_it_writes(bare: Desk) -> None:
    await bare.do("RPUSH", f"{bare.prefix}authority.events", "x")
    before = await bare.everything()
    with pytest.raises(ResponseError, match="WRONGTYPE"):
        await first_start(bare, grant=True)
    assert await bare.everything() == before


async def warrant(desk: Desk, plan_id: str = "plan", ttl_ms: int = 60_000) -> str | None:
    return await issue_warrant(
        desk.wire,
        desk.keys,
        intent_id="intent",
        plan_id=plan_id,
        ttl_ms=ttl_ms,
        events=f"{desk.prefix}authority.events",
        event={"event": "WARRANT"},
        intents=f"{desk.prefix}harvest.intent",
        intent={"intent_id": "intent"},
    )


async def test_a_warrant_is_issued_once_and_its_intent_with_it(bare: Desk) -> None:
    entry_id = await warrant(bare)
    ((found, _),) = await bare.do("XRANGE", f"{bare.prefix}harvest.intent", "-", "+")
    assert found.decode() == entry_id
    before = await bare.everything()
    assert await warrant(bare) is None
    assert await warrant(bare, "another plan") is None
    assert await bare.everything() == before
    assert await bare.do("GET", bare.keys.warrant("intent")) == b"plan"


async def test_a_warrant_expires_by_itself(bare: Desk) -> None:
    assert await warrant(bare, ttl_ms=1) is not None
    while await bare.do("EXISTS", bare.keys.warrant("intent")):
        await asyncio.sleep(0)
    assert await warrant(bare, ttl_ms=60_000) is not None
    assert 0 < await bare.do("PTTL", bare.keys.warrant("intent")) <= 60_000


@pytest.mark.parametrize("stream", ["authority.events", "harvest.intent"])
async def test_a_warrant_that_can_not_be_said_is_not_given(bare: Desk, stream: str) -> None:
    await bare.do("RPUSH", f"{bare.prefix}{stream}", "x")
    before = await bare.everything()
    with pytest.raises(ResponseError, match="WRONGTYPE"):
        await warrant(bare)
    assert await bare.everything() == before


@pytest.mark.parametrize("ttl_ms", [0, -1])
async def test_a_warrant_without_a_life_is_none(bare: Desk, ttl_ms: int) -> None:
    before = await bare.everything()
    with pytest.raises(ResponseError, match="invalid expire"):
        await warrant(bare, ttl_ms=ttl_ms)
    assert await bare.everything() == before
