"""The venue's endpoints that we use, and what a request to each weighs.

Source: Binance docs of each endpoint, section 4 of the project's venue reference. The venue's own headers correct it.
"""

from typing import Final

import msgspec


class Endpoint(msgspec.Struct, frozen=True):
    """A path, and the weight of one request to it as we make it. Placing an order weighs nothing."""

    path: str
    weight: int


PING: Final = Endpoint("/fapi/v1/ping", 1)
TIME: Final = Endpoint("/fapi/v1/time", 1)
ORDER: Final = Endpoint("/fapi/v1/order", 1)
ALGO_ORDER: Final = Endpoint("/fapi/v1/algoOrder", 1)
OPEN_ORDERS: Final = Endpoint("/fapi/v1/openOrders", 1)
"""Of one symbol."""
ALL_OPEN_ORDERS: Final = Endpoint("/fapi/v1/openOrders", 40)
"""Of all symbols."""
OPEN_ALGO_ORDERS: Final = Endpoint("/fapi/v1/openAlgoOrders", 1)
ALL_OPEN_ALGO_ORDERS: Final = Endpoint("/fapi/v1/openAlgoOrders", 40)
ALL_ORDERS: Final = Endpoint("/fapi/v1/allOrders", 5)
USER_TRADES: Final = Endpoint("/fapi/v1/userTrades", 5)
POSITION_RISK: Final = Endpoint("/fapi/v2/positionRisk", 5)
INCOME: Final = Endpoint("/fapi/v1/income", 30)
DUAL_SIDE: Final = Endpoint("/fapi/v1/positionSide/dual", 30)
ACCOUNT: Final = Endpoint("/fapi/v3/account", 5)
PREMIUM_INDEX: Final = Endpoint("/fapi/v1/premiumIndex", 10)
"""Of all symbols."""
ACCOUNT_CONFIG: Final = Endpoint("/fapi/v1/accountConfig", 5)
EXCHANGE_INFO: Final = Endpoint("/fapi/v1/exchangeInfo", 1)
LISTEN_KEY: Final = Endpoint("/fapi/v1/listenKey", 1)


def klines_endpoint(limit: int) -> Endpoint:
    """Candles weigh by how many are asked for (Binance docs, kline data)."""
    weight = 1 if limit < 100 else 2 if limit < 500 else 5 if limit <= 1_000 else 10
    return Endpoint("/fapi/v1/klines", weight)
