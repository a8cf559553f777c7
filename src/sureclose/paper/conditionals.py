"""Conditional orders of the algo service: what is accepted, and what becomes of one when its price is reached.

Reference: Binance change log 2025-11-06. Nothing about position or margin is checked before the trigger; then the venue
places an ordinary order, under the same client id if that is free. Contract price and mark price are one here.
"""

import secrets
from decimal import Decimal

from sureclose.paper import matching
from sureclose.paper.admission import (
    OrderRequest,
    check_price,
    check_quantity,
    read_client_id,
    read_self_trade,
    read_sides,
)
from sureclose.paper.errors import VenueError
from sureclose.paper.facts import AlgoMoved, AlgoOrder, AnyFact
from sureclose.paper.matching import Market
from sureclose.paper.params import Params
from sureclose.paper.symbols import ORDER_TYPES, Contract

MOST = 200
_TYPES = frozenset({"STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET"})
_FORCES = frozenset({"GTC", "IOC", "FOK", "GTX"})
_WORKING = frozenset({"MARK_PRICE", "CONTRACT_PRICE"})
_CLOSING = frozenset({("LONG", "SELL"), ("SHORT", "BUY")})


def read(params: Params, contract: Contract, market: Market) -> AlgoOrder:
    """A conditional order as it will rest, or the refusal."""
    ledger, now = market.ledger, market.now
    params.required_choice("algoType", {"CONDITIONAL"}, -1130)
    side = params.required_choice("side", {"BUY", "SELL"}, -1117)
    kind = params.required_choice("type", ORDER_TYPES, -1116)
    if kind == "TRAILING_STOP_MARKET":
        raise VenueError(-1020)
    if kind not in _TYPES:
        raise VenueError(-1116)
    client_id = read_client_id(params, "clientAlgoId")
    if params.has("priceMatch") and params.text("priceMatch") != "NONE":
        raise VenueError(-1130, name="priceMatch")
    position_side, reduce_only = read_sides(params, side, dual_side=ledger.dual_side)
    is_market = kind.endswith("_MARKET")
    closes = bool(params.flag("closePosition"))
    if closes:
        _check_closing(params, position_side, side, is_market=is_market)
    trigger = params.required_number("triggerPrice")
    check_price(trigger, contract)
    quantity = price = Decimal(0)
    if not closes:
        sent = params.required_number("quantity")
        check_quantity(sent, contract, market=is_market)
        quantity = sent.value
    if is_market and params.has("price"):
        raise VenueError(-1106, name="price")
    if not is_market:
        limit = params.required_number("price")
        check_price(limit, contract)
        price = limit.value
    algo = AlgoOrder(
        algo_id=ledger.next_algo_id,
        client_id=client_id or secrets.token_hex(11),
        symbol=contract.symbol,
        side=side,
        position_side=position_side,
        type=kind,
        time_in_force=params.choice("timeInForce", _FORCES, -1115) or "GTC",
        quantity=quantity,
        trigger=trigger.value,
        price=price,
        reduce_only=reduce_only or closes,
        close_position=closes,
        time=now,
        update_time=now,
        working_type=params.choice("workingType", _WORKING, -1130) or "CONTRACT_PRICE",
        price_protect=bool(params.flag("priceProtect")),
        self_trade=read_self_trade(params),
    )
    known = ledger.find_algo(None, algo.client_id)
    if known is not None and known.is_waiting:
        raise VenueError(-4116)
    if len(ledger.open_algos) >= MOST:
        raise VenueError(-4045)
    if algo.is_reached(market.quote.mark):
        raise VenueError(-2021)
    return algo


def _check_closing(params: Params, position_side: str, side: str, *, is_market: bool) -> None:
    """closePosition: of the MARKET types only, without quantity or reduceOnly, and against the side in hedge mode."""
    if not is_market:
        raise VenueError(-1130, name="closePosition")
    if params.has("quantity"):
        raise VenueError(-4137)
    if params.has("reduceOnly"):
        raise VenueError(-1106, name="reduceonly")
    if position_side != "BOTH" and (position_side, side) not in _CLOSING:
        raise VenueError(-4061)


def triggered(algo: AlgoOrder, contract: Contract, market: Market) -> list[AnyFact]:
    """The facts of a waiting conditional order at the current mark price."""
    if not algo.is_reached(market.quote.mark):
        return []
    ledger, now = market.ledger, market.now
    quantity = algo.quantity
    facts: list[AnyFact] = [AlgoMoved(algo.algo_id, "TRIGGERING", now)]
    if algo.close_position:
        held = ledger.position(algo.symbol, algo.position_side).amount
        quantity = abs(held)
        if held == 0 or (held > 0) == (algo.side == "BUY"):
            return [*facts, AlgoMoved(algo.algo_id, "EXPIRED", now, reason="No position to close.")]
    taken = ledger.open_with_client_id(algo.client_id) is not None
    client_id = secrets.token_hex(11) if taken else algo.client_id
    try:
        placed = matching.place(_request(algo, contract, quantity), client_id, market)
    except VenueError as refusal:
        return [*facts, AlgoMoved(algo.algo_id, "REJECTED", now, reason=refusal.message)]
    return [*facts, AlgoMoved(algo.algo_id, "TRIGGERED", now, order_id=ledger.next_order_id), *placed]


def _request(algo: AlgoOrder, contract: Contract, quantity: Decimal) -> OrderRequest:
    return OrderRequest(
        contract=contract,
        side=algo.side,
        position_side=algo.position_side,
        type=algo.order_type,
        time_in_force="GTC" if algo.order_type == "MARKET" else algo.time_in_force,
        quantity=quantity,
        price=algo.price,
        reduce_only=algo.reduce_only,
        client_id=None,
        full_answer=False,
        self_trade=algo.self_trade,
        good_till=0,
    )
