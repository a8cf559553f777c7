"""From the parameters of an order to a well-formed request, or to the refusal that Binance gives."""

import re
from dataclasses import dataclass
from decimal import Decimal

from sureclose.paper.errors import VenueError
from sureclose.paper.params import Number, Params
from sureclose.paper.symbols import ORDER_TYPES, TIMES_IN_FORCE, Contract

_CLIENT_ID = re.compile(r"[.A-Z:/a-z0-9_-]{1,36}")
_SELF_TRADE = frozenset({"NONE", "EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH"})
_GOOD_TILL_LEAST_MS = 600_000


@dataclass(frozen=True, slots=True)
class OrderRequest:
    """An order that is well formed and passes the filters of its contract; nothing about the account yet."""

    contract: Contract
    side: str
    position_side: str
    type: str
    time_in_force: str
    quantity: Decimal
    price: Decimal
    reduce_only: bool
    client_id: str | None
    full_answer: bool
    self_trade: str
    good_till: int

    @property
    def sign(self) -> int:
        return 1 if self.side == "BUY" else -1


def read_order(params: Params, contract: Contract, now: int, *, dual_side: bool) -> OrderRequest:
    """Parse and check in Binance's order: presence and vocabulary, then filters."""
    side = params.required_choice("side", {"BUY", "SELL"}, -1117)
    kind = params.required_choice("type", ORDER_TYPES, -1116)
    if kind not in {"LIMIT", "MARKET"}:
        raise VenueError(-4120)
    answer = params.choice("newOrderRespType", {"ACK", "RESULT"}, -1136) or "ACK"
    client_id = read_client_id(params, "newClientOrderId")
    if params.flag("closePosition"):
        raise VenueError(-4120)
    if params.has("stopPrice"):
        raise VenueError(-1106, name="stopPrice")
    if params.has("priceMatch") and params.text("priceMatch") != "NONE":
        raise VenueError(-1130, name="priceMatch")
    position_side, reduce_only = read_sides(params, side, dual_side=dual_side)
    force, price, good_till = _terms(params, kind, now)
    quantity = params.required_number("quantity")
    check_quantity(quantity, contract, market=kind == "MARKET")
    if price is not None:
        check_price(price, contract)
    return OrderRequest(
        contract=contract,
        side=side,
        position_side=position_side,
        type=kind,
        time_in_force=force,
        quantity=quantity.value,
        price=price.value if price else Decimal(0),
        reduce_only=reduce_only,
        client_id=client_id,
        full_answer=answer == "RESULT",
        self_trade=read_self_trade(params),
        good_till=good_till,
    )


def read_client_id(params: Params, name: str) -> str | None:
    client_id = params.text(name)
    if client_id is not None and not _CLIENT_ID.fullmatch(client_id):
        raise VenueError(-4015)
    return client_id


def read_self_trade(params: Params) -> str:
    return params.choice("selfTradePreventionMode", _SELF_TRADE, -1130) or "EXPIRE_MAKER"


def read_sides(params: Params, side: str, *, dual_side: bool) -> tuple[str, bool]:
    """Position side and whether the order may only reduce.

    In hedge mode the sides say it, and reduceOnly is refused as sent when not required (-1106: community knowledge,
    not documentation).
    """
    position_side = params.choice("positionSide", {"BOTH", "LONG", "SHORT"}, -4060) or "BOTH"
    reduce_only = params.flag("reduceOnly")
    if dual_side != (position_side != "BOTH"):
        raise VenueError(-4061)
    if not dual_side:
        return position_side, bool(reduce_only)
    if reduce_only is not None:
        raise VenueError(-1106, name="reduceonly")
    return position_side, (position_side, side) in {("LONG", "SELL"), ("SHORT", "BUY")}


def _terms(params: Params, kind: str, now: int) -> tuple[str, Number | None, int]:
    if kind == "MARKET":
        if params.has("timeInForce"):
            raise VenueError(-1106, name="timeInForce")
        if params.has("price"):
            raise VenueError(-1106, name="price")
        return "GTC", None, 0
    force = params.required_choice("timeInForce", TIMES_IN_FORCE, -1115)
    if force != "GTD":
        return force, params.required_number("price"), 0
    until = params.required_integer("goodTillDate")
    if until <= now + _GOOD_TILL_LEAST_MS:
        raise VenueError(-5040)
    return force, params.required_number("price"), until - until % 1000


def check_quantity(quantity: Number, contract: Contract, *, market: bool) -> None:
    """LOT_SIZE, and MARKET_LOT_SIZE for MARKET orders: the smaller of both maxima counts."""
    if quantity.value == 0:
        raise VenueError(-4003)
    if quantity.places > contract.quantity_places:
        raise VenueError(-1111)
    if quantity.value < contract.min_quantity:
        raise VenueError(-4004)
    largest = contract.max_quantity
    if market:
        largest = min(largest, contract.market_max_quantity)
    if quantity.value > largest:
        raise VenueError(-4005)
    if (quantity.value - contract.min_quantity) % contract.step:
        raise VenueError(-4023)


def check_price(price: Number, contract: Contract) -> None:
    """PRICE_FILTER. PERCENT_PRICE needs the mark price and is checked with the market."""
    if price.value == 0:
        raise VenueError(-4001)
    if price.places > contract.price_places:
        raise VenueError(-1111)
    if price.value > contract.max_price:
        raise VenueError(-4002)
    if price.value < contract.tick:
        raise VenueError(-4013)
    if (price.value - contract.tick) % contract.tick:
        raise VenueError(-4014)
