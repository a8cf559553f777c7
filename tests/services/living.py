"""Things that the tests of the process's skin are made of: a clock that is set, and a process that is well."""

from decimal import Decimal
from typing import Any

from sureclose.domain.events import Decision
from sureclose.domain.facts import Sending
from sureclose.domain.market import Position
from sureclose.domain.outcome import Outcome, OutcomeKind, Report
from sureclose.domain.words import AgeSource, PositionSide, Side, Verdict
from sureclose.services.supervisor import TaskReport, TaskState
from sureclose.services.vitals import (
    AuthorityVitals,
    ClockVitals,
    LeaseState,
    StageVitals,
    UserStreamVitals,
    Vitals,
    Waits,
)
from sureclose.streams.stage import StageHealth

ALIVE = (TaskReport("execution", TaskState.ALIVE), TaskReport("http", TaskState.ALIVE))


class Clock:
    """Monotonic seconds that only the test moves."""

    def __init__(self, now: float = 1_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def stage(
    last_read_at: float | None,
    *,
    failing_since: float | None = None,
    consumer: str | None = "execution-1",
    lag: int | None = 0,
    waits: Waits | None = None,
    since: float | None = None,
) -> StageVitals:
    health = StageHealth(
        consumer=consumer,
        last_read_at=last_read_at,
        failing_since=failing_since,
        first_entry_at=None,
        in_flight=0,
    )
    return StageVitals(health=health, lag=lag, waits=waits, since=since)


def well(now: float, **other: Any) -> Vitals:
    """An executor that does well at that time, but for what is said otherwise."""
    usual: dict[str, Any] = {
        "tasks": ALIVE,
        "stages": {"execution": stage(now - 0.5)},
        "log_reachable": True,
        "under_way": 0,
        "clock": ClockVitals(trusted=True, error_ms=7),
        "user_stream": UserStreamVitals(down_since=None),
        "lease": LeaseState.HELD,
        "authority": AuthorityVitals(component="execution_service", frozen=False, triggers=()),
        "weight_used": 42,
    }
    return Vitals(**(usual | other))


def ended(plan_id: str, kind: OutcomeKind = OutcomeKind.FLAT, reason: str = "") -> Report:
    return Report(
        intent_id="i",
        plan_id=plan_id,
        symbol="ETHUSDT",
        position_side="BOTH",
        outcome=Outcome(kind, reason),
        executed=kind is OutcomeKind.FLAT,
        filled_qty=Decimal(1),
        avg_price=Decimal(2400),
        position_before=Decimal(1),
        position_after=Decimal(0),
        order_ids=(1,),
        client_order_ids=("sc-1",),
        evidence="",
    )


def decision(plan_id: str) -> Decision:
    return Decision(
        intent_id="i",
        plan_id=plan_id,
        symbol="ETHUSDT",
        position_side=PositionSide.BOTH,
        action="CLOSE",
        fraction=Decimal(1),
        quantity=None,
        origin_at=1,
        age_source=AgeSource.FIELD,
        verdict=Verdict.CLOSE,
        approved=True,
    )


def sending() -> Sending:
    position = Position(
        symbol="ETHUSDT",
        position_side=PositionSide.BOTH,
        amount=Decimal(1),
        entry_price=Decimal(2400),
        mark_price=Decimal(2400),
        update_time=1,
        requested_at=2,
    )
    return Sending(
        attempt=1,
        client_order_id="sc-1",
        side=Side.SELL,
        quantity=Decimal(1),
        timestamp=1,
        deadline=2,
        position=position,
    )
