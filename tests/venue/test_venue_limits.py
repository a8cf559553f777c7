"""The venue's limits and the queue of orders before them."""

import asyncio
import contextlib

import pytest

from sureclose.venue.limits import Limits, retry_after_ms
from sureclose.venue.port import Purpose, Urgency
from sureclose.venue.schemas import RateLimit
from sureclose.venue.slots import OrderSlots

START = 1_795_283_761_000  # one second into a minute
READ = 5


class Now:
    def __init__(self) -> None:
        self.ms = START

    def limits(self, *, weight_limit: int = 100, counted: bool = True) -> Limits:
        return Limits(lambda: self.ms, lambda: self.ms / 1000, weight_limit=weight_limit, counted=counted)

    def hear(self, limits: Limits, headers: dict[str, str]) -> None:
        """An answer that came at once."""
        limits.note(headers, sent_at=self.ms)


def weight(used: int) -> dict[str, str]:
    return {"X-MBX-USED-WEIGHT-1M": str(used)}


def test_reads_that_observe_yield_before_reads_that_close() -> None:
    now = Now()
    limits = now.limits()
    now.hear(limits, weight(75))
    assert limits.read_wait_ms(Purpose.OBSERVE, READ) == 0
    now.hear(limits, weight(76))
    now.ms += 14_000
    assert limits.read_wait_ms(Purpose.OBSERVE, READ) == 45_000
    assert limits.read_wait_ms(Purpose.CLOSE, READ) == 0
    now.hear(limits, weight(95))
    assert limits.read_wait_ms(Purpose.CLOSE, READ) == 0
    now.hear(limits, weight(96))
    assert limits.read_wait_ms(Purpose.CLOSE, READ) == 45_000
    assert limits.order_wait_ms() == 0
    now.ms += 45_000
    assert limits.read_wait_ms(Purpose.OBSERVE, READ) == 0


def test_counts_that_overtake_each_other_do_not_give_budget_back() -> None:
    now = Now()
    limits = now.limits()
    now.hear(limits, weight(100))
    now.hear(limits, weight(60))
    assert limits.weight_used() == 100


def test_reads_on_their_way_count_until_their_own_count_comes_back() -> None:
    now = Now()
    limits = now.limits()
    for _ in range(16):
        assert limits.read_wait_ms(Purpose.OBSERVE, READ) == 0
        limits.began(READ)
    assert limits.read_wait_ms(Purpose.OBSERVE, READ) == 59_000
    assert limits.read_wait_ms(Purpose.CLOSE, READ) == 0
    now.hear(limits, weight(5))
    limits.ended(READ)
    assert limits.read_wait_ms(Purpose.OBSERVE, READ) == 59_000
    assert limits.read_wait_ms(Purpose.CLOSE, 2 * READ) == 0
    assert limits.read_wait_ms(Purpose.CLOSE, 4 * READ + 1) == 59_000


def test_a_read_heavier_than_the_whole_budget_goes_alone() -> None:
    limits = Now().limits(weight_limit=10)
    assert limits.read_wait_ms(Purpose.OBSERVE, 30) == 0
    limits.began(1)
    assert limits.read_wait_ms(Purpose.OBSERVE, 30) > 0


def test_what_came_back_without_a_count_counts_by_what_it_is_known_to_cost() -> None:
    now = Now()
    limits = now.limits()
    limits.note({}, sent_at=now.ms, weight=30)
    limits.note({}, sent_at=now.ms, weight=5, orders=1)
    assert limits.weight_used() == 35
    limits.note(weight(33), sent_at=now.ms, weight=5)
    assert limits.weight_used() == 35
    now.ms += 60_000
    assert limits.weight_used() == 0


def test_a_count_of_the_old_window_that_comes_late_does_not_fill_the_new_one() -> None:
    now = Now()
    limits = now.limits()
    sent_at = now.ms + 58_900
    now.ms += 59_050
    limits.note(weight(100), sent_at=sent_at, weight=READ)
    assert limits.weight_used() == READ
    assert limits.read_wait_ms(Purpose.CLOSE, READ) == 0
    now.ms += 1000
    now.hear(limits, weight(100))
    assert limits.weight_used() == 100


@pytest.mark.parametrize("used", ["", "-1", "x", "1e3", "٣"])
def test_a_strange_count_is_no_count(used: str) -> None:
    now = Now()
    limits = now.limits()
    now.hear(limits, {"X-MBX-USED-WEIGHT-1M": used})
    assert limits.weight_used() == 0


def test_orders_wait_for_the_next_interval_counting_those_in_flight() -> None:
    now = Now()
    limits = now.limits()
    now.hear(limits, {"X-MBX-ORDER-COUNT-10S": "298", "X-MBX-ORDER-COUNT-1M": "298"})
    now.ms += 3_000
    assert limits.order_wait_ms(in_flight=1) == 0
    assert limits.order_wait_ms(in_flight=2) == 6_000
    now.ms += 6_000
    assert limits.order_wait_ms(in_flight=2) == 0
    now.hear(limits, {"X-MBX-ORDER-COUNT-1M": "1200"})
    assert limits.order_wait_ms() == 50_000


def test_a_venue_that_counts_without_enforcing_can_be_told_from_one_that_does() -> None:
    now = Now()
    limits = now.limits(counted=False)
    now.hear(limits, {"X-MBX-ORDER-COUNT-10S": "5000", **weight(5000)})
    assert limits.order_wait_ms() == 0
    assert limits.read_wait_ms(Purpose.OBSERVE, READ) == 0
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
    now.hear(limits, {"X-MBX-ORDER-COUNT-10S": "5"})
    assert limits.order_wait_ms() == 9_000
    now.hear(limits, {"X-MBX-ORDER-COUNT-1D": "9"})
    assert limits.order_wait_ms() > 10_000


def test_patience_is_as_long_as_the_venue_says_and_grows_when_it_says_nothing() -> None:
    now = Now()
    limits = now.limits()
    limits.refused(429, -1003, 7000)
    assert limits.read_wait_ms(Purpose.CLOSE, READ) == limits.order_wait_ms() == limits.blocked_ms() == 7000
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
    limits.served()
    limits.refused(429, None, 0)
    assert limits.blocked_ms() == 1000
    limits.refused(418, None, 0)
    assert limits.blocked_ms() == 120_000


def test_refusals_of_what_left_before_the_wait_began_make_it_no_longer() -> None:
    now = Now()
    limits = now.limits()
    for _ in range(8):
        limits.refused(429, None, 0)
        limits.served()
    assert limits.blocked_ms() == 1000
    now.ms += 1000
    limits.refused(429, None, 0)
    assert limits.blocked_ms() == 2000


def test_a_shorter_wish_does_not_shorten_a_longer_one() -> None:
    limits = Now().limits()
    limits.refused(418, -1003, 600_000)
    limits.refused(429, -1003, 1000)
    assert limits.blocked_ms() == 600_000


def test_reads_that_are_served_do_not_shorten_the_waits_of_refused_orders() -> None:
    now = Now()
    limits = now.limits()
    for wait in (1000, 2000, 4000):
        limits.refused(429, -1015, 0)
        assert limits.order_wait_ms() == wait
        now.ms += wait
        limits.served()
    limits.served(orders=1)
    limits.refused(429, -1015, 0)
    assert limits.order_wait_ms() == 1000


def test_too_many_orders_hold_up_orders_only() -> None:
    limits = Now().limits()
    limits.refused(429, -1015, 5000)
    assert limits.order_wait_ms() == 5000
    assert limits.read_wait_ms(Purpose.OBSERVE, READ) == 0


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


async def test_the_queue_is_told_and_counts_nobody_who_gave_up() -> None:
    door = Door(1)
    inside = door.come("inside")
    await door.settle()
    waiting = [door.come(name) for name in ("one", "two", "three")]
    await door.settle()
    assert door.slots.queue == 3
    waiting[1].cancel()
    await door.settle()
    assert door.slots.queue == 2
    door.wait = 4000
    assert door.slots.next_wait_ms() == 4000
    door.wait = 0
    for event in door.leave.values():
        event.set()
    await asyncio.gather(inside, waiting[0], waiting[2])
    assert door.slots.queue == 0


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
