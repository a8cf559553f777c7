"""Hedge mode: which of two positions is meant, and who closed the one that is flat."""

import msgspec
import pytest

from sureclose.domain import facts, steps
from sureclose.domain.close import Confirming, fold
from sureclose.domain.history import closed_by
from sureclose.domain.market import Class, Position
from sureclose.domain.sameness import meant
from sureclose.domain.words import PositionSide, Side
from tests.domain.drivers import History
from tests.domain.judging import judged
from tests.domain.scripts import START, Fate, Foreign, Resting, Script, decision
from tests.domain.test_close_rules import (
    admitted,
    after,
    concluded,
    order,
    position,
    read,
    run,
    sending,
    trade,
    waiting,
)

SIDES = PositionSide.LONG, PositionSide.SHORT


def pair(long: str, short: str) -> tuple[Position, Position]:
    return (
        msgspec.structs.replace(position(long), position_side=PositionSide.LONG),
        msgspec.structs.replace(position(short), position_side=PositionSide.SHORT),
    )


@pytest.mark.parametrize("amount", [3_000, -3_000])
@pytest.mark.parametrize("named", [True, False])
def test_the_side_that_is_open_is_closed_by_an_order_of_that_side(amount: int, named: bool) -> None:
    history = run(hedge=True, position=amount, named=named)
    assert history.said == "FLAT"
    (sent,) = history.world.sent
    assert sent.position.position_side is (PositionSide.LONG if amount > 0 else PositionSide.SHORT)
    assert sent.side is (Side.SELL if amount > 0 else Side.BUY)


@pytest.mark.parametrize("amount", [3_000, -3_000])
def test_with_both_sides_open_only_the_one_that_was_named_is_closed(amount: int) -> None:
    for script in ({"named": True}, {"known": True}):
        history = run(hedge=True, position=amount, other=5_000, **script)
        assert history.said == "FLAT"
        assert abs(history.world.amounts[history.script.other_side]) == 5


def test_with_both_sides_open_and_nothing_said_nothing_is_closed() -> None:
    history = run(hedge=True, other=5_000)
    assert history.said == "REFUSED(position_side_needed)"
    assert not history.world.sent


def test_the_other_sides_orders_and_trades_are_none_of_ours() -> None:
    history = run(
        hedge=True,
        other=5_000,
        named=True,
        foreign=(Foreign(-300, -5_000, other=True), Foreign(6, 5_000, other=True)),
        resting=(Resting(thousandths=0, blocks=-4118), Resting(thousandths=0, other=True, blocks=-4118)),
    )
    assert history.said == "FLAT"
    assert [one.cancelled for one in history.world.shelf.orders] == [True, False]


def test_in_hedge_mode_an_order_reduces_by_its_side_and_not_by_a_flag() -> None:
    take_profit = Resting(reducing=False, thousandths=10_000, blocks=-2022)
    entry = Resting(closing=False, reducing=True)
    history = run(hedge=True, named=True, resting=(take_profit, entry))
    assert history.said == "FLAT"
    assert [one.cancelled for one in history.world.shelf.orders] == [True, False]


@pytest.mark.parametrize(
    ("said", "long", "short", "which"),
    [
        ({"position_side": PositionSide.LONG}, "0", "-3", 0),
        ({"position_side": PositionSide.SHORT}, "3", "0", 1),
        ({"position_amt": "3"}, "3", "-3", 0),
        ({"position_amt": "-3"}, "3", "-3", 1),
        ({"position_amt": "-3"}, "3", "0", 1),
        ({"position_amt": "0"}, "3", "0", 0),
        ({}, "3", "0", 0),
        ({}, "0", "-3", 1),
        ({}, "3", "-3", None),
        ({"position_amt": "0"}, "3", "-3", None),
        ({"position_side": PositionSide.LONG, "position_amt": "-3"}, "3", "-3", 0),
    ],
)
def test_a_decision_means_the_side_that_it_names_else_its_sign_else_what_is_open(
    said: dict[str, str], long: str, short: str, which: int | None
) -> None:
    both = pair(long, short)
    found = meant(decision(**said), *both)  # type: ignore[arg-type]
    assert found == (None if which is None else both[which])


def test_of_two_flat_sides_the_one_that_was_open_last_is_meant() -> None:
    long, short = pair("0", "0")
    later = msgspec.structs.replace(short, update_time=long.update_time + 1)
    assert meant(decision(), long, short) == long
    assert meant(decision(), long, later) == later


def test_once_something_was_filled_the_side_is_settled() -> None:
    """The other side may be opened meanwhile: what is read back is the position that was closed."""
    opened = Foreign(15, -5_000, other=True)
    history = run(hedge=True, position=10_000, foreign=(opened,))
    assert history.said == "FLAT"
    assert history.world.amounts[PositionSide.SHORT] == -5
    # Before the first fill it is not: what is meant is asked for anew.
    unsettled = run(hedge=True, position=10_000, foreign=(opened,), fates=(Fate(arrives=False),))
    assert unsettled.said == "REFUSED(position_side_needed)"
    long = pair("10", "0")[0]
    sent = sending(read=long)
    fill = trade("-4", at=START + 5, order_id=1)
    known: list[facts.AnyFact] = [
        admitted(),
        facts.Sized(position=long, target=sent.quantity, side=Side.SELL),
        sent,
        facts.Filled(order=order(), trades=(fill,)),
    ]
    state = fold(known)
    assert isinstance(state, Confirming)
    step = after(state, steps.ReadFailed(now=START, reason="no answer"))
    assert isinstance(step.effect, steps.ReadPosition)
    assert step.effect.position_side is PositionSide.LONG


def test_a_position_side_that_does_not_match_the_mode_is_built_anew() -> None:
    history = run(hedge=True, position=2_000, fates=(Fate(refusal=Class.RETRY, code=-4061),))
    assert history.said == "FLAT"
    assert len(history.world.sent) == 2


def test_an_unclear_side_is_refused_before_anything_is_sent() -> None:
    step = after(waiting(), steps.SideUnclear(now=START))
    assert concluded(step) == "REFUSED(position_side_needed)"


# Closed by the venue -----------------------------------------------------------------------------------------------

BY_THE_VENUE = [
    ("autoclose-", "liquidation"),
    ("adl_autoclose", "adl"),
    ("settlement_autoclose-", "delisting"),
]


@pytest.mark.parametrize(("client", "cause"), BY_THE_VENUE)
def test_a_position_that_the_venue_closed_after_the_decision_says_so(client: str, cause: str) -> None:
    assert run(foreign=(Foreign(-300, -10_000, client=client),)).said == f"ALREADY_FLAT({cause})"
    assert run(foreign=(Foreign(-300, -10_000),)).said == "ALREADY_FLAT"


@pytest.mark.parametrize(("client", "cause"), BY_THE_VENUE)
def test_a_position_that_the_venue_closed_before_the_decision_says_so_too(client: str, cause: str) -> None:
    """A decision about a position that had been liquidated a second before it was made."""
    assert run(foreign=(Foreign(-3_500, -10_000, client=client),)).said == f"ALREADY_FLAT({cause})"


def test_only_the_venues_own_ids_name_a_cause() -> None:
    for client in ("web_autoclose-1", "x", "", "Autoclose-1"):
        assert closed_by(msgspec.structs.replace(order(), client_order_id=client)) == ""
    assert closed_by(None) == ""


def test_a_liquidation_in_the_middle_of_a_close_leaves_one_true_outcome() -> None:
    history = History(Script(foreign=(Foreign(6, -6_000, client="autoclose-"),))).run()
    judged(history)
    assert history.said == "FLAT"
    assert history.filled == 4


def test_between_attempts_too_a_flat_row_without_a_time_is_not_believed_at_once() -> None:
    """Four of ten are filled; a read that lags behind the opening of the position shows a symbol never traded."""
    fill = trade("-4", at=START + 5, order_id=1)
    state = fold(
        [
            admitted(),
            facts.Sized(position=position(), target=position().amount, side=Side.SELL),
            sending(),
            facts.Filled(order=order(status="EXPIRED"), trades=(fill,)),
        ]
    )
    never_traded = position("0", at=0, requested_at=START + 6)
    step = after(state, read(never_traded))
    assert isinstance(step.effect, steps.ReadHistory)
