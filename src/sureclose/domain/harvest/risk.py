"""Profit and loss in units of risk."""

from decimal import Decimal


def r_net(entry: Decimal, mark: Decimal, amount: Decimal, stop_distance: Decimal, cost: Decimal) -> Decimal:
    """(unrealised PnL per unit - cost) / (entry x stop distance); ``cost`` and ``stop_distance`` are shares of the entry.

    PnL per unit is mark - entry of a long (``amount`` above zero), entry - mark of a short, as the venue computes
    ``unRealizedProfit``. One R is what was risked between entry and stop; so much lost makes -1 R and the cost.
    Entry, mark and stop distance are above zero: ``looking.view_of`` has seen to it.
    """
    moved = mark - entry if amount > 0 else entry - mark
    return (moved - entry * cost) / (entry * stop_distance)


def in_r(number: Decimal) -> str:
    """As texts, tables and events show it."""
    return f"{number:.4f}"
