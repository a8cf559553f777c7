"""Verification of a journal by itself: what real closes leave holds, and each rule catches its own forgery.

Every forgery is well chained, so that nothing but the rule in question can find it.
"""

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sureclose.domain import facts
from sureclose.domain.facts import AnyFact, Dead, Ended, Filled, NotSent, Sending, Sized
from sureclose.domain.ids import client_order_id_for
from sureclose.domain.outcome import Outcome, OutcomeKind
from sureclose.domain.words import PositionSide, Side, Verdict
from sureclose.journal.checking.findings import MEANINGS, Against, Rule
from sureclose.journal.checking.stored import Results
from sureclose.journal.claims import RETENTION_MS
from tests.domain.scripts import START, Script
from tests.domain.test_close_histories import PROPERTY, amounts, full, scripts
from tests.journal.verify_cases import (
    ACCOUNT,
    LOST_THEN_FILLED,
    NOW,
    TWO_PARTS,
    UNANSWERED,
    Ledger,
    broken,
    changed,
    check,
    driven,
    examined,
    published,
    put,
    stored,
)

SMALL: Final = Script(position=3_000)
"""One order closes it."""
ONLY_JOURNAL = Against.JOURNAL


def facts_of(script: Script = SMALL) -> list[AnyFact]:
    return list(driven(script).journal.facts)


@settings(PROPERTY, max_examples=300)
@given(
    st.one_of(
        scripts(),
        scripts(**full),
        scripts(**full, **amounts).filter(lambda script: script.fraction or script.quantity),
    )
)
def test_what_a_close_leaves_behind_keeps_every_rule_whatever_happened_to_it(script: Script) -> None:
    history = driven(script)
    report = examined(stored(history.journal.facts), books=Ledger.of(history.world).read())
    assert report.ok, [one for one in report.checks if one.violations]


@pytest.mark.parametrize("script", [SMALL, LOST_THEN_FILLED, TWO_PARTS, UNANSWERED])
def test_every_rule_has_something_to_look_at(script: Script) -> None:
    history = driven(script)
    report = examined(stored(history.journal.facts), books=Ledger.of(history.world).read())
    empty = {(one.rule, one.against) for one in report.checks if one.holds is None}
    alone = {(Rule.I2, Against.JOURNAL), (Rule.I2, Against.EXCHANGE)}
    no_segment = {(Rule.SEGMENTS, Against.JOURNAL)}
    assert empty == (alone if script is SMALL else set()) | no_segment
    assert (report.closes, report.records) == (1, len(history.journal.facts))


def test_without_the_exchanges_records_what_needs_them_neither_holds_nor_fails() -> None:
    report = examined(stored(facts_of()))
    assert report.ok
    for one in report.checks:
        if one.against is Against.EXCHANGE:
            assert (one.holds, one.checked, one.why_not) == (None, 0, "not checked: give --trades")
    assert {(one.rule, one.against) for one in report.checks} == set(MEANINGS)


# One intent --------------------------------------------------------------------------------------------------------


def test_two_plans_of_an_intent_that_were_both_sent_for_a_position_are_told() -> None:
    known = facts_of()
    one, other = stored(known), _of_plan(known, "another", "intent")
    report = examined(one, stored(other, place=START + 100))
    assert broken(report) == {(Rule.INTENT, ONLY_JOURNAL)}
    told = check(report, Rule.INTENT).violations[0]
    assert told.plan_id == "another"
    assert one.plan_id in told.what
    assert len(told.records) == 2


def test_a_plan_that_was_skipped_before_leaves_its_intent_to_another() -> None:
    """Not sent, and skipped: nothing came of it. Sent again behind the other it is the second."""
    known = facts_of()
    skipped = [*known[:3], NotSent(attempt=1, reason="late"), Ended(outcome=Outcome(OutcomeKind.SKIPPED))]
    other = _of_plan(known, "another", "intent")
    assert examined(stored(skipped), stored(other, place=START + 100)).ok
    assert broken(examined(stored(other), stored(skipped, place=START + 100))) == {
        (Rule.INTENT, ONLY_JOURNAL)
    }


def test_sides_are_closes_of_their_own_and_a_claim_that_ran_out_forbids_nothing() -> None:
    known = facts_of()
    other = _of_plan(known, "another", "intent")
    assert examined(stored(known), stored(other, place=START + RETENTION_MS + 100)).ok
    passed = next(fact for fact in other if isinstance(fact, Sending))
    short = msgspec.structs.replace(passed.position, position_side=PositionSide.SHORT)
    aside = changed(other, Sending, put(position=short))
    report = examined(stored(known), stored(aside, place=START + 100))
    assert not check(report, Rule.INTENT).violations
    assert check(report, Rule.INTENT).checked == 2


# I1 to I7 ---------------------------------------------------------------------------------------------------------


def _renamed(known: Sequence[AnyFact], name: str) -> list[AnyFact]:
    """All that is said of the first attempt's order, under another id."""
    old = next(fact.client_order_id for fact in known if isinstance(fact, Sending))
    renamed: list[AnyFact] = []
    for fact in known:
        if isinstance(fact, Sending) and fact.client_order_id == old:
            renamed.append(msgspec.structs.replace(fact, client_order_id=name))
        elif isinstance(fact, facts.Seen | Filled) and fact.order.client_order_id == old:
            order = msgspec.structs.replace(fact.order, client_order_id=name)
            renamed.append(msgspec.structs.replace(fact, order=order))
        else:
            renamed.append(fact)
    return renamed


def test_i1_an_id_that_is_not_the_attempts_own_is_told() -> None:
    plan_id = stored(facts_of()).plan_id
    for name in ("sc-0123456789abcdef", client_order_id_for("sc-", ACCOUNT, plan_id, 2)):
        assert broken(examined(stored(_renamed(facts_of(), name)))) == {(Rule.I1, ONLY_JOURNAL)}
    own = client_order_id_for("harvest-", ACCOUNT, plan_id, 1)
    assert examined(stored(_renamed(facts_of(), own))).ok, "the prefix is configuration"


def test_i1_what_is_told_of_an_attempt_that_was_never_sent_is_told() -> None:
    known = facts_of()
    sending = next(fact for fact in known if isinstance(fact, Sending))
    without = [fact for fact in known if fact is not sending]
    report = examined(stored(without))
    (told, *_) = check(report, Rule.I1).violations
    assert "has no SENDING before it" in told.what
    refused = facts.Answered(attempt=2, answer=facts.Answer.REFUSED, code=-2022)
    report = examined(stored([*known[:3], refused, *known[3:]]))
    (told,) = check(report, Rule.I1).violations
    assert told.what == "attempt 2 is told of, and was never journalled as sent"


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"not_found": 2}, "2 not-found answers"),
        ({"first_not_found_at": START + 60_000, "last_not_found_at": START + 60_999}, "999 ms apart"),
        ({"first_not_found_at": START + 1_500}, "a not-found answer of"),
        ({"evidence_begun_at": START + 2_000}, "its evidence was begun at"),
        ({"foreign_moves": Decimal(1)}, "others' orders explain 1"),
    ],
)
def test_i2_a_proof_of_death_that_lacks_something_is_told(change: dict[str, Any], what: str) -> None:
    forged = changed(facts_of(LOST_THEN_FILLED), Dead, put(**change))
    report = examined(stored(forged))
    assert broken(report) == {(Rule.I2, ONLY_JOURNAL)}
    assert what in check(report, Rule.I2).violations[0].what


def test_i2_a_send_without_any_proof_is_told() -> None:
    without = [fact for fact in facts_of(LOST_THEN_FILLED) if not isinstance(fact, Dead)]
    told = check(examined(stored(without)), Rule.I2).violations[0]
    assert "attempt 2 was sent with no proof that attempt 1" in told.what
    assert len(told.records) == 2


@pytest.mark.parametrize(("http_status", "code"), [(408, None), (400, -1007), (503, -1000)])
def test_i2_a_refusal_that_is_none_proves_nothing(http_status: int, code: int | None) -> None:
    admitted, sized, sending, *others = facts_of()
    assert isinstance(sending, Sending)
    own = client_order_id_for("sc-", ACCOUNT, stored(facts_of()).plan_id, 2)
    again = [
        msgspec.structs.replace(fact, attempt=2, client_order_id=own) if isinstance(fact, Sending) else fact
        for fact in _renamed([sending, *others], own)
    ]
    refused = facts.Answered(attempt=1, answer=facts.Answer.REFUSED, http_status=http_status, code=code)
    definite = msgspec.structs.replace(refused, http_status=400, code=-2022)
    assert examined(stored([admitted, sized, sending, definite, *again])).ok
    report = examined(stored([admitted, sized, sending, refused, *again]))
    assert broken(report) == {(Rule.I2, ONLY_JOURNAL)}


def test_i3_an_outcome_that_was_not_published_is_told() -> None:
    close = stored(facts_of())
    report = examined(close, results=Results(since=0, by_evidence={}))
    assert broken(report) == {(Rule.I3, ONLY_JOURNAL)}
    assert check(report, Rule.I3).violations[0].records == (close.head,)


def test_i3_an_outcome_older_than_what_is_left_of_the_stream_is_not_checkable() -> None:
    for since in (None, NOW):
        report = examined(stored(facts_of()), results=Results(since=since, by_evidence={}))
        assert report.ok
        assert "longer ago than execution.result goes back" in check(report, Rule.I3).unclear[0].what


@pytest.mark.parametrize("state", ["DONE", "SKIPPED", "PARKED"])
def test_i3_a_finished_close_without_an_outcome_is_told(state: str) -> None:
    report = examined(stored(facts_of()[:-1], state=state))
    assert broken(report) == {(Rule.I3, ONLY_JOURNAL)}


@pytest.mark.parametrize("state", ["OPEN", "SKIPPED", "PARKED"])
def test_i3_a_state_that_is_not_the_outcomes_is_told(state: str) -> None:
    assert broken(examined(stored(facts_of(), state=state))) == {(Rule.I3, ONLY_JOURNAL)}


def test_i3_an_acknowledged_entry_of_an_unfinished_close_is_told() -> None:
    known = facts_of()[:3]
    assert examined(stored(known, acknowledged=False)).ok
    assert examined(stored(known, acknowledged=None)).ok
    assert broken(examined(stored(known, acknowledged=True))) == {(Rule.I3, ONLY_JOURNAL)}


def _of_plan(known: Sequence[AnyFact], plan_id: str, intent_id: str = "another-intent") -> list[AnyFact]:
    """The same close as one of another plan, of another intent as well unless it says which."""
    admitted = known[0]
    assert isinstance(admitted, facts.Admitted)
    decision = msgspec.structs.replace(admitted.decision, plan_id=plan_id, intent_id=intent_id)
    own = client_order_id_for("sc-", ACCOUNT, plan_id, 1)
    return _renamed([msgspec.structs.replace(admitted, decision=decision), *known[1:]], own)


def test_i4_two_attempts_in_flight_at_once_are_told() -> None:
    known = facts_of()
    one, other = stored(known), _of_plan(known, "another-plan")
    assert examined(one, stored(other, place=START + 100)).ok
    report = examined(one, stored(other, place=START + 1))
    assert broken(report) == {(Rule.I4, ONLY_JOURNAL)}
    told = check(report, Rule.I4).violations[0]
    assert told.plan_id == "another-plan"
    assert one.plan_id in told.what


def test_i4_an_attempt_that_is_not_settled_keeps_the_position_for_itself() -> None:
    known = facts_of()
    unsettled = stored(known[:3])
    assert broken(examined(unsettled, stored(_of_plan(known, "another"), place=START + 100))) == {
        (Rule.I4, ONLY_JOURNAL)
    }


def test_i4_an_attempt_that_was_given_up_must_be_past_its_window_before_the_next() -> None:
    known = facts_of()
    parked = stored([*known[:3], Ended(outcome=Outcome(OutcomeKind.PARKED, "a contradiction"))])
    early = _of_plan(known, "another")
    late = changed(early, Sending, put(timestamp=START + 30_000, deadline=START + 32_000))
    assert examined(parked, stored(late, place=START + 100)).ok
    assert broken(examined(parked, stored(early, place=START + 100))) == {(Rule.I4, ONLY_JOURNAL)}


@pytest.mark.parametrize(
    "change", [{"quantity": Decimal("3.001")}, {"quantity": Decimal(0)}, {"side": Side.BUY}]
)
def test_i5_an_attempt_that_does_not_reduce_what_was_read_is_told(change: dict[str, Any]) -> None:
    forged = changed(facts_of(), Sending, put(**change))
    assert broken(examined(stored(forged))) == {(Rule.I5, ONLY_JOURNAL)}


@pytest.mark.parametrize(
    "change",
    [
        {"approved": False},
        {"verdict": Verdict.SKIP},
        {"symbol": "ETHUSDT"},
        {"mode": "live"},
        {"expires_at": START - 10_000},
    ],
)
def test_i6_a_send_that_nobody_approved_is_told(change: dict[str, Any]) -> None:
    def forge(admitted: facts.Admitted) -> facts.Admitted:
        return facts.Admitted(decision=put(**change)(admitted.decision), entry=admitted.entry)

    forged = changed(facts_of(), facts.Admitted, forge)
    assert broken(examined(stored(forged))) == {(Rule.I6, ONLY_JOURNAL)}


def test_i6_an_expired_attempt_that_was_withheld_is_none() -> None:
    admitted, sized, sending, *_ = facts_of()
    assert isinstance(admitted, facts.Admitted)
    expired = facts.Admitted(decision=put(expires_at=START - 10_000)(admitted.decision), entry=admitted.entry)
    withheld = facts.NotSent(attempt=1, reason="the gate took more than half of the window")
    ended = Ended(outcome=Outcome(OutcomeKind.SKIPPED, "expired"))
    assert examined(stored([expired, sized, sending, withheld, ended])).ok


def _ended(**more: Any) -> Callable[[Ended], Ended]:
    return lambda ended: msgspec.structs.replace(ended, **more)


def _read_otherwise(**more: Any) -> Callable[[Ended], Ended]:
    return lambda ended: msgspec.structs.replace(ended, position_after=put(**more)(ended.position_after))


@pytest.mark.parametrize(
    "change",
    [
        _ended(position_after=None),
        _read_otherwise(amount=Decimal(1)),
        _read_otherwise(requested_at=START - 1),
        _read_otherwise(update_time=START - 1),
        _ended(outcome=Outcome(OutcomeKind.REDUCED)),
        _ended(outcome=Outcome(OutcomeKind.ALREADY_FLAT)),
        _ended(outcome=Outcome(OutcomeKind.SKIPPED, "expired")),
        _ended(outcome=Outcome(OutcomeKind.REFUSED, "below_step")),
    ],
)
def test_i7_an_outcome_that_its_fills_and_reads_do_not_carry_is_told(
    change: Callable[[Ended], Ended],
) -> None:
    assert broken(examined(stored(changed(facts_of(), Ended, change)))) == {(Rule.I7, ONLY_JOURNAL)}


def test_i7_executed_without_a_fill_is_told() -> None:
    known = facts_of()
    forged = [known[0], known[-1]]
    assert broken(examined(stored(forged))) == {(Rule.I7, ONLY_JOURNAL)}


def test_i7_flat_when_it_came_needs_a_position_that_is() -> None:
    known = facts_of(Script(position=0))
    assert examined(stored(known)).ok
    forged = changed(known, Ended, _read_otherwise(amount=Decimal(1)))
    assert broken(examined(stored(forged))) == {(Rule.I7, ONLY_JOURNAL)}


def test_i7_a_part_that_is_smaller_than_asked_needs_a_reason() -> None:
    known = facts_of(Script(position=3_000, fraction="0.5"))
    assert examined(stored(known)).ok
    less = changed(known, Sized, put(target=Decimal("2.000")))
    assert broken(examined(stored(less))) == {(Rule.I7, ONLY_JOURNAL)}
    because = changed(less, Ended, _ended(outcome=Outcome(OutcomeKind.REDUCED, "frozen")))
    assert examined(stored(because)).ok


def test_i7_fills_that_do_not_add_up_to_their_order_are_told() -> None:
    def more(filled: Filled) -> Filled:
        return Filled(
            order=put(executed_qty=filled.order.executed_qty * 2)(filled.order), trades=filled.trades
        )

    def other(filled: Filled) -> Filled:
        return Filled(order=filled.order, trades=tuple(put(order_id=1)(trade) for trade in filled.trades))

    def working(filled: Filled) -> Filled:
        return Filled(order=put(status="PARTIALLY_FILLED")(filled.order), trades=filled.trades)

    def twice(filled: Filled) -> Filled:
        order = put(executed_qty=filled.order.executed_qty * 2)(filled.order)
        return Filled(order=order, trades=filled.trades * 2)

    told = {
        more: "and its trades sum to 3.000",
        other: "is not one of order",
        working: "which is no end",
        twice: "is counted twice",
    }
    for change, what in told.items():
        report = examined(stored(changed(facts_of(), Filled, change)))
        assert any(what in one.what for one in check(report, Rule.I7).violations), what


def test_i7_a_result_that_says_something_else_than_its_record_is_told() -> None:
    close = stored(facts_of())
    (said,) = published(close).by_evidence.values()
    for change in ({"executed": False}, {"outcome": "REDUCED"}, {"filled_qty": Decimal(2)}):
        forged = Results(since=0, by_evidence={said.evidence: put(**change)(said)})
        assert broken(examined(close, results=forged)) == {(Rule.I7, ONLY_JOURNAL)}
    stranger = put(evidence="0" * 64)(said)
    both = Results(since=0, by_evidence={said.evidence: said, stranger.evidence: stranger})
    assert broken(examined(close, results=both)) == {(Rule.I7, ONLY_JOURNAL)}


def test_more_filled_than_the_target_is_told() -> None:
    forged = changed(facts_of(), Sized, put(target=Decimal(2)))
    report = examined(stored(forged))
    assert broken(report) == {(Rule.ONE_EFFECT, ONLY_JOURNAL)}
    assert check(report, Rule.ONE_EFFECT).violations[0].what == "3.000 was filled of 2"
