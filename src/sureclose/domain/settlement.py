"""What a person's fresh read of the venue makes of a parked close."""

from collections.abc import Iterable
from decimal import Decimal

import msgspec

from sureclose.domain.market import OrderReport, Position, Trade
from sureclose.domain.outcome import Outcome, OutcomeKind
from sureclose.domain.quantity import ZERO

SETTLED = "settled by a person"
"""The reason of every outcome that took the place of PARKED."""


class Unsettled(Exception):
    """The venue does not allow a close to be settled yet; the message says why and what to do."""


class Findings(msgspec.Struct, frozen=True, kw_only=True):
    """What the venue showed of a parked close: its own orders, their fills, and the position afterwards."""

    orders: tuple[OrderReport, ...]
    trades: tuple[Trade, ...]
    position: Position

    def beside(self, trades: Iterable[Trade]) -> "Findings":
        """With the fills that were known before, where the venue shows fewer of them now."""
        by_trade = {trade.trade_id: trade for trade in (*trades, *self.trades)}
        return Findings(orders=self.orders, trades=tuple(by_trade.values()), position=self.position)

    @property
    def filled(self) -> Decimal:
        """The sum of its own fills, unsigned."""
        return sum((trade.quantity for trade in self.trades), ZERO)


def settled(found: Findings) -> Outcome:
    """The outcome that the findings amount to; raises ``Unsettled`` while an order can still fill or fills are missing."""
    for order in found.orders:
        if not order.terminal:
            raise Unsettled(
                f"order {order.order_id} is still {order.status}; cancel it at the venue, then repeat this"
            )
        listed = sum((trade.quantity for trade in found.trades if trade.order_id == order.order_id), ZERO)
        if listed != order.executed_qty:
            raise Unsettled(
                f"order {order.order_id} executed {order.executed_qty} and its trades make {listed}; repeat this in a moment"
            )
    if not found.position.amount:
        return Outcome(OutcomeKind.FLAT if found.filled else OutcomeKind.ALREADY_FLAT, SETTLED)
    return Outcome(OutcomeKind.REDUCED if found.filled else OutcomeKind.REFUSED, SETTLED)
