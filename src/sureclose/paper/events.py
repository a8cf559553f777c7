"""User data events: what each fact tells the account's streams (reference: Binance docs, user data streams)."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from sureclose.paper.facts import (
    Accepted,
    AlgoMoved,
    AlgoOrder,
    AlgoPlaced,
    Amended,
    AnyFact,
    Ended,
    Leveraged,
    MarginTyped,
    MultiAssets,
    Order,
    Seeded,
    Trade,
    Traded,
)
from sureclose.paper.ledger import Ledger
from sureclose.paper.liquidation import is_liquidation
from sureclose.paper.positions import Position
from sureclose.paper.symbols import Contract
from sureclose.paper.wire import plain, trimmed

Event = dict[str, Any]


class Narrator:
    """Turns facts, once applied, into events. Key names and their order are Binance's."""

    def __init__(self, ledger: Ledger, contracts: Mapping[str, Contract]) -> None:
        self._ledger = ledger
        self._contracts = contracts

    def tell(self, fact: AnyFact, now: int) -> Iterator[Event]:
        match fact:
            case Accepted(order):
                yield self._order(order, "NEW", now)
            case Traded(trade):
                order = self._ledger.orders[trade.order_id]
                liquidated = is_liquidation(order)
                if not liquidated:
                    yield self._lite(order, trade, now)
                yield self._order(order, "CALCULATED" if liquidated else "TRADE", now, trade)
                position = self._ledger.position(trade.symbol, trade.position_side)
                yield self._account("ORDER", now, [position], with_balance=True)
                yield from self._finished(order, now)
            case Ended():
                order = self._ledger.orders[fact.order_id]
                yield self._order(order, fact.status, now)
                yield from self._finished(order, now)
            case Amended():
                yield self._order(self._ledger.orders[fact.order_id], "AMENDMENT", now)
            case Seeded():
                position = self._ledger.position(fact.symbol, fact.position_side)
                yield self._account("ADJUSTMENT", now, [position], with_balance=False)
            case AlgoPlaced(algo):
                yield self._algo(algo, algo.status, now)
            case AlgoMoved():
                yield self._algo(self._ledger.algos[fact.algo_id], fact.status, now)
            case Leveraged():
                yield _config(now, "ac", {"s": fact.symbol, "l": fact.leverage})
            case MultiAssets():
                yield _config(now, "ai", {"j": fact.enabled})
            case MarginTyped():
                sides = ("LONG", "SHORT") if self._ledger.dual_side else ("BOTH",)
                positions = [self._ledger.position(fact.symbol, side) for side in sides]
                yield self._account("MARGIN_TYPE_CHANGE", now, positions, with_balance=False)
            case _:
                return

    def _order(self, order: Order, execution: str, now: int, trade: Trade | None = None) -> Event:
        contract = self._contracts[order.symbol]
        average = order.quote / order.executed if order.executed else Decimal(0)
        told: Event = {
            "s": order.symbol,
            "c": order.client_id,
            "S": order.side,
            "o": order.type,
            "f": order.time_in_force,
            "q": contract.quantity(order.quantity),
            "p": trimmed(order.price),
            "ap": plain(average, contract.price_places + 3) if average else "0",
            "sp": "0",
            "x": execution,
            "X": order.status,
            "i": order.order_id,
            "l": contract.quantity(trade.quantity) if trade else "0",
            "z": contract.quantity(order.executed),
            "L": contract.money(trade.price) if trade else "0",
        }
        if trade:
            told |= {"N": "USDT", "n": plain(trade.commission, 8)}
        return {
            "e": "ORDER_TRADE_UPDATE",
            "E": now,
            "T": order.update_time,
            "o": told
            | {
                "T": order.update_time,
                "t": trade.trade_id if trade else 0,
                "b": "0",
                "a": "0",
                "m": trade.maker if trade else False,
                "R": order.reduce_only,
                "wt": "CONTRACT_PRICE",
                "ot": order.type,
                "ps": order.position_side,
                "cp": False,
                "rp": plain(trade.realized, 8) if trade else "0",
                "pP": False,
                "si": 0,
                "ss": 0,
                "V": order.self_trade,
                "pm": "NONE",
                "gtd": order.good_till,
                "er": order.reason,
            },
        }

    def _finished(self, order: Order, now: int) -> Iterator[Event]:
        """The end of the order that a conditional one became."""
        algo = None if order.is_open else self._ledger.algo_of_order(order.order_id)
        if algo is not None:
            yield self._algo(algo, algo.status, now)

    def _algo(self, algo: AlgoOrder, status: str, now: int) -> Event:
        contract = self._contracts[algo.symbol]
        order = self._ledger.orders.get(algo.order_id)
        return {
            "e": "ALGO_UPDATE",
            "T": algo.update_time,
            "E": now,
            "o": {
                "caid": algo.client_id,
                "aid": algo.algo_id,
                "at": "CONDITIONAL",
                "o": algo.type,
                "s": algo.symbol,
                "S": algo.side,
                "ps": algo.position_side,
                "f": algo.time_in_force,
                "q": contract.quantity(algo.quantity),
                "X": status,
                "ai": str(algo.order_id) if algo.order_id else "",
                "ap": contract.money(order.quote / order.executed) if order and order.executed else "0.0",
                "aq": contract.quantity(order.executed) if order else "0.0",
                "act": algo.order_type if algo.order_id else "0",
                "tp": trimmed(algo.trigger),
                "p": trimmed(algo.price),
                "V": algo.self_trade,
                "wt": algo.working_type,
                "pm": "NONE",
                "cp": algo.close_position,
                "pP": algo.price_protect,
                "R": algo.reduce_only,
                "tt": algo.trigger_time,
                "gtd": 0,
                "rm": algo.reason,
                "ia": False,
            },
        }

    def _lite(self, order: Order, trade: Trade, now: int) -> Event:
        contract = self._contracts[order.symbol]
        return {
            "e": "TRADE_LITE",
            "E": now,
            "T": trade.time,
            "s": order.symbol,
            "q": contract.quantity(order.quantity),
            "p": trimmed(order.price),
            "m": trade.maker,
            "c": order.client_id,
            "S": order.side,
            "L": contract.money(trade.price),
            "l": contract.quantity(trade.quantity),
            "t": trade.trade_id,
            "i": order.order_id,
        }

    def _account(self, reason: str, now: int, positions: list[Position], *, with_balance: bool) -> Event:
        wallet = plain(self._ledger.wallet, 8)
        balances = [{"a": "USDT", "wb": wallet, "cw": wallet, "bc": "0"}] if with_balance else []
        return {
            "e": "ACCOUNT_UPDATE",
            "E": now,
            "T": max([now, *(position.update_time for position in positions)]),
            "a": {"m": reason, "B": balances, "P": [self._position(position) for position in positions]},
        }

    def _position(self, position: Position) -> Event:
        contract = self._contracts[position.symbol]
        realized = self._ledger.realized[position.symbol, position.position_side]
        entry = plain(position.entry_price, contract.price_places + 3)
        return {
            "s": position.symbol,
            "pa": contract.quantity(position.amount) if position.amount else "0",
            "ep": entry,
            "bep": trimmed(break_even(position)),
            "cr": plain(realized, 8),
            "up": "0",
            "mt": "cross" if self._ledger.margin_type_of(position.symbol) == "CROSSED" else "isolated",
            "iw": "0",
            "ps": position.position_side,
        }


def break_even(position: Position) -> Decimal:
    """Entry price moved by the taker fee of closing, rounded to 8 decimals."""
    fee = Decimal("0.0005") if position.amount > 0 else Decimal("-0.0005")
    return (position.entry_price * (1 + fee)).quantize(Decimal("1e-8")) if position.amount else Decimal(0)


def _config(now: int, name: str, value: Mapping[str, Any]) -> Event:
    return {"e": "ACCOUNT_CONFIG_UPDATE", "E": now, "T": now, name: dict(value)}
