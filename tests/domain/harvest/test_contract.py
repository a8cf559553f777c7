"""The contract of policies: our reference keeps it, and each bad policy fails for its reason."""

import time
from typing import Any

import pytest

from sureclose.domain.harvest.asking import ask
from sureclose.domain.harvest.contract import CLAUSES, Clause, check
from sureclose.domain.harvest.policy import Condition, Hold, NoDecision, Proposal
from sureclose.domain.harvest.reference import Reference
from sureclose.domain.harvest.samples import samples
from sureclose.policies import check_policy
from tests.domain.harvest.bad_policies import BAD, Always, Bad, exit_, half, wins
from tests.domain.harvest.views import episode, held, proposed, undecided, view

FEW = samples()[::37]


def test_the_reference_keeps_the_contract() -> None:
    assert check_policy(Reference()) == []


def test_the_samples_bring_out_every_rule_and_every_answer() -> None:
    answers = [ask(Reference(), one) for one in samples()]
    names = {one.name for one in answers if isinstance(one, Proposal)}
    assert names == {"hard-loss", "max-age", "kill", "rung-1", "rung-2", "rung-3"}
    assert any(isinstance(one, Hold) for one in answers)
    conditions = {one.condition for one in answers if isinstance(one, NoDecision)}
    assert conditions == {Condition.MARK_MISSING, Condition.KLINES_MISSING, Condition.AGE_UNKNOWN}
    assert len(samples()) > 1_000
    assert samples() == samples()


@pytest.mark.parametrize("what", BAD)
def test_a_bad_policy_fails_for_its_reason(what: str) -> None:
    policy, clause, said = BAD[what]
    few = [one for one in FEW if wins(one)][:1] if clause is Clause.SLOW else FEW
    found = {finding.clause: finding for finding in check(policy, time.thread_time, few)}
    assert clause in found, found
    assert said in found[clause].what
    assert clause is Clause.NAME or (found[clause].count and found[clause].view.startswith("amount "))


def test_each_clause_is_broken_by_some_bad_policy_and_says_what_it_asks() -> None:
    assert {clause for _, clause, _ in BAD.values()} == set(Clause) == set(CLAUSES)


def test_a_policy_that_never_answers_is_left_alone() -> None:
    over = False

    def forever(_: Any) -> Any:
        while not over:
            pass
        return half()

    try:
        found = check_policy(Bad(forever), 0.2)
    finally:
        over = True
    assert [finding.clause for finding in found] == [Clause.SLOW]
    assert "no end" in found[0].what


def test_what_breaks_in_the_check_itself_is_raised() -> None:
    class Sly(str):
        __slots__ = ()

        def __eq__(self, other: object) -> bool:
            raise RuntimeError("not to be compared")

        __hash__ = str.__hash__

    with pytest.raises(RuntimeError, match="not to be compared"):
        check_policy(Always(lambda _: Hold(reason=Sly("because"))))


# Asking ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", [what for what, (_, clause, _) in BAD.items() if clause is Clause.ANSWER])
def test_what_breaks_the_contract_is_dropped_with_its_reason(what: str) -> None:
    policy, _, said = BAD[what]
    answer = undecided(ask(policy, view("3", of=episode(rung=1))))
    assert answer.condition is Condition.POLICY_BROKE_CONTRACT
    assert said in answer.why


def test_what_raises_is_an_answer_about_that_position_alone() -> None:
    answer = undecided(ask(BAD["it raises"][0], view("3")))
    assert answer.condition is Condition.POLICY_FAILED
    assert "bad raised" in answer.why
    assert proposed(ask(BAD["it raises"][0], view("3", of=episode(rung=2)))).name == "half"


def test_a_policy_that_ends_the_process_ends_it() -> None:
    with pytest.raises(SystemExit):
        ask(Bad(lambda _: exit_()), view("3"))


def test_a_name_that_was_asked_for_is_not_asked_for_again() -> None:
    policy = Bad(lambda _: half(scores={"R_net": "3"}))
    assert proposed(ask(policy, view("3"))).name == "half"
    answer = held(ask(policy, view("3", of=episode(asked=frozenset({"half"})))))
    assert "asked for in this episode" in answer.reason
    assert answer.scores == {"R_net": "3"}
