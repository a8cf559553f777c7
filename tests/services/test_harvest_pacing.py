"""Trades of many positions at once leave the venue's weight to the reads that everything rests on."""

from sureclose.services.harvest.pacing import AT_ONCE_S, LONG, SHORT, Paced
from sureclose.venue.endpoints import USER_TRADES
from tests.services.harvesting import Account, Time

OPEN = 300
WEEKS = 13


def test_hundreds_of_openings_are_looked_for_within_the_budget_and_no_news_wait_for_them() -> None:
    time = Time()
    paced = Paced(Account(time), time.seconds)
    far = [paced.wait_s(WEEKS) for _ in range(OPEN)]
    assert far == sorted(far)
    assert far[0] <= 0
    soon = sum(wait <= 60 for wait in far) * WEEKS * USER_TRADES.weight
    assert soon <= LONG * (60 + AT_ONCE_S) / 60 + WEEKS * USER_TRADES.weight
    near = [paced.wait_s(1) for _ in range(OPEN)]
    assert near[0] <= 0
    assert sum(wait <= 60 for wait in near) * USER_TRADES.weight <= SHORT * (60 + AT_ONCE_S) / 60 + 5
    # What was not spent does not add up.
    time.pass_s(3_600_000)
    assert sum(paced.wait_s(1) <= 0 for _ in range(OPEN)) <= AT_ONCE_S / 60 * SHORT / USER_TRADES.weight + 1
