"""What the account is worth and what it has free. USDT; cross margin; one asset."""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from sureclose.paper.ledger import Ledger
from sureclose.paper.positions import ZERO, Position

MAINTENANCE = Decimal("0.004")


@dataclass(frozen=True, slots=True)
class Worth:
    """One position at its mark price."""

    position: Position
    mark: Decimal
    leverage: int

    @property
    def notional(self) -> Decimal:
        return self.position.amount * self.mark

    @property
    def unrealized(self) -> Decimal:
        return self.position.amount * (self.mark - self.position.entry_price)

    @property
    def initial(self) -> Decimal:
        return abs(self.notional) / self.leverage

    @property
    def maintenance(self) -> Decimal:
        return abs(self.notional) * MAINTENANCE


@dataclass(frozen=True, slots=True)
class Totals:
    """The account's sums."""

    wallet: Decimal
    unrealized: Decimal
    position_margin: Decimal
    order_margin: Decimal
    maintenance: Decimal

    @property
    def balance(self) -> Decimal:
        return self.wallet + self.unrealized

    @property
    def initial(self) -> Decimal:
        return self.position_margin + self.order_margin

    @property
    def available(self) -> Decimal:
        return max(ZERO, self.balance - self.initial)


def worth(ledger: Ledger, position: Position, mark: Decimal) -> Worth:
    return Worth(position, mark, ledger.leverage_of(position.symbol))


def order_margin(ledger: Ledger, symbol: str) -> Decimal:
    """Margin held by resting orders of `symbol` that may open something."""
    return sum(
        (
            order.remaining * order.price / ledger.leverage_of(symbol)
            for order in ledger.open_of(symbol)
            if not order.reduce_only
        ),
        ZERO,
    )


def totals(ledger: Ledger, mark: Callable[[str], Decimal]) -> Totals:
    held = [
        worth(ledger, position, mark(position.symbol))
        for position in ledger.positions.values()
        if position.amount
    ]
    return Totals(
        wallet=ledger.wallet,
        unrealized=sum((one.unrealized for one in held), ZERO),
        position_margin=sum((one.initial for one in held), ZERO),
        order_margin=sum(
            (
                order_margin(ledger, symbol)
                for symbol in {order.symbol for order in ledger.open_orders.values()}
            ),
            ZERO,
        ),
        maintenance=sum((one.maintenance for one in held), ZERO),
    )
