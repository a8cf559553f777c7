"""How much to close: decimal end to end, down to the step, never above the position."""

from decimal import ROUND_DOWN, Decimal

from sureclose.domain.market import SymbolRules

ZERO = Decimal(0)


def on_step(quantity: Decimal, rules: SymbolRules) -> Decimal:
    """The largest permitted quantity that is not above ``quantity``; zero when there is none.

    Binance takes ``q`` when ``min_qty <= q`` and ``(q - min_qty) % step == 0``.
    """
    if quantity < rules.min_qty:
        return ZERO
    steps = ((quantity - rules.min_qty) / rules.step).to_integral_value(rounding=ROUND_DOWN)
    return rules.min_qty + steps * rules.step


def target_of(
    position: Decimal, fraction: Decimal | None, quantity: Decimal | None, rules: SymbolRules
) -> Decimal:
    """The unsigned quantity a close is for: the smaller of its fraction and its maximum, on the step."""
    wanted = abs(position) * (Decimal(1) if fraction is None else fraction)
    if quantity is not None:
        wanted = min(wanted, quantity)
    return on_step(wanted, rules)


def next_chunk(remaining: Decimal, position: Decimal, rules: SymbolRules) -> Decimal:
    """The quantity of the next order: at most the remainder, the position and the venue's maximum.

    A chunk leaves either nothing or at least ``min_qty`` behind, for less than that could not be ordered any more.
    """
    open_quantity = min(remaining, abs(position))
    if open_quantity <= rules.max_qty:
        return on_step(open_quantity, rules)
    left = open_quantity - rules.max_qty
    return on_step(rules.max_qty - max(ZERO, rules.min_qty - left), rules)
