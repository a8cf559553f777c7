"""Coalesced position reads: one serves all, none serves a caller who came later."""

import asyncio
from collections.abc import Callable
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sureclose.domain.market import Position
from sureclose.domain.words import PositionSide
from sureclose.venue.errors import VenueError, VenueUnreachable
from sureclose.venue.positions import PositionReads

BOTH = PositionSide.BOTH
SYMBOLS = ["AUSDT", "BUSDT", "CUSDT"]


class Account:
    """Counts a tick for each read and each call, and says in ``requested_at`` which read answered."""

    def __init__(self) -> None:
        self.ticks = 0
        self.reads: list[str | None] = []
        self.starts: list[float] = []
        self.hold: list[asyncio.Event] = []
        self.fail: set[int] = set()
        self.slow: Callable[[int], float] = lambda _read: 0.0
        self.clock: Callable[[], float] = asyncio.get_running_loop().time

    def tick(self) -> int:
        self.ticks += 1
        return self.ticks

    async def read(self, symbol: str | None) -> list[Position]:
        number = len(self.reads)
        self.reads.append(symbol)
        self.starts.append(self.clock())
        requested_at = self.tick()
        if number < len(self.hold):
            await self.hold[number].wait()
        await asyncio.sleep(self.slow(number))
        if number in self.fail:
            raise VenueUnreachable(f"read {number} failed")
        return [position(name, requested_at) for name in (SYMBOLS if symbol is None else [symbol])]


def position(symbol: str, requested_at: int) -> Position:
    return Position(
        symbol=symbol,
        position_side=BOTH,
        amount=Decimal(1),
        entry_price=Decimal(1),
        mark_price=Decimal(1),
        update_time=1,
        requested_at=requested_at,
    )


def reads_of(account: Account, interval_ms: int = 0) -> PositionReads:
    loop = asyncio.get_running_loop()
    return PositionReads(account.read, interval_ms=interval_ms, steady=loop.time)


async def test_many_callers_share_one_read_of_the_account() -> None:
    account = Account()
    reads = reads_of(account, 10_000)
    got = await asyncio.gather(*(reads.position(symbol, BOTH) for symbol in SYMBOLS * 100))
    assert account.reads == [None]
    assert [row.symbol for row in got] == SYMBOLS * 100
    await reads.close()


async def test_callers_about_one_symbol_share_the_small_read() -> None:
    account = Account()
    reads = reads_of(account)
    await asyncio.gather(*(reads.position("AUSDT", BOTH) for _ in range(10)))
    assert account.reads == ["AUSDT"]
    await reads.close()


async def test_a_caller_during_a_read_is_served_by_the_next_one_even_if_the_first_never_ends() -> None:
    account = Account()
    account.hold = [asyncio.Event()]
    reads = reads_of(account)
    first = asyncio.ensure_future(reads.position("AUSDT", BOTH))
    while not account.reads:
        await asyncio.sleep(0)
    called_at = account.tick()
    second = await reads.position("AUSDT", BOTH)
    assert second.requested_at > called_at
    assert not first.done()
    account.hold[0].set()
    assert (await first).requested_at < called_at
    await reads.close()


async def test_a_failed_read_fails_all_who_waited_for_it_and_nobody_else() -> None:
    account = Account()
    account.fail = {0}
    reads = reads_of(account)
    failed = await asyncio.gather(
        *(reads.position(symbol, BOTH) for symbol in SYMBOLS), return_exceptions=True
    )
    assert all(isinstance(error, VenueUnreachable) for error in failed)
    assert (await reads.position("AUSDT", BOTH)).symbol == "AUSDT"
    await reads.close()


async def test_an_unforeseen_error_reaches_whoever_waits_instead_of_hanging_him() -> None:
    async def broken(_symbol: str | None) -> list[Position]:
        raise ZeroDivisionError

    reads = PositionReads(broken, interval_ms=0, steady=asyncio.get_running_loop().time)
    with pytest.raises(ZeroDivisionError):
        await reads.position("AUSDT", BOTH)
    await reads.close()


async def test_who_stops_waiting_costs_the_others_nothing() -> None:
    account = Account()
    reads = reads_of(account)
    gone = asyncio.ensure_future(reads.position("AUSDT", BOTH))
    stays = asyncio.ensure_future(reads.position("BUSDT", BOTH))
    await asyncio.sleep(0)
    gone.cancel()
    assert (await stays).symbol == "BUSDT"
    assert gone.cancelled()
    await reads.close()


async def test_closing_ends_waiters_of_every_stage() -> None:
    account = Account()
    account.hold = [asyncio.Event()]
    reads = reads_of(account, 60_000)
    reading = asyncio.ensure_future(reads.position("AUSDT", BOTH))
    while not account.reads:
        await asyncio.sleep(0)
    queued = asyncio.ensure_future(reads.position("AUSDT", BOTH))
    await asyncio.sleep(0)
    await reads.close()
    for outcome in await asyncio.gather(reading, queued, return_exceptions=True):
        assert isinstance(outcome, VenueError)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(SYMBOLS), st.integers(0, 3), st.booleans()), min_size=1, max_size=25),
    st.sets(st.integers(0, 5)),
    st.integers(0, 3),
    st.lists(st.integers(0, 3), min_size=1, max_size=5),
)
async def test_everyone_is_served_by_a_read_requested_after_his_call(
    callers: list[tuple[str, int, bool]], failing: set[int], interval_ms: int, slowness: list[int]
) -> None:
    account = Account()
    account.fail = failing
    account.slow = lambda read: slowness[read % len(slowness)] / 1000
    looked: list[float] = []

    def steady() -> float:
        looked.append(asyncio.get_running_loop().time())
        return looked[-1]

    reads = PositionReads(account.read, interval_ms=interval_ms, steady=steady)
    account.clock = lambda: looked[-1]

    async def call(symbol: str) -> None:
        called_at = account.tick()
        try:
            got = await reads.position(symbol, BOTH)
        except VenueUnreachable:
            return
        assert got.symbol == symbol
        assert got.requested_at > called_at

    calls = []
    for symbol, wait, gives_up in callers:
        await asyncio.sleep(wait / 1000)
        task = asyncio.ensure_future(call(symbol))
        if gives_up and wait:
            asyncio.get_running_loop().call_later(0.001, task.cancel)
        calls.append(task)
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    await reads.close()
    assert all(outcome is None or isinstance(outcome, asyncio.CancelledError) for outcome in outcomes)
    assert len(account.reads) <= len(callers)
    gaps = [after - before for before, after in zip(account.starts, account.starts[1:], strict=False)]
    assert all(gap >= interval_ms / 1000 - 0.001 for gap in gaps)
