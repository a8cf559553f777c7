"""The one request of an attempt, while the user data stream tells of orders too."""

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import cast

import msgspec
import pytest

from sureclose.domain import steps
from sureclose.domain.facts import Via
from sureclose.domain.market import Class, OrderReport, Refusal
from sureclose.domain.words import PositionSide, Side
from sureclose.services.heard import Heard
from sureclose.services.posting import post
from sureclose.venue.errors import Unanswered
from sureclose.venue.port import NotSent, ReducingOrder, Venue

ORDER = ReducingOrder(
    symbol="ETHUSDT",
    side=Side.SELL,
    position_side=PositionSide.BOTH,
    quantity=Decimal(1),
    client_order_id="sc-1",
    timestamp=1,
    recv_window=2_000,
)
FILLED = OrderReport(
    order_id=7,
    client_order_id="sc-1",
    symbol="ETHUSDT",
    side=Side.SELL,
    position_side=PositionSide.BOTH,
    status="FILLED",
    order_type="MARKET",
    reduce_only=True,
    orig_qty=Decimal(1),
    executed_qty=Decimal(1),
    update_time=2,
)
ACCEPTED = msgspec.structs.replace(FILLED, status="NEW", executed_qty=Decimal(0))
OTHER = msgspec.structs.replace(FILLED, client_order_id="sc-0", order_id=6)
PATIENCE_S = 5.0

Answer = OrderReport | Refusal | Unanswered | NotSent


class Answering:
    """A venue that answers an order as the test says, when it says so."""

    def __init__(self, answer: Callable[[], Awaitable[Answer]]) -> None:
        self._answer = answer
        self.placed: list[ReducingOrder] = []

    async def place(self, order: ReducingOrder) -> Answer:
        self.placed.append(order)
        return await self._answer()


async def posted(venue: Answering, heard: Heard) -> steps.AnyEvent:
    async with asyncio.timeout(PATIENCE_S):
        return await post(cast("Venue", venue), ORDER, heard, lambda: 3)


async def never() -> Answer:
    await asyncio.Event().wait()
    raise AssertionError


async def test_the_streams_end_of_an_order_stands_in_for_its_answer() -> None:
    """An answer that never comes would hold up a close whose order the stream has told to be filled."""
    heard, venue = Heard(), Answering(never)
    heard.tell(FILLED, None)
    assert await posted(venue, heard) == steps.OrderSeen(now=3, order=FILLED, via=Via.STREAM)
    assert venue.placed == [ORDER]


async def test_an_order_that_only_began_is_no_answer() -> None:
    told = asyncio.Event()

    async def later() -> Answer:
        await told.wait()
        return FILLED

    heard, venue = Heard(), Answering(later)
    heard.tell(ACCEPTED, None)
    waiting = asyncio.create_task(posted(venue, heard))
    done, _ = await asyncio.wait({waiting}, timeout=0.05)
    assert not done
    told.set()
    assert await waiting == steps.OrderSeen(now=3, order=FILLED, via=Via.ANSWER)
    assert await heard.next() == ACCEPTED


async def test_other_news_has_its_turn_after_the_answer() -> None:
    heard = Heard()
    heard.tell(OTHER, None)

    async def soon() -> Answer:
        for _ in range(3):
            await asyncio.sleep(0)
        return FILLED

    assert await posted(Answering(soon), heard) == steps.OrderSeen(now=3, order=FILLED, via=Via.ANSWER)
    async with asyncio.timeout(PATIENCE_S):
        assert await heard.next() == OTHER
    assert not heard.waiting


REFUSAL = Refusal(kind=Class.FLAT_CHECK, http_status=400, code=-2022, message="no")


@pytest.mark.parametrize(
    ("answer", "event"),
    [
        (FILLED, steps.OrderSeen(now=3, order=FILLED, via=Via.ANSWER)),
        (REFUSAL, steps.Refused(now=3, refusal=REFUSAL)),
        (
            Unanswered(reason="cut", http_status=503, code=-1001),
            steps.Unanswered(now=3, reason="cut", http_status=503, code=-1001),
        ),
        (NotSent("no connection"), steps.Withheld(now=3, reason="no connection")),
    ],
    ids=["order", "refusal", "unanswered", "not sent"],
)
async def test_each_answer_is_what_it_says(answer: Answer, event: steps.AnyEvent) -> None:
    async def at_once() -> Answer:
        return answer

    assert await posted(Answering(at_once), Heard()) == event


async def test_an_order_that_the_stream_told_of_is_not_taken_for_refused() -> None:
    """A refusal that the stream contradicts is the answer of somebody in the middle."""
    heard = Heard()
    heard.tell(FILLED, None)

    async def refused() -> Answer:
        return REFUSAL

    assert await posted(Answering(refused), heard) == steps.OrderSeen(now=3, order=FILLED, via=Via.STREAM)
