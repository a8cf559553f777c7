"""What a read can answer: the venue as it is, as it was a moment ago, or nothing at all."""

from collections.abc import Iterator
from typing import Final, NamedTuple

import msgspec

from sureclose.domain import steps
from sureclose.domain.evidence import Evidence
from sureclose.domain.facts import Via
from sureclose.domain.market import Trade
from sureclose.domain.steps import AnyEffect, AnyEvent
from tests.model import exchange
from tests.model.exchange import Changes
from tests.model.faults import PLACE, Fault
from tests.model.mutants import Mutant
from tests.model.terms import POLICY, RULES, order_name
from tests.model.world import Kind, World


class Read(NamedTuple):
    """One answer, and the faults that it takes."""

    words: str
    event: AnyEvent
    costs: tuple[Fault, ...] = ()


def reads(world: World, effect: AnyEffect, broken: Mutant | None) -> Iterator[Read]:
    """All answers that the bound allows."""
    if world.budget[PLACE[Fault.READ]]:
        event = steps.ReadFailed(now=world.now, reason="no answer")
        yield Read(f"{_name(effect)} fails", event, (Fault.READ,))
    fresh = _read(world, effect, world.venue, broken)
    yield Read(f"{_name(effect)}: {_word(fresh)}", fresh)
    if not world.budget[PLACE[Fault.LAG]]:
        return
    told = [fresh]
    for shown in exchange.lags(world.venue, world.now, POLICY.park_after):
        for stale in _stale(world, effect, shown, broken):
            if stale not in told:
                told.append(stale)
                yield Read(f"{_name(effect)} lags: {_word(stale)}", stale, (Fault.LAG,))


def _name(effect: AnyEffect) -> str:
    return type(effect).__name__


def _word(event: AnyEvent) -> str:
    match event:
        case steps.PositionRead() | steps.HistoryRead():
            return f"position {event.position.amount}"
        case steps.OrderSeen():
            return event.order.status
        case steps.TradesRead():
            return f"{len(event.trades)} trades"
        case steps.EvidenceRead():
            evidence = event.evidence
            return f"position {evidence.position.amount}, {len(evidence.orders)} orders, {len(evidence.trades)} trades"
        case _:
            return type(event).__name__


def _stale(world: World, effect: AnyEffect, shown: Changes, broken: Mutant | None) -> Iterator[AnyEvent]:
    """The event with each part of it that may lag by itself, as far as A4 lets all of them lag."""
    if not isinstance(effect, steps.GatherEvidence):
        yield _read(world, effect, shown, broken)
        return
    all_of_it = world.venue
    for position in (all_of_it, shown):
        for orders in (all_of_it, shown):
            for trades in (all_of_it, shown):
                if (orders is shown or trades is shown or position is shown) and _a4(world, orders, trades):
                    yield _evidence(world, effect.since, position, orders, trades)


def _a4(world: World, orders: Changes, trades: Changes) -> bool:
    """Two seconds after the deadline the order list or the trades show what was accepted (the query did not)."""
    for change in world.venue:
        if change.kind is not Kind.ACCEPTED:
            continue
        listed = exchange.order(orders, change.plan, change.attempt) is not None
        filled = exchange.filled_of(trades, change.plan, change.attempt)
        if not listed and not filled:
            return False
    return True


def _evidence(
    world: World,
    since: int,
    position: Changes,
    orders: Changes,
    trades: Changes,
) -> steps.EvidenceRead:
    evidence = Evidence(
        begun_at=world.now,
        orders=tuple(exchange.orders(orders, since)),
        trades=exchange.trades_since(trades, since),
        position=exchange.position(position, world.now),
    )
    return steps.EvidenceRead(now=world.now, evidence=evidence)


_MOST_ATTEMPTS: Final = 12
"""More than any bound allows."""


def _read(world: World, effect: AnyEffect, shown: Changes, broken: Mutant | None) -> AnyEvent:
    now = world.now
    match effect:
        case steps.ReadPosition():
            found = exchange.position(shown, now)
            if broken is Mutant.CACHED_FLAT and shown is not world.venue:
                found = msgspec.structs.replace(found, update_time=now)
            return steps.PositionRead(now=now, position=found, rules=RULES)
        case steps.ReadHistory():
            trades = exchange.trades_since(shown, effect.since)
            flat = bool(trades) and not effect.position.amount
            last = exchange.order_by_id(shown, trades[-1].order_id) if flat else None
            return steps.HistoryRead(
                now=now, position=effect.position, rules=effect.rules, trades=trades, closed_by=last
            )
        case steps.ReadResting():
            return steps.RestingRead(now=now, position=effect.position, rules=effect.rules, orders=())
        case steps.QueryOrder():
            return _query(world, effect.client_order_id, shown, broken)
        case steps.ReadTrades():
            if broken is Mutant.DONE_BY_ANSWER:
                return steps.TradesRead(now=now, trades=_as_if_filled(shown, effect.order_id))
            return steps.TradesRead(now=now, trades=exchange.trades_of(shown, effect.order_id))
        case steps.GatherEvidence():
            return _evidence(world, effect.since, shown, shown, shown)
        case _:
            raise AssertionError(f"not a read: {effect}")


def _query(world: World, client_order_id: str, shown: Changes, broken: Mutant | None) -> AnyEvent:
    plan, attempt = _whose(world, client_order_id)
    found = exchange.order(shown, plan, attempt)
    if found is None:
        return steps.OrderMissing(now=world.now, asked_at=world.now)
    if broken is Mutant.DONE_BY_ANSWER:
        found = msgspec.structs.replace(found, status="FILLED", executed_qty=found.orig_qty)
    return steps.OrderSeen(now=world.now, order=found, via=Via.QUERY)


def _whose(world: World, client_order_id: str) -> tuple[int, int]:
    """Whose attempt a client order id is of: the venue compares ids, and the model numbers."""
    for plan in range(len(world.log.closes)):
        for attempt in range(1, _MOST_ATTEMPTS):
            if order_name(plan, attempt) == client_order_id:
                return plan, attempt
    raise AssertionError(f"nobody's order: {client_order_id}")


def _as_if_filled(shown: Changes, order_id: int) -> tuple[Trade, ...]:
    order = exchange.order_by_id(shown, order_id)
    assert order is not None
    own = exchange.trades(shown)[0]
    return (
        msgspec.structs.replace(
            own,
            trade_id=order_id + 1_000,
            order_id=order_id,
            side=order.side,
            quantity=order.orig_qty,
            time=order.update_time,
        ),
    )
