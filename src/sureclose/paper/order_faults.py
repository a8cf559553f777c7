"""Placing an order while faults of the matching engine are armed."""

from sureclose.paper.admission import OrderRequest
from sureclose.paper.call import Call
from sureclose.paper.errors import VenueError
from sureclose.paper.facts import Order
from sureclose.paper.params import Params


def place(call: Call, params: Params) -> tuple[Order, OrderRequest]:
    """Liquidation comes first, then what refuses the order, then what becomes of its fill."""
    desk = call.desk
    request = desk.read(params)
    symbol, side = request.contract.symbol, request.position_side
    position = desk.ledger.position(symbol, side)
    if position.amount and (liquidated := call.strikes("liquidated", params)):
        desk.liquidate(position, fraction=liquidated.fraction, adl=liquidated.adl)
    if _is_beside_others(call, request) and (blocked := call.strikes("blocked_by_resting", params)):
        raise VenueError(blocked.code)
    if request.type != "MARKET":
        return desk.execute(request), request
    if call.strikes("market_rejected", params):
        raise VenueError(-4131)
    partial = call.strikes("partial_fill", params)
    return (desk.execute(request) if partial is None else desk.execute(request, partial.fraction)), request


def _is_beside_others(call: Call, request: OrderRequest) -> bool:
    """Whether a reducing order has a resting one of its side, or a waiting conditional one, beside it."""
    if not request.reduce_only:
        return False
    ledger, symbol = call.desk.ledger, request.contract.symbol
    return bool(ledger.open_algos_of(symbol)) or any(
        order.reduce_only and (order.position_side, order.side) == (request.position_side, request.side)
        for order in ledger.open_of(symbol)
    )
