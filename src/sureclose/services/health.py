"""Health is closes confirmed against closes approved, reads that succeed, and tasks that live (incidents 13, 14).

No I/O: vitals and a clock come in, a report goes out. What is not known is said to be not known; it is never a zero, and
never a reason to be well. Counts of reads, acknowledgements and orders have no part in it: they rise while nothing closes.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum
from typing import Final, Self

import msgspec

from sureclose.domain.events import Decision
from sureclose.domain.facts import Sending
from sureclose.domain.outcome import OutcomeKind, Report
from sureclose.domain.planning import SAME_INTENT
from sureclose.services import checks
from sureclose.services.checks import Check, CloseVitals, HealthRules, Level, Merit
from sureclose.services.vitals import Vitals

UNKNOWN_ANSWER: Final = "UNKNOWN"
"""What the close engine says of an order without an answer."""
_STEPS: Final = 60
"""In how many steps the window moves on: they bound the memory, whatever the number of closes."""


class Status(StrEnum):
    """Degraded: approved closes are executed, and somebody should look all the same."""

    OK = "ok"
    DEGRADED = "degraded"
    FAILING = "failing"


class HealthReport(msgspec.Struct, frozen=True):
    """As bad as the worst of its checks."""

    status: Status
    checks: tuple[Check, ...]

    @classmethod
    def of(cls, found: Iterable[Check]) -> Self:
        found = tuple(found)
        levels = {check.status for check in found}
        if Level.FAIL in levels:
            return cls(Status.FAILING, found)
        return cls(Status.DEGRADED if Level.WARN in levels else Status.OK, found)


class Health:
    """What health remembers of closes, and the judgement over it. A ``Witness`` of the close engine.

    ``stages`` names every reader that this process must have: one that is not there is a failure, not silence.
    """

    def __init__(
        self,
        monotonic: Callable[[], float],
        *,
        stages: tuple[str, ...] = (),
        rules: HealthRules = HealthRules(),  # noqa: B008 - immutable
    ) -> None:
        self._monotonic = monotonic
        self._stages = stages
        self._rules = rules
        self._started_at = monotonic()
        self._owed: dict[str, float] = {}
        self._unknown: dict[str, float] = {}
        self._window: deque[tuple[int, Counter[Merit]]] = deque()

    def approved(self, plan_id: str) -> None:
        """A close was taken in, or taken up again after a restart: from now on an outcome is owed."""
        self._owed.setdefault(plan_id, self._monotonic())

    def elsewhere(self, plan_id: str) -> None:
        """Its outcome is recorded already, or another process has it: none is owed here."""
        self._owed.pop(plan_id, None)
        self._unknown.pop(plan_id, None)

    def sent(self, decision: Decision, sending: Sending, answer: str) -> None:  # noqa: ARG002 - the protocol's
        """An answered order is no proof of health; an unanswered one must not stay unresolved."""
        if answer.partition(" ")[0] == UNKNOWN_ANSWER:
            self._unknown.setdefault(decision.plan_id, self._monotonic())
        else:
            self._unknown.pop(decision.plan_id, None)

    def ended(self, report: Report) -> None:
        self.elsewhere(report.plan_id)
        if report.outcome.reason == SAME_INTENT and report.outcome.kind is OutcomeKind.SKIPPED:
            return  # said twice and closed once: nothing was left undone
        step = self._step()
        if not self._window or self._window[-1][0] != step:
            self._window.append((step, Counter()))
            self._forget(step)
        self._window[-1][1][Merit.of(report.outcome)] += 1

    def report(self, vitals: Vitals) -> HealthReport:
        """How this process does. No traffic at all is not a failure."""
        return HealthReport.of(self._health(vitals))

    def ready(self, vitals: Vitals) -> HealthReport:
        """Whether it can do its work now; one that stands by for the lease is ready, and says so."""
        return HealthReport.of(self._readiness(vitals))

    def _health(self, vitals: Vitals) -> Iterator[Check]:
        now, rules = self._monotonic(), self._rules
        yield checks.tasks(vitals)
        yield checks.log(vitals)
        if not vitals.stopping:
            for name in self._names(vitals):
                yield checks.reads(name, vitals.stages.get(name), rules, self._started_at, now)
        if vitals.under_way is not None:
            seen = self._seen(now)
            yield checks.closes(seen, rules)
            yield checks.unknown(seen, rules)
            yield checks.broken(vitals)
        yield from checks.venue_clock(vitals, rules)
        yield from checks.positions(vitals, now)
        yield from checks.user_stream(vitals, rules, now)
        yield from checks.lease(vitals)
        yield checks.authority(vitals)
        yield from checks.alarms(vitals)

    def _readiness(self, vitals: Vitals) -> Iterator[Check]:
        if vitals.stopping:
            yield Check("process", Level.FAIL, "stopping", "ask the process that takes over")
        yield checks.log(vitals)
        for name in self._names(vitals):
            yield checks.reading(name, vitals.stages.get(name))
        yield from checks.venue_clock(vitals, self._rules)
        yield from checks.positions(vitals, self._monotonic())
        yield from checks.lease(vitals)
        yield checks.authority_known(vitals)

    def _names(self, vitals: Vitals) -> Iterable[str]:
        """What must be there, and then whatever else is."""
        return dict.fromkeys((*self._stages, *vitals.stages))

    def _seen(self, now: float) -> CloseVitals:
        self._forget(self._step())
        merits: Counter[Merit] = Counter()
        for _, counted in self._window:
            merits.update(counted)
        return CloseVitals(
            merits=merits,
            owed={plan: now - at for plan, at in self._owed.items()},
            unknown={plan: now - at for plan, at in self._unknown.items()},
        )

    def _step(self) -> int:
        return int(self._monotonic() * _STEPS / self._rules.window_s)

    def _forget(self, step: int) -> None:
        while self._window and self._window[0][0] <= step - _STEPS:
            self._window.popleft()
