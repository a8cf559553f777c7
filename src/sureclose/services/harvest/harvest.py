"""Harvest: looks at every open position, asks its policy, and publishes what that proposes."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

import msgspec
import structlog
from redis.exceptions import RedisError

from sureclose.domain.harvest.kill_score import KLINES
from sureclose.domain.harvest.looking import view_of
from sureclose.domain.harvest.policy import Condition, Judgement, NoDecision, Proposal, View
from sureclose.domain.harvest.reference import scores_of
from sureclose.domain.harvest.wishes import Fate, Kept, ended, why_not_now
from sureclose.domain.market import Position
from sureclose.journal.harvest import HarvestBook, field_of
from sureclose.journal.store import Journal
from sureclose.services import identity
from sureclose.services.harvest.asker import BROKEN, Asker, fall_back
from sureclose.services.harvest.candles import Candles
from sureclose.services.harvest.conditions import Conditions
from sureclose.services.harvest.fates import fate_of
from sureclose.services.harvest.health import HarvestHealth, PositionHealth, health_of, parsed
from sureclose.services.harvest.ledger import Ledger
from sureclose.services.harvest.proposing import Proposing
from sureclose.services.harvest.shadows import Shadow
from sureclose.services.settings_harvest import HarvestSettings
from sureclose.services.sight import Sight
from sureclose.streams.errors import LogProblem
from sureclose.streams.wire import wait_set
from sureclose.venue.clock import VenueClock

log = structlog.get_logger()

ROUND_S: Final = 0.5
"""At least so often everything is judged anew: fates, ages and conditions change without any news."""
LEAST_S: Final = 0.1
"""At most so often, however much is told: each position takes a millisecond, and closes may have the same processor."""
SHARE: Final = 3
"""So many times as long as a round took nobody is judged."""
TELL_S: Final = 1.0
"""How often the document of its health is renewed; it is old after three times that."""
STALE_MS: Final = 3 * round(TELL_S * 1000)
NEWS_S: Final = 0.5
"""How often it is at most, while something changes."""
PROTECTIVE: Final = "protective"
"""Who judged where the policy failed: the rules that protect."""


class Harvest:
    """One process of it. ``wall`` gives the log's milliseconds, ``monotonic`` seconds, ``clock`` is the venue's."""

    def __init__(
        self,
        sight: Sight,
        candles: Candles,
        ledger: Ledger,
        asker: Asker,
        proposing: Proposing,
        shadows: Sequence[Shadow],
        journal: Journal,
        conditions: Conditions,
        book: HarvestBook,
        settings: HarvestSettings,
        *,
        clock: VenueClock,
        wall: Callable[[], int],
        monotonic: Callable[[], float],
        worker: str,
        started_at: int,
    ) -> None:
        self._sight = sight
        self._candles = candles
        self._ledger = ledger
        self._asker = asker
        self._proposing = proposing
        self._shadows = tuple(shadows)
        self._journal = journal
        self._conditions = conditions
        self._book = book
        self._settings = settings
        self._limits = settings.limits
        self._clock = clock
        self._wall = wall
        self._monotonic = monotonic
        self._worker = worker
        self._started_at = started_at
        self._news = asyncio.Event()
        self._seen: tuple[PositionHealth, ...] = ()
        self._failures: dict[str, str] = {}
        """By position, what was last said of a failure of ours: it is said once."""
        self._changed = True
        self._ended: dict[str, tuple[str, int]] = {}
        """By position, the last wish that is known to have ended and a venue time after that: what was read before is too old."""
        self._speaks = False
        """Whether it is this process that tells of health and conditions."""
        self.log_answers: bool | None = None

    def wake(self, _symbol: str = "") -> None:
        """A price or a position changed: judge soon."""
        self._news.set()

    # The round -----------------------------------------------------------------------------------------------------

    async def run(self, stop: asyncio.Event) -> None:
        """Judge and propose until ``stop``; to be supervised."""
        try:
            while not stop.is_set():
                self._news.clear()
                began = self._monotonic()
                try:
                    await self.round()
                    self.log_answers = True
                except (RedisError, LogProblem, OSError) as error:
                    if self.log_answers is not False:
                        log.warning(
                            "harvest_log_lost", error=str(error), remedy="nothing is proposed meanwhile"
                        )
                    self.log_answers = False
                if await wait_set(stop, max(LEAST_S, SHARE * (self._monotonic() - began))):
                    break
                await self._either(stop)
        finally:
            await self._ledger.aclose()

    async def _either(self, stop: asyncio.Event) -> None:
        waits = [asyncio.create_task(event.wait()) for event in (stop, self._news)]
        try:
            await asyncio.wait(waits, timeout=ROUND_S, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def round(self) -> None:
        """One look at everything that is open. Raises what the log raises."""
        blind = self._sight.blind
        if blind or not self._sight.has_seen or not self._clock.measured:
            self._seen = ()
            if blind and self._speaks:
                self._conditions.tell(blind, None, self._askers)
            return
        positions = self._sight.positions
        await self._ledger.refresh()
        await self._ledger.look(positions)
        before = self._seen
        self._seen = await self._all(positions)
        fields = {_field(position) for position in positions}
        for asker in self._askers:
            asker.forget_all_but(fields)
        if self._speaks:
            self._conditions.tell("", self._seen, self._askers)
        self._changed = self._changed or before != self._seen

    async def _all(self, positions: Sequence[Position]) -> tuple[PositionHealth, ...]:
        """Each in its own time; one that fails fails alone, but for the log, which is everybody's."""
        found = await asyncio.gather(*map(self._attend, positions), return_exceptions=True)
        for one in found:
            if isinstance(one, BaseException):
                raise one
        return tuple(one for one in found if isinstance(one, PositionHealth))

    @property
    def _askers(self) -> tuple[Asker, ...]:
        return (self._asker, *(shadow.asker for shadow in self._shadows))

    async def _attend(self, position: Position) -> PositionHealth:
        """One position; whatever is wrong with it is said of it, and of no other."""
        try:
            found = await self._judged(position)
        except (RedisError, LogProblem, OSError):
            raise
        except Exception as error:
            what = f"{type(error).__name__}: {error}"
            if self._failures.get(_field(position)) != what:
                log.exception("harvest_position_failed", symbol=position.symbol)
            self._failures[_field(position)] = what
            found = health_of(position, None, None, NoDecision(Condition.POLICY_UNDECIDED, what))
        else:
            self._failures.pop(_field(position), None)
        undecided = self._conditions.undecided_s(found.subject, found.answer)
        return msgspec.structs.replace(found, undecided_s=undecided)

    async def _judged(self, position: Position) -> PositionHealth:
        mark = self._sight.mark(position.symbol)
        kept = await self._settled(position)
        doubt = self._ledger.doubt(position)
        if kept is None or doubt:
            unclear = NoDecision(Condition.EPISODE_UNCLEAR, doubt or "it is not known yet")
            return health_of(position, mark, kept, unclear)
        if position.requested_at <= self._ended_by(position, kept):
            unread = NoDecision(Condition.POSITION_STALE, "it has not been read since its last close ended")
            return health_of(position, mark, kept, unread)
        view = view_of(
            position,
            mark,
            self._candles.of(position.symbol),
            kept.followed.episode,
            self._clock.earliest(),
            stop_distance=self._settings.stop_distance_of(position.symbol),
            limits=self._limits,
        )
        if isinstance(view, NoDecision):
            return health_of(position, mark, kept, view)
        if any(doubt.condition is Condition.MARK_ABSURD for doubt in view.doubts):
            self._sight.wake()  # where the market moved so far, the next read of the position says so too
        judgement, by = await self._ask(view)
        wait = ""
        if isinstance(judgement, NoDecision) and judgement.condition in KLINES:
            judgement = self._with_reason(judgement, position.symbol)
        if isinstance(judgement, Proposal):
            kept, wait = await self._propose(kept, position, judgement, by)
        for shadow in self._shadows:
            shadow.show(view, kept.followed)
        return health_of(position, mark, kept, judgement, by=by, wait=wait, scores=scores_of(view))

    async def _ask(self, view: View) -> tuple[Judgement, str]:
        """The policy's answer; where it has none for a fault of its own, what protects (incident 26)."""
        field = _field(view.position)
        answer = await self._asker.ask(field, view)
        if isinstance(answer, NoDecision) and answer.condition in BROKEN:
            return fall_back(view, answer), PROTECTIVE
        return answer, self._asker.name

    def _with_reason(self, found: NoDecision, symbol: str) -> NoDecision:
        """Why there are no klines, where their last read failed."""
        why = self._candles.why(symbol)
        return NoDecision(found.condition, f"{found.why}: {why}") if why else found

    async def _propose(self, kept: Kept, position: Position, proposal: Proposal, by: str) -> tuple[Kept, str]:
        wait = why_not_now(kept, proposal, self._wall())
        if wait:
            return kept, wait
        if await self._proposing.propose(kept, position, proposal, by) is None:
            return kept, "another process wrote to the book meanwhile"
        return self._ledger.row(position).kept or kept, ""

    async def _settled(self, position: Position) -> Kept | None:
        """What is known of it, after what became of its last wish was looked up."""
        row = self._ledger.row(position)
        kept = row.kept
        if kept is None or kept.wish is None or kept.wish.is_over:
            return kept
        now = self._wall()
        fate, outcome = await fate_of(self._journal, kept.wish, now)
        if fate is kept.wish.fate:
            return kept
        after = ended(kept, fate, outcome, now)
        if not await self._ledger.write(_field(position), row, after):
            return kept
        told = log.info if fate in {Fate.TAKEN, Fate.TOO_SMALL} else log.warning
        told(
            "harvest_wish_ended", symbol=position.symbol, name=kept.wish.name, fate=str(fate), outcome=outcome
        )
        return after

    def _ended_by(self, position: Position, kept: Kept) -> int:
        """When its last wish was seen to have ended, here or by another process; venue milliseconds, 0 where none has."""
        wish, field = kept.wish, _field(position)
        if wish is None or wish.fate is Fate.PENDING:
            return 0
        known = self._ended.get(field)
        if known is None or known[0] != wish.intent_id:
            known = self._ended[field] = (wish.intent_id, self._clock.latest())
            self._sight.wake()
        return known[1]

    # What it says --------------------------------------------------------------------------------------------------

    async def tell(self, stop: asyncio.Event) -> None:
        """Keep the document of its health young until ``stop``; to be supervised."""
        due = 0.0
        while not await wait_set(stop, NEWS_S):
            if not self._changed and self._monotonic() < due:
                continue
            due, self._changed = self._monotonic() + TELL_S, False
            try:
                await self.speak()
            except RedisError as error:
                log.debug("harvest_health_not_kept", error=str(error))

    async def speak(self) -> None:
        """Say how it is, unless another process does: two that see differently must not contradict each other for ever.

        Raises what the log raises.
        """
        said = parsed(await self._book.health())
        fresh = said is not None and self._wall() - said.at <= STALE_MS
        self._speaks = said is None or not fresh or said.worker == self._worker
        if self._speaks:
            await self._book.keep_health(self.health().document())

    def health(self) -> HarvestHealth:
        """What is so now, without asking anybody."""
        unseen = "" if self._sight.has_seen else f"positions have not been read yet: {self._sight.why}"
        return HarvestHealth(
            at=self._wall(),
            started_at=self._started_at,
            worker=self._worker,
            host=identity.host(),
            pid=identity.producer(PROTECTIVE).pid,
            policy=self._asker.name,
            shadow=tuple(shadow.asker.name for shadow in self._shadows),
            blind=self._sight.blind or unseen,
            positions=self._seen,
            faults={asker.name: asker.fault for asker in self._askers if asker.fault},
        )


def _field(position: Position) -> str:
    return field_of(position.symbol, str(position.position_side))
