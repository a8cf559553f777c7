"""``run --roles safety``: the safety controller of one process, and what it is told by."""

import asyncio
import hashlib
from collections.abc import Coroutine, Iterator
from typing import Any
from urllib.parse import urlsplit

import structlog

from sureclose.domain.authority import Component
from sureclose.domain.market import OrderReport
from sureclose.domain.words import Mode
from sureclose.journal.safety import SafetyBook
from sureclose.operate.executing import continuity_of, tools_of
from sureclose.operate.session import Session
from sureclose.services import identity
from sureclose.services.alarms.board import Alarms
from sureclose.services.health import Health
from sureclose.services.metrics import Metrics, Witnesses
from sureclose.services.routes import executors
from sureclose.services.safety.controller import SafetyController
from sureclose.services.safety.eyes import Eyes
from sureclose.services.safety.reign import SafetyReign
from sureclose.services.settings import Role
from sureclose.services.vitals import ClockVitals, PositionVitals, UserStreamVitals, Vitals
from sureclose.streams.names import StreamName
from sureclose.venue.environments import addresses
from sureclose.venue.mark_stream import MarkStream
from sureclose.venue.stream_events import AccountUpdate, Connected, Disconnected, OrderUpdate, StreamEvent
from sureclose.venue.user_stream import UserStream

log = structlog.get_logger()


class SafetyRole:
    """The controller and its senses, wired to one session."""

    def __init__(
        self,
        session: Session,
        *,
        alarms: Alarms,
        metrics: Metrics,
        health: Health,
        worker: str,
        started_at: int,
        stop: asyncio.Event,
    ) -> None:
        self._session = session
        self._stop = stop
        wiring = session.wiring.of(identity.producer(Role.SAFETY))
        orphans: dict[str, OrderReport] = {}
        everywhere = executors(session.streams, session.harvest_brain)
        group = next(route.group for route in everywhere if route.path is session.execution.path)
        tools = tools_of(
            session,
            wiring,
            session.fence,
            Witnesses(metrics, health),
            orphans,
            component=Component.SAFETY_CONTROLLER,
            group=group,
        )
        owner = f"{worker}:{Component.SAFETY_CONTROLLER}"
        self._reign = SafetyReign(
            session.log,
            tools,
            continuity_of(session, tools, session.fence, wiring, alarms),
            worker=owner,
            monotonic=session.monotonic,
            drain_s=session.execution.drain_s,
        )
        self._eyes = Eyes(session.venue, session.monotonic)
        self._controller = SafetyController(
            self._eyes,
            book_of(session),
            self._reign,
            tools,
            wiring,
            session.wire,
            alarms,
            place=place_of(session),
            worker=owner,
            started_at=started_at,
            monotonic=session.monotonic,
        )
        self._stream = UserStream(session.venue_settings, session.venue)
        self._marks = MarkStream(session.venue_settings, lambda: self._eyes.symbols, self._eyes.hear)
        self._down_since: float | None = session.monotonic()

    def tasks(self) -> Iterator[tuple[str, Coroutine[Any, Any, None]]]:
        """What has to be supervised."""
        stop = self._stop
        yield "venue clock", self._session.venue.maintain(stop)
        yield "user stream", self._stream.run(self._hear, stop)
        yield "mark prices", self._marks.run(stop)
        yield "safety reads", self._eyes.run(stop)
        yield "safety health", self._controller.tell(stop)
        yield "safety", self._controller.run(stop)

    def answers(self) -> Iterator[bool]:
        """Whether the log answers, once it was asked."""
        if self._controller.log_answers is not None:
            yield self._controller.log_answers

    def vitals(self) -> dict[str, Any]:
        """The fields of ``Vitals`` that a process which guards knows of."""
        engine, session = self._reign.engine, self._session
        found = {
            "under_way": 0 if engine is None else engine.size,
            "broken": {} if engine is None else engine.broken,
            "clock": ClockVitals.of(session.venue.clock),
            "positions": PositionVitals(failing_since=self._eyes.failing_since, why=self._eyes.why),
            "user_stream": UserStreamVitals(down_since=self._down_since),
            "weight_used": session.venue.limits.weight_used(),
        }
        assert found.keys() <= set(Vitals.__struct_fields__)
        return found

    async def _hear(self, event: StreamEvent) -> None:
        """Of orders their closes, of positions the eyes."""
        match event:
            case Connected():
                self._down_since = None
                self._eyes.wake()
            case Disconnected() if not self._stop.is_set() and self._down_since is None:
                log.warning("user_stream_down", reason=event.reason)
                self._down_since = self._session.monotonic()
            case AccountUpdate():
                self._eyes.wake()
            case OrderUpdate() if self._reign.engine is not None:
                self._reign.engine.tell(event.report, event.trade)
            case _:
                return


def book_of(session: Session) -> SafetyBook:
    """The controller's keys of this account."""
    events = session.streams.full(StreamName.AUTHORITY_EVENTS)
    return SafetyBook(session.wire, session.keys, session.fence, events)


def place_of(session: Session) -> str:
    """Where an order of this process goes: environment, host, and which key, of which only a hash is shown.

    A paper exchange takes another port at each start, so there the key alone tells.
    """
    settings = session.venue_settings
    key = hashlib.sha256(session.credentials.api_key.reveal().encode()).hexdigest()[:12]
    host = "" if settings.environment is Mode.PAPER else f" {urlsplit(addresses(settings).rest).netloc}"
    return f"{settings.environment}{host} key {key}"
