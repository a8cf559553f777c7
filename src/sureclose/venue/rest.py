"""Binance USDS-M futures over REST: the port, on HTTP."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Final, Self

import msgspec

from sureclose.domain.harvest.klines import Kline
from sureclose.domain.market import OrderReport, Position, Refusal, RestingOrder, SymbolRules, Trade
from sureclose.domain.safety import Margin, Mark
from sureclose.domain.words import PositionSide
from sureclose.venue import history
from sureclose.venue.book import PositionBook
from sureclose.venue.client import SignedClient, decode
from sureclose.venue.clock import VenueClock, steady_seconds, wall_ms
from sureclose.venue.codes import CANCEL_REJECTED, NO_SUCH_ORDER, STALE_MODE, STALE_RULES
from sureclose.venue.endpoints import (
    ACCOUNT,
    ACCOUNT_CONFIG,
    ALGO_ORDER,
    ALL_OPEN_ALGO_ORDERS,
    ALL_OPEN_ORDERS,
    ALL_ORDERS,
    DUAL_SIDE,
    EXCHANGE_INFO,
    INCOME,
    LISTEN_KEY,
    OPEN_ALGO_ORDERS,
    OPEN_ORDERS,
    ORDER,
    POSITION_RISK,
    USER_TRADES,
)
from sureclose.venue.environments import VenueSettings
from sureclose.venue.errors import Unanswered, VenueError, VenueIncomplete, VenueUnreachable, WrongMode
from sureclose.venue.exchange_info import RulesCache
from sureclose.venue.limits import Limits
from sureclose.venue.market_reads import MarketReads
from sureclose.venue.orders import judge, parameters
from sureclose.venue.port import AccountState, NotSent, Purpose, ReducingOrder, Urgency
from sureclose.venue.positions import PositionReads
from sureclose.venue.resting_book import RestingBook
from sureclose.venue.schemas import (
    AccountConfig,
    AccountSums,
    AlgoOrderRow,
    Cancelled,
    DualSide,
    ExchangeInfo,
    IncomeRow,
    ListenKey,
    OpenOrderRow,
    OrderRow,
    PositionRow,
    TradeRow,
)
from sureclose.venue.secret import Credentials
from sureclose.venue.slots import OrderSlots
from sureclose.venue.transport import NoAnswer, NotConnected

_AHEAD_MS: Final = 60_000
"""How far past the present a window of history reaches, for orders that change while it is read."""

_AROUND_MS: Final = 1000
"""How much wider than the order's lifetime its fills are looked for."""


class BinanceRest:
    """One account at Binance, its testnet, or anything that speaks their protocol: a ``Venue``.

    An asynchronous context manager; opening it talks to nobody. ``maintain`` is a task for the caller to supervise.
    ``wall`` is the local time in milliseconds, ``steady`` a clock in seconds that nobody sets. Raises ``ValueError``
    for addresses or keys that can't be.
    """

    def __init__(
        self,
        settings: VenueSettings,
        credentials: Credentials,
        *,
        wall: Callable[[], int] = wall_ms,
        steady: Callable[[], float] = steady_seconds,
    ) -> None:
        self._client = SignedClient(settings, credentials, wall=wall, steady=steady)
        self._settings = settings
        self._market = MarketReads(self._client)
        self._steady = steady
        self._slots = OrderSlots(settings.order_connections, self.limits.order_wait_ms)
        self._position_reads = PositionReads(
            self._read_positions, interval_ms=settings.position_interval_ms, steady=steady
        )
        self._rules = RulesCache(
            self._read_exchange_info,
            steady=steady,
            max_age_ms=settings.rules_max_age_ms,
            retry_ms=settings.rules_retry_ms,
            doubt_ms=settings.rules_doubt_ms,
        )
        self._mode: tuple[bool, float] | None = None
        self._known_dual_side = False
        self.book = PositionBook(self.clock, steady, fresh_ms=settings.told_fresh_ms)
        self.resting_book = RestingBook(steady)
        self._mode_doubts = 0
        self._asking_mode = asyncio.Lock()

    async def __aenter__(self) -> Self:
        await self._client.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._slots.close()
        await self._position_reads.close()
        await self._client.__aexit__(kind, error, traceback)

    @property
    def limits(self) -> Limits:
        """The budget as the venue's headers tell it, for gauges."""
        return self._client.limits

    # the clock

    @property
    def clock(self) -> VenueClock:
        return self._client.clock

    async def server_time(self) -> int:
        """See ``Venue``."""
        return await self._client.server_time()

    async def measure_clock(self) -> None:
        """One round of samples of the venue's time; raises ``VenueError`` when none succeeds."""
        await self._client.measure_clock()

    async def maintain(self, stop: asyncio.Event) -> None:
        """Measure the clock and keep order connections open, at intervals until ``stop``. To be supervised."""
        await self._client.maintain(stop)

    # orders

    @asynccontextmanager
    async def order_slot(self, urgency: Urgency = Urgency.FULL, since: int = 0) -> AsyncIterator[None]:
        """See ``Venue``."""
        async with self._slots.hold(urgency, since):
            await self._client.clock_ready()
            yield

    @property
    def order_queue(self) -> int:
        """See ``Venue``."""
        return self._slots.queue

    def order_wait_ms(self) -> int:
        """See ``Venue``."""
        return self._slots.next_wait_ms()

    async def place(self, order: ReducingOrder) -> OrderReport | Refusal | Unanswered | NotSent:
        """See ``Venue``: one POST, whose outcome is whatever can be proven about it."""
        if (patience := self.limits.blocked_ms()) > 0:
            return NotSent(f"the venue asked for {patience} ms of patience")
        client = self._client
        try:
            answer = await client.post_order(parameters(order))
        except NotConnected as error:
            return NotSent(str(error))
        except NoAnswer as error:
            return Unanswered(reason=str(error))
        verdict = judge(order, answer.status, answer.body, answer.headers, client.about_now())
        if isinstance(verdict, Refusal):
            self._learn(verdict)
            return msgspec.structs.replace(verdict, message=client.credentials.scrub(verdict.message))
        if isinstance(verdict, Unanswered):
            return msgspec.structs.replace(verdict, reason=client.credentials.scrub(verdict.reason))
        self.clock.reached(verdict.update_time)
        return verdict

    def _learn(self, refusal: Refusal) -> None:
        """What a refusal says about what we believed."""
        if refusal.code in STALE_RULES:
            self._rules.doubt()
        if refusal.code in STALE_MODE:
            self._forget_mode()

    async def order(self, symbol: str, client_order_id: str) -> OrderReport | None:
        """See ``Venue``."""
        row = await self._order(symbol, ("origClientOrderId", client_order_id))
        if row is not None and row.client_order_id != client_order_id:
            raise VenueUnreachable(f"{ORDER.path}: the answer is about another order")
        return None if row is None else row.report()

    async def order_by_id(self, symbol: str, order_id: int) -> OrderReport | None:
        """See ``Venue``."""
        row = await self._order(symbol, ("orderId", str(order_id)))
        if row is not None and row.order_id != order_id:
            raise VenueUnreachable(f"{ORDER.path}: the answer is about another order")
        return None if row is None else row.report()

    async def _order(self, symbol: str, by: tuple[str, str]) -> OrderRow | None:
        try:
            row = await self._client.ask(OrderRow, ORDER, [("symbol", symbol), by])
        except VenueError as error:
            if error.code == NO_SUCH_ORDER and not isinstance(error, VenueUnreachable):
                return None
            raise
        if row.symbol != symbol:
            raise VenueUnreachable(f"{ORDER.path}: the answer is about another symbol")
        return row

    async def orders_since(
        self, symbol: str, start_time: int, purpose: Purpose = Purpose.CLOSE
    ) -> list[OrderReport]:
        """See ``Venue``."""

        async def page(first: int, last: int) -> list[OrderRow]:
            query = history.window(symbol, first, last)
            return await self._client.ask(list[OrderRow], ALL_ORDERS, query, purpose=purpose)

        rows = await history.whole(page, *await self._span(start_time), history.too_many)
        by_id = {row.order_id: row for row in rows}
        return [by_id[order_id].report() for order_id in sorted(by_id)]

    async def symbols_since(self, start_time: int, purpose: Purpose = Purpose.CLOSE) -> set[str]:
        """The symbols in which anything was traded from ``start_time`` on.

        Positions that changed, and profits and commissions: it is not known whether the venue keeps the time of a row
        that is flat again, and a trade may yield no income.
        """

        async def page(first: int, last: int) -> list[IncomeRow]:
            window = history.window("", first, last)[1:]
            return await self._client.ask(list[IncomeRow], INCOME, window, purpose=purpose)

        async def full_instant(_instant: int, rows: list[IncomeRow]) -> list[IncomeRow]:
            return rows

        positions = await self._read_positions(None, purpose)
        found = {row.symbol for row in positions if row.amount or row.update_time >= start_time}
        rows = await history.whole(page, *await self._span(start_time), full_instant)
        return found | {row.symbol for row in rows if row.symbol}

    # orders that rest

    async def resting(self, symbol: str, purpose: Purpose = Purpose.CLOSE) -> list[RestingOrder]:
        """See ``Venue``. One after the other: what triggers between the two lists is in both, not in neither."""
        by_symbol = [("symbol", symbol)]
        conditional = await self._client.ask(list[AlgoOrderRow], OPEN_ALGO_ORDERS, by_symbol, purpose=purpose)
        booked = await self._client.ask(list[OpenOrderRow], OPEN_ORDERS, by_symbol, purpose=purpose)
        rows: list[AlgoOrderRow | OpenOrderRow] = [*conditional, *booked]
        if any(row.symbol != symbol for row in rows):
            raise VenueUnreachable("the list of open orders is about another symbol")
        return [row.resting() for row in rows if row.rests]

    async def all_resting(self) -> list[RestingOrder]:
        """The resting orders of all symbols, which the stream's word is checked by."""
        requested_at = self.clock.earliest() if self.clock.measured else 0
        self.resting_book.ask()
        conditional = await self._client.ask(
            list[AlgoOrderRow], ALL_OPEN_ALGO_ORDERS, [], purpose=Purpose.OBSERVE
        )
        booked = await self._client.ask(list[OpenOrderRow], ALL_OPEN_ORDERS, [], purpose=Purpose.OBSERVE)
        rows: list[AlgoOrderRow | OpenOrderRow] = [*conditional, *booked]
        orders = [row.resting() for row in rows if row.rests]
        self.resting_book.check(orders, requested_at)
        return orders

    @property
    def stream_delivers(self) -> bool:
        """See ``Venue``."""
        return self.book.delivers

    def told_none_rest(self, symbol: str) -> bool:
        """See ``Venue``."""
        return self._settings.size_from_stream and self.resting_book.has_none(symbol)

    async def cancel(self, order: RestingOrder) -> None:
        """See ``Venue``."""
        endpoint, name = (ALGO_ORDER, "algoId") if order.conditional else (ORDER, "orderId")
        query = [("symbol", order.symbol), (name, str(order.order_id))]
        try:
            answer = await self._client.ask(Cancelled, endpoint, query, method="DELETE")
        except VenueError as error:
            if error.code == CANCEL_REJECTED and not isinstance(error, VenueUnreachable):
                return
            raise
        if (answer.algo_id if order.conditional else answer.order_id) != order.order_id:
            raise VenueUnreachable(f"{endpoint.path}: the answer is about another order")

    # fills

    async def trades_of_order(self, symbol: str, order_id: int) -> list[Trade]:
        """See ``Venue``. Where one answer can't hold them, the order's own lifetime bounds the search."""
        one = [("symbol", symbol), ("orderId", str(order_id))]
        limit = ("limit", str(history.PAGE))
        rows = await self._client.ask(list[TradeRow], USER_TRADES, [*one, limit])
        if len(rows) < history.PAGE:
            return history.in_order(row for row in rows if row.order_id == order_id)
        order = await self._client.ask(OrderRow, ORDER, one)
        if order.time == 0:
            raise VenueIncomplete(f"order {order_id} fills a page and doesn't say when it began")
        lifetime = order.time - _AROUND_MS, order.update_time + _AROUND_MS
        rows = await self._trades(symbol, *lifetime, Purpose.CLOSE)
        trades = history.in_order(row for row in rows if row.order_id == order_id)
        if (counted := sum(trade.quantity for trade in trades)) < order.executed_qty:
            raise VenueIncomplete(f"order {order_id} filled {order.executed_qty}, its trades say {counted}")
        return trades

    async def trades_since(
        self, symbol: str, start_time: int, purpose: Purpose = Purpose.CLOSE
    ) -> list[Trade]:
        """See ``Venue``."""
        return history.in_order(await self._trades(symbol, *await self._span(start_time), purpose))

    async def _trades(self, symbol: str, start: int, end: int, purpose: Purpose) -> list[TradeRow]:
        async def page(first: int, last: int) -> list[TradeRow]:
            query = history.window(symbol, first, last)
            return await self._client.ask(list[TradeRow], USER_TRADES, query, purpose=purpose)

        async def from_id(first: int, limit: int) -> list[TradeRow]:
            query = [("symbol", symbol), ("fromId", str(first)), ("limit", str(limit))]
            return await self._client.ask(list[TradeRow], USER_TRADES, query, purpose=purpose)

        async def full_instant(instant: int, rows: list[TradeRow]) -> list[TradeRow]:
            return await history.trades_of_instant(from_id, instant, rows)

        return await history.whole(page, start, end, full_instant)

    async def _span(self, start_time: int) -> tuple[int, int]:
        await self._client.clock_ready()
        now = self.clock.latest()
        if start_time < now - history.RETENTION_MS:
            raise VenueIncomplete(f"the venue doesn't answer for {start_time}: that is more than 90 days ago")
        return start_time, max(now, start_time) + _AHEAD_MS

    # positions and account

    async def position(self, symbol: str, position_side: PositionSide) -> Position:
        """See ``Venue``; coalesced by ``PositionReads``."""
        try:
            return await self._position_reads.position(symbol, position_side)
        except WrongMode:
            self._forget_mode()
            raise

    def told(self, symbol: str, position_side: PositionSide) -> Position | None:
        """See ``Venue``; kept by ``PositionBook``."""
        if not self._settings.size_from_stream:
            return None
        if self._known_dual_side:
            return None if position_side is PositionSide.BOTH else self.book.position(symbol, position_side)
        return self.book.position(symbol, PositionSide.BOTH)

    async def positions(self) -> list[Position]:
        """See ``Venue``."""
        rows = await self._read_positions(None, Purpose.OBSERVE)
        return [row for row in rows if row.amount != 0]

    async def _read_positions(self, symbol: str | None, purpose: Purpose = Purpose.CLOSE) -> list[Position]:
        query = [] if symbol is None else [("symbol", symbol)]
        generation = self.book.generation
        reply = await self._client.read(POSITION_RISK, query, purpose)
        rows = decode(list[PositionRow], reply.body, POSITION_RISK.path)
        positions = [row.position(reply.requested_at) for row in rows]
        self.book.check(positions, whole=symbol is None, generation=generation)
        return positions

    async def marks(self) -> dict[str, Mark]:
        """The mark price of every symbol, with the venue's own time of each."""
        return await self._market.marks()

    async def klines(self, symbol: str, interval: str, limit: int) -> list[Kline]:
        """The last so many candles, oldest first; the newest may not be over."""
        return await self._market.klines(symbol, interval, limit)

    async def margin(self) -> Margin:
        """The account's maintenance margin and margin balance."""
        reply = await self._client.read(ACCOUNT, [], Purpose.OBSERVE)
        return decode(AccountSums, reply.body, ACCOUNT.path).margin(reply.requested_at)

    async def dual_side(self) -> bool:
        """See ``Venue``."""
        async with self._asking_mode:
            if self._mode is not None:
                dual, asked_at = self._mode
                if self._steady() - asked_at < self._settings.mode_max_age_ms / 1000:
                    return dual
            asked_at, doubts = self._steady(), self._mode_doubts
            answer = await self._client.ask(DualSide, DUAL_SIDE, [])
            if doubts == self._mode_doubts:
                self._mode = (answer.dual_side_position, asked_at)
            self._known_dual_side = answer.dual_side_position
            return answer.dual_side_position

    @property
    def known_dual_side(self) -> bool:
        return self._known_dual_side

    def _forget_mode(self) -> None:
        self._mode = None
        self._mode_doubts += 1

    async def account(self) -> AccountState:
        """See ``Venue``."""
        answer = await self._client.ask(AccountConfig, ACCOUNT_CONFIG, [], purpose=Purpose.OBSERVE)
        return AccountState(
            can_trade=answer.can_trade,
            dual_side=answer.dual_side_position,
            multi_assets=answer.multi_assets_margin,
        )

    async def rules(self, symbol: str) -> SymbolRules | None:
        """See ``Venue``."""
        return await self._rules.rules(symbol)

    async def _read_exchange_info(self) -> ExchangeInfo:
        info = decode(ExchangeInfo, await self._client.unsigned("GET", EXCHANGE_INFO), EXCHANGE_INFO.path)
        self.limits.configure(info.rate_limits)
        return info

    # the listen key of the user data stream: key only, no signature (Binance docs, user data streams)

    async def create_listen_key(self) -> str:
        """A listen key, the running one if there is one; valid for 60 minutes."""
        answer = decode(ListenKey, await self._client.unsigned("POST", LISTEN_KEY), LISTEN_KEY.path)
        if not answer.listen_key:
            raise VenueUnreachable(f"{LISTEN_KEY.path}: the answer has no key")
        return answer.listen_key

    async def extend_listen_key(self) -> str:
        """60 minutes more for the running key, which is returned; empty when the answer doesn't name it.

        Raises ``VenueError`` with code -1125 when there is none.
        """
        return decode(ListenKey, await self._client.unsigned("PUT", LISTEN_KEY), LISTEN_KEY.path).listen_key
