"""From wish to decision: ids that don't depend on who plans or how often, age as the one veto, nothing lost on the way."""

from decimal import Decimal

import msgspec
import pytest

from sureclose.domain.events import EntryRef, Intent, Plan
from sureclose.domain.planning import APPROVED, decision_for, plan_for, too_old
from sureclose.domain.words import AgeSource, Mode, PositionSide, Verdict
from tests.domain.scripts import START

INTENT = Intent(
    intent_id="i",
    symbol="BTCUSDT",
    position_side=PositionSide.LONG,
    action="PARTIAL_50",
    fraction=Decimal("0.50"),
    quantity=None,
    origin_at=START,
    age_source=AgeSource.FIELD,
    expires_at=START + 5_000,
    position_amt=Decimal(-3),
    position_update_time=START - 9,
    reason="because",
    source="tests",
    scores={"kill_score": "0.99", "k_x": "NaN"},
    cause=(EntryRef("a", "1-0"),),
)
FIRST, SECOND = EntryRef("intents", "2-0"), EntryRef("plans", "3-0")


def test_the_same_intent_is_the_same_plan_wherever_it_was_read() -> None:
    once = plan_for(INTENT, FIRST, Mode.PAPER)
    again = plan_for(msgspec.structs.replace(INTENT, fraction=Decimal("0.5")), SECOND, Mode.PAPER)
    assert once.plan_id == again.plan_id


def test_a_wish_is_carried_whole_and_the_cause_grows_by_the_entry_that_was_read() -> None:
    plan = plan_for(INTENT, FIRST, Mode.DEMO)
    decision = decision_for(plan, SECOND, Mode.DEMO, START + 1, 60_000)
    kept = set(Intent.__struct_fields__) - {"cause", "mode"}
    for name in kept:
        assert getattr(decision, name) == getattr(plan, name) == getattr(INTENT, name)
    assert decision.cause == (*INTENT.cause, FIRST, SECOND)
    assert decision.mode is Mode.DEMO


def test_no_score_vetoes_a_close() -> None:
    """Incident 18: a danger score vetoed closes because danger was high."""
    decision = decision_for(plan_for(INTENT, FIRST, Mode.PAPER), SECOND, Mode.PAPER, START, 60_000)
    assert decision.approved
    assert decision.verdict is Verdict.CLOSE
    assert decision.reason_codes == (APPROVED,)
    assert decision.veto is None


@pytest.mark.parametrize(
    ("expires_at", "now", "threshold", "seen"),
    [
        (None, START + 60_001, "max_age 60000 ms", "age 60001 ms (field)"),
        (START + 10, START + 11, "expires_at", "now"),
    ],
)
def test_a_veto_names_its_rule_with_threshold_and_value(
    expires_at: int | None, now: int, threshold: str, seen: str
) -> None:
    plan = plan_for(msgspec.structs.replace(INTENT, expires_at=expires_at), FIRST, Mode.PAPER)
    assert too_old(plan, now - 1, 60_000) is None
    decision = decision_for(plan, SECOND, Mode.PAPER, now, 60_000)
    assert (decision.approved, decision.verdict) == (False, Verdict.SKIP)
    assert decision.veto is not None
    assert decision.veto.rule == "expired"
    assert decision.veto.threshold.startswith(threshold)
    assert decision.veto.seen.startswith(seen)
    assert decision.reason_codes == ("expired",)


def test_a_reason_that_means_allowed_is_not_kept_from_a_refusal() -> None:
    plan = Plan(
        **{name: getattr(INTENT, name) for name in Intent.__struct_fields__},
        plan_id="p",
        reason_codes=("from_plan",),
    )
    late = decision_for(plan, SECOND, Mode.PAPER, START + 9_999, 60_000)
    assert late.reason_codes == ("from_plan", "expired")
