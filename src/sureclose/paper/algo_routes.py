"""The algo service: conditional orders, placed, cancelled and asked for (reference: Binance change log 2025-11-06).

Cancelling one that isn't known or doesn't wait any more: -2011; asking for one that isn't known: -2013.
"""

import itertools
from typing import Any

from sureclose.paper.call import Call, Route, Security, weighed
from sureclose.paper.errors import VenueError
from sureclose.paper.facts import AlgoOrder
from sureclose.paper.listing import limit_of, window_of
from sureclose.paper.order_views import algo_placed, algo_queried


def place(call: Call) -> Any:
    algo = call.desk.place_algo(call.params)
    return algo_placed(algo, call.desk.contracts[algo.symbol])


def cancel(call: Call) -> Any:
    algo = call.desk.algo(call.params)
    if algo is None or not algo.is_waiting:
        raise VenueError(-2011)
    call.desk.cancel_algos([algo])
    return {"algoId": algo.algo_id, "clientAlgoId": algo.client_id, "code": "200", "msg": "success"}


def cancel_all(call: Call) -> Any:
    symbol = call.desk.contract(call.params).symbol
    call.desk.cancel_algos(call.desk.ledger.open_algos_of(symbol))
    return {"code": 200, "msg": "The operation of cancel all open order is done."}


def query(call: Call) -> Any:
    algo = call.desk.algo(call.params)
    if algo is None:
        raise VenueError(-2013)
    return _shown(call, algo)


def list_open(call: Call) -> Any:
    ledger = call.desk.ledger
    if call.params.has("symbol"):
        found = ledger.open_algos_of(call.desk.contract(call.params).symbol)
    else:
        found = list(ledger.open_algos.values())
    algo_id = call.params.integer("algoId")
    return [_shown(call, algo) for algo in found if algo_id in {None, algo.algo_id}]


def list_all(call: Call) -> Any:
    """From `algoId` upwards, or the newest of a window of at most seven days; oldest first either way."""
    params, ledger = call.params, call.desk.ledger
    symbol = call.desk.contract(params).symbol if params.has("symbol") else None
    first_id = params.integer("algoId")
    begin, end = window_of(call, skip=first_id is not None)
    wanted = [
        algo
        for algo in ledger.algos.values()
        if begin <= algo.time <= end and symbol in {None, algo.symbol} and algo.algo_id >= (first_id or 0)
    ]
    limit = limit_of(params)
    found = wanted[-limit:] if first_id is None else itertools.islice(wanted, limit)
    return [_shown(call, algo) for algo in found]


def _shown(call: Call, algo: AlgoOrder) -> Any:
    ledger, contract = call.desk.ledger, call.desk.contracts[algo.symbol]
    return algo_queried(algo, ledger.orders.get(algo.order_id), contract)


SIGNED = Security.SIGNED
ROUTES: dict[str, Route] = {
    "POST /fapi/v1/algoOrder": Route(place, SIGNED, 0, 1, 1),
    "GET /fapi/v1/algoOrder": Route(query, SIGNED),
    "DELETE /fapi/v1/algoOrder": Route(cancel, SIGNED),
    "GET /fapi/v1/openAlgoOrders": Route(list_open, SIGNED, weighed(1, 40)),
    "GET /fapi/v1/allAlgoOrders": Route(list_all, SIGNED, 5),
    "DELETE /fapi/v1/algoOpenOrders": Route(cancel_all, SIGNED),
}
