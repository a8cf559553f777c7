"""What the venue says: positions, orders, trades, and what an error code means for a close."""

from decimal import Decimal
from enum import StrEnum

import msgspec

from sureclose.domain.words import PositionSide, Side

TERMINAL_STATUSES = frozenset({"FILLED", "CANCELED", "REJECTED", "EXPIRED", "EXPIRED_IN_MATCH"})
"""Order states after which nothing more fills (Binance order status enumeration)."""


class SymbolRules(msgspec.Struct, frozen=True, kw_only=True):
    """The filters of one symbol that bound a reducing order: quantities in base units, prices in the quote asset.

    ``max_qty`` is the smaller of LOT_SIZE and MARKET_LOT_SIZE, ``min_qty`` and ``step`` the coarser of the two.
    ``multiplier_up`` and ``multiplier_down`` are the price band of PERCENT_PRICE, relative to the mark price; zero
    where the symbol has none. ``min_price`` and ``max_price`` of zero do not bind (PRICE_FILTER).
    """

    symbol: str
    status: str
    step: Decimal
    min_qty: Decimal
    max_qty: Decimal
    tick: Decimal
    min_price: Decimal = Decimal(0)
    max_price: Decimal = Decimal(0)
    multiplier_up: Decimal = Decimal(0)
    multiplier_down: Decimal = Decimal(0)


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """One successful read of one position. ``amount`` is signed; times are venue milliseconds.

    ``requested_at`` is a venue time that had passed before the request left; what a read says holds from then on.
    One that the stream ``told`` was not read: it may size an order, and proves nothing else.
    """

    symbol: str
    position_side: PositionSide
    amount: Decimal
    entry_price: Decimal
    mark_price: Decimal
    update_time: int
    requested_at: int
    told: bool = False


class Trade(msgspec.Struct, frozen=True, kw_only=True):
    """One fill by the venue's account. ``quantity`` is unsigned; ``time`` is venue milliseconds."""

    trade_id: int
    order_id: int
    symbol: str
    side: Side
    position_side: PositionSide
    quantity: Decimal
    price: Decimal
    realized_pnl: Decimal
    commission: Decimal
    commission_asset: str
    time: int

    @property
    def signed(self) -> Decimal:
        """What the trade did to the position."""
        return self.quantity if self.side is Side.BUY else -self.quantity


class OrderReport(msgspec.Struct, frozen=True, kw_only=True):
    """The venue's word on one order, from an answer, a query or the stream."""

    order_id: int
    client_order_id: str
    symbol: str
    side: Side
    position_side: PositionSide
    status: str
    order_type: str
    reduce_only: bool
    orig_qty: Decimal
    executed_qty: Decimal
    update_time: int
    expiry_reason: str = ""

    @property
    def terminal(self) -> bool:
        return self.status in TERMINAL_STATUSES

    @property
    def reduces(self) -> bool:
        """Whether it can only make a position smaller: by its flag, or in hedge mode by its side."""
        if self.position_side is PositionSide.BOTH:
            return self.reduce_only
        return (self.side is Side.SELL) is (self.position_side is PositionSide.LONG)

    @property
    def doubtful(self) -> bool:
        """Whether an end may be a lagging read: nothing executed, or FILLED with less than was ordered."""
        return not self.executed_qty or (self.status == "FILLED" and self.executed_qty != self.orig_qty)


class RestingOrder(msgspec.Struct, frozen=True, kw_only=True):
    """One order that waits at the venue: in the book, or conditional and not triggered yet.

    ``order_id`` is the venue's own id, of the algo service when ``conditional``; the two services number apart.
    ``quantity`` is what is still open of it, zero for one that closes whatever is there. ``time`` is when it was placed,
    venue milliseconds.
    """

    order_id: int
    client_order_id: str
    conditional: bool
    symbol: str
    side: Side
    position_side: PositionSide
    order_type: str
    reduce_only: bool
    close_position: bool
    quantity: Decimal
    price: Decimal
    trigger_price: Decimal
    time: int

    @property
    def reduces(self) -> bool:
        """Whether it can only make a position smaller: by its flags, or in hedge mode by its side."""
        if self.position_side is PositionSide.BOTH:
            return self.reduce_only or self.close_position
        return (self.side is Side.SELL) is (self.position_side is PositionSide.LONG)


class Class(StrEnum):
    """What an error code means for the attempt it answers."""

    RETRY = "retry"
    """Not executed; a new attempt may pass the gate."""
    RESOLVE = "resolve"
    """Execution unknown: query first."""
    FLAT_CHECK = "flat_check"
    """Not executed; read the position, zero is success."""
    FIX = "fix"
    """Not executed, and no repetition will help: our mistake or our configuration."""
    ESCALATE = "escalate"
    """Not executed; a person has to act."""
    WAIT = "wait"
    """Not executed; the venue says when to come back."""


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """An answer that says no. ``retry_after_ms`` is the venue's own wish, 0 when it said nothing."""

    kind: Class
    http_status: int
    code: int | None
    message: str
    retry_after_ms: int = 0
