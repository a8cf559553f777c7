"""``resolve``: a person settles a parked close, after a fresh read of the venue."""

import asyncio

import msgspec

from sureclose.domain.close import Done, Progress, evolve, fold
from sureclose.domain.facts import Resolved
from sureclose.domain.market import OrderReport, Position
from sureclose.domain.outcome import Outcome, Report
from sureclose.domain.report import report_of
from sureclose.domain.settlement import Findings, Unsettled, settled
from sureclose.domain.words import PositionSide
from sureclose.journal.chain import Loaded
from sureclose.journal.record import Writer
from sureclose.operate.session import Session
from sureclose.services.announcing import announcer


class NotParked(Exception):
    """The close is not known, or not parked; the message says what it is."""


class Parked(msgspec.Struct, frozen=True, kw_only=True):
    """A parked close, what the venue shows of it now, and the outcome that a person can settle it with."""

    plan_id: str
    loaded: Loaded
    progress: Progress
    reason: str
    found: Findings
    outcome: Outcome


async def look(session: Session, plan_id: str) -> Parked:
    """Read the close and the venue; raises ``NotParked``, ``Unsettled`` or ``VenueError``."""
    loaded = await session.journal.load(plan_id)
    if loaded is None:
        raise NotParked(f"no close of plan {plan_id} is in the journal")
    if loaded.burnt is not None:
        raise NotParked(f"the close of plan {plan_id} is not parked: it is {loaded.burnt.kind}")
    state = fold(loaded.facts)
    if loaded.state != "PARKED" or not isinstance(state, Done):
        what = str(state.ended.outcome) if isinstance(state, Done) else "still under way"
        raise NotParked(f"the close of plan {plan_id} is not parked: it is {what}")
    known = state.progress
    found = (await _findings(session, known)).beside(known.trades)
    return Parked(
        plan_id=plan_id,
        loaded=loaded,
        progress=state.progress,
        reason=state.ended.outcome.reason,
        found=found,
        outcome=settled(found),
    )


async def _findings(session: Session, progress: Progress) -> Findings:
    """All attempts are asked for by their own ids, after the last of them can no longer be accepted."""
    venue, symbol = session.venue, progress.decision.symbol
    deadline = max((sending.deadline for sending in progress.attempts), default=0)
    margin = session.execution.margin_ms
    now = await venue.server_time()
    if now <= deadline + margin:
        await asyncio.sleep((deadline + margin + 1 - now) / 1000)
        if await venue.server_time() <= deadline + margin:
            raise Unsettled("the venue could still accept the last attempt; repeat this in a moment")
    asked = [await venue.order(symbol, sending.client_order_id) for sending in progress.attempts]
    orders = tuple(order for order in asked if order is not None)
    trades = [trade for order in orders for trade in await venue.trades_of_order(symbol, order.order_id)]
    return Findings(orders=orders, trades=tuple(trades), position=await _position(session, progress, orders))


async def _position(session: Session, progress: Progress, orders: tuple[OrderReport, ...]) -> Position:
    side = PositionSide.BOTH
    if orders:
        side = orders[-1].position_side
    elif progress.attempts:
        side = progress.attempts[-1].position.position_side
    return await session.venue.position(progress.decision.symbol, side)


async def resolve(session: Session, parked: Parked, *, actor: str, reason: str) -> Report:
    """Record the person's verdict and publish the outcome; raises ``Fenced`` when somebody else was quicker."""
    found, loaded, decision = parked.found, parked.loaded, parked.progress.decision
    fact = Resolved(
        actor=actor,
        reason=reason,
        outcome=parked.outcome,
        orders=found.orders,
        trades=found.trades,
        position=found.position,
    )
    state = evolve(fold(loaded.facts), fact)
    assert isinstance(state, Done)
    announce = announcer(session.wiring, session.clock.now)
    evidence = await session.journal.resolve(
        parked.plan_id,
        loaded.head,
        fact,
        Writer(session.keys.account, f"person:{actor}", 0),
        lambda evidence: announce(report_of(state, evidence), decision),
    )
    return report_of(state, evidence)
