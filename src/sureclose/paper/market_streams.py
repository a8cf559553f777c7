"""Market streams, once a second: markPrice, bookTicker, and the account's own trades as aggTrade."""

import re
from collections.abc import Iterable
from typing import Any

from sureclose.paper.desk import Desk
from sureclose.paper.facts import Trade
from sureclose.paper.user_stream import Listener
from sureclose.paper.wire import plain

_MARK = re.compile(r"(?P<symbol>[^@]+)@markPrice(@1s)?")
_FUNDING_MS = 8 * 3_600_000


class MarketStreams:
    """Called by the ticker; remembers only up to which trade it has told."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._told = len(desk.ledger.trades)

    def tell_marks(self, listeners: Iterable[Listener], now: int) -> None:
        """Mark prices alone, out of turn."""
        for listener in listeners:
            for stream in listener.streams:
                if _MARK.fullmatch(stream):
                    for payload in self._payloads(stream, [], now):
                        listener.put(stream, payload)

    def tick(self, listeners: Iterable[Listener], now: int) -> None:
        trades = self._desk.ledger.trades[self._told :]
        self._told += len(trades)
        for listener in listeners:
            for stream in listener.streams:
                for payload in self._payloads(stream, trades, now):
                    listener.put(stream, payload)

    def _payloads(self, stream: str, trades: list[Trade], now: int) -> list[Any]:
        name, _, kind = stream.partition("@")
        contract = self._desk.contracts.get(name.upper())
        if _MARK.fullmatch(stream) and contract is not None:
            self._desk.candles.note([contract.symbol])
            return [self._mark(contract.symbol, now)]
        if kind == "bookTicker" and contract is not None:
            return [self._book(contract.symbol, now)]
        if kind == "aggTrade" and contract is not None:
            return [self._aggregate(trade, now) for trade in trades if trade.symbol == contract.symbol]
        if stream in {"!markPrice@arr", "!markPrice@arr@1s"}:
            return [[self._mark(symbol, now) for symbol in self._desk.contracts]]
        if stream == "!bookTicker":
            return [self._book(symbol, now) for symbol in self._desk.contracts]
        return []

    def _mark(self, symbol: str, now: int) -> dict[str, Any]:
        mark = plain(self._desk.prices.mark(symbol), 8)
        return {
            "e": "markPriceUpdate",
            "E": now,
            "s": symbol,
            "p": mark,
            "i": mark,
            "P": mark,
            "r": "0.00010000",
            "T": now - now % _FUNDING_MS + _FUNDING_MS,
        }

    def _book(self, symbol: str, now: int) -> dict[str, Any]:
        contract, quote = self._desk.contracts[symbol], self._desk.prices.quote(symbol)
        amount = contract.quantity(contract.min_quantity * 1000)
        return {
            "e": "bookTicker",
            "u": now,
            "s": symbol,
            "b": contract.money(quote.bid),
            "B": amount,
            "a": contract.money(quote.ask),
            "A": amount,
            "T": now,
            "E": now,
        }

    def _aggregate(self, trade: Trade, now: int) -> dict[str, Any]:
        contract = self._desk.contracts[trade.symbol]
        return {
            "e": "aggTrade",
            "E": now,
            "s": trade.symbol,
            "a": trade.trade_id,
            "p": contract.money(trade.price),
            "q": contract.quantity(trade.quantity),
            "f": trade.trade_id,
            "l": trade.trade_id,
            "T": trade.time,
            "m": (trade.side == "BUY") == trade.maker,
        }
