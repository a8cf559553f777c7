"""How orders, conditional orders and trades look in answers. Strings for decimals, integers for ids and times."""

from decimal import Decimal
from typing import Any

from sureclose.paper.facts import AlgoOrder, Order, Trade
from sureclose.paper.symbols import Contract
from sureclose.paper.wire import plain

View = dict[str, Any]


def average(order: Order, contract: Contract) -> str:
    if not order.executed:
        return contract.money(Decimal(0))
    return plain(order.quote / order.executed, contract.price_places + 3)


def placed(order: Order, contract: Contract, *, with_average: bool, acknowledge: bool = False) -> View:
    """Answer to placing, cancelling or amending. `acknowledge` shows it as it was before anything happened to it."""
    executed = contract.quantity(Decimal(0) if acknowledge else order.executed)
    view: View = {
        "orderId": order.order_id,
        "symbol": order.symbol,
        "status": "NEW" if acknowledge else order.status,
        "clientOrderId": order.client_id,
        "price": contract.money(order.price),
    }
    if with_average:
        view["avgPrice"] = contract.money(Decimal(0)) if acknowledge else average(order, contract)
    view |= {"origQty": contract.quantity(order.quantity), "executedQty": executed, "cumQty": executed}
    if with_average:
        quote = Decimal(0) if acknowledge else order.quote
        view["cumQuote"] = plain(quote, contract.price_places + 3)
    return view | _common(order) | {"updateTime": order.time if acknowledge else order.update_time}


def queried(order: Order, contract: Contract) -> View:
    """Answer to GET order, openOrder(s), allOrders: with avgPrice, cumQuote and time, without cumQty."""
    return (
        {
            "orderId": order.order_id,
            "symbol": order.symbol,
            "status": order.status,
            "clientOrderId": order.client_id,
            "price": contract.money(order.price),
            "avgPrice": average(order, contract),
            "origQty": contract.quantity(order.quantity),
            "executedQty": contract.quantity(order.executed),
            "cumQuote": plain(order.quote, contract.price_places + 3),
        }
        | _common(order)
        | {"time": order.time, "updateTime": order.update_time}
    )


def _common(order: Order) -> View:
    return {
        "timeInForce": order.time_in_force,
        "type": order.type,
        "reduceOnly": order.reduce_only,
        "closePosition": False,
        "side": order.side,
        "positionSide": order.position_side,
        "stopPrice": "0.00",
        "workingType": "CONTRACT_PRICE",
        "priceProtect": False,
        "origType": order.type,
        "priceMatch": "NONE",
        "selfTradePreventionMode": order.self_trade,
        "goodTillDate": order.good_till,
    }


def traded(trade: Trade, contract: Contract) -> View:
    """Element of GET /fapi/v1/userTrades; it has no clientOrderId."""
    return {
        "buyer": trade.side == "BUY",
        "commission": plain(trade.commission, 8),
        "commissionAsset": "USDT",
        "id": trade.trade_id,
        "maker": trade.maker,
        "orderId": trade.order_id,
        "price": contract.money(trade.price),
        "qty": contract.quantity(trade.quantity),
        "quoteQty": plain(trade.quantity * trade.price, contract.price_places + 3),
        "realizedPnl": plain(trade.realized, 8),
        "side": trade.side,
        "positionSide": trade.position_side,
        "symbol": trade.symbol,
        "time": trade.time,
    }


def algo_placed(algo: AlgoOrder, contract: Contract) -> View:
    """Answer to POST /fapi/v1/algoOrder."""
    return _algo_head(algo, contract) | _algo_tail(algo, contract)


def algo_queried(algo: AlgoOrder, order: Order | None, contract: Contract) -> View:
    """Answer to GET algoOrder, openAlgoOrders, allAlgoOrders: with the `order` that it became."""
    actual = {
        "actualOrderId": str(order.order_id) if order else "",
        "actualPrice": average(order, contract) if order else plain(Decimal(0), contract.price_places + 3),
    }
    return _algo_head(algo, contract) | actual | _algo_tail(algo, contract)


def _algo_head(algo: AlgoOrder, contract: Contract) -> View:
    return {
        "algoId": algo.algo_id,
        "clientAlgoId": algo.client_id,
        "algoType": "CONDITIONAL",
        "orderType": algo.type,
        "symbol": algo.symbol,
        "side": algo.side,
        "positionSide": algo.position_side,
        "timeInForce": algo.time_in_force,
        "quantity": contract.quantity(algo.quantity),
        "algoStatus": algo.status,
    }


def _algo_tail(algo: AlgoOrder, contract: Contract) -> View:
    return {
        "triggerPrice": contract.money(algo.trigger),
        "price": contract.money(algo.price),
        "icebergQuantity": None,
        "selfTradePreventionMode": algo.self_trade,
        "workingType": algo.working_type,
        "priceMatch": "NONE",
        "closePosition": algo.close_position,
        "priceProtect": algo.price_protect,
        "reduceOnly": algo.reduce_only,
        "activatePrice": "",
        "callbackRate": "",
        "createTime": algo.time,
        "updateTime": algo.update_time,
        "triggerTime": algo.trigger_time,
        "goodTillDate": 0,
    }
