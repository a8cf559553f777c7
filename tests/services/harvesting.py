"""Harvest inside the test: on the real log, with a venue and times that the test moves."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, cast

import msgspec

from sureclose.domain.harvest.klines import Kline
from sureclose.domain.harvest.policy import Policy
from sureclose.domain.harvest.reference import Reference
from sureclose.domain.market import Position, Trade
from sureclose.domain.safety import Mark
from sureclose.domain.words import Mode, PositionSide, Side
from sureclose.journal.fence import Fence
from sureclose.journal.harvest import HarvestBook
from sureclose.journal.keys import Keys
from sureclose.journal.store import Journal
from sureclose.services.harvest.asker import Asker
from sureclose.services.harvest.candles import Candles
from sureclose.services.harvest.conditions import Conditions
from sureclose.services.harvest.harvest import Harvest
from sureclose.services.harvest.health import PositionHealth
from sureclose.services.harvest.ledger import Ledger
from sureclose.services.harvest.proposing import Proposing
from sureclose.services.harvest.shadows import Shadow
from sureclose.services.reading import Wiring
from sureclose.services.settings import StreamSettings
from sureclose.services.settings_harvest import HarvestSettings
from sureclose.services.sight import Sight
from sureclose.streams.codec import CodecRules
from sureclose.streams.encode import Producer
from sureclose.streams.names import StreamName
from sureclose.streams.wire import Wire, texts
from sureclose.venue.clock import VenueClock
from sureclose.venue.errors import VenueError, VenueUnreachable
from sureclose.venue.port import Purpose
from tests.services.alarming import World

NOW = 1_790_000_000_000
HOUR = 3_600_000
ENTRY = Decimal(100)
PATIENCE_ROUNDS = 200


class Time:
    """Milliseconds of log and venue, and seconds, which go on together."""

    def __init__(self) -> None:
        self.now = NOW
        self.measured = True

    def ms(self) -> int:
        return self.now

    def seconds(self) -> float:
        return self.now / 1000

    def pass_s(self, seconds: float) -> None:
        self.now += round(seconds * 1000)

    # as the venue's clock
    def earliest(self) -> int:
        return self.now

    def latest(self) -> int:
        return self.now


class Account:
    """A venue that says what the test has put there, or fails as it was told to."""

    def __init__(self, time: Time) -> None:
        self.time = time
        self.held: dict[str, Position] = {}
        self.prices: dict[str, Decimal] = {}
        self.trades: dict[str, list[Trade]] = {}
        self.silent: set[str] = set()
        """Symbols whose trades can't be read; ``marks`` and ``positions`` for those reads."""

    @property
    def clock(self) -> VenueClock:
        return cast("VenueClock", self.time)

    def open(self, symbol: str, amount: str = "8", at: int | None = None) -> None:
        opened = self.time.now - HOUR if at is None else at
        quantity = Decimal(amount)
        side = Side.BUY if quantity > 0 else Side.SELL
        self.trades.setdefault(symbol, []).append(
            Trade(
                trade_id=len(self.trades.get(symbol, [])) + 1,
                order_id=1,
                symbol=symbol,
                side=side,
                position_side=PositionSide.BOTH,
                quantity=abs(quantity),
                price=ENTRY,
                realized_pnl=Decimal(0),
                commission=Decimal(0),
                commission_asset="USDT",
                time=opened,
            )
        )
        known = self.held.get(symbol)
        self.held[symbol] = Position(
            symbol=symbol,
            position_side=PositionSide.BOTH,
            amount=quantity + (Decimal(0) if known is None else known.amount),
            entry_price=ENTRY,
            mark_price=Decimal(0),
            update_time=opened,
            requested_at=self.time.now,
        )
        self.prices.setdefault(symbol, ENTRY)

    def at_r(self, symbol: str, r: str) -> None:
        """The mark price at which a long is at so many R after costs."""
        self.prices[symbol] = ENTRY * (1 + Decimal(r) * Decimal("0.02") + Decimal("0.001"))

    async def positions(self) -> list[Position]:
        self._answer("positions")
        now = self.time.now
        rows = (msgspec.structs.replace(one, requested_at=now) for one in self.held.values())
        return [row for row in rows if row.amount]

    async def marks(self) -> dict[str, Mark]:
        self._answer("marks")
        return {symbol: Mark(price, self.time.now) for symbol, price in self.prices.items()}

    async def trades_since(self, symbol: str, start_time: int, _purpose: Purpose) -> list[Trade]:
        self._answer(symbol)
        return [trade for trade in self.trades.get(symbol, []) if trade.time >= start_time]

    async def klines(self, symbol: str, _interval: str, _limit: int) -> list[Kline]:
        raise VenueError(f"no klines of {symbol} here")

    def _answer(self, what: str) -> None:
        if what in self.silent:
            raise VenueUnreachable(f"no answer about {what}")


class Harvested:
    """One process of harvest; another one on the same log is another of these."""

    def __init__(
        self,
        wire: Wire,
        prefix: str,
        account: Account,
        policy: Policy | None = None,
        shadows: Sequence[Policy] = (),
        *,
        patience_s: float = 5.0,
        worker: str = "one",
    ) -> None:
        time = self.time = account.time
        self.wire = wire
        self.account = account
        self.keys = Keys(prefix, "paper:main")
        self.streams = StreamSettings(prefix=prefix)
        self.alarms = World(wire, prefix).alarms("harvest")
        self.sight = Sight(account, time.seconds)
        self.book = HarvestBook(wire, self.keys)
        self.ledger = Ledger(self.book, account, time.seconds)
        self.asker = Asker(policy or Reference(), patience_s=patience_s)
        wiring = Wiring(self.streams, CodecRules(mode=Mode.PAPER), Producer("harvest", "1", "host", 1))
        self.shadows = [
            Shadow(Asker(one), HarvestBook(wire, self.keys, one.name), wiring, "paper:main", time.ms)
            for one in shadows
        ]
        no_klines = Candles(account, frozenset, time.seconds, interval="1h", count=121, every_s=60)
        self.harvest = Harvest(
            self.sight,
            no_klines,
            self.ledger,
            self.asker,
            Proposing(
                self.book, self.ledger, wiring, account="paper:main", policy=self.asker.name, wall=time.ms
            ),
            self.shadows,
            Journal(wire, self.keys, time.ms, Fence()),
            Conditions(self.alarms, time.seconds),
            self.book,
            HarvestSettings(),
            clock=account.clock,
            wall=time.ms,
            monotonic=time.seconds,
            worker=worker,
            started_at=NOW,
        )

    async def look(self, rounds: int = 1) -> dict[str, PositionHealth]:
        """Reads, and rounds of judging; what is said of each position then."""
        await self.harvest.speak()
        await self.sight.look()
        for _ in range(rounds):
            await self.harvest.round()
            await self.ledger.followed()
        return self.seen

    async def settled(self) -> dict[str, PositionHealth]:
        """After every position was followed, and judged since."""
        await self.look()
        await self.harvest.round()
        return self.seen

    @property
    def seen(self) -> dict[str, PositionHealth]:
        return {one.symbol: one for one in self.harvest.health().positions}

    async def published(self, stream: StreamName = StreamName.HARVEST_INTENT) -> list[dict[str, str]]:
        found: Any = await self.wire.execute_command(b"XRANGE", self.streams.full(stream), b"-", b"+")
        return [texts(flat) for _, flat in found]

    @property
    def standing(self) -> set[tuple[str, str]]:
        return {(str(key.kind), key.subject) for key in self.alarms.standing}
