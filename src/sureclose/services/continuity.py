"""Whether the log is still the one that was there before, and what is done when it is not.

A reign begins with this, before its engine. A log that was emptied, restored from a copy, or that failed over to a replica
which missed the last second is found out by its identity, its counts or its server. Then nothing passes the gate until
the venue refuses whatever was on the way, and the venue's own orders tell what the log had lost. The authority record is
compared with the mirror in the data folder at the start and every second: unknown means frozen.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from typing import Final, Protocol, TypeVar

import structlog
from redis.exceptions import RedisError

from sureclose.domain.authority import Authority, Trigger
from sureclose.domain.market import OrderReport
from sureclose.fault_points import FaultPoint, reach
from sureclose.journal import authority
from sureclose.journal.fence import Fence, Lineage, read_lineage
from sureclose.journal.lease import Lease
from sureclose.journal.reconciliation import Reconciliation, join
from sureclose.journal.store import Journal
from sureclose.services.alarms.alarm import AlarmKind
from sureclose.services.authority.absence import Absence, absence
from sureclose.services.authority.events import authority_event
from sureclose.services.authority.freezing import AuthorityDesk, Holdings
from sureclose.services.comparing import Books, compare, missing_since
from sureclose.services.reading import Wiring
from sureclose.streams.clock import LogClock
from sureclose.streams.connection import Log
from sureclose.streams.errors import LogProblem
from sureclose.streams.names import StreamName
from sureclose.streams.report import LogReport, read_run_id
from sureclose.streams.wire import Wire, wait_set
from sureclose.venue.errors import VenueError

log = structlog.get_logger()

RETRY_S: Final = 0.25
_Found = TypeVar("_Found")


class Alarming(Protocol):
    """Who is told of a loss."""

    def raise_(self, kind: AlarmKind, subject: str, what: str, remedy: str, /, **facts: object) -> None: ...
    def clear(self, kind: AlarmKind, subject: str) -> None: ...


class Exchange(Books, Holdings, Protocol):
    """What the venue is asked."""


class Continuity:
    """The log's identity as one executor guards it. Times of settings are milliseconds."""

    def __init__(
        self,
        connection: Log,
        journal: Journal,
        fence: Fence,
        wiring: Wiring,
        venue: Exchange,
        alarms: Alarming,
        clock: LogClock,
        *,
        prefix: str,
        recv_window: int,
        margin: int,
        max_age: int,
        absence_s: int,
    ) -> None:
        self._log = connection
        self._wire: Wire = connection.commands()
        self._journal = journal
        self._keys = journal.keys
        self._fence = fence
        self._wiring = wiring
        self._venue = venue
        self._alarms = alarms
        self._clock = clock
        self._prefix = prefix
        self._recv_window = recv_window
        self._margin = margin
        self._max_age = max_age
        self._absence_s = absence_s
        self._suspicion = ""
        self._run_id = ""
        self._standing: Authority | None = None
        self._absence: Absence | None = None

    @property
    def highest_epoch(self) -> int:
        """No lease may have an epoch that was given out before."""
        return self._fence.memory.epoch

    @property
    def identity(self) -> str:
        """The log as it is known here."""
        return self._fence.memory.id

    @property
    def standing(self) -> Authority:
        """Grant and freeze as they were last read."""
        return self._standing or Authority()

    def suspect(self, why: str) -> None:
        """Something else has shown that entries are gone; the next reign compares with the venue."""
        self._suspicion = why

    async def look(self, wire: Wire) -> Lineage:
        """What the log says of itself, before the lease is asked for; what this machine knows is read first."""
        self._fence.look()
        lineage = await read_lineage(wire, self._keys)
        self._standing = await authority.standing(wire, self._keys)
        self._absence = await absence(wire, self._keys, self._clock.now())
        return lineage

    def stand_by(self, lineage: Lineage) -> bool:
        """Somebody else holds the lease, and has made sure of the log: what it says now is what is known here."""
        self._fence.abdicate()
        followed = self._fence.follow(lineage)
        if followed:
            self._fence.heard(self._standing)
        return followed

    async def secure(self, held: Lease, lineage: Lineage, over: asyncio.Event) -> bool:
        """Make sure of the log before a reign; ``lineage`` is what it said before the lease was taken.

        False when the reign was over before that.
        """
        report = await self._asked(self._report, over)
        if report is None:
            return False
        trigger = self._trigger(lineage, report)
        if await self._asked(lambda: self._begin(held), over) is None:
            return False
        self._run_id = report.run_id
        if await self._asked(lambda: self._guard_authority(self._wire, trigger), over) is None:
            return False
        if await self._asked(self._guard_absence, over) is None:
            return False
        if trigger:
            return await self._reconcile(trigger, held, report, over)
        return await self._asked(lambda: self._go_on(lineage, report), over) is not None

    async def _begin(self, held: Lease) -> bool:
        self._fence.reign(held.epoch)
        return True

    async def watch(self, wire: Wire) -> str:
        """Every second of a reign: why it has to end, or nothing. Raises ``RedisError``."""
        await self._log.require_master()
        run_id = await read_run_id(wire)
        if run_id != self._run_id:
            return "the log's server is another one, or was started anew"
        known = self._fence.memory
        lineage = await read_lineage(wire, self._keys)
        if lineage.id != known.id or lineage.written < known.written:
            return f"the log has {lineage.written} writes as {lineage.id or 'nobody'}, of {known.written} as {known.id}"
        self._fence.acknowledged(lineage.written)
        was_frozen = self._frozen
        await self._guard_authority(wire, "")
        await asyncio.to_thread(self._fence.sync)
        return (
            "the freeze was lifted, so every age is judged again" if was_frozen and not self._frozen else ""
        )

    @property
    def _frozen(self) -> bool:
        known = self._fence.memory.authority
        return known is not None and known.frozen

    # Is it the same ------------------------------------------------------------------------------------------------

    async def _report(self) -> LogReport:
        """What the server is; it has to be the one that Sentinels name, for one that was cut off says nothing of it."""
        await self._log.require_master()
        return await self._log.check()

    def _trigger(self, lineage: Lineage, report: LogReport) -> str:
        """Why the log has to be compared with the venue; empty when it provably need not be."""
        suspicion = self._suspicion
        known = self._fence.memory
        if self._fence.damaged:
            return f"what was known of the log can't be read: {self._fence.damaged}"
        another_run = lineage.run_id not in {"", report.run_id}
        if not known.id:
            # Nothing is known here that could prove a restart to be a plain one.
            return (
                "the log's server was started anew, and nothing is known of it here"
                if another_run
                else suspicion
            )
        if not lineage.id:
            return "the log has no identity any more: it was emptied, or is another one"
        if known.id not in {lineage.id, *lineage.before}:
            return f"the log is another one: {lineage.id}, and {known.id} was known"
        if known.id == lineage.id and lineage.written < known.written:
            return f"the log has {lineage.written} writes, and had acknowledged {known.written}"
        if lineage.epoch < known.epoch:
            return f"the log's epoch is {lineage.epoch}, and {known.epoch} was given out"
        if another_run and not self._is_plain(report):
            return (
                "the log's server is another one, or was started anew without a proof that it kept everything"
            )
        return suspicion

    def _is_plain(self, report: LogReport) -> bool:
        """Whether another run of the server can only be a restart that lost nothing it had acknowledged."""
        durable = report.config_readable and report.not_durable_because is None
        return durable and report.role == "master" and not self._log.settings.through_sentinel

    async def _go_on(self, lineage: Lineage, report: LogReport) -> bool:
        identity = lineage.id
        if not identity:
            await self._wire.execute_command(b"HSETNX", self._keys.log, "id", secrets.token_hex(16))
            lineage = await read_lineage(self._wire, self._keys)
            identity = lineage.id
        await self._wire.execute_command(b"HSET", self._keys.log, "run", report.run_id)
        self._fence.adopt(identity, lineage.written)
        self._alarms.clear(AlarmKind.LOG_LOST, "log")
        reach(FaultPoint.AFTER_MIRROR)
        return True

    # Authority -----------------------------------------------------------------------------------------------------

    async def _guard_authority(self, wire: Wire, trigger: str) -> bool:
        """Grant and freeze of log and mirror agree, or the log's are newer, or the account is frozen."""
        kept = self._fence.memory.authority
        found = self._standing = await authority.standing(wire, self._keys)
        if kept is None and self._fence.damaged:
            await self._freeze(wire, "what was known of authority can't be read", trigger, found.revision + 1)
            return True
        if kept is None and trigger and not found.recorded:
            await self._freeze(wire, "the log has no authority record", trigger, 1)
            return True
        if kept is None or found.revision > kept.revision:
            if found.recorded:
                self._fence.authorise(found)
            return True
        if found == kept:
            return True
        if not found.recorded:
            why = "the log has no authority record, and there was one"
        elif found.revision < kept.revision:
            why = f"the log's authority record is revision {found.revision}, and {kept.revision} was known"
        elif found.component and kept.component and found.component != kept.component:
            why = f"{found.component} and {kept.component} hold the grant of revision {kept.revision}"
            await self._freeze(wire, why, "", kept.revision + 1, Trigger.TWO_GRANTS)
            return True
        else:
            why = f"the log's authority record of revision {found.revision} is not the one that was known"
        await self._freeze(wire, why, trigger, kept.revision + 1)
        return True

    async def _guard_absence(self) -> bool:
        """A controller that comes back after too long finds the account frozen, whoever was or was not there to see it."""
        gone = self._absence
        if gone is not None and gone.ms > 1000 * self._absence_s:
            standing = await authority.standing(self._wire, self._keys)
            if standing.grant and not standing.frozen:
                await self._freeze(self._wire, gone.reason, "", 0, Trigger.ABSENCE)
        return True

    async def move_grant(self, wire: Wire, held: Lease | None) -> bool:
        """The last step of a switch that is under way: the grant moves, the lease is given up. Whether it was done here."""
        found = await self._desk(wire).move_grant(held)
        if found is None:
            return False
        self._standing = found
        if held is None:
            self._fence.heard(found)
        else:
            self._fence.authorise(found)
        return True

    def _desk(self, wire: Wire) -> AuthorityDesk:
        return AuthorityDesk(wire, self._keys, self._wiring, self._clock, self._venue)

    async def _freeze(
        self, wire: Wire, why: str, trigger: str, least: int, cause: Trigger = Trigger.LOG_LOST
    ) -> None:
        lost = "after loss of the log: " if cause is Trigger.LOG_LOST else ""
        because = f" ({trigger})" if trigger else ""
        self._fence.authorise(await self._desk(wire).freeze(cause, f"{lost}{why}{because}", least=least))

    # What was lost -------------------------------------------------------------------------------------------------

    async def _reconcile(self, trigger: str, held: Lease, report: LogReport, over: asyncio.Event) -> bool:
        """Wait until nothing can be on the way any more, then ask the venue for what the log had lost."""
        log.critical("continuity_lost", trigger=trigger, epoch=held.epoch)
        self._alarms.raise_(AlarmKind.LOG_LOST, "log", f"{trigger}: it is compared with the venue", _WAIT)
        detected = await self._asked(self._venue.server_time, over)
        if detected is None or not await self._passed(detected, over):
            return False
        found = await self._asked(lambda: self._compared(trigger, held, detected), over)
        if found is None:
            return False
        reconciliation, orphans = found
        reach(FaultPoint.BEFORE_RECONCILED)
        if await self._asked(lambda: self._join(held, report, reconciliation, orphans), over) is None:
            return False
        reach(FaultPoint.AFTER_MIRROR)
        self._alarms.clear(AlarmKind.LOG_LOST, "log")
        log.warning(
            "log_reconciled",
            trigger=trigger,
            symbols=len(reconciliation.symbols),
            orders=reconciliation.orders,
            orphans=list(reconciliation.orphans),
        )
        return True

    async def _passed(self, detected: int, over: asyncio.Event) -> bool:
        """Whether the venue has said a time at which it takes nothing any more that was sent before the loss was seen."""
        safe = detected + self._recv_window + self._venue.clock.error_ms() + self._margin
        now = detected
        while now <= safe:
            if await wait_set(over, (safe - now + 1) / 1000):
                return False
            read = await self._asked(self._venue.server_time, over)
            if read is None:
                return False
            now = read
        return True

    async def _compared(
        self, trigger: str, held: Lease, detected: int
    ) -> tuple[Reconciliation, tuple[OrderReport, ...]]:
        since = await missing_since(self._wire, self._journal, self._venue, self._clock, self._max_age)
        compared = await compare(self._venue, self._journal, self._prefix, since)
        reconciliation = Reconciliation(
            trigger=trigger,
            worker=held.owner,
            epoch=held.epoch,
            detected_at=detected,
            at=self._venue.clock.now(),
            since=since,
            symbols=compared.symbols,
            orders=compared.ours,
            orphans=tuple(order.client_order_id for order in compared.unknown),
        )
        return reconciliation, compared.unknown

    async def _join(
        self, held: Lease, report: LogReport, found: Reconciliation, orphans: tuple[OrderReport, ...]
    ) -> bool:
        known, lineage = self._fence.memory, await read_lineage(self._wire, self._keys)
        identity, now = secrets.token_hex(16), self._clock.now()
        event = authority_event(
            "LOG_RECONCILED",
            {
                "trigger": found.trigger,
                "orders": str(found.orders),
                "orphans": " ".join(found.orphans),
                "since": str(found.since),
            },
            self._wiring.producer,
            now,
            self._wiring.rules.mode,
        )
        written = await join(
            self._wire,
            self._keys,
            held,
            identity=identity,
            run_id=report.run_id,
            before=[name for name in (*lineage.before, lineage.id, known.id) if name],
            found=found,
            orphans=orphans,
            events=self._wiring.streams.full(StreamName.AUTHORITY_EVENTS),
            event=event,
        )
        reach(FaultPoint.AFTER_RECONCILED)
        self._suspicion = ""
        self._fence.adopt(identity, written)
        return True

    async def _asked(self, question: Callable[[], Awaitable[_Found]], over: asyncio.Event) -> _Found | None:
        """The answer, as soon as there is one; ``None`` when the reign is over before."""
        told = False
        while not over.is_set():
            try:
                return await question()
            except (RedisError, LogProblem, VenueError, OSError) as error:
                said = log.debug if told else log.warning
                said("continuity_not_sure", error=str(error), remedy="nothing is sent before it is")
                told = True
                await wait_set(over, RETRY_S)
        return None


_WAIT: Final = (
    "nothing has to be done: closes go on when the venue's orders are read; `sureclose reconcile` shows them"
)
