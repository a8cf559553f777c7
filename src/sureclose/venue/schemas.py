"""What the venue's REST answers look like: unknown fields are tolerated, known ones are strict.

Each schema names its endpoint. Decimals come as strings and become ``Decimal`` without a float on the way; a number
that is not finite is refused. Source of the shapes: Binance docs of each endpoint, sections 1, 4 and 5 of the
project's venue reference.
"""

from decimal import Decimal

import msgspec

from sureclose.domain.market import OrderReport, Position, Trade
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
