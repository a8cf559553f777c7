"""Orders of the account that wait at the venue: which of them stand in the way of a close, and which it leaves behind."""

from collections.abc import Iterable
from typing import Final

from sureclose.domain.market import Position, RestingOrder
from sureclose.domain.policy import Clears, Policy
from sureclose.domain.words import Side

BLOCKED: Final = frozenset({-2022, -4118})
"""Refusals that resting orders can cause: REDUCE_ONLY_REJECT, REDUCE_ONLY_MARGIN_CHECK_FAILED (Binance error codes)."""


def blockers(orders: Iterable[RestingOrder], position: Position, policy: Policy) -> tuple[RestingOrder, ...]:
    """The reducing orders of the position that is being closed: same position side, same side as the close."""
    if policy.clears is Clears.NONE:
        return ()
    closing = Side.SELL if position.amount > 0 else Side.BUY
    return tuple(
        order
        for order in orders
        if order.reduces and order.side is closing and order.position_side is position.position_side
    )


def leftovers(orders: Iterable[RestingOrder], flat: Position) -> tuple[RestingOrder, ...]:
    """The reducing orders that a position left behind; those placed since it became flat are for the next one."""
    return tuple(
        order
        for order in orders
        if order.reduces and order.position_side is flat.position_side and order.time <= flat.update_time
    )


def still_there(
    orders: Iterable[RestingOrder], cancelled: Iterable[RestingOrder]
) -> tuple[RestingOrder, ...]:
    """Those of the cancelled orders that a later list still has."""
    listed = {(order.conditional, order.order_id) for order in orders}
    return tuple(order for order in cancelled if (order.conditional, order.order_id) in listed)
