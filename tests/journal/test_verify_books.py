"""Verification against the exchange: whatever the journal and the exchange's records say differently is told."""

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from sureclose.domain.facts import Seen, Sending
from sureclose.journal.checking import books
from sureclose.journal.checking.books import BooksUnreadable
from sureclose.journal.checking.case import Bounds
from sureclose.journal.checking.findings import Against, Rule
from sureclose.journal.checking.stored import Stored
from tests.domain.drivers import History
from tests.domain.scripts import START, Fate, Script
from tests.journal.verify_cases import (
    LOST_THEN_FILLED,
    TWO_PARTS,
    Ledger,
    broken,
    check,
    driven,
    examined,
    stored,
)

EXCHANGE = Against.EXCHANGE


@pytest.fixture
def history() -> History:
    """Two orders, the first of them filled in part."""
    return driven(Script(position=3_000, fates=TWO_PARTS.fates))


@pytest.fixture
def close(history: History) -> Stored:
    return stored(history.journal.facts)


@pytest.fixture
def ledger(history: History) -> Ledger:
    return Ledger.of(history.world)


def rules(close: Stored, ledger: Ledger) -> set[Rule]:
    """What is violated against these books; the journal itself is in order."""
    found = broken(examined(close, books=ledger.read()))
    assert all(against is EXCHANGE for _, against in found)
    return {rule for rule, _ in found}


def test_books_that_agree_are_no_violation_and_other_orders_are_listed(close: Stored, ledger: Ledger) -> None:
    report = examined(close, books=ledger.read())
    assert report.ok
    assert [order.client_order_id for order in report.foreign] == ["web_1699999990000"]
    assert not report.foreign[0].reduces


@pytest.mark.parametrize(
    ("rule", "change"),
    [
        (Rule.I1, {"time": START - 60_000}),
        (Rule.I1, {"time": START + 60_000}),
        (Rule.I1, {"origQty": "3.001"}),
        (Rule.I1, {"positionSide": "LONG"}),
        (Rule.I1, {"type": "LIMIT"}),
        (Rule.I5, {"reduceOnly": False}),
        (Rule.I2, {"status": "PARTIALLY_FILLED"}),
    ],
)
def test_an_order_that_is_not_as_its_record_says_is_told(
    close: Stored, ledger: Ledger, rule: Rule, change: dict[str, Any]
) -> None:
    ledger.ours[0].update(change)
    assert rules(close, ledger) == {rule}


def test_an_order_may_be_stamped_as_late_as_proof_of_death_waits(
    history: History, close: Stored, ledger: Ledger
) -> None:
    """A venue checks the window when a request comes, and stamps the order when it has got to it (A3)."""
    sending = next(fact for fact in history.journal.facts if isinstance(fact, Sending))
    ledger.ours[0]["time"] = sending.deadline + Bounds().margin
    assert rules(close, ledger) == set()
    ledger.ours[0]["time"] += 1
    assert rules(close, ledger) == {Rule.I1}


def test_an_order_on_the_other_side_is_told(close: Stored, ledger: Ledger) -> None:
    ledger.ours[0]["side"] = "BUY"
    assert Rule.I1 in rules(close, ledger)


def test_in_hedge_mode_the_side_says_whether_an_order_reduces(close: Stored, ledger: Ledger) -> None:
    ledger.ours[0].update(positionSide="SHORT", reduceOnly=True)
    assert rules(close, ledger) == {Rule.I1, Rule.I5}


def test_more_executed_than_was_open_is_told(close: Stored, ledger: Ledger) -> None:
    ledger.ours[1]["executedQty"] = "3.500"
    assert rules(close, ledger) == {Rule.I5, Rule.I7, Rule.ONE_EFFECT}


def test_more_executed_than_was_ordered_is_told() -> None:
    history = driven(Script(position=4_000, fraction="0.5"))
    ledger = Ledger.of(history.world)
    ledger.ours[0]["executedQty"] = "3.000"
    assert Rule.I5 in rules(stored(history.journal.facts), ledger)


def test_a_larger_order_than_was_open_is_told() -> None:
    history = driven(Script(position=4_000))
    ledger = Ledger.of(history.world)
    ledger.ours[0].update(origQty="5.000", executedQty="5.000")
    assert Rule.I5 in rules(stored(history.journal.facts), ledger)


def test_a_close_that_sent_nothing_has_nothing_at_the_exchange() -> None:
    history = driven(Script(position=0))
    report = examined(stored(history.journal.facts), books=Ledger.of(history.world).read())
    assert report.ok
    assert check(report, Rule.ONE_EFFECT, EXCHANGE).checked == 0


def test_an_order_that_is_still_filling_has_fills_that_are_not_recorded_yet() -> None:
    history = driven(Script(position=3_000))
    sent = next(i for i, fact in enumerate(history.journal.facts) if isinstance(fact, Seen))
    under_way = stored(history.journal.facts[: sent + 1])
    assert under_way.state == "OPEN"
    assert examined(under_way, books=Ledger.of(history.world).read()).ok


def test_without_the_time_of_acceptance_a_late_change_leaves_it_open(close: Stored, ledger: Ledger) -> None:
    """The venue port does not tell when an order was accepted, only when it last changed."""
    first, second = ledger.ours
    for order in (first, second):
        del order["time"]
    assert not check(examined(close, books=ledger.read()), Rule.I1, EXCHANGE).unclear
    first["updateTime"] = START + 60_000
    report = examined(close, books=ledger.read())
    assert report.ok
    (told,) = check(report, Rule.I1, EXCHANGE).unclear
    assert "is not said when it was accepted" in told.what
    first["updateTime"] = START - 60_000
    assert rules(close, ledger) == {Rule.I1}


@pytest.mark.parametrize("status", ["NEW", "EXPIRED"])
def test_an_order_of_an_attempt_that_was_proven_dead_is_told(status: str) -> None:
    history = driven(LOST_THEN_FILLED)
    ledger, dead = Ledger.of(history.world), history.world.sent[0]
    risen = {**ledger.ours[0], "orderId": 77, "clientOrderId": dead.client_order_id, "time": dead.timestamp}
    ledger.orders.append(risen | {"status": status, "executedQty": "0", "origQty": str(dead.quantity)})
    assert rules(stored(history.journal.facts), ledger) == {Rule.I2, Rule.I9}


@pytest.mark.parametrize(
    "change",
    [
        lambda trades, own: trades.remove(own),
        lambda trades, own: own.update(qty="0.001"),
        lambda trades, own: own.update(price="1"),
        lambda trades, own: own.update(side="BUY"),
        lambda trades, own: own.update(orderId=1),
    ],
)
def test_a_recorded_trade_that_the_exchange_does_not_have_like_that_is_told(
    close: Stored,
    ledger: Ledger,
    change: Callable[[list[dict[str, Any]], dict[str, Any]], None],
) -> None:
    (own,) = ledger.fills(ledger.ours[0])
    change(ledger.trades, own)
    assert rules(close, ledger) == {Rule.I7}


def test_a_trade_of_ours_that_is_not_recorded_is_told(close: Stored, ledger: Ledger) -> None:
    (own,) = ledger.fills(ledger.ours[0])
    ledger.trades.append({**own, "id": 99, "qty": "0.001"})
    report = examined(close, books=ledger.read())
    assert (Rule.I7, EXCHANGE) in broken(report)
    assert "trades [99]" in check(report, Rule.I7, EXCHANGE).violations[0].what


def test_an_order_of_ours_that_no_record_knows_is_told(close: Stored, ledger: Ledger) -> None:
    stranger = {**ledger.ours[0], "orderId": 77, "clientOrderId": "sc-nobody-knows-me"}
    ledger.orders.append(stranger)
    assert rules(close, ledger) == {Rule.I1, Rule.I9}
    some = examined(close, books=ledger.read(), complete=False)
    assert some.ok, "of some plans only, it may belong to another"
    assert "not all closes were read" in check(some, Rule.I9, EXCHANGE).unclear[0].what


def test_books_that_were_read_before_an_order_ended_prove_nothing_of_its_end(
    close: Stored, ledger: Ledger
) -> None:
    """As when orders are read from the venue while closes go on."""
    first, second = ledger.ours
    until = first["time"]
    for order in (first, second):
        order.update(status="NEW", executedQty="0")
    found = books.Books(
        ledger.read().orders,
        [],
        whole=False,
        order_spans={"BTCUSDT": (0, until)},
        trade_spans={"BTCUSDT": (0, until - 1)},
    )
    report = examined(close, books=found)
    assert report.ok
    assert any("had not ended" in one.what for one in check(report, Rule.I7, EXCHANGE).unclear)


def test_an_attempt_that_ended_at_the_venue_and_is_not_there_is_told(close: Stored, ledger: Ledger) -> None:
    ledger.orders.remove(ledger.ours[1])
    assert rules(close, ledger) == {Rule.I9}


def test_an_attempt_under_way_may_not_be_there_yet(history: History, ledger: Ledger) -> None:
    under_way = stored(history.journal.facts[:3])
    ledger.orders = [order for order in ledger.orders if order not in ledger.ours]
    report = examined(under_way, books=ledger.read())
    assert report.ok
    assert "is not settled yet" in check(report, Rule.I9, EXCHANGE).unclear[0].what


def test_two_orders_of_one_attempt_are_told(close: Stored, ledger: Ledger) -> None:
    first = ledger.ours[0]
    (own,) = ledger.fills(first)
    ledger.orders.append({**first, "orderId": 77})
    ledger.trades.append({**own, "id": 99, "orderId": 77})
    assert rules(close, ledger) == {Rule.I1, Rule.I7, Rule.ONE_EFFECT}


def test_a_partial_close_that_the_exchange_filled_beyond_its_part_is_told() -> None:
    history = driven(Script(position=4_000, fraction="0.5"))
    ledger = Ledger.of(history.world)
    (order,) = ledger.ours
    (own,) = ledger.fills(order)
    ledger.trades.append({**own, "id": 99, "qty": "0.001"})
    report = examined(stored(history.journal.facts), books=ledger.read())
    told = check(report, Rule.ONE_EFFECT, EXCHANGE).violations
    assert [one.what for one in told] == ["the exchange filled 2.001, and the target was 2.000"]


# What records cover -----------------------------------------------------------------------------------------------


def _lists(ledger: Ledger) -> list[bytes]:
    return [json.dumps(ledger.orders).encode(), json.dumps(ledger.trades).encode()]


def test_lists_as_binance_gives_them_are_understood(close: Stored, ledger: Ledger) -> None:
    report = examined(close, books=books.parse(_lists(ledger)))
    assert report.ok
    assert all(one.holds for one in report.checks if one.rule is not Rule.SEGMENTS)


def test_what_lists_do_not_reach_back_to_is_not_checkable() -> None:
    history = driven(Script(position=3_000))
    ledger = Ledger.of(history.world)
    ledger.orders = [{**ledger.orders[0], "orderId": 78, "time": START + 60_000}]
    ledger.trades = [{**ledger.trades[0], "id": 98, "time": START + 60_000}]
    report = examined(stored(history.journal.facts), books=books.parse(_lists(ledger)))
    assert report.ok
    for rule in (Rule.I7, Rule.I9):
        assert "outside of what these records cover" in check(report, rule, EXCHANGE).unclear[0].what
        assert check(report, rule, EXCHANGE).holds is None


def test_the_venue_forgets_an_order_that_ended_without_a_fill() -> None:
    history = driven(Script(position=3_000, fates=(Fate(parts=(0,)),)))
    ledger = Ledger.of(history.world)
    empty, _ = ledger.ours
    ledger.orders.remove(empty)
    assert rules(stored(history.journal.facts), ledger) == {Rule.I9}
    report = examined(stored(history.journal.facts), books=books.parse(_lists(ledger)))
    assert report.ok
    (told,) = check(report, Rule.I9, EXCHANGE).unclear
    assert "which the venue forgets" in told.what


def test_orders_without_trades_check_what_they_can(close: Stored, ledger: Ledger) -> None:
    report = examined(close, books=books.parse(_lists(ledger)[:1]))
    assert check(report, Rule.I9, EXCHANGE).holds
    assert check(report, Rule.I7, EXCHANGE).why_not == "not checked: the records have no trades"
    report = examined(close, books=books.parse(_lists(ledger)[1:]))
    assert check(report, Rule.I9, EXCHANGE).why_not == "not checked: the records have no orders"
    assert check(report, Rule.I7, EXCHANGE).holds


@pytest.mark.parametrize(
    "document", [b"{", b"{}", b"3", b"[1]", b'{"orders": [{"orderId": 1}]}', b'{"trades": 5}']
)
def test_what_is_no_exchanges_record_is_refused(document: bytes) -> None:
    with pytest.raises(BooksUnreadable):
        books.parse([document])


def test_quantities_are_decimals_all_the_way(ledger: Ledger) -> None:
    found = ledger.read().named("BTCUSDT", ledger.ours[0]["clientOrderId"])
    assert found[0].executed_qty == Decimal(ledger.ours[0]["executedQty"])
