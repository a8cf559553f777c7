"""``decide`` and ``evolve`` are total: no event in any state, and no fact after any other, is without an answer."""

from decimal import Decimal
from itertools import product
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from sureclose.domain import facts, steps
from sureclose.domain.close import (
    Concluded,
    Confirming,
    Done,
    InFlight,
    New,
    Progress,
    State,
    Tidying,
    Unknown,
    Waiting,
    Working,
    evolve,
    fold,
)
from sureclose.domain.decide import decide
from sureclose.domain.doubt import Doubts
from sureclose.domain.evidence import Evidence
from sureclose.domain.facts import AnyFact, Sending, Via
from sureclose.domain.ids import client_order_id_for
from sureclose.domain.market import Class, OrderReport, Position, Refusal, RestingOrder, Trade
from sureclose.domain.outcome import Outcome, OutcomeKind
from sureclose.domain.settlement import Findings
from sureclose.domain.standing import standing
from sureclose.domain.words import PositionSide, Side
from tests.domain.scripts import ENTRY, POLICY, RULES, START, decision

LEGAL: dict[type, tuple[type, ...]] = {
    New: (steps.Rest,),
    Waiting: (
        steps.ReadPosition,
        steps.ReadHistory,
        steps.ReadResting,
        steps.CancelResting,
        steps.PassGate,
        steps.ReadOrphan,
        steps.Adopt,
    ),
    InFlight: (steps.Send,),
    Unknown: (steps.QueryOrder, steps.GatherEvidence),
    Working: (steps.QueryOrder, steps.ReadTrades, steps.GatherEvidence),
    Confirming: (steps.ReadPosition, steps.ReadHistory),
    Tidying: (steps.ReadResting, steps.CancelResting),
    Concluded: (steps.Publish,),
    Done: (steps.Rest,),
}
"""What a state may want done. A SENDING record is followed by nothing but its send; only Waiting asks the gate."""

SENT = Sending(
    attempt=1,
    client_order_id="sc-1",
    side=Side.SELL,
    quantity=Decimal(4),
    timestamp=START,
    deadline=START + 2_000,
    position=Position(
        symbol="BTCUSDT",
        position_side=PositionSide.BOTH,
        amount=Decimal(10),
        entry_price=Decimal(1),
        mark_price=Decimal(1),
        update_time=START - 5,
        requested_at=START,
    ),
)
times = st.sampled_from([0, START - 1, START, START + 5, START + 2_000, START + 3_001, START + 70_000])
amounts = st.sampled_from(
    [Decimal(n) for n in ("0", "0.0004", "0.001", "3", "-3", "4.0007", "10", "-10", "1E+3")]
)
positions = st.builds(
    Position,
    symbol=st.just("BTCUSDT"),
    position_side=st.sampled_from(PositionSide),
    amount=amounts,
    entry_price=st.just(Decimal(1)),
    mark_price=st.just(Decimal(1)),
    update_time=times,
    requested_at=times,
)
numbers = st.integers(1, 4)
sendings = st.builds(
    lambda attempt, at, position, quantity, limit_price: Sending(
        attempt=attempt,
        client_order_id=f"sc-{attempt}",
        side=Side.SELL,
        quantity=quantity,
        timestamp=at,
        deadline=at + 2_000,
        position=position,
        limit_price=limit_price,
    ),
    numbers,
    times,
    positions,
    amounts.filter(lambda amount: amount > 0),
    st.sampled_from([None, Decimal("95.5")]),
)
orders = st.builds(
    lambda number, client, status, executed, at: OrderReport(
        order_id=number,
        client_order_id=client,
        symbol="BTCUSDT",
        side=Side.SELL,
        position_side=PositionSide.BOTH,
        status=status,
        order_type="MARKET",
        reduce_only=True,
        orig_qty=Decimal(4),
        executed_qty=executed,
        update_time=at,
    ),
    numbers,
    st.sampled_from(["sc-1", "sc-2", "sc-3", "web"]),
    st.sampled_from(["NEW", "PARTIALLY_FILLED", "FILLED", "EXPIRED", "CANCELED", "A_WORD_OF_TOMORROW"]),
    st.sampled_from([Decimal(0), Decimal(1), Decimal(4)]),
    times,
)
orphans = st.builds(
    lambda order, attempt: replace(
        order, client_order_id=client_order_id_for("sc-", "paper:main", "plan", attempt)
    ),
    orders,
    numbers,
)
trades = st.lists(
    st.builds(
        Trade,
        trade_id=st.integers(1, 9),
        order_id=numbers,
        symbol=st.just("BTCUSDT"),
        side=st.sampled_from(Side),
        position_side=st.just(PositionSide.BOTH),
        quantity=st.sampled_from([Decimal(1), Decimal(4)]),
        price=st.just(Decimal(100)),
        realized_pnl=st.just(Decimal(0)),
        commission=st.just(Decimal(0)),
        commission_asset=st.just("USDT"),
        time=times,
    ),
    max_size=3,
).map(tuple)
decisions = st.builds(
    decision,
    fraction=st.sampled_from(["1", "0.5", "0.001", None]),
    quantity=st.sampled_from([None, "3", "0.0001"]),
    origin_at=times,
    expires_at=st.one_of(st.none(), times),
    position_amt=st.sampled_from([None, "10", "-10", "0"]),
    position_update_time=st.one_of(st.none(), times),
    position_side=st.sampled_from(PositionSide),
)
resting_orders = st.builds(
    RestingOrder,
    order_id=numbers,
    client_order_id=st.sampled_from(["tp", "sl"]),
    conditional=st.booleans(),
    symbol=st.just("BTCUSDT"),
    side=st.sampled_from(Side),
    position_side=st.sampled_from(PositionSide),
    order_type=st.just("LIMIT"),
    reduce_only=st.booleans(),
    close_position=st.booleans(),
    quantity=st.sampled_from([Decimal(0), Decimal(3)]),
    price=st.just(Decimal(100)),
    trigger_price=st.just(Decimal(0)),
    time=times,
)
shelves = st.lists(resting_orders, max_size=3).map(tuple)
outcomes = st.builds(Outcome, st.sampled_from(OutcomeKind), st.just("why"), st.sampled_from([None, -2022]))
ends = st.builds(facts.Ended, outcome=outcomes, position_after=st.one_of(st.none(), positions))

rehearsals = st.builds(
    facts.WouldSend,
    attempt=numbers,
    client_order_id=st.just("dry-1"),
    side=st.just(Side.SELL),
    quantity=amounts.map(abs),
    position=positions,
    gate=st.sampled_from(["", "frozen"]),
)

FACTS: dict[type, st.SearchStrategy[AnyFact]] = {
    facts.Admitted: st.builds(facts.Admitted, decision=decisions, entry=st.just(ENTRY)),
    facts.Sized: st.builds(facts.Sized, position=positions, target=amounts.map(abs), side=st.just(Side.SELL)),
    facts.Sending: sendings,
    facts.WouldSend: rehearsals,
    facts.NotSent: st.builds(facts.NotSent, attempt=numbers, reason=st.just("why")),
    facts.Answered: st.builds(
        facts.Answered,
        attempt=numbers,
        answer=st.sampled_from(facts.Answer),
        code=st.sampled_from([None, -1, -2022, -4118, -4131]),
        setback=st.booleans(),
    ),
    facts.Seen: st.builds(facts.Seen, via=st.sampled_from(Via), order=orders),
    facts.Filled: st.builds(facts.Filled, order=orders, trades=trades),
    facts.Dead: st.builds(
        facts.Dead,
        attempt=numbers,
        not_found=numbers,
        first_not_found_at=times,
        last_not_found_at=times,
        evidence_begun_at=times,
        orders_read=numbers,
        position=positions,
        foreign_moves=amounts,
    ),
    facts.Clearing: st.builds(facts.Clearing, why=st.sampled_from(facts.Why), orders=shelves),
    facts.Cleared: st.builds(facts.Cleared, why=st.sampled_from(facts.Why), gone=shelves, left=shelves),
    facts.Resumed: st.builds(facts.Resumed, worker=st.just("w"), epoch=numbers),
    facts.Ended: ends,
    facts.Resolved: st.builds(
        facts.Resolved,
        actor=st.just("ann"),
        reason=st.just("looked"),
        outcome=outcomes,
        orders=st.lists(orders, max_size=2).map(tuple),
        trades=trades,
        position=positions,
    ),
}

EVENTS: dict[type, st.SearchStrategy[steps.AnyEvent]] = {
    steps.Received: st.builds(
        steps.Received,
        now=times,
        decision=decisions,
        entry=st.just(ENTRY),
        orphan=st.one_of(st.none(), orphans),
    ),
    steps.Taken: st.builds(steps.Taken, now=times, worker=st.just("w"), epoch=numbers),
    steps.PositionRead: st.builds(steps.PositionRead, now=times, position=positions, rules=st.just(RULES)),
    steps.SideUnclear: st.builds(steps.SideUnclear, now=times),
    steps.NotListed: st.builds(steps.NotListed, now=times),
    steps.HistoryRead: st.builds(
        steps.HistoryRead,
        now=times,
        position=positions,
        rules=st.just(RULES),
        trades=trades,
        closed_by=st.one_of(st.none(), orders),
    ),
    steps.RestingRead: st.builds(
        steps.RestingRead, now=times, position=positions, rules=st.just(RULES), orders=shelves
    ),
    steps.ReadFailed: st.builds(steps.ReadFailed, now=times, reason=st.just("why")),
    steps.GatePassed: st.builds(steps.GatePassed, now=times, sending=sendings),
    steps.GateRefused: st.builds(
        steps.GateRefused,
        now=times,
        reason=st.just("frozen"),
        passing=st.booleans(),
        rehearsed=st.one_of(st.none(), rehearsals),
    ),
    steps.Withheld: st.builds(steps.Withheld, now=times, reason=st.just("why")),
    steps.OrderSeen: st.builds(steps.OrderSeen, now=times, order=orders, via=st.sampled_from(Via)),
    steps.Refused: st.builds(
        steps.Refused,
        now=times,
        refusal=st.builds(
            Refusal,
            kind=st.sampled_from(Class),
            http_status=st.just(400),
            code=st.sampled_from([None, -2022, -4131, -4016]),
            message=st.just("no"),
            retry_after_ms=st.sampled_from([0, 5_000]),
        ),
    ),
    steps.Unanswered: st.builds(steps.Unanswered, now=times, reason=st.just("why")),
    steps.OrderMissing: st.builds(steps.OrderMissing, now=times, asked_at=times),
    steps.EvidenceRead: st.builds(
        steps.EvidenceRead,
        now=times,
        evidence=st.builds(
            Evidence,
            begun_at=times,
            orders=st.lists(orders, max_size=2).map(tuple),
            trades=trades,
            position=positions,
        ),
    ),
    steps.TradesRead: st.builds(steps.TradesRead, now=times, trades=trades),
    steps.Orphaned: st.builds(steps.Orphaned, now=times, order=orphans),
    steps.OrphanRead: st.builds(
        steps.OrphanRead,
        now=times,
        evidence=st.builds(Evidence, begun_at=times, orders=st.just(()), trades=trades, position=positions),
        rules=st.just(RULES),
    ),
    steps.Adopted: st.builds(
        steps.Adopted,
        now=times,
        facts=st.tuples(sendings, st.builds(facts.Seen, via=st.just(Via.ORDER_LIST), order=orders)),
    ),
    steps.Published: st.builds(steps.Published, now=times, ended=ends),
}
any_fact = st.one_of(*FACTS.values())
any_event = st.one_of(*EVENTS.values())


def known(progress: Progress) -> Progress:
    """Orders that were seen late are those of attempts."""
    return replace(progress, strays=tuple(filter(progress.owns, progress.strays)))


def its_own(state: Working) -> Working:
    """An order is worked only when it carries the id of one of the attempts."""
    attempts = state.progress.attempts
    if not any(attempt.client_order_id == state.order.client_order_id for attempt in attempts):
        attempts = (*attempts, replace(SENT, client_order_id=state.order.client_order_id))
    return replace(state, progress=replace(state.progress, attempts=attempts))


progresses = st.builds(
    Progress,
    decision=decisions,
    sized=st.one_of(st.none(), FACTS[facts.Sized]),
    attempt=numbers,
    attempts=st.lists(sendings, max_size=3).map(tuple),
    orders=st.lists(orders, max_size=2).map(tuple),
    trades=trades,
    strays=st.lists(orders, max_size=2).map(tuple),
    setbacks=st.sampled_from([0, 1, 60, 61, 10_000]),
    refusals=st.sampled_from([0, 60, 61]),
    refused_with=st.sampled_from([None, -1, -2022, -4118, -4131]),
    clearing=st.one_of(st.none(), FACTS[facts.Clearing]),
    cleared=shelves,
    left=shelves,
    orphan=st.one_of(st.none(), orphans),
    ending=st.sampled_from(["", "expired"]),
).map(known)
tries = st.sampled_from([0, 3, 10, 100_000])
STATES: dict[type, st.SearchStrategy[State]] = {
    New: st.just(New()),
    Waiting: st.builds(Waiting, progresses, tries),
    InFlight: st.builds(InFlight, progresses, sendings),
    Unknown: st.builds(
        Unknown,
        progresses,
        sendings,
        st.builds(Doubts, tries, times, times, st.one_of(st.just(0), times)),
        tries,
    ),
    Working: st.builds(Working, progresses, orders, tries).map(its_own),
    Confirming: st.builds(Confirming, progresses, tries),
    Tidying: st.builds(
        Tidying,
        progresses,
        ends,
        positions,
        st.just(RULES),
        st.one_of(st.none(), FACTS[facts.Clearing]),
        tries,
    ),
    Concluded: st.builds(Concluded, progresses, ends),
    Done: st.builds(Done, progresses, ends),
}


def test_no_word_is_missing_here() -> None:
    assert set(STATES) == set(get_args(State)) == set(LEGAL)
    assert set(EVENTS) == set(get_args(steps.AnyEvent))
    assert set(FACTS) == set(get_args(AnyFact))


def sound(state: State, event: steps.AnyEvent, step: steps.Step) -> None:
    """What holds of every step, wherever it leads."""
    assert isinstance(step.effect, LEGAL[type(step.state)]), (state, event, step)
    assert step.effect.delay >= 0
    assert standing(step.state, POLICY) is not None
    for fact in step.facts:
        if isinstance(fact, facts.Filled):
            assert fact.order.terminal, "only an order that has ended has all its trades"
    sends = isinstance(step.effect, steps.Send)
    if sends:
        assert isinstance(event, steps.GatePassed) or isinstance(state, InFlight), (
            "only the gate leads to a send"
        )
    if isinstance(step.effect, steps.Adopt):
        assert isinstance(event, steps.OrphanRead)
        assert isinstance(state, Waiting)
        assert step.effect.sending.attempt > state.progress.attempt, "an id is an attempt once"
    if isinstance(step.effect, steps.PassGate):
        assert isinstance(state, Waiting)
        assert isinstance(event, steps.PositionRead | steps.HistoryRead | steps.RestingRead)
        assert step.effect.attempt == state.progress.attempt + 1
        assert 0 < step.effect.quantity <= abs(event.position.amount)
        assert step.effect.side is (Side.SELL if event.position.amount > 0 else Side.BUY)
        assert step.effect.quantity <= RULES.max_qty


@pytest.mark.parametrize(
    ("state", "event"),
    list(product(STATES, EVENTS)),
    ids=lambda kind: kind.__name__,
)
def test_every_event_has_an_answer_in_every_state(state: type, event: type) -> None:
    @settings(max_examples=10, deadline=None, database=None)
    @given(STATES[state], EVENTS[event])
    def every(before: State, happened: steps.AnyEvent) -> None:
        sound(before, happened, decide(before, happened, POLICY))

    every()


@settings(max_examples=400, deadline=None)
@given(st.lists(any_fact, max_size=12), st.lists(any_event, max_size=12))
def test_any_facts_fold_and_any_events_go_on_from_there(
    known: list[AnyFact], events: list[steps.AnyEvent]
) -> None:
    state = fold(known)
    for event in events:
        step = decide(state, event, POLICY)
        sound(state, event, step)
        state = step.state


@settings(max_examples=400, deadline=None)
@given(st.one_of(*STATES.values()), st.one_of(FACTS[facts.Seen], FACTS[facts.Filled], FACTS[facts.Sized]))
def test_saying_a_thing_twice_says_nothing_more_about_what_is_filled(state: State, fact: AnyFact) -> None:
    once = evolve(state, fact)
    twice = evolve(once, fact)
    if not isinstance(once, New):
        assert not isinstance(twice, New)
        assert once.progress.filled == twice.progress.filled


@settings(max_examples=300, deadline=None)
@given(st.lists(any_fact, max_size=14))
def test_fills_and_attempts_only_grow_until_a_skipped_close_is_admitted_again(known: list[AnyFact]) -> None:
    """A person who settles a parked close puts what the venue lists then beside what was known."""
    state: State = New()
    for said in known:
        fact = said
        if isinstance(said, facts.Resolved) and not isinstance(state, New):
            found = Findings(orders=said.orders, trades=said.trades, position=said.position)
            whole = found.beside(state.progress.trades)
            fact = replace(said, orders=whole.orders, trades=whole.trades)
        after = evolve(state, fact)
        if not isinstance(state, New) and not (isinstance(state, Done) and isinstance(after, Waiting)):
            assert not isinstance(after, New)
            assert after.progress.filled >= state.progress.filled
            assert len(after.progress.attempts) >= len(state.progress.attempts)
        state = after
