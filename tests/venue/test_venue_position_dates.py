"""From when on a position read holds: from before its request left, and never for who asked after that."""

import asyncio
import time
from decimal import Decimal

import msgspec

from sureclose.domain.market import Position
from sureclose.domain.words import PositionSide
from sureclose.venue.positions import PositionReads
from tests.venue.venue_stubs import Behaviour, Request, client, http, position_row, raw_venue

BOTH = PositionSide.BOTH
ROW = Position(
    symbol="BTCUSDT",
    position_side=BOTH,
    amount=Decimal(1),
    entry_price=Decimal(1),
    mark_price=Decimal(1),
    update_time=1,
    requested_at=1,
)


async def test_who_asks_while_a_read_is_under_way_is_served_by_the_next_one() -> None:
    """The read that is under way may have left before what the second caller wants to see."""
    under_way, release = asyncio.Event(), asyncio.Event()
    begun = 0

    async def read(_symbol: str | None) -> list[Position]:
        nonlocal begun
        begun += 1
        row = msgspec.structs.replace(ROW, amount=Decimal(begun))
        under_way.set()
        await release.wait()
        return [row]

    reads = PositionReads(read, interval_ms=50, steady=time.monotonic)
    first = asyncio.create_task(reads.position("BTCUSDT", BOTH))
    await under_way.wait()
    second = asyncio.create_task(reads.position("BTCUSDT", BOTH))
    await asyncio.sleep(0)
    release.set()
    async with asyncio.timeout(5):
        assert [(await first).amount, (await second).amount] == [1, 2]
    await reads.close()


async def test_a_read_holds_from_before_its_request_left_however_late_the_answer_comes() -> None:
    asked: list[int] = []

    def slow(delay_s: float) -> Behaviour:
        async def behaviour(_request: Request, writer: asyncio.StreamWriter) -> bool:
            asked.append(time.time_ns() // 1_000_000)
            await asyncio.sleep(delay_s)
            writer.write(http(200, [position_row(amount="1")]))
            return True

        return behaviour

    async with raw_venue(slow(0.2)) as stub, client(stub.url) as venue:
        position = await venue.position("BTCUSDT", BOTH)
    (arrived,) = asked
    assert position.requested_at <= arrived
