"""What section 7 of the design demands after a loss of the log: the venue's orders with our prefix are joined with what is left.

Nothing in the log knows any more what was lost, so the missing records are made from the venue's own: which position the
orders were of, what they were for, and what they filled. What is made is what the lost records said, or leads to the same.
"""

from sureclose.domain.close import Done, InFlight, New, State, Unknown, Working, evolve, fold
from sureclose.domain.facts import Admitted, AnyFact, Dead, Filled, Seen, Sending, Sized, Via
from sureclose.domain.market import OrderReport
from sureclose.domain.outcome import OutcomeKind
from sureclose.domain.quantity import ZERO
from tests.model import exchange
from tests.model.exchange import Changes
from tests.model.terms import FACTS, entry_ref, wish
from tests.model.world import WINDOW, Close, Kind


def rebuilt(close: Close, plan: int, fraction: str, entry: int, venue: Changes, now: int) -> Close:
    """The close with a record of each of its orders that the venue has and the log has not."""
    known = [FACTS[number] for number in close.facts]
    missing = _missing(close, plan, venue)
    state = fold(known)
    if not missing or (isinstance(state, Done) and state.ended.outcome.kind is not OutcomeKind.SKIPPED):
        return close
    decision = wish(plan, fraction)
    made: list[AnyFact] = []

    def note(fact: AnyFact) -> None:
        nonlocal state
        made.append(fact)
        state = evolve(state, fact)

    if isinstance(state, New | Done):
        note(Admitted(decision=decision, entry=entry_ref(entry)))
    for attempt in missing:
        for fact in _closed(state, plan, venue, now):
            note(fact)
        place, order = attempt
        for fact in _records(state, plan, venue, place, order):
            note(fact)
    return Close(
        close.facts + tuple(FACTS.number(fact) for fact in made),
        max(venue[place].attempt for place, _ in missing),
        "OPEN",
    )


def _missing(close: Close, plan: int, venue: Changes) -> list[tuple[int, OrderReport]]:
    found = []
    for place, change in enumerate(venue):
        if change.kind is Kind.ACCEPTED and change.plan == plan and change.attempt > close.attempt:
            order = exchange.order(venue, plan, change.attempt)
            assert order is not None
            found.append((place, order))
    return found


def _closed(state: State, plan: int, venue: Changes, now: int) -> list[AnyFact]:
    """The end of an attempt that is recorded: a later one passed the gate, so it had been proven."""
    if isinstance(state, Working):
        order = exchange.order_by_id(venue, state.order.order_id)
        assert order is not None
        return [Filled(order=order, trades=exchange.trades_of(venue, order.order_id))]
    if not isinstance(state, InFlight | Unknown):
        return []
    sending = state.sending
    order = exchange.order(venue, plan, sending.attempt)
    if order is not None:
        trades = exchange.trades_of(venue, order.order_id)
        return [Seen(via=Via.ORDER_LIST, order=order), Filled(order=order, trades=trades)]
    dead = Dead(
        attempt=sending.attempt,
        not_found=0,
        first_not_found_at=0,
        last_not_found_at=0,
        evidence_begun_at=now,
        orders_read=len(exchange.orders(venue, 0)),
        position=exchange.position(venue, now),
        foreign_moves=ZERO,
    )
    return [dead]


def _records(state: State, plan: int, venue: Changes, place: int, order: OrderReport) -> list[AnyFact]:
    """Sizing where none binds, SENDING and SEEN; and the fills of one that has ended."""
    placed = venue[place]
    before = exchange.position(venue[:place], placed.time)
    facts: list[AnyFact] = []
    assert not isinstance(state, New)
    progress = state.progress
    if not progress.fixed or progress.remaining < order.orig_qty:
        # An order is for all that is left, so what was left is what the order is for.
        target = progress.filled + order.orig_qty
        facts.append(Sized(position=before, target=target, side=order.side))
    facts.append(
        Sending(
            attempt=placed.attempt,
            client_order_id=order.client_order_id,
            side=order.side,
            quantity=order.orig_qty,
            timestamp=placed.time,
            deadline=placed.time + WINDOW,
            position=before,
        )
    )
    facts.append(Seen(via=Via.ORDER_LIST, order=order))
    if exchange.ended(venue, plan, placed.attempt):
        facts.append(Filled(order=order, trades=exchange.trades_of(venue, order.order_id)))
    return facts
