"""Listen keys, and the algo service: it lists and cancels (there is never anything), and refuses to place."""

from typing import Any

from sureclose.paper.call import Call, Route, Security
from sureclose.paper.errors import VenueError


def start_listen_key(call: Call) -> Any:
    return {"listenKey": call.house.listen_keys.start(call.now)}


def extend_listen_key(call: Call) -> Any:
    return {"listenKey": call.house.listen_keys.extend(call.params.text("listenKey"), call.now)}


def stop_listen_key(call: Call) -> Any:
    call.house.listen_keys.stop(call.params.text("listenKey"))
    return {}


def no_algo_orders(_call: Call) -> Any:
    return []


def cancel_no_algo_orders(call: Call) -> Any:
    call.desk.contract(call.params)
    return {"code": 200, "msg": "The operation of cancel all open order is done."}


def refuse_algo_order(_call: Call) -> Any:
    """Conditional orders aren't offered here: refused, never accepted and forgotten."""
    raise VenueError(-1020)


def unknown_algo_order(call: Call) -> Any:
    if not call.params.has("algoId") and not call.params.has("clientAlgoId"):
        raise VenueError(-1102, name="algoId")
    raise VenueError(-2011 if call.route.startswith("DELETE") else -2013)


SIGNED = Security.SIGNED
ROUTES: dict[str, Route] = {
    "POST /fapi/v1/listenKey": Route(start_listen_key, Security.KEY),
    "PUT /fapi/v1/listenKey": Route(extend_listen_key, Security.KEY),
    "DELETE /fapi/v1/listenKey": Route(stop_listen_key, Security.KEY),
    "POST /fapi/v1/algoOrder": Route(refuse_algo_order, SIGNED, 0, 1, 1),
    "GET /fapi/v1/algoOrder": Route(unknown_algo_order, SIGNED),
    "DELETE /fapi/v1/algoOrder": Route(unknown_algo_order, SIGNED),
    "GET /fapi/v1/openAlgoOrders": Route(no_algo_orders, SIGNED),
    "GET /fapi/v1/allAlgoOrders": Route(no_algo_orders, SIGNED, 5),
    "DELETE /fapi/v1/algoOpenOrders": Route(cancel_no_algo_orders, SIGNED),
}
