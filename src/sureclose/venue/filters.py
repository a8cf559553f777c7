"""exchangeInfo's filters, made the rules that bound a reducing order."""

from decimal import Decimal

import msgspec

from sureclose.domain.market import SymbolRules
from sureclose.venue.schemas import SymbolRow, Wire


class _Kind(msgspec.Struct, frozen=True, rename="camel"):
    filter_type: str


class _Lot(Wire, frozen=True, kw_only=True):
    min_qty: Decimal
    max_qty: Decimal
    step_size: Decimal


class _Price(Wire, frozen=True, kw_only=True):
    tick_size: Decimal
    min_price: Decimal = Decimal(0)
    max_price: Decimal = Decimal(0)


class _Band(Wire, frozen=True, kw_only=True):
    multiplier_up: Decimal
    multiplier_down: Decimal


def rules_of(row: SymbolRow) -> SymbolRules:
    """The coarser step and minimum, the smaller maximum of LOT_SIZE and MARKET_LOT_SIZE (Binance docs, filters).

    A bound of zero in one of them does not bind. Raises ``ValueError`` when a filter is missing or makes no sense.
    """
    lots: list[_Lot] = []
    price = _Price(tick_size=Decimal(0))
    band = _Band(multiplier_up=Decimal(0), multiplier_down=Decimal(0))
    has_lot_size = False
    for raw in row.filters:
        kind = msgspec.json.decode(raw, type=_Kind).filter_type
        if kind in ("LOT_SIZE", "MARKET_LOT_SIZE"):
            has_lot_size = has_lot_size or kind == "LOT_SIZE"
            lots.append(msgspec.json.decode(raw, type=_Lot))
        elif kind == "PRICE_FILTER":
            price = msgspec.json.decode(raw, type=_Price)
        elif kind == "PERCENT_PRICE":
            band = msgspec.json.decode(raw, type=_Band)
    step = max((lot.step_size for lot in lots), default=Decimal(0))
    max_qty = min((lot.max_qty for lot in lots if lot.max_qty > 0), default=Decimal(0))
    min_qty = max((lot.min_qty for lot in lots), default=Decimal(0))
    if not has_lot_size or step <= 0 or min_qty < 0 or max_qty < min_qty or max_qty <= 0:
        raise ValueError(f"{row.symbol} has no usable LOT_SIZE")
    return SymbolRules(
        symbol=row.symbol,
        status=row.status,
        step=step,
        min_qty=min_qty,
        max_qty=max_qty,
        tick=price.tick_size,
        min_price=price.min_price,
        max_price=price.max_price,
        multiplier_up=band.multiplier_up,
        multiplier_down=band.multiplier_down,
    )
