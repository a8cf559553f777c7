"""The single findings that health and readiness consist of: pure functions, one a finding."""

from collections import Counter
from collections.abc import Iterator
from enum import StrEnum
from typing import Final

import msgspec

from sureclose.domain.outcome import Outcome, OutcomeKind
from sureclose.services.supervisor import TaskState
from sureclose.services.vitals import LeaseState, StageVitals, Vitals, Waits

_SHOWN: Final = 3
"""How many names a finding lists before it only counts."""


class Level(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


class Check(msgspec.Struct, frozen=True):
    """One finding. ``remedy`` is what to do; empty when all is well."""

    name: str
    status: Level
    detail: str
    remedy: str = ""


class HealthRules(msgspec.Struct, frozen=True, kw_only=True):
    """From when on something is not well; ``_s`` is seconds."""

    window_s: float = 900.0
    overdue_s: float = 30.0
    """An approved close without an outcome counts against health from this age on."""
    unknown_s: float = 15.0
    """Above what resolving takes: window 2 s, margin 1 s, spread 1 s, and the reads between."""
    fail_below_percent: int = 50
    read_age_s: float = 10.0
    """A read ends after at most 1 s, with entries or without: ten that are missing are no calm."""
    clock_error_ms: int = 500
    """A quarter of the default window."""
    venue_silent_s: float = 45.0
    """Its time is asked every 20 s (venue.clock_interval_ms): two answers are missing."""
    stream_down_s: float = 30.0


class Merit(StrEnum):
    """What an outcome is worth to health. Only ``CONFIRMED`` did what was approved."""

    CONFIRMED = "confirmed"
    CUT_SHORT = "cut short"
    REFUSED = "refused"
    PARKED = "parked"
    SKIPPED = "skipped"

    @classmethod
    def of(cls, outcome: Outcome) -> "Merit":
        match outcome.kind:
            case OutcomeKind.FLAT | OutcomeKind.ALREADY_FLAT:
                return cls.CONFIRMED
            case OutcomeKind.REDUCED:
                return cls.CUT_SHORT if outcome.reason else cls.CONFIRMED
            case OutcomeKind.REFUSED:
                return cls.REFUSED
            case OutcomeKind.PARKED:
                return cls.PARKED
            case OutcomeKind.SKIPPED:
                return cls.SKIPPED


class CloseVitals(msgspec.Struct, frozen=True):
    """Outcomes in the window, and the ages in seconds of what is owed and of what is unknown, by plan."""

    merits: Counter[Merit]
    owed: dict[str, float]
    unknown: dict[str, float]


def tasks(vitals: Vitals) -> Check:
    """Incident 13: health asks the tasks themselves."""
    dead = [f"{task.name} ({task.why})" for task in vitals.tasks if task.state is TaskState.DEAD]
    if dead:
        remedy = "the process ends with a failure; its log has the traceback (task_died)"
        return Check("tasks", Level.FAIL, f"dead: {', '.join(dead)}", remedy)
    alive = sum(task.state is TaskState.ALIVE for task in vitals.tasks)
    if vitals.stopping:
        return Check("tasks", Level.WARN, f"stopping: {alive} of {len(vitals.tasks)} tasks are not done yet")
    if not alive:
        return Check("tasks", Level.FAIL, "no task runs", "restart the process")
    return Check("tasks", Level.OK, f"{alive} alive")


def log(vitals: Vitals) -> Check:
    if vitals.log_refusal:
        remedy = "nothing is sent meanwhile: log.refuses_writes in the log of the process says what to do"
        return Check("log", Level.FAIL, f"takes no writes: {vitals.log_refusal}", remedy)
    if vitals.log_reachable:
        return Check("log", Level.OK, "answers")
    detail = "has not been asked yet" if vitals.log_reachable is None else "does not answer"
    return Check("log", Level.FAIL, detail, "check that its server runs and that redis.url names it")


_SURE: Final = (
    "wait; continuity_lost in the log of the process says why, and `sureclose reconcile` what is missing"
)


def reads(name: str, stage: StageVitals | None, rules: HealthRules, started_at: float, now: float) -> Check:
    """Reads that succeed, now: counters that stand still prove nothing (incident 14)."""
    title = f"reads.{name}"
    if stage is None:
        return Check(
            title, Level.FAIL, "there is no such reader", "restart the process; report it if it stays"
        )
    if stage.waits is Waits.STANDING_BY:
        return Check(title, Level.OK, "stands by: the lease is another's")
    if stage.waits is Waits.MAKING_SURE:
        return Check(title, Level.WARN, "compares the log with the venue", _SURE)
    failing_since, last_read_at = stage.health.failing_since, stage.health.last_read_at
    if failing_since is not None:
        age = now - failing_since
        level = Level.FAIL if age >= rules.read_age_s else Level.WARN
        return Check(title, level, f"reads fail for {age:.1f} s", "see log.failing in the log of the process")
    if stage.waits is Waits.NO_ROOM:
        remedy = "closes are slower than approvals: see the venue's limits, and execution.most_in_flight"
        return Check(title, Level.WARN, "as many closes are under way as may be", remedy)
    silent = now - max(at for at in (started_at, stage.since, last_read_at) if at is not None)
    if last_read_at is None:
        said = f"no read yet, {silent:.1f} s after it began"
    else:
        said = f"last read {now - last_read_at:.1f} s ago"
    if silent > rules.read_age_s:
        return Check(title, Level.FAIL, said, "it neither reads nor fails: restart the process and report it")
    lost = stage.health.trimmed_unread
    if lost:
        remedy = "see log.entries_lost in the log of the process; compare open positions with the venue"
        return Check(title, Level.WARN, f"{said}; {lost} entries were trimmed before they were read", remedy)
    lag = "not known" if stage.lag is None else stage.lag
    return Check(title, Level.WARN if last_read_at is None else Level.OK, f"{said}, lag {lag}")


def reading(name: str, stage: StageVitals | None) -> Check:
    """Readiness: under a consumer name, and a read has succeeded."""
    title = f"reads.{name}"
    if stage is not None and stage.waits is Waits.STANDING_BY:
        return Check(title, Level.OK, "stands by: the lease is another's")
    if stage is not None and stage.waits is Waits.MAKING_SURE:
        return Check(title, Level.FAIL, "compares the log with the venue", _SURE)
    if stage is None or stage.health.consumer is None:
        return Check(title, Level.FAIL, "has no consumer name yet", "wait; the log names who holds the slots")
    if stage.health.failing_since is not None:
        return Check(title, Level.FAIL, "reads fail", "see log.failing in the log of the process")
    if stage.health.last_read_at is None:
        return Check(title, Level.FAIL, "has not read yet", "wait; the first read takes a second at most")
    return Check(title, Level.OK, f"reads as {stage.health.consumer}")


def closes(seen: CloseVitals, rules: HealthRules) -> Check:
    """Incident 14: what was confirmed against what was approved and is due."""
    overdue = {plan: age for plan, age in seen.owed.items() if age >= rules.overdue_s}
    confirmed = seen.merits[Merit.CONFIRMED]
    against = {merit: n for merit, n in seen.merits.items() if n and merit is not Merit.CONFIRMED}
    skipped = against.get(Merit.SKIPPED, 0)
    due = confirmed + sum(against.values()) - skipped + len(overdue)
    if not due and not skipped:
        return Check("closes", Level.OK, f"none due in {rules.window_s:g} s, {len(seen.owed)} under way")
    parts = [f"{confirmed} of {due} confirmed in {rules.window_s:g} s"]
    parts += [f"{n} {merit}" for merit, n in sorted(against.items())]
    if overdue:
        parts.append(f"{len(overdue)} without an outcome ({_oldest(overdue)})")
    detail = ", ".join(parts)
    if confirmed == due and not skipped:
        return Check("closes", Level.OK, detail)
    level = Level.FAIL if confirmed * 100 < rules.fail_below_percent * due else Level.WARN
    return Check("closes", level, detail, "`sureclose trace ID` shows where each stands and why")


def unknown(seen: CloseVitals, rules: HealthRules) -> Check:
    """Orders whose fate the venue has not told for longer than finding it out should take."""
    long = {plan: age for plan, age in seen.unknown.items() if age >= rules.unknown_s}
    if not long:
        return Check("unknown_orders", Level.OK, f"{len(seen.unknown)} unknown, none for long")
    remedy = "the venue's reads fail or contradict each other: `sureclose trace ID`"
    return Check("unknown_orders", Level.WARN, f"{len(long)} unknown ({_oldest(long)})", remedy)


def broken(vitals: Vitals) -> Check:
    """A close that can't go on here is an approved close that is not executed."""
    if not vitals.broken:
        return Check("broken_closes", Level.OK, "none")
    named = [f"{plan}: {why}" for plan, why in list(vitals.broken.items())[:_SHOWN]]
    more = len(vitals.broken) - len(named)
    detail = "; ".join(named) + (f"; and {more} more" if more else "")
    return Check(
        "broken_closes", Level.FAIL, detail, "a restart resumes them; if they stay: `sureclose trace ID`"
    )


def venue_clock(vitals: Vitals, rules: HealthRules) -> Iterator[Check]:
    clock = vitals.clock
    if clock is None:
        return
    if clock.error_ms is None:
        remedy = "no order can be sent before: check the network and venue.base_url"
        yield Check("venue_clock", Level.FAIL, "not measured yet", remedy)
    elif clock.silent_s > rules.venue_silent_s:
        detail = f"the venue has not told its time for {clock.silent_s:.0f} s"
        yield Check("venue_clock", Level.FAIL, detail, "check that the venue can be reached")
    elif not clock.trusted:
        yield Check(
            "venue_clock", Level.WARN, "contradicted by the venue", "measured again before the next order"
        )
    elif clock.error_ms > rules.clock_error_ms:
        detail = f"known to {clock.error_ms} ms only"
        yield Check("venue_clock", Level.WARN, detail, "the venue is slow to answer, or not at all")
    else:
        yield Check("venue_clock", Level.OK, f"known to {clock.error_ms} ms")


def positions(vitals: Vitals, now: float) -> Iterator[Check]:
    """What can't be read can't be closed, whoever is to blame: keys, network or venue."""
    reads = vitals.positions
    if reads is None:
        return
    if reads.failing_since is None:
        yield Check("positions", Level.OK, "can be read")
        return
    detail = f"can't be read for {now - reads.failing_since:.0f} s: {reads.why or 'not read yet'}"
    remedy = "nothing can be closed before: `sureclose doctor` tells whether it is the key, the network or the venue"
    yield Check("positions", Level.FAIL, detail, remedy)


def user_stream(vitals: Vitals, rules: HealthRules, now: float) -> Iterator[Check]:
    """Never a failure: what the stream would have said, queries find out."""
    stream = vitals.user_stream
    if stream is None:
        return
    down = 0.0 if stream.down_since is None else now - stream.down_since
    if down >= rules.stream_down_s:
        yield Check("user_stream", Level.WARN, f"down for {down:.0f} s", "fills are found by query, later")
    elif stream.doubt:
        yield Check("user_stream", Level.WARN, stream.doubt, "fills are found by query, later")
    else:
        yield Check("user_stream", Level.OK, "connected" if not down else f"connecting for {down:.0f} s")


def lease(vitals: Vitals) -> Iterator[Check]:
    """Both states are well, and they are not the same."""
    match vitals.lease:
        case None:
            return
        case LeaseState.HELD:
            yield Check("lease", Level.OK, "held")
        case LeaseState.STANDING_BY:
            yield Check("lease", Level.OK, "standing by: another process executes, this one takes over")
        case LeaseState.OBSERVING:
            yield Check("lease", Level.OK, "observing: another path has the grant, and executes")
        case LeaseState.UNKNOWN:
            yield Check("lease", Level.FAIL, "not known", "the log does not say: see the finding `log`")


def authority(vitals: Vitals) -> Check:
    """Frozen is no failure of this process, and restarting it would change nothing: people have to look."""
    standing = vitals.authority
    if standing is None:
        return Check("authority", Level.WARN, "not known", "the log does not say: see the finding `log`")
    if standing.frozen:
        why = ", ".join(standing.triggers) or "no trigger recorded"
        remedy = "no machine close is executed; `sureclose authority show` tells why and the ways out"
        return Check("authority", Level.WARN, f"frozen: {why}", remedy)
    if not standing.component:
        remedy = "no machine close is executed; `sureclose authority show` tells what there is"
        return Check("authority", Level.WARN, "nobody has the grant", remedy)
    return Check("authority", Level.OK, f"{standing.component} has the grant")


def mode(vitals: Vitals) -> Iterator[Check]:
    """A dry run is well, and whoever takes it for the real thing has to be told."""
    if vitals.dry_run:
        yield Check("mode", Level.OK, vitals.dry_run)


def authority_known(vitals: Vitals) -> Check:
    """Readiness: a frozen process is ready, for it observes and executes what a person asks for."""
    standing = vitals.authority
    if standing is None:
        return Check(
            "authority", Level.FAIL, "not known", "wait; it is read at the start and every few seconds"
        )
    return Check(
        "authority", Level.OK, "frozen" if standing.frozen else f"granted: {standing.component or 'nobody'}"
    )


def alarms(vitals: Vitals) -> Iterator[Check]:
    """Never a failure of this process by itself: they stand in the account, and a person is told of each."""
    if vitals.alarms is None:
        return
    standing = [f"{count} {kind}" for kind, count in vitals.alarms.items() if count]
    if standing:
        remedy = "each was told, and is in the log of the process (alarm_raised) with what to do"
        yield Check("alarms", Level.WARN, ", ".join(standing), remedy)
    else:
        yield Check("alarms", Level.OK, "none")


def _oldest(ages: dict[str, float]) -> str:
    plan = max(ages, key=lambda name: ages[name])
    return f"oldest {plan}, {ages[plan]:.0f} s"
