"""The listed contracts and their filters. Immutable; every number is a Decimal."""

import random
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sureclose.paper.wire import plain, trimmed

D = Decimal
ORDER_TYPES = (
    "LIMIT",
    "MARKET",
    "STOP",
    "STOP_MARKET",
    "TAKE_PROFIT",
    "TAKE_PROFIT_MARKET",
    "TRAILING_STOP_MARKET",
)
TIMES_IN_FORCE = ("GTC", "IOC", "FOK", "GTX", "GTD")


@dataclass(frozen=True, slots=True)
class Contract:
    """One perpetual contract. `price` is where its walk starts when no position is seeded."""

    symbol: str
    base: str
    price: Decimal
    tick: Decimal
    price_places: int
    step: Decimal
    quantity_places: int
    min_quantity: Decimal
    max_quantity: Decimal
    market_max_quantity: Decimal
    min_notional: Decimal
    band: Decimal
    max_leverage: int
    max_orders: int

    def quantity(self, value: Decimal) -> str:
        return plain(value, self.quantity_places)

    def money(self, value: Decimal) -> str:
        return plain(value, self.price_places)

    def describe(self) -> dict[str, Any]:
        """The element of `symbols` in GET /fapi/v1/exchangeInfo."""
        price, quantity = self.money, self.quantity
        return {
            "symbol": self.symbol,
            "pair": self.symbol,
            "contractType": "PERPETUAL",
            "deliveryDate": 4133404800000,
            "onboardDate": 1569398400000,
            "status": "TRADING",
            "maintMarginPercent": "2.5000",
            "requiredMarginPercent": "5.0000",
            "baseAsset": self.base,
            "quoteAsset": "USDT",
            "marginAsset": "USDT",
            "pricePrecision": self.price_places,
            "quantityPrecision": self.quantity_places,
            "baseAssetPrecision": 8,
            "quotePrecision": 8,
            "underlyingType": "COIN",
            "underlyingSubType": ["PoW"],
            "settlePlan": 0,
            "triggerProtect": "0.0500",
            "liquidationFee": "0.012500",
            "marketTakeBound": plain(self.band, 2),
            "maxMoveOrderLimit": 10000,
            "filters": [
                {
                    "filterType": "PRICE_FILTER",
                    "minPrice": price(self.tick),
                    "maxPrice": price(self.max_price),
                    "tickSize": price(self.tick),
                },
                {
                    "filterType": "LOT_SIZE",
                    "minQty": quantity(self.min_quantity),
                    "maxQty": quantity(self.max_quantity),
                    "stepSize": quantity(self.step),
                },
                {
                    "filterType": "MARKET_LOT_SIZE",
                    "minQty": quantity(self.min_quantity),
                    "maxQty": quantity(self.market_max_quantity),
                    "stepSize": quantity(self.step),
                },
                {"filterType": "MAX_NUM_ORDERS", "limit": self.max_orders},
                {"filterType": "MIN_NOTIONAL", "notional": trimmed(self.min_notional)},
                {
                    "filterType": "PERCENT_PRICE",
                    "multiplierUp": plain(1 + self.band, 4),
                    "multiplierDown": plain(1 - self.band, 4),
                    "multiplierDecimal": "4",
                },
            ],
            "orderTypes": list(ORDER_TYPES),
            "timeInForce": list(TIMES_IN_FORCE),
        }

    @property
    def max_price(self) -> Decimal:
        return self.tick * 100_000_000


def _contract(
    base: str,
    price: str,
    tick: str,
    price_places: int,
    step: str,
    limits: tuple[str, str, str],
    leverage: int = 75,
) -> Contract:
    largest, market, notional = limits
    quantity = D(step)
    return Contract(
        symbol=f"{base}USDT",
        base=base,
        price=D(price),
        tick=D(tick),
        price_places=price_places,
        step=quantity,
        quantity_places=max(0, -int(quantity.as_tuple().exponent)),
        min_quantity=quantity,
        max_quantity=D(largest),
        market_max_quantity=D(market),
        min_notional=D(notional),
        band=D("0.05"),
        max_leverage=leverage,
        max_orders=200,
    )


KNOWN = (
    _contract("BTC", "65000", "0.1", 2, "0.001", ("1000", "120", "100"), 125),
    _contract("ETH", "2400", "0.01", 2, "0.001", ("10000", "2000", "20"), 125),
    _contract("SOL", "150", "0.01", 4, "0.01", ("1000000", "5000", "5"), 100),
    _contract("BNB", "600", "0.01", 3, "0.01", ("100000", "2000", "5")),
    _contract("XRP", "0.55", "0.0001", 4, "0.1", ("10000000", "2000000", "5")),
    _contract("DOGE", "0.16", "0.00001", 6, "1", ("50000000", "30000000", "5")),
    _contract("ADA", "0.45", "0.0001", 5, "1", ("2000000", "300000", "5")),
    _contract("1000PEPE", "0.0105", "0.0000001", 7, "1", ("200000000", "40000000", "5")),
    _contract("LINK", "14", "0.001", 3, "0.01", ("200000", "20000", "5")),
    _contract("AVAX", "30", "0.001", 4, "1", ("1000000", "40000", "5")),
    _contract("LTC", "85", "0.01", 2, "0.001", ("10000", "2500", "20")),
    _contract("DOT", "6", "0.001", 3, "0.1", ("500000", "50000", "5")),
)

_STEPS = ("0.001", "0.01", "0.1", "1", "5", "10", "0.005", "0.5")
_PRICES = (
    ("0.0123", "0.000001", 6),
    ("0.75", "0.0001", 5),
    ("4.2", "0.001", 4),
    ("77", "0.01", 3),
    ("1250", "0.1", 2),
)


def catalogue(count: int, seed: int) -> dict[str, Contract]:
    """The known contracts and, if `count` asks for more, made-up ones: the same for the same seed."""
    listed = {contract.symbol: contract for contract in KNOWN}
    chance = random.Random(f"contracts:{seed}")  # noqa: S311  prices of made-up contracts are no secret
    number = 0
    while len(listed) < count:
        number += 1
        step = chance.choice(_STEPS)
        price, tick, places = chance.choice(_PRICES)
        largest = D(step) * 10_000_000
        made = _contract(
            f"P{number:04d}", price, tick, places, step, (str(largest), str(largest / 10), "5"), 50
        )
        listed[made.symbol] = made
    return listed
