"""The proof that an attempt is dead: each of its parts is needed, and lags and foreign trades don't counterfeit it."""

from decimal import Decimal

import msgspec
import pytest

from sureclose.domain.doubt import Contradiction, Doubts, Early, evidence_since, past_window, weigh
from sureclose.domain.evidence import Evidence
from sureclose.domain.facts import Dead, Sending
from sureclose.domain.market import OrderReport, Position, Trade
from tests.domain.scripts import POLICY, START
from tests.domain.test_close_rules import order, position, sending, trade

READ_AT = START - 10_000
SENT = sending(read=position("10", at=READ_AT))
ENOUGH = Doubts(3, START + 3_001, START + 4_001)


def foreign(order_id: int) -> OrderReport:
    return msgspec.structs.replace(order(order_id=order_id), client_order_id=f"web_{order_id}")


def evidence(
    now: Position,
    *trades: Trade,
    orders: tuple[OrderReport, ...] = (foreign(900),),
    begun_at: int = START + 3_001,
) -> Evidence:
    return Evidence(begun_at=begun_at, orders=orders, trades=trades, position=now)


def weighed(what: Evidence, sent: Sending = SENT) -> OrderReport | Dead | Contradiction | Early:
    return weigh(sent, ENOUGH, what, POLICY)


def test_nothing_anywhere_after_the_window_is_death() -> None:
    dead = weighed(evidence(position("10", at=READ_AT)))
    assert isinstance(dead, Dead)
    assert (dead.attempt, dead.not_found, dead.foreign_moves) == (1, 3, Decimal(0))


def test_an_own_order_in_the_list_is_life_even_inside_the_window() -> None:
    own = msgspec.structs.replace(order(), client_order_id=SENT.client_order_id)
    assert weighed(evidence(position("10"), orders=(foreign(900), own), begun_at=START)) == own


def test_evidence_begun_inside_the_window_or_its_margin_proves_nothing() -> None:
    last = SENT.deadline + POLICY.margin
    assert isinstance(weighed(evidence(position("10", at=READ_AT), begun_at=last)), Early)
    assert isinstance(weighed(evidence(position("10", at=READ_AT), begun_at=last + 1)), Dead)
    assert not past_window(SENT, last, POLICY)
    assert past_window(SENT, last + 1, POLICY)


def test_a_move_that_nobody_made_contradicts() -> None:
    found = weighed(evidence(position("6", at=START + 5)))
    assert isinstance(found, Contradiction)
    assert "-4" in found.reason


def test_moves_by_others_orders_are_explained() -> None:
    sold = trade("-4", at=START + 5)
    dead = weighed(evidence(position("6", at=START + 5), sold))
    assert isinstance(dead, Dead)
    assert dead.foreign_moves == -4


def test_a_trade_whose_order_is_not_listed_may_be_ours() -> None:
    sold = trade("-4", at=START + 5, order_id=77)
    found = weighed(evidence(position("6", at=START + 5), sold))
    assert isinstance(found, Contradiction)
    assert str(sold.trade_id) in found.reason


def test_two_moves_that_cancel_each_other_do_not_hide_one_of_ours() -> None:
    """Our four were sold and somebody bought four: the position is where it was, and yet it was us."""
    ours = trade("-4", at=START + 5, order_id=77)
    theirs = trade("4", at=START + 6)
    assert isinstance(weighed(evidence(position("10", at=START + 6), ours, theirs)), Contradiction)


def test_others_trades_after_the_positions_last_change_are_not_counted() -> None:
    """The position is read first; on an active account trades go on while the rest is read."""
    sold = trade("-4", at=START + 5)
    assert isinstance(weighed(evidence(position("10", at=READ_AT), sold)), Dead)
    assert isinstance(weighed(evidence(position("14", at=READ_AT), sold)), Contradiction)


def test_trades_before_the_attempts_own_read_explain_nothing() -> None:
    before = trade("-4", at=READ_AT - 1)
    assert isinstance(weighed(evidence(position("6", at=START + 5), before)), Contradiction)
    assert isinstance(weighed(evidence(position("10", at=READ_AT), before)), Dead)


@pytest.mark.parametrize("unseen", [0, 1, 2, 3])
def test_a_read_may_show_only_the_first_trades_of_its_millisecond(unseen: int) -> None:
    """One order of three fills opened the position; a read in the middle of it is no contradiction for ever."""
    fills = [trade("2", at=READ_AT, trade_id=number) for number in (1, 2, 3)]
    sent = sending(read=position(str(10 - 2 * unseen), at=READ_AT))
    assert isinstance(weighed(evidence(position("10", at=READ_AT), *fills), sent), Dead)
    assert isinstance(weighed(evidence(position("9", at=START), *fills), sent), Contradiction)


def test_evidence_reaches_back_to_the_read_and_to_the_whole_of_its_millisecond() -> None:
    assert evidence_since(SENT) == READ_AT
    after = sending(read=position("10", at=START + 9))
    assert evidence_since(after) == START
    year = 365 * 86_400_000
    old = sending(read=position("10", at=START - year, requested_at=START - 50))
    assert START - 2 * 86_400_000 < evidence_since(old) < START - 3_600_000


def test_answers_count_only_when_they_are_enough_and_far_enough_apart() -> None:
    doubts = Doubts()
    for at in (1_000, 1_100, 1_200, 1_999):
        doubts = doubts.missing(at)
        assert not doubts.enough(POLICY)
    assert doubts.missing(2_000).enough(POLICY)
    assert not Doubts().missing(1_000).missing(9_000).enough(POLICY)


def test_a_contradiction_stands_from_when_it_was_first_met() -> None:
    doubts = Doubts()
    assert not doubts.standing(START, POLICY)
    doubts = doubts.contradicted(START).missing(START + 1).contradicted(START + 50_000)
    assert not doubts.standing(START + POLICY.park_after, POLICY)
    assert doubts.standing(START + POLICY.park_after + 1, POLICY)


def test_a_proof_says_what_it_rests_on() -> None:
    now = position("10", at=READ_AT)
    assert weighed(evidence(now)) == Dead(
        attempt=1,
        not_found=3,
        first_not_found_at=START + 3_001,
        last_not_found_at=START + 4_001,
        evidence_begun_at=START + 3_001,
        orders_read=1,
        position=now,
        foreign_moves=Decimal(0),
    )
