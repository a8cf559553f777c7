"""The executor of one path: approved decisions become closes, under one lease, or are watched while another path closes."""

import asyncio
from collections.abc import Callable, Iterable

import msgspec
import structlog
from redis.exceptions import RedisError

from sureclose.domain.authority import Authority
from sureclose.domain.events import Decision
from sureclose.domain.switching import leads, next_of
from sureclose.fault_points import FaultPoint, reach
from sureclose.journal import lease
from sureclose.journal.fence import Lineage
from sureclose.journal.keys import Keys
from sureclose.journal.lease import Lease
from sureclose.services.approvals import Approvals
from sureclose.services.continuity import Continuity
from sureclose.services.engine import Delivery, Engine
from sureclose.services.lease_keeper import RENEW_S, keep_lease
from sureclose.services.observer import Observer, Sideline
from sureclose.services.progress import say_progress
from sureclose.services.pulse import Pulse, tell
from sureclose.services.reading import Wiring
from sureclose.services.routes import Route
from sureclose.services.settings import ExecutionSettings
from sureclose.services.tools import Tools
from sureclose.services.vitals import LeaseState, StageVitals, Waits
from sureclose.services.watcher import Watcher
from sureclose.streams.clock import Moment
from sureclose.streams.connection import Log
from sureclose.streams.entry import Entry
from sureclose.streams.errors import LogWentBackwards
from sureclose.streams.stage import Observe, Stage
from sureclose.streams.verdict import Keep, StageVerdict
from sureclose.streams.wire import Wire, wait_set

log = structlog.get_logger()

RETRY_S = 0.2
NEXT_S = 0.02
"""Between two looks of the one that a switch makes the next: the grant may move at any moment."""


class ExecutionService:
    """Waits for the lease, takes up what is unfinished, and reads; losing the lease is stopping and starting again.

    While another path has the grant it observes. A switch ends a reign as a stop does, but for the last step: the grant goes
    with the lease. ``monotonic`` gives seconds, ``started_at`` is when the process started, by the log's clock in
    milliseconds. ``approvals`` are the other streams that decisions are read from, ``other`` the other path's group on this
    route's stream.
    """

    def __init__(
        self,
        connection: Log,
        wiring: Wiring,
        route: Route,
        settings: ExecutionSettings,
        tools: Tools,
        *,
        worker: str,
        observe: Observe,
        monotonic: Callable[[], float],
        started_at: int,
        continuity: Continuity,
        approvals: Iterable[str] = (),
        other: str | None = None,
    ) -> None:
        self._wire: Wire = connection.commands()
        self._lease_wire = connection.reader()
        """A connection of its own: a burst of closes must not keep the lease from being renewed."""
        self._wiring = wiring
        self.route = route
        self._settings = settings
        self._tools = tools
        self._worker = worker
        self._monotonic = monotonic
        self._started_at = started_at
        self._continuity = continuity
        self._desk = Approvals(connection, wiring, route, observe, tools.clock, monotonic)
        self._wishes: dict[str, tuple[str, Delivery]] = {}
        """What was under way when a reign ended, and the identity of the log that it was under way in."""
        self._leased_at: float | None = None
        self._log_answers: bool | None = None
        self._effective = ""
        self._deposed = False
        self._approvals = (self._desk.stream, *approvals)
        self._other = other
        self._sideline = Sideline(self._observer)
        self.engine: Engine | None = None
        self.stage: Stage | None = None
        self.lease: Lease | None = None

    @property
    def keys(self) -> Keys:
        return self._tools.journal.keys

    @property
    def lease_state(self) -> LeaseState:
        if not self._log_answers:
            return LeaseState.UNKNOWN
        if self.lease is not None:
            return LeaseState.HELD
        return LeaseState.STANDING_BY if self._sideline.reader is None else LeaseState.OBSERVING

    @property
    def log_answers(self) -> bool | None:
        """Whether the last question about the lease was answered; ``None`` before the first."""
        return self._log_answers

    def vitals(self) -> StageVitals:
        """The reader as it is; standing by for the lease is no failure to read."""
        beside = self._sideline.reader
        if beside is not None:
            waits = Waits.NO_ROOM if beside.room() <= 0 else None
            return StageVitals(health=beside.stage.health(), waits=waits)
        if self.lease is None:
            return StageVitals(waits=Waits.STANDING_BY)
        if self.engine is None:
            return StageVitals(waits=Waits.MAKING_SURE)
        if self.stage is None:
            return StageVitals(since=self._leased_at)
        waits = Waits.NO_ROOM if self.room() <= 0 else None
        return StageVitals(health=self.stage.health(), waits=waits, since=self._leased_at)

    async def run(self, stop: asyncio.Event) -> None:
        """Until ``stop`` is set; then what is under way is finished first, for as long as the settings allow."""
        try:
            await self._reign(stop)
            await self._sideline.end()
        except LogWentBackwards as error:
            log.warning("log.went_backwards", stage=self.route.name, why=str(error))
        finally:
            await self._lease_wire.aclose()

    async def _reign(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            lineage: Lineage | None = None
            taken: Lease | None = None
            try:
                lineage = await self._continuity.look(self._lease_wire)
                taken = await self._stand(lineage)
                self._log_answers = True
            except LogWentBackwards as error:
                self._continuity.suspect(str(error))
            except (RedisError, OSError) as error:
                if self._log_answers is not False:
                    log.warning("lease_not_asked", error=str(error))
                self._log_answers = False
            if taken is None or lineage is None:
                await wait_set(stop, NEXT_S if self._is_next else RETRY_S)
                continue
            log.info("lease_taken", worker=self._worker, epoch=taken.epoch)
            await self._hold(taken, lineage, stop)

    @property
    def _is_next(self) -> bool:
        return next_of(self._continuity.standing) == self.route.component

    async def _stand(self, lineage: Lineage) -> Lease | None:
        """Where this path stands by the record that was just read: the lease, if it is ours to take and was free."""
        standing, wire = self._continuity.standing, self._lease_wire
        tries = self._may_lead(standing)
        if tries or self._is_next:
            await self._sideline.end()
        else:
            await self._sideline.begin()
        if next_of(standing) is not None:
            # Whoever sees it ends a switch whose leader died: nobody may lead in between.
            if await lease.holder(wire, self.keys) is None:
                await self._continuity.move_grant(wire, None)
                return None
        elif tries:
            above = self._continuity.highest_epoch
            taken = await lease.take(
                wire, self.keys, self._worker, component=self.route.component, above=above
            )
            if taken is not None:
                self._say(LeaseState.HELD, standing)
                return taken
        self._say(LeaseState.STANDING_BY if tries else LeaseState.OBSERVING, standing)
        led = tries or await lease.holder(wire, self.keys) is not None
        if led and self._continuity.stand_by(lineage):
            await self._hand_on()
        return None

    def _may_lead(self, standing: Authority) -> bool:
        by_default = self._settings.path is self.route.path
        return leads(standing, self.route.component, by_default=by_default)

    def _say(self, effective: LeaseState, standing: Authority) -> None:
        """What this path does in this process and why, whenever that changes (incident 45)."""
        holder = standing.component
        why = (
            f"nobody holds the grant, and execution.path is {self._settings.path}"
            if holder is None
            else f"{holder} holds the grant ({standing.grant.get('kind')})"
        )
        said = f"{effective} {why} {standing.frozen}"
        if said != self._effective:
            self._effective = said
            log.info(
                "path",
                path=self.route.path,
                component=self.route.component,
                group=self.route.group,
                effective="executing" if effective is LeaseState.HELD else effective,
                why=why,
                frozen=standing.frozen,
            )

    def _observer(self) -> Observer:
        watcher = Watcher(
            self._tools.journal,
            self._wire,
            self._tools.clock.now,
            approvals=self._approvals,
            other=self._other,
        )
        return Observer(self._desk, watcher, self._settings.most_in_flight)

    async def _hold(self, held: Lease, lineage: Lineage, stop: asyncio.Event) -> None:
        """One reign: resume, read and close until we stop or the lease is gone."""
        over, done = asyncio.Event(), asyncio.Event()
        keeper = asyncio.create_task(self._keep(held, over, done), name=f"{self.route.name}: lease")
        keeper.add_done_callback(lambda _: over.set())  # who does not keep the lease does not execute
        stopper = asyncio.create_task(_forward(stop, over), name=f"{self.route.name}: stop")
        self.lease = held
        self._deposed = False
        self._leased_at = self._monotonic()

        def log_lost() -> None:
            done.set()
            over.set()

        try:
            if await self._continuity.secure(held, lineage, over):
                await self._execute(held, over, done, log_lost)
        finally:
            self.lease = None
            lost = done.is_set()
            done.set()
            stopper.cancel()
            await asyncio.gather(keeper, stopper, return_exceptions=True)
            if not lost:
                await self._give_up(held)

    async def _execute(
        self, held: Lease, over: asyncio.Event, done: asyncio.Event, log_lost: Callable[[], None]
    ) -> None:
        """On a log that is sure: what is unfinished first, then what comes in."""
        engine = self.engine = Engine(self._tools, held, self._desk, log_lost)
        saying = asyncio.create_task(
            say_progress(engine, self._tools.venue, done), name=f"{self.route.name}: progress"
        )
        try:
            await self._resume(over)
            self.stage = self._reader(held, engine)
            await self.stage.run(over)
            if not done.is_set() and not self._deposed:
                await engine.drain(self._settings.drain_s)
        except LogWentBackwards as error:
            self._continuity.suspect(str(error))
            log_lost()
        finally:
            log_id = self._continuity.identity
            self._wishes = {plan: (log_id, wish) for plan, wish in engine.wishes.items()} | self._wishes
            self.engine = self.stage = None
            await engine.abandon()
            saying.cancel()
            await asyncio.gather(saying, return_exceptions=True)

    async def _remember(self, engine: Engine) -> int:
        """Take in again what was under way before, should the log know nothing of it any more."""
        lost = await self._lost_wishes()
        for wish in lost:
            engine.admit(wish.decision, wish.entry)
        self._wishes.clear()
        return len(lost)

    async def _lost_wishes(self) -> list[Delivery]:
        """None of a log that lost nothing: what was under way is pending there, or has its outcome."""
        return [
            wish
            for plan, (log_id, wish) in self._wishes.items()
            if log_id != self._continuity.identity and await self._tools.journal.state(plan) is None
        ]

    async def _hand_on(self) -> None:
        """Say it again for who leads now, who can't know what was under way here, should the log have lost it.

        Whoever knows the plan takes it for a duplicate, and its age is that of the first wish.
        """
        for wish in await self._lost_wishes():
            await self._desk.say_again(wish.decision)
            log.warning("wish_said_again", plan_id=wish.decision.plan_id)
        self._wishes.clear()

    async def _resume(self, over: asyncio.Event) -> None:
        assert self.engine is not None
        assert self.lease is not None
        while not over.is_set():
            try:
                reach(FaultPoint.BEFORE_RESUME)
                orphans = await self._tools.journal.orphans()
                self._tools.orphans.clear()
                self._tools.orphans.update(orphans)
                resumed = await self.engine.resume() + await self._remember(self.engine)
                reach(FaultPoint.AFTER_RESUME)
                await tell(self._wire, self.keys, self._pulse(self.lease))
            except RedisError as error:
                log.warning("resume_failed", error=str(error))
                await wait_set(over, RETRY_S)
            else:
                log.info("resumed", closes=resumed)
                return

    def _pulse(self, held: Lease) -> Pulse:
        return Pulse(
            producer=self._wiring.producer,
            worker=held.owner,
            epoch=held.epoch,
            component=self.route.component,
            started_at=self._started_at,
            leased_at=self._tools.clock.now(),
        )

    def _reader(self, held: Lease, engine: Engine) -> Stage:
        pulse = self._pulse(held)
        told: list[asyncio.Task[None]] = []

        def decide(entry: Entry, at: Moment) -> StageVerdict:
            if not told:
                first = msgspec.structs.replace(pulse, first_read_at=at.now)
                told.append(asyncio.create_task(self._tell(first)))
            decision = self._desk.read(entry, at)
            if not isinstance(decision, Decision):
                return decision
            engine.admit(decision, entry)
            return Keep("close")

        return self._desk.stage(decide, claim_idle_ms=0, in_flight=lambda: engine.held, free=self.room)

    async def _tell(self, pulse: Pulse) -> None:
        try:
            await tell(self._wire, self.keys, pulse)
        except RedisError as error:
            log.warning("pulse_not_told", error=str(error))

    def room(self) -> int:
        """How many more decisions may come in."""
        return 0 if self.engine is None else self._settings.most_in_flight - self.engine.size

    async def _keep(self, held: Lease, over: asyncio.Event, done: asyncio.Event) -> None:
        """Renew until done; the authority record is followed after each renewal."""

        async def watch() -> str:
            why = await self._continuity.watch(self._lease_wire) if self.engine else ""
            if not why:
                self._follow(held, over)
            return why

        def answered(answers: bool) -> None:
            self._log_answers = answers

        await keep_lease(
            self._lease_wire,
            self.keys,
            held,
            over,
            done,
            self._monotonic,
            watch,
            answered=answered,
            every_s=RENEW_S,
        )

    def _follow(self, held: Lease, over: asyncio.Event) -> None:
        """The end of a reign by the authority record. The lease is kept until what is under way is finished or left."""
        standing = self._continuity.standing
        if over.is_set():
            return
        if not self._may_lead(standing):
            self._deposed = True
            log.warning("deposed", epoch=held.epoch, holder=standing.component or "nobody")
            over.set()
        elif (to := next_of(standing)) is not None:
            log.warning("switching", epoch=held.epoch, to=to, drain_s=self._settings.drain_s)
            over.set()

    async def _give_up(self, held: Lease) -> None:
        try:
            if next_of(self._continuity.standing) is None or not await self._continuity.move_grant(
                self._lease_wire, held
            ):
                await lease.drop(self._lease_wire, self.keys, held)
        except (RedisError, OSError) as error:
            log.warning("lease_not_dropped", error=str(error), remedy="it runs out by itself")


async def _forward(stop: asyncio.Event, over: asyncio.Event) -> None:
    await stop.wait()
    over.set()
