"""Closes as they stand in a log after a day's work, made through the journal's own scripts and without a venue."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal
from typing import Final

from sureclose.domain import facts
from sureclose.domain.events import Decision, EntryRef
from sureclose.domain.facts import Ended, Sending, Via
from sureclose.domain.ids import client_order_id_for, plan_id_for
from sureclose.domain.market import OrderReport, Position, Trade
from sureclose.domain.outcome import Outcome, OutcomeKind
from sureclose.domain.words import AgeSource, Mode, PositionSide, Side, Verdict
from sureclose.journal.chain import Announcement, Chain
from sureclose.journal.keys import Keys
from sureclose.journal.lease import Lease, take
from sureclose.journal.store import Journal
from sureclose.streams.wire import Wire

ACCOUNT: Final = "paper:main"
COMPONENT: Final = "execution_service"
GROUP: Final = "execution_service_exits"
AT_ONCE: Final = 24
_SYMBOLS: Final = 5_000
"""Each close of those at once has a symbol of its own, so that none waits for another's flight."""


class Filling:
    """Makes closes in one account of the log. ``at`` is the log's time that they are made at, in milliseconds."""

    def __init__(self, wire: Wire, prefix: str, at: int) -> None:
        self.wire = wire
        self.prefix = prefix
        self.at = at
        self.keys = Keys(prefix, ACCOUNT)
        self.journal = Journal(wire, self.keys, lambda: self.at)
        self.lease = Lease("filling", 0)

    async def open(self) -> None:
        """Take the lease and the grant."""
        taken = await take(self.wire, self.keys, "filling", 3_600_000)
        assert taken is not None
        self.lease = taken
        await self.wire.execute_command(b"HSET", self.keys.grant, "component", COMPONENT)

    async def finished(self, numbers: Sequence[int]) -> None:
        """Whole closes: sent, filled, read back, published."""
        await self._all(self._finish, numbers)

    async def unfinished(self, numbers: Sequence[int]) -> None:
        """Closes that were admitted and whose process died then."""
        await self._all(self._admit, numbers)

    async def _all(self, make: Callable[[int], Awaitable[None]], numbers: Sequence[int]) -> None:
        left = iter(numbers)

        async def worker() -> None:
            for number in left:
                await make(number)

        await asyncio.gather(*(worker() for _ in range(AT_ONCE)))

    async def _admit(self, number: int) -> None:
        chain = Chain(_plan(number))
        chain.note([_admitted(number, self.at, self._entry(number))], self.at)
        await self.journal.append(chain, self.lease)

    async def _finish(self, number: int) -> None:
        plan_id = _plan(number)
        chain = Chain(plan_id)
        sending, order = _sending(plan_id, number, self.at), _order(plan_id, number, self.at)
        sized = facts.Sized(position=sending.position, target=sending.quantity, side=sending.side)
        chain.note([_admitted(number, self.at, self._entry(number)), sized], self.at)
        await self.journal.gate(
            chain,
            self.lease,
            component=COMPONENT,
            warranted_intent="",
            intent_id=f"intent-{number}",
            sending=sending,
        )
        trade = Trade(
            trade_id=number,
            order_id=order.order_id,
            symbol=order.symbol,
            side=order.side,
            position_side=PositionSide.BOTH,
            quantity=order.orig_qty,
            price=Decimal("2345.67"),
            realized_pnl=Decimal("5.55"),
            commission=Decimal("0.12"),
            commission_asset="USDT",
            time=self.at,
        )
        chain.note(
            [facts.Seen(via=Via.ANSWER, order=order), facts.Filled(order=order, trades=(trade,))], self.at
        )
        flat = _position(number, Decimal(0), self.at)
        await self.journal.publish(
            chain,
            self.lease,
            Ended(outcome=Outcome(OutcomeKind.FLAT), position_after=flat),
            symbol=order.symbol,
            group=GROUP,
            entries=(),
            announce=lambda evidence: [
                Announcement(f"{self.prefix}{stream}", _told(plan_id, order, evidence))
                for stream in ("apply.result", "execution.result")
            ],
        )

    def _entry(self, number: int) -> EntryRef:
        return EntryRef(f"{self.prefix}apply.result", f"{self.at}-{number}")


def _symbol(number: int) -> str:
    return f"S{number % _SYMBOLS:04d}USDT"


def _plan(number: int) -> str:
    return plan_id_for(f"intent-{number}", _symbol(number), "BOTH", "CLOSE", Decimal(1), None)


def _admitted(number: int, at: int, entry: EntryRef) -> facts.Admitted:
    decision = Decision(
        intent_id=f"intent-{number}",
        plan_id=_plan(number),
        symbol=_symbol(number),
        position_side=PositionSide.BOTH,
        action="CLOSE",
        fraction=Decimal(1),
        quantity=None,
        origin_at=at,
        age_source=AgeSource.FIELD,
        mode=Mode.PAPER,
        reason="take profit",
        source="harvest",
        cause=(entry, entry),
        verdict=Verdict.CLOSE,
        approved=True,
        reason_codes=("close_approved",),
    )
    return facts.Admitted(decision=decision, entry=entry)


def _position(number: int, amount: Decimal, at: int) -> Position:
    return Position(
        symbol=_symbol(number),
        position_side=PositionSide.BOTH,
        amount=amount,
        entry_price=Decimal("2300.5"),
        mark_price=Decimal("2345.67"),
        update_time=at,
        requested_at=at,
    )


def _sending(plan_id: str, number: int, at: int) -> Sending:
    return Sending(
        attempt=1,
        client_order_id=client_order_id_for("sc-", ACCOUNT, plan_id, 1),
        side=Side.SELL,
        quantity=Decimal("0.123"),
        timestamp=at,
        deadline=at + 2_000,
        position=_position(number, Decimal("0.123"), at),
    )


def _order(plan_id: str, number: int, at: int) -> OrderReport:
    return OrderReport(
        order_id=number,
        client_order_id=client_order_id_for("sc-", ACCOUNT, plan_id, 1),
        symbol=_symbol(number),
        side=Side.SELL,
        position_side=PositionSide.BOTH,
        order_type="MARKET",
        reduce_only=True,
        status="FILLED",
        orig_qty=Decimal("0.123"),
        executed_qty=Decimal("0.123"),
        update_time=at,
    )


def _told(plan_id: str, order: OrderReport, evidence: str) -> dict[str, str]:
    return {
        "schema": "1",
        "plan_id": plan_id,
        "intent_id": plan_id,
        "producer": '{"name":"execution","version":"0","host":"bench","pid":1}',
        "created_at": "2026-11-22T22:59:00.000Z",
        "mode": "paper",
        "symbol": order.symbol,
        "decision": "CLOSE",
        "approved": "True",
        "executed": "True",
        "outcome": "FLAT",
        "order_ids": str(order.order_id),
        "client_order_ids": order.client_order_id,
        "filled_qty": "0.123",
        "avg_price": "2345.67",
        "position_before": "0.123",
        "position_after": "0",
        "evidence": evidence,
    }
