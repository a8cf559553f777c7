"""What the venue shows, of everything that ever changed there or of a part of it, when a read lags."""

from collections.abc import Sequence
from decimal import Decimal
from functools import cache

from sureclose.domain.market import OrderReport, Position, Trade
from sureclose.domain.quantity import ZERO
from sureclose.domain.words import PositionSide, Side
from tests.domain.scripts import MARK
from tests.model.terms import SYMBOL, order_name
from tests.model.world import Change, Kind

Changes = tuple[Change, ...]

_MOVES = {Kind.FILLED, Kind.FOREIGN, Kind.DRIFTED}

_FATES = {Kind.ACCEPTED, Kind.REFUSED, Kind.DROPPED}


@cache
def amount_of(changes: Changes) -> int:
    """The position, signed."""
    return sum(change.amount for change in changes if change.kind in _MOVES)


def filled_of(changes: Changes, plan: int, attempt: int | None = None) -> int:
    """What an attempt, or a close with all its attempts, has executed: unsigned."""
    return sum(
        abs(change.amount)
        for change in changes
        if change.kind is Kind.FILLED and change.plan == plan and attempt in {None, change.attempt}
    )


def fate_of(changes: Changes, plan: int, attempt: int) -> Change | None:
    """What became of a request when it reached the venue; ``None`` while that is open.

    After a loss of the log a number may be used again of which the venue had refused a request: what it took counts.
    """
    fates = [
        change
        for change in changes
        if change.plan == plan and change.attempt == attempt and change.kind in _FATES
    ]
    return next((fate for fate in fates if fate.kind is Kind.ACCEPTED), fates[-1] if fates else None)


def ended(changes: Changes, plan: int, attempt: int) -> bool:
    """Whether nothing more can come of a request that reached the venue."""
    fate = fate_of(changes, plan, attempt)
    if fate is None:
        return False
    if fate.kind is not Kind.ACCEPTED:
        return True
    return filled_of(changes, plan, attempt) == fate.amount or any(
        change.kind is Kind.EXPIRED and (change.plan, change.attempt) == (plan, attempt) for change in changes
    )


def position(changes: Changes, asked_at: int) -> Position:
    moved_at = max(change.time for change in changes if change.kind in _MOVES)
    return Position(
        symbol=SYMBOL,
        position_side=PositionSide.BOTH,
        amount=Decimal(amount_of(changes)),
        entry_price=MARK,
        mark_price=MARK,
        update_time=moved_at,
        requested_at=asked_at,
    )


@cache
def order(changes: Changes, plan: int, attempt: int) -> OrderReport | None:
    """An order of ours; ``None`` when the venue has none of that id."""
    mine = [
        (place, change)
        for place, change in enumerate(changes)
        if change.plan == plan and change.attempt == attempt
    ]
    taken = next(((place, change) for place, change in mine if change.kind is Kind.ACCEPTED), None)
    if taken is None:
        return None
    place, accepted = taken
    executed = filled_of(changes, plan, attempt)
    if executed == accepted.amount:
        status = "FILLED"
    elif any(change.kind is Kind.EXPIRED for _, change in mine):
        status = "EXPIRED"
    else:
        status = "PARTIALLY_FILLED" if executed else "NEW"
    return OrderReport(
        order_id=place + 1,
        client_order_id=order_name(plan, attempt),
        symbol=SYMBOL,
        side=_closing(changes[:place]),
        position_side=PositionSide.BOTH,
        status=status,
        order_type="MARKET",
        reduce_only=True,
        orig_qty=Decimal(accepted.amount),
        executed_qty=Decimal(executed),
        update_time=mine[-1][1].time,
    )


def _closing(before: Changes) -> Side:
    return Side.SELL if amount_of(before) > 0 else Side.BUY


def orders(changes: Changes, since: int) -> list[OrderReport]:
    """Everybody's orders that were placed since then."""
    found = []
    for place, change in enumerate(changes):
        if change.time < since:
            continue
        if change.kind is Kind.ACCEPTED:
            own = order(changes, change.plan, change.attempt)
            assert own is not None
            found.append(own)
        elif change.kind is Kind.FOREIGN:
            found.append(_foreign(place, change))
    return found


def order_by_id(changes: Changes, order_id: int) -> OrderReport | None:
    if order_id > len(changes):
        return None
    change = changes[order_id - 1]
    if change.kind is Kind.FOREIGN:
        return _foreign(order_id - 1, change)
    return order(changes, change.plan, change.attempt)


def _foreign(place: int, change: Change) -> OrderReport:
    amount = Decimal(abs(change.amount))
    return OrderReport(
        order_id=place + 1,
        client_order_id=f"web_{place}",
        symbol=SYMBOL,
        side=Side.BUY if change.amount > 0 else Side.SELL,
        position_side=PositionSide.BOTH,
        status="FILLED",
        order_type="MARKET",
        reduce_only=False,
        orig_qty=amount,
        executed_qty=amount,
        update_time=change.time,
    )


@cache
def trades(changes: Changes) -> tuple[Trade, ...]:
    """Everybody's trades, oldest first."""
    found = []
    for place, change in enumerate(changes):
        if change.kind is Kind.FOREIGN:
            found.append(_trade(place, place + 1, change))
        elif change.kind is Kind.FILLED:
            own = order(changes, change.plan, change.attempt)
            assert own is not None
            found.append(_trade(place, own.order_id, change))
    return tuple(found)


def _trade(place: int, order_id: int, change: Change) -> Trade:
    return Trade(
        trade_id=place + 1,
        order_id=order_id,
        symbol=SYMBOL,
        side=Side.BUY if change.amount > 0 else Side.SELL,
        position_side=PositionSide.BOTH,
        quantity=Decimal(abs(change.amount)),
        price=MARK,
        realized_pnl=ZERO,
        commission=ZERO,
        commission_asset="USDT",
        time=change.time,
    )


def trades_since(changes: Changes, since: int) -> tuple[Trade, ...]:
    return tuple(trade for trade in trades(changes) if trade.time >= since)


def trades_of(changes: Changes, order_id: int) -> tuple[Trade, ...]:
    return tuple(trade for trade in trades(changes) if trade.order_id == order_id)


def lags(changes: Changes, now: int, longest: int) -> Sequence[Changes]:
    """What a lagging read may show: all but the last change, or all before the last order; none longer ago than that."""
    cuts = {len(changes) - 1}
    cuts |= {place for place, change in enumerate(changes) if change.kind is Kind.ACCEPTED}
    return [
        changes[:cut]
        for cut in sorted(cuts)
        if cut and all(now - change.time <= longest for change in changes[cut:])
    ]
