"""Where no MARKET order is taken, a LIMIT order inside the price band is sent that fills at once or not at all."""

from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sureclose.domain import facts, steps
from sureclose.domain.close import State, fold
from sureclose.domain.decide import decide
from sureclose.domain.facts import Answer
from sureclose.domain.market import Class, Refusal, SymbolRules
from sureclose.domain.price import PRICE_REFUSALS, bounded
from sureclose.domain.words import Side
from tests.domain.scripts import POLICY, RULES, START, Crash, Fate
from tests.domain.test_close_rules import admitted, after, concluded, position, read, run, sending, sized


def rejected(code: int = -4131) -> State:
    answered = facts.Answered(attempt=1, answer=Answer.REFUSED, http_status=400, code=code, message="no")
    return fold([admitted(), sized(), sending(), answered])


def limits(script_end: int = 3_000, **script: object) -> list[Decimal | None]:
    return [one.limit_price for one in run(band_until=script_end, **script).world.sent]


def test_the_attempt_after_a_market_order_was_rejected_has_a_limit_price() -> None:
    assert limits(position=2_000) == [None, Decimal("95.5")]
    assert limits(position=-2_000) == [None, Decimal("104.5")]


def test_a_limit_order_that_filled_in_part_is_followed_by_a_market_order() -> None:
    assert limits(position=2_000, fates=(Fate(), Fate(parts=(30,)))) == [
        None,
        Decimal("95.5"),
        None,
        Decimal("95.5"),
    ]


def test_only_that_refusal_asks_for_a_limit_price() -> None:
    for code in (-1, -2010, -4024, None):
        effect = after(rejected(code or 0), read(position())).effect
        assert isinstance(effect, steps.PassGate)
        assert effect.limit_price is None


def test_a_restart_remembers_the_refusal() -> None:
    for step in range(3, 8):
        for before in (True, False):
            assert limits(60_000, position=2_000, crashes=(Crash(step, before),))[-1] is not None


def test_a_band_that_has_moved_on_is_no_end() -> None:
    prices = (-4024, -4016, -4013, -4014, -5021)
    history = run(position=2_000, band_until=60_000, prices=prices)
    assert history.said == "FLAT"
    assert len(history.world.sent) == 2 * len(prices) + 2


@pytest.mark.parametrize("code", sorted(PRICE_REFUSALS))
def test_a_market_order_that_is_refused_for_its_price_is_one(code: int) -> None:
    state = fold([admitted(), sized(), sending()])
    no = steps.Refused(now=START, refusal=Refusal(kind=Class.FIX, http_status=400, code=code, message="no"))
    assert concluded(decide(state, no, POLICY)) == f"REFUSED({code}, no)"


def test_without_a_band_or_a_mark_price_there_is_no_limit_price() -> None:
    none = Decimal(0)
    for change in ({"tick": none}, {"multiplier_up": none}, {"multiplier_down": none}):
        assert bounded(position(), msgspec.structs.replace(RULES, **change), Side.SELL) is None
    unmarked = msgspec.structs.replace(position(), mark_price=none)
    assert bounded(unmarked, RULES, Side.SELL) is None
    assert isinstance(after(rejected(), read(unmarked)).effect, steps.PassGate)


bands = st.builds(
    lambda tick, up, down: msgspec.structs.replace(
        RULES,
        tick=Decimal(tick).scaleb(-3),
        multiplier_up=1 + Decimal(up).scaleb(-2),
        multiplier_down=1 - Decimal(down).scaleb(-2),
    ),
    st.integers(1, 3_000),
    st.integers(1, 50),
    st.integers(1, 50),
)


@given(bands, st.integers(1, 10**9), st.sampled_from(Side))
def test_a_price_is_on_the_tick_inside_the_band_and_on_the_side_that_fills(
    rules: SymbolRules, mark: int, side: Side
) -> None:
    at = msgspec.structs.replace(position(), mark_price=Decimal(mark).scaleb(-4))
    price = bounded(at, rules, side)
    if price is None:
        return
    assert price > 0
    assert (price - rules.min_price) % rules.tick == 0
    if side is Side.BUY:
        assert price <= at.mark_price * rules.multiplier_up
    else:
        assert price >= at.mark_price * rules.multiplier_down


@pytest.mark.parametrize(
    ("side", "limits_", "price"),
    [
        (Side.SELL, {"min_price": Decimal(98)}, "98"),
        (Side.BUY, {"max_price": Decimal("103.3")}, "103.3"),
    ],
)
def test_where_the_price_filter_is_tighter_than_the_band_its_bound_is_the_price(
    side: Side, limits_: dict[str, Decimal], price: str
) -> None:
    """A SELL at the lowest price there is, or a BUY at the highest, is inside the band and may fill."""
    assert bounded(position(), msgspec.structs.replace(RULES, **limits_), side) == Decimal(price)
