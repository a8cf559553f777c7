"""What others are told of an outcome: executed means fills, and a position read after them."""

from decimal import Decimal

import pytest

from sureclose.domain import facts
from sureclose.domain.close import Done, fold
from sureclose.domain.facts import AnyFact, Ended
from sureclose.domain.outcome import Outcome, OutcomeKind
from sureclose.domain.report import report_of
from tests.domain.scripts import START
from tests.domain.test_close_rules import admitted, order, position, sending, sized, trade

FILL = facts.Filled(order=order(), trades=(trade("-4", at=START + 5, order_id=1),))
SENT = (admitted(), sized(), sending(), facts.Seen(via=facts.Via.ANSWER, order=order()))


def told(kind: OutcomeKind, *before: AnyFact) -> Done:
    done = fold([*before, Ended(outcome=Outcome(kind), position_after=position("0"))])
    assert isinstance(done, Done)
    return done


@pytest.mark.parametrize(
    ("kind", "filled", "executed"),
    [
        (OutcomeKind.FLAT, True, True),
        (OutcomeKind.REDUCED, True, True),
        (OutcomeKind.ALREADY_FLAT, False, False),
        (OutcomeKind.SKIPPED, False, False),
        (OutcomeKind.REFUSED, False, False),
        (OutcomeKind.PARKED, False, False),
        (OutcomeKind.PARKED, True, False),
        (OutcomeKind.FLAT, False, False),
    ],
)
def test_executed_is_what_fills_and_a_read_back_say(kind: OutcomeKind, filled: bool, executed: bool) -> None:
    """A close that is parked may have filled something, but nobody has confirmed it."""
    report = report_of(told(kind, *SENT, *([FILL] if filled else [])), "hash")
    assert report.executed is executed
    assert report.filled_qty == (Decimal(4) if filled else 0)


def test_a_report_names_the_orders_the_positions_and_the_evidence() -> None:
    report = report_of(told(OutcomeKind.FLAT, *SENT, FILL), "hash")
    assert (report.order_ids, report.client_order_ids) == ((1,), ("sc-1",))
    assert (report.position_before, report.position_after) == (Decimal(10), Decimal(0))
    assert (report.avg_price, report.evidence) == (Decimal(100), "hash")
