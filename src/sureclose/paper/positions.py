"""A position and what a trade does to it. Pure arithmetic; amounts are signed, prices in the quote asset."""

from decimal import Decimal

import msgspec

ZERO = Decimal(0)
_ENTRY_PLACES = Decimal("1e-10")


class Position(msgspec.Struct, frozen=True):
    """`amount` is negative when short; `update_time` is that of the last trade that moved it, ms, 0 if none did."""

    symbol: str
    position_side: str
    amount: Decimal = ZERO
    entry_price: Decimal = ZERO
    update_time: int = 0

    def after(self, signed_quantity: Decimal, price: Decimal, time: int) -> tuple["Position", Decimal]:
        """The position after a trade, and the profit which that trade realized."""
        amount = self.amount + signed_quantity
        realized = ZERO
        entry = self.entry_price
        if self.amount == 0 or (self.amount > 0) == (signed_quantity > 0):
            cost = self.amount * self.entry_price + signed_quantity * price
            entry = (cost / amount).quantize(_ENTRY_PLACES)
        else:
            closed = min(abs(self.amount), abs(signed_quantity))
            realized = (price - self.entry_price) * (closed if self.amount > 0 else -closed)
            if amount == 0:
                entry = ZERO
            elif (amount > 0) != (self.amount > 0):
                entry = price
        return Position(self.symbol, self.position_side, amount, entry, time), realized
