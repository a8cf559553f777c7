"""The safety controller inside the test: on the real log against a paper exchange, with times that the test moves."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any, Final, cast

import msgspec
import pytest

from sureclose.domain.arming import SUNSET_MS, Armed, Arming, why_not
from sureclose.domain.authority import Authority, Component
from sureclose.domain.facts import Admitted
from sureclose.domain.market import Position, Trade
from sureclose.domain.safety import AGE_MS, TRIES, Answer, Margin, Mark, Rule, Unclear, episode_name
from sureclose.domain.words import PositionSide
from sureclose.journal import lease
from sureclose.journal.chain import Chain
from sureclose.journal.fence import Fence
from sureclose.journal.safety import SafetyBook
from sureclose.services.alarms.alarm import AlarmKind
from sureclose.services.continuity import Continuity, Exchange
from sureclose.services.safety.breaches import Breaches
from sureclose.services.safety.controller import SafetyController
from sureclose.services.safety.eyes import Account, Eyes
from sureclose.services.safety.health import SafetyHealth
from sureclose.services.safety.reign import SafetyReign
from sureclose.streams.connection import Log
from sureclose.streams.names import StreamName
from sureclose.venue.errors import VenueError
from sureclose.venue.port import Purpose
from tests.domain.test_safety import held, mark
from tests.domain.test_safety import trade as traded
from tests.services.alarming import World
from tests.services.closings import ACCOUNT, SYMBOL, Door, Executor, executing

PLACE: Final = "paper key 0123"
HOUR: Final = 3_600_000


class Guarded:
    """A frozen account, armed, and a controller that judges when the test says so."""

    def __init__(self, executor: Executor, log: Log, prefix: str) -> None:
        self.executor = executor
        fence = Fence()
        journal = Door(executor.wire, executor.keys, executor.time.ms, fence)
        self.tools = tools = msgspec.structs.replace(
            executor.tools, journal=journal, component=Component.SAFETY_CONTROLLER, orphans={}
        )
        self.eyes = Eyes(executor.venue, executor.time.seconds)
        self.alarms = World(log.commands(), prefix).alarms("guard")
        events = executor.streams.full(StreamName.AUTHORITY_EVENTS)
        self.book = SafetyBook(executor.wire, executor.keys, fence, events)
        continuity = Continuity(
            log,
            journal,
            fence,
            executor.wiring,
            cast("Exchange", executor.venue),
            self.alarms,
            tools.clock,
            prefix="sc-",
            recv_window=tools.recv_window,
            margin=tools.policy.margin,
            max_age=tools.policy.max_age,
            absence_s=60,
        )
        self.reign = SafetyReign(
            log, tools, continuity, worker="guard", monotonic=executor.time.seconds, drain_s=1.0
        )
        self.controller = SafetyController(
            self.eyes,
            self.book,
            self.reign,
            tools,
            executor.wiring,
            executor.wire,
            self.alarms,
            place=PLACE,
            worker="guard",
            started_at=executor.time.ms(),
            monotonic=executor.time.seconds,
        )

    async def arm(self, *, expires_in: int = SUNSET_MS) -> None:
        keys, now = self.executor.keys, self.tools.clock.now()
        frozen = {"at": str(now), "revision": "2", "kind": "COMMAND", "triggers": "[]"}
        await self.executor.do("HSET", keys.freeze, *(part for pair in frozen.items() for part in pair))
        arming = Arming(
            state=Armed.ARMED,
            actor="ann",
            armed_at=now,
            expires_at=now + expires_in,
            revision=1,
            freeze_at=str(now),
            place=PLACE,
        )
        record = arming.record()
        await self.executor.do("HSET", keys.safety, *(part for pair in record.items() for part in pair))

    async def round(self) -> None:
        await self.controller._round(asyncio.Event())

    async def look(self) -> None:
        """Read and judge, a second later than before by every clock of it."""
        self.executor.time.leap(1_100)
        await self.eyes.look()
        await self.round()

    def price(self, share: str) -> None:
        """The mark price as a share of the entry price."""
        desk = self.executor.exchange.desk
        entry = desk.ledger.position(SYMBOL, "BOTH").entry_price
        desk.prices.pin(SYMBOL, (entry * Decimal(share)).quantize(Decimal("0.01")))

    async def said(self, word: str) -> list[dict[str, Any]]:
        return [
            json.loads(entry["facts"])
            for entry in await self.executor.entries(StreamName.AUTHORITY_EVENTS)
            if entry["event"] == f"BASELINE_SAFETY_{word}"
        ]

    def rule(self, rule: Rule) -> Answer:
        (watched,) = self.eyes.judge()
        return next(one.answer for one in watched.findings if one.rule is rule)


@asynccontextmanager
async def _guarded(log: Log, prefix: str) -> AsyncIterator[Guarded]:
    async with executing(log, prefix) as executor:
        await executor.do("DEL", executor.keys.lease)
        found = Guarded(executor, log, prefix)
        try:
            yield found
        finally:
            await found.reign.aclose()


@pytest.fixture
async def guarded(log: Log, log_prefix: str) -> AsyncIterator[Guarded]:
    async with _guarded(log, log_prefix) as found:
        await found.arm()
        yield found


async def test_incident_75_a_position_that_is_traded_every_day_grows_old_all_the_same(
    guarded: Guarded,
) -> None:
    """Its age is counted from when it left zero; by its updateTime it would be an hour old for ever."""
    executor = guarded.executor
    executor.time.leap(AGE_MS - HOUR)
    executor.trade("1")
    await executor.venue.measure_clock()
    executor.time.leap(HOUR - 5_000)
    await guarded.look()
    assert guarded.rule(Rule.AGE) is Answer.HOLDS
    executor.time.leap(5_000)
    await guarded.look()
    assert guarded.rule(Rule.AGE) is Answer.FIRES
    assert executor.venue.placed == []
    await guarded.look()
    assert executor.amount == 0
    (closed,) = await guarded.said("CLOSE")
    assert (closed["rule"], closed["position_amt"]) == ("age", "4.000")
    (outcome,) = await executor.entries(StreamName.EXECUTION_RESULT)
    assert outcome["outcome"] == "FLAT"
    assert await lease.holder(executor.wire, executor.keys) is None


async def test_a_breach_is_seen_twice_before_anything_is_closed(guarded: Guarded) -> None:
    """Neither a start nor one wrong price closes anything (I8), and what recovers in between begins anew."""
    guarded.price("0.96")
    for _ in range(3):
        await guarded.look()
        assert guarded.rule(Rule.LOSS) is Answer.FIRES
        await guarded.round()  # the same data again is no second look
        guarded.price("0.99")
        await guarded.look()
        guarded.price("0.96")
    assert guarded.executor.venue.placed == []
    await guarded.look()
    await guarded.look()
    assert guarded.executor.amount == 0
    assert len(guarded.executor.venue.placed) == 1


async def test_what_was_seen_before_a_close_closes_nothing_after_it(guarded: Guarded) -> None:
    guarded.price("0.96")
    await guarded.look()
    await guarded.look()
    assert guarded.executor.amount == 0
    assert guarded.eyes.judge() == ()
    await guarded.round()
    await guarded.look()
    assert len(guarded.executor.venue.placed) == 1
    assert len(await guarded.said("CLOSE")) == 1


async def test_what_was_seen_before_anothers_reign_closes_nothing_after_it(guarded: Guarded) -> None:
    """Two controllers see one breach, and the first closes it: the other one's sight is of before that."""
    executor = guarded.executor
    guarded.price("0.96")
    await guarded.look()
    executor.time.leap(1_100)
    await guarded.eyes.look()
    other = await lease.take(executor.wire, executor.keys, "other", component=Component.SAFETY_CONTROLLER)
    assert other is not None
    await lease.drop(executor.wire, executor.keys, other)
    await guarded.round()
    await guarded.look()
    assert executor.venue.placed == []
    assert await guarded.said("CLOSE") == []
    await guarded.look()
    assert executor.amount == 0


async def test_what_was_unfinished_ends_before_anything_new_is_closed_on_sight(guarded: Guarded) -> None:
    """It may have been a close of that position, and what was seen is of before its end."""
    executor = guarded.executor
    other = await lease.take(executor.wire, executor.keys, "other")
    assert other is not None
    chain = Chain("plan")
    chain.unwritten.append(Admitted(decision=executor.decision("plan"), entry=executor.entry().ref))
    await executor.journal.append(chain, other)
    await lease.drop(executor.wire, executor.keys, other)
    guarded.price("0.96")
    await guarded.look()
    await guarded.look()
    assert await guarded.said("CLOSE") == []
    (outcome,) = await executor.entries(StreamName.EXECUTION_RESULT)
    assert (outcome["plan_id"], outcome["reason"]) == ("plan", "frozen")
    await guarded.look()
    await guarded.look()
    (closed,) = await guarded.said("CLOSE")
    assert closed["try"] == "1"
    assert executor.amount == 0


async def test_after_three_tries_a_person_is_told_and_nothing_more_is_sent(guarded: Guarded) -> None:
    guarded.price("0.96")
    await guarded.look()
    (watched,) = guarded.eyes.judge()
    field = f"{SYMBOL}|BOTH|{Rule.LOSS}"
    last = f"{watched.episode} {TRIES} plan"
    await guarded.executor.do("HSET", guarded.executor.keys.safety_fired, field, last)
    await guarded.look()
    await guarded.look()
    assert guarded.executor.venue.placed == []
    (alarm,) = guarded.alarms.standing.values()
    assert (alarm.alarm, alarm.subject) == (AlarmKind.SAFETY_FAILED, SYMBOL)
    # Somebody closes it, and the alarm is over; another episode has tries of its own.
    guarded.executor.trade("-3")
    await guarded.look()
    assert not guarded.alarms.standing
    guarded.executor.trade("2")
    guarded.price("0.96")
    await guarded.look()
    await guarded.look()
    assert guarded.executor.amount == 0


async def test_at_its_sunset_it_says_so_once_and_closes_nothing_more(log: Log, log_prefix: str) -> None:
    async with _guarded(log, log_prefix) as guarded:
        await guarded.arm(expires_in=1)
        guarded.executor.ages.leap(1_000)
        guarded.price("0.96")
        for _ in range(3):
            await guarded.look()
        assert len(await guarded.said("EXPIRED")) == 1
        assert [key.kind for key in guarded.alarms.standing] == [AlarmKind.SAFETY_EXPIRED]
        assert guarded.executor.venue.placed == []
        assert any("its arming ended" in why for why in guarded.controller.health().idle)


async def test_while_anybody_holds_the_lease_it_watches(guarded: Guarded) -> None:
    executor = guarded.executor
    assert await lease.take(executor.wire, executor.keys, "other", 60_000) is not None
    guarded.price("0.96")
    for _ in range(3):
        await guarded.look()
    assert executor.venue.placed == []
    assert "other holds the lease" in guarded.controller.health().idle


async def test_its_health_says_of_every_rule_whether_it_can_be_evaluated(guarded: Guarded) -> None:
    await guarded.look()
    health = SafetyHealth.parse(guarded.controller.health().document())
    (position,) = health.positions
    assert {rule.rule: rule.answer for rule in position.rules} == dict.fromkeys(Rule, Answer.HOLDS)
    told = health.facts("then")["rules"]
    assert told.startswith(f"{SYMBOL} BOTH: loss does_not_fire -0.0")
    assert ", age does_not_fire 0.00 h, margin_ratio does_not_fire 0.00" in told
    crowded = msgspec.structs.replace(health, positions=health.positions * 25)
    assert crowded.facts("then")["rules"].endswith("; and 5 more")


# The eyes ------------------------------------------------------------------------------------------------------------


class Slow:
    """A venue whose answers a test holds back, and what was asked of it."""

    def __init__(self, executor: Executor) -> None:
        self.clock = executor.venue.clock
        self.now = executor.time.ms
        self.position = held(side=PositionSide.BOTH)
        self.trades: list[Trade] = []
        self.asked: list[int] = []
        self.fails: str = ""
        self.meanwhile: Callable[[], object] = bool

    async def positions(self) -> list[Position]:
        if self.fails:
            raise VenueError(self.fails)
        self.meanwhile()
        return [self.position]

    async def marks(self) -> dict[str, Mark]:
        return {}

    async def margin(self) -> Margin:
        raise VenueError("no margin today")

    async def trades_since(self, symbol: str, start_time: int, purpose: Purpose) -> list[Trade]:
        assert (symbol, purpose) == ("ETHUSDT", Purpose.OBSERVE)
        self.asked.append(start_time)
        return [one for one in self.trades if one.time >= start_time]


@pytest.fixture
def slow(guarded: Guarded) -> Slow:
    return Slow(guarded.executor)


def _eyes(slow: Slow, guarded: Guarded) -> Eyes:
    return Eyes(cast("Account", slow), guarded.executor.time.seconds)


async def test_what_opened_long_ago_is_looked_for_as_far_as_the_venue_shows_and_only_once(
    slow: Slow, guarded: Guarded
) -> None:
    opened = slow.now() - 40 * 24 * HOUR
    slow.trades = [traded(1, "1", opened)]
    slow.position = held(changed=opened, read=slow.now())
    eyes = _eyes(slow, guarded)
    for _ in range(3):
        await eyes.look()
    assert len(slow.asked) == 2
    assert slow.asked[0] - slow.asked[1] > 80 * 24 * HOUR
    (watched,) = eyes.judge()
    assert [(one.rule, one.answer) for one in watched.firing] == [(Rule.AGE, Answer.FIRES)]
    # A change is looked up anew, and one that the trades don't show yet is no age.
    slow.position = held("2", changed=slow.now(), read=slow.now())
    await eyes.look()
    (watched,) = eyes.judge()
    assert watched.episode is None
    assert watched.firing == ()


async def test_blind_it_judges_nothing_and_says_why(slow: Slow, guarded: Guarded) -> None:
    eyes = _eyes(slow, guarded)
    slow.fails = "the venue is away"
    await eyes.look()
    assert eyes.blind == ""
    guarded.executor.time.leap(12_100)
    assert eyes.blind == "positions can't be read: the venue is away"
    assert eyes.judge() == ()
    slow.fails = ""
    await eyes.look()
    assert eyes.blind == ""


async def test_a_read_that_began_before_a_close_counts_for_nothing_after_it(
    slow: Slow, guarded: Guarded
) -> None:
    eyes = _eyes(slow, guarded)
    slow.meanwhile = eyes.forget
    await eyes.look()
    assert not eyes.has_seen
    assert eyes.judge() == ()


async def test_without_marks_or_margin_their_rules_say_that_they_cant(slow: Slow, guarded: Guarded) -> None:
    """Incident 75: a rule that can't be evaluated is seen, and does not pass for one that does not fire."""
    eyes = _eyes(slow, guarded)
    slow.position = held(read=slow.now())
    await eyes.look()
    (watched,) = eyes.judge()
    assert {one.rule: one.answer for one in watched.findings} == dict.fromkeys(Rule, Answer.UNKNOWN)
    eyes.hear("ETHUSDT", mark("96", slow.now()))
    eyes.hear("ETHUSDT", mark("99", slow.now() - 500))  # an older one came later
    (watched,) = eyes.judge()
    assert watched.findings[0].answer is Answer.FIRES


def test_a_breach_without_a_name_for_its_episode_is_none() -> None:
    assert episode_name(held(), Unclear("a moment", passing=True)) is None
    assert Breaches().confirmed(()) == []


# Why it may not act ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "holder", "why"),
    [
        ({}, "", ""),
        ({}, "one", "one holds the lease"),
        ({"state": Armed.DISARMED, "ended_by": "bob"}, "", "bob disarmed it"),
        ({"expires_at": 5}, "", "its arming ended"),
        ({"freeze_at": "3"}, "", "another freeze"),
        ({"place": "live fapi.binance.com key 4567"}, "", "it was armed for live fapi.binance.com key 4567"),
    ],
)
def test_what_keeps_it_from_acting_is_said(changed: dict[str, Any], holder: str, why: str) -> None:
    arming = Arming(
        state=Armed.ARMED, actor="ann", armed_at=1, expires_at=1_000, revision=1, freeze_at="2", place=PLACE
    )
    frozen = Authority(2, {}, {"at": "2", "revision": "2"})
    found = list(why_not(frozen, msgspec.structs.replace(arming, **changed), holder, PLACE, 10))
    assert len(found) == bool(why)
    assert why in "".join(found)
    assert "not frozen" in next(why_not(Authority(), arming, "", PLACE, 10))
    assert Arming.of(arming.record()) == arming
    assert ACCOUNT == "paper:main"
