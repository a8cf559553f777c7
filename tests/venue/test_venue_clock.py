"""The venue's clock: bounded by round trips, deaf to the local wall clock."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sureclose.domain.times import DRIFT
from sureclose.venue.clock import Sample, VenueClock, steady_seconds, wall_ms
from sureclose.venue.errors import ClockUnknown

START = 1_795_283_737_000


class Times:
    """Local time under a test's control: the wall can be set, the steady clock only runs."""

    def __init__(self) -> None:
        self.wall = START
        self.steady = 100.0

    def pass_ms(self, ms: float) -> None:
        self.wall += round(ms)
        self.steady += ms / 1000


def clock_at(times: Times) -> VenueClock:
    return VenueClock(lambda: times.wall, lambda: times.steady)


def test_an_unmeasured_clock_tells_no_time() -> None:
    clock = clock_at(Times())
    for ask in (clock.now, clock.earliest, clock.latest, clock.error_ms, clock.skew_ms):
        with pytest.raises(ClockUnknown):
            ask()
    assert not clock.measured
    assert not clock.trusted


def test_doubt_is_shown() -> None:
    clock = clock_at(Times())
    clock.add([Sample(100.0, 100.0, START)])
    clock.doubt()
    assert clock.measured
    assert not clock.trusted


def test_the_error_is_half_the_round_trip() -> None:
    times = Times()
    clock = clock_at(times)
    times.pass_ms(40)
    clock.add([Sample(100.0, 100.040, START)])
    assert (clock.earliest(), clock.latest()) == (START, START + 41)
    assert clock.now() == START + 20
    assert clock.error_ms() == 21


def test_the_best_of_several_samples_counts() -> None:
    times = Times()
    clock = clock_at(times)
    clock.add(
        [Sample(99.0, 99.2, START - 900), Sample(99.99, 100.0, START), Sample(98.0, 98.9, START - 1100)]
    )
    assert clock.error_ms() <= 6


def test_setting_the_wall_clock_does_nothing() -> None:
    times = Times()
    clock = clock_at(times)
    clock.add([Sample(100.0, 100.0, START)])
    times.wall -= 600_000
    times.pass_ms(1000)
    assert clock.earliest() <= START + 1000 <= clock.latest()
    assert abs(clock.skew_ms() - 600_000) <= 2


def test_an_old_estimate_is_worth_less_and_gives_way() -> None:
    times = Times()
    clock = clock_at(times)
    clock.add([Sample(100.0, 100.0, START)])
    times.pass_ms(60_000)
    assert clock.error_ms() >= 60_000 * DRIFT
    times.pass_ms(20)
    clock.add([Sample(times.steady - 0.020, times.steady, START + 60_000)])
    assert clock.error_ms() <= 11


def test_a_narrow_young_estimate_outlives_a_slow_sample() -> None:
    times = Times()
    clock = clock_at(times)
    clock.add([Sample(100.0, 100.0, START)])
    times.pass_ms(800)
    clock.add([Sample(100.0, 100.8, START + 400)])
    assert clock.error_ms() <= 2


def test_a_contradicted_estimate_is_replaced_and_counted() -> None:
    times = Times()
    clock = clock_at(times)
    clock.add([Sample(100.0, 100.0, START)])
    times.pass_ms(100)
    clock.add([Sample(100.1, 100.1, START + 90_000)])
    assert clock.steps == 1
    assert abs(clock.now() - (START + 90_000)) <= 1


def test_doubt_lasts_until_the_next_sample_and_a_doubted_estimate_is_replaced() -> None:
    times = Times()
    clock = clock_at(times)
    clock.add([Sample(100.0, 100.0, START)])
    clock.doubt()
    times.pass_ms(500)
    clock.add([Sample(100.0, 100.5, START)])
    assert clock.error_ms() >= 250
    clock.doubt()
    clock.add([Sample(times.steady, times.steady, START + 500)])
    assert clock.trusted


@pytest.mark.parametrize("server", [1_795_283_737, 1_795_283_737_000_000, 0, -1])
def test_seconds_and_microseconds_are_no_venue_time(server: int) -> None:
    with pytest.raises(ValueError, match="not a reading"):
        clock_at(Times()).add([Sample(0.0, 0.0, server)])


@given(
    st.lists(st.tuples(st.floats(0, 500), st.floats(0, 500), st.floats(0, 5000)), min_size=1, max_size=20),
    st.floats(-DRIFT / 2, DRIFT / 2),
)
def test_the_true_time_is_always_within_the_bounds(
    rounds: list[tuple[float, float, float]], drift: float
) -> None:
    """Whatever the delays there and back, and however the local clock drifts within what systems allow."""
    times = Times()
    clock = clock_at(times)
    venue = float(START)

    def run(ms: float) -> None:
        nonlocal venue
        venue += ms
        times.steady += ms * (1 + drift) / 1000

    for there, back, idle in rounds:
        sent = times.steady
        run(there)
        said = int(venue)
        run(back)
        clock.add([Sample(sent, times.steady, said)])
        assert clock.earliest() <= venue + 0.01
        assert clock.latest() >= venue - 0.01
        run(idle)
        assert clock.earliest() <= venue + 0.01
        assert clock.latest() >= venue - 0.01
        assert clock.earliest() <= clock.now() <= clock.latest()
    assert clock.steps == 0


def test_the_systems_clocks_tell_milliseconds_and_run_forward() -> None:
    assert 1_700_000_000_000 < wall_ms() < 10_000_000_000_000
    assert steady_seconds() <= steady_seconds()
