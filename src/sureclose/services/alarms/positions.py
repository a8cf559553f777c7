"""The alarms that depend on whether a position is still open, and the one for not being able to tell."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, Protocol

import msgspec
import structlog

from sureclose.domain.ids import plain
from sureclose.domain.market import Position, RestingOrder
from sureclose.domain.outcome import Report
from sureclose.domain.times import iso_ms
from sureclose.domain.words import PositionSide
from sureclose.services.alarms.alarm import AlarmKey, AlarmKind
from sureclose.services.alarms.board import Alarms
from sureclose.streams.wire import unless_set, wait_set
from sureclose.venue.clock import VenueClock
from sureclose.venue.errors import VenueError
from sureclose.venue.port import Purpose

log = structlog.get_logger()

SOON_S: Final = 5.0
"""Between two reads while there is something to find out; each is one read of the whole account (weight 5)."""
AGAIN_S: Final = 15.0
"""Between two reads otherwise."""
LEFT_S: Final = 60.0
"""Between two looks at orders that were left over."""
_LOOK_S: Final = 0.5
_OVER_AT_ZERO: Final = frozenset(
    {AlarmKind.EXPIRED_OPEN, AlarmKind.SAME_INTENT, AlarmKind.REFUSED, AlarmKind.UNPROTECTED}
)
_VENUE: Final = "venue"


_UNLISTED: Final = "unknown"
"""What stands for leftovers that no list of could be read."""


class Account(Protocol):
    """The venue, as far as these alarms go."""

    @property
    def clock(self) -> VenueClock: ...
    async def positions(self) -> list[Position]:
        """All positions that are not zero; raises ``VenueError``."""
        ...

    async def resting(self, symbol: str, purpose: Purpose) -> list[RestingOrder]:
        """All orders of a symbol that can still act; raises ``VenueError``."""
        ...


class Where(msgspec.Struct, frozen=True):
    """A position as a decision names it: BOTH is any side of the symbol."""

    symbol: str
    side: str

    @classmethod
    def parse(cls, subject: str) -> "Where":
        """The inverse of ``str``."""
        symbol, _, side = subject.partition(":")
        return cls(symbol, side or PositionSide.BOTH)

    def __str__(self) -> str:
        return self.symbol if self.side == PositionSide.BOTH else f"{self.symbol}:{self.side}"

    def among(self, held: Iterable[Position]) -> list[Position]:
        """What of it is open. On a one-way account LONG and SHORT are signs of BOTH."""
        return [one for one in held if one.symbol == self.symbol and one.amount and self._covers(one)]

    def _covers(self, position: Position) -> bool:
        if self.side in {PositionSide.BOTH, position.position_side}:
            return True
        sign = PositionSide.LONG if position.amount > 0 else PositionSide.SHORT
        return position.position_side is PositionSide.BOTH and self.side == sign


class Unexecuted(msgspec.Struct, frozen=True):
    """The approvals of one position that nothing came of, for one reason: the newest, and how many."""

    plan_id: str
    count: int


class PositionAlarms:
    """Reads the account's positions at intervals while this process executes.

    One read serves every alarm. ``leads`` says whether this process executes, ``stream`` how the user data stream is,
    for people. ``wall`` gives the log's milliseconds, ``monotonic`` seconds.
    """

    def __init__(
        self,
        alarms: Alarms,
        account: Account,
        *,
        leads: Callable[[], bool],
        stream: Callable[[], str],
        blind_s: float,
        wall: Callable[[], int],
        monotonic: Callable[[], float],
        soon_s: float = SOON_S,
        again_s: float = AGAIN_S,
        left_s: float = LEFT_S,
    ) -> None:
        self._alarms = alarms
        self._account = account
        self._leads = leads
        self._stream = stream
        self._blind_s = blind_s
        self._wall = wall
        self._monotonic = monotonic
        self._soon_s = soon_s
        self._again_s = again_s
        self._left_s = left_s
        self._unexecuted: dict[AlarmKey, Unexecuted] = {}
        self._news = False
        self._asked_at: float | None = None
        self._left_due = 0.0
        self._failing_since: float | None = None
        self._last_read = "never"

    # What is noted -------------------------------------------------------------------------------------------------

    def expired(self, report: Report) -> None:
        """An approval expired. Whether that is an alarm, the next read tells."""
        self._note(AlarmKind.EXPIRED_OPEN, report)

    def same_intent(self, report: Report) -> None:
        """An approval was skipped, for its intent has had its close. The next read tells whether that left anything open."""
        self._note(AlarmKind.SAME_INTENT, report)

    def _note(self, kind: AlarmKind, report: Report) -> None:
        key = AlarmKey(kind, str(Where(report.symbol, report.position_side)))
        before = self._unexecuted.get(key)
        count = self._counted(key) if before is None else before.count
        self._unexecuted[key] = Unexecuted(report.plan_id, count + 1)
        self._news = True

    def refused(self, report: Report) -> None:
        """A close was refused for good; the alarm is over when the position is."""
        subject = str(Where(report.symbol, report.position_side))
        count = self._counted(AlarmKey(AlarmKind.REFUSED, subject)) + 1
        self._alarms.raise_(
            AlarmKind.REFUSED,
            subject,
            f"the close of {subject} was refused: {report.outcome}",
            f"see `sureclose trace {report.plan_id}` for what was refused and why",
            plan_id=report.plan_id,
            outcome=report.outcome,
            count=count,
        )

    def unprotected(self, report: Report, cancelled: Sequence[str]) -> None:
        """Orders that protected a position were cancelled to close it, and it was not closed; their ids are given."""
        subject = str(Where(report.symbol, report.position_side))
        self._alarms.raise_(
            AlarmKind.UNPROTECTED,
            subject,
            f"protective orders of {subject} were cancelled to close it, and the close ended {report.outcome}",
            "place them again at the venue, or close the position; the alarm is over when the position is",
            plan_id=report.plan_id,
            outcome=report.outcome,
            cancelled=" ".join(cancelled),
        )

    def left_over(self, report: Report) -> None:
        """The position is closed, and reducing orders of it could not be cancelled, or not be listed."""
        subject = str(Where(report.symbol, report.position_side))
        self._alarms.raise_(
            AlarmKind.LEFTOVER,
            subject,
            f"reducing orders of {subject} outlived the position: they would close the next one",
            "cancel them at the venue; the alarm is over when they are gone",
            plan_id=report.plan_id,
            left=" ".join(report.left) or _UNLISTED,
        )

    def _counted(self, key: AlarmKey) -> int:
        """How many are told of already, also by an earlier process."""
        standing = self._alarms.standing.get(key)
        text = "0" if standing is None else standing.facts.get("count", "0")
        return int(text) if text.isdecimal() else 0

    # The task ------------------------------------------------------------------------------------------------------

    async def run(self, stop: asyncio.Event) -> None:
        """Read when it is due, until ``stop``."""
        while not await wait_set(stop, min(_LOOK_S, self._soon_s)):
            if self._leads() and self._due():
                await unless_set(stop, self._read())

    def _due(self) -> bool:
        if self._asked_at is None:
            return True
        eager = self._news or self._failing_since is not None
        return self._monotonic() - self._asked_at >= (self._soon_s if eager else self._again_s)

    async def _read(self) -> None:
        known, unexecuted = set(self._alarms.standing), dict(self._unexecuted)
        self._news, news = False, self._news
        self._asked_at = self._monotonic()
        try:
            held = await self._account.positions()
        except VenueError as error:
            self._news = self._news or news
            self._failed(error)
            return
        self._failing_since = None
        self._last_read = iso_ms(self._wall())
        self._alarms.clear(AlarmKind.BLIND, _VENUE)
        self._judge(held, known, unexecuted)
        if self._monotonic() >= self._left_due:
            self._left_due = self._monotonic() + self._left_s
            await self._look_at_left(key for key in known if key.kind is AlarmKind.LEFTOVER)

    async def _look_at_left(self, keys: Iterable[AlarmKey]) -> None:
        for key in keys:
            alarm = self._alarms.standing.get(key)
            try:
                listed = await self._account.resting(Where.parse(key.subject).symbol, Purpose.OBSERVE)
            except VenueError as error:
                log.debug("resting_orders_not_read", subject=key.subject, error=str(error))
                continue
            left = "" if alarm is None else alarm.facts.get("left", "")
            gone = set(left.split()).isdisjoint(order.client_order_id for order in listed)
            if left == _UNLISTED:
                gone = not any(order.reduces for order in listed)
            if gone and self._alarms.standing.get(key) == alarm:
                self._alarms.clear(key.kind, key.subject)

    def _judge(
        self,
        held: Sequence[Position],
        known: Iterable[AlarmKey],
        unexecuted: Mapping[AlarmKey, Unexecuted],
    ) -> None:
        """``known`` and ``unexecuted`` are from before the read: of what came later it says nothing."""
        for key, approvals in unexecuted.items():
            still_open = Where.parse(key.subject).among(held)
            if still_open:
                self._still_open(key, approvals, still_open)
            elif self._unexecuted.get(key) == approvals:
                del self._unexecuted[key]
        for key in known:
            if key.kind in _OVER_AT_ZERO and not Where.parse(key.subject).among(held):
                self._alarms.clear(key.kind, key.subject)

    def _still_open(self, key: AlarmKey, approvals: Unexecuted, still_open: Sequence[Position]) -> None:
        symbol, trace = Where.parse(key.subject).symbol, f"`sureclose trace {approvals.plan_id}`"
        if key.kind is AlarmKind.SAME_INTENT:
            what = f"an approved close of {key.subject} was skipped, for its intent_id has had a close there"
            remedy = (
                f"see both plans with {trace}; if another close was meant: `sureclose close {symbol}`,"
                " and let the producer give each wish an intent_id of its own, or none"
            )
        else:
            what = f"an approved close of {key.subject} expired"
            remedy = (
                f"find out why it came too late: {trace}; then approve it anew, or `sureclose close {symbol}`"
            )
        self._alarms.raise_(
            key.kind,
            key.subject,
            f"{what}, and the position is still open",
            remedy,
            plan_id=approvals.plan_id,
            count=approvals.count,
            position=" ".join(f"{one.position_side} {plain(one.amount)}" for one in still_open),
        )

    def _failed(self, error: VenueError) -> None:
        yields = self._yields(error)
        told = log.debug if yields or self._failing_since is not None else log.warning
        told("positions_not_read", error=str(error), code=error.code)
        if yields:
            return
        if self._failing_since is None:
            self._failing_since = self._monotonic()
        failing = self._monotonic() - self._failing_since
        if failing >= self._blind_s:
            self._alarms.raise_(
                AlarmKind.BLIND,
                _VENUE,
                f"positions can't be read for {failing:.0f} s: {error}",
                error.remedy or "check that the venue can be reached, and `sureclose doctor`",
                error=error,
                last_read=self._last_read,
                user_stream=self._stream(),
            )

    def _yields(self, error: VenueError) -> bool:
        """Whether it only gave way to reads that close, at a venue that answers those."""
        clock = self._account.clock
        refused_here = error.http_status is None and error.retry_after_ms > 0
        return refused_here and clock.measured and clock.silent_s() < self._blind_s
