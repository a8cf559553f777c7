"""The baseline safety controller: fixed rules on open positions, and a full close where one fires and nobody else may act."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

import msgspec
import structlog
from redis.exceptions import RedisError

from sureclose.domain.arming import Armed, Arming, why_not
from sureclose.domain.authority import Authority
from sureclose.domain.events import EntryRef
from sureclose.domain.safety import FRESH_MS, Breach, decision_of, intent_id_of, plan_id_of
from sureclose.domain.times import iso_ms
from sureclose.domain.words import PositionSide
from sureclose.journal import authority, lease
from sureclose.journal.lease import Lease
from sureclose.journal.safety import Fired, SafetyBook
from sureclose.journal.verdict import Verdict
from sureclose.services import identity
from sureclose.services.alarms.alarm import AlarmKind
from sureclose.services.alarms.board import Alarms
from sureclose.services.authority.events import authority_event
from sureclose.services.engine import Engine, carried
from sureclose.services.reading import Wiring
from sureclose.services.safety.breaches import Breaches, is_spent, next_tries, one_each
from sureclose.services.safety.eyes import Eyes, Watched
from sureclose.services.safety.health import PositionHealth, SafetyHealth
from sureclose.services.safety.reign import SafetyReign
from sureclose.services.tools import Tools
from sureclose.streams.errors import LogProblem
from sureclose.streams.names import StreamName
from sureclose.streams.wire import Wire, wait_set

log = structlog.get_logger()

ROUND_S: Final = 0.5
TELL_S: Final = 5.0
"""How often the document of its health is renewed; it is old after three times that."""
HEALTH_S: Final = 60.0
AGAIN_S: Final = 30.0
"""After a close of its own stayed unresolved, how long until it is taken up again."""
SUBJECT: Final = "safety"


class _Standing(msgspec.Struct, frozen=True, kw_only=True):
    """What the log says, read together in one round."""

    authority: Authority = Authority()
    arming: Arming | None = None
    holder: str = ""
    epoch: int = 0
    """Of the last reign, whoever's."""
    fired: tuple[Fired, ...] = ()


class SafetyController:
    """Sees, judges, and in its reign closes. What it may do is judged again by the script that records each close.

    ``place`` is where its orders go, ``monotonic`` gives seconds, ``started_at`` is the log's milliseconds.
    """

    def __init__(
        self,
        eyes: Eyes,
        book: SafetyBook,
        reign: SafetyReign,
        tools: Tools,
        wiring: Wiring,
        wire: Wire,
        alarms: Alarms,
        *,
        place: str,
        worker: str,
        started_at: int,
        monotonic: Callable[[], float],
    ) -> None:
        self._eyes = eyes
        self._book = book
        self._reign = reign
        self._tools = tools
        self._wiring = wiring
        self._wire = wire
        self._alarms = alarms
        self._place = place
        self._worker = worker
        self._started_at = started_at
        self._monotonic = monotonic
        self._breaches = Breaches()
        self._standing = _Standing()
        self._watched: tuple[Watched, ...] = ()
        self._said_blind = False
        self._event_due = 0.0
        self._has_news = True
        """Something to say before the document is due: an arming, a breach, blindness, a close."""
        self._resolve_due = 0.0
        self._over: int | None = None
        """The epoch of the last reign that is known to be over."""
        self.log_answers: bool | None = None

    # The round -----------------------------------------------------------------------------------------------------

    async def run(self, stop: asyncio.Event) -> None:
        """Judge and act until ``stop``; to be supervised."""
        try:
            while not await wait_set(stop, ROUND_S):
                try:
                    await self._round(stop)
                    self.log_answers = True
                except (RedisError, LogProblem, OSError) as error:
                    if self.log_answers is not False:
                        log.warning("safety_log_lost", error=str(error), remedy="nothing is closed meanwhile")
                    self.log_answers = False
                    self._breaches.forget()
        finally:
            await self._reign.aclose()

    async def _round(self, stop: asyncio.Event) -> None:
        before, standing = self._said, await self._read()
        self._standing = standing
        now = self._tools.clock.now()
        if standing.arming is not None and standing.arming.overdue(now):
            await self._expire(standing.arming, now)
            return
        if standing.arming is None or standing.arming.state is not Armed.EXPIRED:
            self._alarms.clear(AlarmKind.SAFETY_EXPIRED, SUBJECT)
        self._begin_anew(standing)
        blind = self._eyes.blind
        await self._say_blind(blind)
        self._watched = () if blind else self._eyes.judge()
        self._has_news = self._has_news or self._said != before
        breaches = list(next_tries(self._breaches.confirmed(self._watched), standing.fired))
        self._say_spent(breaches)
        wanted = one_each(breach for breach in breaches if not is_spent(breach))
        if any(why_not(standing.authority, standing.arming, standing.holder, self._place, now)):
            wanted = []
        if wanted or await self._owes(standing):
            await self._act(wanted, stop)

    def _begin_anew(self, standing: _Standing) -> None:
        """What was seen before the end of another's reign, an executor's or a controller's, says nothing of what it left."""
        if standing.holder or standing.epoch == self._over:
            return
        if self._over is not None:
            self._forget()
        self._over = standing.epoch

    def _forget(self) -> None:
        self._breaches.forget()
        self._eyes.forget()
        self._eyes.wake()

    @property
    def _said(self) -> tuple[object, ...]:
        """What people wait to hear of, as it was at the last round."""
        answers = (
            (one.position.symbol, one.position.position_side, rule.rule, rule.answer)
            for one in self._watched
            for rule in one.findings
        )
        standing = self._standing
        return bool(self._eyes.blind), standing.arming, standing.authority.frozen, *answers

    async def _read(self) -> _Standing:
        keys = self._tools.journal.keys
        held = await lease.holder(self._wire, keys)
        return _Standing(
            authority=await authority.standing(self._wire, keys),
            arming=await self._book.arming(),
            holder="" if held is None else held.owner,
            epoch=await lease.epoch(self._wire, keys),
            fired=await self._book.fired(),
        )

    async def _owes(self, standing: _Standing) -> bool:
        """Whether a close of its own is unfinished and nobody is there to resolve it. That sends no new order (I8)."""
        if standing.holder or not standing.authority.frozen or self._monotonic() < self._resolve_due:
            return False
        unfinished = set(await self._tools.journal.open_plans())
        return any(one.plan_id in unfinished for one in standing.fired)

    async def _act(self, wanted: list[Breach], stop: asyncio.Event) -> None:
        """One reign, with a close of each position that is in breach: by what was seen a moment ago, not before it."""
        seen_at = self._monotonic()

        async def close(engine: Engine, held: Lease) -> None:
            for breach in wanted:
                if self._monotonic() - seen_at <= FRESH_MS / 1000:
                    await self._close(breach, engine, held)

        try:
            await self._reign.run(close, stop)
        finally:
            self._resolve_due = self._monotonic() + AGAIN_S
            self._over = self._reign.epoch or self._over
            self._forget()

    async def _close(self, breach: Breach, engine: Engine, held: Lease) -> None:
        """The right to this one close and the event of it, in one script; then the close, by the one way there is."""
        account, where = self._tools.journal.keys.account, breach.position
        intent_id = intent_id_of(account, breach)
        facts = {
            "intent_id": intent_id,
            "plan_id": plan_id_of(intent_id, where),
            "symbol": where.symbol,
            "position_side": str(where.position_side),
            "position_amt": f"{where.amount:f}",
            "rule": str(breach.rule),
            "seen": breach.seen,
            "threshold": breach.threshold,
            "try": str(breach.number),
            "epoch": str(held.epoch),
        }
        verdict, entry_id = await self._book.fire(
            held, breach, account, self._place, self._event("CLOSE", facts)
        )
        if verdict is not Verdict.OK:
            log.warning("safety_close_refused", why=str(verdict), **facts)
            return
        log.critical("safety_close", **facts)
        cause = EntryRef(self._wiring.streams.full(StreamName.AUTHORITY_EVENTS), entry_id)
        now, mode = self._tools.clock.now(), self._wiring.rules.mode
        engine.admit(decision_of(account, breach, cause, now, mode), carried(cause))

    # What it says --------------------------------------------------------------------------------------------------

    async def tell(self, stop: asyncio.Event) -> None:
        """Keep the document of its health young, and the event of it due, until ``stop``; to be supervised."""
        due = 0.0
        while not await wait_set(stop, ROUND_S):
            if not self._has_news and self._monotonic() < due:
                continue
            due, self._has_news = self._monotonic() + TELL_S, False
            health, arming = self.health(), self._standing.arming
            try:
                await self._book.keep_health(health.document())
                armed = arming is not None and arming.state is Armed.ARMED
                if arming is not None and armed and self._monotonic() >= self._event_due:
                    self._event_due = self._monotonic() + HEALTH_S
                    await self._book.say(self._event("HEALTH", health.facts(iso_ms(arming.expires_at))))
            except RedisError as error:
                log.debug("safety_health_not_kept", error=str(error))

    def health(self) -> SafetyHealth:
        """What is so now, without asking anybody."""
        standing, now = self._standing, self._tools.clock.now()
        unseen = "" if self._eyes.has_seen else f"positions have not been read yet: {self._eyes.why}"
        blind = self._eyes.blind or unseen
        holder = "" if self._reign.engine is not None else standing.holder
        idle = list(why_not(standing.authority, standing.arming, holder, self._place, now))
        if self.log_answers is False:
            idle.append("the log does not answer")
        if blind:
            idle.append(f"blind: {blind}")
        return SafetyHealth(
            at=now,
            started_at=self._started_at,
            worker=self._worker,
            host=identity.host(),
            pid=self._wiring.producer.pid,
            blind=blind,
            positions=tuple(map(PositionHealth.of, self._watched)),
            idle=tuple(idle),
            acting=self._reign.engine is not None,
        )

    async def _say_blind(self, blind: str) -> None:
        if blind and not self._said_blind:
            await self._book.say(self._event("BLIND", {"why": blind, "worker": self._worker}))
            self._alarms.raise_(AlarmKind.BLIND, SUBJECT, blind, _BLIND_REMEDY)
            log.error("safety_blind", why=blind)
        elif not blind and self._eyes.has_seen:
            self._alarms.clear(AlarmKind.BLIND, SUBJECT)
            if self._said_blind:
                self._event_due = 0.0  # that it sees again is said at once
        if blind or self._eyes.has_seen:
            self._said_blind = bool(blind)

    def _say_spent(self, breaches: list[Breach]) -> None:
        """A rule whose tries are used up fires on: a person has to act. Over when the position is."""
        for breach in breaches:
            if is_spent(breach):
                what = f"{breach.rule} is at {breach.seen} (limit {breach.threshold}) and its closes did not close it"
                self._alarms.raise_(
                    AlarmKind.SAFETY_FAILED, _subject(breach), what, _FAILED_REMEDY, rule=breach.rule
                )
        if not self._eyes.has_seen or self._eyes.blind:
            return
        held = {_where(one.position.symbol, one.position.position_side) for one in self._watched}
        for key in list(self._alarms.standing):
            if key.kind is AlarmKind.SAFETY_FAILED and key.subject not in held:
                self._alarms.clear(AlarmKind.SAFETY_FAILED, key.subject)

    async def _expire(self, arming: Arming, now: int) -> None:
        facts = {"actor": arming.actor, "armed_at": iso_ms(arming.armed_at), "revision": str(arming.revision)}
        if await self._book.end(Armed.EXPIRED, now, SUBJECT, self._event("EXPIRED", facts)):
            log.critical("safety_expired", **facts)
            what = f"its arming by {arming.actor} ended at {iso_ms(arming.expires_at)}: it closes nothing any more"
            self._alarms.raise_(AlarmKind.SAFETY_EXPIRED, SUBJECT, what, _EXPIRED_REMEDY)

    def _event(self, word: str, facts: Mapping[str, str]) -> dict[str, str]:
        producer, mode = self._wiring.producer, self._wiring.rules.mode
        return authority_event(f"BASELINE_SAFETY_{word}", facts, producer, self._tools.clock.now(), mode)


def _where(symbol: str, side: str) -> str:
    return symbol if side == PositionSide.BOTH else f"{symbol}:{side}"


def _subject(breach: Breach) -> str:
    return _where(breach.position.symbol, breach.position.position_side)


_BLIND_REMEDY: Final = (
    "look at the venue yourself: what is open is watched by nobody; `sureclose doctor` checks key and address"
)
_FAILED_REMEDY: Final = "close it yourself: `sureclose close SYMBOL --wait`, or at the venue; `sureclose trace ID` shows the tries"
_EXPIRED_REMEDY: Final = (
    "decide who executes: `sureclose audit`, `sureclose unfreeze`; or `sureclose safety arm` again"
)
