"""How much to order: decimal, down to the step, never above the position, and no rest that can't be ordered."""

from decimal import Decimal

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sureclose.domain.market import SymbolRules
from sureclose.domain.quantity import next_chunk, on_step, target_of
from tests.domain.scripts import RULES


def rules(min_qty: str, step: str, max_qty: str = "1000") -> SymbolRules:
    return msgspec.structs.replace(
        RULES, min_qty=Decimal(min_qty), step=Decimal(step), max_qty=Decimal(max_qty)
    )


any_rules = st.builds(
    lambda step, least, most, exponent: msgspec.structs.replace(
        RULES,
        step=Decimal(step).scaleb(exponent),
        min_qty=Decimal(least).scaleb(exponent),
        max_qty=Decimal(max(least, most)).scaleb(exponent),
    ),
    st.integers(1, 50),
    st.integers(0, 120),
    st.integers(1, 5_000),
    st.integers(-8, 2),
)
sizes = st.builds(
    lambda digits, exponent: Decimal(digits).scaleb(exponent), st.integers(0, 10**9), st.integers(-9, 0)
)


@pytest.mark.parametrize(
    ("quantity", "least", "step", "ordered"),
    [
        ("10", "0.001", "0.001", "10"),
        ("0.0019", "0.001", "0.001", "0.001"),
        ("0.0009", "0.001", "0.001", "0"),
        ("7", "5", "2", "7"),
        ("8", "5", "2", "7"),
        ("3", "0.5", "1", "2.5"),
        ("1E+3", "1", "1", "1000"),
        ("0", "0", "1", "0"),
    ],
)
def test_a_quantity_is_rounded_down_to_what_the_venue_takes(
    quantity: str, least: str, step: str, ordered: str
) -> None:
    assert on_step(Decimal(quantity), rules(least, step)) == Decimal(ordered)


@given(sizes, any_rules)
def test_what_is_on_the_step_is_permitted_and_the_largest_that_is(
    quantity: Decimal, rule: SymbolRules
) -> None:
    ordered = on_step(quantity, rule)
    assert 0 <= ordered <= quantity
    if ordered:
        assert ordered >= rule.min_qty
        assert (ordered - rule.min_qty) % rule.step == 0
        assert ordered + rule.step > quantity
    else:
        assert quantity < max(rule.min_qty, rule.step)


@pytest.mark.parametrize(
    ("position", "fraction", "quantity", "target"),
    [
        ("10", "1", None, "10"),
        ("-10", "1", None, "10"),
        ("-10", "0.75", None, "7.5"),
        ("10", "0.333", None, "3.33"),
        ("0.003", "0.5", None, "0.001"),
        ("10", None, "4", "4"),
        ("3", None, "4", "3"),
        ("10", "0.5", "4", "4"),
        ("10", "0.25", "4", "2.5"),
        ("10", None, None, "10"),
        ("0.001", "0.5", None, "0"),
    ],
)
def test_the_target_is_the_smaller_of_fraction_and_quantity(
    position: str, fraction: str | None, quantity: str | None, target: str
) -> None:
    wanted = target_of(
        Decimal(position),
        None if fraction is None else Decimal(fraction),
        None if quantity is None else Decimal(quantity),
        RULES,
    )
    assert wanted == Decimal(target)


@given(sizes, st.decimals("0.0001", 1, places=4), st.one_of(st.none(), sizes), any_rules)
def test_a_target_is_never_above_the_position(
    position: Decimal, fraction: Decimal, quantity: Decimal | None, rule: SymbolRules
) -> None:
    target = target_of(-position, fraction, quantity, rule)
    assert target <= position * fraction
    assert quantity is None or target <= quantity


@given(st.integers(1, 3_000), st.integers(0, 3_000), any_rules)
@example(5, 0, rules("0.5", "1", "3"))
def test_chunks_add_up_to_all_that_can_be_ordered(steps_: int, more: int, rule: SymbolRules) -> None:
    """Chunk after chunk, until nothing is left but what a single order could not have closed either."""
    remaining = on_step(rule.min_qty + (steps_ % 400) * rule.step, rule)
    position = remaining + more * rule.step
    for _ in range(2_000):
        chunk = next_chunk(remaining, position, rule)
        assert chunk <= min(remaining, position, rule.max_qty)
        if not chunk:
            break
        remaining, position = remaining - chunk, position - chunk
    divisible = rule.min_qty % rule.step == 0 and rule.max_qty >= 2 * rule.min_qty + rule.step
    if divisible:
        assert remaining == 0
