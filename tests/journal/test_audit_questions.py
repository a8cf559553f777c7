"""The audit's five questions: each passes on what is there, and each lie fails the question that it is a lie about."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from sureclose.domain.events import EntryRef
from sureclose.domain.facts import AnyFact, Ended, Filled, Resolved, Resumed, Sending
from sureclose.domain.outcome import Outcome, OutcomeKind
from sureclose.domain.words import PositionSide, Side
from sureclose.domain.words import Verdict as Decided
from sureclose.journal.checking.audited import (
    ForeignOrder,
    Link,
    Minimum,
    Presence,
    Probe,
    Question,
    Reduces,
    Verdict,
)
from sureclose.journal.checking.books import Books, BookTrade
from sureclose.journal.checking.findings import MEANINGS
from sureclose.journal.checking.questions import RULES, Material, judge, restarts
from sureclose.journal.checking.stored import Stored
from sureclose.journal.checking.tracing import narrowed
from sureclose.journal.record import Head, Writer, extend
from tests.domain.scripts import Script
from tests.journal.audit_cases import (
    CAUSES,
    COMPONENT,
    FIRST,
    MINIMUM,
    PREFIX,
    RESTART,
    caused,
    close,
    material,
    told,
)
from tests.journal.verify_cases import (
    ACCOUNT,
    LOST_THEN_FILLED,
    TWO_PARTS,
    UNANSWERED,
    Ledger,
    changed,
    driven,
    put,
    stored,
)

PASSES, FAILS, NOTHING = Verdict.PASSES, Verdict.FAILS, Verdict.NOTHING


def failed(questions: Sequence[Question]) -> set[int]:
    return {question.number for question in questions if question.verdict is not PASSES}


def answers(found: Material) -> list[Verdict]:
    return [question.verdict for question in judge(found)]


TWO_ORDERS = Script(position=3_000, fates=TWO_PARTS.fates)


@pytest.fixture
def facts() -> list[AnyFact]:
    return caused(driven(TWO_ORDERS).journal.facts)


@pytest.fixture
def ledger() -> Ledger:
    return Ledger.of(driven(TWO_ORDERS).world)


def of(facts: Sequence[AnyFact], ledger: Ledger, **more: Any) -> Material:
    return material(stored(facts), books=ledger.read(), **more)


# What passes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "script",
    [
        None,
        LOST_THEN_FILLED,
        TWO_PARTS,
        UNANSWERED,
        Script(position=-3_000, hedge=True, other=500, named=True),
    ],
)
def test_a_close_and_a_restart_pass_all_five(script: Any) -> None:
    one, books = close(script)
    found = judge(material(one, books=books.read()))
    assert not failed(found), [told(question) for question in found]
    assert [question.looked_at for question in found[2:]] == [len(books.ours), 1, 1]


def test_every_rule_of_the_examination_is_asked_for_by_exactly_one_question() -> None:
    asked = [key for rules in RULES for key in rules]
    assert len(asked) == len(set(asked))
    assert set(asked) == set(MEANINGS)


# Present evidence ----------------------------------------------------------------------------------------------------


def test_an_empty_account_has_nothing_to_look_at_and_says_what_is_missing() -> None:
    found = judge(material(books=Ledger().read(), reigns=()))
    assert [question.verdict for question in found] == [NOTHING] * 5
    assert all("sureclose prove" in question.to_do for question in found)


def test_fewer_closes_than_asked_for_do_not_pass(facts: list[AnyFact], ledger: Ledger) -> None:
    found = judge(of(facts, ledger, minimum=Minimum(closes=2, restarts=1, exclusive_exits=False)))
    assert failed(found) == {1, 2, 3, 4}
    assert "1 of 2 confirmed closes" in found[3].to_do


def test_fewer_restarts_than_asked_for_do_not_pass(facts: list[AnyFact], ledger: Ledger) -> None:
    assert answers(of(facts, ledger, reigns=(FIRST,)))[4] is NOTHING
    two = Minimum(closes=1, restarts=2, exclusive_exits=False)
    assert answers(of(facts, ledger, minimum=two))[4] is FAILS
    none = Minimum(closes=1, restarts=0, exclusive_exits=False)
    assert answers(of(facts, ledger, reigns=(FIRST,), minimum=none))[4] is PASSES


def test_without_a_recorded_reign_a_minimum_of_no_restarts_does_not_pass_either(
    facts: list[AnyFact], ledger: Ledger
) -> None:
    none = Minimum(closes=1, restarts=0, exclusive_exits=False)
    assert answers(of(facts, ledger, reigns=(), minimum=none)) == [NOTHING] * 5


def test_what_could_not_be_read_passes_nothing(facts: list[AnyFact], ledger: Ledger) -> None:
    found = judge(of(facts, ledger, unread=("orders of BTCUSDT: no answer",)))
    assert failed(found) == {1, 2, 3, 4, 5}
    assert all("no answer" in told(question) for question in found)


def test_what_another_component_sent_is_no_evidence_and_is_listed(
    facts: list[AnyFact], ledger: Ledger
) -> None:
    found = judge(of(facts, ledger, component="harvest_brain"))
    assert [question.verdict for question in found] == [NOTHING] * 5
    assert len(found[0].notes) == len(ledger.ours)
    assert f"was sent by {COMPONENT}" in found[0].notes[0].what


def test_a_rebuilt_order_is_no_evidence_of_who_sent_it(facts: list[AnyFact], ledger: Ledger) -> None:
    rebuilt = changed(changed(facts, Sending, put(rebuilt=True)), Sending, put(rebuilt=True), 1)
    assert answers(of(rebuilt, ledger))[0] is NOTHING


# 1 Only closes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"verdict": Decided.SKIP}, "decision is SKIP"),
        ({"approved": False}, "approved=False"),
        ({"action": "ENTRY_PROPOSED"}, "closes nothing"),
        ({"action": "HOLD"}, "closes nothing"),
        ({"action": "SELL"}, "needs a quantity"),
        ({"fraction": None, "quantity": None}, "no amount"),
    ],
)
def test_an_order_without_an_approved_close_fails_the_first(
    facts: list[AnyFact], ledger: Ledger, change: dict[str, Any], says: str
) -> None:
    found = judge(of(caused(facts, **change), ledger))
    assert 1 in failed(found)
    assert says in told(found[0])
    assert all(remark.remedy for remark in found[0].exceptions)


# 2 Nothing unintended ------------------------------------------------------------------------------------------------


def stranger(ledger: Ledger, **more: Any) -> dict[str, Any]:
    """An order of our prefix that nobody journalled."""
    order = {**ledger.ours[0], "orderId": 77, "clientOrderId": "sc-by-hand", "executedQty": "0", **more}
    ledger.orders.append(order)
    return order


def test_an_order_of_our_prefix_that_the_journal_does_not_know_fails_the_second(
    facts: list[AnyFact], ledger: Ledger
) -> None:
    stranger(ledger)
    found = judge(of(facts, ledger))
    assert failed(found) == {1, 2, 4, 5}
    [remark] = found[1].exceptions
    assert (remark.order_id, remark.client_order_id) == (77, "sc-by-hand")
    assert "I9" in remark.what
    assert "60000 ms" not in told(found[4])


def test_an_attempt_without_order_or_proof_fails_the_second(facts: list[AnyFact], ledger: Ledger) -> None:
    gone = ledger.ours[1]
    ledger.orders.remove(gone)
    found = judge(of(facts, ledger))
    assert 2 in failed(found)
    assert "the exchange has no such order" in told(found[1])


def test_a_plan_filled_beyond_its_target_fails_the_second(facts: list[AnyFact], ledger: Ledger) -> None:
    order = ledger.ours[0]
    trade = {**ledger.fills(order)[0], "id": 999, "qty": "50"}
    ledger.trades.append(trade)
    order["executedQty"] = str(Decimal(order["executedQty"]) + 50)
    found = judge(of(facts, ledger))
    assert 2 in failed(found)
    assert "and the target was" in told(found[1])


def test_two_orders_under_one_id_fail_the_second(facts: list[AnyFact], ledger: Ledger) -> None:
    ledger.orders.append({**ledger.ours[0], "orderId": 78})
    found = judge(of(facts, ledger))
    assert 2 in failed(found)
    assert "is one of 2 with that client order id" in told(found[1])


def foreign(ledger: Ledger, reduces: Reduces, by: str = "") -> ForeignOrder:
    order = next(order for order in ledger.read().orders if not order.client_order_id.startswith("sc-"))
    return ForeignOrder(order=order, reduces=reduces, by=by)


def test_foreign_orders_are_listed_and_a_reducing_one_fails_only_where_exits_are_ours_alone(
    facts: list[AnyFact], ledger: Ledger
) -> None:
    theirs = (foreign(ledger, Reduces.BY_EFFECT), foreign(ledger, Reduces.NO))
    found = judge(of(facts, ledger, foreign=theirs))
    assert not failed(found)
    assert [remark.what.startswith("FOREIGN: BUY") for remark in found[1].notes] == [True, True]
    assert "reduces by its effect" in found[1].notes[0].what
    assert "does not reduce" in found[1].notes[1].what
    exclusive = Minimum(closes=1, restarts=1, exclusive_exits=True)
    found = judge(of(facts, ledger, foreign=theirs, minimum=exclusive))
    assert failed(found) == {2}
    assert (len(found[1].exceptions), len(found[1].notes)) == (1, 1)


def test_a_liquidation_is_the_venues_own_and_nobodys_exit(facts: list[AnyFact], ledger: Ledger) -> None:
    exclusive = Minimum(closes=1, restarts=1, exclusive_exits=True)
    theirs = (foreign(ledger, Reduces.BY_FLAG, by="liquidation"),)
    found = judge(of(facts, ledger, foreign=theirs, minimum=exclusive))
    assert not failed(found)
    assert "the venue's own (liquidation)" in found[1].notes[0].what


def test_a_parked_close_fails_the_second_until_somebody_settles_it(
    facts: list[AnyFact], ledger: Ledger
) -> None:
    parked = changed(facts, Ended, put(outcome=Outcome(OutcomeKind.PARKED, "a doubt")))
    found = judge(of(parked, ledger))
    assert failed(found) == {1, 2, 3, 4}
    assert "parked" in told(found[1])
    assert "sureclose resolve plan" in found[1].exceptions[0].remedy
    last = next(fact for fact in facts if isinstance(fact, Ended)).position_after
    assert last is not None
    trades = tuple(trade for fact in facts if isinstance(fact, Filled) for trade in fact.trades)
    orders = tuple(fact.order for fact in facts if isinstance(fact, Filled))
    settled = Resolved(
        actor="ann",
        reason="looked",
        outcome=Outcome(OutcomeKind.FLAT),
        orders=orders,
        trades=trades,
        position=last,
    )
    found = judge(of([*parked, settled], ledger))
    assert not any(told(question) for question in found)
    assert failed(found) == {1, 2, 3, 4}, "what a person settled is no evidence of what the machine does"


# 3 Every order reducing ----------------------------------------------------------------------------------------------


def test_an_order_without_the_flag_fails_the_third(facts: list[AnyFact], ledger: Ledger) -> None:
    ledger.ours[0]["reduceOnly"] = False
    found = judge(of(facts, ledger))
    assert failed(found) == {3}
    assert "does not say that it reduces" in told(found[2])


def test_an_order_of_our_prefix_by_hand_that_does_not_reduce_fails_the_third(
    facts: list[AnyFact], ledger: Ledger
) -> None:
    stranger(ledger, reduceOnly=False)
    found = judge(of(facts, ledger))
    assert 3 in failed(found)
    assert "does not reduce: reduceOnly=False" in told(found[2])


def test_more_executed_than_was_open_fails_the_third(facts: list[AnyFact], ledger: Ledger) -> None:
    small = put(quantity=Decimal("0.001"))
    position = next(fact for fact in facts if isinstance(fact, Sending)).position
    less = put(position=msgspec.structs.replace(position, amount=Decimal("0.001")))
    found = judge(of(changed(changed(facts, Sending, small), Sending, less), ledger))
    assert 3 in failed(found)
    assert "was open" in told(found[2])


# 4 Every order traceable ---------------------------------------------------------------------------------------------


def test_an_entry_that_is_not_in_its_stream_is_a_missing_link(facts: list[AnyFact], ledger: Ledger) -> None:
    found = judge(of(facts, ledger, presence=Presence.ABSENT))
    assert failed(found) == {4}
    for link in (Link.INTENT, Link.PLAN, Link.DECISION):
        assert f"{link}: {PREFIX}" in told(found[3])
    assert not failed(judge(of(facts, ledger, presence=Presence.TRIMMED)))


def test_a_decision_that_names_no_wish_is_listed_and_is_no_evidence(
    facts: list[AnyFact], ledger: Ledger
) -> None:
    found = judge(of(caused(facts, ()), ledger))
    assert failed(found) == {4}
    assert not found[3].exceptions
    assert "begins at the decision" in found[3].notes[0].what
    found = judge(of(caused(facts, CAUSES[1:]), ledger))
    assert "begins at the plan" in found[3].notes[0].what
    far = (EntryRef("somewhere", "0-1"), *CAUSES)
    assert not failed(judge(of(caused(facts, far), ledger)))


def test_trades_that_do_not_add_up_are_a_missing_link(facts: list[AnyFact], ledger: Ledger) -> None:
    ledger.trades.remove(ledger.fills(ledger.ours[0])[0])
    found = judge(of(facts, ledger))
    assert 4 in failed(found)
    assert "its trades at the venue sum to 0" in told(found[3])


def test_an_order_id_that_no_record_names_is_a_missing_link(facts: list[AnyFact], ledger: Ledger) -> None:
    order = ledger.ours[0]
    for trade in ledger.fills(order):
        trade["orderId"] = 555
    order["orderId"] = 555
    found = judge(of(facts, ledger))
    assert 4 in failed(found)
    assert "order id: no record of its close names order 555" in told(found[3])


def test_a_broken_chain_is_a_missing_link(facts: list[AnyFact], ledger: Ledger) -> None:
    one = stored(facts)
    broken = msgspec.structs.replace(one, records=one.records[:3] + one.records[4:])
    found = judge(material(broken, books=ledger.read()))
    assert 4 in failed(found)
    assert "the chain of its close is broken" in told(found[3])


def test_a_close_under_way_is_neither_for_nor_against(facts: list[AnyFact], ledger: Ledger) -> None:
    first = next(index for index, fact in enumerate(facts) if isinstance(fact, Filled))
    open_close = stored(facts[: first + 1], acknowledged=False)
    ledger.orders.remove(ledger.ours[1])
    found = judge(material(open_close, books=ledger.read()))
    assert not told(found[3])
    assert "is under way" in found[3].notes[0].what
    assert found[3].verdict is NOTHING


# 5 A crash closes nothing --------------------------------------------------------------------------------------------


def test_an_order_of_a_reign_that_neither_admitted_nor_took_up_its_close_fails_the_fifth(
    facts: list[AnyFact], ledger: Ledger
) -> None:
    """The first attempt in epoch 1, the second, after a restart, in epoch 2: only with RESUMED is that a close gone on with."""
    second = [index for index, fact in enumerate(facts) if isinstance(fact, Sending)][1]
    one = _in_two_epochs(facts, second)
    found = judge(material(one, books=ledger.read()))
    assert failed(found) == {5}
    assert "epoch 2 sent it, and had neither admitted" in told(found[4])
    resumed: list[AnyFact] = [*facts[:second], Resumed(worker="w", epoch=2), *facts[second:]]
    found = judge(material(_in_two_epochs(resumed, second), books=ledger.read()))
    assert not failed(found), told(found[4])


def _in_two_epochs(facts: list[AnyFact], then: int) -> Stored:
    whole = stored(facts)
    ids = [entry_id for entry_id, _ in whole.records]
    place = int(ids[0].partition("-")[0])
    plan_id = whole.plan_id
    head, records = extend(
        Head(), plan_id, facts[:then], Writer(ACCOUNT, "w", 1), place, range(place, place + then)
    )
    times = range(place + then, place + len(facts))
    head, later = extend(head, plan_id, facts[then:], Writer(ACCOUNT, "w", 2), place, times)
    return msgspec.structs.replace(
        whole, head=head.hash, records=tuple(zip(ids, [*records, *later], strict=True))
    )


def test_an_order_under_an_epoch_that_no_lease_gave_out_fails_the_fifth(
    facts: list[AnyFact], ledger: Ledger
) -> None:
    one = stored(facts, writer=Writer(ACCOUNT, "worker", 3))
    found = judge(material(one, books=ledger.read()))
    assert "no lease of that epoch is recorded" in told(found[4])
    older = judge(
        of(facts, ledger, reigns=(msgspec.structs.replace(FIRST, epoch=2), RESTART), minimum=MINIMUM)
    )
    assert not told(older[4]), "what is older than the record of leases is no evidence, and no lie"


def probed(*differences: str) -> Probe:
    return Probe(
        began_at=1,
        ended_at=2,
        how="SIGKILL",
        killed=3,
        held_the_lease=False,
        positions=(),
        orders=0,
        differences=differences,
    )


def test_a_probe_that_changed_something_fails_the_fifth(facts: list[AnyFact], ledger: Ledger) -> None:
    assert not failed(judge(of(facts, ledger, probe=probed())))
    found = judge(of(facts, ledger, probe=probed("BTCUSDT BOTH moved from 1 to 0")))
    assert failed(found) == {5}
    assert "moved from 1 to 0" in told(found[4])


def test_the_same_process_taking_its_lease_again_is_no_restart_and_another_components_first_start_neither() -> (
    None
):
    again = msgspec.structs.replace(FIRST, epoch=2)
    brain = msgspec.structs.replace(FIRST, epoch=3, component="harvest_brain", owner="host:1:c")
    new = msgspec.structs.replace(FIRST, epoch=4, owner="host:9:z")
    marked = restarts([FIRST, again, brain, new], complete=True)
    assert [reign.restart for reign in marked] == [False, False, False, True]
    cut = restarts([FIRST, again], complete=False)
    assert [reign.restart for reign in cut] == [True, False]


# Others' orders ------------------------------------------------------------------------------------------------------


def _trade(
    number: int, order: int, side: Side, qty: str, where: PositionSide = PositionSide.BOTH
) -> BookTrade:
    return BookTrade(
        id=number,
        order_id=order,
        symbol="BTCUSDT",
        side=side,
        qty=Decimal(qty),
        price=Decimal(1),
        time=number,
        position_side=where,
    )


def test_whether_a_foreign_order_reduced_is_seen_by_what_its_trades_did() -> None:
    """+2 by order 1, -1 by order 2, -3 by order 3 (through zero), -1 by order 4: now -3."""
    trades = [
        _trade(1, 1, Side.BUY, "2"),
        _trade(2, 2, Side.SELL, "1"),
        _trade(3, 3, Side.SELL, "3"),
        _trade(4, 4, Side.SELL, "1"),
    ]
    books = Books([], trades, whole=True, order_spans={}, trade_spans={})
    assert narrowed(books, {("BTCUSDT", "BOTH"): Decimal(-3)}, "BTCUSDT") == {2, 3}
    hedge = [
        _trade(1, 1, Side.SELL, "2", PositionSide.SHORT),
        _trade(2, 2, Side.BUY, "2", PositionSide.SHORT),
    ]
    books = Books([], hedge, whole=True, order_spans={}, trade_spans={})
    assert narrowed(books, {}, "BTCUSDT") == {2}
