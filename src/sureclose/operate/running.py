"""``run``: the roles of one process, supervised, until somebody says stop."""

import asyncio
from collections.abc import Callable, Collection

import msgspec
import structlog
from redis.exceptions import RedisError

from sureclose.domain.policy import Policy
from sureclose.domain.words import Mode
from sureclose.journal.archive import Archive, Keeping
from sureclose.journal.lease import Lease
from sureclose.operate.listening import Listening
from sureclose.operate.session import Session
from sureclose.operate.wiring import misplaced, purposes, readings
from sureclose.services import apply_layer, execution, identity, intent_executor
from sureclose.services.alarms.board import Alarms, Speaker
from sureclose.services.alarms.closes import CloseAlarms
from sureclose.services.alarms.ledger import AlarmLedger
from sureclose.services.alarms.orphans import OrphanAlarms
from sureclose.services.alarms.positions import PositionAlarms
from sureclose.services.alarms.sinks import sinks_of
from sureclose.services.alarms.strangers import Strangers
from sureclose.services.alarms.tasks import TaskAlarms
from sureclose.services.announcing import announcer
from sureclose.services.archiver import Archiver
from sureclose.services.continuity import Continuity
from sureclose.services.engine import Engine
from sureclose.services.execution import ExecutionService
from sureclose.services.freezing import AuthorityDesk
from sureclose.services.health import Health
from sureclose.services.heartbeat import Heartbeat, Identity
from sureclose.services.http import HttpServer, observation
from sureclose.services.metrics import Metrics, Witnesses
from sureclose.services.notify import Notifier
from sureclose.services.reading import Wiring
from sureclose.services.settings import Path, Role
from sureclose.services.supervisor import Supervisor
from sureclose.services.tools import Tools
from sureclose.services.trimmer import TRIMMED, Trimmer
from sureclose.services.vitals import ClockVitals, StageVitals, Vitals
from sureclose.streams.clock import Moment
from sureclose.streams.entry import Entry
from sureclose.streams.groups import group_backlog
from sureclose.streams.names import StreamName
from sureclose.streams.probe import WriteProbe
from sureclose.streams.stage import Stage
from sureclose.streams.verdict import StageVerdict
from sureclose.streams.wire import wait_set
from sureclose.venue.errors import VenueError

log = structlog.get_logger()

BOOTSTRAP_RETRY_S = 0.5
LAG_EVERY_S = 5.0


class CannotRun(Exception):
    """What was asked for can't be run on this deployment; the message says what to change."""


async def run(
    session: Session, roles: Collection[Role], stop: asyncio.Event, *, accept_everysec: bool
) -> int:
    """Run the roles until ``stop``; the exit code, 1 when a background task died.

    Raises ``CannotRun``, ``LogNotDurable``, and what listening can raise.
    """
    await _admissible(session, roles, accept_everysec=accept_everysec)
    process = Process(session, tuple(roles), stop)
    return await process.run()


async def _admissible(session: Session, roles: Collection[Role], *, accept_everysec: bool) -> None:
    report = await session.log.check()
    if session.mode is not Mode.PAPER:
        report.require_durable(accept_everysec=accept_everysec)
    if Role.EXECUTION not in roles:
        return
    if session.execution.path is not Path.EXECUTION_SERVICE:
        raise CannotRun('execution.path is "1A", and this version executes on PATH 1B only; set it to "1B"')
    try:
        hedge = await session.venue.dual_side()
    except VenueError as error:
        log.warning("position_mode_unknown", error=str(error), remedy="it is asked again with each close")
    else:
        log.info("position_mode", mode="hedge" if hedge else "one-way")


class Process:
    """Everything that one ``run`` consists of, and what it says of itself."""

    def __init__(self, session: Session, roles: tuple[Role, ...], stop: asyncio.Event) -> None:
        self._session = session
        self._roles = roles
        self._stop = stop
        self._started_at = session.clock.now()
        self._supervisor = Supervisor(stop, grace_s=session.execution.drain_s + 5)
        self._stages: dict[str, Stage] = {}
        self._service: ExecutionService | None = None
        self._lags: dict[str, int | None] = {}
        self._listening: Listening | None = None
        self._worker = identity.worker()
        self._probe = WriteProbe(
            session.log, f"{session.streams.prefix}sureclose:probe:{self._worker}", session.monotonic
        )
        self._alarms = Alarms(
            Speaker(session.keys.account, session.mode, self._worker),
            AlarmLedger(session.wire, session.keys),
            sinks_of(session.alerts),
            leads=lambda: self._engine is not None,
            wall=session.clock.now,
            monotonic=session.monotonic,
        )
        names = tuple(roles)
        self._metrics = Metrics(self.vitals, session.monotonic, stages=names)
        self._health = Health(session.monotonic, stages=names)

    async def run(self) -> int:
        session = self._session
        self._say_mode()
        await self._say_misplaced()
        server = HttpServer(
            session.http,
            observation(
                lambda: self._health.report(self.vitals()),
                lambda: self._health.ready(self.vitals()),
                self._metrics.exposition,
            ),
            port_is_default=session.http_port_is_default,
        )
        address = await server.start()
        log.info("listening", address=address)
        await self._start()
        notifier = Notifier()
        heartbeat = Heartbeat(
            Identity(self._roles, session.mode, session.mode_source),
            self._metrics,
            self.vitals,
            session.monotonic,
        )
        tasks = TaskAlarms(self._alarms, self._supervisor.tasks, wall=session.clock.now)
        all_told = asyncio.Event()
        telling = asyncio.create_task(self._alarms.run(all_told), name="alarms")
        self._supervisor.spawn("alarms", self._watch(telling))
        self._supervisor.spawn("task alarms", tasks.run(self._stop))
        self._supervisor.spawn("lag", self._measure_lag())
        self._supervisor.spawn("log writes", self._probe.run(self._stop))
        self._supervisor.spawn("log clock", session.clock.keep(session.wire, self._stop))
        self._supervisor.spawn("heartbeat", heartbeat.run(self._stop))
        self._supervisor.spawn("watchdog", notifier.feed(lambda: self._supervisor.alive, self._stop))
        if session.host.needed:
            self._supervisor.spawn("host", session.host.keep(self._stop))
        notifier.ready(f"{', '.join(self._roles)} on {session.mode}")
        try:
            code = await self._supervisor.wait()
            tasks.look()
        finally:
            all_told.set()
            await self._last_words(telling)
            notifier.stopping()
            await server.stop()
        log.info("stopped", code=code)
        return code

    def vitals(self) -> Vitals:
        """What is so in this process now, without asking anybody."""
        session, service = self._session, self._service
        stages = {
            name: StageVitals(health=stage.health(), lag=self._lags.get(name))
            for name, stage in self._stages.items()
        }
        answers = [stage.health.failing_since is None for stage in stages.values()]
        if service is None:
            return Vitals(
                tasks=self._supervisor.tasks(),
                stages=stages,
                log_reachable=all(answers) if answers else None,
                log_refusal=self._probe.refusal,
                stopping=self._stop.is_set(),
                alarms=self._alarms.counts(),
            )
        if service.log_answers is not None:
            answers.append(service.log_answers)
        reader = msgspec.structs.replace(service.vitals(), lag=self._lags.get(Role.EXECUTION))
        return Vitals(
            tasks=self._supervisor.tasks(),
            stages=stages | {Role.EXECUTION: reader},
            log_reachable=all(answers) if answers else None,
            log_refusal=self._probe.refusal,
            stopping=self._stop.is_set(),
            under_way=0 if service.engine is None else service.engine.size,
            broken={} if service.engine is None else service.engine.broken,
            clock=ClockVitals.of(session.venue.clock),
            user_stream=None if self._listening is None else self._listening.vitals,
            positions=None if self._listening is None else self._listening.positions,
            lease=service.lease_state,
            weight_used=session.venue.limits.weight_used(),
            alarms=self._alarms.counts(),
        )

    async def _measure_lag(self) -> None:
        """What waits unread in each group; unknown stays unknown."""
        groups = {
            Role.INTENT_EXECUTOR: (
                self._session.streams.intents,
                self._session.streams.intent_executor_group,
            ),
            Role.APPLY_LAYER: (StreamName.APPLY_PLAN, self._session.streams.apply_layer_group),
            Role.EXECUTION: (StreamName.APPLY_RESULT, self._session.streams.execution_group),
        }
        while not await wait_set(self._stop, LAG_EVERY_S):
            for role in self._roles:
                stream, group = groups[role]
                try:
                    found = await group_backlog(self._session.wire, self._session.streams.full(stream), group)
                except RedisError:
                    found = None  # the readers of the same log report its outage
                self._lags[role] = None if found is None else found.readable

    def _say_mode(self) -> None:
        session = self._session
        log.info(
            "starting",
            roles=",".join(self._roles),
            mode=session.mode,
            mode_from=session.mode_source,
            account=session.keys.account,
            venue=session.venue_settings.base_url or session.mode,
            log=session.log.address,
            hosting=session.host.started_here,
            max_age_s=session.execution.max_age_s,
        )

    async def _say_misplaced(self) -> None:
        """Groups on the wrong stream, and those that nobody reads, are said at every start."""
        streams = self._session.streams
        try:
            found = await readings(self._session.wire, streams)
        except RedisError as error:
            log.warning("groups_not_checked", error=str(error))
            return
        for check in misplaced(found, purposes(streams)):
            log.warning("group_misplaced", group=check.name, detail=check.detail, remedy=check.remedy)

    async def _start(self) -> None:
        wiring = self._session.wiring
        streams = self._session.streams
        if Role.INTENT_EXECUTOR in self._roles:
            self._stage(
                Role.INTENT_EXECUTOR,
                streams.intents,
                streams.intent_executor_group,
                intent_executor.decider(self._wiring(wiring, Role.INTENT_EXECUTOR)),
            )
        if Role.APPLY_LAYER in self._roles:
            max_age = self._session.execution.max_age_s * 1000
            self._stage(
                Role.APPLY_LAYER,
                StreamName.APPLY_PLAN,
                streams.apply_layer_group,
                apply_layer.decider(self._wiring(wiring, Role.APPLY_LAYER), max_age),
            )
        if Role.EXECUTION in self._roles:
            await self._execution(self._wiring(wiring, Role.EXECUTION))

    def _wiring(self, wiring: Wiring, role: Role) -> Wiring:
        return Wiring(wiring.streams, wiring.rules, identity.producer(role))

    def _stage(
        self, role: Role, source: StreamName, group: str, decide: Callable[[Entry, Moment], StageVerdict]
    ) -> None:
        session = self._session
        stage = Stage(
            session.log,
            name=role,
            role=role,
            prefix=session.streams.prefix,
            source=session.streams.full(source),
            group=group,
            dead_letters=session.streams.full(StreamName.DEAD_LETTER),
            producer=identity.producer(role),
            decide=decide,
            observe=self._metrics,
            clock=session.clock,
            monotonic=session.monotonic,
            outlives_loss=True,
        )
        self._stages[role] = stage
        self._supervisor.spawn(role, stage.run(self._stop))

    async def _execution(self, wiring: Wiring) -> None:
        session = self._session
        execution_settings = session.execution
        strangers = Strangers(
            session.journal,
            session.venue_settings.client_order_id_prefix,
            self._alarms,
            leads=lambda: self._engine is not None,
        )
        listening = self._listening = Listening(session, strangers, lambda: self._engine, self._stop)
        positions = PositionAlarms(
            self._alarms,
            session.venue,
            leads=lambda: self._engine is not None,
            stream=lambda: "connected" if listening.vitals.down_since is None else "down",
            blind_s=session.alerts.blind_s,
            wall=session.clock.now,
            monotonic=session.monotonic,
        )
        closes = CloseAlarms(
            self._alarms,
            positions,
            lambda: self._engine,
            session.journal,
            unknown_s=session.alerts.unknown_s,
            monotonic=session.monotonic,
        )
        tools = Tools(
            journal=session.journal,
            venue=session.venue,
            policy=Policy(
                account=session.keys.account,
                client_order_id_prefix=session.venue_settings.client_order_id_prefix,
                max_age=execution_settings.max_age_s * 1000,
                margin=execution_settings.margin_ms,
                spread=execution_settings.spread_ms,
                park_after=execution_settings.park_after_ms,
                clears=execution_settings.clears,
                tidies=execution_settings.tidies,
            ),
            component=execution.COMPONENT,
            group=session.streams.execution_group,
            recv_window=session.venue_settings.recv_window_ms,
            announce=announcer(wiring, session.clock.now),
            clock=session.clock,
            witness=Witnesses(self._metrics, self._health, closes),
        )
        await self._bootstrap(wiring)
        self._service = ExecutionService(
            session.log,
            wiring,
            execution_settings,
            tools,
            worker=self._worker,
            observe=self._metrics,
            monotonic=session.monotonic,
            started_at=self._started_at,
            continuity=Continuity(
                session.log,
                tools.journal,
                session.fence,
                wiring,
                session.venue,
                self._alarms,
                session.clock,
                prefix=tools.policy.client_order_id_prefix,
                recv_window=tools.recv_window,
                margin=tools.policy.margin,
                max_age=tools.policy.max_age,
                absence_s=session.authority.absence_s,
            ),
        )
        orphans = OrphanAlarms(
            self._alarms,
            tools.orphans,
            leads=lambda: self._engine is not None,
            monotonic=session.monotonic,
        )
        self._supervisor.spawn("orphans", orphans.run(self._stop))
        self._supervisor.spawn("positions", listening.check_positions())
        if session.venue_settings.size_from_stream:
            self._supervisor.spawn("resting book", listening.check_resting())
        self._supervisor.spawn("venue clock", session.venue.maintain(self._stop))
        self._supervisor.spawn("user stream", listening.run())
        self._supervisor.spawn("strangers", strangers.run(self._stop))
        self._supervisor.spawn("archiver", self._archiver().run(self._stop))
        self._supervisor.spawn("trimmer", self._trimmer().run(self._stop))
        self._supervisor.spawn("close alarms", closes.run(self._stop))
        self._supervisor.spawn("position alarms", positions.run(self._stop))
        self._supervisor.spawn(Role.EXECUTION, self._service.run(self._stop))

    def _archiver(self) -> Archiver:
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
            fence=session.fence,
        )
        return Archiver(archive, session.keys.account, lambda: self._lease)

    def _trimmer(self) -> Trimmer:
        session = self._session
        names = map(session.streams.full, TRIMMED)
        return Trimmer(
            session.wire,
            tuple(names),
            session.keeping.keep_entries,
            lambda: self._lease is not None,
            readers=purposes(session.streams),
        )

    @property
    def _lease(self) -> Lease | None:
        return None if self._service is None else self._service.lease

    async def _bootstrap(self, wiring: Wiring) -> None:
        session = self._session
        if session.fence.memory.authority is not None:
            return  # there was a record before: what became of it is judged under the lease
        desk = AuthorityDesk(session.wire, session.keys, wiring, session.clock, session.venue)
        paper = execution.COMPONENT if session.mode is Mode.PAPER else None
        while not self._stop.is_set():
            try:
                standing = await desk.begin(paper)
            except RedisError as error:
                log.warning("authority_not_read", error=str(error))
                await wait_set(self._stop, BOOTSTRAP_RETRY_S)
            else:
                log.info("authority", grant=standing.component, frozen=standing.frozen)
                return

    @property
    def _engine(self) -> Engine | None:
        return None if self._service is None else self._service.engine

    async def _watch(self, telling: asyncio.Task[None]) -> None:
        """The alarms outlive the supervised tasks, to tell how those end; until then their own death is one as well."""
        stopped = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait({telling, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if telling.done():
                telling.result()
        finally:
            stopped.cancel()

    async def _last_words(self, telling: asyncio.Task[None]) -> None:
        """What died or was parked while stopping is told too."""
        await asyncio.wait({telling})
        if (error := telling.exception()) is not None:
            log.critical("alarms_died", exc_info=error)
