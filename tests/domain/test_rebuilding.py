"""An order that the venue has and the log had lost becomes an attempt of its close again, and nothing is sent for it."""

from decimal import Decimal

import pytest
from msgspec.structs import replace

from sureclose.domain import facts, steps
from sureclose.domain.close import Concluded, Confirming, New, State, Waiting, Working, fold
from sureclose.domain.decide import decide
from sureclose.domain.evidence import Evidence
from sureclose.domain.facts import AnyFact
from sureclose.domain.ids import client_order_id_for
from sureclose.domain.market import OrderReport, Position, Trade
from sureclose.domain.outcome import Outcome, OutcomeKind
from sureclose.domain.rebuilding import orphan_of
from sureclose.domain.words import PositionSide, Side
from tests.domain.scripts import ENTRY, POLICY, START, SYMBOL, decision
from tests.domain.scripts import RULES as SMALL

RULES = replace(SMALL, max_qty=Decimal(20))

LATE = START + 600_000
"""Long after the decision's age is over."""


def position(amount: str, at: int = START + 10) -> Position:
    return Position(
        symbol=SYMBOL,
        position_side=PositionSide.BOTH,
        amount=Decimal(amount),
        entry_price=Decimal(100),
        mark_price=Decimal(100),
        update_time=at,
        requested_at=LATE,
    )


def order(quantity: str, attempt: int = 1, *, executed: str | None = None, order_id: int = 7) -> OrderReport:
    done = Decimal(quantity if executed is None else executed)
    return OrderReport(
        order_id=order_id,
        client_order_id=client_order_id_for("sc-", "paper:main", "plan", attempt),
        symbol=SYMBOL,
        side=Side.SELL,
        position_side=PositionSide.BOTH,
        status="FILLED" if done else "EXPIRED",
        order_type="MARKET",
        reduce_only=True,
        orig_qty=Decimal(quantity),
        executed_qty=done,
        update_time=START + 10,
    )


def trade(quantity: str, order_id: int = 7, *, at: int = START + 10, number: int = 1) -> Trade:
    return Trade(
        trade_id=number,
        order_id=order_id,
        symbol=SYMBOL,
        side=Side.SELL,
        position_side=PositionSide.BOTH,
        quantity=Decimal(quantity),
        price=Decimal(100),
        realized_pnl=Decimal(0),
        commission=Decimal(0),
        commission_asset="USDT",
        time=at,
    )


def shown(now: Position, *trades: Trade) -> steps.OrphanRead:
    evidence = Evidence(begun_at=LATE, orders=(), trades=trades, position=now)
    return steps.OrphanRead(now=LATE, evidence=evidence, rules=RULES)


def received(orphan: OrderReport, **more: str | None) -> tuple[State, list[AnyFact]]:
    """The wish comes again after the loss, when it is far too old."""
    wish = steps.Received(now=LATE, decision=decision(**more), entry=ENTRY, orphan=orphan)  # type: ignore[arg-type]
    step = decide(New(), wish, POLICY)
    assert isinstance(step.effect, steps.ReadOrphan)
    assert step.effect.since < orphan.update_time
    return step.state, list(step.facts)


def adopted(state: State, event: steps.OrphanRead) -> tuple[State, tuple[AnyFact, ...]]:
    step = decide(state, event, POLICY)
    assert isinstance(step.effect, steps.Adopt), step
    after = decide(step.state, steps.Adopted(now=LATE, facts=step.effect.facts), POLICY)
    return after.state, step.effect.facts


def test_an_executed_close_whose_records_are_gone_comes_to_the_same_end_at_any_age() -> None:
    state, known = received(order("10"))
    state, more = adopted(state, shown(position("0"), trade("10")))
    sized, sending, seen = more
    assert isinstance(sized, facts.Sized)
    assert isinstance(sending, facts.Sending)
    assert sized.rebuilt
    assert sending.rebuilt
    assert sized.position.amount == sized.target == sending.quantity == Decimal(10)
    assert isinstance(state, Working)
    assert fold([*known, *more]) == replace(state, progress=replace(state.progress, ending=""))
    state = decide(state, steps.TradesRead(now=LATE, trades=(trade("10"),)), POLICY).state
    assert isinstance(state, Confirming)
    step = decide(
        state,
        steps.PositionRead(now=LATE, position=position("0"), rules=RULES),
        replace(POLICY, tidies=False),
    )
    assert isinstance(step.state, Concluded)
    assert step.state.ended.outcome == Outcome(OutcomeKind.FLAT)
    assert step.state.progress.filled == Decimal(10)
    assert isinstance(seen, facts.Seen)


def test_a_part_that_was_closed_is_not_sized_again_on_what_is_left() -> None:
    state, _ = received(order("5"), fraction="0.5")
    state, _ = adopted(state, shown(position("5"), trade("5")))
    state = decide(state, steps.TradesRead(now=LATE, trades=(trade("5"),)), POLICY).state
    assert isinstance(state, Confirming)
    step = decide(state, steps.PositionRead(now=LATE, position=position("5"), rules=RULES), POLICY)
    assert isinstance(step.state, Concluded)
    assert step.state.ended.outcome == Outcome(OutcomeKind.REDUCED)


def test_what_others_traded_since_does_not_change_what_the_order_met() -> None:
    state, _ = received(order("5"), fraction="0.5")
    later = trade("2", 99, at=START + 500, number=2)
    _, more = adopted(state, shown(position("3", START + 500), trade("5"), later))
    sized = more[0]
    assert isinstance(sized, facts.Sized)
    assert (sized.position.amount, sized.target) == (Decimal(10), Decimal(5))


def test_the_first_chunk_of_a_part_gives_the_whole_part_where_the_position_tells_it() -> None:
    twice = str(4 * RULES.max_qty)
    state, _ = received(order(str(RULES.max_qty)), fraction="0.5")
    left = position(str(3 * RULES.max_qty))
    _, more = adopted(state, shown(left, trade(str(RULES.max_qty))))
    sized = more[0]
    assert isinstance(sized, facts.Sized)
    assert (sized.position.amount, sized.target) == (Decimal(twice), 2 * RULES.max_qty)


def test_a_part_that_nothing_tells_is_parked() -> None:
    """The position was changed by somebody whose trades are not those of the symbol any more."""
    state, _ = received(order(str(RULES.max_qty)), fraction="0.5")
    step = decide(state, shown(position("1"), trade(str(RULES.max_qty))), POLICY)
    assert isinstance(step.effect, steps.Publish)
    assert step.effect.ended.outcome == Outcome(OutcomeKind.PARKED, "journal_lost")


def test_a_list_of_trades_that_lags_is_read_again() -> None:
    state, _ = received(order("10"))
    step = decide(state, shown(position("0"), trade("4")), POLICY)
    assert isinstance(step.effect, steps.ReadOrphan)
    assert step.effect.delay > 0
    adopted(step.state, shown(position("0"), trade("10")))


def test_a_flat_row_without_a_time_is_believed() -> None:
    state, _ = received(order("10"))
    _, more = adopted(state, shown(position("0", 0), trade("10")))
    assert isinstance(more[0], facts.Sized)
    assert more[0].position.amount == Decimal(10)


def test_an_order_that_executed_nothing_is_an_attempt_all_the_same() -> None:
    """Its id was used, and must not be used a second time."""
    state, _ = received(order("10", executed="0"))
    state, more = adopted(state, shown(position("0", START - 500)))
    assert [type(fact) for fact in more] == [facts.Sending, facts.Seen]
    assert isinstance(state, Working)
    assert state.progress.attempt == 1


@pytest.mark.parametrize("attempt", [1, 2, 61])
def test_attempts_that_left_no_order_are_stepped_over(attempt: int) -> None:
    """A refused first attempt leaves nothing at the venue, and the second would be made again under the first's id."""
    lost = order("10", attempt)
    found = orphan_of(None, "plan", {lost.client_order_id: lost}, POLICY)
    assert found == lost
    state, _ = received(lost)
    state, _ = adopted(state, shown(position("0"), trade("10")))
    assert isinstance(state, Working)
    assert state.progress.attempt == attempt
    assert orphan_of(state.progress, "plan", {lost.client_order_id: lost}, POLICY) is None


def test_an_attempt_lost_after_a_known_one_keeps_the_sizing() -> None:
    first, second = order("4", 1), order("6", 2, order_id=8)
    state, known = received(first)
    state, more = adopted(state, shown(position("6"), trade("4")))
    filled = facts.Filled(order=first, trades=(trade("4"),))
    state = fold([*known, *more, replace(more[0], target=Decimal(10)), *more[1:], filled])
    assert isinstance(state, Waiting)
    state = decide(state, steps.Orphaned(now=LATE, order=second), POLICY).state
    _, more = adopted(state, shown(position("0"), trade("6", 8)))
    assert [type(fact) for fact in more] == [facts.Sending, facts.Seen]


def test_an_order_of_another_symbol_under_our_id_is_for_a_person() -> None:
    wish = steps.Received(
        now=LATE, decision=decision(), entry=ENTRY, orphan=replace(order("10"), symbol="ETHUSDT")
    )
    step = decide(New(), wish, POLICY)
    assert isinstance(step.effect, steps.Publish)
    assert step.effect.ended.outcome.kind is OutcomeKind.PARKED


def test_nothing_that_is_said_of_a_lost_attempt_sends_it() -> None:
    state, _ = received(order("10"))
    step = decide(state, shown(position("0"), trade("10")), POLICY)
    assert isinstance(step.effect, steps.Adopt)
    alone = steps.Adopted(now=LATE, facts=step.effect.facts[:2])
    assert isinstance(decide(step.state, alone, POLICY).effect, steps.QueryOrder)
