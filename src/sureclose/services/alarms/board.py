"""Alarms: each is told once when it is raised and once when it is cleared, over restarts and among all processes.

What stands is kept in the log, and who gets it in there tells of it. While the log is away an alarm is told first and
kept later: told twice is better than never.
"""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import Final

import msgspec
import structlog
from redis.exceptions import RedisError

from sureclose.domain.times import iso_ms
from sureclose.domain.words import Mode
from sureclose.services.alarms.alarm import Alarm, AlarmKey, AlarmKind, AlarmLevel, AlarmState
from sureclose.services.alarms.courier import FIRST_PAUSE_S, Courier
from sureclose.services.alarms.ledger import AlarmLedger, Kept
from sureclose.services.alarms.sinks import Sink
from sureclose.streams.wire import wait_set

log = structlog.get_logger()

SYNC_S: Final = 5.0
"""How often this process looks at what others raised and cleared, and tries to keep what could not be kept."""
DRAIN_S: Final = 5.0
"""How long the end of the process may take for what is not told yet: a first try of each, and a second."""
ADOPT_MS: Final = 30_000
"""How long a sink that was not told may be the business of who raised the alarm; then who executes sees to it."""
AWAY_S: Final = 2.0
"""How long a log that did not answer is not asked again: a row of alarms must not wait for a timeout each."""
_SHOWN: Final = 20

_BREACH_REMEDY: Final = "let nothing close by machine until a person has found the cause; `sureclose trace ID` shows what is recorded"


class Speaker(msgspec.Struct, frozen=True):
    """Who speaks in an alarm: the account and mode, and the process."""

    account: str
    mode: Mode
    worker: str


class Alarms:
    """The alarms of one account as one process sees them.

    ``raise_``, ``breach`` and ``clear`` may be called at any time, also between an order and its record: they neither
    wait nor raise, and ``run`` does the rest. ``leads`` says whether this process executes. ``wall`` gives the log's
    milliseconds, ``monotonic`` seconds.
    """

    def __init__(
        self,
        speaker: Speaker,
        ledger: AlarmLedger,
        sinks: Sequence[Sink],
        *,
        leads: Callable[[], bool],
        wall: Callable[[], int],
        monotonic: Callable[[], float],
        sync_s: float = SYNC_S,
        first_pause_s: float = FIRST_PAUSE_S,
    ) -> None:
        self._speaker = speaker
        self._ledger = ledger
        self._leads = leads
        self._wall = wall
        self._monotonic = monotonic
        self._sync_s = sync_s
        self._couriers = tuple(
            Courier(sink, self._tried, monotonic, first_pause_s=first_pause_s) for sink in sinks
        )
        self._standing: dict[AlarmKey, Alarm] = {}
        self._changes: deque[Alarm] = deque()
        self._unkept: dict[AlarmKey, Alarm] = {}
        """The last word on alarms that were told while the log was away."""
        self._receipts: deque[tuple[AlarmKey, str]] = deque()
        self._early: set[AlarmKey] = set()
        """Cleared before this process knew what stands."""
        self._synced = False
        self._sync_due = 0.0
        self._away_until = 0.0
        self._woken = asyncio.Event()

    # What others call ----------------------------------------------------------------------------------------------

    def raise_(self, kind: AlarmKind, subject: str, what: str, remedy: str, /, **facts: object) -> None:
        """The condition is so. Said again while it stands it is the same alarm, with the newest text and facts."""
        now = iso_ms(self._wall())
        alarm = Alarm(
            alarm=kind,
            subject=subject,
            level=AlarmLevel.of(kind),
            state=AlarmState.RAISED,
            what=what,
            remedy=remedy,
            since=now,
            at=now,
            account=self._speaker.account,
            mode=self._speaker.mode,
            worker=self._speaker.worker,
            facts={name: str(value) for name, value in facts.items()},
        )
        self._early.discard(alarm.key)
        before = self._standing.get(alarm.key)
        if before is not None:
            self._standing[alarm.key] = _renewed(before, alarm)
            return
        self._standing[alarm.key] = alarm
        self._changes.append(alarm)
        self._woken.set()

    def breach(self, subject: str, what: str, facts: Mapping[str, object]) -> None:
        """What must never be so is so: an invariant does not hold, or the records and the venue contradict each other."""
        self.raise_(AlarmKind.BREACH, subject, what, _BREACH_REMEDY, **facts)

    def clear(self, kind: AlarmKind, subject: str) -> None:
        """The condition is over; of what does not stand, it is no news."""
        key = AlarmKey(kind, subject)
        alarm = self._standing.pop(key, None)
        if alarm is not None:
            self._changes.append(alarm.over(iso_ms(self._wall()), self._speaker.worker))
            self._woken.set()
        elif not self._synced:
            self._early.add(key)

    @property
    def standing(self) -> Mapping[AlarmKey, Alarm]:
        """What stands in the account, as far as this process knows."""
        return MappingProxyType(self._standing)

    def counts(self) -> Mapping[str, int] | None:
        """How many of each kind stand; ``None`` as long as that is not known."""
        if not self._synced and not self._standing:
            return None
        counted = Counter(key.kind for key in self._standing)
        return {kind.value: counted[kind] for kind in AlarmKind}

    # The task ------------------------------------------------------------------------------------------------------

    async def run(self, stop: asyncio.Event) -> None:
        """Tell and keep until ``stop``; then what is not told yet gets ``DRAIN_S``."""
        stopper = asyncio.create_task(self._wake_on(stop), name="alarms: stop")
        try:
            async with self._delivering() as couriers:
                while not stop.is_set():
                    self._woken.clear()
                    await self._work()
                    for task in couriers:
                        if task.done():
                            task.result()
                    await wait_set(self._woken, self._sync_s)
                await self._drain()
        finally:
            stopper.cancel()

    async def _wake_on(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._woken.set()

    @asynccontextmanager
    async def _delivering(self) -> AsyncIterator[list[asyncio.Task[None]]]:
        tasks = [
            asyncio.create_task(courier.run(), name=f"alarms: {courier.name}") for courier in self._couriers
        ]
        try:
            yield tasks
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _drain(self) -> None:
        """Nothing of it is cancelled: the client of the log loses a cancellation now and then, but not its timeout."""
        deadline = self._monotonic() + DRAIN_S
        while True:
            self._woken.clear()
            await self._work()
            if not self._waits(deadline) or self._monotonic() >= deadline:
                break
            await wait_set(self._woken, deadline - self._monotonic())
        untold = {courier.name: len(courier) for courier in self._couriers if len(courier)}
        if untold or self._changes:
            log.warning("alarms_not_told", sinks=untold, unkept=len(self._changes) + len(self._unkept))

    def _waits(self, deadline: float) -> bool:
        """Whether there is anything left to do that can be done until then."""
        receipts = self._receipts and not self._is_away
        return bool(self._changes or receipts) or any(one.busy_before(deadline) for one in self._couriers)

    async def _work(self) -> None:
        """Everything that there is to do now: changes in their order, receipts, and a look at the log."""
        while self._changes:
            await self._handle(self._changes[0])
            self._changes.popleft()
        if self._is_away:
            return
        try:
            await self._receive()
            if self._monotonic() >= self._sync_due:
                await self._sync()
        except RedisError as error:
            self._away(error)

    async def _handle(self, change: Alarm) -> None:
        """Tell of it, unless another process has or an earlier life of this one."""
        first = True
        if self._is_away:
            self._unkept[change.key] = change
        else:
            try:
                first = await self._keep(change)
            except RedisError as error:
                self._away(error)
                self._unkept[change.key] = change
        if first:
            self._tell(change)
        else:
            self._sync_due = 0.0  # what stands in the log is older than what was said here

    async def _keep(self, change: Alarm) -> bool:
        """Whether it is ours to tell."""
        unkept = self._unkept.get(change.key)
        if change.state is AlarmState.RAISED:
            if unkept is not None:
                await self._ledger.drop(change.key)
            first = await self._ledger.keep(change, [courier.name for courier in self._couriers])
        else:
            first = await self._ledger.drop(change.key) or unkept is not None
        self._unkept.pop(change.key, None)
        return first

    def _tell(self, alarm: Alarm) -> None:
        if alarm.state is AlarmState.CLEARED:
            told = log.info
        else:
            told = log.critical if alarm.level is AlarmLevel.CRITICAL else log.warning
        told(
            f"alarm_{alarm.state}",
            alarm=alarm.alarm,
            subject=alarm.subject,
            what=alarm.what,
            remedy=alarm.remedy,
            since=alarm.since,
            facts=alarm.facts,
        )
        for courier in self._couriers:
            courier.put(alarm)

    def _tried(self, sink: str, alarm: Alarm, taken: bool) -> None:
        if taken and alarm.state is AlarmState.RAISED:
            self._receipts.append((alarm.key, sink))
        self._woken.set()

    async def _receive(self) -> None:
        while self._receipts:
            await self._ledger.told(*self._receipts[0])
            self._receipts.popleft()

    @property
    def _is_away(self) -> bool:
        return self._monotonic() < self._away_until

    def _away(self, error: RedisError) -> None:
        """An outage is one line."""
        told = log.debug if self._away_until else log.warning
        told("alarms_not_kept", error=str(error), remedy="they are told all the same, and kept later")
        self._away_until = self._monotonic() + AWAY_S

    # What others did -----------------------------------------------------------------------------------------------

    async def _sync(self) -> None:
        """Keep what could not be kept, then see what stands."""
        for key, change in list(self._unkept.items()):
            if change.state is AlarmState.RAISED:
                await self._ledger.keep(change, [one.name for one in self._couriers if one.owes(key)])
            else:
                await self._ledger.drop(key)
            del self._unkept[key]
        found = await self._ledger.standing()
        self._away_until = 0.0
        self._sync_due = self._monotonic() + self._sync_s
        changing = {change.key for change in self._changes}
        for key in [key for key in self._standing if key not in found and key not in changing]:
            del self._standing[key]
            for courier in self._couriers:
                courier.forget(key)
        for key, kept in found.items():
            if key not in changing:
                ours = self._standing.get(key)
                self._standing[key] = kept.alarm if ours is None else _renewed(kept.alarm, ours)
                self._adopt(kept)
        if not self._synced:
            self._synced = True
            before = [
                str(k) for k, kept in sorted(found.items()) if kept.alarm.worker != self._speaker.worker
            ]
            if before:
                log.warning("alarms_standing", alarms=before[:_SHOWN], count=len(before))
            for key in self._early:
                self.clear(key.kind, key.subject)
            self._early.clear()

    def _adopt(self, kept: Kept) -> None:
        """Tell the sinks that a process which is gone could not tell."""
        alarm = kept.alarm
        if alarm.worker == self._speaker.worker or not self._leads():
            return
        if alarm.at > iso_ms(self._wall() - ADOPT_MS):
            return
        waiting = {key for key, _ in self._receipts}
        for courier in self._couriers:
            if courier.name in kept.owed and not courier.owes(alarm.key) and alarm.key not in waiting:
                courier.put(alarm)


def _renewed(standing: Alarm, said: Alarm) -> Alarm:
    """The standing alarm with what was said of it last."""
    return msgspec.structs.replace(standing, what=said.what, remedy=said.remedy, facts=said.facts)
