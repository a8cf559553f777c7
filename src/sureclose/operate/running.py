"""``run``: the roles of one process, supervised, until somebody says stop."""

import asyncio
from collections.abc import Callable, Collection

import msgspec
import structlog
from redis.exceptions import RedisError

from sureclose.domain.market import OrderReport
from sureclose.domain.policy import Policy
from sureclose.domain.words import Mode
from sureclose.operate.session import Session
from sureclose.services import apply_layer, execution, identity, intent_executor
from sureclose.services.announcing import announcer
from sureclose.services.closing import Tools
from sureclose.services.execution import ExecutionService, bootstrap
from sureclose.services.health import Health
from sureclose.services.heartbeat import Heartbeat, Identity
from sureclose.services.http import HttpServer, observation
from sureclose.services.metrics import Metrics, Witnesses
from sureclose.services.notify import Notifier
from sureclose.services.reading import Wiring
from sureclose.services.settings import Path, Role
from sureclose.services.supervisor import Supervisor
from sureclose.services.vitals import (
    ClockVitals,
    StageVitals,
    UserStreamVitals,
    Vitals,
)
from sureclose.streams.entry import Entry
from sureclose.streams.groups import group_info
from sureclose.streams.names import StreamName
from sureclose.streams.stage import Stage
from sureclose.streams.verdict import StageVerdict
from sureclose.streams.wire import wait_set
from sureclose.venue.errors import VenueError
from sureclose.venue.stream_events import Connected, Disconnected, OrderUpdate, Silent, StreamEvent
from sureclose.venue.user_stream import UserStream

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
        log.warning("position_mode_unknown", error=str(error))
        return
    if hedge:
        raise CannotRun("the account is in hedge mode, and this version closes in one-way mode only")


class Process:
    """Everything that one ``run`` consists of, and what it says of itself."""

    def __init__(self, session: Session, roles: tuple[Role, ...], stop: asyncio.Event) -> None:
        self._session = session
        self._roles = roles
        self._stop = stop
        self._started_at = session.wall()
        self._supervisor = Supervisor(stop, grace_s=session.execution.drain_s + 5)
        self._stages: dict[str, Stage] = {}
        self._service: ExecutionService | None = None
        self._lags: dict[str, int | None] = {}
        self._stream_down_since: float | None = session.monotonic()
        self._stream_doubt = ""
        names = tuple(roles)
        self._metrics = Metrics(self.vitals, session.monotonic, stages=names)
        self._health = Health(session.monotonic, stages=names)

    async def run(self) -> int:
        session = self._session
        self._say_mode()
        server = HttpServer(
            session.http,
            observation(
                lambda: self._health.report(self.vitals()),
                lambda: self._health.ready(self.vitals()),
                self._metrics.exposition,
            ),
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
        self._supervisor.spawn("lag", self._measure_lag())
        self._supervisor.spawn("heartbeat", heartbeat.run(self._stop))
        self._supervisor.spawn("watchdog", notifier.feed(lambda: self._supervisor.alive, self._stop))
        if session.host.started_here or session.host.runtime.paper is not None:
            self._supervisor.spawn("host", self._host())
        notifier.ready(f"{', '.join(self._roles)} on {session.mode}")
        try:
            code = await self._supervisor.wait()
        finally:
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
                stopping=self._stop.is_set(),
            )
        if service.log_answers is not None:
            answers.append(service.log_answers)
        reader = msgspec.structs.replace(service.vitals(), lag=self._lags.get(Role.EXECUTION))
        return Vitals(
            tasks=self._supervisor.tasks(),
            stages=stages | {Role.EXECUTION: reader},
            log_reachable=all(answers) if answers else None,
            stopping=self._stop.is_set(),
            under_way=0 if service.engine is None else service.engine.size,
            broken={} if service.engine is None else service.engine.broken,
            clock=ClockVitals.of(session.venue.clock),
            user_stream=UserStreamVitals(down_since=self._stream_down_since, doubt=self._stream_doubt),
            lease=service.lease_state,
            weight_used=session.venue.limits.weight_used(),
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
                    info = await group_info(self._session.wire, self._session.streams.full(stream), group)
                except RedisError:
                    info = None  # the readers of the same log report its outage
                self._lags[role] = None if info is None else info.lag

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
        self, role: Role, source: StreamName, group: str, decide: Callable[[Entry, int], StageVerdict]
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
            now_ms=session.wall,
            monotonic=session.monotonic,
        )
        self._stages[role] = stage
        self._supervisor.spawn(role, stage.run(self._stop))

    async def _execution(self, wiring: Wiring) -> None:
        session = self._session
        execution_settings = session.execution
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
            ),
            component=execution.COMPONENT,
            group=session.streams.execution_group,
            recv_window=session.venue_settings.recv_window_ms,
            announce=announcer(wiring, session.wall),
            wall=session.wall,
            witness=Witnesses(self._metrics, self._health),
        )
        await self._bootstrap(wiring)
        self._service = ExecutionService(
            session.log,
            wiring,
            execution_settings,
            tools,
            worker=identity.worker(),
            observe=self._metrics,
            monotonic=session.monotonic,
            started_at=self._started_at,
        )
        stream = UserStream(session.venue_settings, session.venue)
        self._supervisor.spawn("venue clock", session.venue.maintain(self._stop))
        self._supervisor.spawn("user stream", stream.run(self._heard, self._stop))
        self._supervisor.spawn(Role.EXECUTION, self._service.run(self._stop))

    async def _bootstrap(self, wiring: Wiring) -> None:
        session = self._session
        while not self._stop.is_set():
            try:
                standing = await bootstrap(session.wire, session.keys, wiring, session.wall())
            except RedisError as error:
                log.warning("authority_not_read", error=str(error))
                await wait_set(self._stop, BOOTSTRAP_RETRY_S)
            else:
                log.info("authority", standing=standing)
                return

    async def _heard(self, event: StreamEvent) -> None:
        """The user data stream. What it says of orders goes to their closes; what it misses is asked for by them."""
        match event:
            case Connected():
                self._stream_down_since = None
                self._stream_doubt = ""
                await self._snapshot()
            case Disconnected() if self._stop.is_set():
                return
            case Disconnected():
                log.warning("user_stream_down", reason=event.reason)
                if (
                    self._stream_down_since is None
                ):  # a try to connect that failed does not begin the outage anew
                    self._stream_down_since = self._session.monotonic()
            case Silent():
                self._stream_doubt = f"no event for {event.silent_ms} ms"
            case OrderUpdate():
                self._stream_doubt = ""
                self._tell(event.report)
            case _:
                return

    async def _snapshot(self) -> None:
        """Nothing that happened before a connection is told again, so what is so is read first."""
        try:
            held = await self._session.venue.positions()
        except VenueError as error:
            log.warning("snapshot_failed", error=str(error))
            return
        amounts = {position.symbol: format(position.amount, "f") for position in held}
        log.info("snapshot", positions=amounts)

    def _tell(self, order: OrderReport) -> None:
        engine = None if self._service is None else self._service.engine
        if engine is not None:
            engine.tell(order)

    async def _host(self) -> None:
        died = asyncio.create_task(self._session.host.died())
        stopped = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait({died, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if died.done():
                raise RuntimeError(died.result())
        finally:
            died.cancel()
            stopped.cancel()
