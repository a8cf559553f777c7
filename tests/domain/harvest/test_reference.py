"""The reference policy: which rule goes first, and what each needs."""

from decimal import Decimal

import pytest

from sureclose.domain.actions import ALL, Closes, classify_action
from sureclose.domain.harvest.asking import ask
from sureclose.domain.harvest.limits import HOUR_MS, Limits
from sureclose.domain.harvest.policy import Condition, MarketState
from sureclose.domain.harvest.reference import Reference
from tests.domain.harvest.views import CALM, FLIPPED, episode, held, proposed, undecided, view

POLICY = Reference()
OLD = 72 * HOUR_MS


@pytest.mark.parametrize("amount", ["1", "-1"])
def test_a_hard_loss_goes_before_everything(amount: str) -> None:
    answer = proposed(ask(POLICY, view("-1.5", amount, market=FLIPPED, of=episode(amount, age=OLD))))
    assert (answer.name, answer.action, answer.fraction) == ("hard-loss", "EMERGENCY_SL_CLOSE", ALL)
    held(ask(POLICY, view("-1.4999", amount)))


def test_an_age_goes_before_the_kill_score_and_that_before_the_ladder() -> None:
    assert proposed(ask(POLICY, view("6", market=FLIPPED, of=episode(age=OLD)))).name == "max-age"
    assert proposed(ask(POLICY, view("6", market=FLIPPED))).name == "kill"
    assert proposed(ask(POLICY, view("6"))).name == "rung-3"


def test_every_full_close_is_by_a_word_that_closes_all() -> None:
    for seen in (view("-2"), view("0", of=episode(age=OLD)), view("0", market=FLIPPED)):
        assert classify_action(proposed(ask(POLICY, seen)).action) == Closes(ALL)


@pytest.mark.parametrize("market", [None, CALM, FLIPPED])
def test_a_loser_is_closed_whatever_is_known_of_the_market(market: MarketState | None) -> None:
    assert proposed(ask(POLICY, view("-2", market=market, of=episode(age=None)))).name == "hard-loss"


def test_an_old_position_is_closed_without_any_price() -> None:
    assert proposed(ask(POLICY, view(None, market=None, of=episode(age=OLD)))).name == "max-age"
    old = proposed(ask(POLICY, view(None, market=None, of=episode(age=OLD, exact=False))))
    assert "at least 72.00 h" in old.reason


def test_a_rung_is_taken_without_klines_and_its_scores_name_no_kill_score() -> None:
    answer = proposed(ask(POLICY, view("2", market=None)))
    assert answer.name == "rung-1"
    assert answer.scores == {"R_net": "2.0000", "profit_lock": "true"}


def test_what_could_not_be_judged_goes_before_what_holds() -> None:
    assert undecided(ask(POLICY, view("0", market=None))).condition is Condition.KLINES_MISSING
    assert undecided(ask(POLICY, view(None))).condition is Condition.MARK_MISSING
    assert undecided(ask(POLICY, view("0", of=episode(age=None)))).condition is Condition.AGE_UNKNOWN


def test_what_holds_tells_why_by_every_rule() -> None:
    answer = held(ask(POLICY, view("1.5")))
    for part in ("hard loss at -1.5 R", "maximum age 72.00 h", "limit 0.6", "next rung at 2 R"):
        assert part in answer.reason
    assert set(answer.scores) == {
        "R_net", "profit_lock", "kill_score", "k_regime_flip", "k_sigma_spike", "k_trend_drop", "k_age",
    }  # fmt: skip


@pytest.mark.parametrize(("r", "lock"), [("1.4999", "false"), ("1.5", "true"), ("-1", "false")])
def test_the_profit_lock_is_told_and_proposes_nothing(r: str, lock: str) -> None:
    assert held(ask(POLICY, view(r))).scores["profit_lock"] == lock


def test_a_full_close_that_was_asked_for_silences_its_rule_and_those_below_and_none_above() -> None:
    killed = episode(asked=frozenset({"kill"}))
    assert "kill was asked for" in held(ask(POLICY, view("6", market=FLIPPED, of=killed))).reason
    assert proposed(ask(POLICY, view("-2", market=FLIPPED, of=killed))).name == "hard-loss"
    lost = episode(asked=frozenset({"hard-loss"}), age=OLD)
    assert "hard-loss was asked for" in held(ask(POLICY, view("-2", market=FLIPPED, of=lost))).reason


def test_the_limits_are_those_of_the_view() -> None:
    tight = Limits(hard_loss=Decimal("0.5"), max_age=HOUR_MS, cost=Decimal(0))
    assert proposed(ask(POLICY, view("-0.6", limits=tight, of=episode(age=0)))).name == "hard-loss"
    assert proposed(ask(POLICY, view("0", limits=tight))).name == "max-age"
    assert proposed(ask(POLICY, view("1.95", limits=tight, of=episode(age=0)))).name == "rung-1"
    assert proposed(ask(POLICY, view("1", stop_distance=Decimal("0.01")))).name == "rung-1"


@pytest.mark.parametrize(
    "wrong", [{"cost": Decimal(1)}, {"hard_loss": Decimal(0)}, {"max_age": 0}, {"mark_ratio": Decimal(1)}]
)
def test_limits_that_mean_nothing_can_not_be_made(wrong: dict[str, Decimal]) -> None:
    with pytest.raises(ValueError, match="must be"):
        Limits(**wrong)  # type: ignore[arg-type]
