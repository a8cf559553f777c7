"""The executors of one process: for each route that its roles read, what executes or observes there, and what goes with it."""

import asyncio
from collections.abc import Coroutine, Iterator
from typing import Any

import structlog
from redis.exceptions import RedisError

from sureclose.domain.authority import Component
from sureclose.domain.market import OrderReport
from sureclose.domain.policy import Policy
from sureclose.domain.words import Mode
from sureclose.journal.archive import Archive, Keeping
from sureclose.journal.fence import Fence
from sureclose.journal.lease import Lease
from sureclose.journal.store import Journal
from sureclose.operate.listening import Listening
from sureclose.operate.session import Session
from sureclose.services import identity
from sureclose.services.alarms.board import Alarms
from sureclose.services.alarms.closes import CloseAlarms
from sureclose.services.alarms.orphans import OrphanAlarms
from sureclose.services.alarms.positions import PositionAlarms
from sureclose.services.alarms.strangers import Strangers
from sureclose.services.announcing import announcer
from sureclose.services.archiver import Archiver
from sureclose.services.authority.findings import Findings
from sureclose.services.authority.freezing import AuthorityDesk
from sureclose.services.continuity import Continuity
from sureclose.services.engine import Engine
from sureclose.services.execution import ExecutionService
from sureclose.services.health import Health
from sureclose.services.metrics import Metrics, Witnesses
from sureclose.services.reading import Wiring
from sureclose.services.routes import Route, executors, other_reader, readers
from sureclose.services.settings import HarvestExecutor
from sureclose.services.tools import Tools
from sureclose.services.trimmer import TRIMMED, Trimmer
from sureclose.services.vitals import LeaseState, StageVitals
from sureclose.services.witness import Witness
from sureclose.streams.names import StreamName
from sureclose.streams.wire import wait_set

log = structlog.get_logger()

BOOTSTRAP_RETRY_S = 0.5


class Executors:
    """At most one route of a process holds the lease; all share the venue, its stream and the alarms.

    Each has a lease owner and a memory of the log of its own, as if it were another process.
    """

    def __init__(
        self,
        session: Session,
        routes: tuple[Route, ...],
        *,
        alarms: Alarms,
        metrics: Metrics,
        health: Health,
        findings: Findings,
        worker: str,
        started_at: int,
        stop: asyncio.Event,
    ) -> None:
        self._session = session
        self._stop = stop
        self._alarms = alarms
        strangers = self._strangers = Strangers(
            session.journal,
            session.venue_settings.client_order_id_prefix,
            alarms,
            findings,
            leads=lambda: self.engine is not None,
            exclusive=session.authority.exclusive_exits,
        )
        listening = self.listening = Listening(session, strangers, lambda: self.engine, stop)
        self._positions = PositionAlarms(
            alarms,
            session.venue,
            leads=lambda: self.engine is not None,
            stream=lambda: "connected" if listening.vitals.down_since is None else "down",
            blind_s=session.alerts.blind_s,
            wall=session.clock.now,
            monotonic=session.monotonic,
        )
        self._closes = CloseAlarms(
            alarms,
            self._positions,
            lambda: self.engine,
            session.journal,
            unknown_s=session.alerts.unknown_s,
            monotonic=session.monotonic,
        )
        self._witness = Witnesses(metrics, health, self._closes, findings)
        self._orphans: dict[str, OrderReport] = {}
        self._archivers: list[Archiver] = []
        self._fences: list[Fence] = []
        self.services = tuple(
            self._service(route, number, worker, started_at, metrics) for number, route in enumerate(routes)
        )

    @property
    def leader(self) -> ExecutionService | None:
        """The one that holds the lease, as far as it is known here."""
        leading = [service for service in self.services if service.lease is not None]
        return max(leading, key=lambda one: one.lease.epoch if one.lease else 0, default=None)

    @property
    def engine(self) -> Engine | None:
        return None if self.leader is None else self.leader.engine

    @property
    def lease(self) -> Lease | None:
        return None if self.leader is None else self.leader.lease

    @property
    def lease_state(self) -> LeaseState:
        """Of all routes together: what is not known of one is not known."""
        states = {service.lease_state for service in self.services}
        order = (LeaseState.HELD, LeaseState.UNKNOWN, LeaseState.STANDING_BY, LeaseState.OBSERVING)
        return next(state for state in order if state in states)

    def answers(self) -> Iterator[bool]:
        """Whether the log answers, of each that has asked."""
        return (one.log_answers for one in self.services if one.log_answers is not None)

    def stages(self) -> dict[str, StageVitals]:
        return {service.route.name: service.vitals() for service in self.services}

    def tasks(self) -> Iterator[tuple[str, Coroutine[Any, Any, None]]]:
        """What has to be supervised."""
        session, stop = self._session, self._stop
        orphans = OrphanAlarms(
            self._alarms,
            self._orphans,
            leads=lambda: self.engine is not None,
            monotonic=session.monotonic,
        )
        yield "orphans", orphans.run(stop)
        yield "positions", self.listening.check_positions()
        if session.venue_settings.size_from_stream:
            yield "resting book", self.listening.check_resting()
        yield "venue clock", session.venue.maintain(stop)
        yield "user stream", self.listening.run()
        yield "strangers", self._strangers.run(stop)
        yield "trimmer", self._trimmer().run(stop)
        yield "close alarms", self._closes.run(stop)
        yield "position alarms", self._positions.run(stop)
        for service, archiver in zip(self.services, self._archivers, strict=True):
            yield f"archiver {service.route.name}", archiver.run(stop)
            yield service.route.name, service.run(stop)

    async def begin_authority(self) -> None:
        """The first record of the account: on paper the configured path's grant. What is there stays."""
        session = self._session
        if session.fence.memory.authority is not None:
            return  # there was a record before: what became of it is judged under the lease
        desk = AuthorityDesk(session.wire, session.keys, session.wiring, session.clock, session.venue)
        component = session.execution.path.component if session.mode is Mode.PAPER else None
        while not self._stop.is_set():
            try:
                standing = await desk.begin(component)
            except RedisError as error:
                log.warning("authority_not_read", error=str(error))
                await wait_set(self._stop, BOOTSTRAP_RETRY_S)
            else:
                log.info("authority", component=standing.component, frozen=standing.frozen)
                return

    def close(self) -> None:
        for fence in self._fences:
            fence.close()

    def _service(
        self, route: Route, number: int, worker: str, started_at: int, metrics: Metrics
    ) -> ExecutionService:
        session, settings = self._session, self._session.execution
        fence = session.fence
        if number:
            fence = session.fence.beside()
            self._fences.append(fence)
        wiring = session.wiring.of(identity.producer(route.role))
        tools = tools_of(
            session,
            wiring,
            fence,
            self._witness,
            self._orphans,
            component=route.component,
            group=route.group,
        )
        everywhere = executors(session.streams, session.harvest_brain)
        service = ExecutionService(
            session.log,
            wiring,
            route,
            settings,
            tools,
            worker=f"{worker}:{route.component}" if number else worker,
            observe=metrics,
            monotonic=session.monotonic,
            started_at=started_at,
            continuity=continuity_of(session, tools, fence, wiring, self._alarms),
            approvals=[session.streams.full(other.source) for other in everywhere],
            other=other_reader(session.streams, session.harvest_brain, route),
        )
        self._archivers.append(self._archiver(fence, service))
        return service

    def _archiver(self, fence: Fence, service: ExecutionService) -> Archiver:
        session, keeping = self._session, self._session.keeping
        archive = Archive(
            session.wire,
            session.keys,
            session.clock.now,
            Keeping(
                closes=keeping.keep_finished,
                ms=keeping.archive_after_s * 1000,
                segment=keeping.segment_closes,
            ),
            host=identity.host(),
            folder=session.segments,
            fence=fence,
        )
        return Archiver(
            archive,
            session.keys.account,
            lambda: service.lease,
            busy=lambda: service.engine is not None and service.engine.busy,
        )

    def _trimmer(self) -> Trimmer:
        session = self._session
        hands_over = session.harvest_brain.executor is HarvestExecutor.EXECUTION_SERVICE
        names = (*TRIMMED, StreamName.TRADE_INTENT) if hands_over else TRIMMED
        return Trimmer(
            session.wire,
            (*map(session.streams.full, names), session.keys.refused),
            session.keeping.keep_entries,
            lambda: self.lease is not None,
            readers=self._readers,
        )

    def _readers(self) -> dict[str, str]:
        """The groups without which nothing may be trimmed: the pipeline's, and those of the path that executes here."""
        session, leader = self._session, self.leader
        path = session.execution.path if leader is None else leader.route.path
        needed = {
            session.streams.intents: session.streams.intent_executor_group,
            StreamName.APPLY_PLAN: session.streams.apply_layer_group,
            **readers(session.streams, session.harvest_brain, path),
        }
        return {session.streams.full(name): group for name, group in needed.items()}


def tools_of(
    session: Session,
    wiring: Wiring,
    fence: Fence,
    witness: Witness,
    orphans: dict[str, OrderReport],
    *,
    component: Component,
    group: str,
) -> Tools:
    """What the closes of one component in this process work with; their entries are acknowledged in ``group``."""
    settings = session.execution
    return Tools(
        journal=Journal(session.wire, session.keys, session.clock.now, fence),
        venue=session.venue,
        policy=Policy(
            account=session.keys.account,
            client_order_id_prefix=session.venue_settings.client_order_id_prefix,
            max_age=settings.max_age_s * 1000,
            margin=settings.margin_ms,
            spread=settings.spread_ms,
            park_after=settings.park_after_ms,
            clears=settings.clears,
            tidies=settings.tidies,
        ),
        component=component,
        group=group,
        recv_window=session.venue_settings.recv_window_ms,
        announce=announcer(wiring, session.clock.now),
        clock=session.clock,
        witness=witness,
        orphans=orphans,
    )


def continuity_of(session: Session, tools: Tools, fence: Fence, wiring: Wiring, alarms: Alarms) -> Continuity:
    """What makes sure of the log before each reign with these tools."""
    return Continuity(
        session.log,
        tools.journal,
        fence,
        wiring,
        session.venue,
        alarms,
        session.clock,
        prefix=tools.policy.client_order_id_prefix,
        recv_window=tools.recv_window,
        margin=tools.policy.margin,
        max_age=tools.policy.max_age,
        absence_s=session.authority.absence_s,
    )
