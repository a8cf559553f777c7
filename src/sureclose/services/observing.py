"""What a close asks the venue, and the event that each answer is."""

import asyncio
from collections.abc import Callable

import msgspec

from sureclose.domain import steps
from sureclose.domain.events import Decision
from sureclose.domain.evidence import Evidence
from sureclose.domain.facts import Via, Why
from sureclose.domain.market import OrderReport, Position, RestingOrder, Trade
from sureclose.domain.sameness import meant
from sureclose.domain.words import PositionSide
from sureclose.fault_points import FaultPoint, reach
from sureclose.venue.port import Purpose, Venue

Read = (
    steps.ReadPosition
    | steps.ReadHistory
    | steps.ReadResting
    | steps.QueryOrder
    | steps.ReadTrades
    | steps.GatherEvidence
    | steps.ReadOrphan
)


class Observer(msgspec.Struct, frozen=True):
    """The reads of one close. What can't be read raises ``VenueError``.

    ``now`` is the clock that ages are judged by, ``ahead`` how far the venue's is ahead of it: milliseconds.
    Trades are those of the position's own side: in hedge mode a symbol has two positions, and one list of trades.
    """

    venue: Venue
    decision: Decision
    now: Callable[[], int]
    ahead: Callable[[], int]
    hears: bool = False
    """Whether the stream just told all of this close's own order: what it says of leftovers is believed then."""

    async def read(self, effect: Read, told: Position | None = None) -> steps.AnyEvent:
        """Perform the read that the effect asks for; a position that the stream ``told`` takes the place of one."""
        match effect:
            case steps.ReadPosition():
                return await self._position(effect.position_side, told)
            case steps.ReadHistory():
                return await self._history(effect)
            case steps.ReadResting():
                orders = await self._resting(effect.why)
                return steps.RestingRead(
                    now=self.now(), position=effect.position, rules=effect.rules, orders=orders
                )
            case steps.QueryOrder():
                return await self._order(effect.client_order_id)
            case steps.ReadTrades():
                trades = await self.venue.trades_of_order(self.decision.symbol, effect.order_id)
                reach(FaultPoint.AFTER_FILLS)
                return steps.TradesRead(now=self.now(), trades=tuple(trades))
            case steps.ReadOrphan():
                return await self._orphan(effect)
            case steps.GatherEvidence():
                evidence = await self._evidence(effect.since, effect.position_side)
                return steps.EvidenceRead(now=self.now(), evidence=evidence)

    async def _orphan(self, effect: steps.ReadOrphan) -> steps.AnyEvent:
        rules = await self.venue.rules(self.decision.symbol)
        if rules is None:
            return steps.NotListed(now=self.now())
        begun_at = await self.venue.server_time()
        position = await self._held(effect.position_side)
        trades = await self._trades(effect.since, effect.position_side)
        evidence = Evidence(begun_at=begun_at, orders=(), trades=trades, position=position)
        return steps.OrphanRead(now=self.now(), evidence=evidence, rules=rules)

    async def _resting(self, why: Why) -> tuple[RestingOrder, ...]:
        symbol = self.decision.symbol
        if why is Why.BLOCKING:
            reach(FaultPoint.BEFORE_BLOCKERS)
            orders = await self.venue.resting(symbol)
            reach(FaultPoint.AFTER_BLOCKERS)
            return tuple(orders)
        if self.hears and self.venue.told_none_rest(symbol):
            return ()
        reach(FaultPoint.BEFORE_LEFTOVERS)
        orders = await self.venue.resting(symbol, Purpose.TIDY)
        reach(FaultPoint.AFTER_LEFTOVERS)
        return tuple(orders)

    async def _position(self, side: PositionSide | None, told: Position | None) -> steps.AnyEvent:
        reach(FaultPoint.BEFORE_RULES)
        rules = await self.venue.rules(self.decision.symbol)
        reach(FaultPoint.AFTER_RULES)
        if rules is None:
            return steps.NotListed(now=self.now())
        position = told
        if position is None:
            position = await self._meant() if side is None else await self._read_back(side)
        if position is None:
            return steps.SideUnclear(now=self.now())
        return steps.PositionRead(now=self.now(), ahead=self.ahead(), position=position, rules=rules)

    async def _meant(self) -> Position | None:
        """The position that the decision is about, by the account's mode."""
        reach(FaultPoint.BEFORE_MODE)
        hedge = await self.venue.dual_side()
        reach(FaultPoint.AFTER_MODE)
        sides = (PositionSide.LONG, PositionSide.SHORT) if hedge else (PositionSide.BOTH,)
        reach(FaultPoint.BEFORE_POSITION)
        positions = await asyncio.gather(*map(self._held, sides))
        reach(FaultPoint.AFTER_POSITION)
        return meant(self.decision, *positions) if hedge else positions[0]

    async def _read_back(self, side: PositionSide) -> Position:
        reach(FaultPoint.BEFORE_READ_BACK)
        position = await self._held(side)
        reach(FaultPoint.AFTER_READ_BACK)
        return position

    async def _held(self, side: PositionSide) -> Position:
        return await self.venue.position(self.decision.symbol, side)

    async def _history(self, effect: steps.ReadHistory) -> steps.HistoryRead:
        """The trades since then and, where they led to a flat position, the order of the last of them."""
        position = effect.position
        reach(FaultPoint.BEFORE_HISTORY)
        trades = await self._trades(effect.since, position.position_side)
        last: OrderReport | None = None
        if not position.amount and trades:
            last = await self.venue.order_by_id(self.decision.symbol, trades[-1].order_id)
        reach(FaultPoint.AFTER_HISTORY)
        return steps.HistoryRead(
            now=self.now(),
            ahead=self.ahead(),
            position=position,
            rules=effect.rules,
            trades=trades,
            closed_by=last,
        )

    async def _trades(self, since: int, side: PositionSide) -> tuple[Trade, ...]:
        trades = await self.venue.trades_since(self.decision.symbol, since)
        return tuple(trade for trade in trades if trade.position_side is side)

    async def _order(self, client_order_id: str) -> steps.AnyEvent:
        """The time is read first: a "not found" counts only when it was asked for after the deadline."""
        reach(FaultPoint.BEFORE_QUERY)
        asked_at = await self.venue.server_time()
        order = await self.venue.order(self.decision.symbol, client_order_id)
        reach(FaultPoint.AFTER_QUERY)
        if order is None:
            return steps.OrderMissing(now=self.now(), asked_at=asked_at)
        return steps.OrderSeen(now=self.now(), order=order, via=Via.QUERY)

    async def _evidence(self, since: int, side: PositionSide) -> Evidence:
        symbol = self.decision.symbol
        reach(FaultPoint.BEFORE_EVIDENCE)
        begun_at = await self.venue.server_time()
        position = await self._held(side)
        reach(FaultPoint.AFTER_EVIDENCE_POSITION)
        orders = await self.venue.orders_since(symbol, since)
        reach(FaultPoint.AFTER_EVIDENCE_ORDERS)
        trades = await self._trades(since, side)
        reach(FaultPoint.AFTER_EVIDENCE_TRADES)
        listed = {order.order_id for order in orders}
        for order_id in sorted({trade.order_id for trade in trades} - listed):
            # An order older than the attempt can trade after it.
            older = await self.venue.order_by_id(symbol, order_id)
            if older is not None:
                orders.append(older)
        return Evidence(begun_at=begun_at, orders=tuple(orders), trades=trades, position=position)
