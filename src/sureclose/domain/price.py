"""The price of a bounded order: inside the venue's band, on its tick."""

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Final

from sureclose.domain.market import Position, SymbolRules
from sureclose.domain.words import Side

MARKET_ORDER_REJECT: Final = -4131
"""The best price of the other side lies outside PERCENT_PRICE, so no MARKET order is taken (Binance error codes)."""

PRICE_REFUSALS: Final = frozenset({-4013, -4014, -4016, -4024, -5021})
"""What a LIMIT order can be refused with that a MARKET order can't: the band has moved on, or nothing was there."""

_SHARE: Final = Decimal("0.9")
"""How much of the band is used: the mark price moves between its reading and the order."""


def bounded(position: Position, rules: SymbolRules, side: Side) -> Decimal | None:
    """The worst price that an order of this side may have; ``None`` where the venue names no band or no mark price.

    Binance takes a BUY at most at mark x ``multiplier_up`` and a SELL at least at mark x ``multiplier_down``
    (PERCENT_PRICE), and ``(price - min_price) % tick == 0`` (PRICE_FILTER).
    """
    mark = position.mark_price
    if mark <= 0 or rules.tick <= 0 or rules.multiplier_up <= 0 or rules.multiplier_down <= 0:
        return None
    lowest, highest = rules.min_price, rules.max_price or None
    if side is Side.BUY:
        wanted = mark * (1 + (rules.multiplier_up - 1) * _SHARE)
        wanted = wanted if highest is None else min(wanted, highest)
        rounding = ROUND_FLOOR
    else:
        wanted = max(mark * (1 + (rules.multiplier_down - 1) * _SHARE), lowest)
        rounding = ROUND_CEILING
    ticks = ((wanted - lowest) / rules.tick).to_integral_value(rounding=rounding)
    price = lowest + ticks * rules.tick
    if price <= 0 or price < lowest or (highest is not None and price > highest):
        return None
    return price
