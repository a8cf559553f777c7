"""The exchange's own controls under /paper/v1/, no part of Binance's protocol: records, faults, actions."""

from typing import Any

from sureclose.paper import account_views
from sureclose.paper.actions import ACTIONS, read
from sureclose.paper.call import House
from sureclose.paper.errors import VenueError
from sureclose.paper.order_views import algo_queried, queried, traded

PREFIX = "/paper/v1/"


def answer(house: House, route: str, body: str) -> Any:
    """What the control `route` answers; SettingsError says what is wrong with a request."""
    action = ACTIONS.get(route)
    if action is not None:
        return action.act(house, body)
    match route:
        case "GET /paper/v1/records":
            return records(house)
        case "GET /paper/v1/faults":
            return _faults(house)
        case "POST /paper/v1/faults":
            wanted = read(body, dict[str, Any], '{"fault": "answer_dropped", "count": 1}')
            house.faults.arm(wanted, house.desk.clock())
            return _faults(house)
        case "DELETE /paper/v1/faults":
            house.faults.clear()
            return _faults(house)
        case _:
            method, _, path = route.partition(" ")
            raise VenueError(-5000, path=path, method=method)


def records(house: House) -> dict[str, Any]:
    """The judge's view: every order, trade and position, and the latest raw requests to the order endpoints."""
    desk, ledger = house.desk, house.desk.ledger
    return {
        "orders": [
            queried(order, desk.contracts[order.symbol]) | {"reason": order.reason}
            for order in ledger.orders.values()
        ],
        "algo_orders": [
            algo_queried(algo, ledger.orders.get(algo.order_id), desk.contracts[algo.symbol])
            | {"reason": algo.reason}
            for algo in ledger.algos.values()
        ],
        "trades": [traded(trade, desk.contracts[trade.symbol]) for trade in ledger.trades],
        "positions": [account_views.risk_v2(desk, position) for position in ledger.positions.values()],
        "requests": list(house.requests),
    }


def _faults(house: House) -> dict[str, Any]:
    return house.faults.as_dict() | {
        "actions": {
            route: {"meaning": action.meaning, "example": action.example} for route, action in ACTIONS.items()
        }
    }
