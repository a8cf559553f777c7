"""``docs/harvest.md``: its tables are the code's, its example runs as it stands, and what it names is there."""

import re
import tomllib
from importlib.metadata import EntryPoint
from types import ModuleType
from typing import Any

import pytest

from sureclose.domain.harvest.asking import ask
from sureclose.domain.harvest.policy import Condition
from sureclose.policies import check_policy
from sureclose.services.harvest.policies import GROUP, load_policy
from tests.domain.harvest.views import held, proposed, undecided, view
from tests.harvest_page import PAGE, rendered

TEXT = PAGE.read_text()


def block(language: str) -> str:
    found = re.findall(f"```{language}\n(.*?)```", TEXT, flags=re.DOTALL)
    assert len(found) == 1
    return str(found[0])


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The policy of the page, installed as the page says."""
    module = ModuleType("my_package")
    exec(block("python"), module.__dict__)
    monkeypatch.setitem(__import__("sys").modules, "my_package", module)
    named = tomllib.loads(block("toml"))["project"]["entry-points"][GROUP]
    points = [EntryPoint(name, value, GROUP) for name, value in named.items()]
    return load_policy("half-at-one-r", points)


def test_the_tables_are_made_from_the_code() -> None:
    assert rendered(TEXT) == TEXT, "`python -m tests.harvest_page` writes them"


def test_the_example_keeps_the_contract(example: Any) -> None:
    assert check_policy(example) == []


@pytest.mark.parametrize("amount", ["2", "-2"])
def test_the_example_does_what_is_said_of_it(example: Any, amount: str) -> None:
    answer = proposed(ask(example, view("1", amount)))
    assert (answer.name, str(answer.fraction), answer.reason) == ("half", "0.5", "moved 2.10%")
    held(ask(example, view("0.9", amount)))
    assert undecided(ask(example, view(None, amount))).condition is Condition.MARK_MISSING


def test_the_example_is_as_short_as_is_said() -> None:
    body = block("python").partition("def judge")[2].strip().splitlines()
    assert len(body) <= 10


def test_every_condition_is_explained() -> None:
    explained = set(
        re.findall(r"`(\w+)`", TEXT.partition("## Why there is no decision")[2].partition("## A policy")[0])
    )
    assert {str(condition) for condition in Condition} <= explained
