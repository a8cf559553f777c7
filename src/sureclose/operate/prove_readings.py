"""What the proofs read again for themselves: the journal, and the venue's word."""

from decimal import Decimal
from typing import TypeVar

from sureclose.domain import facts
from sureclose.domain.market import OrderReport, Position, Trade
from sureclose.domain.quantity import ZERO
from sureclose.journal.chain import Loaded
from sureclose.operate.session import Session

_Fact = TypeVar("_Fact", bound=facts.Fact)


class NotShown(Exception):
    """A fact that could not be shown; the message says what is missing."""


async def journal_of(session: Session, plan_id: str) -> Loaded:
    loaded = await session.journal.load(plan_id)
    if loaded is None:
        raise NotShown(f"the journal does not know plan {plan_id}")
    return loaded


async def orders_of(session: Session, symbol: str, loaded: Loaded) -> list[OrderReport]:
    """The venue's word on every attempt that the journal knows."""
    found = [
        await session.venue.order(symbol, fact.client_order_id)
        for fact in loaded.facts
        if isinstance(fact, facts.Sending)
    ]
    return [order for order in found if order is not None]


async def trades_of(session: Session, symbol: str, orders: list[OrderReport]) -> list[Trade]:
    return [
        trade for order in orders for trade in await session.venue.trades_of_order(symbol, order.order_id)
    ]


def filled_and_average(trades: list[Trade]) -> tuple[Decimal, Decimal]:
    quantity = sum((trade.quantity for trade in trades), ZERO)
    value = sum((trade.quantity * trade.price for trade in trades), ZERO)
    return quantity, value / quantity if quantity else ZERO


def require_flat(position: Position, trades: list[Trade]) -> None:
    if position.amount:
        raise NotShown(f"the position is {position.amount}")
    if any(trade.time > position.update_time for trade in trades):
        raise NotShown("the position was read as it was before the fill")


def first_of(loaded: Loaded, kind: type[_Fact]) -> _Fact:
    found = [fact for fact in loaded.facts if isinstance(fact, kind)]
    if not found:
        raise NotShown(f"the journal has no {kind.__name__} record of this plan")
    return found[0]


def hashes_of(loaded: Loaded, kind: type[facts.Fact]) -> list[str]:
    """The hashes of the journal's records of a kind: what the evidence rests on."""
    return [hash_ for fact, hash_ in zip(loaded.facts, loaded.hashes, strict=True) if isinstance(fact, kind)]
