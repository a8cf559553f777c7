"""The one runner of every stage that is a pure function from an entry to events."""

import asyncio
from collections import deque
from collections.abc import Callable, Collection
from enum import StrEnum
from typing import Protocol, assert_never

import msgspec
import structlog
from redis.exceptions import RedisError

from sureclose.streams.clock import LogClock, Moment
from sureclose.streams.connection import Log
from sureclose.streams.deadletter import dead_letter
from sureclose.streams.encode import Producer
from sureclose.streams.entry import Entry
from sureclose.streams.errors import LogWentBackwards
from sureclose.streams.fields import Unreadable
from sureclose.streams.gone import tell
from sureclose.streams.groups import START
from sureclose.streams.losses import Losses
from sureclose.streams.outage import Outage
from sureclose.streams.publish import Event, Finish, acknowledge, finish
from sureclose.streams.reader import PAGE, GroupReader
from sureclose.streams.slots import Slot, slot_keys
from sureclose.streams.verdict import Dead, Drop, Emit, Keep, StageVerdict
from sureclose.streams.wire import Wire, wait_set
from sureclose.streams.zombies import REAP_IDLE_MS, reap

CLAIM_IDLE_MS = 3000
CLAIM_EVERY_S = 1.0
REAP_EVERY_S = 60.0
_LOST_REMEDY = (
    "the payload was trimmed before anybody finished it: trim by MINID, below the group's oldest pending id"
)
_BUG_REMEDY = "a bug in Sureclose: report it with this entry, then replay the entry"

_log = structlog.get_logger(__name__)


class Kind(StrEnum):
    """How an entry ended, for the counters: read = emitted + dropped + dead + kept + lost, once the stream is read."""

    EMITTED = "emitted"
    DROPPED = "dropped"
    DEAD = "dead"
    KEPT = "kept"
    """In the hands of whoever ``decide`` gave it to, who ends it."""
    LOST = "lost"
    """Somebody else had finished it when we came to; nothing was published by us."""


_TURN = 50
_OVERTAKEN = (Kind.LOST, "finished_elsewhere")


class Observe(Protocol):
    """Called once per entry, after its end is on disk."""

    def __call__(self, stage: str, kind: Kind, reason: str) -> None: ...


class StageHealth(msgspec.Struct, frozen=True, kw_only=True):
    """Times are monotonic. A stage whose reads fail is not healthy, whatever its counters say."""

    consumer: str | None
    last_read_at: float | None
    failing_since: float | None
    first_entry_at: float | None
    in_flight: int
    trimmed_unread: int = 0
    """Entries that were gone before the group was given them."""


class Stage:
    """Reads ``source`` as a member of ``group`` and finishes each entry by its verdict, in order.

    Whatever happens, an entry is published by one process only, or is delivered again: its events and its
    acknowledgement are one script. An entry on which ``decide`` fails is a bug of ours and goes to the dead letter, so
    that it blocks nobody (incident 9).

    A stage whose ``decide`` keeps entries says what is still held in ``in_flight``, how much more may come in ``free``,
    and calls ``freed`` when there is room again. ``claim_idle_ms`` is how long another may take over an entry before
    we do it; 0 is for who holds a lease, since the entries of everybody else are orphans then. ``reap_idle_ms`` is how
    long a consumer that holds nothing must have been silent to be taken out of the group.

    A log whose ids went backwards halts a stage, unless it ``outlives_loss``: who makes nothing but events of entries, which
    are deduplicated and judged by their age behind it, goes on from what is there.
    """

    def __init__(
        self,
        log: Log,
        *,
        name: str,
        role: str,
        prefix: str,
        source: str,
        group: str,
        dead_letters: str,
        producer: Producer,
        decide: Callable[[Entry, Moment], StageVerdict],
        observe: Observe,
        clock: LogClock,
        monotonic: Callable[[], float],
        checkpoint: Callable[[], str] = lambda: START,
        claim_idle_ms: int = CLAIM_IDLE_MS,
        reap_idle_ms: int = REAP_IDLE_MS,
        in_flight: Callable[[], Collection[str]] = frozenset,
        free: Callable[[], int] = lambda: PAGE,
        outlives_loss: bool = False,
        block_ms: int | None = None,
    ) -> None:
        self.name = name
        self._outlives_loss = outlives_loss
        self._block_ms = block_ms
        self._role = role
        self._prefix = prefix
        self._source = source
        self._group = group
        self._dead_letters = dead_letters
        self._producer = producer
        self._decide = decide
        self._observe = observe
        self._clock = clock
        self._monotonic = monotonic
        self._checkpoint = checkpoint
        self._claim_idle_ms = claim_idle_ms
        self._reap_idle_ms = reap_idle_ms
        self._reap_at = monotonic()
        self._kept = in_flight
        self._free = free
        self._log = log
        self._wire: Wire = log.commands()
        self._outage = Outage(monotonic, stage=name)
        self._losses = Losses()
        self._reader: GroupReader | None = None
        self._first_entry_at: float | None = None
        self._last_read_at: float | None = None
        self._deciding = 0
        self._gone: deque[Entry] = deque()

    def health(self) -> StageHealth:
        reader = self._reader
        failing = (self._outage.since, reader.failing_since if reader else None)
        return StageHealth(
            consumer=reader.consumer if reader else None,
            last_read_at=self._last_read_at,
            failing_since=min((at for at in failing if at is not None), default=None),
            first_entry_at=self._first_entry_at,
            in_flight=self._deciding + len(self._kept()),
            trimmed_unread=self._losses.count,
        )

    def freed(self) -> None:
        """There is room again, after ``free`` said that there was none."""
        if self._reader is not None:
            self._reader.freed()

    async def run(self, stop: asyncio.Event) -> None:
        """Until ``stop`` is set, within ``block_ms`` of it. Raises ``LogWentBackwards`` only, and what is a bug."""
        while not stop.is_set():
            try:
                slot = await Slot.take(
                    self._wire,
                    prefix=self._prefix,
                    group=self._group,
                    role=self._role,
                    monotonic=self._monotonic,
                )
            except RedisError as error:
                await wait_set(stop, self._outage.failed(error))
                continue
            try:
                await self._serve(slot, stop)
            except LogWentBackwards as error:
                if not self._outlives_loss:
                    raise
                _log.critical("log.went_backwards", stage=self.name, why=str(error), goes_on=True)

    async def _serve(self, slot: Slot, stop: asyncio.Event) -> None:
        """Read under the slot's name until we stop or lose it."""
        served = asyncio.Event()
        keeper = asyncio.create_task(slot.keep(served), name=f"{self.name}: keep {slot.name}")
        reader = GroupReader(
            self._log,
            stream=self._source,
            group=self._group,
            consumer=slot.name,
            monotonic=self._monotonic,
            checkpoint=self._checkpoint,
            in_flight=self._kept,
            free=self._free,
            losses=self._losses,
            block_ms=self._block_ms,
        )
        self._reader = reader
        try:
            async with reader:
                await self._read(reader, slot, stop)
        finally:
            self._reader = None
            served.set()
            await keeper
            await slot.release()

    async def _read(self, reader: GroupReader, slot: Slot, stop: asyncio.Event) -> None:
        claim_at = self._monotonic()
        while slot.held and not stop.is_set():
            batch = await reader.next_batch(stop)
            self._last_read_at = reader.last_read_at or self._last_read_at
            try:
                await self._finish(batch)
                if self._monotonic() >= claim_at and reader.failing_since is None:
                    await self._claim(reader, slot, stop)
                    claim_at = self._monotonic() + CLAIM_EVERY_S
            except RedisError as error:
                reader.doubt()
                await wait_set(stop, self._outage.failed(error))
            else:
                self._outage.over()

    async def _claim(self, reader: GroupReader, slot: Slot, stop: asyncio.Event) -> None:
        """What a killed process left behind, page by page, and what was trimmed under it."""
        await self._report_gone()
        while slot.held and not stop.is_set():
            page = await reader.claim(self._claim_idle_ms)
            self._gone.extend(entry for entry in page if not entry.pending)
            await self._finish([entry for entry in page if entry.pending])
            await self._report_gone()
            if reader.claim_round_over:
                await self._reap()
                return

    async def _reap(self) -> None:
        """Now and then, behind a round of claims: what the dead held is ours by then."""
        if self._monotonic() < self._reap_at:
            return
        slots = slot_keys(self._prefix, self._group, self._role)
        reaped = await reap(self._wire, self._source, self._group, slots, idle_ms=self._reap_idle_ms)
        self._reap_at = self._monotonic() + REAP_EVERY_S
        if reaped:
            _log.warning("stage.zombies_reaped", stage=self.name, group=self._group, consumers=reaped)

    async def _finish(self, batch: list[Entry]) -> None:
        """Decide each entry, then write all ends in one script; only then are they counted."""
        if not batch:
            return
        if self._first_entry_at is None:
            self._first_entry_at = self._monotonic()
        self._deciding = len(batch)
        try:
            await self._clock.confirm(self._wire, batch[-1].ref.entry_id)
            ending = await self._decided(batch)
            ours = await self._end(ending)
            for (_, verdict), mine in zip(ending, ours, strict=True):
                self._observe(self.name, *(_counted(verdict) if mine else _OVERTAKEN))
        finally:
            self._deciding = 0

    async def _decided(self, batch: list[Entry]) -> list[tuple[Entry, Emit | Drop | Dead]]:
        """The verdicts that are ours to carry out. In a backlog others get their turn now and then."""
        ending = []
        for number, entry in enumerate(batch, 1):
            verdict = self._judge(entry)
            if isinstance(verdict, Keep):
                self._observe(self.name, Kind.KEPT, verdict.label)
            else:
                ending.append((entry, verdict))
            if number % _TURN == 0:
                await asyncio.sleep(0)
        return ending

    async def _end(self, ending: list[tuple[Entry, Emit | Drop | Dead]]) -> list[bool]:
        """Which of them we ended. Where nothing comes of any, one XACK does for all, and only its sum is known."""
        if all(isinstance(verdict, Drop) and not verdict.told for _, verdict in ending):
            ids = [entry.ref.entry_id for entry, _ in ending]
            count = await acknowledge(self._wire, self._source, self._group, ids)
            return [number < count for number in range(len(ids))]
        ends = [Finish(entry.ref.entry_id, self._events(entry, verdict)) for entry, verdict in ending]
        return await finish(self._wire, self._source, self._group, ends)

    async def _report_gone(self) -> None:
        """Dead letters of entries that are not pending any more; the note of each is what guards it."""
        while self._gone:
            entry = self._gone[0]
            verdict = self._judge(entry)
            letters = self._events(entry, verdict)
            told = await tell(self._wire, self._source, self._group, entry.ref.entry_id, letters)
            self._gone.popleft()
            self._observe(self.name, *(_counted(verdict) if told else _OVERTAKEN))

    def _events(self, entry: Entry, verdict: StageVerdict) -> tuple[Event, ...]:
        match verdict:
            case Emit(events=events):
                return events
            case Drop(told=told):
                return told
            case Keep():
                return ()
            case Dead(why=why):
                letter = dead_letter(entry.ref, entry.fields, why, self._producer, self._clock.now())
                return (Event.of(self._dead_letters, letter),)
        assert_never(verdict)

    def _judge(self, entry: Entry) -> StageVerdict:
        if entry.lost:
            return Dead(Unreadable("payload_lost", _LOST_REMEDY), "payload_lost")
        try:
            verdict = self._decide(entry, self._clock.moment())
            self._events(entry, verdict)
        except Exception as error:  # noqa: BLE001 - an entry that we fail on must not block the others
            _log.exception("stage.failed", stage=self.name, entry=str(entry.ref))
            reason = f"stage_failed: {type(error).__name__}: {error}"
            return Dead(Unreadable(reason, _BUG_REMEDY), "stage_failed")
        return verdict


def _counted(verdict: StageVerdict) -> tuple[Kind, str]:
    match verdict:
        case Emit(label=label):
            return Kind.EMITTED, label
        case Drop(reason=reason):
            return Kind.DROPPED, reason
        case Dead(label=label):
            return Kind.DEAD, label
        case Keep(label=label):
            return Kind.KEPT, label
    assert_never(verdict)
