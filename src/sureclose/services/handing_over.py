"""PATH 1A with an execution service: each approved decision of ``apply.result`` goes on to ``trade.intent``, whole.

A stage like the first two: it needs no lease, for what it publishes is the same decision under the same plan. It is handed on
only while the harvest brain has the grant; otherwise the brain observes, as every executor does.
"""

import asyncio
from collections.abc import Callable

import msgspec
import structlog
from redis.exceptions import RedisError

from sureclose.domain.events import Decision
from sureclose.domain.switching import leads
from sureclose.journal import authority
from sureclose.journal.keys import Keys
from sureclose.services.approvals import Approvals
from sureclose.services.observer import BLOCK_MS, Observer, Sideline
from sureclose.services.reading import Wiring
from sureclose.services.vitals import StageVitals, Waits
from sureclose.streams.clock import Moment
from sureclose.streams.encode import encode_handover
from sureclose.streams.entry import Entry
from sureclose.streams.errors import LogWentBackwards
from sureclose.streams.names import StreamName
from sureclose.streams.reader import PAGE
from sureclose.streams.stage import CLAIM_IDLE_MS, Stage
from sureclose.streams.verdict import Emit, StageVerdict
from sureclose.streams.wire import Wire, wait_set

log = structlog.get_logger()

LOOK_S = 0.2


class Handing:
    """The stage that hands over."""

    def __init__(self, approvals: Approvals, wiring: Wiring) -> None:
        self._approvals = approvals
        self._wiring = wiring
        self.stage: Stage = approvals.stage(
            self._decide, claim_idle_ms=CLAIM_IDLE_MS, in_flight=frozenset, free=self.room, block_ms=BLOCK_MS
        )

    def room(self) -> int:
        return PAGE

    async def run(self, stop: asyncio.Event) -> None:
        await self.stage.run(stop)

    def _decide(self, entry: Entry, at: Moment) -> StageVerdict:
        decision = self._approvals.read(entry, at)
        if not isinstance(decision, Decision):
            return decision
        whole = msgspec.structs.replace(decision, cause=(*decision.cause, entry.ref))
        fields = encode_handover(whole, self._wiring.producer, at.now)
        return Emit((self._wiring.event(StreamName.TRADE_INTENT, fields),), "handed_over")


class HandOver:
    """Hands over or observes, as the authority record says. ``by_default`` is what counts while nobody holds the grant."""

    def __init__(
        self,
        wire: Wire,
        keys: Keys,
        approvals: Approvals,
        wiring: Wiring,
        observer: Callable[[], Observer],
        *,
        by_default: bool,
    ) -> None:
        self._wire = wire
        self._keys = keys
        self.route = approvals.route
        self._by_default = by_default
        self._handing = Sideline(lambda: Handing(approvals, wiring))
        self._observing = Sideline(observer)

    def vitals(self) -> StageVitals:
        reader = self._handing.reader or self._observing.reader
        if reader is None:
            return StageVitals(waits=Waits.STANDING_BY)
        return StageVitals(health=reader.stage.health(), waits=Waits.NO_ROOM if reader.room() <= 0 else None)

    async def run(self, stop: asyncio.Event) -> None:
        """Until ``stop``; to be supervised."""
        effective: bool | None = None
        try:
            while not stop.is_set():
                try:
                    standing = await authority.standing(self._wire, self._keys)
                    hands = leads(standing, self.route.component, by_default=self._by_default)
                    if hands is not effective:
                        effective = hands
                        doing = "handing over" if hands else "observing"
                        holder = standing.component or "nobody"
                        why = f"{holder} holds the grant"
                        log.info(
                            "path", path=self.route.path, group=self.route.group, effective=doing, why=why
                        )
                    await (self._observing if hands else self._handing).end()
                    await (self._handing if hands else self._observing).begin()
                except RedisError as error:
                    log.debug("authority_not_read", error=str(error))
                except LogWentBackwards as error:
                    # What is handed over twice is one plan, so it goes on from what is there.
                    log.critical("log.went_backwards", stage=self.route.name, why=str(error), goes_on=True)
                await wait_set(stop, LOOK_S)
        finally:
            await self._handing.end()
            await self._observing.end()
