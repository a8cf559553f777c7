"""When an order has ended: not while it works, and not without fills while the position says otherwise."""

from decimal import Decimal

import pytest

from sureclose.domain import facts, steps
from sureclose.domain.close import Waiting, Working
from sureclose.domain.evidence import Evidence
from sureclose.domain.facts import Via
from sureclose.domain.market import Position, Trade
from tests.domain.scripts import POLICY, START
from tests.domain.test_close_rules import after, in_flight, order, position, seen, trade


def test_the_trades_of_an_order_that_works_do_not_end_it() -> None:
    """They make up what it has executed so far, and it may execute more."""
    half = order(status="PARTIALLY_FILLED", executed="2")
    working = after(in_flight(), seen(half, Via.QUERY)).state
    step = after(working, steps.TradesRead(now=START, trades=(trade("-2", at=START + 5, order_id=1),)))
    assert step.state == working
    assert step.facts == ()


def doubted() -> Working:
    """An order that has ended with nothing executed, three times over, for longer than the spread."""
    step = after(in_flight(), seen(order(status="EXPIRED", executed="0")))
    for count in range(POLICY.not_found_answers):
        step = after(step.state, steps.TradesRead(now=START + count * POLICY.spread, trades=()))
    assert isinstance(step.effect, steps.GatherEvidence), step.effect
    assert isinstance(step.state, Working)
    return step.state


def judged(shown: Position, *trades: Trade) -> steps.Step:
    evidence = Evidence(begun_at=START + 9_000, orders=(), trades=trades, position=shown)
    return after(doubted(), steps.EvidenceRead(now=START + 9_000, evidence=evidence))


def test_an_end_without_fills_is_believed_when_the_position_did_not_move() -> None:
    step = judged(position())
    assert isinstance(step.state, Waiting)
    assert [type(fact) for fact in step.facts] == [facts.Filled]
    assert step.state.progress.filled == 0


@pytest.mark.parametrize(
    ("left", "trades"),
    [
        ("6", ()),
        ("6", (trade("-4", at=START + 5, order_id=1),)),
        ("6", (trade("-1", at=START + 5),)),
    ],
    ids=["moved by nobody's hand", "its own trade is listed", "others' trades explain only a part"],
)
def test_an_end_without_fills_is_not_believed_while_the_position_says_otherwise(
    left: str, trades: tuple[Trade, ...]
) -> None:
    """The position was reduced, and the order that says it did nothing is the likeliest to have done it."""
    step = judged(position(left, at=START + 5), *trades)
    assert isinstance(step.state, Working)
    assert step.facts == ()


def test_an_end_without_fills_is_believed_when_others_explain_the_move() -> None:
    step = judged(position("6", at=START + 5), trade("-4", at=START + 5))
    assert isinstance(step.state, Waiting)
    assert step.state.progress.remaining == Decimal(10)


def test_evidence_ends_no_order_that_still_works() -> None:
    """It is gathered of an order that ended with nothing executed; of any other it is an event not waited for."""
    state = after(in_flight(), seen(order(status="NEW", executed="0"))).state
    evidence = Evidence(begun_at=START, orders=(), trades=(), position=position())
    step = after(state, steps.EvidenceRead(now=START, evidence=evidence))
    assert step.state == state
    assert not step.facts
