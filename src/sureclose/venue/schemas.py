"""What the venue's REST answers look like: unknown fields are tolerated, known ones are strict.

Each schema names its endpoint. Decimals come as strings and become ``Decimal`` without a float on the way; a number
that is not finite is refused. Source of the shapes: Binance docs of each endpoint, sections 1, 4 and 5 of the
project's venue reference.
"""

from decimal import Decimal, InvalidOperation
from typing import Final

import msgspec

from sureclose.domain.market import TERMINAL_STATUSES, OrderReport, Position, RestingOrder, Trade
from sureclose.domain.safety import Margin, Mark
from sureclose.domain.words import PositionSide, Side


class Wire(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A part of an answer; raises ``ValueError`` when a number in it is none."""

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if isinstance(value, Decimal) and not value.is_finite():
                raise ValueError(f"{name} is {value}")


class ServerTime(Wire, frozen=True, kw_only=True):
    """GET /fapi/v1/time."""

    server_time: int


class OrderRow(Wire, frozen=True, kw_only=True):
    """POST and GET /fapi/v1/order, GET /fapi/v1/allOrders.

    ``avgPrice`` and ``cumQuote`` are not asked for: they left the specification of the POST answer on 2026-07-15.
    """

    order_id: int
    client_order_id: str
    symbol: str
    side: Side
    status: str
    reduce_only: bool
    orig_qty: Decimal
    executed_qty: Decimal
    update_time: int
    time: int = 0
    position_side: PositionSide = PositionSide.BOTH
    type: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.executed_qty < 0 or self.orig_qty < 0 or self.order_id < 0 or not self.status:
            raise ValueError("an order with a negative quantity or id, or without a status")

    def report(self) -> OrderReport:
        return OrderReport(
            order_id=self.order_id,
            client_order_id=self.client_order_id,
            symbol=self.symbol,
            side=self.side,
            position_side=self.position_side,
            status=self.status,
            order_type=self.type,
            reduce_only=self.reduce_only,
            orig_qty=self.orig_qty,
            executed_qty=self.executed_qty,
            update_time=self.update_time,
        )


class OpenOrderRow(Wire, frozen=True, kw_only=True):
    """GET /fapi/v1/openOrders."""

    order_id: int
    client_order_id: str
    symbol: str
    side: Side
    position_side: PositionSide
    status: str
    type: str
    reduce_only: bool
    close_position: bool
    orig_qty: Decimal
    executed_qty: Decimal
    price: Decimal
    stop_price: Decimal = Decimal(0)
    time: int

    @property
    def rests(self) -> bool:
        """Whether it can still act; a list that lags may show one that ended."""
        return self.status not in TERMINAL_STATUSES

    def resting(self) -> RestingOrder:
        return RestingOrder(
            order_id=self.order_id,
            client_order_id=self.client_order_id,
            conditional=False,
            symbol=self.symbol,
            side=self.side,
            position_side=self.position_side,
            order_type=self.type,
            reduce_only=self.reduce_only,
            close_position=self.close_position,
            quantity=max(Decimal(0), self.orig_qty - self.executed_qty),
            price=self.price,
            trigger_price=self.stop_price,
            time=self.time,
        )


ALGO_ENDED: Final = frozenset({"CANCELED", "TRIGGERED", "FINISHED", "REJECTED", "EXPIRED"})
"""States in which a conditional order acts no more (Binance docs, new algo order): one that has triggered lives on as
an ordinary order, which is listed there."""


class AlgoOrderRow(Wire, frozen=True, kw_only=True):
    """GET /fapi/v1/openAlgoOrders. Amounts that don't apply come as ``"0"``, empty or not at all."""

    algo_id: int
    client_algo_id: str
    order_type: str
    symbol: str
    side: Side
    position_side: PositionSide
    reduce_only: bool
    close_position: bool
    algo_status: str
    create_time: int
    quantity: str | None = None
    price: str | None = None
    trigger_price: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        for text in (self.quantity, self.price, self.trigger_price):
            _amount(text)

    @property
    def rests(self) -> bool:
        """Whether it can still act."""
        return self.algo_status not in ALGO_ENDED

    def resting(self) -> RestingOrder:
        return RestingOrder(
            order_id=self.algo_id,
            client_order_id=self.client_algo_id,
            conditional=True,
            symbol=self.symbol,
            side=self.side,
            position_side=self.position_side,
            order_type=self.order_type,
            reduce_only=self.reduce_only,
            close_position=self.close_position,
            quantity=Decimal(0) if self.close_position else _amount(self.quantity),
            price=_amount(self.price),
            trigger_price=_amount(self.trigger_price),
            time=self.create_time,
        )


def _amount(text: str | None) -> Decimal:
    """A number that may be left out; raises ``ValueError`` for anything else that is none."""
    if not text:
        return Decimal(0)
    try:
        amount = Decimal(text)
    except InvalidOperation:
        raise ValueError("an amount that is no number") from None
    if not amount.is_finite() or amount < 0:
        raise ValueError(f"an amount of {amount}")
    return amount


class Cancelled(Wire, frozen=True, kw_only=True):
    """DELETE /fapi/v1/order and /fapi/v1/algoOrder: which order it was, by the id of its service."""

    order_id: int | None = None
    algo_id: int | None = None


class TradeRow(Wire, frozen=True, kw_only=True):
    """GET /fapi/v1/userTrades. It carries no client order id: fills are attributed by order id."""

    id: int
    order_id: int
    symbol: str
    side: Side
    qty: Decimal
    price: Decimal
    realized_pnl: Decimal
    commission: Decimal
    commission_asset: str
    time: int
    position_side: PositionSide = PositionSide.BOTH

    def trade(self) -> Trade:
        return Trade(
            trade_id=self.id,
            order_id=self.order_id,
            symbol=self.symbol,
            side=self.side,
            position_side=self.position_side,
            quantity=self.qty,
            price=self.price,
            realized_pnl=self.realized_pnl,
            commission=self.commission,
            commission_asset=self.commission_asset,
            time=self.time,
        )


class PositionRow(Wire, frozen=True, kw_only=True):
    """GET /fapi/v2/positionRisk, which lists flat symbols too (v3 doesn't)."""

    symbol: str
    position_side: PositionSide
    position_amt: Decimal
    entry_price: Decimal
    mark_price: Decimal
    update_time: int

    def position(self, requested_at: int) -> Position:
        return Position(
            symbol=self.symbol,
            position_side=self.position_side,
            amount=self.position_amt,
            entry_price=self.entry_price,
            mark_price=self.mark_price,
            update_time=self.update_time,
            requested_at=requested_at,
        )


class AccountSums(Wire, frozen=True, kw_only=True):
    """GET /fapi/v3/account, its sums. Both are required: a margin ratio is never made from a field that isn't there."""

    total_maint_margin: Decimal
    total_margin_balance: Decimal

    def margin(self, requested_at: int) -> Margin:
        return Margin(maintenance=self.total_maint_margin, balance=self.total_margin_balance, at=requested_at)


class PremiumRow(Wire, frozen=True, kw_only=True):
    """GET /fapi/v1/premiumIndex. ``time`` is when the venue made the price."""

    symbol: str
    mark_price: Decimal
    time: int

    def mark(self) -> Mark:
        return Mark(self.mark_price, self.time)


class IncomeRow(Wire, frozen=True, kw_only=True):
    """GET /fapi/v1/income. A transfer has no symbol."""

    time: int
    symbol: str = ""


class DualSide(Wire, frozen=True, kw_only=True):
    """GET /fapi/v1/positionSide/dual."""

    dual_side_position: bool


class AccountConfig(Wire, frozen=True, kw_only=True):
    """GET /fapi/v1/accountConfig."""

    can_trade: bool
    dual_side_position: bool
    multi_assets_margin: bool = False


class RateLimit(Wire, frozen=True, kw_only=True):
    """One element of ``rateLimits`` of GET /fapi/v1/exchangeInfo."""

    rate_limit_type: str
    interval: str
    interval_num: int
    limit: int


class SymbolRow(Wire, frozen=True, kw_only=True):
    """One symbol of GET /fapi/v1/exchangeInfo, its filters not yet looked at."""

    symbol: str
    status: str
    filters: list[msgspec.Raw]


class ExchangeInfo(Wire, frozen=True, kw_only=True):
    """GET /fapi/v1/exchangeInfo; symbols are decoded one by one, so that a strange one harms no other."""

    symbols: list[msgspec.Raw]
    rate_limits: list[RateLimit] = []


class ListenKey(Wire, frozen=True, kw_only=True):
    """POST and PUT /fapi/v1/listenKey."""

    listen_key: str = ""
