"""The rules of one effect, one sentence each: what a close does in the situations that have cost money elsewhere."""

from decimal import Decimal

import msgspec
import pytest

from sureclose.domain import facts, steps
from sureclose.domain.close import (
    Concluded,
    Confirming,
    Done,
    InFlight,
    New,
    Progress,
    State,
    Unknown,
    Waiting,
    Working,
    evolve,
    fold,
)
from sureclose.domain.decide import decide
from sureclose.domain.events import Decision, Veto
from sureclose.domain.evidence import Evidence
from sureclose.domain.facts import Sending, Via
from sureclose.domain.market import Class, OrderReport, Position, Refusal, Trade
from sureclose.domain.outcome import Outcome, OutcomeKind
from sureclose.domain.report import report_of
from sureclose.domain.sameness import CLOCK_DOUBT_MS
from sureclose.domain.words import PositionSide, Side
from tests.domain.drivers import History
from tests.domain.judging import judged
from tests.domain.scripts import (
    ENTRY,
    POLICY,
    RULES,
    START,
    Crash,
    Fate,
    Foreign,
    Gate,
    Reply,
    Script,
    decision,
    milli,
)

LOST = Fate(arrives=False)


def run(**script: object) -> History:
    history = History(Script(**script)).run()  # type: ignore[arg-type]
    judged(history)
    return history


def position(amount: str = "10", *, at: int = START - 10_000, requested_at: int = START) -> Position:
    return Position(
        symbol="BTCUSDT",
        position_side=PositionSide.BOTH,
        amount=Decimal(amount),
        entry_price=Decimal(100),
        mark_price=Decimal(100),
        update_time=at,
        requested_at=requested_at,
    )


def trade(amount: str, *, at: int, order_id: int = 900, trade_id: int | None = None) -> Trade:
    return Trade(
        trade_id=at if trade_id is None else trade_id,
        order_id=order_id,
        symbol="BTCUSDT",
        side=Side.BUY if Decimal(amount) > 0 else Side.SELL,
        position_side=PositionSide.BOTH,
        quantity=abs(Decimal(amount)),
        price=Decimal(100),
        realized_pnl=Decimal(0),
        commission=Decimal(0),
        commission_asset="USDT",
        time=at,
    )


def sending(attempt: int = 1, quantity: str = "4", read: Position | None = None) -> Sending:
    return Sending(
        attempt=attempt,
        client_order_id=f"sc-{attempt}",
        side=Side.SELL,
        quantity=Decimal(quantity),
        timestamp=START,
        deadline=START + 2_000,
        position=read or position(),
    )


def order(
    attempt: int = 1, status: str = "FILLED", executed: str = "4", *, order_id: int | None = None
) -> OrderReport:
    return OrderReport(
        order_id=attempt if order_id is None else order_id,
        client_order_id=f"sc-{attempt}",
        symbol="BTCUSDT",
        side=Side.SELL,
        position_side=PositionSide.BOTH,
        status=status,
        order_type="MARKET",
        reduce_only=True,
        orig_qty=Decimal(4),
        executed_qty=Decimal(executed),
        update_time=START + 5,
    )


def admitted(the: Decision | None = None) -> facts.Admitted:
    return facts.Admitted(decision=the or decision(), entry=ENTRY)


def sized(target: str = "10", read: Position | None = None) -> facts.Sized:
    return facts.Sized(position=read or position(target), target=Decimal(target), side=Side.SELL)


def waiting(the: Decision | None = None) -> Waiting:
    state = fold([admitted(the)])
    assert isinstance(state, Waiting)
    return state


def in_flight() -> InFlight:
    state = fold([admitted(), sized(), sending()])
    assert isinstance(state, InFlight)
    return state


def after(state: State, *events: steps.AnyEvent) -> steps.Step:
    step = steps.Step(state, (), steps.Rest())
    for event in events:
        step = decide(step.state, event, POLICY)
    return step


def read(shown: Position, now: int = START) -> steps.PositionRead:
    return steps.PositionRead(now=now, position=shown, rules=RULES)


def history_read(shown: Position, *trades: Trade, now: int = START) -> steps.HistoryRead:
    return steps.HistoryRead(now=now, position=shown, rules=RULES, trades=trades)


def seen(report: OrderReport, via: Via = Via.STREAM) -> steps.OrderSeen:
    return steps.OrderSeen(now=START, order=report, via=via)


def concluded(step: steps.Step) -> str:
    assert isinstance(step.effect, steps.Publish), step.effect
    return str(step.effect.ended.outcome)


def flat_to_the_end(step: steps.Step) -> steps.Step:
    """A flat read is believed after two looks at the trades; here there are none, and no order is left behind."""
    assert isinstance(step.effect, steps.ReadHistory)
    flat = step.effect.position
    step = after(step.state, history_read(flat))
    if isinstance(step.effect, steps.ReadPosition):
        assert step.effect.delay == POLICY.spread
        later = msgspec.structs.replace(flat, requested_at=flat.requested_at + POLICY.spread)
        step = after(step.state, read(later), history_read(later))
    return tidied(step)


def flat_already(state: State) -> State:
    """As if the position had been read flat long before."""
    assert isinstance(state, Waiting)
    return msgspec.structs.replace(state, flat_at=1)


def tidied(step: steps.Step) -> steps.Step:
    """A flat position leaves no order behind here."""
    assert isinstance(step.effect, steps.ReadResting), step.effect
    return after(
        step.state,
        steps.RestingRead(now=START, position=step.effect.position, rules=step.effect.rules, orders=()),
    )


def test_a_flat_read_that_lags_behind_a_trade_is_read_again() -> None:
    """The position was opened just before the decision, and the read does not show it yet."""
    flat = position("0", at=START - 5_000, requested_at=START)
    step = after(waiting(decision()), read(flat))
    assert isinstance(step.effect, steps.ReadHistory)
    opened = trade("10", at=START - 100)
    assert isinstance(after(step.state, history_read(flat, opened)).effect, steps.ReadPosition)


def test_a_part_is_not_taken_of_a_position_that_lags_behind_its_trades() -> None:
    """Another client has halved it, and half of what the read shows would be all of what is there."""
    stale = position("10", at=START - 5_000, requested_at=START)
    step = after(waiting(decision(fraction="0.5")), read(stale))
    assert isinstance(step.effect, steps.ReadHistory)
    halved = trade("-5", at=START - 100)
    assert isinstance(after(step.state, history_read(stale, halved)).effect, steps.ReadPosition)
    later = trade("-5", at=START + 1)
    assert isinstance(after(step.state, history_read(stale, later)).effect, steps.PassGate)


def test_an_end_without_fills_is_looked_at_again_before_it_is_believed() -> None:
    """A venue whose order query lags says EXPIRED with nothing executed of an order that was filled."""
    state = after(in_flight(), seen(order(status="EXPIRED", executed="0"))).state
    assert isinstance(state, Working)
    nothing = steps.TradesRead(now=START, trades=())
    for _ in range(POLICY.not_found_answers + 2):
        step = after(state, nothing)
        assert not isinstance(step.state, Waiting)
        state = step.state
    filled = after(state, seen(order(status="FILLED", executed="10"), Via.QUERY))
    assert filled.effect == steps.ReadTrades(order_id=1)


def test_more_fills_of_an_order_that_was_believed_ended_are_counted() -> None:
    """The remainder comes from all fills of our own orders, whenever the venue shows them."""
    known: list[facts.AnyFact] = [admitted(), sized(), sending()]
    known.append(facts.Filled(order=order(status="EXPIRED", executed="0"), trades=()))
    step = after(fold(known), seen(order(status="FILLED", executed="10")))
    assert step.effect == steps.ReadTrades(order_id=1)


# Receive -----------------------------------------------------------------------------------------------------------


def test_an_approval_that_expired_is_recorded_and_not_executed() -> None:
    received = steps.Received(now=START, decision=decision(expires_at=START - 1), entry=ENTRY)
    step = decide(New(), received, POLICY)
    assert concluded(step) == "SKIPPED(expired)"
    assert isinstance(step.facts[0], facts.Admitted)


def test_an_approval_is_good_up_to_its_last_millisecond() -> None:
    for the, late in [
        (decision(expires_at=START), 0),
        (decision(origin_at=START - POLICY.max_age), 0),
        (decision(expires_at=START - 1), 1),
        (decision(origin_at=START - POLICY.max_age - 1), 1),
    ]:
        step = decide(New(), steps.Received(now=START, decision=the, entry=ENTRY), POLICY)
        assert isinstance(step.effect, steps.Publish if late else steps.ReadPosition)


def test_an_expiry_overrules_the_general_age_both_ways() -> None:
    old = decision(origin_at=START - 10 * POLICY.max_age, expires_at=START + 1)
    step = decide(New(), steps.Received(now=START, decision=old, entry=ENTRY), POLICY)
    assert isinstance(step.effect, steps.ReadPosition)


def test_age_is_judged_again_after_a_restart_in_every_state() -> None:
    late = steps.Taken(now=START + POLICY.max_age + 1, worker="w", epoch=2)
    journal: list[facts.AnyFact] = [
        admitted(),
        sized(),
        sending(),
        facts.Seen(via=Via.QUERY, order=order(status="NEW", executed="0")),
    ]
    for length in range(1, len(journal) + 1):
        state = fold(journal[:length])
        step = decide(state, late, POLICY)
        if isinstance(state, Waiting):
            assert concluded(step) == "SKIPPED(expired)"
        else:
            assert not isinstance(step.state, Waiting | New | Done | Concluded)
            assert step.state.progress.ending == "expired"


def test_age_is_not_judged_while_the_venue_makes_a_close_wait() -> None:
    """``max_age`` is for what lay about unread, not for what stands in the venue's queue."""
    step = after(waiting(), read(position(), now=START + 10 * POLICY.max_age))
    assert isinstance(step.effect, steps.PassGate)


def test_an_expiry_is_judged_at_every_read_and_told_to_the_gate() -> None:
    the = decision(expires_at=START + 50)
    passing = after(waiting(the), read(position(), now=START + 50)).effect
    assert isinstance(passing, steps.PassGate)
    assert passing.expires_at == START + 50
    assert concluded(after(waiting(the), read(position(), now=START + 51))) == "SKIPPED(expired)"
    failed = steps.ReadFailed(now=START + 51, reason="no answer")
    assert concluded(after(waiting(the), failed)) == "SKIPPED(expired)"


def test_a_remainder_whose_approval_expires_is_left_and_said() -> None:
    history = run(fates=(Fate(parts=(50,), delay=400),), expires=300)
    assert history.said == "REDUCED(expired)"
    assert history.filled == Decimal(2)


def test_a_skipped_close_does_not_burn_its_id_and_goes_on_counting_attempts() -> None:
    history = run(position=2_000, fates=(LOST,), frozen_from=1_000)
    assert history.said == "SKIPPED(frozen)"
    history.frozen_from = None
    history.again()
    judged(history)
    assert history.said == "FLAT"
    assert [sending.attempt for sending in history.world.sent] == [1, 2]


@pytest.mark.parametrize("kind", [kind for kind in OutcomeKind if kind is not OutcomeKind.SKIPPED])
def test_every_other_outcome_burns_the_id(kind: OutcomeKind) -> None:
    done = fold([admitted(), facts.Ended(outcome=Outcome(kind))])
    step = decide(done, steps.Received(now=START, decision=decision(), entry=ENTRY), POLICY)
    assert step == steps.Step(done, (), steps.Rest())


def test_a_position_that_was_opened_anew_after_the_decision_is_not_touched() -> None:
    history = run(foreign=(Foreign(-300, -10_000), Foreign(-200, 7_000)))
    assert history.said == "SKIPPED(position_reopened)"


def test_a_position_that_changed_its_sign_after_the_decision_is_not_touched() -> None:
    assert run(foreign=(Foreign(-300, -14_000),)).said == "SKIPPED(position_reopened)"
    reversed_ = decision(position_amt="-3", position_update_time=START - 11_000)
    assert concluded(after(waiting(reversed_), read(position()))) == "SKIPPED(position_reversed)"
    short = decision(position_side=PositionSide.SHORT)
    assert concluded(after(waiting(short), read(position()))) == "SKIPPED(other_side)"


def test_a_trade_that_opened_the_position_within_the_clocks_doubt_is_no_evidence() -> None:
    """The decision's own clock may be off: what opened the position may be what the decision was about."""
    origin = -2_500
    assert run(opened=origin + CLOCK_DOUBT_MS).said == "FLAT"
    assert run(opened=origin + CLOCK_DOUBT_MS + 1).said == "SKIPPED(position_reopened)"


def test_a_trade_between_the_two_reads_is_not_taken_for_a_reversal() -> None:
    """The list of trades is read after the position and may hold later ones, which the position does not show yet."""
    shown = position("11", at=START - 50)
    grown = trade("1", at=START - 50)
    later = trade("12", at=START + 1)
    assert isinstance(after(waiting(), history_read(shown, grown, later)).effect, steps.PassGate)


def test_a_list_of_trades_that_is_behind_the_position_is_read_again() -> None:
    shown = position("10", at=START - 50)
    step = after(waiting(), history_read(shown, trade("-10", at=START - 90)))
    assert isinstance(step.effect, steps.ReadPosition)
    assert step.effect.delay
    whole = history_read(shown, trade("-10", at=START - 90), trade("10", at=START - 50))
    assert concluded(after(step.state, whole)) == "SKIPPED(position_reopened)"


def test_a_change_without_any_trade_does_not_stop_a_close() -> None:
    """Only evidence does: what moves ``updateTime`` besides trades is not documented."""
    state: State = waiting()
    shown = position("10", at=START - 50)
    for _ in range(POLICY.patience):
        step = after(state, history_read(shown))
        assert isinstance(step.effect, steps.ReadPosition)
        state = step.state
    assert isinstance(after(state, history_read(shown)).effect, steps.PassGate)


def test_a_read_older_than_the_decisions_own_is_read_again_even_if_it_says_flat() -> None:
    the = decision(position_amt="10", position_update_time=START - 200)
    stale = read(position("0", at=START - 5_000))
    state: State = waiting(the)
    for _ in range(POLICY.patience):
        step = after(state, stale)
        assert isinstance(step.effect, steps.ReadPosition)
        state = step.state
    assert concluded(flat_to_the_end(after(state, stale))) == "ALREADY_FLAT"
    assert isinstance(after(waiting(the), read(position("10", at=START - 200))).effect, steps.PassGate)


def test_the_venue_is_not_asked_for_trades_that_it_has_forgotten() -> None:
    """It answers for 90 days. A position may be older, and a close of it must not wait for ever."""
    year = 365 * 86_400_000
    the = decision(position_amt="10", position_update_time=START - year)
    effect = after(waiting(the), read(position(at=START - 1))).effect
    assert isinstance(effect, steps.ReadHistory)
    assert effect.since >= START - 2 * 86_400_000
    old = sending(read=position(at=START - year))
    state: State = Unknown(Progress(decision=decision(), attempts=(old,), attempt=1), old)
    at = START + 3_001
    step = steps.Step(state, (), steps.Rest())
    for _ in range(POLICY.not_found_answers):
        step = decide(step.state, steps.OrderMissing(now=at, asked_at=at), POLICY)
        at += 500
    assert isinstance(step.effect, steps.GatherEvidence)
    assert step.effect.since >= START - 2 * 86_400_000


# Size --------------------------------------------------------------------------------------------------------------


def test_two_plans_of_half_make_three_quarters() -> None:
    first = run(position=8_000, fraction="0.5")
    second = run(position=int(first.world.amount * 1_000), fraction="0.5")
    assert first.filled + second.filled == Decimal(6)


def test_the_target_is_fixed_with_the_flight_and_not_before() -> None:
    """Two plans of half: the first has the flight, and the second must not be sized on what the first will change."""
    first = Foreign(4, -4_000)
    for crashes in ((), (Crash(4, before=True),)):
        history = run(
            position=8_000, fraction="0.5", gates=(Gate.BUSY,) * 5, foreign=(first,), crashes=crashes
        )
        assert history.filled == Decimal(2)
    waited = run(position=8_000, gates=(Gate.BUSY,) * 20)
    assert len([fact for fact in waited.journal.facts if isinstance(fact, facts.Sized)]) == 1


def test_the_target_is_fixed_by_the_first_sizing_whatever_others_do() -> None:
    history = run(fraction="0.5", fates=(Fate(parts=(20,)),), foreign=(Foreign(13, -2_000), Foreign(40, 500)))
    assert history.filled == Decimal(5)
    assert history.said == "REDUCED"


def test_a_quantity_and_a_fraction_close_the_smaller_of_the_two() -> None:
    assert run(fraction="0.5", quantity=3_000).filled == Decimal(3)
    assert run(fraction="0.25", quantity=3_000).filled == Decimal("2.5")
    assert run(fraction=None, quantity=30_000).filled == Decimal(10)


def test_an_oversized_close_is_split_and_leaves_no_rest_below_the_minimum() -> None:
    rules = msgspec.structs.replace(RULES, min_qty=Decimal("0.5"), step=Decimal("0.1"))
    state = waiting()
    effect = after(state, steps.PositionRead(now=START, position=position("4.2"), rules=rules)).effect
    assert isinstance(effect, steps.PassGate)
    assert effect.quantity == Decimal("3.7")
    assert run(position=10_000).quantities == [4, 4, 2]
    assert run(position=4_001).quantities == [4, milli(1)]


def test_dust_is_refused_by_name() -> None:
    rules = msgspec.structs.replace(RULES, min_qty=Decimal(1), step=Decimal(1))
    dust = steps.PositionRead(now=START, position=position("0.4"), rules=rules)
    assert concluded(after(waiting(), dust)) == "REFUSED(below_step)"


def test_a_rest_that_no_order_can_close_is_reduced_by_name() -> None:
    progress = fold(
        [
            admitted(),
            sized("10.4"),
            sending(),
            facts.Filled(order=order(executed="10"), trades=(trade("-10", at=START + 5, order_id=1),)),
        ]
    )
    rules = msgspec.structs.replace(RULES, min_qty=Decimal(1), step=Decimal(1), max_qty=Decimal(100))
    rest = steps.PositionRead(
        now=START, position=position("0.4", at=START + 5, requested_at=START + 6), rules=rules
    )
    step = after(progress, rest, rest)
    assert concluded(step) == "REDUCED(below_step)"


def test_a_symbol_that_the_venue_does_not_list_is_refused() -> None:
    assert concluded(after(waiting(), steps.NotListed(now=START))) == "REFUSED(unknown_symbol)"


def test_flat_on_arrival_is_success() -> None:
    assert run(position=0).said == "ALREADY_FLAT"
    assert run(foreign=(Foreign(-200, -10_000),)).said == "ALREADY_FLAT"


# Gate and send -----------------------------------------------------------------------------------------------------


def test_an_order_is_never_larger_than_the_position_as_read_for_the_gate() -> None:
    history = run(fates=(Fate(refusal=Class.RETRY),), foreign=(Foreign(6, -9_000),))
    assert history.quantities == [4, 1]


def test_a_busy_gate_is_asked_again_and_a_closed_one_is_not() -> None:
    assert run(gates=(Gate.BUSY, Gate.BUSY)).said == "FLAT"
    assert run(frozen_from=0).said == "SKIPPED(frozen)"
    assert run(frozen_from=5).said == "REDUCED(frozen)"


def test_what_another_plan_of_the_intent_was_sent_for_is_skipped_and_says_by_which() -> None:
    waiting = Waiting(Progress(decision=decision()))
    refused = steps.GateRefused(now=START, reason="same_intent", other="the-other")
    step = decide(waiting, refused, POLICY)
    assert isinstance(step.effect, steps.Publish)
    outcome = step.effect.ended.outcome
    assert (outcome.kind, outcome.reason) == (OutcomeKind.SKIPPED, "same_intent")
    assert outcome.veto == Veto(
        "same_intent", "one close for an intent and a position", "sent as plan the-other"
    )


def test_the_unheard_answer_of_the_gate_is_not_sent() -> None:
    history = run(position=2_000, gates=(Gate.WRITTEN_UNHEARD,))
    assert [sending.attempt for sending in history.world.sent] == [2]
    assert history.took > 3_000
    history = run(position=2_000, gates=(Gate.UNWRITTEN_UNHEARD,))
    assert [sending.attempt for sending in history.world.sent] == [1]
    assert history.took < 1_000


def test_an_attempt_that_came_too_late_out_of_the_gate_is_dead_without_proof() -> None:
    history = run(position=2_000, gates=(Gate.SLOW,))
    assert [sending.attempt for sending in history.world.sent] == [2]
    assert history.took < 2_000


def test_an_answer_that_names_another_order_is_no_answer() -> None:
    for fates in [(Fate(reply=Reply.STRANGE),), (Fate(reply=Reply.STRANGE, parts=(0,)),)]:
        history = run(position=2_000, fates=fates)
        assert history.said == "FLAT"
        assert 9_999_999 not in history.state.progress.order_ids  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "event",
    [
        steps.ReadFailed(now=START, reason="?"),
        steps.Unanswered(now=START, reason="?"),
        steps.TradesRead(now=START, trades=()),
        steps.Received(now=START, decision=decision(), entry=ENTRY),
        steps.GatePassed(now=START, sending=sending()),
        seen(order(attempt=7), Via.ANSWER),
    ],
    ids=lambda event: type(event).__name__,
)
def test_whatever_else_comes_while_an_attempt_is_out_it_is_not_sent_again(event: steps.AnyEvent) -> None:
    step = after(in_flight(), event)
    assert isinstance(step.state, Unknown)
    assert isinstance(step.effect, steps.QueryOrder)


def test_news_of_an_earlier_attempt_before_the_send_does_not_stop_it() -> None:
    second = fold([admitted(), sized(), sending(1), facts.NotSent(attempt=1, reason="?"), sending(2)])
    step = after(second, seen(order(1)))
    assert isinstance(step.effect, steps.Send)
    answered = after(step.state, seen(order(2), Via.ANSWER))
    settled = after(
        answered.state, steps.TradesRead(now=START, trades=(trade("-4", at=START + 5, order_id=2),))
    )
    assert settled.effect == steps.ReadTrades(order_id=1)


# Classify ----------------------------------------------------------------------------------------------------------


def refused(kind: Class, retry_after_ms: int = 0) -> steps.Refused:
    refusal = Refusal(kind=kind, http_status=400, code=-1, message="no", retry_after_ms=retry_after_ms)
    return steps.Refused(now=START, refusal=refusal)


def test_reduce_only_refused_on_a_flat_position_is_already_flat() -> None:
    history = run(position=2_000, foreign=(Foreign(6, -2_000),))
    assert len(history.world.sent) == 1
    assert history.said == "ALREADY_FLAT"


def test_reduce_only_refused_after_a_long_outage_still_reads_the_position_first() -> None:
    """Requests that never left count as setbacks, not as refusals: the first real no is judged as the first."""
    known: list[facts.AnyFact] = [admitted(), sized()]
    for attempt in range(1, POLICY.setbacks + 3):
        known += [sending(attempt), facts.NotSent(attempt=attempt, reason="no connection")]
    known.append(sending(POLICY.setbacks + 3))
    step = after(fold(known), refused(Class.FLAT_CHECK))
    assert isinstance(step.effect, steps.ReadPosition)
    assert concluded(flat_to_the_end(after(step.state, read(position("0"))))) == "ALREADY_FLAT"


def test_refusals_in_a_row_come_to_an_end() -> None:
    history = History(Script(fates=(Fate(refusal=Class.RETRY),) * 200)).run()
    assert history.outcome == Outcome(OutcomeKind.REFUSED, "retry", -1)
    assert len(history.world.sent) == POLICY.setbacks + 1


@pytest.mark.parametrize("kind", [Class.FIX, Class.ESCALATE])
def test_what_no_repetition_helps_ends_the_close_and_tells_what_was_filled(kind: Class) -> None:
    assert run(fates=(Fate(refusal=kind),)).said == f"REFUSED(-1, {kind})"
    assert run(fates=(Fate(), Fate(refusal=kind))).said == f"REDUCED(-1 {kind})"


def test_being_told_to_wait_is_no_setback_and_is_obeyed() -> None:
    effect = after(in_flight(), refused(Class.WAIT, 7_000)).effect
    assert effect == steps.ReadPosition(delay=7_000)
    assert after(in_flight(), refused(Class.WAIT)).effect == steps.ReadPosition(delay=POLICY.longest_wait)
    history = run(position=2_000, fates=(Fate(refusal=Class.WAIT, retry_after=4_000),) * 2)
    assert history.took > 8_000
    long = run(position=2_000, fates=(Fate(refusal=Class.WAIT, retry_after=100),) * (POLICY.setbacks + 5))
    assert long.said == "FLAT"


def test_attempts_that_come_to_nothing_wait_longer_each_time() -> None:
    delays = []
    state: State = waiting()
    for attempt in range(1, 9):
        state = evolve(evolve(state, sized()), sending(attempt))
        step = after(state, refused(Class.RETRY))
        state = step.state
        delays.append(step.effect.delay)
    assert delays == [50, 100, 200, 400, 800, 1_000, 1_000, 1_000]


# Resolve -----------------------------------------------------------------------------------------------------------


def test_inside_the_window_not_found_is_no_answer() -> None:
    state: State = fold([admitted(), sized(), sending(), facts.Resumed(worker="w", epoch=1)])
    for asked_at in (START, START + 2_000, START + 2_000 + POLICY.margin):
        step = decide(state, steps.OrderMissing(now=asked_at, asked_at=asked_at), POLICY)
        assert isinstance(step.state, Unknown)
        assert step.state.doubts.count == 0
        state = step.state


def test_a_lost_order_is_dead_after_window_margin_and_spread_and_not_much_later() -> None:
    history = run(position=2_000, fates=(LOST,))
    died = [fact for fact in history.journal.facts if isinstance(fact, facts.Dead)]
    window = 2_000 + POLICY.margin + POLICY.spread
    assert window < died[0].evidence_begun_at - START < window + 1_500
    assert died[0].not_found >= POLICY.not_found_answers


def test_an_order_executed_at_the_last_moment_of_its_window_is_found() -> None:
    for delay in (1_990, 1_999, 2_000):
        history = run(position=2_000, fates=(Fate(delay=delay, reply=Reply.LOST),))
        assert history.said == "FLAT"
        assert len(history.world.sent) == (2 if delay == 2_000 else 1)  # one millisecond went by at the gate


def test_a_contradiction_parks_after_it_has_stood_not_after_the_attempt_is_old() -> None:
    """A restart after hours may meet a lagging read in its first second."""
    moved = position("7", at=START - 10_000)
    at = START + 3_600_000
    state: State = fold([admitted(), sized(), sending(), facts.Resumed(worker="w", epoch=1)])
    evidence = Evidence(begun_at=at, orders=(), trades=(), position=moved)
    step = decide(state, steps.EvidenceRead(now=at, evidence=evidence), POLICY)
    assert isinstance(step.state, Unknown)
    later = msgspec.structs.replace(evidence, begun_at=at + POLICY.park_after)
    step = decide(step.state, steps.EvidenceRead(now=at, evidence=later), POLICY)
    assert isinstance(step.state, Unknown)
    latest = msgspec.structs.replace(evidence, begun_at=at + POLICY.park_after + 1)
    step = decide(step.state, steps.EvidenceRead(now=at, evidence=latest), POLICY)
    assert concluded(step).startswith("PARKED(the position moved by -3")


def test_the_streams_word_ends_the_doubt() -> None:
    history = run(position=2_000, fates=(Fate(reply=Reply.LOST, delay=20),), order_lags=(5_000,) * 9)
    assert history.took < 1_000
    assert history.said == "FLAT"


def test_an_order_seen_after_it_was_declared_dead_is_counted() -> None:
    dead = facts.Dead(
        attempt=1,
        not_found=3,
        first_not_found_at=0,
        last_not_found_at=0,
        evidence_begun_at=0,
        orders_read=0,
        position=position(),
        foreign_moves=Decimal(0),
    )
    for more in ((), (sending(2),), (sending(2), facts.Resumed(worker="w", epoch=1))):
        state = fold([admitted(), sized(), sending(1), dead, *more])
        step = after(state, seen(order(1)))
        if more:
            assert isinstance(step.state, InFlight | Unknown)
            filled = (trade("-4", at=START + 9, order_id=2, trade_id=2),)
            step = after(step.state, seen(order(2), Via.QUERY), steps.TradesRead(now=START, trades=filled))
        assert step.effect == steps.ReadTrades(order_id=1)
        step = after(step.state, steps.TradesRead(now=START, trades=(trade("-4", at=START + 8, order_id=1),)))
        assert isinstance(step.state, Waiting)
        assert step.state.progress.filled == (8 if more else 4)
        assert step.state.progress.remaining == (2 if more else 6)


def test_an_order_that_shows_up_while_an_outcome_waits_to_be_published_undoes_it() -> None:
    known: list[facts.AnyFact] = [admitted(), sized(), sending(1), facts.NotSent(attempt=1, reason="?")]
    step = flat_to_the_end(after(fold(known), read(position("0"))))
    assert concluded(step) == "ALREADY_FLAT"
    step = after(step.state, seen(order(1)))
    assert isinstance(step.state, Working)
    assert step.effect == steps.ReadTrades(order_id=1)


def test_news_of_what_is_known_changes_no_outcome() -> None:
    step = flat_to_the_end(after(fold([admitted()]), read(position("0"))))
    assert concluded(after(step.state, seen(order(attempt=9)))) == "ALREADY_FLAT"


# Confirm -----------------------------------------------------------------------------------------------------------


def test_a_remainder_comes_from_the_fills_and_not_from_the_position() -> None:
    """Half of ten is five: three are filled, somebody adds four, and two remain."""
    history = run(fraction="0.5", fates=(Fate(parts=(75,)),), foreign=(Foreign(6, 4_000),))
    assert history.quantities == [4, 2]
    assert history.filled == Decimal(5)


def test_a_read_older_than_the_last_fill_does_not_count() -> None:
    history = run(position=2_000, position_lags=(0, 300, 300), news=(None,) * 3)
    confirming = [e for state, _, _, e in history.steps if state == "Confirming"]
    assert len([effect for effect in confirming if isinstance(effect, steps.ReadPosition)]) == 2
    assert history.said == "FLAT"


def test_a_read_requested_before_the_last_fill_does_not_count() -> None:
    fill = trade("-10", at=START + 5, order_id=1)
    confirming = fold(
        [admitted(), sized(), sending(), facts.Filled(order=order(executed="10"), trades=(fill,))]
    )
    assert isinstance(confirming, Confirming)
    for flat, counts in [
        (position("0", at=START + 5, requested_at=START + 4), False),
        (position("0", at=START + 4, requested_at=START + 5), False),
        (position("0", at=START + 5, requested_at=START + 5), True),
    ]:
        step = after(confirming, read(flat))
        assert isinstance(step.effect, steps.ReadResting if counts else steps.ReadPosition)


def test_trades_are_awaited_until_they_add_up_to_what_the_order_says() -> None:
    history = run(position=2_000, fates=(Fate(parts=(40, 60)),), trade_lags=(500, 500, 500))
    assert history.said == "FLAT"
    assert history.state.progress.average_price == 100  # type: ignore[union-attr]


def test_an_order_that_is_not_found_once_it_was_seen_is_asked_for_again() -> None:
    history = run(
        position=2_000,
        fates=(Fate(reply=Reply.EARLY, parts=(50, 50), gap=400),),
        order_lags=(2_000,) * 3,
        news=(None,) * 3,
    )
    assert history.said == "FLAT"
    assert len(history.world.sent) == 1


def test_an_order_that_goes_on_working_is_never_taken_for_ended() -> None:
    working = after(in_flight(), seen(order(status="NEW", executed="0"), Via.ANSWER)).state
    for _ in range(50):
        step = after(working, seen(order(status="NEW", executed="0"), Via.QUERY))
        assert isinstance(step.state, Working)
        assert step.effect.delay
        working = step.state
    step = after(working, steps.TradesRead(now=START, trades=()))
    assert isinstance(step.state, Working)
    assert not step.facts


def test_old_news_does_not_put_off_the_reading_of_trades() -> None:
    step = after(in_flight(), seen(order(), Via.ANSWER))
    assert step.effect == steps.ReadTrades(order_id=1)
    news = [order(status="NEW", executed="0"), order(status="PARTIALLY_FILLED", executed="2"), order()]
    assert after(step.state, *map(seen, news)).effect == steps.ReadTrades(order_id=1)


def test_fills_never_shrink_and_an_end_stays_an_end() -> None:
    state = after(in_flight(), seen(order(status="PARTIALLY_FILLED", executed="2"))).state
    state = after(state, seen(order(status="NEW", executed="0"))).state
    assert isinstance(state, Working)
    assert state.order.executed_qty == 2
    state = after(
        state, seen(order(status="EXPIRED", executed="3")), seen(order(status="NEW", executed="0"))
    ).state
    assert isinstance(state, Working)
    assert (state.order.status, state.order.executed_qty) == ("EXPIRED", Decimal(3))


def confirming_full(target: str = "10", *, sized_at: int = START) -> State:
    fill = trade(f"-{target}", at=START + 50, order_id=1)
    read_ = position(target, requested_at=sized_at)
    known: list[facts.AnyFact] = [admitted(), sized(target, read_), sending()]
    return fold([*known, facts.Filled(order=order(executed=target), trades=(fill,))])


def left(*others: Trade, at: int = START + 50) -> steps.Step:
    """A full close of ten has filled, and three are left; the account's trades are these and our own."""
    rest = position("3", at=at, requested_at=START + 60)
    own = trade("-10", at=START + 50, order_id=1)
    step = after(confirming_full(), read(rest))
    assert isinstance(step.effect, steps.ReadHistory)
    assert step.effect.since == START + 1
    return after(step.state, history_read(rest, own, *others))


def test_a_full_close_that_left_something_nobody_added_is_sized_again() -> None:
    step = left()
    (resized,) = step.facts
    assert isinstance(resized, facts.Sized)
    assert resized.target == Decimal(13)
    assert isinstance(step.state, Waiting)
    assert step.state.progress.remaining == Decimal(3)


def test_a_full_close_that_left_what_somebody_added_since_leaves_it() -> None:
    assert concluded(left(trade("3", at=START + 20))) == "REDUCED(position_changed)"
    assert concluded(left(trade("3", at=START + 55), at=START + 55)) == "REDUCED(position_changed)"


def test_a_full_close_waits_for_the_trades_that_explain_what_is_left() -> None:
    step = left(at=START + 55)
    assert isinstance(step.effect, steps.ReadPosition)
    assert step.effect.delay


def test_a_sizing_that_was_stale_is_corrected_although_somebody_added_before_it() -> None:
    """What came before the sizing's read was part of the position that the decision found."""
    history = run(
        position=3_000, foreign=(Foreign(-100, 2_000),), known=True, opened=-9_000, position_lags=(2_000,)
    )
    assert history.said == "FLAT"
    assert history.filled == Decimal(5)


def test_a_flat_position_that_somebody_closed_in_between_is_flat() -> None:
    history = run(foreign=(Foreign(10, -6_000),))
    assert history.said == "FLAT"
    assert history.filled == Decimal(4)


def test_a_partial_close_that_lost_its_position_is_not_carried_over_to_the_other_side() -> None:
    history = run(fraction="0.5", fates=(Fate(parts=(10,)),), foreign=(Foreign(30, -15_000),), latency=10)
    assert history.said == "REDUCED(position_changed)"
    assert history.filled == milli(400)


def test_a_partial_close_whose_target_is_filled_gives_no_reason_however_late() -> None:
    history = run(position=2_000, fraction="0.5", crashes=(Crash(5, before=True, down=3_600_000),))
    assert history.said == "REDUCED"


def test_quiet_closes_send_one_order_and_read_as_little_as_can_be() -> None:
    """The budget: one position read, the gate, the order, its trades, a position read, a look at what rests, the outcome."""
    names = [type(effect).__name__ for effect in run(position=2_000).effects]
    wanted = [
        "ReadPosition",
        "PassGate",
        "Send",
        "ReadTrades",
        "ReadPosition",
        "ReadResting",
        "Publish",
        "Rest",
    ]
    assert [name for index, name in enumerate(names) if names[index - 1 : index] != [name]] == wanted


def test_a_remainder_is_not_taken_from_a_position_that_was_opened_anew_in_between() -> None:
    """Half of ten is five; two are filled, somebody closes the other eight and opens ten of his own."""
    fill = trade("-2", at=START + 50, order_id=1)
    known: list[facts.AnyFact] = [admitted(decision(fraction="0.5")), sized("5", position()), sending()]
    state = fold([*known, facts.Filled(order=order(status="EXPIRED", executed="2"), trades=(fill,))])
    theirs = position("10", at=START + 80, requested_at=START + 90)
    step = after(state, read(theirs))
    assert isinstance(step.effect, steps.ReadHistory)
    assert step.effect.since == START + 51
    trades = trade("-8", at=START + 60), trade("10", at=START + 80)
    step = after(step.state, history_read(theirs, *trades), read(theirs))
    assert concluded(step) == "REDUCED(position_changed)"
    added = position("9", at=START + 80, requested_at=START + 90)
    step = after(state, history_read(added, trade("1", at=START + 80)))
    assert isinstance(step.effect, steps.PassGate)
    assert step.effect.quantity == Decimal(3)


def test_what_is_told_does_not_depend_on_who_tells_it() -> None:
    """A process that died before it published tells the same of the close as the one that takes it up."""
    history = run(gates=(Gate.BUSY,), foreign=(Foreign(20, -10_000),))
    assert history.said == "ALREADY_FLAT"
    final = fold(history.journal.facts)
    assert isinstance(final, Done)
    assert history.report == report_of(final, "")
