"""The guardian: every process looks every few seconds whether who has the grant still proves itself, and ends it if not.

All processes look and any may act: one script makes a change happen once. A process that can't read the log judges
nothing, for it could not write there either, and one that was stopped itself begins its observation anew.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

import msgspec
import structlog
from redis.exceptions import RedisError

from sureclose.domain.authority import Authority, CantChange, Ground, Trigger
from sureclose.domain.components import Found
from sureclose.domain.grounds import Evidence, Finding, Thresholds, Watch, judge, watch
from sureclose.journal.keys import Keys
from sureclose.services.alarms.alarm import AlarmKind
from sureclose.services.alarms.board import Alarms
from sureclose.services.authority.absence import absence
from sureclose.services.authority.freezing import AuthorityDesk
from sureclose.services.authority.path import PathReader
from sureclose.services.settings import AuthoritySettings
from sureclose.services.vitals import AuthorityVitals
from sureclose.streams.wire import Wire, wait_set

log = structlog.get_logger()

LOOK_S: Final = 5.0
_LEAST_LOOK_S: Final = 0.25
_LOOKS: Final = 4
"""How many looks fit into the smallest threshold at least."""
_MISSED: Final = 3
"""After how many looks that did not happen a watcher begins anew."""
_SCOPE: Final = "exit"


def thresholds(settings: AuthoritySettings) -> Thresholds:
    """As configured, with a gap that no threshold is smaller than."""
    return Thresholds(
        ghost_s=settings.ghost_s,
        path_broken_s=settings.path_broken_s,
        unverifiable_s=settings.unverifiable_s,
        grace_s=settings.absence_s,
        gap_s=_MISSED * look_every(settings),
    )


def look_every(settings: AuthoritySettings) -> float:
    """Seconds between two looks."""
    smallest = min(settings.absence_s, settings.ghost_s, settings.path_broken_s, settings.unverifiable_s)
    return min(LOOK_S, max(_LEAST_LOOK_S, smallest / _LOOKS))


class Guardian:
    """``found`` is what this process saw at the venue; ``wall`` gives the log's milliseconds, ``monotonic`` seconds."""

    def __init__(
        self,
        wire: Wire,
        keys: Keys,
        desk: AuthorityDesk,
        path: PathReader,
        alarms: Alarms,
        settings: AuthoritySettings,
        *,
        found: Callable[[], Sequence[Found]],
        wall: Callable[[], int],
        monotonic: Callable[[], float],
    ) -> None:
        self._wire = wire
        self._keys = keys
        self._desk = desk
        self._path = path
        self._alarms = alarms
        self._limits = thresholds(settings)
        self._absence_ms = settings.absence_s * 1000
        self._every_s = look_every(settings)
        self._found = found
        self._wall = wall
        self._monotonic = monotonic
        self._watch: Watch | None = None
        self._looked_at: float | None = None
        self._blind = False
        self.vitals: AuthorityVitals | None = None
        """What the last look saw; None before the first, and while the log does not tell."""

    async def run(self, stop: asyncio.Event) -> None:
        """Look at once and until ``stop``; to be supervised."""
        while not stop.is_set():
            await self.look()
            await wait_set(stop, self._every_s)

    async def look(self) -> None:
        """One look, and what follows from it."""
        at = self._monotonic()
        missed = self._looked_at is not None and at - self._looked_at >= self._limits.gap_s
        try:
            standing = await self._judge(await self._desk.standing(), at, missed=missed)
        except (RedisError, OSError, msgspec.MsgspecError) as error:
            self._lose_sight(error)
            return
        if self._blind:
            log.info("authority_watched_again")
        self._blind, self._looked_at = False, self._monotonic()
        self.vitals = AuthorityVitals.of(standing)
        self._tell(standing)

    def _lose_sight(self, error: Exception) -> None:
        """What was seen before says nothing of the time until the log answers again."""
        told = log.debug if self._blind else log.warning
        told("authority_not_watched", error=str(error), remedy="nothing is judged before the log answers")
        self._blind, self._watch, self._looked_at, self.vitals = True, None, None, None

    async def _judge(self, standing: Authority, at: float, *, missed: bool) -> Authority:
        """The record after this look. A frozen account is judged by the audit that unfreezes it, not here."""
        if standing.frozen or not standing.recorded:
            self._watch = None
            return await self._breached(standing)
        if not missed and (frozen := await self._frozen_for_absence()) is not None:
            return frozen
        if standing.component is None:
            return standing
        seen = await self._path.evidence(standing, self._wall(), self._found())
        self._watch = watch(self._watch, seen, at, self._limits)
        finding = judge(self._watch, seen, self._limits)
        return standing if finding is None else await self._act(standing, finding, seen)

    async def _breached(self, standing: Authority) -> Authority:
        """Under freeze only what this process saw itself counts: the record gets one more trigger."""
        began = standing.freeze.get("at", "")
        if not began.isdecimal():
            return standing
        # The audit that ends the freeze is younger than the last of them, so what was found before that is judged as well.
        known = max((one.at for one in standing.triggers if one.trigger is Trigger.BREACH), default=0)
        for found in self._found():
            if found.ground is Ground.BREACH and found.at >= int(began) and found.at > known:
                return await self._desk.freeze(Trigger.BREACH, found.what)
        return standing

    async def _frozen_for_absence(self) -> Authority | None:
        gone = await absence(self._wire, self._keys, self._wall())
        if gone is None or gone.ms <= self._absence_ms:
            return None
        return await self._desk.freeze(Trigger.ABSENCE, gone.reason, absent=gone.last)

    async def _act(self, standing: Authority, finding: Finding, seen: Evidence) -> Authority:
        self._watch = None
        reason = (
            f"{finding.what}: {finding.subject} (seen {finding.seen}, allowed {finding.threshold})"
            if finding.subject
            else finding.what
        )
        log.critical(
            "authority_ends",
            component=seen.component,
            ground=finding.ground,
            trigger=finding.trigger,
            reason=reason,
            evidence=msgspec.json.encode(seen).decode(),
        )
        if finding.ground is None:
            return await self._desk.freeze(finding.trigger, reason)
        try:
            return await self._desk.demote(seen.component, finding.ground, reason)
        except CantChange as error:
            log.info("demoted_already", why=str(error))
            return standing

    def _tell(self, standing: Authority) -> None:
        """The alarms that follow from the record, whoever changed it: the ledger makes each one alarm."""
        freeze = standing.freeze
        if standing.frozen:
            self._alarms.raise_(
                AlarmKind.FROZEN,
                _SCOPE,
                f"the account is frozen: {'; '.join(cause.reason for cause in standing.triggers) or freeze.get('reason', '')}",
                "; ".join(standing.ways_out) or "`sureclose authority show` tells the ways out",
                triggers=" ".join(cause.trigger for cause in standing.triggers) or freeze.get("kind", ""),
                since=freeze.get("at", ""),
                positions=freeze.get("positions", "not read"),
            )
        else:
            self._alarms.clear(AlarmKind.FROZEN, _SCOPE)
        demoted = "" if standing.component else freeze.get("demoted", "")
        for key in tuple(self._alarms.standing):
            if key.kind is AlarmKind.DEMOTED and key.subject != demoted:
                self._alarms.clear(key.kind, key.subject)
        if demoted:
            self._alarms.raise_(
                AlarmKind.DEMOTED,
                demoted,
                f"{demoted} has lost the grant: {freeze.get('ground', '')}: {freeze.get('why_demoted', '')}",
                "find the cause; then `sureclose prove`, `sureclose audit` and `sureclose authority grant NAME --audit ID`",
                ground=freeze.get("ground", ""),
                reason=freeze.get("why_demoted", ""),
            )
