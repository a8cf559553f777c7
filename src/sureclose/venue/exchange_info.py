"""The symbols' rules, read when they are needed and kept while nothing speaks against them."""

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
import structlog

from sureclose.domain.market import SymbolRules
from sureclose.venue.errors import VenueError
from sureclose.venue.filters import rules_of
from sureclose.venue.schemas import ExchangeInfo, SymbolRow

_log = structlog.get_logger(__name__)


class _Named(msgspec.Struct, frozen=True):
    symbol: str


class Listing(msgspec.Struct, frozen=True):
    """What one exchangeInfo said: rules by symbol, and why the rules of some symbols can't be read."""

    rules: dict[str, SymbolRules]
    unreadable: dict[str, str]


def listing_of(info: ExchangeInfo) -> Listing:
    """Symbols are read one by one: a strange one is unreadable by itself and harms no other."""
    rules: dict[str, SymbolRules] = {}
    unreadable: dict[str, str] = {}
    for index, raw in enumerate(info.symbols):
        name = f"#{index}"
        try:
            name = msgspec.json.decode(raw, type=_Named).symbol
            rules[name] = rules_of(msgspec.json.decode(raw, type=SymbolRow))
        except (msgspec.DecodeError, ValueError) as error:
            unreadable[name] = str(error)
    return Listing(rules, unreadable)


class RulesCache:
    """``read`` fetches exchangeInfo; it is called when a symbol is unknown, in doubt or old, once at a time.

    For what is unknown at most every ``retry_ms``, for what is in doubt every ``doubt_ms``. Rules that are merely old outlive a failed read,
    for the venue checks each order against its own.
    """

    def __init__(
        self,
        read: Callable[[], Awaitable[ExchangeInfo]],
        *,
        steady: Callable[[], float],
        max_age_ms: int,
        retry_ms: int,
        doubt_ms: int,
    ) -> None:
        self._read = read
        self._steady = steady
        self._max_age = max_age_ms / 1000
        self._retry = retry_ms / 1000
        self._doubt_retry = doubt_ms / 1000
        self._listing: Listing | None = None
        self._read_at = float("-inf")
        self._tried_at = float("-inf")
        self._doubtful = False
        self._reading = asyncio.Lock()

    def doubt(self) -> None:
        """The venue refused an order for its symbol or quantity."""
        self._doubtful = True

    async def rules(self, symbol: str) -> SymbolRules | None:
        """The rules of a symbol, ``None`` when the venue doesn't list it; raises ``VenueError`` when that is unknown."""
        listing = self._listing
        if listing is None or self._due(listing, symbol):
            async with self._reading:
                listing = self._listing
                if listing is None or self._due(listing, symbol):
                    listing = await self._refresh(listing, symbol)
        if (why := listing.unreadable.get(symbol)) is not None:
            raise VenueError(f"the venue's rules for {symbol} can't be read: {why}")
        return listing.rules.get(symbol)

    def _due(self, listing: Listing, symbol: str) -> bool:
        now = self._steady()
        if self._doubtful:
            return now - self._read_at >= self._doubt_retry
        if symbol not in listing.rules:
            return now - self._read_at >= self._retry
        return now - self._read_at >= self._max_age and now - self._tried_at >= self._retry

    async def _refresh(self, old: Listing | None, symbol: str) -> Listing:
        self._tried_at = self._steady()
        doubtful, self._doubtful = self._doubtful, False  # a doubt that comes while we read stays
        try:
            info = await self._read()
        except VenueError as error:
            self._doubtful = self._doubtful or doubtful
            if old is None or doubtful or symbol not in old.rules:
                raise
            _log.warning("venue_rules_kept", reason=str(error))
            return old
        self._listing = listing_of(info)
        self._read_at = self._tried_at
        return self._listing
