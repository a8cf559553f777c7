"""The port: what the close engine may ask of an exchange, and every answer it can get."""

import re
from contextlib import AbstractAsyncContextManager
from decimal import Decimal
from enum import IntEnum, StrEnum
from typing import Final, Protocol

import msgspec

from sureclose.domain.market import OrderReport, Position, Refusal, RestingOrder, SymbolRules, Trade
from sureclose.domain.words import PositionSide, Side
from sureclose.venue.clock import VenueClock
from sureclose.venue.errors import Unanswered

MAX_RECV_WINDOW_MS: Final = 60_000
"""Safe ceiling of ``recvWindow``: documented for Binance Spot, undocumented for futures."""

_CLIENT_ORDER_ID = re.compile(r"[A-Za-z0-9_-]{1,36}")
_REDUCING_SIDE: Final = {PositionSide.LONG: Side.SELL, PositionSide.SHORT: Side.BUY}


class Urgency(IntEnum):
    """Who goes first where the venue's order limits bind."""

    PANIC = 0
    FULL = 1
    PARTIAL = 2


class Purpose(StrEnum):
    """What a read is for: one that observes yields to one that closes when weight grows scarce."""

    CLOSE = "close"
    OBSERVE = "observe"
    TIDY = "tidy"
    """As OBSERVE, and without its patience: an outcome waits for it."""


class ReducingOrder(msgspec.Struct, frozen=True, kw_only=True):
    """One reducing order, as journalled: at market, or with ``limit_price`` a limit order that never rests (IOC).

    There is no field that says whether it reduces: with ``BOTH`` the wire always carries ``reduceOnly=true``, with
    ``LONG`` and ``SHORT`` (hedge mode, where the venue refuses that parameter) the only side that can be written is
    the one that reduces. ``quantity`` is in base units, ``limit_price`` in the quote asset; ``timestamp`` and
    ``recv_window`` are venue milliseconds, and their sum is the last moment at which the venue may accept it.
    Raises ``ValueError`` when it could not be a reducing order that the venue understands.
    """

    symbol: str
    side: Side
    position_side: PositionSide
    quantity: Decimal
    client_order_id: str
    timestamp: int
    recv_window: int
    limit_price: Decimal | None = None

    def __post_init__(self) -> None:
        if not self.symbol:
            raise ValueError("an order needs a symbol")
        if not self.quantity.is_finite() or self.quantity <= 0:
            raise ValueError(f"not an order quantity: {self.quantity}")
        if self.limit_price is not None and (not self.limit_price.is_finite() or self.limit_price <= 0):
            raise ValueError(f"not a limit price: {self.limit_price}")
        if _CLIENT_ORDER_ID.fullmatch(self.client_order_id) is None:
            raise ValueError(f"not a client order id of ours: {self.client_order_id!r}")
        if self.timestamp <= 0 or not 0 < self.recv_window <= MAX_RECV_WINDOW_MS:
            raise ValueError(f"not a deadline: {self.timestamp} + {self.recv_window} ms")
        if self.side is not _REDUCING_SIDE.get(self.position_side, self.side):
            raise ValueError(f"{self.side} does not reduce a {self.position_side} position")

    @property
    def deadline(self) -> int:
        """The last venue millisecond at which the venue may accept this order (Binance docs, timing security)."""
        return self.timestamp + self.recv_window


class NotSent(msgspec.Struct, frozen=True):
    """It is certain that no byte of the request left this process."""

    reason: str


class AccountState(msgspec.Struct, frozen=True, kw_only=True):
    """What the venue says of the account behind the key."""

    can_trade: bool
    dual_side: bool
    multi_assets: bool


class Venue(Protocol):
    """An exchange account as the close engine sees it.

    Every read raises ``VenueError`` (the venue said no, or something unreadable), ``VenueUnreachable`` (no answer)
    or ``VenueIncomplete`` (an answer that can't be proven whole), all ``VenueError``; none ever returns an empty
    answer for a failure, and none repeats itself. Reads wait while the venue asks for patience, at most the read
    timeout; beyond that they raise. All times are venue milliseconds.
    """

    @property
    def clock(self) -> VenueClock:
        """The estimate of the venue's time. Unmeasured until the first successful read of it."""
        ...

    async def server_time(self) -> int:
        """The venue's time as it answered just now: the proof that a deadline has passed."""
        ...

    def order_slot(
        self, urgency: Urgency = Urgency.FULL, since: int = 0
    ) -> AbstractAsyncContextManager[None]:
        """A rate token and a connection, to be held from before ``timestamp`` is taken until the answer is in.

        Waits as long as the venue's limits ask for. Waiters go by ``urgency``, then by ``since`` (the age of the
        wish: smaller is older), then in order of arrival. Entering measures the clock if it is unknown or in doubt,
        and may raise ``VenueError`` for that reason, having sent no order.
        """
        ...

    @property
    def order_queue(self) -> int:
        """How many wait for a slot now."""
        ...

    def order_wait_ms(self) -> int:
        """How long the venue's limits make the next order wait, beside the queue."""
        ...

    async def place(self, order: ReducingOrder) -> OrderReport | Refusal | Unanswered | NotSent:
        """Send exactly one request, with the ``timestamp`` it was journalled with. Raises nothing for a fault.

        A cancelled call is as unknown as ``Unanswered``.
        """
        ...

    async def order(self, symbol: str, client_order_id: str) -> OrderReport | None:
        """One order; ``None`` only for the venue's own "does not exist" (-2013), which proves nothing before the deadline."""
        ...

    async def order_by_id(self, symbol: str, order_id: int) -> OrderReport | None:
        """One order by the venue's own id; ``None`` only for the venue's own "does not exist" (-2013)."""
        ...

    async def orders_since(
        self, symbol: str, start_time: int, purpose: Purpose = Purpose.CLOSE
    ) -> list[OrderReport]:
        """All orders of a symbol from ``start_time`` on, by order id; the whole list or ``VenueIncomplete``.

        The venue forgets orders without a fill that were cancelled or expired 3 days ago, and all after 90 days
        (Binance docs, order query); a ``start_time`` beyond 90 days is ``VenueIncomplete``.
        """
        ...

    async def resting(self, symbol: str, purpose: Purpose = Purpose.CLOSE) -> list[RestingOrder]:
        """All orders of a symbol that can still act: those in the book and conditional ones, whoever placed them.

        Conditional ones first; one that triggers meanwhile is listed twice rather than never.
        """
        ...

    async def cancel(self, order: RestingOrder) -> None:
        """Cancel one order; one that is gone already (-2011) is no error. List again to know that it worked."""
        ...

    async def trades_of_order(self, symbol: str, order_id: int) -> list[Trade]:
        """All fills of one order, oldest first."""
        ...

    async def trades_since(
        self, symbol: str, start_time: int, purpose: Purpose = Purpose.CLOSE
    ) -> list[Trade]:
        """All fills of a symbol from ``start_time`` on, oldest first; the whole list or ``VenueIncomplete``."""
        ...

    async def position(self, symbol: str, position_side: PositionSide) -> Position:
        """One position, by a read that was requested after this call. Zero is a row that says zero.

        ``position_side`` is the account's own word: ``BOTH`` in one-way mode, ``LONG`` or ``SHORT`` in hedge mode;
        a side that the venue has no row for raises ``VenueError``. Rows that speak of the other mode raise
        ``WrongMode``, and ``dual_side`` will ask again.
        """
        ...

    def told(self, symbol: str, position_side: PositionSide) -> Position | None:
        """An open position as the user data stream tells it, where that is fresh and nothing speaks against it.

        ``position_side`` is a decision's word, translated by what is known of the account's mode. Never zero: it may
        size an order, and proves nothing.
        """
        ...

    def told_none_rest(self, symbol: str) -> bool:
        """Whether nothing rests in the symbol, by the stream's word. Only worth as much as the stream: see that it delivers."""
        ...

    @property
    def stream_delivers(self) -> bool:
        """Whether the user data stream is alive, and no read has shown that it kept something back."""
        ...

    async def positions(self) -> list[Position]:
        """All positions that are not zero."""
        ...

    async def dual_side(self) -> bool:
        """Whether the account is in hedge mode. Cached; forgotten when the venue refuses an order for its mode."""
        ...

    @property
    def known_dual_side(self) -> bool:
        """What ``dual_side`` last answered, ``False`` before it did; never asks."""
        ...

    async def rules(self, symbol: str) -> SymbolRules | None:
        """The filters of a symbol; ``None`` when the venue answered that it lists no such symbol."""
        ...

    async def account(self) -> AccountState:
        """Whether the key is valid and what it may do; an invalid key raises ``VenueError`` with the venue's code."""
        ...
