"""Harvest: what it decides, what it does not, and what it says of what it can't."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from itertools import pairwise

import pytest

from sureclose.domain.components import NO_SCOPE, component_of, scope_of
from sureclose.domain.harvest.policy import Hold, Judgement, Proposal, View
from sureclose.domain.harvest.reference import Reference
from sureclose.domain.harvest.wishes import SETTLED_MS, VALID_MS, Fate
from sureclose.services.alarms.alarm import AlarmKind
from sureclose.services.harvest.asker import AT_ONCE, LATE_MOST
from sureclose.services.harvest.conditions import LONG_S
from sureclose.services.harvest.harvest import STALE_MS
from sureclose.services.harvest.health import Answer, parsed
from sureclose.services.settings import Role
from sureclose.streams.connection import Log
from sureclose.streams.names import StreamName
from tests.services.harvesting import Account, Harvested, Time

Make = Callable[..., Harvested]


@pytest.fixture
def account() -> Account:
    return Account(Time())


@pytest.fixture
async def make(log: Log, log_prefix: str, account: Account) -> AsyncIterator[Make]:
    made: list[Harvested] = []

    def one(*arguments: object, **more: object) -> Harvested:
        made.append(Harvested(log.commands(), log_prefix, account, *arguments, **more))  # type: ignore[arg-type]
        return made[-1]

    yield one
    for harvested in made:
        await harvested.ledger.aclose()


async def test_a_rung_is_proposed_once_with_all_that_a_close_needs(make: Make, account: Account) -> None:
    account.open("ETHUSDT")
    one = make()
    assert (await one.settled())["ETHUSDT"].rung == 0
    account.at_r("ETHUSDT", "2.1")
    for _ in range(3):
        await one.look()
    [wish] = await one.published()
    assert (wish["action"], wish["quantity"], wish["position_side"]) == ("PARTIAL_CLOSE", "2.00", "BOTH")
    assert (wish["position_amt"], wish["position_update_time"]) == (
        "8",
        str(account.held["ETHUSDT"].update_time),
    )
    assert (wish["source"], wish["mode"], wish["R_net"]) == ("harvest:reference", "paper", "2.1000")
    assert "warrant" not in " ".join(wish)
    assert one.seen["ETHUSDT"].wish is not None
    assert one.seen["ETHUSDT"].asked == ("rung-1",)


async def test_a_second_process_and_a_restart_make_the_same_wish_once(make: Make, account: Account) -> None:
    account.open("ETHUSDT")
    one, other = make(), make()
    for process in (one, other):
        await process.settled()
    account.at_r("ETHUSDT", "4.2")
    await asyncio.gather(one.look(), other.look())
    await make().settled()
    [wish] = await one.published()
    assert wish["quantity"] == "4.00"
    # Even when the book is lost, the wish is known by its name.
    await one.wire.execute_command(b"DEL", one.keys.harvest)
    again = make()
    await again.settled()
    await again.look()
    assert len(await one.published()) == 1
    assert again.seen["ETHUSDT"].rung == 2


async def test_incident_20_without_data_nothing_is_decided_and_that_is_told(
    make: Make, account: Account
) -> None:
    """No price was ever invented: neither for a position that nobody can read, nor for one without a mark."""
    account.open("ETHUSDT")
    account.open("BTCUSDT")
    account.at_r("ETHUSDT", "-9")
    account.at_r("BTCUSDT", "2.1")
    del account.prices["ETHUSDT"]
    one = make()
    seen = await one.settled()
    assert (seen["ETHUSDT"].answer, seen["ETHUSDT"].condition) == (Answer.UNDECIDED, "mark_missing")
    assert seen["ETHUSDT"].scores == {}
    assert [wish["symbol"] for wish in await one.published()] == ["BTCUSDT"]
    account.time.pass_s(LONG_S + 1)
    await one.look()
    assert ("HARVEST_BLIND", "ETHUSDT") in one.standing
    account.silent.add("positions")
    account.time.pass_s(13)
    await one.look()
    assert ("BLIND", "harvest") in one.standing
    health = one.harvest.health()
    assert (health.positions, "can't be read" in health.blind) == ((), True)
    # It sees again, and the hard loss comes first.
    account.silent.clear()
    account.at_r("ETHUSDT", "-9")
    await one.settled()
    assert ("BLIND", "harvest") not in one.standing
    assert (await one.published())[-1]["action"] == "EMERGENCY_SL_CLOSE"


class Exits:
    """Takes itself for the process."""

    name = "exits"

    def judge(self, _: View) -> Judgement:
        raise SystemExit(3)


async def test_a_policy_that_would_end_the_process_ends_nothing_and_owes_no_answer(
    make: Make, account: Account
) -> None:
    account.open("ETHUSDT")
    one = make(Exits())
    await one.settled()
    await one.look()
    assert one.seen["ETHUSDT"].reason == "exits raised SystemExit: 3"


class Poisoned:
    """As the reference, but for one symbol."""

    name = "poisoned"

    def judge(self, view: View) -> Judgement:
        if view.position.symbol == "ETHUSDT":
            raise ZeroDivisionError("by a price")
        return Reference().judge(view)


async def test_incident_25_one_symbol_s_failure_stops_no_other_and_no_protection(
    make: Make, account: Account
) -> None:
    account.open("ETHUSDT")
    account.open("BTCUSDT")
    one = make(Poisoned())
    await one.settled()
    account.at_r("ETHUSDT", "2.1")
    account.at_r("BTCUSDT", "2.1")
    await one.look()
    assert [wish["symbol"] for wish in await one.published()] == ["BTCUSDT"]
    assert one.seen["ETHUSDT"].condition == "policy_failed"
    assert ("HARVEST_POLICY", "poisoned") in one.standing
    account.at_r("ETHUSDT", "-1.6")
    await one.look()
    last = (await one.published())[-1]
    assert (last["symbol"], last["action"], last["source"]) == (
        "ETHUSDT",
        "EMERGENCY_SL_CLOSE",
        "harvest:protective",
    )


async def test_incident_25_trades_that_make_no_sense_are_one_position_s_own(
    make: Make, account: Account
) -> None:
    account.open("ETHUSDT")
    account.open("BTCUSDT")
    account.at_r("BTCUSDT", "2.1")
    account.trades["ETHUSDT"] = [None]  # type: ignore[list-item]
    one = make()
    seen = await one.settled()
    assert [wish["symbol"] for wish in await one.published()] == ["BTCUSDT"]
    assert (seen["ETHUSDT"].condition, "AttributeError" in seen["ETHUSDT"].reason) == (
        "episode_unclear",
        True,
    )


class Late:
    """Does not answer before it is let."""

    name = "late"

    def __init__(self) -> None:
        self.let = threading.Event()

    def judge(self, _: View) -> Judgement:
        self.let.wait()
        return Hold(reason="at last")


async def test_incident_26_a_policy_that_is_late_leaves_the_stated_rule_and_is_visible(
    make: Make, account: Account
) -> None:
    policy = Late()
    account.open("ETHUSDT")
    one = make(policy, patience_s=0.05)
    seen = await one.settled()
    assert (seen["ETHUSDT"].condition, seen["ETHUSDT"].by) == ("policy_failed", "protective")
    assert "did not answer within" in seen["ETHUSDT"].reason
    assert ("HARVEST_POLICY", "late") in one.standing
    # However long it takes, it is not asked for ever, and what protects goes on.
    await one.look(rounds=2)
    assert "still owes its last answer" in one.seen["ETHUSDT"].reason
    account.at_r("ETHUSDT", "-1.6")
    await one.look()
    assert [wish["action"] for wish in await one.published()] == ["EMERGENCY_SL_CLOSE"]
    policy.let.set()
    async with asyncio.timeout(10):
        while one.seen["ETHUSDT"].by != "late":
            await one.look()
    assert ("HARVEST_POLICY", "late") not in one.standing


class Stuck:
    """As the reference, but it never comes back from some symbols."""

    name = "stuck"

    def __init__(self, *symbols: str) -> None:
        self.symbols = symbols
        self.stuck = 0
        self.let = threading.Event()

    def judge(self, view: View) -> Judgement:
        if view.position.symbol in self.symbols:
            self.stuck += 1
            self.let.wait()
        return Reference().judge(view)


async def test_incident_25_a_policy_that_is_stuck_with_one_symbol_is_asked_about_the_others(
    make: Make, account: Account
) -> None:
    policy = Stuck("ETHUSDT")
    account.open("ETHUSDT")
    account.open("BTCUSDT")
    one = make(policy, patience_s=0.3)
    await one.look(rounds=LATE_MOST + 3)
    account.at_r("BTCUSDT", "2.1")
    await one.look()
    policy.let.set()
    assert [(wish["symbol"], wish["source"]) for wish in await one.published()] == [
        ("BTCUSDT", "harvest:stuck")
    ]


async def test_a_policy_that_is_stuck_with_many_positions_takes_no_more_threads(
    make: Make, account: Account
) -> None:
    symbols = [f"{letter}USDT" for letter in "ABCDEFGHIJKLMNOP"]
    policy = Stuck(*symbols)
    for symbol in symbols:
        account.open(symbol)
    one = make(policy, patience_s=0.05)
    await one.look(rounds=4)
    # Those that were asked at once may be late at once; nothing is asked after that.
    stuck = policy.stuck
    policy.let.set()
    assert LATE_MOST <= stuck < AT_ONCE + LATE_MOST
    assert any("before it gives one" in seen.reason for seen in one.seen.values())


async def test_incident_89_nothing_is_decided_about_what_is_flat_and_what_is_open_has_a_decider_or_an_alarm(
    make: Make, account: Account
) -> None:
    account.open("ETHUSDT")
    account.at_r("ETHUSDT", "-1.6")
    account.open("BTCUSDT")
    account.silent.add("BTCUSDT")
    one = make()
    await one.settled()
    assert [wish["symbol"] for wish in await one.published()] == ["ETHUSDT"]
    # It is flat; its price goes on falling, and nothing more is said of it.
    account.open("ETHUSDT", "-8", at=account.time.now)
    account.prices["ETHUSDT"] = Decimal(1)
    seen = await one.settled()
    assert set(seen) == {"BTCUSDT"}
    assert len(await one.published()) == 1
    assert (seen["BTCUSDT"].answer, seen["BTCUSDT"].condition) == (Answer.UNDECIDED, "episode_unclear")
    account.time.pass_s(LONG_S + 1)
    await one.look()
    assert ("HARVEST_BLIND", "BTCUSDT") in one.standing
    account.silent.clear()
    account.time.pass_s(2)
    await one.settled()
    account.time.pass_s(1)
    await one.settled()
    assert one.seen["BTCUSDT"].condition != "episode_unclear"
    # The next position of the symbol is another episode: its rungs are its own.
    account.time.pass_s(60)
    account.open("ETHUSDT", at=account.time.now - 1_000)
    account.at_r("ETHUSDT", "2.1")
    account.time.pass_s(60)
    await one.settled()
    account.time.pass_s(1)
    await one.settled()
    last = (await one.published())[-1]
    assert (last["symbol"], last["reason"].split(":")[0]) == ("ETHUSDT", "rung 1 of the ladder")


async def test_what_had_no_effect_is_proposed_again_under_another_name_and_one_at_a_time(
    make: Make, account: Account
) -> None:
    """Nobody runs who would execute it, so each wish ends without effect."""
    account.open("ETHUSDT")
    account.at_r("ETHUSDT", "2.1")
    one = make()
    await one.settled()
    at, ids = [account.time.now], {(await one.published())[0]["intent_id"]}
    while len(at) < 4:
        account.time.pass_s(5)
        await one.look()
        wishes = await one.published()
        if len(wishes) > len(at):
            at.append(account.time.now)
            ids.add(wishes[-1]["intent_id"])
        if 0 < account.time.now - at[-1] <= VALID_MS + SETTLED_MS - 5_000:
            assert one.seen["ETHUSDT"].wish is not None
            assert one.seen["ETHUSDT"].wish.fate is Fate.PENDING
    assert len(ids) == 4
    pauses = [later - earlier for earlier, later in pairwise(at)]
    assert pauses == sorted(pauses)
    assert pauses[0] >= VALID_MS + SETTLED_MS
    assert pauses[2] >= pauses[0] + 60_000
    assert {wish["quantity"] for wish in await one.published()} == {"2.00"}
    assert ("HARVEST_UNHEEDED", "ETHUSDT") in one.standing
    account.time.pass_s((VALID_MS + SETTLED_MS) / 1000 + 1)
    await one.look()
    account.time.pass_s(1)
    # The cause is gone, and so is the wish.
    account.at_r("ETHUSDT", "1")
    await one.look()
    assert ("HARVEST_UNHEEDED", "ETHUSDT") not in one.standing
    account.time.pass_s(1_000)
    await one.look()
    assert len(await one.published()) == 4
    assert one.seen["ETHUSDT"].rung == 0


async def test_a_book_that_another_version_wrote_is_left_alone(make: Make, account: Account) -> None:
    account.open("ETHUSDT")
    account.at_r("ETHUSDT", "2.1")
    one = make()
    await one.wire.execute_command(b"HSET", one.keys.harvest, "ETHUSDT|BOTH", b'{"of":"tomorrow"}')
    seen = await one.settled()
    assert "another version wrote it" in seen["ETHUSDT"].reason
    assert await one.published() == []
    assert await one.book.read() == {"ETHUSDT|BOTH": b'{"of":"tomorrow"}'}


class Eager:
    """Wants everything closed, at once."""

    name = "eager"

    def judge(self, view: View) -> Judgement:
        if view.mark is None:
            return view.doubt()
        return Proposal(name="all", action="CLOSE", fraction=Decimal(1), reason="now")


async def test_a_shadow_sees_the_same_and_its_proposals_are_nobodys_wish(
    make: Make, account: Account
) -> None:
    account.open("ETHUSDT")
    one = make(shadows=[Eager()])
    stop = asyncio.Event()
    running = asyncio.create_task(one.shadows[0].run(stop))
    try:
        await one.settled()
        async with asyncio.timeout(10):
            while not await one.published(StreamName.HARVEST_SHADOW):
                await one.look()
        await one.look(rounds=3)
        account.at_r("ETHUSDT", "2.1")
        await one.look()
    finally:
        stop.set()
        await running
    [shown] = await one.published(StreamName.HARVEST_SHADOW)
    assert (shown["shadow"], shown["source"], shown["action"]) == ("True", "harvest:eager", "CLOSE")
    assert [wish["source"] for wish in await one.published()] == ["harvest:reference"]


async def test_a_position_that_was_read_before_its_last_close_ended_is_read_again_first(
    make: Make, account: Account
) -> None:
    account.open("ETHUSDT")
    account.at_r("ETHUSDT", "2.1")
    one = make()
    await one.settled()
    account.time.pass_s((VALID_MS + SETTLED_MS) / 1000 + 1)
    await one.sight.look()
    account.time.pass_s(1)
    await one.harvest.round()
    await one.harvest.round()
    assert one.seen["ETHUSDT"].condition == "position_stale"
    assert len(await one.published()) == 1


async def test_of_two_processes_one_speaks_and_the_other_when_it_falls_silent(
    make: Make, account: Account
) -> None:
    """What one can't decide about and the other can would be raised and cleared for ever."""
    account.open("ETHUSDT")
    del account.prices["ETHUSDT"]
    one, two = make(), make(worker="two")
    await one.settled()
    account.time.pass_s(LONG_S + 1)
    await one.look()
    assert ("HARVEST_BLIND", "ETHUSDT") in one.standing
    await two.settled()
    said = parsed(await two.book.health())
    assert said is not None
    assert (said.worker, two.standing) == ("one", set())
    account.time.pass_s(STALE_MS / 1000 + 1)
    await two.look()
    said = parsed(await two.book.health())
    assert said is not None
    assert said.worker == "two"


async def test_a_restart_does_not_end_a_condition_that_it_has_not_seen_the_end_of(
    make: Make, account: Account
) -> None:
    account.open("ETHUSDT")
    del account.prices["ETHUSDT"]
    policy = Late()
    one = make(policy, patience_s=0.05)
    one.alarms.raise_(AlarmKind.HARVEST_BLIND, "ETHUSDT", "it was so", "look")
    one.alarms.raise_(AlarmKind.HARVEST_POLICY, "late", "it was so", "mend it")
    one.alarms.raise_(AlarmKind.HARVEST_BLIND, "BTCUSDT", "it was so", "look")
    await one.settled()
    assert one.standing == {("HARVEST_BLIND", "ETHUSDT"), ("HARVEST_POLICY", "late")}
    policy.let.set()
    async with asyncio.timeout(10):
        while one.standing:
            await one.look()


def test_harvest_is_a_producer_and_no_controller() -> None:
    assert scope_of(component_of(Role.HARVEST)) == NO_SCOPE
