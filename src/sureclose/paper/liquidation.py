"""What the venue does to a position by itself: liquidation and auto-deleveraging.

Reference: Binance docs, order update events: the client id starts with `autoclose-` (execution type CALCULATED) or is
`adl_autoclose`, followed here by the order's number. The order is a filled LIMIT IOC without the reduce-only flag, as
GET /fapi/v1/forceOrders shows it. Liquidation first expires what rests for the position, with reason 5.
"""

from decimal import ROUND_DOWN, Decimal

from sureclose.paper.facts import Accepted, AnyFact, Ended, Order
from sureclose.paper.matching import Market, filled
from sureclose.paper.positions import Position
from sureclose.paper.symbols import Contract

LIQUIDATION = "autoclose-"
DELEVERAGING = "adl_autoclose"
_LIQUIDATED = "5"


def liquidate(
    position: Position, contract: Contract, market: Market, *, fraction: Decimal, adl: bool
) -> list[AnyFact]:
    """Close `fraction` of the position, rounded down to the step; nothing if that is nothing."""
    ledger, now = market.ledger, market.now
    quantity = (abs(position.amount) * fraction / contract.step).to_integral_value(ROUND_DOWN) * contract.step
    if not quantity:
        return []
    order_id = ledger.next_order_id
    side = "SELL" if position.amount > 0 else "BUY"
    price = market.quote.bid if side == "SELL" else market.quote.ask
    order = Order(
        order_id=order_id,
        symbol=position.symbol,
        client_id=f"{DELEVERAGING if adl else LIQUIDATION}{order_id}",
        side=side,
        position_side=position.position_side,
        type="LIMIT",
        time_in_force="IOC",
        quantity=quantity,
        price=price,
        reduce_only=False,
        time=now,
        update_time=now,
    )
    facts: list[AnyFact] = []
    if not adl:
        facts += [
            Ended(resting.order_id, "EXPIRED", _LIQUIDATED, now)
            for resting in ledger.open_of(position.symbol)
            if resting.position_side == position.position_side
        ]
    ended = {fact.order_id for fact in facts if isinstance(fact, Ended)}
    facts.append(Accepted(order))
    caused = filled(order, quantity, price, market, maker=False)
    return facts + [fact for fact in caused if not (isinstance(fact, Ended) and fact.order_id in ended)]


def is_liquidation(order: Order) -> bool:
    return order.client_id.startswith(LIQUIDATION)
