"""Incidents whose crossing is a rule of harvest: its formula, its order, and which prices it believes."""

from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from sureclose.domain.harvest.asking import ask
from sureclose.domain.harvest.kill_score import TERMS, kill_score, sigmoid, table
from sureclose.domain.harvest.limits import HOUR_MS
from sureclose.domain.harvest.looking import view_of
from sureclose.domain.harvest.policy import Condition, MarketState, NoDecision, Proposal, View
from sureclose.domain.harvest.reference import Reference
from sureclose.domain.safety import Mark
from tests.domain.harvest.bad_policies import Always
from tests.domain.harvest.views import (
    CALM,
    FLIPPED,
    NOW,
    episode,
    held,
    klines,
    mark_at,
    position,
    proposed,
    undecided,
    view,
)

PAGE: Final = Path(__file__).parents[2] / "docs" / "harvest.md"
POLICY: Final = Reference()

# 19: one table of weights ----------------------------------------------------------------------------------------------


def _documented() -> dict[str, float]:
    """The weights as a reader of the page finds them."""
    rows = [line.split("|") for line in PAGE.read_text().splitlines() if line.startswith("| `k_")]
    return {row[1].strip(" `"): float(row[2]) for row in rows}


@pytest.mark.parametrize("market", [CALM, FLIPPED, msgspec.structs.replace(FLIPPED, sigma=0.02)])
@pytest.mark.parametrize("hours", [0, 7, 30])
def test_incident_19_the_documented_weights_are_those_that_are_computed_with(
    market: MarketState, hours: int
) -> None:
    assert table() in PAGE.read_text(), "`python -m tests.harvest_page` writes the tables of docs/harvest.md"
    weights, score = _documented(), kill_score(market, hours * HOUR_MS)
    assert list(weights) == [term.name for term in TERMS]
    parts = zip(weights.values(), score.terms, strict=True)
    assert score.value == pytest.approx(sigmoid(sum(weight * value for weight, value in parts)))


@pytest.mark.parametrize("market", [CALM, FLIPPED])
def test_incident_19_every_score_comes_with_the_breakdown_that_makes_it(market: MarketState) -> None:
    answer = ask(POLICY, view("1", market=market))
    assert not isinstance(answer, NoDecision)
    parts = [term.weight * float(answer.scores[term.name]) for term in TERMS]
    assert float(answer.scores["kill_score"]) == pytest.approx(sigmoid(sum(parts)), abs=1e-5)
    told = kill_score(market, HOUR_MS).sum
    assert told in answer.reason
    assert all(f"{term.weight} x" in told and term.name in told for term in TERMS)


# 20: no position, no price, no decision ----------------------------------------------------------------------------------


def test_incident_20_what_is_missing_is_a_condition_and_never_a_number() -> None:
    answer = undecided(ask(POLICY, view(None, market=None, of=episode(age=None))))
    assert answer.condition is Condition.MARK_MISSING
    flat = view_of(position("0"), mark_at("3"), [], episode(), NOW)
    assert undecided(flat).condition is Condition.POSITION_FLAT


# 25: protective rules first ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("amount", ["1", "-1"])
def test_incident_25_a_loser_is_closed_though_nothing_else_is_known(amount: str) -> None:
    """Neither klines nor an age: the loss alone is enough, and no minimum of profit stands before it."""
    answer = proposed(ask(POLICY, view("-1.6", amount, market=None, of=episode(amount, age=None))))
    assert (answer.name, answer.reason) == ("hard-loss", "hard loss: -1.6000 R, limit -1.5 R")


def test_incident_25_an_old_position_is_closed_though_no_price_is_believed() -> None:
    old = episode(age=100 * HOUR_MS)
    found = view_of(position(), Mark(Decimal(96_106_059), NOW), [], old, NOW)
    assert isinstance(found, View)
    assert found.mark is None
    assert proposed(ask(POLICY, found)).name == "max-age"


def test_incident_25_the_exception_of_one_symbol_is_the_answer_of_that_symbol() -> None:
    def judge(seen: View) -> Any:
        if seen.position.symbol == "BADUSDT":
            raise KeyError("entry_price")
        return POLICY.judge(seen)

    policy = Always(judge)
    symbols = ["ETHUSDT", "BADUSDT", "SOLUSDT"]
    answers = [ask(policy, view("-2", position=position(symbol=symbol))) for symbol in symbols]
    assert [isinstance(answer, Proposal) for answer in answers] == [True, False, True]
    assert undecided(answers[1]).condition is Condition.POLICY_FAILED


# 27 and 90: prices against that symbol's own mark --------------------------------------------------------------------------

CANDLES: Final = klines([str(2400 + number % 5) for number in range(60)])
OTHERS: Final = {
    "BTCUSDT": "64000",
    "BNBUSDT": "610",
    "SOLUSDT": "150",
    "XRPUSDT": "0.52",
    "PEPEUSDT": "0.0000071",
}


@pytest.mark.parametrize("price", ["96106059", "-13.5", "0", "0.00000001"])
@pytest.mark.parametrize("amount", ["1", "-1"])
def test_incident_27_an_absurd_price_decides_nothing(price: str, amount: str) -> None:
    """As a mark, as an entry and as a candle: it makes neither a profit nor a loss nor a volatility."""
    absurd, state = Decimal(price), episode(amount)
    read = position(amount, mark_price=Decimal(2402))
    told = view_of(read, Mark(absurd, NOW), CANDLES, state, NOW)
    assert isinstance(told, View)
    assert undecided(ask(POLICY, told)).condition is Condition.MARK_ABSURD
    entered = view_of(
        msgspec.structs.replace(read, entry_price=absurd), Mark(Decimal(2402), NOW), CANDLES, state, NOW
    )
    assert isinstance(entered, View)
    assert undecided(ask(POLICY, entered)).condition is Condition.ENTRY_PRICE_ABSURD
    bounds = {"close": absurd, "high": max(absurd, Decimal(2404)), "low": min(absurd, Decimal(2400))}
    one = msgspec.structs.replace(CANDLES[30], **bounds)
    drawn = view_of(read, Mark(Decimal(2402), NOW), [*CANDLES[:30], one, *CANDLES[31:]], state, NOW)
    assert isinstance(drawn, View)
    assert undecided(ask(POLICY, drawn)).condition is Condition.KLINES_ABSURD


@pytest.mark.parametrize("symbol", OTHERS)
@pytest.mark.parametrize("amount", ["1", "-1"])
def test_incident_90_the_prices_of_another_symbol_are_not_taken_for_its_own(symbol: str, amount: str) -> None:
    """Mark, klines, or both at once: whatever is not the symbol's own is compared with something that is."""
    price, state = Decimal(OTHERS[symbol]), episode(amount)
    foreign = klines([str(price * (1 + Decimal(number % 5) / 1000)) for number in range(60)])
    read, own = position(amount, mark_price=Decimal(2402)), Mark(Decimal(2402), NOW)
    marked = view_of(read, Mark(price, NOW), CANDLES, state, NOW)
    both = view_of(read, Mark(price, NOW), foreign, state, NOW)
    for found in (marked, both):
        assert isinstance(found, View)
        assert undecided(ask(POLICY, found)).condition is Condition.MARK_ABSURD
    drawn = view_of(read, own, foreign, state, NOW)
    assert isinstance(drawn, View)
    assert undecided(ask(POLICY, drawn)).condition is Condition.KLINES_ABSURD
    told = view_of(read, own, CANDLES, state, NOW)
    assert isinstance(told, View)
    held(ask(POLICY, told))
