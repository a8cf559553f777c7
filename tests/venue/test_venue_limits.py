"""The venue's limits and the queue of orders before them."""

import asyncio
import contextlib

import pytest

from sureclose.venue.limits import Limits, retry_after_ms
from sureclose.venue.port import Purpose, Urgency
from sureclose.venue.schemas import RateLimit
from sureclose.venue.slots import OrderSlots

START = 1_795_283_760_000  # the beginning of a minute


class Now:
    def __init__(self) -> None:
        self.ms = START

    def limits(self, *, weight_limit: int = 100, counted: bool = True) -> Limits:
        return Limits(lambda: self.ms, lambda: self.ms / 1000, weight_limit=weight_limit, counted=counted)


def weight(used: int) -> dict[str, str]:
    return {"X-MBX-USED-WEIGHT-1M": str(used)}


def test_reads_that_observe_yield_before_reads_that_close() -> None:
    now = Now()
    limits = now.limits()
    limits.note(200, weight(75))
    assert limits.read_wait_ms(Purpose.OBSERVE) == 0
    limits.note(200, weight(76))
    now.ms += 15_000
    assert limits.read_wait_ms(Purpose.OBSERVE) == 45_000
    assert limits.read_wait_ms(Purpose.CLOSE) == 0
    limits.note(200, weight(95))
    assert limits.read_wait_ms(Purpose.CLOSE) == 0
    limits.note(200, weight(96))
    assert limits.read_wait_ms(Purpose.CLOSE) == 45_000
    assert limits.order_wait_ms() == 0
    now.ms += 45_000
    assert limits.read_wait_ms(Purpose.OBSERVE) == 0


def test_counts_that_overtake_each_other_do_not_give_budget_back() -> None:
    limits = Now().limits()
    limits.note(200, weight(100))
    limits.note(200, weight(60))
    assert limits.weight_used() == 100


@pytest.mark.parametrize("used", ["", "-1", "x", "1e3", "٣"])
def test_a_strange_count_is_no_count(used: str) -> None:
    limits = Now().limits()
    limits.note(200, {"X-MBX-USED-WEIGHT-1M": used})
    assert limits.weight_used() == 0


def test_orders_wait_for_the_next_interval_counting_those_in_flight() -> None:
    now = Now()
    limits = now.limits()
    limits.note(200, {"X-MBX-ORDER-COUNT-10S": "298", "X-MBX-ORDER-COUNT-1M": "298"})
    now.ms += 4_000
    assert limits.order_wait_ms(in_flight=1) == 0
    assert limits.order_wait_ms(in_flight=2) == 6_000
    now.ms += 6_000
    assert limits.order_wait_ms(in_flight=2) == 0
    limits.note(200, {"X-MBX-ORDER-COUNT-1M": "1200"})
    assert limits.order_wait_ms() == 50_000


def test_a_venue_that_counts_without_enforcing_can_be_told_from_one_that_does() -> None:
    limits = Now().limits(counted=False)
    limits.note(200, {"X-MBX-ORDER-COUNT-10S": "5000", **weight(5000)})
    assert limits.order_wait_ms() == 0
    assert limits.read_wait_ms(Purpose.OBSERVE) == 0
    limits.refused(429, -1015, 3000)
    assert limits.order_wait_ms() == 3000


def test_announced_limits_replace_the_documented_ones_and_new_ones_count_too() -> None:
    now = Now()
    limits = now.limits()
    limits.configure(
        [
            RateLimit(rate_limit_type="ORDERS", interval="SECOND", interval_num=10, limit=5),
            RateLimit(rate_limit_type="ORDERS", interval="DAY", interval_num=1, limit=9),
            RateLimit(rate_limit_type="RAW_REQUESTS", interval="MINUTE", interval_num=5, limit=1),
            RateLimit(rate_limit_type="ORDERS", interval="FORTNIGHT", interval_num=1, limit=1),
        ]
    )
    limits.note(200, {"X-MBX-ORDER-COUNT-10S": "5"})
    assert limits.order_wait_ms() == 10_000
    limits.note(200, {"X-MBX-ORDER-COUNT-1D": "9"})
    assert limits.order_wait_ms() > 10_000


def test_patience_is_as_long_as_the_venue_says_and_grows_when_it_says_nothing() -> None:
    now = Now()
    limits = now.limits()
    limits.refused(429, -1003, 7000)
    assert limits.read_wait_ms(Purpose.CLOSE) == limits.order_wait_ms() == limits.blocked_ms() == 7000
    now.ms += 7000
    assert limits.blocked_ms() == 0
    waits = []
    for _ in range(9):
        limits.refused(429, None, 0)
        waits.append(limits.blocked_ms())
        now.ms += limits.blocked_ms()
    assert waits[0] >= 1000
    assert waits == sorted(waits)
    assert waits[-1] == 60_000
    limits.note(200, {})
    limits.refused(429, None, 0)
    assert limits.blocked_ms() == 1000
    limits.refused(418, None, 0)
    assert limits.blocked_ms() == 120_000


def test_too_many_orders_hold_up_orders_only() -> None:
    limits = Now().limits()
    limits.refused(429, -1015, 5000)
    assert limits.order_wait_ms() == 5000
    assert limits.read_wait_ms(Purpose.OBSERVE) == 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [("7", 7000), (" 7 ", 7000), ("", 0), ("-1", 0), ("Wed, 21 Oct 2026", 0), ("9" * 40, 0)],
)
def test_retry_after_is_seconds_or_nothing(text: str, expected: int) -> None:
    assert retry_after_ms({"Retry-After": text}) == expected


class Door:
    """Order slots, with the names of those who got in, in order."""

    def __init__(self, capacity: int) -> None:
        self.wait = 0
        self.slots = OrderSlots(capacity, lambda _held: self.wait)
        self.entered: list[str] = []
        self.leave: dict[str, asyncio.Event] = {}

    def come(self, name: str, urgency: Urgency = Urgency.FULL, since: int = 0) -> asyncio.Task[None]:
        self.leave[name] = asyncio.Event()
        return asyncio.create_task(self._visit(name, urgency, since))

    async def _visit(self, name: str, urgency: Urgency, since: int) -> None:
        async with self.slots.hold(urgency, since):
            self.entered.append(name)
            await self.leave[name].wait()

    async def settle(self) -> None:
        for _ in range(5):
            await asyncio.sleep(0)


async def test_the_most_urgent_goes_next_then_the_oldest_then_who_came_first() -> None:
    door = Door(1)
    tasks = [
        door.come("first", Urgency.PARTIAL),
        door.come("partial", Urgency.PARTIAL, since=1),
        door.come("young", Urgency.FULL, since=9),
        door.come("old", Urgency.FULL, since=5),
        door.come("old too", Urgency.FULL, since=5),
        door.come("panic", Urgency.PANIC, since=99),
    ]
    await door.settle()
    for event in door.leave.values():
        event.set()
    await asyncio.gather(*tasks)
    assert door.entered[0] in {"first", "panic"}
    assert [name for name in door.entered if name != "first"] == [
        "panic",
        "old",
        "old too",
        "young",
        "partial",
    ]


async def test_when_patience_ends_the_most_urgent_goes_not_who_waited_longest() -> None:
    door = Door(1)
    door.wait = 10
    partial = door.come("partial", Urgency.PARTIAL)
    await door.settle()
    panic = door.come("panic", Urgency.PANIC)
    await door.settle()
    assert door.entered == []
    door.wait = 0
    door.leave["panic"].set()
    door.leave["partial"].set()
    await asyncio.gather(partial, panic)
    assert door.entered == ["panic", "partial"]


async def test_who_gives_up_leaves_no_hole() -> None:
    door = Door(1)
    inside = door.come("inside")
    await door.settle()
    gone, stays = door.come("gone"), door.come("stays")
    await door.settle()
    gone.cancel()
    door.leave["inside"].set()
    door.leave["stays"].set()
    await asyncio.gather(inside, stays)
    assert door.entered == ["inside", "stays"]
    with contextlib.suppress(asyncio.CancelledError):
        await gone


async def test_who_gives_up_in_the_moment_of_getting_in_gives_the_slot_back() -> None:
    door = Door(1)
    inside = door.come("inside")
    await door.settle()
    unlucky, next_one = door.come("unlucky"), door.come("next")
    await door.settle()
    door.leave["inside"].set()
    await asyncio.sleep(0)  # inside leaves and grants the slot, unlucky has not yet run
    unlucky.cancel()
    door.leave["next"].set()
    door.leave["unlucky"].set()
    await asyncio.gather(inside, next_one)
    assert "next" in door.entered
    with contextlib.suppress(asyncio.CancelledError):
        await unlucky
    again = door.come("again")
    door.leave["again"].set()
    await again
