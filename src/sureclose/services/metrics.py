"""The numbers of this process for Prometheus: counters of what was told, gauges of what is so when they are read.

Every label comes from a closed set, and what is in none is "other": a producer's free text must not become a time series
(incident 85). What is not known has no sample; a zero would be a claim.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Final, TypeVar

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from sureclose.domain.authority import Component
from sureclose.domain.events import Decision
from sureclose.domain.facts import Sending
from sureclose.domain.market import TERMINAL_STATUSES
from sureclose.domain.outcome import OutcomeKind, Report
from sureclose.domain.words import Verdict as Decided
from sureclose.journal.verdict import Verdict as Gate
from sureclose.services.supervisor import TaskState
from sureclose.services.vitals import LeaseState, Vitals
from sureclose.services.witness import Witness
from sureclose.streams.codec import NotACloseReason
from sureclose.streams.stage import Kind
from sureclose.venue.codes import CODES

OTHER: Final = "other"
CONTENT_TYPE: Final = CONTENT_TYPE_LATEST

ENTRY_REASONS: Final = frozenset(
    {
        *map(str, NotACloseReason),
        *(verdict.lower() for verdict in Decided),
        *("intent", "plan", "expired", "duplicate", "payload_lost", "unreadable"),
        *("stage_failed", "finished_elsewhere", "observed", "handed_over"),
    }
)
OUTCOME_REASONS: Final = frozenset(
    {
        "",
        *(verdict.lower() for verdict in Gate),
        *("expired", "unknown_symbol", "below_step", "other_side"),
        *("position_changed", "position_reopened", "position_reversed"),
    }
)
_GRANTABLE: Final = (str(Component.EXECUTION_SERVICE), str(Component.HARVEST_BRAIN))
REFUSAL_CODES: Final = frozenset(map(str, CODES))
ANSWERS: Final = TERMINAL_STATUSES | {"NEW", "PARTIALLY_FILLED", "REFUSED", "UNKNOWN", "NOT_SENT"}

_Labels = TypeVar("_Labels", bound=tuple[str, ...])


class Witnesses:
    """Several witnesses as one: each is told everything."""

    def __init__(self, *witnesses: Witness) -> None:
        self._witnesses = witnesses

    def approved(self, plan_id: str) -> None:
        for witness in self._witnesses:
            witness.approved(plan_id)

    def elsewhere(self, plan_id: str) -> None:
        for witness in self._witnesses:
            witness.elsewhere(plan_id)

    def sent(self, decision: Decision, sending: Sending, answer: str) -> None:
        for witness in self._witnesses:
            witness.sent(decision, sending, answer)

    def ended(self, report: Report) -> None:
        for witness in self._witnesses:
            witness.ended(report)


class Metrics(Collector):
    """What happened and what is so, in a registry of its own. An ``Observe`` of stages and a ``Witness`` of closes.

    ``stages`` are the names that may become labels. ``vitals`` is asked at each read. None of the methods that are
    told something raises, whatever they are told: they are called between an order and its record.
    """

    def __init__(
        self, vitals: Callable[[], Vitals], monotonic: Callable[[], float], *, stages: Collection[str]
    ) -> None:
        self._vitals = vitals
        self._monotonic = monotonic
        self._stages = frozenset(stages)
        self._beat_at: float | None = None
        self.entries: Counter[tuple[str, str, str]] = Counter()
        """By stage, kind and reason."""
        self._begun: set[str] = set()
        self.approvals = 0
        """Closes taken in or up here: each is ended, elsewhere, or under way."""
        self.left = 0
        """Those that turned out to be elsewhere."""
        self.outcomes: Counter[tuple[str, str]] = Counter({(kind, ""): 0 for kind in OutcomeKind})
        self.orders: Counter[tuple[str, str]] = Counter()
        """By answer and, where it is a refusal, the venue's code."""
        self.registry = CollectorRegistry()
        self.registry.register(self)

    def __call__(self, stage: str, kind: Kind, reason: str) -> None:
        self.entries[_among(self._stages, stage), kind.value, _among(ENTRY_REASONS, reason)] += 1

    def approved(self, plan_id: str) -> None:
        """A close was taken in, or taken up again; said again of one under way, it is the same close."""
        if plan_id not in self._begun:
            self._begun.add(plan_id)
            self.approvals += 1

    def elsewhere(self, plan_id: str) -> None:
        """Its outcome was recorded already, or another process has it; of one that did not begin here, it is no news."""
        if plan_id in self._begun:
            self._begun.discard(plan_id)
            self.left += 1

    def sent(self, decision: Decision, sending: Sending, answer: str) -> None:  # noqa: ARG002 - symbols are no labels
        """``answer`` is an order status, UNKNOWN, NOT_SENT, or REFUSED and the venue's code."""
        word, _, code = answer.partition(" ")
        self.orders[_among(ANSWERS, word), code and _among(REFUSAL_CODES, code)] += 1

    def ended(self, report: Report) -> None:
        outcome = report.outcome
        self._begun.discard(report.plan_id)
        self.outcomes[outcome.kind.value, _among(OUTCOME_REASONS, outcome.reason)] += 1

    def beat(self) -> None:
        """A heartbeat was written."""
        self._beat_at = self._monotonic()

    @property
    def entries_read(self) -> int:
        """Entries that came to their end here; read = emitted + dropped + kept + dead + lost."""
        return self.entries.total()

    def exposition(self) -> bytes:
        """The text that Prometheus reads, of type ``CONTENT_TYPE``."""
        return generate_latest(self.registry)

    def collect(self) -> Iterable[Metric]:
        yield from self._counters()
        yield from self._gauges(self._vitals(), self._monotonic())

    def _counters(self) -> Iterator[Metric]:
        yield _counter(
            "entries", "Entries that came to their end.", ("stage", "kind", "reason"), self.entries
        )
        yield _counter("closes_approved", "Closes taken in or up.", (), {(): self.approvals})
        yield _counter("closes_elsewhere", "Closes that another has or had.", (), {(): self.left})
        yield _counter("closes_ended", "Closes by outcome.", ("outcome", "reason"), self.outcomes)
        yield _counter("orders", "Orders by answer.", ("answer", "code"), self.orders)

    def _gauges(self, vitals: Vitals, now: float) -> Iterator[Metric]:
        read_at = {name: stage.health.last_read_at for name, stage in vitals.stages.items()}
        ages = {self._stage(name): now - at for name, at in read_at.items() if at is not None}
        lags = {self._stage(name): stage.lag for name, stage in vitals.stages.items()}
        tasks = Counter(task.state for task in vitals.tasks)
        clock_error = None if vitals.clock is None else vitals.clock.error_ms
        unheld = None if vitals.lease in {None, LeaseState.UNKNOWN} else 0
        held = 1 if vitals.lease is LeaseState.HELD else unheld
        beat = None if self._beat_at is None else now - self._beat_at
        yield _gauge("last_read_age_seconds", "Since the last successful read.", ages, "stage")
        yield _gauge("lag_entries", "Entries of the group not delivered yet.", lags, "stage")
        lost = {self._stage(name): stage.health.trimmed_unread for name, stage in vitals.stages.items()}
        yield _gauge("trimmed_unread_entries", "Entries that were gone before they were read.", lost, "stage")
        yield _gauge("closes_under_way", "Closes under way.", {"": vitals.under_way})
        yield _gauge("closes_broken", "Closes that can't go on here.", {"": len(vitals.broken)})
        yield _gauge("tasks_alive", "Background tasks that live.", {"": tasks[TaskState.ALIVE]})
        yield _gauge("tasks_dead", "Background tasks that died.", {"": tasks[TaskState.DEAD]})
        yield _gauge("venue_weight_used", "Request weight in this minute.", {"": vitals.weight_used})
        yield _gauge("venue_clock_error_ms", "How far the venue's time may be off.", {"": clock_error})
        yield _gauge("lease_held", "1 while this process may execute.", {"": held})
        yield _gauge("frozen", "1 while no grant counts.", {"": _frozen(vitals)})
        yield _gauge("grant", "1 for the component that has the grant.", _granted(vitals), "component")
        yield _gauge("heartbeat_age_seconds", "Since the last heartbeat line.", {"": beat})
        yield _gauge("alarms", "Alarms that stand in the account.", vitals.alarms or {}, "kind")

    def _stage(self, name: str) -> str:
        return _among(self._stages, name)


def _frozen(vitals: Vitals) -> int | None:
    return None if vitals.authority is None else int(vitals.authority.frozen)


def _granted(vitals: Vitals) -> Mapping[str, float | None]:
    """Zero for all that could have it; nothing while it is not known."""
    if vitals.authority is None:
        return {}
    has = vitals.authority.component
    every = dict.fromkeys((*_GRANTABLE, *((_among(_GRANTABLE, has),) if has else ())), 0)
    return every | ({_among(_GRANTABLE, has): 1} if has else {})


def _among(known: Collection[str], text: str) -> str:
    return text if text in known else OTHER


def _counter(name: str, about: str, labels: tuple[str, ...], counted: Mapping[_Labels, int]) -> Metric:
    family = CounterMetricFamily(f"sureclose_{name}", about, labels=labels)
    for values, count in counted.items():
        family.add_metric(values, count)
    return family


def _gauge(name: str, about: str, values: Mapping[str, float | None], label: str = "") -> Metric:
    """One sample for each value that is known; with a label, the keys are its values."""
    family = GaugeMetricFamily(f"sureclose_{name}", about, labels=[label] if label else [])
    for key, value in values.items():
        if value is not None:
            family.add_metric([key] if label else [], value)
    return family
