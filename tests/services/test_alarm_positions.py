"""Alarms that a read of the positions decides, and the one for reads that fail."""

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal

import msgspec
import pytest

from sureclose.domain.market import Position, RestingOrder
from sureclose.domain.outcome import OutcomeKind, Report
from sureclose.domain.words import PositionSide
from sureclose.journal.store import Journal
from sureclose.services.alarms.alarm import AlarmKey, AlarmKind
from sureclose.services.alarms.board import Alarms
from sureclose.services.alarms.closes import CloseAlarms
from sureclose.services.alarms.positions import AGAIN_S, SOON_S, PositionAlarms, Where
from sureclose.streams.connection import Log
from sureclose.venue.clock import Sample, VenueClock
from sureclose.venue.errors import VenueError, VenueUnreachable
from sureclose.venue.port import Purpose
from tests.services.alarming import NOW, Told, World, running, until
from tests.services.living import Clock, ended, sending
from tests.services.test_alarm_closes import RESTING


class Account:
    """A venue's account whose reads are counted and can fail, or be held up."""

    def __init__(self, steady: Clock) -> None:
        self.steady = steady
        self.held: dict[tuple[str, PositionSide], str] = {}
        self.listed: list[RestingOrder] = []
        self.fails: VenueError | None = None
        self.reads = 0
        self.answered = 0
        self.go = asyncio.Event()
        self.go.set()
        self._clock = VenueClock(lambda: NOW, steady)
        self.tells_time()

    @property
    def clock(self) -> VenueClock:
        return self._clock

    def tells_time(self) -> None:
        now = self.steady()
        self._clock.add([Sample(now, now, NOW)])

    def holds(self, symbol: str, amount: str, side: PositionSide = PositionSide.BOTH) -> None:
        self.held[symbol, side] = amount

    async def positions(self) -> list[Position]:
        self.reads += 1
        seen = dict(self.held)
        await self.go.wait()
        self.answered += 1
        if self.fails is not None:
            raise self.fails
        return [
            msgspec.structs.replace(
                sending().position, symbol=symbol, position_side=side, amount=Decimal(amount)
            )
            for (symbol, side), amount in seen.items()
            if Decimal(amount)
        ]

    async def resting(self, symbol: str, purpose: Purpose) -> list[RestingOrder]:
        if self.fails is not None:
            raise self.fails
        return [order for order in self.listed if order.symbol == symbol]


class Bench(msgspec.Struct):
    """One process's alarms and the account that they are about. Time passes only when a test says so."""

    world: World
    alarms: Alarms
    positions: PositionAlarms
    account: Account
    sink: Told
    clock: Clock
    leads: bool = True

    @property
    def standing(self) -> set[str]:
        return {str(key) for key in self.alarms.standing}

    def facts(self, kind: AlarmKind, subject: str) -> dict[str, str]:
        return dict(self.alarms.standing[AlarmKey(kind, subject)].facts)

    async def read(self, after_s: float = AGAIN_S) -> None:
        """Let so much time pass, and wait for the answer to the read that is due then."""
        before = self.account.answered
        self.clock.now += after_s
        await until(lambda: self.account.answered > before)

    async def no_read(self, after_s: float) -> None:
        """Let so much time pass, and look around often enough to have read."""
        before = self.account.reads
        self.clock.now += after_s
        await asyncio.sleep(0.05)
        assert self.account.reads == before


@pytest.fixture
async def bench(log: Log, log_prefix: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    monkeypatch.setattr("sureclose.services.alarms.positions._LOOK_S", 0.002)
    world, sink, clock = World(log.commands(), log_prefix), Told(), Clock()
    made = world.alarms("one", sink)
    account = Account(clock)
    positions = PositionAlarms(
        made,
        account,
        leads=lambda: found.leads,
        stream=lambda: "down",
        blind_s=30.0,
        wall=lambda: world.now,
        monotonic=clock,
    )
    found = Bench(world, made, positions, account, sink, clock)
    stop = asyncio.Event()
    async with running(made):
        task = asyncio.create_task(positions.run(stop))
        await until(lambda: account.answered == 1)
        yield found
        account.go.set()
        stop.set()
        await task


def expired(plan_id: str, symbol: str = "ETHUSDT", side: str = "BOTH") -> Report:
    report = ended(plan_id, OutcomeKind.SKIPPED, "expired")
    return msgspec.structs.replace(report, symbol=symbol, position_side=side)


async def test_a_thousand_expired_approvals_of_one_open_position_are_one_read_and_one_alarm(
    bench: Bench,
) -> None:
    bench.account.holds("ETHUSDT", "1.5")
    for number in range(1_000):
        bench.positions.expired(expired(f"p{number}"))
    await bench.read(SOON_S)
    assert bench.account.reads == 2, "the one at the start, and one for all of them"
    assert await bench.sink.count(1) == [("EXPIRED_OPEN", "ETHUSDT", "raised")]
    assert bench.sink.alarms[0]["level"] == "critical"
    assert bench.sink.alarms[0]["facts"] == {"plan_id": "p999", "count": "1000", "position": "BOTH 1.5"}
    for number in range(1_000, 2_000):
        bench.positions.expired(expired(f"p{number}"))
    await bench.read(SOON_S)
    assert bench.facts(AlarmKind.EXPIRED_OPEN, "ETHUSDT")["count"] == "2000"
    bench.account.holds("ETHUSDT", "0")
    await bench.read()
    assert await bench.sink.count(2) == [
        ("EXPIRED_OPEN", "ETHUSDT", "raised"),
        ("EXPIRED_OPEN", "ETHUSDT", "cleared"),
    ]
    assert bench.sink.alarms[1]["facts"]["count"] == "2000"


async def test_an_expired_approval_of_a_position_that_is_closed_is_no_alarm(bench: Bench) -> None:
    bench.account.holds("BTCUSDT", "1")
    bench.positions.expired(expired("p1"))
    await bench.read(SOON_S)
    assert bench.standing == set()
    assert bench.positions._unexecuted == {}


async def test_reads_are_seldom_while_there_is_nothing_to_find_out_and_never_closer_than_5_s(
    bench: Bench,
) -> None:
    await bench.no_read(AGAIN_S - 0.1)
    await bench.read(0.1)
    bench.positions.expired(expired("p1"))
    await bench.no_read(SOON_S - 0.1)
    await bench.read(0.1)


async def test_who_does_not_execute_reads_nothing(bench: Bench) -> None:
    bench.leads = False
    bench.positions.expired(expired("p1"))
    await bench.no_read(3_600)


@pytest.mark.parametrize(
    ("asked", "held", "amount", "is_open"),
    [
        ("BOTH", "BOTH", "1", True),
        ("BOTH", "LONG", "1", True),
        ("BOTH", "SHORT", "-1", True),
        ("LONG", "LONG", "1", True),
        ("LONG", "SHORT", "-1", False),
        ("LONG", "BOTH", "1", True),
        ("LONG", "BOTH", "-1", False),
        ("SHORT", "BOTH", "-1", True),
        ("SHORT", "LONG", "1", False),
    ],
)
async def test_a_side_is_that_side_or_in_one_way_mode_the_sign(
    bench: Bench, asked: str, held: str, amount: str, is_open: bool
) -> None:
    bench.account.holds("ETHUSDT", amount, PositionSide(held))
    bench.positions.expired(expired("p1", side=asked))
    await bench.read(SOON_S)
    subject = "ETHUSDT" if asked == "BOTH" else f"ETHUSDT:{asked}"
    assert bench.standing == ({f"EXPIRED_OPEN:{subject}"} if is_open else set())
    assert str(Where.parse(subject)) == subject


async def test_an_intent_that_is_used_again_for_a_position_that_is_open_is_never_silent(bench: Bench) -> None:
    """A producer may give all its wishes one id: its second honest close is skipped, and a person has to know."""
    bench.account.holds("ETHUSDT", "1.5")
    closes = CloseAlarms(
        bench.alarms,
        bench.positions,
        lambda: None,
        Journal(bench.world.wire, bench.world.keys, lambda: bench.world.now),
        unknown_s=10,
        monotonic=bench.clock,
    )
    for symbol in ("ETHUSDT", "BTCUSDT"):
        report = ended("p2", OutcomeKind.SKIPPED, "same_intent")
        again = msgspec.structs.replace(report, symbol=symbol, position_side="BOTH")
        closes.ended(again)
    await bench.read(SOON_S)
    assert bench.standing == {"SAME_INTENT:ETHUSDT"}, "said twice and closed once is no news"
    assert bench.facts(AlarmKind.SAME_INTENT, "ETHUSDT") == {
        "plan_id": "p2",
        "count": "1",
        "position": "BOTH 1.5",
    }
    assert await bench.sink.count(1) == [("SAME_INTENT", "ETHUSDT", "raised")]
    assert bench.sink.alarms[0]["level"] == "warning"
    bench.account.holds("ETHUSDT", "0")
    await bench.read()
    assert (await bench.sink.count(2))[1:] == [("SAME_INTENT", "ETHUSDT", "cleared")]


async def test_an_approval_that_expires_during_a_read_waits_for_the_next(bench: Bench) -> None:
    bench.account.go.clear()
    bench.clock.now += AGAIN_S
    await until(lambda: bench.account.reads == 2)  # and it has seen no position yet
    bench.account.holds("ETHUSDT", "1")
    bench.positions.expired(expired("p1"))
    bench.positions.refused(msgspec.structs.replace(expired("p2", "BTCUSDT"), outcome=ended("p2").outcome))
    bench.account.go.set()
    await until(lambda: bench.account.answered == 2)
    assert bench.standing == {"REFUSED:BTCUSDT"}, "what was read before says nothing of either"
    await bench.read(SOON_S)
    assert bench.standing == {"EXPIRED_OPEN:ETHUSDT"}


async def test_a_read_that_fails_is_no_position_that_is_closed(bench: Bench) -> None:
    bench.account.holds("ETHUSDT", "1")
    bench.positions.expired(expired("p1"))
    bench.account.fails = VenueUnreachable("no route")
    await bench.read(SOON_S)
    assert bench.standing == set()
    bench.account.fails = None
    await bench.read(SOON_S)
    assert bench.standing == {"EXPIRED_OPEN:ETHUSDT"}
    bench.account.fails = VenueUnreachable("no route")
    await bench.read()
    assert bench.standing == {"EXPIRED_OPEN:ETHUSDT"}


async def test_after_a_restart_what_stands_is_looked_at_and_counted_on(bench: Bench) -> None:
    before = bench.world.alarms("before")
    async with running(before):
        before.raise_(AlarmKind.EXPIRED_OPEN, "ETHUSDT:LONG", "expired", "look", plan_id="p1", count=41)
        before.raise_(AlarmKind.EXPIRED_OPEN, "BTCUSDT", "expired", "look", plan_id="p2", count=1)
        before.raise_(AlarmKind.UNPROTECTED, "BTCUSDT", "bare", "look")
        before.raise_(AlarmKind.REFUSED, "BTCUSDT", "no", "look")
        await until(lambda: len(bench.standing) == 4)
    bench.account.holds("ETHUSDT", "1")
    bench.positions.expired(expired("p3", side="LONG"))
    await bench.read(SOON_S)
    assert bench.standing == {"EXPIRED_OPEN:ETHUSDT:LONG"}
    assert bench.facts(AlarmKind.EXPIRED_OPEN, "ETHUSDT:LONG") == {
        "plan_id": "p3",
        "count": "42",
        "position": "BOTH 1",
    }


async def test_who_can_not_read_positions_for_30_s_is_blind_until_it_can(bench: Bench) -> None:
    bench.world.now += 1_000
    await bench.read()
    bench.account.fails = VenueUnreachable("no route")
    await bench.read()
    for _ in range(5):
        await bench.read(SOON_S)
        assert bench.standing == set()
    bench.world.now += 45_000
    await bench.read(SOON_S)
    assert await bench.sink.count(1) == [("BLIND", "venue", "raised")]
    assert bench.sink.alarms[0]["level"] == "critical"
    assert bench.sink.alarms[0]["facts"] == {
        "error": "no route",
        "last_read": "2023-11-14T22:13:21.000Z",
        "user_stream": "down",
    }
    bench.account.fails = None
    await bench.read(SOON_S)
    assert await bench.sink.count(2) == [("BLIND", "venue", "raised"), ("BLIND", "venue", "cleared")]


async def test_a_read_that_yields_to_reads_that_close_is_not_blind_but_one_at_a_silent_venue_is(
    bench: Bench,
) -> None:
    bench.account.fails = VenueError("the venue asks for 9000 ms of patience", retry_after_ms=9_000)
    for _ in range(20):
        bench.account.tells_time()
        await bench.read()
    assert bench.standing == set()
    for _ in range(20):
        await bench.read()
    assert bench.standing == {"BLIND:venue"}


async def test_orders_left_over_are_a_warning_until_the_venue_lists_them_no_more(bench: Bench) -> None:
    bench.positions.left_over(msgspec.structs.replace(ended("p1"), left=("stop-loss", "gone already")))
    bench.account.listed = [RESTING]
    await bench.read(60)
    assert bench.standing == {"LEFTOVER:ETHUSDT"}
    bench.account.listed = [msgspec.structs.replace(RESTING, client_order_id="somebody's new one")]
    await bench.read()
    assert bench.standing == {"LEFTOVER:ETHUSDT"}, "it is looked at once a minute"
    await bench.read(60)
    await until(lambda: bench.standing == set())
