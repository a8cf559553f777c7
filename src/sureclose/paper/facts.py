"""What can happen on the exchange, as data. The ledger is nothing but these facts applied in order."""

from decimal import Decimal

import msgspec

ZERO = Decimal(0)
OPEN_STATUSES = frozenset({"NEW", "PARTIALLY_FILLED"})


class Order(msgspec.Struct):
    """An order as the exchange knows it. Quantities in the base asset, prices in the quote asset, times in ms.

    `reason` is Binance's expiry reason (`er`, since 2025-10-23): 0 none, 2 IOC remainder, 4 knocked out by or
    larger than a reduce-only rule allows, 5 liquidation, 9 remainder of a MARKET order.
    """

    order_id: int
    symbol: str
    client_id: str
    side: str
    position_side: str
    type: str
    time_in_force: str
    quantity: Decimal
    price: Decimal
    reduce_only: bool
    time: int
    update_time: int
    self_trade: str = "EXPIRE_MAKER"
    good_till: int = 0
    status: str = "NEW"
    executed: Decimal = ZERO
    quote: Decimal = ZERO
    reason: str = "0"

    @property
    def is_open(self) -> bool:
        return self.status in OPEN_STATUSES

    @property
    def remaining(self) -> Decimal:
        return self.quantity - self.executed

    @property
    def sign(self) -> int:
        return 1 if self.side == "BUY" else -1


class Trade(msgspec.Struct, frozen=True):
    """A fill. `realized` and `commission` are in USDT."""

    trade_id: int
    order_id: int
    symbol: str
    side: str
    position_side: str
    price: Decimal
    quantity: Decimal
    realized: Decimal
    commission: Decimal
    maker: bool
    time: int

    @property
    def signed_quantity(self) -> Decimal:
        return self.quantity if self.side == "BUY" else -self.quantity


class AlgoOrder(msgspec.Struct):
    """A conditional order of the algo service. It rests outside the book until the mark price reaches `trigger`.

    `order_id` is the order that the venue placed for it, 0 before. `reason` says why it was rejected or expired.
    """

    algo_id: int
    client_id: str
    symbol: str
    side: str
    position_side: str
    type: str
    time_in_force: str
    quantity: Decimal
    trigger: Decimal
    price: Decimal
    reduce_only: bool
    close_position: bool
    time: int
    update_time: int
    working_type: str = "CONTRACT_PRICE"
    price_protect: bool = False
    self_trade: str = "EXPIRE_MAKER"
    status: str = "NEW"
    trigger_time: int = 0
    order_id: int = 0
    reason: str = ""

    @property
    def is_waiting(self) -> bool:
        return self.status == "NEW"

    @property
    def order_type(self) -> str:
        """The type of the order that it becomes."""
        return "MARKET" if self.type.endswith("_MARKET") else "LIMIT"

    def is_reached(self, mark: Decimal) -> bool:
        """A stop waits for a price against the side's interest, a take-profit for one in its favour."""
        rising = (self.side == "BUY") == self.type.startswith("STOP")
        return mark >= self.trigger if rising else mark <= self.trigger


class Fact(msgspec.Struct, frozen=True, tag_field="fact", tag=str.lower):
    """Base of all facts; `fact` names the kind in the file."""


class Founded(Fact, frozen=True):
    """First of all: who may trade, with how much, how many contracts are listed, from which seed prices walk."""

    time: int
    seed: int
    symbols: int
    api_key: str
    api_secret: str
    balance: Decimal


class Seeded(Fact, frozen=True):
    """A position by fiat, with neither order nor trade."""

    time: int
    update_time: int
    symbol: str
    position_side: str
    amount: Decimal
    entry_price: Decimal


class Accepted(Fact, frozen=True):
    order: Order


class Traded(Fact, frozen=True):
    trade: Trade


class Ended(Fact, frozen=True):
    """An order stopped without (further) fill: CANCELED or EXPIRED."""

    order_id: int
    status: str
    reason: str
    time: int


class Amended(Fact, frozen=True):
    order_id: int
    quantity: Decimal
    price: Decimal
    time: int


class Leveraged(Fact, frozen=True):
    symbol: str
    leverage: int
    time: int


class MarginTyped(Fact, frozen=True):
    symbol: str
    margin_type: str
    time: int


class Moded(Fact, frozen=True):
    """Hedge mode on or off."""

    dual_side: bool
    time: int


class MultiAssets(Fact, frozen=True):
    enabled: bool
    time: int


class AlgoPlaced(Fact, frozen=True):
    algo: AlgoOrder


class AlgoMoved(Fact, frozen=True):
    """A conditional order came to a new status; `order_id` is given with TRIGGERED."""

    algo_id: int
    status: str
    time: int
    order_id: int = 0
    reason: str = ""


AnyFact = (
    Founded
    | Seeded
    | Accepted
    | Traded
    | Ended
    | Amended
    | Leveraged
    | MarginTyped
    | Moded
    | MultiAssets
    | AlgoPlaced
    | AlgoMoved
)
