"""Listen keys: made, extended, stopped."""

from typing import Any

from sureclose.paper.call import Call, Route, Security


def start_listen_key(call: Call) -> Any:
    return {"listenKey": call.house.listen_keys.start(call.now)}


def extend_listen_key(call: Call) -> Any:
    return {"listenKey": call.house.listen_keys.extend(call.params.text("listenKey"), call.now)}


def stop_listen_key(call: Call) -> Any:
    call.house.listen_keys.stop(call.params.text("listenKey"))
    return {}


ROUTES: dict[str, Route] = {
    "POST /fapi/v1/listenKey": Route(start_listen_key, Security.KEY),
    "PUT /fapi/v1/listenKey": Route(extend_listen_key, Security.KEY),
    "DELETE /fapi/v1/listenKey": Route(stop_listen_key, Security.KEY),
}
