"""The order in which the venue is asked: a time that dates an answer is read before the question."""

from typing import cast

from sureclose.domain import steps
from sureclose.domain.market import OrderReport, Trade
from sureclose.domain.words import PositionSide
from sureclose.services.observing import Observer
from sureclose.venue.port import Venue
from tests.services.living import decision, sending


class Recording:
    """A venue without an order, that keeps what it is asked in which order."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def server_time(self) -> int:
        self.asked.append("time")
        return 1_000 + len(self.asked)

    async def order(self, symbol: str, client_order_id: str) -> OrderReport | None:
        self.asked.append("order")
        return None

    async def position(self, symbol: str, side: PositionSide) -> object:
        self.asked.append("position")
        return sending().position

    async def orders_since(self, symbol: str, since: int) -> list[OrderReport]:
        self.asked.append("orders")
        return []

    async def trades_since(self, symbol: str, since: int) -> list[Trade]:
        self.asked.append("trades")
        return []


def observer(venue: Recording) -> Observer:
    return Observer(cast("Venue", venue), decision("p"), lambda: 3, lambda: 0)


async def test_the_time_is_read_before_the_question_that_it_dates() -> None:
    """An answer of "not found" counts only when it was asked for after the deadline: a later time proves too much."""
    venue = Recording()
    missing = await observer(venue).read(steps.QueryOrder(client_order_id="sc-1"))
    assert venue.asked == ["time", "order"]
    assert missing == steps.OrderMissing(now=3, asked_at=1_001)


async def test_evidence_is_dated_first_and_the_position_read_before_what_explains_it() -> None:
    venue = Recording()
    gathered = await observer(venue).read(steps.GatherEvidence(since=1, position_side=PositionSide.BOTH))
    assert venue.asked[:2] == ["time", "position"]
    assert sorted(venue.asked[2:]) == ["orders", "trades"]
    assert isinstance(gathered, steps.EvidenceRead)
    assert gathered.evidence.begun_at == 1_001
