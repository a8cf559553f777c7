"""How a policy is found by its name, and what is said when it can't be."""

import sys
from importlib.metadata import EntryPoint
from types import ModuleType
from typing import Any

import pytest

from sureclose.domain.harvest.policy import Hold, Judgement, View
from sureclose.domain.harvest.reference import Reference
from sureclose.services.harvest.policies import GROUP, NoPolicy, PolicyProblem, installed, load_policy


class Holder:
    name = "holder"

    def judge(self, view: View) -> Judgement:
        return Hold(reason=f"{view.position.symbol} is held")


def make_holder() -> Holder:
    return Holder()


class Other(Holder):
    name = "other"


class Fussy(Holder):
    def __init__(self, needed: str) -> None:
        self.needed = needed


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Somebody's package, as if it were installed."""
    found = ModuleType("somebody")
    monkeypatch.setitem(sys.modules, "somebody", found)
    return found


def point(name: str, value: str = "somebody:policy") -> EntryPoint:
    return EntryPoint(name, value, GROUP)


def test_our_reference_is_installed_as_any_other_would_be() -> None:
    assert isinstance(load_policy("reference"), Reference)
    one = next(one for one in installed() if one.name == "reference")
    assert one.place == "sureclose.domain.harvest.reference:Reference"
    assert one.package.startswith("sureclose ")


@pytest.mark.parametrize("made", [Holder, Holder(), make_holder])
def test_an_entry_point_leads_to_a_policy_or_to_what_makes_one(module: ModuleType, made: Any) -> None:
    module.__dict__["policy"] = made
    assert isinstance(load_policy("holder", [point("holder")]), Holder)


def test_an_unknown_name_is_answered_with_those_that_there_are() -> None:
    with pytest.raises(
        NoPolicy, match=r"no policy 'holdr'; installed are: holder, other\..*sureclose\.policies"
    ):
        load_policy("holdr", [point("other"), point("holder")])
    with pytest.raises(NoPolicy, match="installed are: none"):
        load_policy("holder", [])


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("nobody_at_all:policy", r"can't be imported: ModuleNotFoundError: No module named 'nobody_at_all'"),
        ("somebody:missing", r"can't be imported: AttributeError"),
    ],
)
def test_what_can_not_be_imported_says_why(module: ModuleType, value: str, said: str) -> None:
    with pytest.raises(PolicyProblem, match=said):
        load_policy("holder", [point("holder", value)])


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (Fussy, r"can't be made: TypeError: .*needed"),
        (lambda: 1 / 0, r"can't be made: ZeroDivisionError"),
        ("holder", r"is a str, neither a policy nor what makes one"),
        (object, r"is a object without a method judge\(view\)"),
        (Other, r"calls itself 'other'"),
    ],
)
def test_what_is_no_policy_says_what_is_wrong_with_it(module: ModuleType, made: Any, said: str) -> None:
    module.__dict__["policy"] = made
    with pytest.raises(PolicyProblem, match=said) as caught:
        load_policy("holder", [point("holder")])
    assert "'holder' (somebody:policy" in str(caught.value)
    assert not isinstance(caught.value, NoPolicy)


def test_one_name_of_two_policies_is_nobodys() -> None:
    with pytest.raises(PolicyProblem, match="the name of 2 policies"):
        load_policy("holder", [point("holder"), point("holder", "elsewhere:policy")])


def test_one_policy_that_is_listed_twice_is_one(module: ModuleType) -> None:
    module.__dict__["policy"] = Holder
    twice = [point("holder"), point("holder")]
    assert isinstance(load_policy("holder", twice), Holder)
    assert len(installed(twice)) == 1
