"""Ages by the log's clock: steps of this machine's clock do nothing, steps of the log's own spoil no fresh wish."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.exceptions import ConnectionError as RedisConnectionError
from structlog.testing import capture_logs

from sureclose.domain.times import CLOCK_TOLERANCE_MS, iso_ms, parse_time
from sureclose.domain.words import Mode
from sureclose.services import apply_layer, intent_executor
from sureclose.services.reading import Wiring
from sureclose.services.settings import StreamSettings
from sureclose.streams import clock as clock_module
from sureclose.streams.clock import GRACE_S, IN_STEP_MS, LogClock, Moment, Past
from sureclose.streams.codec import CodecRules
from sureclose.streams.connection import Log, LogSettings
from sureclose.streams.encode import Producer
from sureclose.streams.entry import Entry
from sureclose.streams.names import StreamName
from sureclose.streams.stage import Kind, Stage
from sureclose.streams.verdict import StageVerdict
from sureclose.streams.wire import Wire
from tests.streams.copying import Outcomes, running
from tests.streams.raw import add, contents

START = 1_700_000_000_000
FIVE_MINUTES = 300_000
MAX_AGE = 60_000
BOTH_WAYS = pytest.mark.parametrize("step", [FIVE_MINUTES, -FIVE_MINUTES])


class Times:
    """A machine and a log whose clocks are set at will, and the wire between them, which takes ``delay_ms`` each way."""

    def __init__(self, *, wall_off: int = 0) -> None:
        self.steady = 1_000.0
        self.log = float(START)
        self.wall = START + wall_off
        self.delay_ms = 0.0
        self.asked = 0
        self.failing = False
        self.clock = LogClock(lambda: self.wall, lambda: self.steady)

    def go(self, ms: float) -> None:
        self.steady += ms / 1000
        self.log += ms
        self.wall += round(ms)

    async def execute_command(self, *args: bytes | str | int) -> Any:
        assert args == (b"TIME",)
        self.asked += 1
        if self.failing:
            raise RedisConnectionError("gone")
        self.go(self.delay_ms)
        seconds, ms = divmod(self.log, 1000)
        self.go(self.delay_ms)
        return [b"%d" % seconds, b"%d" % (ms * 1000)]

    async def measured(self) -> Moment:
        await self.clock.measure(self)
        return self.clock.moment()


async def test_until_it_is_measured_the_wall_clock_stands_in() -> None:
    times = Times(wall_off=7_000)
    assert times.clock.moment() == Moment(START + 7_000)
    assert await times.measured() == Moment(START)


@BOTH_WAYS
async def test_a_step_of_the_wall_clock_does_nothing_once_it_is_measured(step: int) -> None:
    times = Times(wall_off=step)
    await times.measured()
    times.wall += step
    times.go(10_000)
    assert times.clock.moment() == Moment(START + 10_000)
    assert await times.measured() == Moment(START + 10_000)


async def test_a_slow_answer_does_not_spoil_what_is_known_better() -> None:
    times = Times()
    await times.measured()
    times.delay_ms = 400
    times.log += 300  # the answer was longer under way than the question
    assert await times.measured() == Moment(START + 800)


async def test_half_the_round_trip_is_counted() -> None:
    times = Times()
    times.delay_ms = 40
    await times.measured()
    assert times.clock.now() == times.log


async def test_a_correction_is_no_step() -> None:
    times = Times()
    await times.measured()
    times.log += 900
    assert await times.measured() == Moment(START + 900)


async def test_a_step_forward_makes_no_wish_from_before_it_old_and_none_after_it_young() -> None:
    times = Times()
    await times.measured()
    times.go(2_000)
    before = int(times.log) - 1_000
    times.log += FIVE_MINUTES
    with capture_logs() as told:
        at = await times.measured()
    assert [(line["event"], line["ms"]) for line in told] == [("log_clock_stepped", FIVE_MINUTES)]
    after = int(times.log)
    assert at == Moment(after, (Past(after - FIVE_MINUTES, after - FIVE_MINUTES),))
    assert at.latest == after
    assert at.by(before) - before == 1_000
    assert at.by(after) - after == 0
    times.go(61_000)
    later = times.clock.moment()
    assert (later.by(before) - before, later.by(after) - after) == (62_000, 61_000)


async def test_a_step_back_makes_no_stamp_from_before_it_one_of_the_future() -> None:
    times = Times()
    await times.measured()
    before = int(times.log)
    times.go(2_000)
    times.log -= FIVE_MINUTES
    at = await times.measured()
    assert at.now == before + 2_000 - FIVE_MINUTES
    assert at.latest == before + 2_000
    assert at.by(before) - before == 2_000
    assert at.by(at.now) == at.now
    times.go(100_000)
    assert times.clock.moment().by(before) - before == 102_000


@BOTH_WAYS
async def test_after_ten_minutes_only_the_new_clock_counts(step: int) -> None:
    times = Times()
    await times.measured()
    times.log += step
    await times.measured()
    times.go(GRACE_S * 1000 - 1)
    assert len(times.clock.moment().past) == 1
    times.go(1)
    assert times.clock.moment() == Moment(int(times.log))


async def test_a_step_back_and_forth_leaves_both_readings() -> None:
    times = Times()
    for step in (0, FIVE_MINUTES, -FIVE_MINUTES):
        times.log += step
        await times.measured()
    at = times.clock.moment()
    assert (at.now, at.latest) == (START, START + FIVE_MINUTES)
    assert at.by(START) == START
    assert at.by(START + FIVE_MINUTES) == START + FIVE_MINUTES


async def test_entries_whose_ids_are_where_they_should_be_cost_no_question() -> None:
    times = Times()
    await times.clock.confirm(times, f"{START}-0")
    assert times.asked == 1, "never measured before"
    for off in (0, -IN_STEP_MS, IN_STEP_MS):
        await times.clock.confirm(times, f"{START + off}-3")
    assert times.asked == 1


@pytest.mark.parametrize("off", [IN_STEP_MS + 1, -IN_STEP_MS - 1, FIVE_MINUTES])
async def test_an_entry_whose_id_is_elsewhere_is_judged_by_a_new_measurement(off: int) -> None:
    times = Times()
    await times.measured()
    times.log += off
    await times.clock.confirm(times, f"{START + off}-0")
    assert times.clock.now() == START + off


async def test_it_is_measured_again_and_again_and_through_an_outage_it_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(clock_module, "MEASURE_EVERY_S", 0.001)
    times, stop = Times(), asyncio.Event()
    times.failing = True
    await asyncio.gather(times.clock.keep(times, stop), _recover(times, stop))
    assert times.clock.now() == START


async def _recover(times: Times, stop: asyncio.Event) -> None:
    async with asyncio.timeout(10):
        while times.asked < 3:
            await asyncio.sleep(0)
        times.failing, so_far = False, times.asked
        while times.asked < so_far + 2:
            await asyncio.sleep(0)
    stop.set()


Steps = st.lists(
    st.tuples(
        st.integers(0, 300_000),
        st.one_of(st.just(0), st.integers(2_000, 7_200_000), st.integers(-7_200_000, -2_000)),
        st.floats(0, 200),
    ),
    min_size=1,
    max_size=12,
)


@given(Steps, st.integers(0, MAX_AGE), st.integers(0, 11))
async def test_no_sequence_of_steps_makes_a_fresh_wish_old_or_one_of_the_future(
    steps: list[tuple[int, int, float]], age: int, stamped_after: int
) -> None:
    """The steps come after waits and are measured at once; the wish is looked at when it has that age, or earlier."""
    times = Times()
    await times.measured()
    stamp, made_at = int(times.log), times.steady
    for number, (wait, step, delay) in enumerate(steps):
        left = age - round((times.steady - made_at) * 1000)
        times.go(max(0, min(wait, left)) if number > stamped_after else wait)
        if number <= stamped_after:
            stamp, made_at = int(times.log), times.steady
        times.log += step
        times.delay_ms = delay
        at = await times.measured()
        assert at.now <= at.latest
        assert stamp <= at.latest + delay + 1
        allowed = round((times.steady - made_at) * 1000)
        assert at.by(stamp) - stamp <= allowed + 2 * delay + 3
        assert at.by(stamp) <= at.latest


@given(st.integers(0, FIVE_MINUTES), st.integers(0, 100_000))
def test_what_only_one_clock_can_have_stamped_is_as_old_as_that_clock_says(since: int, age: int) -> None:
    """A stale wish is taken for fresh only where its stamp may be that of a fresh one."""
    forward = Moment(START + FIVE_MINUTES + since, (Past(START + since, START),))
    stamp = START + CLOCK_TOLERANCE_MS + 1 + age
    assert forward.by(stamp) == forward.now
    back = Moment(START - FIVE_MINUTES, (Past(START, START),))
    assert back.by(START - FIVE_MINUTES + CLOCK_TOLERANCE_MS + 1 + age) == back.latest


# With a real log ---------------------------------------------------------------------------------------------------


@pytest.fixture
async def quick(log_url: str) -> AsyncIterator[Log]:
    async with Log(LogSettings(url=log_url, block_ms=50)) as log:
        yield log


class Machine:
    """This machine's clocks, and how far the log's is taken to be off the real one."""

    def __init__(self) -> None:
        self.wall_off = 0
        self.log_off = 0

    def wall(self) -> int:
        return _real_ms() + self.wall_off


class SteppedClock(LogClock):
    """The clock of a real log, set by ``log_off``."""

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine.wall, time.monotonic)
        self._machine = machine

    async def measure(self, wire: Wire) -> None:
        await super().measure(SteppedWire(wire, self._machine))


class SteppedWire:
    def __init__(self, wire: Wire, machine: Machine) -> None:
        self._wire = wire
        self._machine = machine

    async def execute_command(self, *args: bytes | str | int) -> Any:
        seconds, rest = await self._wire.execute_command(*args)
        moved = int(seconds) + self._machine.log_off // 1000
        return [b"%d" % moved, rest]


def _real_ms() -> int:
    return time.time_ns() // 1_000_000


def _stage(
    log: Log,
    prefix: str,
    outcomes: Outcomes,
    clock: LogClock,
    decider: Callable[[Wiring], Callable[[Entry, Moment], StageVerdict]],
    source: StreamName,
) -> Stage:
    producer = Producer("test", "1", "here", 1)
    wiring = Wiring(StreamSettings(prefix=prefix), CodecRules(Mode.PAPER), producer)
    return Stage(
        log,
        name=source,
        role="copier",
        prefix=prefix,
        source=prefix + source,
        group="readers",
        dead_letters=f"{prefix}dead.letter",
        producer=producer,
        decide=decider(wiring),
        observe=outcomes.observe,
        clock=clock,
        monotonic=time.monotonic,
    )


def _plan(stamp: int) -> dict[str, str | bytes]:
    return {"symbol": "ETHUSDT", "action": "CLOSE", "fraction": "1", "created_at": iso_ms(stamp)}


def _apply_layer(wiring: Wiring) -> Callable[[Entry, Moment], StageVerdict]:
    return apply_layer.decider(wiring, MAX_AGE)


@BOTH_WAYS
async def test_a_wall_clock_stepped_between_producing_and_reading_changes_no_verdict(
    quick: Log, log_prefix: str, step: int
) -> None:
    machine, outcomes = Machine(), Outcomes()
    clock = SteppedClock(machine)
    await clock.measure(quick.commands())
    stage = _stage(quick, log_prefix, outcomes, clock, _apply_layer, StreamName.APPLY_PLAN)
    plans = f"{log_prefix}apply.plan"
    async with running(stage):
        await add(quick, plans, _plan(_real_ms()))
        machine.wall_off = step
        await add(quick, plans, _plan(_real_ms()))
        await add(quick, plans, _plan(_real_ms() - MAX_AGE - 1_000))
        await outcomes.reach(3)
    assert outcomes == {
        ("apply.plan", Kind.EMITTED, "close"): 2,
        ("apply.plan", Kind.EMITTED, "skip"): 1,
    }


@BOTH_WAYS
async def test_a_machine_whose_clock_was_always_off_judges_as_the_log_does(
    quick: Log, log_prefix: str, step: int
) -> None:
    """Even where nobody measured before the first entry came."""
    machine, outcomes = Machine(), Outcomes()
    machine.wall_off = step
    stage = _stage(
        quick, log_prefix, outcomes, SteppedClock(machine), intent_executor.decider, StreamName.HARVEST_INTENT
    )
    wish = {"symbol": "ETHUSDT", "action": "CLOSE", "percentage": "1.0", "timestamp": str(_real_ms())}
    await add(quick, f"{log_prefix}harvest.intent", dict(wish))
    async with running(stage):
        await outcomes.reach(1)
    assert outcomes == {("harvest.intent", Kind.EMITTED, "plan"): 1}
    (plan,) = await contents(quick, f"{log_prefix}apply.plan")
    assert abs(_real_ms() - parse_time(plan[b"created_at"].decode())) < 30_000


async def test_a_log_whose_clock_jumped_ahead_gets_its_new_stamps_understood_at_once(
    quick: Log, log_prefix: str
) -> None:
    """Entries come before the next measurement is due: their ids tell."""
    machine, outcomes = Machine(), Outcomes()
    clock = SteppedClock(machine)
    await clock.measure(quick.commands())
    stage = _stage(quick, log_prefix, outcomes, clock, _apply_layer, StreamName.APPLY_PLAN)
    plans = f"{log_prefix}apply.plan"
    async with running(stage):
        await add(quick, plans, _plan(_real_ms()))
        machine.log_off = FIVE_MINUTES
        ahead = _real_ms() + FIVE_MINUTES
        await add(quick, plans, _plan(ahead), f"{ahead}-0")
        await add(quick, plans, _plan(_real_ms()), f"{ahead}-1")
        await add(quick, plans, _plan(ahead - MAX_AGE - 1_000), f"{ahead}-2")
        await outcomes.reach(4)
    assert outcomes == {
        ("apply.plan", Kind.EMITTED, "close"): 3,
        ("apply.plan", Kind.EMITTED, "skip"): 1,
    }


async def test_a_log_whose_clock_jumped_back_gets_its_new_stamps_taken_for_fresh_at_once(
    quick: Log, log_prefix: str
) -> None:
    """A log never gives a smaller id: after a step back its ids stand still, and so tell."""
    machine, outcomes = Machine(), Outcomes()
    clock = SteppedClock(machine)
    await clock.measure(quick.commands())
    stage = _stage(quick, log_prefix, outcomes, clock, _apply_layer, StreamName.APPLY_PLAN)
    plans, last = f"{log_prefix}apply.plan", _real_ms() - 10_000
    async with running(stage):
        await add(quick, plans, _plan(_real_ms() - 10_000), f"{last}-0")
        machine.log_off = -FIVE_MINUTES
        await add(quick, plans, _plan(_real_ms() - FIVE_MINUTES), f"{last}-1")
        await add(quick, plans, _plan(_real_ms()), f"{last}-2")
        await outcomes.reach(3)
    assert outcomes == {("apply.plan", Kind.EMITTED, "close"): 3}
