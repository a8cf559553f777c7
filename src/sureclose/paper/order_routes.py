"""Orders: placing, cancelling, asking."""

import itertools
from typing import Any

import msgspec

from sureclose.paper import order_faults
from sureclose.paper.call import Call, Route, Security, weighed
from sureclose.paper.errors import VenueError
from sureclose.paper.facts import Order, Trade
from sureclose.paper.ledger import is_remembered
from sureclose.paper.listing import limit_of, window_of
from sureclose.paper.order_views import placed, queried, traded
from sureclose.paper.params import Params

_BATCH_LARGEST = 5
_CANCEL_LARGEST = 10


def place(call: Call) -> Any:
    return _place(call, call.params)


def _place(call: Call, params: Params) -> Any:
    desk = call.desk
    order, request = order_faults.place(call, params) if call.house.faults else desk.place(params)
    return placed(
        order,
        request.contract,
        with_average=desk.settings.order_response_includes_avg_price,
        acknowledge=not request.full_answer,
    )


def test(call: Call) -> Any:
    call.desk.test(call.params)
    return {}


def place_batch(call: Call) -> Any:
    """Up to five orders, each with its own answer or refusal; together HTTP 200."""
    listed = _json_list(call.params, "batchOrders", _BATCH_LARGEST)
    answers: list[Any] = []
    for element in listed:
        if not isinstance(element, dict):
            answers.append(VenueError(-1130, name="batchOrders").as_dict())
            continue
        try:
            answers.append(_place(call, Params.of_json(element)))
        except VenueError as refusal:
            answers.append(refusal.as_dict())
    return answers


def cancel(call: Call) -> Any:
    order = call.desk.order(call.params)
    if order is None:
        raise VenueError(-2011)
    return _shown(call, call.desk.cancel(order))


def cancel_batch(call: Call) -> Any:
    contract = call.desk.contract(call.params)
    by_client = call.params.has("origClientOrderIdList")
    name = "origClientOrderIdList" if by_client else "orderIdList"
    answers: list[Any] = []
    for element in _json_list(call.params, name, _CANCEL_LARGEST):
        try:
            ledger = call.desk.ledger
            if by_client and isinstance(element, str):
                order = ledger.find(contract.symbol, None, element)
            elif not by_client and isinstance(element, int):
                order = ledger.find(contract.symbol, element, None)
            else:
                raise VenueError(-1130, name=name)
            if order is None:
                raise VenueError(-2011)
            answers.append(_shown(call, call.desk.cancel(order)))
        except VenueError as refusal:
            answers.append(refusal.as_dict())
    return answers


def cancel_all(call: Call) -> Any:
    call.desk.cancel_all(call.desk.contract(call.params).symbol)
    return {"code": 200, "msg": "The operation of cancel all open order is done."}


def amend(call: Call) -> Any:
    order = call.desk.order(call.params)
    if order is None:
        raise VenueError(-2013)
    return _shown(call, call.desk.amend(order, call.params))


def count_down(call: Call) -> Any:
    symbol = call.desk.contract(call.params).symbol
    delay = call.params.required_integer("countdownTime")
    call.desk.count_down(symbol, delay)
    return {"symbol": symbol, "countdownTime": str(delay)}


def query(call: Call) -> Any:
    order = call.desk.order(call.params)
    if order is None or _lags(call, order):
        raise VenueError(-2013)
    return queried(order, call.desk.contracts[order.symbol])


def query_open(call: Call) -> Any:
    order = call.desk.order(call.params)
    if order is None or not order.is_open or _lags(call, order):
        raise VenueError(-2013)
    return queried(order, call.desk.contracts[order.symbol])


def list_open(call: Call) -> Any:
    ledger, contracts = call.desk.ledger, call.desk.contracts
    if call.params.has("symbol"):
        found = ledger.open_of(call.desk.contract(call.params).symbol)
    else:
        found = list(ledger.open_orders.values())
    return [queried(order, contracts[order.symbol]) for order in found]


def list_all(call: Call) -> Any:
    """From `orderId` upwards, or of a window of at most seven days (the last seven by default).

    `symbol` is optional (reference: Binance change log 2026-08-25).
    """
    desk, params = call.desk, call.params
    symbol = desk.contract(params).symbol if params.has("symbol") else None
    first_id = params.integer("orderId")
    limit = limit_of(params)
    begin, end = window_of(call, skip=first_id is not None)
    end = min(end, _youngest(call))
    if first_id is not None:
        listed = desk.ledger.orders_from(first_id, symbol)
    else:
        listed = desk.ledger.latest_orders(symbol)
        if desk.ledger.is_in_order:
            listed = itertools.takewhile(lambda order: order.time >= begin, listed)
    wanted = (order for order in listed if begin <= order.time <= end and is_remembered(order, call.now))
    found = sorted(itertools.islice(wanted, limit), key=lambda order: order.order_id)
    return [queried(order, desk.contracts[order.symbol]) for order in found]


def list_trades(call: Call) -> Any:
    desk, params = call.desk, call.params
    contract = desk.contract(params)
    order_id, from_id = params.integer("orderId"), params.integer("fromId")
    if from_id is not None and (params.has("startTime") or params.has("endTime")):
        raise VenueError(-1128)
    limit = limit_of(params)
    begin, end = window_of(call, skip=from_id is not None or order_id is not None)
    end = min(end, _youngest(call))

    def wanted(trade: Trade) -> bool:
        return (
            begin <= trade.time <= end
            and trade.symbol == contract.symbol
            and (from_id is None or trade.trade_id >= from_id)
        )

    ledger = desk.ledger
    trades = ledger.trades_of(contract.symbol) if order_id is None else ledger.trades_of_order(order_id)
    if from_id is not None or params.has("startTime"):
        found = list(itertools.islice(filter(wanted, trades), limit))
    else:
        found = list(itertools.islice(filter(wanted, reversed(trades)), limit))[::-1]
    return [traded(trade, contract) for trade in found]


def _shown(call: Call, order: Order) -> Any:
    contract = call.desk.contracts[order.symbol]
    return placed(order, contract, with_average=call.desk.settings.order_response_includes_avg_price)


def _lags(call: Call, order: Order) -> bool:
    """Whether the read_lag fault still hides the order."""
    fault = call.strikes("read_lag")
    return fault is not None and call.now < order.time + fault.ms


def _youngest(call: Call) -> int:
    """The latest time that a list shows: the list_lag fault hides what is younger than its `ms`."""
    fault = call.strikes("list_lag")
    return max(call.now, call.desk.ledger.latest) if fault is None else call.now - fault.ms


def _json_list(params: Params, name: str, largest: int) -> list[Any]:
    try:
        value = msgspec.json.decode(params.required(name))
    except msgspec.DecodeError as error:
        raise VenueError(-1130, name=name) from error
    if not isinstance(value, list) or not 1 <= len(value) <= largest:
        raise VenueError(-1130, name=name)
    return value


SIGNED = Security.SIGNED
ROUTES: dict[str, Route] = {
    "POST /fapi/v1/order": Route(place, SIGNED, 0, 1, 1),
    "POST /fapi/v1/order/test": Route(test, SIGNED, 0, 1, 1),
    "POST /fapi/v1/batchOrders": Route(place_batch, SIGNED, 5, 5, 1),
    "PUT /fapi/v1/order": Route(amend, SIGNED, 0, 1, 1),
    "DELETE /fapi/v1/order": Route(cancel, SIGNED),
    "DELETE /fapi/v1/batchOrders": Route(cancel_batch, SIGNED),
    "DELETE /fapi/v1/allOpenOrders": Route(cancel_all, SIGNED),
    "POST /fapi/v1/countdownCancelAll": Route(count_down, SIGNED, 10),
    "GET /fapi/v1/order": Route(query, SIGNED),
    "GET /fapi/v1/openOrder": Route(query_open, SIGNED),
    "GET /fapi/v1/openOrders": Route(list_open, SIGNED, weighed(1, 40)),
    "GET /fapi/v1/allOrders": Route(list_all, SIGNED, 5),
    "GET /fapi/v1/userTrades": Route(list_trades, SIGNED, 5),
}
