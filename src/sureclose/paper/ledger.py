"""The exchange's books. `apply` is the only way they change, live and on replay alike."""

import bisect
from collections import defaultdict, deque
from collections.abc import Iterator
from decimal import Decimal

from sureclose.paper.facts import (
    Accepted,
    AlgoMoved,
    AlgoOrder,
    AlgoPlaced,
    Amended,
    AnyFact,
    Ended,
    Founded,
    Leveraged,
    MarginTyped,
    Moded,
    MultiAssets,
    Order,
    Seeded,
    Trade,
    Traded,
)
from sureclose.paper.positions import ZERO, Position

DEFAULT_LEVERAGE = 20
_FIRST_ORDER = 10_000_000_001
_FIRST_TRADE = 500_000_001
_FIRST_ALGO = 2_000_000_001
_HISTORY = 256
_NINETY_DAYS = 90 * 86_400_000
_THREE_DAYS = 3 * 86_400_000


class Ledger:
    """Orders, conditional orders, trades, positions, balance and settings of the one account.

    `latest` is the latest time of an order or trade, ms: later than now when the clock was set back. Orders are
    `is_in_order` while no later one has an earlier time.
    A position always equals what it was seeded with plus the signed sum of its trades since.
    """

    def __init__(self) -> None:
        self.founded: Founded | None = None
        self.orders: dict[int, Order] = {}
        self.open_orders: dict[int, Order] = {}
        self.algos: dict[int, AlgoOrder] = {}
        self.open_algos: dict[int, AlgoOrder] = {}
        self.trades: list[Trade] = []
        self.latest = 0
        self.is_in_order = True
        self.positions: dict[tuple[str, str], Position] = {}
        self.wallet = ZERO
        self.wallet_time = 0
        self.leverage: dict[str, int] = {}
        self.margin_types: dict[str, str] = {}
        self.dual_side = False
        self.multi_assets = False
        self.last_prices: dict[str, Decimal] = {}
        self.realized: defaultdict[tuple[str, str], Decimal] = defaultdict(Decimal)
        self._open_clients: dict[str, int] = {}
        self._clients: dict[tuple[str, str], int] = {}
        self._order_ids: list[int] = []
        self._algo_clients: dict[str, int] = {}
        self._algo_of_order: dict[int, int] = {}
        self._orders_of: defaultdict[str, list[int]] = defaultdict(list)
        self._trades_of: defaultdict[str, list[Trade]] = defaultdict(list)
        self._trades_of_order: defaultdict[int, list[Trade]] = defaultdict(list)
        self._history: dict[tuple[str, str], deque[Position]] = {}

    # -- questions

    @property
    def next_order_id(self) -> int:
        return _FIRST_ORDER + len(self.orders)

    @property
    def next_trade_id(self) -> int:
        return _FIRST_TRADE + len(self.trades)

    @property
    def next_algo_id(self) -> int:
        return _FIRST_ALGO + len(self.algos)

    def position(self, symbol: str, position_side: str) -> Position:
        return self.positions.get((symbol, position_side)) or Position(symbol, position_side)

    def position_as_of(self, symbol: str, position_side: str, time: int) -> Position:
        """The position as it stood at `time`, as far as the last changes are remembered."""
        past = self._history.get((symbol, position_side), ())
        for known in reversed(past):
            if known.update_time <= time:
                return known
        return past[0] if past else self.position(symbol, position_side)

    def leverage_of(self, symbol: str) -> int:
        return self.leverage.get(symbol, DEFAULT_LEVERAGE)

    def margin_type_of(self, symbol: str) -> str:
        return self.margin_types.get(symbol, "CROSSED")

    def open_with_client_id(self, client_id: str) -> Order | None:
        order_id = self._open_clients.get(client_id)
        return None if order_id is None else self.orders[order_id]

    def find(self, symbol: str, order_id: int | None, client_id: str | None) -> Order | None:
        """One order of `symbol`. Of several that reused a client id the newest answers (Binance leaves it open)."""
        if order_id is None:
            order_id = self._clients.get((symbol, client_id or ""))
        order = None if order_id is None else self.orders.get(order_id)
        return order if order is not None and order.symbol == symbol else None

    def find_algo(self, algo_id: int | None, client_id: str | None) -> AlgoOrder | None:
        """One conditional order; of several that reused a client id the newest."""
        if algo_id is None:
            algo_id = self._algo_clients.get(client_id or "")
        return None if algo_id is None else self.algos.get(algo_id)

    def algo_of_order(self, order_id: int) -> AlgoOrder | None:
        """The conditional order that the venue placed this order for."""
        algo_id = self._algo_of_order.get(order_id)
        return None if algo_id is None else self.algos[algo_id]

    def open_algos_of(self, symbol: str) -> list[AlgoOrder]:
        return [algo for algo in self.open_algos.values() if algo.symbol == symbol]

    def open_of(self, symbol: str) -> list[Order]:
        return [order for order in self.open_orders.values() if order.symbol == symbol]

    def orders_from(self, first_id: int, symbol: str | None) -> Iterator[Order]:
        """Orders of `symbol`, or of all, from `first_id` upwards, oldest first."""
        ids = self._order_ids if symbol is None else self._orders_of.get(symbol, [])
        for index in range(bisect.bisect_left(ids, first_id), len(ids)):
            yield self.orders[ids[index]]

    def latest_orders(self, symbol: str | None) -> Iterator[Order]:
        """Orders of `symbol`, or of all, newest first."""
        ids = self._order_ids if symbol is None else self._orders_of.get(symbol, [])
        return (self.orders[order_id] for order_id in reversed(ids))

    def trades_of(self, symbol: str) -> list[Trade]:
        return self._trades_of.get(symbol, [])

    def trades_of_order(self, order_id: int) -> list[Trade]:
        return self._trades_of_order.get(order_id, [])

    # -- changes

    def apply(self, fact: AnyFact) -> None:
        match fact:
            case Founded():
                self.founded = fact
                self.wallet = fact.balance
                self.wallet_time = fact.time
            case Seeded():
                self._hold(
                    Position(fact.symbol, fact.position_side, fact.amount, fact.entry_price, fact.update_time)
                )
                self.last_prices[fact.symbol] = fact.entry_price
            case Accepted(order):
                self._accept(order)
            case Traded(trade):
                self._trade(trade)
            case Ended():
                order = self.orders[fact.order_id]
                order.status, order.reason, order.update_time = fact.status, fact.reason, fact.time
                self._close(order)
            case Amended():
                order = self.orders[fact.order_id]
                order.quantity, order.price, order.update_time = fact.quantity, fact.price, fact.time
            case Leveraged():
                self.leverage[fact.symbol] = fact.leverage
            case MarginTyped():
                self.margin_types[fact.symbol] = fact.margin_type
            case Moded():
                self.dual_side = fact.dual_side
            case MultiAssets():
                self.multi_assets = fact.enabled
            case AlgoPlaced(algo):
                self.algos[algo.algo_id] = algo
                self.open_algos[algo.algo_id] = algo
                self._algo_clients[algo.client_id] = algo.algo_id
            case AlgoMoved():
                self._move(self.algos[fact.algo_id], fact)

    def _move(self, algo: AlgoOrder, fact: AlgoMoved) -> None:
        algo.status, algo.update_time, algo.reason = fact.status, fact.time, fact.reason
        self.open_algos.pop(algo.algo_id, None)
        if fact.status == "TRIGGERING":
            algo.trigger_time = fact.time
        if fact.order_id:
            algo.order_id = fact.order_id
            self._algo_of_order[fact.order_id] = algo.algo_id

    def _accept(self, order: Order) -> None:
        self.is_in_order = self.is_in_order and order.time >= self.latest
        self.latest = max(self.latest, order.time)
        self.orders[order.order_id] = order
        self.open_orders[order.order_id] = order
        self._order_ids.append(order.order_id)
        self._orders_of[order.symbol].append(order.order_id)
        self._clients[order.symbol, order.client_id] = order.order_id
        self._open_clients[order.client_id] = order.order_id

    def _trade(self, trade: Trade) -> None:
        self.latest = max(self.latest, trade.time)
        self.trades.append(trade)
        self._trades_of[trade.symbol].append(trade)
        self._trades_of_order[trade.order_id].append(trade)
        order = self.orders[trade.order_id]
        order.executed += trade.quantity
        order.quote += trade.quantity * trade.price
        order.update_time = trade.time
        order.status = "PARTIALLY_FILLED" if order.remaining else "FILLED"
        if not order.remaining:
            self._close(order)
        before = self.position(trade.symbol, trade.position_side)
        self._hold(before.after(trade.signed_quantity, trade.price, trade.time)[0])
        self.wallet += trade.realized - trade.commission
        self.wallet_time = trade.time
        self.last_prices[trade.symbol] = trade.price
        self.realized[trade.symbol, trade.position_side] += trade.realized

    def _hold(self, position: Position) -> None:
        key = (position.symbol, position.position_side)
        past = self._history.get(key)
        if past is None:
            past = self._history[key] = deque((self.position(*key),), maxlen=_HISTORY)
        past.append(position)
        self.positions[key] = position

    def _close(self, order: Order) -> None:
        self.open_orders.pop(order.order_id, None)
        if self._open_clients.get(order.client_id) == order.order_id:
            del self._open_clients[order.client_id]
        algo = self.algo_of_order(order.order_id)
        if algo is not None:
            algo.status, algo.update_time = "FINISHED", order.update_time


def is_remembered(order: Order, now: int) -> bool:
    """Whether queries still find an order (reference: Binance docs, GET /fapi/v1/order)."""
    if now - order.time > _NINETY_DAYS:
        return False
    lost = order.status in {"CANCELED", "EXPIRED"} and not order.executed
    return not (lost and now - order.time > _THREE_DAYS)
