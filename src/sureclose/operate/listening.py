"""What becomes of the user data stream's news in one process, and how it is checked."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final

import structlog

from sureclose.domain.market import Position
from sureclose.operate.session import Session
from sureclose.services.alarms.strangers import Strangers
from sureclose.services.engine import Engine
from sureclose.services.vitals import PositionVitals, UserStreamVitals
from sureclose.streams.wire import unless_set
from sureclose.venue.errors import VenueError
from sureclose.venue.stream_events import (
    AccountUpdate,
    AlgoUpdate,
    BrokenFrame,
    Connected,
    Disconnected,
    OrderUpdate,
    Silent,
    StreamEvent,
)
from sureclose.venue.user_stream import UserStream

log = structlog.get_logger()

_SETTLED_S: Final = 10.0
"""How long a connection has lasted before the lists that weigh most are read."""


class Listening:
    """News of orders goes to their closes, of positions to the book; what the stream misses is asked for by the closes.

    ``engine`` is the close engine while this process executes.
    """

    def __init__(
        self,
        session: Session,
        strangers: Strangers,
        engine: Callable[[], Engine | None],
        stop: asyncio.Event,
    ) -> None:
        self._session = session
        self._strangers = strangers
        self._engine = engine
        self._stop = stop
        self._stream = UserStream(session.venue_settings, session.venue)
        self._book = session.venue.book
        self._resting = session.venue.resting_book
        self._book.follow(lambda: self._stream.health.heard_at)
        self._down_since: float | None = session.monotonic()
        self._doubt = ""
        self.wakes: list[Callable[[], None]] = []
        """Who reads positions here when the account changed, or may have without being told."""
        self._unread_since: float | None = session.monotonic()
        self._unread_why = ""
        self._new_connection = False
        self._connected_positions, self._connected_resting = asyncio.Event(), asyncio.Event()

    @property
    def positions(self) -> PositionVitals:
        return PositionVitals(failing_since=self._unread_since, why=self._unread_why)

    @property
    def vitals(self) -> UserStreamVitals:
        return UserStreamVitals(down_since=self._down_since, doubt=self._doubt)

    async def run(self) -> None:
        """Listen until stopped; to be supervised."""
        await self._stream.run(self._hear, self._stop)

    async def check_positions(self) -> None:
        """What the stream tells of positions is believed only as long as reads of them agree; to be supervised."""
        every = self._session.venue_settings.book_check_ms
        await self._check(self._positions, every, self._connected_positions)

    async def check_resting(self) -> None:
        """The same of resting orders, once a connection has lasted: processes that start often must not spend the weight."""
        every = self._session.venue_settings.resting_check_ms
        await self._check(self._session.venue.all_resting, every, self._connected_resting, _SETTLED_S)

    async def _check(
        self,
        read: Callable[[], Coroutine[Any, Any, object]],
        every_ms: int,
        connected: asyncio.Event,
        settled_s: float = 0.0,
    ) -> None:
        """At intervals, and at each new connection: nothing that happened before one is told again."""
        while not self._stop.is_set():
            connected.clear()
            if settled_s and await self._either(connected, settled_s):
                continue
            try:
                await unless_set(self._stop, read())
            except VenueError as error:
                log.debug("stream_not_checked", error=str(error))
            await self._either(connected, every_ms / 1000)

    async def _either(self, connected: asyncio.Event, seconds: float) -> bool:
        """Whether a connection was made, or we are to stop, within so many seconds."""
        waits = [asyncio.create_task(event.wait()) for event in (self._stop, connected)]
        try:
            done, _ = await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            return bool(done)
        finally:
            for wait in waits:
                wait.cancel()

    async def _hear(self, event: StreamEvent) -> None:
        match event:
            case Connected():
                self._down_since = None
                self._doubt = ""
                self._forget()
                self._new_connection = True
                self._connected_positions.set()
                self._connected_resting.set()
                self._wake()
            case Disconnected() if self._stop.is_set():
                return
            case Disconnected():
                self._forget()
                log.warning("user_stream_down", reason=event.reason)
                if self._down_since is None:  # a try that failed does not begin the outage anew
                    self._down_since = self._session.monotonic()
            case Silent():
                self._doubt = f"no event for {event.silent_ms} ms"
            case OrderUpdate():
                self._doubt = ""
                self._resting.take(event)
                self._tell(event)
            case AlgoUpdate():
                self._resting.take(event)
            case AccountUpdate():
                self._book.take(event)
                self._wake()
            case BrokenFrame():
                self._book.distrust()
                self._resting.distrust()
            case _:
                return

    async def _positions(self) -> list[Position]:
        try:
            held = await self._session.venue.positions()
        except VenueError as error:
            # One that gives way to the reads of closes, for the venue's weight, says nothing of the venue.
            yielded = error.code is None and error.retry_after_ms > 0
            if not yielded:
                self._unread_why = str(error)
            if not yielded and self._unread_since is None:
                self._unread_since = self._session.monotonic()
            raise
        self._unread_since, self._unread_why = None, ""
        if self._new_connection:
            self._new_connection = False
            amounts = {position.symbol: format(position.amount, "f") for position in held}
            log.info("snapshot", positions=amounts)
        return held

    def _wake(self) -> None:
        for wake in self.wakes:
            wake()

    def _forget(self) -> None:
        self._book.forget()
        self._resting.forget()

    def _tell(self, update: OrderUpdate) -> None:
        self._strangers.judge(update.report)
        engine = self._engine()
        if engine is None or not engine.tell(update.report, update.trade):
            self._strangers.see(update.report)
