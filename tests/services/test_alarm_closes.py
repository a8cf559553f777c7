"""Which closes are alarms, from when on, and until when: by what the engine tells, and by what the log says."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from decimal import Decimal
from typing import Any, Final

import msgspec
import pytest

from sureclose.domain.close import New, Progress, State, Unknown, Waiting
from sureclose.domain.market import RestingOrder
from sureclose.domain.outcome import OutcomeKind, Report
from sureclose.domain.words import PositionSide, Side
from sureclose.journal.store import Journal
from sureclose.services.alarms.alarm import AlarmKey, AlarmKind
from sureclose.services.alarms.board import Alarms
from sureclose.services.alarms.closes import UNFLAGGED, CloseAlarms, order_text
from sureclose.services.alarms.positions import PositionAlarms
from sureclose.services.metrics import Metrics, Witnesses
from sureclose.streams.connection import Log
from sureclose.venue.port import Purpose
from tests.services.alarming import NOW, Told, World, running, until
from tests.services.living import Clock, decision, ended, sending, well

RESTING: Final = RestingOrder(
    order_id=7,
    client_order_id="stop-loss",
    conditional=True,
    symbol="ETHUSDT",
    side=Side.SELL,
    position_side=PositionSide.BOTH,
    order_type="STOP_MARKET",
    reduce_only=True,
    close_position=False,
    quantity=Decimal(1),
    price=Decimal(0),
    trigger_price=Decimal(2000),
    time=NOW,
)


class Close(msgspec.Struct):
    plan_id: str
    state: State


class Engine:
    """What alarms see of a close engine."""

    def __init__(self) -> None:
        self.closes: dict[str, Close] = {}
        self.broken: dict[str, str] = {}

    @property
    def under_way(self) -> Iterable[Close]:
        return tuple(self.closes.values())

    def has(self, plan_id: str, state: State) -> None:
        self.closes[plan_id] = Close(plan_id, state)


def progress(plan_id: str, **more: Any) -> Progress:
    return Progress(decision=decision(plan_id), **more)


def unknown(plan_id: str) -> Unknown:
    return Unknown(progress(plan_id), sending())


class Bench(msgspec.Struct):
    """One process's alarms, and the engine that they look at; ``engine`` is None while another has the lease."""

    world: World
    alarms: Alarms
    closes: CloseAlarms
    sink: Told
    clock: Clock
    engine: Engine | None

    @property
    def standing(self) -> set[str]:
        return {str(key) for key in self.alarms.standing}

    def facts(self, kind: AlarmKind, subject: str) -> Mapping[str, str]:
        return self.alarms.standing[AlarmKey(kind, subject)].facts

    async def parks(self, *plans: str) -> None:
        for plan in plans:
            await self.world.wire.execute_command(b"ZADD", self.world.keys.parked, NOW, plan)

    async def resolves(self, plan: str) -> None:
        await self.world.wire.execute_command(b"ZREM", self.world.keys.parked, plan)


class Nowhere:
    """A venue that is not asked here."""

    async def positions(self) -> list[Any]:
        raise AssertionError

    async def resting(self, symbol: str, purpose: Purpose) -> list[Any]:
        raise AssertionError

    @property
    def clock(self) -> Any:
        raise AssertionError


@pytest.fixture
async def bench(log: Log, log_prefix: str) -> AsyncIterator[Bench]:
    world, sink, clock = World(log.commands(), log_prefix), Told(), Clock()
    made = world.alarms("one", sink)
    found = Bench(world, made, None, sink, clock, Engine())  # type: ignore[arg-type]
    positions = PositionAlarms(
        made,
        Nowhere(),
        leads=lambda: True,
        stream=lambda: "connected",
        blind_s=30,
        wall=lambda: NOW,
        monotonic=clock,
    )
    found.closes = CloseAlarms(
        made,
        positions,
        lambda: found.engine,
        Journal(world.wire, world.keys, lambda: NOW),
        unknown_s=10,
        monotonic=clock,
        look_s=0.005,
        ask_s=0.0,
    )
    stop = asyncio.Event()
    async with running(made):
        task = asyncio.create_task(found.closes.run(stop))
        yield found
        stop.set()
        await task


async def turns(bench: Bench) -> None:
    """Until it has looked and asked anew, at least twice."""
    await bench.parks("a marker")
    await until(lambda: "PARKED:a marker" in bench.standing)
    await bench.resolves("a marker")
    await until(lambda: "PARKED:a marker" not in bench.standing)


async def test_a_parked_close_is_an_alarm_until_it_is_resolved(bench: Bench) -> None:
    await bench.parks("p1")
    bench.closes.ended(
        msgspec.structs.replace(
            ended("p1", OutcomeKind.PARKED, "the order is not at the venue"),
            filled_qty=Decimal("0.5"),
            position_after=None,
        )
    )
    await bench.sink.count(1)
    await turns(bench)
    assert bench.standing == {"PARKED:p1"}
    [told] = [alarm for alarm in bench.sink.alarms if alarm["subject"] == "p1"]
    assert told["level"] == "critical"
    assert told["remedy"].endswith("`sureclose resolve p1`")
    assert told["facts"] == {
        "plan_id": "p1",
        "symbol": "ETHUSDT",
        "reason": "the order is not at the venue",
        "filled": "0.5",
        "position_after": "unknown",
        "client_order_ids": "sc-1",
    }
    await bench.resolves("p1")
    await until(lambda: "PARKED:p1" not in bench.standing)


async def test_what_was_parked_by_a_process_that_died_before_it_told_is_an_alarm(bench: Bench) -> None:
    await bench.parks("p1")
    await bench.sink.count(1)
    assert bench.sink.said == [("PARKED", "p1", "raised")]


async def test_a_process_without_the_lease_judges_no_close(bench: Bench) -> None:
    engine, bench.engine = bench.engine, None
    bench.alarms.raise_(AlarmKind.PARKED, "p1", "it waits", "resolve it")
    bench.alarms.raise_(AlarmKind.UNKNOWN, "p2", "not known", "wait")
    await bench.parks("p3")
    await asyncio.sleep(0.05)
    assert bench.standing == {"PARKED:p1", "UNKNOWN:p2"}
    bench.engine = engine
    await until(lambda: bench.standing == {"PARKED:p3"})


async def test_an_order_of_unknown_fate_is_an_alarm_after_a_while_until_its_fate_is_known(
    bench: Bench,
) -> None:
    assert bench.engine is not None
    bench.engine.has("p1", unknown("p1"))
    bench.clock.now += 1
    await until(lambda: "p1" in bench.closes._unknown_since)
    bench.clock.now += 9.9
    await turns(bench)
    assert bench.standing == set()
    bench.clock.now += 0.1
    await until(lambda: bench.standing == {"UNKNOWN:p1"})
    assert "newClientOrderId=sc-1" in bench.facts(AlarmKind.UNKNOWN, "p1")["order"]
    bench.engine.has("p1", Waiting(progress("p1")))
    await until(lambda: bench.standing == set())


async def test_a_fate_that_becomes_known_in_time_is_no_alarm_and_the_next_one_counts_anew(
    bench: Bench,
) -> None:
    assert bench.engine is not None
    bench.engine.has("p1", unknown("p1"))
    await until(lambda: "p1" in bench.closes._unknown_since)
    bench.clock.now += 9
    bench.engine.has("p1", Waiting(progress("p1")))
    await until(lambda: "p1" not in bench.closes._unknown_since)
    bench.engine.has("p1", unknown("p1"))
    await until(lambda: "p1" in bench.closes._unknown_since)
    bench.clock.now += 9
    await turns(bench)
    assert bench.standing == set()


async def test_after_a_restart_an_unknown_order_stays_an_alarm_until_its_close_was_read_back_or_is_over(
    bench: Bench,
) -> None:
    assert bench.engine is not None
    wire, keys = bench.world.wire, bench.world.keys
    for plan in ("read back", "still open", "over"):
        bench.alarms.raise_(AlarmKind.UNKNOWN, plan, "not known", "wait")
    await wire.execute_command(b"ZADD", keys.open, NOW, "read back", NOW, "still open")
    bench.engine.has("read back", New())
    await until(lambda: bench.standing == {"UNKNOWN:read back", "UNKNOWN:still open"})
    bench.engine.has("read back", Waiting(progress("read back")))
    await until(lambda: bench.standing == {"UNKNOWN:still open"})
    bench.closes.ended(ended("still open"))
    assert bench.standing == set()


async def test_a_close_that_can_not_go_on_is_an_alarm_until_it_has_ended_somewhere(bench: Bench) -> None:
    assert bench.engine is not None
    bench.engine.broken["p1"] = "ChainBroken: altered"
    assert await bench.sink.count(1) == [("STUCK", "p1", "raised")]
    assert bench.sink.alarms[0]["level"] == "warning"
    await turns(bench)
    assert bench.standing == {"STUCK:p1"}, "it is not in the journal, and it is here"
    await bench.world.wire.execute_command(b"ZADD", bench.world.keys.open, NOW, "p1")
    bench.engine.broken.clear()
    await turns(bench)
    assert bench.standing == {"STUCK:p1"}, "nobody has it, and it is open"
    await bench.world.wire.execute_command(b"ZREM", bench.world.keys.open, "p1")
    await until(lambda: bench.standing == set())


@pytest.mark.parametrize("code", sorted(UNFLAGGED))
@pytest.mark.parametrize("word", ["REFUSED", "UNKNOWN"])
async def test_an_answer_that_only_an_order_without_our_flag_gets_is_an_alarm_with_the_order(
    bench: Bench, word: str, code: int
) -> None:
    bench.closes.sent(decision("p1"), sending(), f"{word} {code}")
    assert bench.facts(AlarmKind.FLAG, "ETHUSDT") == {
        "plan_id": "p1",
        "code": str(code),
        "order": "symbol=ETHUSDT&side=SELL&positionSide=BOTH&type=MARKET&quantity=1&reduceOnly=true"
        "&newClientOrderId=sc-1&newOrderRespType=RESULT&recvWindow=1&timestamp=1",
    }
    for answer in ("UNKNOWN", "NOT_SENT", "REFUSED -2022", "REFUSED None", "REJECTED"):
        bench.closes.sent(decision("p2"), sending(), answer)
    assert bench.standing == {"FLAG:ETHUSDT"}
    bench.closes.sent(decision("p3"), sending(), "FILLED")
    assert bench.standing == set()


async def test_no_other_answer_is(bench: Bench) -> None:
    for answer in (
        "FILLED",
        "NEW",
        "EXPIRED",
        "NOT_SENT",
        "UNKNOWN",
        "UNKNOWN -1007",
        "REFUSED -2022",
        "REFUSED None",
    ):
        bench.closes.sent(decision("p1"), sending(), answer)
    assert bench.standing == set()


def test_an_order_in_the_fallback_or_in_hedge_mode_is_told_as_it_was_sent() -> None:
    position = msgspec.structs.replace(sending().position, position_side=PositionSide.LONG)
    other = msgspec.structs.replace(sending(), position=position, limit_price=Decimal("2399.50"))
    assert order_text(other) == (
        "symbol=ETHUSDT&side=SELL&positionSide=LONG&type=LIMIT&timeInForce=IOC&price=2399.50&quantity=1"
        "&newClientOrderId=sc-1&newOrderRespType=RESULT&recvWindow=1&timestamp=1"
    )


async def test_many_refused_closes_of_one_symbol_are_one_warning_that_counts_them(bench: Bench) -> None:
    for number in range(100):
        bench.closes.ended(ended(f"p{number}", OutcomeKind.REFUSED, "below_step"))
    await bench.sink.count(1)
    assert bench.sink.said == [("REFUSED", "ETHUSDT", "raised")]
    assert bench.sink.alarms[0]["level"] == "warning"
    assert bench.facts(AlarmKind.REFUSED, "ETHUSDT")["count"] == "100"
    assert bench.facts(AlarmKind.REFUSED, "ETHUSDT")["plan_id"] == "p99"


def refused(**more: Any) -> Report:
    return msgspec.structs.replace(ended("p1", OutcomeKind.SKIPPED, "frozen"), **more)


@pytest.mark.parametrize("kind", [OutcomeKind.SKIPPED, OutcomeKind.REFUSED, OutcomeKind.REDUCED])
@pytest.mark.parametrize("left", [Decimal("0.25"), Decimal(-1), None])
async def test_a_position_that_stands_without_its_protection_is_an_alarm_however_its_close_ended(
    bench: Bench, left: Decimal | None, kind: OutcomeKind
) -> None:
    """Also after a part was closed as asked: the rest has lost its stop."""
    outcome = ended("p1", kind).outcome
    bench.closes.ended(refused(outcome=outcome, position_after=left, cancelled=("stop-loss", "take-profit")))
    assert "UNPROTECTED:ETHUSDT" in bench.standing
    assert bench.facts(AlarmKind.UNPROTECTED, "ETHUSDT")["cancelled"] == "stop-loss take-profit"
    await bench.sink.count(1)
    levels = {alarm["alarm"]: alarm["level"] for alarm in bench.sink.alarms}
    assert levels.get("UNPROTECTED", "critical") == "critical"


async def test_a_close_that_is_cut_short_says_so_as_one_that_never_began(bench: Bench) -> None:
    cut = ended("p1", OutcomeKind.REDUCED, "-2019 Margin is insufficient.")
    bench.closes.ended(cut)
    assert bench.standing == {"REFUSED:ETHUSDT"}


async def test_leftovers_that_could_not_be_listed_are_a_warning_too(bench: Bench) -> None:
    bench.closes.ended(refused(outcome=ended("p1").outcome, unlisted=True))
    assert bench.facts(AlarmKind.LEFTOVER, "ETHUSDT")["left"] == "unknown"


async def test_cancelled_orders_of_a_close_that_came_are_no_alarm_and_those_left_over_are_a_warning(
    bench: Bench,
) -> None:
    for kind in (OutcomeKind.FLAT, OutcomeKind.ALREADY_FLAT):
        bench.closes.ended(refused(outcome=ended("p1", kind).outcome, cancelled=("stop-loss",)))
    assert bench.standing == set()
    bench.closes.ended(refused(outcome=ended("p1").outcome, left=("stop-loss",)))
    assert bench.standing == {"LEFTOVER:ETHUSDT"}
    await bench.sink.count(1)
    assert bench.sink.alarms[0]["level"] == "warning"


async def test_a_log_that_does_not_answer_clears_nothing(log_url: str, bench: Bench) -> None:
    bench.alarms.raise_(AlarmKind.PARKED, "p1", "it waits", "resolve it")
    await bench.world.wire.execute_command(b"SET", bench.world.keys.parked, "not a sorted set")
    await until(lambda: bench.closes._ask_fails)
    assert bench.standing == {"PARKED:p1"}
    await bench.world.wire.execute_command(b"DEL", bench.world.keys.parked)
    await until(lambda: bench.standing == set())


async def test_it_is_a_witness_beside_the_others(bench: Bench) -> None:
    metrics = Metrics(lambda: well(bench.clock.now, alarms=bench.alarms.counts()), bench.clock, stages=())
    witnesses = Witnesses(metrics, bench.closes)
    witnesses.approved("p1")
    witnesses.elsewhere("p2")
    witnesses.sent(decision("p1"), sending(), "REFUSED -4164")
    witnesses.ended(ended("p1", OutcomeKind.REFUSED, "-4164"))
    exposition = metrics.exposition().decode()
    assert 'sureclose_alarms{kind="FLAG"} 1.0' in exposition
    assert 'sureclose_alarms{kind="REFUSED"} 1.0' in exposition
    assert 'sureclose_alarms{kind="PARKED"} 0.0' in exposition
