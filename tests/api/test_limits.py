"""Limits: what comes too fast waits, and nobody waits for another's."""

import pytest

from sureclose.operate.api.limits import FullHouse, Rates, Room
from tests.services.living import Clock


def test_as_many_as_a_second_holds_may_come_at_once_and_then_as_fast_as_that() -> None:
    clock = Clock()
    rates = Rates(10, clock)
    assert [rates.take("a") for _ in range(10)] == [0] * 10
    assert rates.take("a") == pytest.approx(0.1)
    assert rates.take("b") == 0
    clock.now += 0.1
    assert rates.take("a") == 0
    assert rates.take("a") > 0
    clock.now += 1_000
    assert [rates.take("a") > 0 for _ in range(11)] == [False] * 10 + [True]


def test_a_refused_request_takes_nothing() -> None:
    clock = Clock()
    rates = Rates(1, clock, burst=2)
    assert [rates.take("a") for _ in range(2)] == [0, 0]
    assert {rates.take("a") for _ in range(100)} == {1.0}
    clock.now += 1
    assert rates.take("a") == 0


def test_the_names_that_are_remembered_are_bounded() -> None:
    rates = Rates(1, Clock())
    for number in range(10_000):
        rates.take(str(number))
    assert len(rates) == 4_096


def test_a_place_is_free_again_when_it_is_left_however() -> None:
    room = Room(1)
    with room.seat(), pytest.raises(FullHouse), room.seat():
        raise AssertionError
    assert room.taken == 0
    with pytest.raises(KeyError), room.seat():
        raise KeyError
    assert room.taken == 0


def test_what_costs_more_than_one_is_paid_by_who_comes_next() -> None:
    now = 0.0
    rates = Rates(10, lambda: now)
    assert rates.take("a") == 0
    rates.owe("a", 99)
    assert rates.take("a") == pytest.approx(9.1)
    assert rates.take("b") == 0
    now = 9.2
    assert rates.take("a") == 0
