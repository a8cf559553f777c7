"""What the venue itself shows of a period: positions, what rests, and all orders and trades of every symbol that matters."""

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal

import msgspec

from sureclose.domain.history import made_by_the_venue
from sureclose.domain.market import Position, RestingOrder
from sureclose.domain.quantity import ZERO
from sureclose.journal.checking.audited import ForeignOrder, Reduces
from sureclose.journal.checking.books import BookOrder, Books
from sureclose.journal.checking.tracing import narrowed
from sureclose.operate.session import Session
from sureclose.operate.verify import Progress, Source, first_attempts, read_books
from sureclose.venue.errors import VenueError
from sureclose.venue.port import Purpose


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """What the venue showed. Conditional orders wait in a service of their own, which numbers its orders apart."""

    positions: tuple[Position, ...] = ()
    books: Books
    conditional: tuple[BookOrder, ...] = ()


async def read_venue(
    session: Session, source: Source, since: int, unread: list[str], progress: Progress
) -> Shown:
    """Positions and what rests, then orders and trades of every symbol in which there is or was anything, or we sent."""
    sent_for = await first_attempts(source, since)
    venue = session.venue
    try:
        positions = await venue.positions()
        resting = await venue.all_resting()
        traded = await venue.symbols_since(since, Purpose.OBSERVE)
        held, rest = {one.symbol for one in positions}, {one.symbol for one in resting}
        symbols = {*sent_for, *traded, *held, *rest}
        books = await read_books(venue, dict.fromkeys(symbols, since), progress)
    except VenueError as error:
        unread.append(f"orders, trades and positions at the venue: {error}")
        return Shown(books=Books([], [], whole=False, order_spans={}, trade_spans={}))
    waiting = tuple(_conditional(order) for order in resting if order.conditional)
    return Shown(positions=tuple(positions), books=books, conditional=waiting)


def _conditional(order: RestingOrder) -> BookOrder:
    return BookOrder(
        order_id=order.order_id,
        client_order_id=order.client_order_id,
        symbol=order.symbol,
        side=order.side,
        reduce_only=order.reduce_only or order.close_position,
        status="WAITING",
        orig_qty=order.quantity,
        executed_qty=ZERO,
        time=order.time,
        update_time=order.time,
        position_side=order.position_side,
        type=order.order_type,
    )


def foreign_orders(others: Iterable[BookOrder], shown: Shown) -> Iterator[ForeignOrder]:
    amounts = {(one.symbol, str(one.position_side)): one.amount for one in shown.positions}
    effects: dict[str, frozenset[int]] = {}
    for order in others:
        if order.symbol not in effects:
            effects[order.symbol] = narrowed(shown.books, amounts, order.symbol)
        yield ForeignOrder(
            order=order,
            reduces=_reduces(order, effects[order.symbol]),
            by=made_by_the_venue(order.client_order_id),
        )


def _reduces(order: BookOrder, narrowing: frozenset[int]) -> Reduces:
    if order.reduces:
        return Reduces.BY_FLAG
    return Reduces.BY_EFFECT if order.order_id in narrowing else Reduces.NO


def lines(positions: Sequence[Position]) -> tuple[str, ...]:
    """Open positions as a person reads them."""
    amounts: list[tuple[str, str, Decimal]] = sorted(
        (one.symbol, str(one.position_side), one.amount) for one in positions if one.amount
    )
    return tuple(f"{symbol} {side} {amount:f}" for symbol, side, amount in amounts)
