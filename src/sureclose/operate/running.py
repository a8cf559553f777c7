"""``run``: the roles of one process, supervised, until somebody says stop."""

import asyncio
from collections.abc import Callable, Collection, Iterator

import msgspec
import structlog
from redis.exceptions import RedisError

from sureclose.domain.words import Mode
from sureclose.operate.api.door import Door
from sureclose.operate.api.hooks import HookDoor
from sureclose.operate.executing import Executors
from sureclose.operate.handing import handing_over
from sureclose.operate.harvest_role import HarvestRole
from sureclose.operate.rehearsal import WARNING, Rehearsed
from sureclose.operate.safety_role import SafetyRole
from sureclose.operate.session import Session
from sureclose.operate.watching import Watching
from sureclose.operate.wiring import misplaced, purposes, readings
from sureclose.services import apply_layer, identity, intent_executor
from sureclose.services.alarms.board import Alarms, Speaker
from sureclose.services.alarms.ledger import AlarmLedger
from sureclose.services.alarms.sinks import sinks_of
from sureclose.services.alarms.tasks import TaskAlarms
from sureclose.services.environment import Environment
from sureclose.services.feed import Feed
from sureclose.services.handing_over import HandOver
from sureclose.services.harvest.policies import load_policy
from sureclose.services.health import Health
from sureclose.services.heartbeat import Heartbeat, Identity
from sureclose.services.http import HttpServer, observation
from sureclose.services.metrics import Metrics
from sureclose.services.notify import Notifier
from sureclose.services.routes import executors, stages_of
from sureclose.services.settings import HarvestExecutor, Role
from sureclose.services.supervisor import Supervisor
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

LAG_EVERY_S = 5.0


async def run(
    session: Session, roles: Collection[Role], stop: asyncio.Event, *, accept_everysec: bool
) -> int:
    """Run the roles until ``stop``; the exit code, 1 when a background task died.

    Raises ``LogNotDurable``, ``EnvironmentTaken``, ``PolicyProblem``, and what listening can raise.
    """
    await _admissible(session, roles, stop, accept_everysec=accept_everysec)
    process = Process(session, tuple(roles), stop)
    return await process.run()


async def _admissible(
    session: Session, roles: Collection[Role], stop: asyncio.Event, *, accept_everysec: bool
) -> None:
    report = await session.log.check()
    try:
        await Environment(session.wire, session.streams.prefix, session.mode).await_turn(stop)
    except RedisError as error:
        log.warning("environment_not_taken", error=str(error), remedy="it is tried again every few seconds")
    if session.mode is not Mode.PAPER:
        report.require_durable(accept_everysec=accept_everysec)
    if Role.HARVEST in roles:
        for name in (session.harvest.policy, *session.harvest.shadow):
            load_policy(name)
    if not {Role.EXECUTION, Role.HARVEST_BRAIN} & set(roles):
        return
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
        self._executors: Executors | None = None
        self._hand_over: HandOver | None = None
        self._safety: SafetyRole | None = None
        self._harvest: HarvestRole | None = None
        self._lags: dict[str, int | None] = {}
        self._worker = identity.worker()
        self._probe = WriteProbe(
            session.log, f"{session.streams.prefix}sureclose:probe:{self._worker}", session.monotonic
        )
        self._alarms = Alarms(
            Speaker(session.keys.account, session.mode, self._worker),
            AlarmLedger(session.wire, session.keys),
            sinks_of(session.alerts),
            leads=lambda: self._executors is not None and self._executors.engine is not None,
            wall=session.clock.now,
            monotonic=session.monotonic,
        )
        self._watching = Watching(session, roles, self._worker, self._alarms, self.vitals)
        names = stages_of(roles, session.streams, session.harvest_brain)
        self._metrics = Metrics(self.vitals, session.monotonic, stages=names)
        self._health = Health(session.monotonic, stages=names)
        self._door = Door(session)
        self._hooks = HookDoor(session)
        self._metrics.registry.register(self._hooks.counts)

    async def run(self) -> int:
        session = self._session
        self._say_mode()
        await self._say_misplaced()
        server = HttpServer(
            session.http,
            (
                *observation(
                    lambda: self._health.report(self.vitals()),
                    lambda: self._health.ready(self.vitals()),
                    self._metrics.exposition,
                ),
                *self._door.routes(),
                *self._hooks.routes(),
            ),
            port_is_default=session.http_port_is_default,
            dry_run=session.rehearsed is not None,
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
        self._supervisor.spawn(
            "environment", Environment(session.wire, session.streams.prefix, session.mode).keep(self._stop)
        )
        self._supervisor.spawn("log clock", session.clock.keep(session.wire, self._stop))
        self._supervisor.spawn("heartbeat", heartbeat.run(self._stop))
        self._supervisor.spawn("watchdog", notifier.feed(lambda: self._supervisor.alive, self._stop))
        self._supervisor.spawn("door", self._door.run(self._stop))
        self._watching.spawn(self._supervisor, self._stop)
        if session.host.needed:
            self._supervisor.spawn("host", session.host.keep(self._stop))
        notifier.ready(f"{', '.join(self._roles)} on {session.mode}")
        try:
            code = await self._supervisor.wait()
            tasks.look()
            if not code:
                await self._watching.stopped()
        finally:
            all_told.set()
            await self._last_words(telling)
            notifier.stopping()
            await server.stop()
            await self._door.aclose()
            if self._executors is not None:
                self._executors.close()
        log.info("stopped", code=code)
        return code

    def vitals(self) -> Vitals:
        """What is so in this process now, without asking anybody."""
        session, executors = self._session, self._executors
        stages = {name: StageVitals(health=stage.health()) for name, stage in self._stages.items()}
        if self._hand_over is not None:
            stages[Role.HARVEST_BRAIN] = self._hand_over.vitals()
        answers = [stage.health.failing_since is None for stage in stages.values()]
        if self._safety is not None:
            found = self._vitals(stages, [*answers, *self._safety.answers()])
            return msgspec.structs.replace(found, **self._safety.vitals())
        if self._harvest is not None:
            answers += self._harvest.answers()
        if executors is None:
            found = self._vitals(stages, answers)
            return (
                found if self._harvest is None else msgspec.structs.replace(found, **self._harvest.vitals())
            )
        engine = executors.engine
        found = self._vitals(stages | executors.stages(), [*answers, *executors.answers()])
        return msgspec.structs.replace(
            found,
            under_way=0 if engine is None else engine.size,
            broken={} if engine is None else engine.broken,
            clock=ClockVitals.of(session.venue.clock),
            user_stream=executors.listening.vitals if session.rehearsed is None else None,
            positions=executors.listening.positions,
            lease=executors.lease_state,
            weight_used=session.venue.limits.weight_used(),
        )

    def _vitals(self, stages: dict[str, StageVitals], answers: list[bool]) -> Vitals:
        """Of every process, whatever its roles."""
        lagging = {
            name: msgspec.structs.replace(stage, lag=self._lags.get(name)) for name, stage in stages.items()
        }
        return Vitals(
            tasks=self._supervisor.tasks(),
            stages=lagging,
            log_reachable=all(answers) if answers else None,
            log_refusal=self._probe.refusal,
            stopping=self._stop.is_set(),
            dry_run="" if self._session.rehearsed is None else WARNING,
            authority=self._watching.authority,
            alarms=self._alarms.counts(),
        )

    async def _measure_lag(self) -> None:
        """What waits unread in each group; unknown stays unknown."""
        while not await wait_set(self._stop, LAG_EVERY_S):
            for stage, stream, group in self._groups():
                try:
                    found = await group_backlog(self._session.wire, self._session.streams.full(stream), group)
                except RedisError:
                    found = None  # the readers of the same log report its outage
                self._lags[stage] = None if found is None else found.readable

    def _groups(self) -> Iterator[tuple[str, StreamName, str]]:
        """Each reader of this process: its name, its stream, its group."""
        streams = self._session.streams
        if Role.INTENT_EXECUTOR in self._roles:
            yield Role.INTENT_EXECUTOR, streams.intents, streams.intent_executor_group
        if Role.APPLY_LAYER in self._roles:
            yield Role.APPLY_LAYER, StreamName.APPLY_PLAN, streams.apply_layer_group
        if self._hand_over is not None:
            route = self._hand_over.route
            yield route.name, route.source, route.group
        for service in () if self._executors is None else self._executors.services:
            yield service.route.name, service.route.source, service.route.group

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
        if session.rehearsed is not None:
            log.warning(
                "dry_run",
                meaning=WARNING,
                streams=session.streams.prefix,
                reads=session.rehearsed.streams.prefix,
            )

    async def _say_misplaced(self) -> None:
        """Groups on the wrong stream, and those that nobody reads, are said at every start."""
        streams = self._session.streams
        try:
            found = await readings(self._session.wire, streams)
        except RedisError as error:
            log.warning("groups_not_checked", error=str(error))
            return
        for check in misplaced(found, purposes(self._session)):
            log.warning("group_misplaced", group=check.name, detail=check.detail, remedy=check.remedy)

    async def _start(self) -> None:
        wiring = self._session.wiring
        streams = self._session.streams
        if Role.INTENT_EXECUTOR in self._roles:
            self._stage(
                Role.INTENT_EXECUTOR,
                streams.intents,
                streams.intent_executor_group,
                intent_executor.decider(wiring.of(identity.producer(Role.INTENT_EXECUTOR))),
            )
        if Role.APPLY_LAYER in self._roles:
            max_age = self._session.execution.max_age_s * 1000
            self._stage(
                Role.APPLY_LAYER,
                StreamName.APPLY_PLAN,
                streams.apply_layer_group,
                apply_layer.decider(wiring.of(identity.producer(Role.APPLY_LAYER)), max_age),
            )
        hands_over = self._session.harvest_brain.executor is HarvestExecutor.EXECUTION_SERVICE
        if Role.HARVEST_BRAIN in self._roles and hands_over:
            self._hand_over = handing_over(self._session, self._metrics)
            self._supervisor.spawn(Role.HARVEST_BRAIN, self._hand_over.run(self._stop))
        if Role.SAFETY in self._roles:
            self._safeguard()
        if self._session.rehearsed is not None:
            self._feed(self._session.rehearsed)
        await self._execute()
        if Role.HARVEST in self._roles:
            self._decide()

    def _decide(self) -> None:
        self._harvest = HarvestRole(
            self._session,
            alarms=self._alarms,
            worker=self._worker,
            started_at=self._started_at,
            stop=self._stop,
            listening=None if self._executors is None else self._executors.listening,
        )
        for name, work in self._harvest.tasks():
            self._supervisor.spawn(name, work)

    def _feed(self, rehearsed: Rehearsed) -> None:
        session = self._session
        feed = Feed(
            session.log,
            rehearsed.streams,
            session.wiring.of(identity.producer("dry-run")),
            session.keys.fed,
            session.clock,
            session.execution.max_age_s * 1000,
        )
        self._supervisor.spawn("dry-run feed", feed.run(self._stop))

    def _safeguard(self) -> None:
        self._safety = SafetyRole(
            self._session,
            alarms=self._alarms,
            metrics=self._metrics,
            health=self._health,
            worker=self._worker,
            started_at=self._started_at,
            stop=self._stop,
        )
        for name, work in self._safety.tasks():
            self._supervisor.spawn(name, work)

    async def _execute(self) -> None:
        session = self._session
        everywhere = executors(session.streams, session.harvest_brain)
        routes = tuple(route for route in everywhere if route.role in self._roles)
        if not routes:
            return
        self._executors = Executors(
            session,
            routes,
            alarms=self._alarms,
            metrics=self._metrics,
            health=self._health,
            findings=self._watching.findings,
            worker=self._worker,
            started_at=self._started_at,
            stop=self._stop,
        )
        await self._executors.begin_authority()
        for name, work in self._executors.tasks():
            self._supervisor.spawn(name, work)

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
