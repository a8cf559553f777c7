"""Identity without clock or chance: the same wish is the same plan, and no two attempts share an id."""

import re
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sureclose.domain.ids import (
    client_order_id_for,
    digest,
    intent_id_for_entry,
    plain,
    plan_id_for,
)
from sureclose.domain.policy import Policy

texts = st.text(max_size=20)


@given(texts, texts, texts, texts)
def test_no_two_lists_of_parts_run_together(first: str, second: str, third: str, fourth: str) -> None:
    assert (digest(first, second) == digest(third, fourth)) is ((first, second) == (third, fourth))
    assert digest(first + second) != digest(first, second)


@pytest.mark.parametrize(("one", "other"), [("0.50", "0.5"), ("1", "1.000"), ("0.5", "5E-1")])
def test_one_amount_in_two_spellings_is_one_plan(one: str, other: str) -> None:
    for amounts in [(Decimal(one), None), (None, Decimal(one))]:
        again = tuple(None if amount is None else Decimal(other) for amount in amounts)
        assert plan_id_for("i", "S", "BOTH", "CLOSE", *amounts) == plan_id_for(
            "i", "S", "BOTH", "CLOSE", *again
        )


def test_every_part_of_a_plan_makes_it_another_plan() -> None:
    half = Decimal("0.5")
    plans = [
        plan_id_for("i", "S", "BOTH", "CLOSE", half, None),
        plan_id_for("j", "S", "BOTH", "CLOSE", half, None),
        plan_id_for("i", "T", "BOTH", "CLOSE", half, None),
        plan_id_for("i", "S", "LONG", "CLOSE", half, None),
        plan_id_for("i", "S", "BOTH", "PARTIAL_50", half, None),
        plan_id_for("i", "S", "BOTH", "CLOSE", Decimal(1), None),
        plan_id_for("i", "S", "BOTH", "CLOSE", None, half),
        plan_id_for("i", "S", "BOTH", "CLOSE", half, half),
    ]
    assert len(set(plans)) == len(plans)


@given(st.sampled_from(["", "sc-", "demo_sc-"]), texts, texts, st.integers(1, 10**6))
def test_client_order_ids_are_what_the_venue_takes(
    prefix: str, account: str, plan: str, attempt: int
) -> None:
    """Letters, digits, ``-`` and ``_``, at most 36 (Binance's parameter table, and DESIGN section 4)."""
    made = client_order_id_for(prefix, account, plan, attempt)
    assert made.startswith(prefix)
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,36}", made)
    assert made != client_order_id_for(prefix, account, plan, attempt + 1)
    assert made == client_order_id_for(prefix, account, plan, attempt)


def test_two_accounts_never_share_an_order_id() -> None:
    assert client_order_id_for("sc-", "demo:a", "p", 1) != client_order_id_for("sc-", "demo:b", "p", 1)


@pytest.mark.parametrize("prefix", ["x" * 21, "x" * 36, "x" * 60, "sc.", "sc/", "ß", "sc\n"])
def test_a_prefix_that_leaves_no_room_to_tell_attempts_apart_is_refused_at_the_start(prefix: str) -> None:
    with pytest.raises(ValueError, match="prefix"):
        Policy(account="a", client_order_id_prefix=prefix)
    Policy(account="a", client_order_id_prefix="x" * 20)


def test_ids_are_stable_for_ever() -> None:
    """Old journals are joined with the venue by them."""
    assert client_order_id_for("sc-", "paper:main", "plan", 1) == "sc-bec2fdf1c87764ac8633084b9bff520e"
    assert intent_id_for_entry("quantum:stream:harvest.intent", "1-0") == digest(
        "intent", "quantum:stream:harvest.intent", "1-0"
    )
    assert plan_id_for("i", "BTCUSDT", "BOTH", "CLOSE", Decimal(1), None) == digest(
        "plan", "i", "BTCUSDT", "BOTH", "CLOSE", "1", ""
    )


@given(st.decimals(allow_nan=False, allow_infinity=False, places=8, min_value=0, max_value=10**12))
def test_a_number_on_the_wire_has_no_exponent(number: Decimal) -> None:
    assert "E" not in plain(number.normalize()).upper()
    assert Decimal(plain(number)) == number
