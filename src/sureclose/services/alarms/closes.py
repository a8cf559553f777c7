"""The alarms about single closes: parked, of unknown fate, stuck, refused, and orders without their reducing flag."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Final, Protocol

import structlog
from redis.exceptions import RedisError

from sureclose.domain.close import New, State, Unknown
from sureclose.domain.events import Decision
from sureclose.domain.facts import Sending
from sureclose.domain.ids import plain
from sureclose.domain.market import TERMINAL_STATUSES
from sureclose.domain.outcome import OutcomeKind, Report
from sureclose.domain.planning import SAME_INTENT
from sureclose.domain.words import PositionSide
from sureclose.journal.store import Journal
from sureclose.services.alarms.alarm import AlarmKind
from sureclose.services.alarms.board import Alarms
from sureclose.services.alarms.positions import PositionAlarms
from sureclose.streams.wire import wait_set

log = structlog.get_logger()

LOOK_S: Final = 1.0
ASK_S: Final = 5.0
"""How often the log is asked which closes are parked, and whether those that alarms are about are still open."""

UNFLAGGED: Final = frozenset(
    {-1008, -2018, -2019, -4087, -4105, -4106, -4107, -4140, -4164, -4189, -4400, -4401}
)
"""Answers that a reducing order never gets: the venue did not see that it was one (Binance error codes)."""
_ACCEPTED: Final = (TERMINAL_STATUSES | {"NEW", "PARTIALLY_FILLED"}) - {"REJECTED"}


class UnderWay(Protocol):
    """One close of this process."""

    @property
    def plan_id(self) -> str: ...
    @property
    def state(self) -> State: ...


class Executing(Protocol):
    """The close engine, as far as alarms go."""

    @property
    def under_way(self) -> Iterable[UnderWay]: ...
    @property
    def broken(self) -> Mapping[str, str]: ...


class CloseAlarms:
    """A ``Witness`` of the close engine, and the task that looks at what is under way and asks the log.

    ``engine`` gives the engine while this process has the lease. Only then does it judge: another process's closes are
    that process's business. ``monotonic`` gives seconds.
    """

    def __init__(
        self,
        alarms: Alarms,
        positions: PositionAlarms,
        engine: Callable[[], Executing | None],
        journal: Journal,
        *,
        unknown_s: float,
        monotonic: Callable[[], float],
        look_s: float = LOOK_S,
        ask_s: float = ASK_S,
    ) -> None:
        self._alarms = alarms
        self._positions = positions
        self._engine = engine
        self._journal = journal
        self._unknown_s = unknown_s
        self._monotonic = monotonic
        self._look_s = look_s
        self._ask_s = ask_s
        self._unknown_since: dict[str, float] = {}
        self._parked_before: set[str] = set()
        self._ask_fails = False

    # The witness ---------------------------------------------------------------------------------------------------

    def approved(self, plan_id: str) -> None:
        """No alarm: an approval is what we are for."""

    def elsewhere(self, plan_id: str) -> None:
        """No end of an alarm either: whoever has the close now says how it is."""

    def sent(self, decision: Decision, sending: Sending, answer: str) -> None:
        """``answer`` is an order status, NOT_SENT, or REFUSED or UNKNOWN, with the venue's code where it gave one."""
        word, _, code = answer.partition(" ")
        if word in _ACCEPTED:
            self._alarms.clear(AlarmKind.FLAG, decision.symbol)
        elif code.removeprefix("-").isdecimal() and int(code) in UNFLAGGED:
            self._alarms.raise_(
                AlarmKind.FLAG,
                decision.symbol,
                f"the venue answered {code} to an order that reduces: it did not see the reducing flag",
                "compare the order with what the venue recorded of it, and report it; the next accepted order ends this",
                plan_id=decision.plan_id,
                code=code,
                order=order_text(sending),
            )

    def ended(self, report: Report) -> None:
        outcome, plan_id = report.outcome, report.plan_id
        self._alarms.clear(AlarmKind.UNKNOWN, plan_id)
        self._alarms.clear(AlarmKind.STUCK, plan_id)
        if outcome.kind is OutcomeKind.PARKED:
            self._parked(
                plan_id,
                f"the close of {report.symbol} could not be proven: {outcome.reason}",
                symbol=report.symbol,
                reason=outcome.reason,
                filled=plain(report.filled_qty),
                position_after="unknown" if report.position_after is None else plain(report.position_after),
                client_order_ids=" ".join(report.client_order_ids),
            )
        elif outcome.kind is OutcomeKind.REFUSED or _cut_short_by_a_code(report):
            self._positions.refused(report)
        elif outcome.reason == "expired":
            self._positions.expired(report)
        elif outcome.reason == SAME_INTENT and outcome.kind is OutcomeKind.SKIPPED:
            self._positions.same_intent(report)
        if report.left or report.unlisted:
            self._positions.left_over(report)
        if report.cancelled and report.position_after != 0:
            self._positions.unprotected(report, sorted(report.cancelled))

    def _parked(self, plan_id: str, what: str, **facts: str) -> None:
        remedy = f"see `sureclose trace {plan_id}` and the venue, then `sureclose resolve {plan_id}`"
        self._alarms.raise_(AlarmKind.PARKED, plan_id, what, remedy, plan_id=plan_id, **facts)

    # The task ------------------------------------------------------------------------------------------------------

    async def run(self, stop: asyncio.Event) -> None:
        """Look and ask until ``stop``."""
        ask_due = self._monotonic()
        while not await wait_set(stop, self._look_s):
            executing = self._engine()
            if executing is None:
                self._unknown_since.clear()
                continue
            self._look(executing)
            if self._monotonic() >= ask_due:
                ask_due = self._monotonic() + self._ask_s
                try:
                    await self._ask(executing)
                    self._ask_fails = False
                except RedisError as error:
                    told = log.debug if self._ask_fails else log.warning
                    told("parked_closes_not_read", error=str(error))
                    self._ask_fails = True

    def _look(self, executing: Executing) -> None:
        """What this process knows of its own closes."""
        now = self._monotonic()
        states = {closing.plan_id: closing.state for closing in executing.under_way}
        unknown = {plan for plan, state in states.items() if isinstance(state, Unknown)}
        self._unknown_since = {plan: self._unknown_since.get(plan, now) for plan in unknown}
        for plan, since in self._unknown_since.items():
            state = states[plan]
            if now - since >= self._unknown_s and isinstance(state, Unknown):
                self._alarms.raise_(
                    AlarmKind.UNKNOWN,
                    plan,
                    f"whether an order of {state.progress.decision.symbol} was executed is not known",
                    f"the venue's reads fail or contradict each other: `sureclose trace {plan}`; it goes on by itself",
                    plan_id=plan,
                    symbol=state.progress.decision.symbol,
                    order=order_text(state.sending),
                )
        for plan in self._about(AlarmKind.UNKNOWN):
            # One that was just taken up again has not been read back yet: its state says nothing.
            if plan in states and not isinstance(states[plan], Unknown | New):
                self._alarms.clear(AlarmKind.UNKNOWN, plan)
        for plan, why in executing.broken.items():
            self._alarms.raise_(
                AlarmKind.STUCK,
                plan,
                f"the close can't go on in this process: {why}",
                f"a restart resumes it; if that does not help: `sureclose trace {plan}`",
                plan_id=plan,
                why=why,
            )

    async def _ask(self, executing: Executing) -> None:
        """What the log knows: it is right also about closes of processes that are gone."""
        before = self._about(AlarmKind.PARKED)
        doubtful = {
            (kind, plan) for kind in (AlarmKind.UNKNOWN, AlarmKind.STUCK) for plan in self._about(kind)
        }
        parked = set(await self._journal.parked_plans())
        for plan in before - parked:
            self._alarms.clear(AlarmKind.PARKED, plan)
        # Twice seen and not told: whoever parked it died before it could tell.
        for plan in parked & self._parked_before - self._about(AlarmKind.PARKED):
            self._parked(plan, "the close could not be proven and waits for a person")
        self._parked_before = parked
        if not doubtful:
            return
        # What is here while the log is asked may be written there only after it has answered.
        known = _here(executing)
        known |= set(await self._journal.open_plans()) | _here(executing)
        for kind, plan in doubtful:
            if plan not in known:
                self._alarms.clear(kind, plan)

    def _about(self, kind: AlarmKind) -> set[str]:
        return {key.subject for key in self._alarms.standing if key.kind is kind}


def _cut_short_by_a_code(report: Report) -> bool:
    """Whether the venue refused the rest of a close of which a part was filled; its code begins the reason."""
    return report.outcome.kind is OutcomeKind.REDUCED and report.outcome.reason.startswith("-")


def order_text(sending: Sending) -> str:
    """The parameters of an attempt by their names on the wire (POST /fapi/v1/order), from its durable record."""
    side = sending.position.position_side
    limit = sending.limit_price
    values = {
        "symbol": sending.position.symbol,
        "side": sending.side.value,
        "positionSide": side.value,
        "type": "MARKET" if limit is None else "LIMIT",
        "timeInForce": None if limit is None else "IOC",
        "price": None if limit is None else plain(limit),
        "quantity": plain(sending.quantity),
        "reduceOnly": "true" if side is PositionSide.BOTH else None,
        "newClientOrderId": sending.client_order_id,
        "newOrderRespType": "RESULT",
        "recvWindow": str(sending.deadline - sending.timestamp),
        "timestamp": str(sending.timestamp),
    }
    return "&".join(f"{name}={value}" for name, value in values.items() if value is not None)


def _here(executing: Executing) -> set[str]:
    """The closes that this process has, those that are stuck included."""
    return {closing.plan_id for closing in executing.under_way} | set(executing.broken)
