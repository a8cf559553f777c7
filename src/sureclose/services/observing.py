"""What a close asks the venue, and the event that each answer is."""

from collections.abc import Callable

import msgspec

from sureclose.domain import steps
from sureclose.domain.evidence import Evidence
from sureclose.domain.facts import Via
from sureclose.domain.words import PositionSide
from sureclose.venue.port import Venue

Read = steps.ReadPosition | steps.ReadHistory | steps.QueryOrder | steps.ReadTrades | steps.GatherEvidence


class Observer(msgspec.Struct, frozen=True):
    """The reads of one close. What can't be read raises ``VenueError``.

    ``now`` is the wall clock, ``ahead`` how far the venue's is ahead of it: milliseconds.
    """

    venue: Venue
    symbol: str
    position_side: PositionSide
    now: Callable[[], int]
    ahead: Callable[[], int]

    async def read(self, effect: Read) -> steps.AnyEvent:
        """Perform the read that the effect asks for."""
        match effect:
            case steps.ReadPosition():
                return await self._position()
            case steps.ReadHistory():
                trades = await self.venue.trades_since(self.symbol, effect.since)
                return steps.HistoryRead(
                    now=self.now(),
                    ahead=self.ahead(),
                    position=effect.position,
                    rules=effect.rules,
                    trades=tuple(trades),
                )
            case steps.QueryOrder():
                return await self._order(effect.client_order_id)
            case steps.ReadTrades():
                trades = await self.venue.trades_of_order(self.symbol, effect.order_id)
                return steps.TradesRead(now=self.now(), trades=tuple(trades))
            case steps.GatherEvidence():
                return steps.EvidenceRead(now=self.now(), evidence=await self._evidence(effect.since))

    async def _position(self) -> steps.AnyEvent:
        rules = await self.venue.rules(self.symbol)
        if rules is None:
            return steps.NotListed(now=self.now())
        position = await self.venue.position(self.symbol, self.position_side)
        return steps.PositionRead(now=self.now(), ahead=self.ahead(), position=position, rules=rules)

    async def _order(self, client_order_id: str) -> steps.AnyEvent:
        """The time is read first: a "not found" counts only when it was asked for after the deadline."""
        asked_at = await self.venue.server_time()
        order = await self.venue.order(self.symbol, client_order_id)
        if order is None:
            return steps.OrderMissing(now=self.now(), asked_at=asked_at)
        return steps.OrderSeen(now=self.now(), order=order, via=Via.QUERY)

    async def _evidence(self, since: int) -> Evidence:
        begun_at = await self.venue.server_time()
        position = await self.venue.position(self.symbol, self.position_side)
        orders = await self.venue.orders_since(self.symbol, since)
        trades = await self.venue.trades_since(self.symbol, since)
        listed = {order.order_id for order in orders}
        for order_id in sorted({trade.order_id for trade in trades} - listed):
            # An order older than the attempt can trade after it.
            older = await self.venue.order_by_id(self.symbol, order_id)
            if older is not None:
                orders.append(older)
        return Evidence(begun_at=begun_at, orders=tuple(orders), trades=tuple(trades), position=position)
