"""What the account's trades say about a position between two moments."""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Final

from sureclose.domain.market import OrderReport, Position, Trade
from sureclose.domain.quantity import ZERO

LOOKBACK_MS: Final = 86_400_000
"""How far behind no read of a position is. The venue forgets, so trades since a position's last change may be gone."""


_BY_THE_VENUE: Final = {
    "autoclose-": "liquidation",
    "adl_autoclose": "adl",
    "settlement_autoclose-": "delisting",
}
"""How the client order ids of the venue's own orders begin (Binance docs, ORDER_TRADE_UPDATE)."""


def closed_by(order: OrderReport | None) -> str:
    """Why a position was flat already, when it was the venue that closed it."""
    return "" if order is None else made_by_the_venue(order.client_order_id)


def made_by_the_venue(client_order_id: str) -> str:
    """For which of its own reasons the venue made this order; empty when somebody else did."""
    return next((cause for prefix, cause in _BY_THE_VENUE.items() if client_order_id.startswith(prefix)), "")


def seen_since(position: Position) -> int:
    """From when on a read may have missed changes: its own last one, which it may show only a part of."""
    return max(position.update_time, position.requested_at - LOOKBACK_MS)


def moved(trades: Iterable[Trade]) -> Decimal:
    """What the trades did to the position together, signed."""
    return sum((trade.signed for trade in trades), ZERO)


def went_through_zero(amount_now: Decimal, trades: Sequence[Trade], doubtful_until: int) -> bool:
    """Whether the trades since a decision prove that the position was flat, or of the other sign, after it.

    The walk goes back from the position now. Flat before the oldest trade means that this trade opened the position;
    where it lies within the clock error of a decision (``doubtful_until``, venue milliseconds) it may be the older of
    the two, and a doubt is no evidence.
    """
    amount = amount_now
    newest_first = sorted(trades, key=lambda trade: (trade.time, trade.trade_id), reverse=True)
    for index, trade in enumerate(newest_first):
        amount -= trade.signed
        if amount * amount_now > 0:
            continue
        oldest = index == len(newest_first) - 1
        if not (oldest and amount == 0 and trade.time <= doubtful_until):
            return True
    return False


def increased(amount: Decimal, trades: Iterable[Trade]) -> bool:
    """Whether any trade made a position of the sign of ``amount`` larger."""
    return any(trade.signed * amount > 0 for trade in trades)
