"""Brings alarms to one sink: what it did not take is brought again, and nothing waits behind what it refuses."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

import structlog

from sureclose.services.alarms.alarm import Alarm, AlarmKey, AlarmLevel, AlarmState
from sureclose.services.alarms.sinks import NotTold, Sink
from sureclose.streams.wire import wait_set

log = structlog.get_logger()

FIRST_PAUSE_S: Final = 1.0
LONGEST_PAUSE_S: Final = 300.0
_DOUBLINGS: Final = 16
CLEARING_S: Final = 3_600.0
"""How long it is tried to tell of an alarm that is over."""


class _Parcel:
    """What one alarm has to say to the sink, oldest first: it is raised and cleared by turns."""

    def __init__(self, order: int) -> None:
        self.order = order
        self.documents: deque[Alarm] = deque()
        self.tries = 0
        self.due = 0.0
        self.over_since: float | None = None

    def put(self, alarm: Alarm, now: float) -> None:
        """Say this too. Of an alarm that came and went unheard, only the first raising and the last word are kept."""
        if len(self.documents) == 3:
            del self.documents[2], self.documents[1]
        self.documents.append(alarm)
        self.over_since = now if alarm.state is AlarmState.CLEARED else None

    def rank(self) -> tuple[bool, bool, int]:
        """What was never tried goes first, then what is critical, then what is oldest."""
        return self.tries > 0, self.documents[0].level is not AlarmLevel.CRITICAL, self.order


class Courier:
    """Tells one sink, one alarm at a time, with a pause after each failure that doubles for that alarm.

    ``changed`` is called after each try with the alarm and whether it was taken. ``monotonic`` gives seconds.
    """

    def __init__(
        self,
        sink: Sink,
        changed: Callable[[str, Alarm, bool], None],
        monotonic: Callable[[], float],
        *,
        first_pause_s: float = FIRST_PAUSE_S,
    ) -> None:
        self._sink = sink
        self._changed = changed
        self._monotonic = monotonic
        self._first_pause_s = first_pause_s
        self._parcels: dict[AlarmKey, _Parcel] = {}
        self._count = 0
        self._woken = asyncio.Event()

    @property
    def name(self) -> str:
        return self._sink.name

    def put(self, alarm: Alarm) -> None:
        """Tell this, after what there is to tell of the same alarm."""
        parcel = self._parcels.get(alarm.key)
        if parcel is None:
            self._count += 1
            parcel = self._parcels[alarm.key] = _Parcel(self._count)
        parcel.put(alarm, self._monotonic())
        self._woken.set()

    def forget(self, key: AlarmKey) -> None:
        """Another process has told the end of it: say nothing more."""
        self._parcels.pop(key, None)

    def owes(self, key: AlarmKey) -> bool:
        return key in self._parcels

    def busy_before(self, moment: float) -> bool:
        """Whether there is something to try until then (monotonic seconds)."""
        return any(parcel.due <= moment for parcel in self._parcels.values())

    def __len__(self) -> int:
        return len(self._parcels)

    async def run(self) -> None:
        """Until it is cancelled. What is not told then is still owed."""
        while True:
            now = self._monotonic()
            due = [parcel for parcel in self._parcels.values() if parcel.due <= now]
            if due:
                await self._bring(min(due, key=_Parcel.rank))
                continue
            self._woken.clear()
            next_due = min((parcel.due for parcel in self._parcels.values()), default=None)
            if next_due is None:
                await self._woken.wait()
            else:
                await wait_set(self._woken, next_due - now)

    async def _bring(self, parcel: _Parcel) -> None:
        alarm = parcel.documents[0]
        try:
            await self._sink.tell(alarm.document())
        except NotTold as error:
            self._failed(parcel, alarm, str(error))
            self._changed(self.name, alarm, False)
            return
        parcel.documents.popleft()
        parcel.tries, parcel.due = 0, 0.0
        if not parcel.documents:
            self._remove(alarm.key, parcel)
        self._changed(self.name, alarm, True)

    def _failed(self, parcel: _Parcel, alarm: Alarm, why: str) -> None:
        """A row of failures is one line."""
        now = self._monotonic()
        pause = min(self._first_pause_s * 2 ** min(parcel.tries, _DOUBLINGS), LONGEST_PAUSE_S)
        told = log.debug if parcel.tries else log.warning
        told("alarm_not_told", sink=self.name, alarm=alarm.alarm, subject=alarm.subject, why=why)
        parcel.tries += 1
        parcel.due = now + pause
        if parcel.over_since is not None and now - parcel.over_since > CLEARING_S:
            log.error("alarm_never_told", sink=self.name, alarm=alarm.alarm, subject=alarm.subject, why=why)
            self._remove(alarm.key, parcel)

    def _remove(self, key: AlarmKey, parcel: _Parcel) -> None:
        if self._parcels.get(key) is parcel:
            del self._parcels[key]
