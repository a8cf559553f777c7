"""A wish is said once, whoever asks how often; a person's repeat of a machine's adds the warrant."""

import asyncio

import pytest
from redis.exceptions import ResponseError

from sureclose.journal.asking import Record, Saying, Warrant, Word, ask, asked
from tests.journal.journals import Desk


@pytest.fixture
def bare(log: object, log_prefix: str, request: pytest.FixtureRequest) -> Desk:
    return Desk(request.getfixturevalue("log"), log_prefix)


def record(plan_id: str = "plan") -> Record:
    return Record(
        plan_id=plan_id,
        symbol="ETHUSDT",
        position_side="BOTH",
        action="CLOSE",
        at=1_000,
        expires_at=61_000,
        door="test",
        actor="ann",
    )


async def say(desk: Desk, plan_id: str = "plan", warrant_ms: int = 0) -> tuple[Word, Record]:
    warrant = (
        Warrant(warrant_ms, Saying(f"{desk.prefix}authority.events", {"event": "WARRANT"}))
        if warrant_ms
        else None
    )
    intent = Saying(f"{desk.prefix}harvest.intent", {"intent_id": "intent"})
    return await ask(desk.wire, desk.keys, "intent", record(plan_id), intent, warrant)


async def said(desk: Desk) -> list[str]:
    return [entry.decode() for entry, _ in await desk.do("XRANGE", f"{desk.prefix}harvest.intent", "-", "+")]


async def test_a_machine_s_wish_is_said_once_and_has_no_warrant(bare: Desk) -> None:
    word, first = await say(bare)
    assert word is Word.ASKED
    assert await said(bare) == [first.entry_id]
    before = await bare.everything()
    assert await say(bare) == (Word.KNOWN, first)
    assert await bare.everything() == before
    assert not await bare.do("EXISTS", bare.keys.warrant("intent"))


async def test_a_person_s_wish_has_its_warrant_from_the_same_step(bare: Desk) -> None:
    word, first = await say(bare, warrant_ms=60_000)
    assert word is Word.ASKED
    assert first.warrant_at > 0
    assert await bare.do("GET", bare.keys.warrant("intent")) == b"plan"
    assert 0 < await bare.do("PTTL", bare.keys.warrant("intent")) <= 60_000
    before = await bare.everything()
    assert await say(bare, warrant_ms=60_000) == (Word.KNOWN, first)
    assert await say(bare) == (Word.KNOWN, first)
    assert await bare.everything() == before


async def test_a_person_s_repeat_of_a_machine_s_wish_is_warranted_and_said_again(bare: Desk) -> None:
    _, first = await say(bare)
    word, second = await say(bare, warrant_ms=60_000)
    assert word is Word.WARRANTED
    assert second.entry_id == first.entry_id
    assert len(await said(bare)) == 2
    assert await bare.do("GET", bare.keys.warrant("intent")) == b"plan"
    assert (await say(bare, warrant_ms=60_000))[0] is Word.KNOWN


async def test_a_repeat_after_the_warrant_has_run_out_is_no_second_wish(bare: Desk) -> None:
    """A client that repeats a request minutes later means the close that it asked for then."""
    await say(bare, warrant_ms=1)
    while await bare.do("EXISTS", bare.keys.warrant("intent")):
        await asyncio.sleep(0)
    assert (await say(bare, warrant_ms=60_000))[0] is Word.KNOWN
    assert len(await said(bare)) == 1


@pytest.mark.parametrize("warrant_ms", [0, 60_000])
async def test_another_wish_under_the_same_id_is_not_said(bare: Desk, warrant_ms: int) -> None:
    _, first = await say(bare)
    before = await bare.everything()
    assert await say(bare, "another plan", warrant_ms) == (Word.OTHER, first)
    assert await bare.everything() == before


async def test_of_many_at_once_one_is_said(bare: Desk) -> None:
    words = [word for word, _ in await asyncio.gather(*(say(bare, warrant_ms=60_000) for _ in range(20)))]
    assert sorted(words) == [Word.ASKED, *[Word.KNOWN] * 19]
    assert len(await said(bare)) == 1


async def test_what_was_asked_for_is_remembered_as_it_was(bare: Desk) -> None:
    assert await asked(bare.wire, bare.keys, "intent") is None
    _, first = await say(bare)
    assert await asked(bare.wire, bare.keys, "intent") == first
    assert first.expires_at == 61_000


@pytest.mark.parametrize("stream", ["authority.events", "harvest.intent"])
async def test_a_wish_that_can_not_be_said_leaves_nothing(bare: Desk, stream: str) -> None:
    await bare.do("RPUSH", f"{bare.prefix}{stream}", "x")
    before = await bare.everything()
    with pytest.raises(ResponseError, match="WRONGTYPE"):
        await say(bare, warrant_ms=60_000)
    assert await bare.everything() == before
