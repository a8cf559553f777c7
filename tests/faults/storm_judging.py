"""The verdict on a storm: each close by the orders and trades of its own span of time, from the exchange's books alone."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal
from typing import Any, Final

from tests.acceptance.world import Fields, Records
from tests.faults.judging import Appeared, Claim, Story, Wanted, beliefs, effects

_VENUE: Final = {"autoclose-": "liquidation", "adl_autoclose": "adl"}
"""How the client order ids of liquidation and auto-deleveraging begin (Binance docs, user data streams)."""
_ENDLESS: Final = 1 << 62


@dataclass(frozen=True)
class Round:
    """One close of one symbol. ``put`` is the position that was put there before it, 0 where there was one left."""

    symbol: str
    plan_id: str
    put: Decimal
    part: Decimal
    step: Decimal
    began: int
    took_ms: int
    result: Fields

    @property
    def name(self) -> str:
        return f"{self.symbol} plan {self.plan_id}"


class Book:
    """The exchange's books, by symbol."""

    def __init__(self, records: Records) -> None:
        self.orders: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
        self.trades: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
        self.positions = {row["symbol"]: Decimal(row["positionAmt"]) for row in records._books["positions"]}
        self.requests: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
        for order in records._books["orders"]:
            self.orders[order["symbol"]].append(order)
        for trade in records._books["trades"]:
            self.trades[trade["symbol"]].append(trade)
        for request in records._books["requests"]:
            self.requests[request["params"].get("symbol", "")].append(request)

    def of(self, symbol: str) -> Records:
        """One symbol's part of the books."""
        position = {
            "symbol": symbol,
            "positionSide": "BOTH",
            "positionAmt": f"{self.positions.get(symbol, Decimal(0)):f}",
        }
        return Records(
            {
                "orders": self.orders[symbol],
                "trades": self.trades[symbol],
                "positions": [position],
                "requests": self.requests[symbol],
            }
        )


def verdict(rounds: Sequence[Round], books: Book, results: Mapping[str, int]) -> list[str]:
    """All that is wrong. ``results`` is how many outcomes each plan has."""
    by_symbol: defaultdict[str, list[Round]] = defaultdict(list)
    for one in sorted(rounds, key=lambda one: one.began):
        by_symbol[one.symbol].append(one)
    wrong = [f"plan {plan_id} has {count} outcomes" for plan_id, count in results.items() if count != 1]
    for symbol, played in by_symbol.items():
        wrong += _symbol(symbol, played, books)
    return wrong


def _symbol(symbol: str, played: Sequence[Round], books: Book) -> list[str]:
    wrong = []
    held = Decimal(0)
    ends = [*(one.began for one in played[1:]), _ENDLESS]
    for one, end in zip(played, ends, strict=True):
        if one.put and held:
            wrong.append(f"{one.name}: {held} was left where nothing should have been")
        held = one.put or held
        orders = [order for order in books.orders[symbol] if one.began <= order["time"] < end]
        trades = [trade for trade in books.trades[symbol] if one.began <= trade["time"] < end]
        after = held + sum(
            (Decimal(row["qty"]) * (1 if row["side"] == "BUY" else -1) for row in trades), Decimal(0)
        )
        wrong += [f"{one.name}: {what}" for what in _round(one, held, after, orders, trades)]
        held = after
    if held != books.positions.get(symbol, Decimal(0)):
        wrong.append(f"{symbol}: the trades lead to {held}, the position is {books.positions.get(symbol)}")
    return wrong


def _round(
    one: Round, held: Decimal, after: Decimal, orders: list[dict[str, Any]], trades: list[dict[str, Any]]
) -> list[str]:
    """Nothing, if all of the target was executed by our orders, or the venue itself took the position away."""
    target = (abs(held) * one.part / one.step).to_integral_value(ROUND_DOWN) * one.step
    taken = {order["orderId"]: cause for order in orders if (cause := cause_of(order["clientOrderId"]))}
    by_venue = sum((Decimal(row["qty"]) for row in trades if row["orderId"] in taken), Decimal(0))
    rows = [{"symbol": one.symbol, "positionSide": "BOTH", "positionAmt": f"{after:f}"}]
    books = Records({"orders": orders, "trades": trades, "positions": rows, "requests": []})
    story = Story(books, one.symbol, [Appeared(0, "BOTH", held)])
    total, left = target, held - target.copy_sign(held)
    outcomes: tuple[str, ...] = ("FLAT",) if one.part == 1 else ("REDUCED",)
    if by_venue:
        # What is right is decided by when it was taken: all of it is gone, and ours took no more than was asked for.
        total, left = min(story.executed, target), Decimal(0)
        gone = ("ALREADY_FLAT", *(f"ALREADY_FLAT({cause})" for cause in taken.values()))
        outcomes = ("FLAT", "REDUCED") if story.executed else gone
    wanted = Wanted(total, {"BOTH": left}, effective=None, least_sent=0)
    claim = Claim(one.plan_id, outcomes, total, [one.result], None)
    return [*effects(story, wanted), *beliefs(story, [claim])]


def cause_of(client_order_id: str) -> str:
    """Why the venue made this order; empty for everybody else's."""
    return next((cause for prefix, cause in _VENUE.items() if client_order_id.startswith(prefix)), "")
