"""The streams that tell a role's sight of positions and prices: the account's own, and the mark prices of what is open."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import structlog

from sureclose.domain.safety import Mark
from sureclose.operate.session import Session
from sureclose.services.sight import Sight
from sureclose.services.vitals import PositionVitals, UserStreamVitals
from sureclose.venue.mark_stream import MarkStream
from sureclose.venue.stream_events import AccountUpdate, Connected, Disconnected, OrderUpdate, StreamEvent
from sureclose.venue.user_stream import UserStream

log = structlog.get_logger()


class Senses:
    """Wakes the sight whenever the account changed, or may have without being told: each connection begins with a snapshot.

    ``orders`` hears of orders, ``prices`` of each mark price once the sight has it.
    """

    def __init__(
        self,
        session: Session,
        sight: Sight,
        stop: asyncio.Event,
        *,
        orders: Callable[[OrderUpdate], None] = lambda _: None,
        prices: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._session = session
        self._sight = sight
        self._stop = stop
        self._orders = orders
        self._prices = prices
        self._stream = UserStream(session.venue_settings, session.venue)
        self._marks = MarkStream(session.venue_settings, lambda: sight.symbols, self._hear_mark)
        self._down_since: float | None = session.monotonic()

    def tasks(self) -> Iterator[tuple[str, Coroutine[Any, Any, None]]]:
        """What has to be supervised, beside ``account`` where nobody else of the process listens to that."""
        yield "mark prices", self._marks.run(self._stop)

    def account(self) -> Iterator[tuple[str, Coroutine[Any, Any, None]]]:
        """The account's stream and the venue's clock: one of each for a process. A dry run has no stream: it can't ask for one."""
        yield "venue clock", self._session.venue.maintain(self._stop)
        if self._session.rehearsed is None:
            yield "user stream", self._stream.run(self._hear, self._stop)

    @property
    def positions(self) -> PositionVitals:
        return PositionVitals(failing_since=self._sight.failing_since, why=self._sight.why)

    @property
    def user_stream(self) -> UserStreamVitals | None:
        """Of ``account``, where that runs."""
        return None if self._session.rehearsed is not None else UserStreamVitals(down_since=self._down_since)

    def _hear_mark(self, symbol: str, mark: Mark) -> None:
        self._sight.hear(symbol, mark)
        self._prices(symbol)

    async def _hear(self, event: StreamEvent) -> None:
        match event:
            case Connected():
                self._down_since = None
                self._sight.wake()
            case Disconnected() if not self._stop.is_set() and self._down_since is None:
                log.warning("user_stream_down", reason=event.reason)
                self._down_since = self._session.monotonic()
            case AccountUpdate():
                self._sight.wake()
            case OrderUpdate():
                self._orders(event)
            case _:
                return
