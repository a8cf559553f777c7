"""Public market data, all of it made from the walk of the mark price."""

from decimal import Decimal
from typing import Any

from sureclose.paper.call import Call, Route, Security, weighed
from sureclose.paper.errors import VenueError
from sureclose.paper.kline_routes import klines, weight
from sureclose.paper.limits import RATE_LIMITS
from sureclose.paper.params import Params
from sureclose.paper.symbols import Contract
from sureclose.paper.wire import plain

_FUNDING_MS = 8 * 3_600_000
_DAY_MS = 86_400_000
_DEPTHS = {5: 2, 10: 2, 20: 2, 50: 2, 100: 5, 500: 10, 1000: 20}


def ping(_call: Call) -> Any:
    return {}


def time(call: Call) -> Any:
    return {"serverTime": call.now}


def exchange_info(call: Call) -> Any:
    return {
        "timezone": "UTC",
        "serverTime": call.now,
        "futuresType": "U_MARGINED",
        "rateLimits": RATE_LIMITS,
        "exchangeFilters": [],
        "assets": [{"asset": "USDT", "marginAvailable": True, "autoAssetExchange": "-10000"}],
        "symbols": [contract.describe() for contract in call.desk.contracts.values()],
    }


def empty_exchange_info(call: Call) -> Any:
    return {
        "timezone": "UTC",
        "serverTime": call.now,
        "rateLimits": RATE_LIMITS,
        "exchangeFilters": [],
        "symbols": [],
    }


def depth(call: Call) -> Any:
    contract = call.desk.contract(call.params)
    limit = call.params.integer("limit") or 500
    if limit not in _DEPTHS:
        raise VenueError(-1130, name="limit")
    quote = call.desk.prices.quote(contract.symbol)
    levels = min(limit, 50)
    amount = contract.quantity(contract.min_quantity * 1000)
    return {
        "lastUpdateId": call.now,
        "E": call.now,
        "T": call.now,
        "bids": [
            [contract.money(price), amount]
            for level in range(levels)
            if (price := quote.bid - level * contract.tick) > 0
        ],
        "asks": [[contract.money(quote.ask + level * contract.tick), amount] for level in range(levels)],
    }


def trades(call: Call) -> Any:
    contract = call.desk.contract(call.params)
    return [
        {
            "id": trade.trade_id,
            "price": contract.money(trade.price),
            "qty": contract.quantity(trade.quantity),
            "quoteQty": plain(trade.price * trade.quantity, contract.price_places),
            "time": trade.time,
            "isBuyerMaker": (trade.side == "BUY") == trade.maker,
        }
        for trade in _recent(call, contract)
    ]


def aggregate_trades(call: Call) -> Any:
    contract = call.desk.contract(call.params)
    return [
        {
            "a": trade.trade_id,
            "p": contract.money(trade.price),
            "q": contract.quantity(trade.quantity),
            "f": trade.trade_id,
            "l": trade.trade_id,
            "T": trade.time,
            "m": (trade.side == "BUY") == trade.maker,
        }
        for trade in _recent(call, contract)
    ]


def _recent(call: Call, contract: Contract) -> Any:
    limit = min(call.params.integer("limit", least=1) or 500, 1000)
    return call.desk.ledger.trades_of(contract.symbol)[-limit:]


def premium_index(call: Call) -> Any:
    return _each(call, _premium)


def _premium(call: Call, contract: Contract) -> dict[str, Any]:
    mark = plain(call.desk.prices.mark(contract.symbol), 8)
    return {
        "symbol": contract.symbol,
        "markPrice": mark,
        "indexPrice": mark,
        "estimatedSettlePrice": mark,
        "lastFundingRate": "0.00010000",
        "interestRate": "0.00010000",
        "nextFundingTime": call.now - call.now % _FUNDING_MS + _FUNDING_MS,
        "time": call.now,
    }


def funding_rate(call: Call) -> Any:
    contract = call.desk.contract(call.params) if call.params.has("symbol") else None
    contracts = list(call.desk.contracts.values()) if contract is None else [contract]
    due = call.now - call.now % _FUNDING_MS
    return [
        {
            "symbol": one.symbol,
            "fundingTime": due,
            "fundingRate": "0.00010000",
            "markPrice": plain(call.desk.prices.mark(one.symbol), 8),
        }
        for one in contracts
    ]


def ticker_price(call: Call) -> Any:
    return _each(call, _price)


def _price(call: Call, contract: Contract) -> dict[str, Any]:
    price = contract.money(call.desk.prices.mark(contract.symbol))
    return {"symbol": contract.symbol, "price": price, "time": call.now}


def ticker_book(call: Call) -> Any:
    return _each(call, _book)


def _book(call: Call, contract: Contract) -> dict[str, Any]:
    quote = call.desk.prices.quote(contract.symbol)
    amount = contract.quantity(contract.min_quantity * 1000)
    return {
        "symbol": contract.symbol,
        "bidPrice": contract.money(quote.bid),
        "bidQty": amount,
        "askPrice": contract.money(quote.ask),
        "askQty": amount,
        "time": call.now,
        "lastUpdateId": call.now,
    }


def ticker_day(call: Call) -> Any:
    return _each(call, _day)


def _day(call: Call, contract: Contract) -> dict[str, Any]:
    price = contract.money(call.desk.prices.mark(contract.symbol))
    known = call.desk.ledger.trades_of(contract.symbol)
    return {
        "symbol": contract.symbol,
        "priceChange": "0",
        "priceChangePercent": "0.000",
        "weightedAvgPrice": price,
        "lastPrice": price,
        "lastQty": contract.quantity(known[-1].quantity if known else Decimal(0)),
        "openPrice": price,
        "highPrice": price,
        "lowPrice": price,
        "volume": contract.quantity(sum((trade.quantity for trade in known[-1000:]), Decimal(0))),
        "quoteVolume": "0.00",
        "openTime": call.now - _DAY_MS,
        "closeTime": call.now,
        "firstId": known[0].trade_id if known else -1,
        "lastId": known[-1].trade_id if known else -1,
        "count": len(known),
    }


def _each(call: Call, show: Any) -> Any:
    """One object with a symbol, else a list of all."""
    if call.params.has("symbol"):
        return show(call, call.desk.contract(call.params))
    return [show(call, contract) for contract in call.desk.contracts.values()]


def nothing(_call: Call) -> Any:
    return []


def _depth_weight(params: Params) -> int:
    limit = params.as_dict().get("limit", "500")
    return _DEPTHS.get(int(limit), 20) if limit.isascii() and limit.isdigit() and len(limit) < 6 else 20


NONE = Security.NONE
ROUTES: dict[str, Route] = {
    "GET /fapi/v1/ping": Route(ping, NONE),
    "GET /fapi/v1/time": Route(time, NONE),
    "GET /fapi/v1/exchangeInfo": Route(exchange_info, NONE),
    "GET /fapi/v1/depth": Route(depth, NONE, _depth_weight),
    "GET /fapi/v1/trades": Route(trades, NONE, 5),
    "GET /fapi/v1/aggTrades": Route(aggregate_trades, NONE, 20),
    "GET /fapi/v1/klines": Route(klines, NONE, weight),
    "GET /fapi/v1/premiumIndex": Route(premium_index, NONE, weighed(1, 10)),
    "GET /fapi/v1/fundingRate": Route(funding_rate, NONE),
    "GET /fapi/v1/fundingInfo": Route(nothing, NONE),
    "GET /fapi/v1/ticker/24hr": Route(ticker_day, NONE, weighed(1, 40)),
    "GET /fapi/v1/ticker/price": Route(ticker_price, NONE, weighed(1, 2)),
    "GET /fapi/v2/ticker/price": Route(ticker_price, NONE, weighed(1, 2)),
    "GET /fapi/v1/ticker/bookTicker": Route(ticker_book, NONE, weighed(2, 5)),
    "GET /api/v3/ping": Route(ping, NONE),
    "GET /api/v3/time": Route(time, NONE),
    "GET /api/v3/exchangeInfo": Route(empty_exchange_info, NONE),
    "GET /dapi/v1/exchangeInfo": Route(empty_exchange_info, NONE),
    "GET /sapi/v1/capital/config/getall": Route(nothing, Security.SIGNED),
    "GET /sapi/v1/margin/allPairs": Route(nothing, Security.KEY),
    "GET /sapi/v1/margin/isolated/allPairs": Route(nothing, Security.SIGNED),
}
