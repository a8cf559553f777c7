"""What a dry run is fed with: the same wishes, as old as they are, and nothing is taken from anybody."""

import asyncio
from typing import Any

import pytest

from sureclose.domain.ids import intent_id_for_entry
from sureclose.domain.times import iso_ms
from sureclose.domain.words import Mode
from sureclose.services.feed import Feed
from sureclose.services.identity import producer
from sureclose.services.reading import Wiring
from sureclose.services.settings import StreamSettings
from sureclose.streams.clock import LogClock
from sureclose.streams.codec import CodecRules
from sureclose.streams.connection import Log
from sureclose.streams.wire import texts
from sureclose.venue.clock import wall_ms
from tests.journal.journals import Desk


class Fed:
    """A feed on a real log, started as often as a test likes."""

    def __init__(self, log: Log, prefix: str) -> None:
        self.real = Desk(log, prefix)
        self.own = Desk(log, f"{prefix}dry-run:")
        rules = CodecRules(Mode.PAPER, rehearses=True)
        wiring = Wiring(StreamSettings(prefix=self.own.prefix), rules, producer("dry-run"))
        clock = LogClock(wall_ms, lambda: 1.0)
        self.feed = Feed(log, StreamSettings(prefix=prefix), wiring, self.own.keys.fed, clock, 60_000)

    async def say(self, stream: str, entry_id: str = "*", **fields: str) -> str:
        flat = [part for pair in fields.items() for part in pair]
        added: bytes = await self.real.do("XADD", self.real.prefix + stream, entry_id, *flat)
        return added.decode()

    async def found(self, stream: str) -> list[dict[str, str]]:
        return [texts(flat) for _, flat in await self.own.do("XRANGE", self.own.prefix + stream, "-", "+")]

    async def until(self, last: str, stream: str) -> None:
        """Run until that entry was looked at."""
        stop = asyncio.Event()
        running = asyncio.create_task(self.feed.run(stop))
        while await self.own.do("HGET", self.own.keys.fed, self.real.prefix + stream) != last.encode():
            await asyncio.sleep(0.01)
        stop.set()
        await running


@pytest.fixture
def fed(log: Log, log_prefix: str) -> Fed:
    return Fed(log, log_prefix)


CLOSE: dict[str, Any] = {"symbol": "ETHUSDT", "decision": "CLOSE", "approved": "True", "executed": "False"}


async def test_wishes_and_approvals_come_over_under_their_ids_and_marked(fed: Fed) -> None:
    first = await fed.say("harvest.intent", symbol="ETHUSDT", action="CLOSE")
    last = await fed.say("apply.result", plan_id="p", **CLOSE)
    await fed.until(last, "apply.result")
    (intent,) = await fed.found("harvest.intent")
    assert intent["intent_id"] == intent_id_for_entry(f"{fed.real.prefix}harvest.intent", first)
    (approval,) = await fed.found("apply.result")
    assert (approval["plan_id"], approval["approved"]) == ("p", "True")
    assert {intent["dry_run"], approval["dry_run"]} == {"True"}


async def test_an_age_by_the_entry_s_id_stays_what_it_was(fed: Fed) -> None:
    at = wall_ms() - 30_000
    last = await fed.say("apply.result", f"{at}-0", plan_id="p", **CLOSE)
    await fed.until(last, "apply.result")
    (approval,) = await fed.found("apply.result")
    assert approval["age_source"] == "entry_id"
    assert approval["origin_at"][:19] == iso_ms(at)[:19]


async def test_what_is_no_close_is_left_out_and_what_can_not_be_understood_is_told(fed: Fed) -> None:
    await fed.say("apply.result", plan_id="q", decision="SKIP")
    await fed.say("apply.result", plan_id="r", **(CLOSE | {"mode": "live"}))
    last = await fed.say("apply.result", plan_id="s", fraction="25", **CLOSE)
    await fed.until(last, "apply.result")
    assert await fed.found("apply.result") == []
    assert len(await fed.found("dead.letter")) == 1


async def test_it_goes_on_where_it_was_and_begins_no_earlier_than_a_close_may_be_old(fed: Fed) -> None:
    await fed.say("apply.result", f"{wall_ms() - 120_000}-0", plan_id="old", **CLOSE)
    last = await fed.say("apply.result", plan_id="p", **CLOSE)
    await fed.until(last, "apply.result")
    again = await fed.say("apply.result", plan_id="q", **CLOSE)
    await fed.until(again, "apply.result")
    assert [one["plan_id"] for one in await fed.found("apply.result")] == ["p", "q"]


async def test_the_real_streams_have_no_group_of_it_and_nothing_more(fed: Fed) -> None:
    last = await fed.say("apply.result", plan_id="p", **CLOSE)
    await fed.until(last, "apply.result")
    assert await fed.real.do("XINFO", "GROUPS", f"{fed.real.prefix}apply.result") == []
    assert await fed.real.do("XLEN", f"{fed.real.prefix}apply.result") == 1
