"""What becomes of an order: pure functions from the books and a quote to facts.

Reduce-only (reference: Binance FAQ 360039707291, error codes -2022 and -4118, expiry reasons of 2025-10-23):

* No position, or one in the same direction: -2022.
* MARKET larger than the position: clamped to it and FILLED, or (settings) keeps its quantity and ends EXPIRED, reason 4.
* LIMIT larger than the position: reduced to it. When resting reduce-only orders already cover a part, it gets what
  they leave; when they leave nothing: -4118.
* MARKET has priority over resting reduce-only orders. Whenever a trade leaves resting ones that together exceed the
  position, the newest of them expire with reason 4 until the rest fits; all of them when it is flat. With
  `resting_reduce_only = "refuse"` such a MARKET is refused with -4118 instead (seen live on portfolio margin accounts).

In hedge mode an order against its position side reduces by construction and follows the same rules, except that one
beyond the position is refused with -2022.
"""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal

from sureclose.paper.admission import OrderRequest
from sureclose.paper.errors import VenueError
from sureclose.paper.facts import Accepted, AnyFact, Ended, Order, Trade, Traded
from sureclose.paper.ledger import Ledger
from sureclose.paper.positions import ZERO, Position
from sureclose.paper.prices import Quote
from sureclose.paper.settings import PaperSettings
from sureclose.paper.symbols import Contract
from sureclose.paper.wire import trimmed

TAKER_FEE = Decimal("0.0005")
MAKER_FEE = Decimal("0.0002")
KNOCKED_OUT = "4"
IOC_REMAINDER = "2"
MARKET_REMAINDER = "9"
_CENT = Decimal("1e-8")


@dataclass(frozen=True, slots=True)
class Market:
    """What a decision looks at: the books, the quote, the time and, for opening orders, free margin in USDT."""

    ledger: Ledger
    quote: Quote
    now: int
    settings: PaperSettings
    free_margin: Callable[[], Decimal]


def place(
    request: OrderRequest, client_id: str, market: Market, fill_share: Decimal = Decimal(1)
) -> list[AnyFact]:
    """Every fact that a new order causes at once, or the refusal. `fill_share` < 1 is the partial_fill fault."""
    ledger, quote, now = market.ledger, market.quote, market.now
    contract = request.contract
    if ledger.open_with_client_id(client_id) is not None:
        raise VenueError(-4116)
    _check_band(request, quote)
    position = ledger.position(contract.symbol, request.position_side)
    quantity, fillable = request.quantity, request.quantity
    if request.reduce_only:
        quantity, fillable = _reducible(request, position, market)
    else:
        _check_opening(request, position, market)
    order = Order(
        order_id=ledger.next_order_id,
        symbol=contract.symbol,
        client_id=client_id,
        side=request.side,
        position_side=request.position_side,
        type=request.type,
        time_in_force=request.time_in_force,
        quantity=quantity,
        price=request.price,
        reduce_only=request.reduce_only,
        time=now,
        update_time=now,
        self_trade=request.self_trade,
        good_till=request.good_till,
    )
    if request.type == "MARKET":
        return _market(order, fillable, contract, market, fill_share)
    return _limit(order, market)


def check(request: OrderRequest, client_id: str, market: Market) -> None:
    """All refusals that `place` would give (POST /fapi/v1/order/test)."""
    place(request, client_id, market)


def cross(order: Order, market: Market) -> list[AnyFact]:
    """The facts of a resting order at the current quote: none, its fill as maker, or its end by time."""
    if order.good_till and market.now >= order.good_till:
        return [Ended(order.order_id, "EXPIRED", "0", market.now)]
    reached = market.quote.ask <= order.price if order.side == "BUY" else market.quote.bid >= order.price
    if not reached:
        return []
    return filled(order, order.remaining, order.price, market, maker=True)


def knocked_out(ledger: Ledger, position: Position, now: int, *, but: int = 0) -> list[AnyFact]:
    """Expiry of resting reduce-only orders that no longer fit `position`, newest first; `but` is left alone."""
    room = abs(position.amount)
    facts: list[AnyFact] = []
    for order in ledger.open_of(position.symbol):
        if not order.reduce_only or order.position_side != position.position_side or order.order_id == but:
            continue
        against = position.amount * order.sign < 0
        if against and order.remaining <= room:
            room -= order.remaining
        else:
            facts.append(Ended(order.order_id, "EXPIRED", KNOCKED_OUT, now))
    return facts


def _check_band(request: OrderRequest, quote: Quote) -> None:
    """PERCENT_PRICE: BUY at most mark x up, SELL at least mark x down."""
    contract = request.contract
    highest, lowest = quote.mark * (1 + contract.band), quote.mark * (1 - contract.band)
    if request.type == "MARKET":
        if quote.ask > highest if request.side == "BUY" else quote.bid < lowest:
            raise VenueError(-4131)
    elif request.side == "BUY" and request.price > highest:
        raise VenueError(-4016, limit=contract.money(highest))
    elif request.side == "SELL" and request.price < lowest:
        raise VenueError(-4024, limit=contract.money(lowest))


def _reducible(request: OrderRequest, position: Position, market: Market) -> tuple[Decimal, Decimal]:
    """Quantity of the order as recorded, and how much of it may fill."""
    held = abs(position.amount)
    if position.amount * request.sign >= 0:
        raise VenueError(-2022)
    if request.position_side != "BOTH" and request.quantity > held:
        raise VenueError(-2022)
    resting = sum(
        (
            order.remaining
            for order in market.ledger.open_of(request.contract.symbol)
            if order.reduce_only
            and order.position_side == request.position_side
            and order.sign == request.sign
        ),
        ZERO,
    )
    if request.type == "LIMIT":
        room = held - resting
        if room <= 0:
            raise VenueError(-4118)
        return min(request.quantity, room), min(request.quantity, room)
    if market.settings.resting_reduce_only == "refuse" and resting and resting + request.quantity > held:
        raise VenueError(-4118)
    fillable = min(request.quantity, held)
    if market.settings.oversize_market == "clamp":
        return fillable, fillable
    return request.quantity, fillable


def _check_opening(request: OrderRequest, position: Position, market: Market) -> None:
    """MIN_NOTIONAL, MAX_NUM_ORDERS and margin, none of which a reduce-only order has to pass."""
    contract = request.contract
    price = market.quote.mark if request.type == "MARKET" else request.price
    if request.quantity * price < contract.min_notional:
        raise VenueError(-4164, notional=trimmed(contract.min_notional))
    if len(market.ledger.open_of(contract.symbol)) >= contract.max_orders:
        raise VenueError(-2025)
    opening = request.quantity
    if position.amount * request.sign < 0:
        opening = max(ZERO, opening - abs(position.amount))
    needed = opening * price * (Decimal(1) / market.ledger.leverage_of(contract.symbol) + TAKER_FEE)
    if opening and needed > market.free_margin():
        raise VenueError(-2019)


def _market(
    order: Order, fillable: Decimal, contract: Contract, market: Market, fill_share: Decimal
) -> list[AnyFact]:
    price = market.quote.ask if order.side == "BUY" else market.quote.bid
    facts: list[AnyFact] = [Accepted(order)]
    reason = KNOCKED_OUT
    if fill_share < 1:
        fillable = (fillable * fill_share / contract.step).to_integral_value(ROUND_DOWN) * contract.step
        reason = MARKET_REMAINDER
    if fillable:
        facts += filled(order, fillable, price, market, maker=False)
    if fillable < order.quantity:
        facts.append(Ended(order.order_id, "EXPIRED", reason, market.now))
    return facts


def _limit(order: Order, market: Market) -> list[AnyFact]:
    best = market.quote.ask if order.side == "BUY" else market.quote.bid
    marketable = order.price >= best if order.side == "BUY" else order.price <= best
    if order.time_in_force == "GTX" and marketable:
        raise VenueError(-5022)
    if order.time_in_force == "FOK" and not marketable:
        raise VenueError(-5021)
    facts: list[AnyFact] = [Accepted(order)]
    if marketable:
        facts += filled(order, order.quantity, best, market, maker=False)
    elif order.time_in_force == "IOC":
        facts.append(Ended(order.order_id, "EXPIRED", IOC_REMAINDER, market.now))
    return facts


def filled(order: Order, quantity: Decimal, price: Decimal, market: Market, *, maker: bool) -> list[AnyFact]:
    """One trade of `order`, and what it knocks out."""
    ledger = market.ledger
    position = ledger.position(order.symbol, order.position_side)
    after, realized = position.after(quantity * order.sign, price, market.now)
    trade = Trade(
        trade_id=ledger.next_trade_id,
        order_id=order.order_id,
        symbol=order.symbol,
        side=order.side,
        position_side=order.position_side,
        price=price,
        quantity=quantity,
        realized=realized.quantize(_CENT),
        commission=(quantity * price * (MAKER_FEE if maker else TAKER_FEE)).quantize(_CENT),
        maker=maker,
        time=market.now,
    )
    return [Traded(trade), *knocked_out(ledger, after, market.now, but=order.order_id)]
