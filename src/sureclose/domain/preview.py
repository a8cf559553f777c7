"""What a close would come to, by the position as it is now. Told before it is asked for; the engine sizes it again."""

from collections.abc import Sequence
from decimal import Decimal
from enum import StrEnum

import msgspec

from sureclose.domain.market import Position, SymbolRules
from sureclose.domain.quantity import ZERO, next_chunk, target_of
from sureclose.domain.sameness import closing_side
from sureclose.domain.words import PositionSide, Side


class Obstacle(StrEnum):
    """Why no order would be sent, in the words of the outcomes."""

    ALREADY_FLAT = "already_flat"
    OTHER_SIDE = "other_side"
    POSITION_SIDE_NEEDED = "position_side_needed"
    """Hedge mode, both are open and neither was named."""
    BELOW_STEP = "below_step"
    UNKNOWN_SYMBOL = "unknown_symbol"


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """One position and the orders that would reduce it. Quantities in base units, ``position`` and ``left`` signed.

    ``value`` is ``quantity`` at the mark price, in the quote asset. Without a ``side`` no order would be sent, and
    ``obstacle`` says why.
    """

    symbol: str
    position_side: PositionSide
    position: Decimal = ZERO
    side: Side | None = None
    quantity: Decimal = ZERO
    orders: int = 0
    left: Decimal = ZERO
    mark_price: Decimal = ZERO
    value: Decimal = ZERO
    obstacle: Obstacle | None = None


def preview_of(
    symbol: str,
    wanted: PositionSide,
    held: Sequence[Position],
    rules: SymbolRules | None,
    fraction: Decimal | None,
    quantity: Decimal | None,
) -> Preview:
    """``held`` are the open positions of the account, ``rules`` the symbol's where the venue lists it.

    What the venue would refuse beyond its filters, and what happens until then, is not foreseen.
    """
    there = [one for one in held if one.symbol == symbol]
    on_side = [one for one in there if _is_on(one, wanted)]
    nothing = Preview(symbol=symbol, position_side=wanted)
    if rules is None:
        return msgspec.structs.replace(nothing, obstacle=Obstacle.UNKNOWN_SYMBOL)
    if not there:
        return msgspec.structs.replace(nothing, obstacle=Obstacle.ALREADY_FLAT)
    if len(on_side) != 1:
        hedged = any(one.position_side is not PositionSide.BOTH for one in there)
        if on_side:
            obstacle = Obstacle.POSITION_SIDE_NEEDED
        else:
            obstacle = Obstacle.ALREADY_FLAT if hedged else Obstacle.OTHER_SIDE
        amount = ZERO if on_side or hedged else there[0].amount
        return msgspec.structs.replace(nothing, position=amount, left=amount, obstacle=obstacle)
    return _of(on_side[0], rules, fraction, quantity)


def _is_on(position: Position, wanted: PositionSide) -> bool:
    """In one-way mode the sign says which side it is."""
    if wanted is PositionSide.BOTH:
        return True
    return (position.amount > 0) is (wanted is PositionSide.LONG)


def _of(
    position: Position, rules: SymbolRules, fraction: Decimal | None, quantity: Decimal | None
) -> Preview:
    target = target_of(position.amount, fraction, quantity, rules)
    orders, remaining = 0, target
    while chunk := next_chunk(remaining, remaining, rules):
        orders, remaining = orders + 1, remaining - chunk
    ordered = target - remaining
    side = closing_side(position)
    return Preview(
        symbol=position.symbol,
        position_side=position.position_side,
        position=position.amount,
        side=side if ordered else None,
        quantity=ordered,
        orders=orders,
        left=position.amount - ordered if side is Side.SELL else position.amount + ordered,
        mark_price=position.mark_price,
        value=ordered * position.mark_price,
        obstacle=None if ordered else Obstacle.BELOW_STEP,
    )
