"""``prove``: six facts about one close and its restart, each with fresh evidence, or the reason why it doesn't hold."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import msgspec
from redis.exceptions import RedisError

from sureclose.domain import facts
from sureclose.domain.events import EntryRef
from sureclose.domain.quantity import ZERO
from sureclose.operate.asking import Asked, NoExecutor
from sureclose.operate.closes import CloseView
from sureclose.operate.executor import Executor
from sureclose.operate.following import Follower, follow, follower
from sureclose.operate.leading import leading_path
from sureclose.operate.paper_control import PaperControl
from sureclose.operate.prove_readings import (
    NotShown,
    filled_and_average,
    first_of,
    hashes_of,
    journal_of,
    orders_of,
    require_flat,
    trades_of,
)
from sureclose.operate.prove_wishes import Wishes
from sureclose.operate.session import Session
from sureclose.operate.wiring import purposes
from sureclose.services.pulse import Pulse, ask
from sureclose.streams.groups import group_info, is_read, stream_info
from sureclose.venue.errors import VenueError

CLOSE_TIMEOUT_S = 40.0
RESTART_LIMIT_MS = 10_000
"""From the start of the new process to the first entry in its hands."""
PULSE_POLL_S = 0.02
MID_SEND_MS = 3_000
"""How late the paper exchange answers the order in whose middle the executor is killed."""

NAMES = (
    "CLOSE intent generated (harvest.intent)",
    "Service consumes intent",
    "Binance order placed",
    "Order confirmation received",
    "Position goes to 0",
    "System survives restart",
)

Progress = Callable[[str], None]
_Shown = TypeVar("_Shown")


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """One of the six. Without ``holds``, ``evidence`` says why."""

    number: int
    name: str
    holds: bool
    evidence: dict[str, Any]


class Proven(msgspec.Struct, frozen=True, kw_only=True):
    """The six proofs of one run, bound to one plan."""

    plan_id: str
    environment: str
    symbol: str
    proofs: tuple[Proof, ...]

    @property
    def holds(self) -> bool:
        return len(self.proofs) == len(NAMES) and all(proof.holds for proof in self.proofs)


class Order(msgspec.Struct, frozen=True):
    """What is to be proven on: two symbols that have a position, and whose wish it is."""

    first: str
    second: str
    wishes: Wishes


class _Close(msgspec.Struct, frozen=True):
    """One close as it went: what was asked, what came of it."""

    asked: Asked
    symbol: str
    intents_before: int
    intents_after: int
    ended: CloseView


async def prove(
    session: Session,
    order: Order,
    executor: Executor,
    *,
    token: str,
    progress: Progress,
    control: PaperControl | None,
) -> Proven:
    """Close one position and show five facts about it, then a second one across a kill.

    ``token`` makes the intents of this run its own. A fact that can't be evaluated does not hold.
    """
    await executor.start()
    try:
        proofs: list[Proof] = []
        progress(f"closing {order.first}")
        first: _Close | NotShown = await _shown(
            _close(session, order, order.first, f"prove-{token}-1", progress)
        )
        evaluations: tuple[Callable[[Session, _Close], Awaitable[dict[str, Any]]], ...] = (
            _generated,
            _consumed,
            _placed,
            _confirmed,
            _flat,
        )
        for number, evaluate in enumerate(evaluations, 1):
            evidence = first if isinstance(first, NotShown) else await _shown(evaluate(session, first))
            proofs.append(_proof(number, evidence, progress))
        progress(f"closing {order.second}, and killing the executor in mid-send")
        survived = await _shown(_survives(session, order, executor, f"prove-{token}-2", progress, control))
        proofs.append(_proof(6, survived, progress))
    finally:
        await executor.stop()
    return Proven(
        plan_id="" if isinstance(first, NotShown) else first.asked.plan_id,
        environment=session.mode,
        symbol=order.first,
        proofs=tuple(proofs),
    )


async def _shown(work: Awaitable[_Shown]) -> _Shown | NotShown:
    """The result, or why there is none: what can't be evaluated does not hold."""
    try:
        return await work
    except NotShown as missing:
        return missing
    except NoExecutor:
        return NotShown("no executor took the lease; its log says why")
    except (VenueError, RedisError, OSError, RuntimeError, TimeoutError) as error:
        return NotShown(f"{type(error).__name__}: {error}")


def _proof(number: int, evidence: dict[str, Any] | NotShown, progress: Progress) -> Proof:
    holds = not isinstance(evidence, NotShown)
    name = NAMES[number - 1]
    progress(f"proof {number} {'holds' if holds else 'DOES NOT HOLD'}: {name}")
    shown = {"why": str(evidence)} if isinstance(evidence, NotShown) else evidence
    return Proof(number=number, name=name, holds=holds, evidence=shown)


# One close ---------------------------------------------------------------------------------------------------------


async def _close(session: Session, order: Order, symbol: str, intent_id: str, progress: Progress) -> _Close:
    async with follower(session) as found:
        before = await _length(session)
        asked = await order.wishes.ask(session, symbol, intent_id)
        after = await _length(session)
        ended = await _outcome(session, found, asked, progress)
    return _Close(asked, symbol, before, after, ended)


async def _outcome(session: Session, found: Follower, asked: Asked, progress: Progress) -> CloseView:
    try:
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            async for view in follow(session, found, asked):
                progress(f"plan {asked.plan_id[:12]} {view.state}")
                if view.final:
                    return view
    except TimeoutError:
        raise NotShown(f"no outcome of plan {asked.plan_id} within {CLOSE_TIMEOUT_S:g} s") from None
    raise NotShown("the streams ended")


async def _length(session: Session) -> int:
    info = await stream_info(session.wire, session.streams.full(session.streams.intents))
    return 0 if info is None or info.entries_added is None else info.entries_added


# The five facts ----------------------------------------------------------------------------------------------------


async def _generated(session: Session, close: _Close) -> dict[str, Any]:
    if close.intents_after <= close.intents_before:
        raise NotShown("the intents' stream did not grow")
    return {
        "stream": session.streams.full(session.streams.intents),
        "entry_id": close.asked.entry_id,
        "entries_added_before": close.intents_before,
        "entries_added_after": close.intents_after,
        "intent_id": close.asked.intent_id,
        "plan_id": close.asked.plan_id,
        "door": close.asked.record.door,
        "actor": close.asked.record.actor,
        "reason": close.asked.record.reason,
    }


async def _consumed(session: Session, close: _Close) -> dict[str, Any]:
    loaded = await journal_of(session, close.asked.plan_id)
    admitted = first_of(loaded, facts.Admitted)
    refs = [*admitted.decision.cause, admitted.entry]
    path = await leading_path(session)
    groups = [one.group for one in purposes(session, path) if one.needed]
    if len(refs) != len(groups):
        raise NotShown(f"the decision names {len(refs)} entries on its way and should name {len(groups)}")
    return {
        "plan_id": close.asked.plan_id,
        "path": path,
        "groups": [await _read_by(session, ref, group) for ref, group in zip(refs, groups, strict=True)],
    }


async def _read_by(session: Session, ref: EntryRef, group: str) -> dict[str, Any]:
    info = await group_info(session.wire, ref.stream, group)
    if info is None:
        raise NotShown(f"there is no group {group} on {ref.stream}")
    if not await is_read(session.wire, ref.stream, group, ref.entry_id):
        raise NotShown(f"{group} is not done with {ref}: last delivered {info.last_delivered_id}")
    return {
        "group": group,
        "stream": ref.stream,
        "entry_id": ref.entry_id,
        "last_delivered_id": info.last_delivered_id,
        "pending": False,
        "lag": "unknown" if info.lag is None else info.lag,
    }


async def _placed(session: Session, close: _Close) -> dict[str, Any]:
    loaded = await journal_of(session, close.asked.plan_id)
    orders = await orders_of(session, close.symbol, loaded)
    if not orders:
        raise NotShown("the venue has no order of this plan")
    return {
        "plan_id": close.asked.plan_id,
        "orders": [
            {
                "client_order_id": order.client_order_id,
                "order_id": order.order_id,
                "side": order.side,
                "quantity": order.orig_qty,
                "reduce_only": order.reduce_only,
                "status": order.status,
            }
            for order in orders
        ],
        "records": hashes_of(loaded, facts.Sending),
    }


async def _confirmed(session: Session, close: _Close) -> dict[str, Any]:
    loaded = await journal_of(session, close.asked.plan_id)
    orders = await orders_of(session, close.symbol, loaded)
    trades = await trades_of(session, close.symbol, orders)
    filled = [order for order in orders if order.executed_qty]
    if not filled or any(order.status != "FILLED" for order in filled):
        raise NotShown(f"the venue says {[order.status for order in orders]}")
    quantity, average = filled_and_average(trades)
    if quantity != sum((order.executed_qty for order in filled), ZERO):
        raise NotShown(f"the trades sum to {quantity}, the orders to other than that")
    return {
        "plan_id": close.asked.plan_id,
        "status": "FILLED",
        "quantity": quantity,
        "average_price": average,
        "trade_ids": [trade.trade_id for trade in trades],
        "executed": close.ended.executed,
        "outcome": close.ended.outcome,
        "records": hashes_of(loaded, facts.Filled),
    }


async def _flat(session: Session, close: _Close) -> dict[str, Any]:
    loaded = await journal_of(session, close.asked.plan_id)
    sized = first_of(loaded, facts.Sized)
    trades = await trades_of(session, close.symbol, await orders_of(session, close.symbol, loaded))
    position = await session.venue.position(close.symbol, sized.position.position_side)
    require_flat(position, trades)
    return {
        "plan_id": close.asked.plan_id,
        "position_before": sized.position.amount,
        "position_after": position.amount,
        "read_requested_at": position.requested_at,
        "last_fill_at": max((trade.time for trade in trades), default=0),
        "update_time": position.update_time,
        "records": [*hashes_of(loaded, facts.Sized), *hashes_of(loaded, facts.Ended)],
    }


# The sixth ---------------------------------------------------------------------------------------------------------


async def _survives(
    session: Session,
    order: Order,
    executor: Executor,
    intent_id: str,
    progress: Progress,
    control: PaperControl | None,
) -> dict[str, Any]:
    symbol = order.second
    if control is not None:
        await control.keep_quiet(symbol, MID_SEND_MS)
    before = await ask(session.wire, session.keys)
    async with follower(session) as found:
        asked = await order.wishes.ask(session, symbol, intent_id)
        outcome = asyncio.create_task(_outcome(session, found, asked, progress))
        try:
            sending = await _in_mid_send(session, asked.plan_id, outcome)
            progress(f"killing the executor while {sending.client_order_id} is on its way")
            killed_at = session.clock.now()
            await executor.kill_and_restart()
            ended = await outcome
        finally:
            outcome.cancel()
    back_ms = session.clock.now() - killed_at
    pulse = await _new_pulse(session, before, killed_at)
    loaded = await journal_of(session, asked.plan_id)
    orders = await orders_of(session, symbol, loaded)
    effective = [placed for placed in orders if placed.executed_qty]
    if len(effective) != 1:
        raise NotShown(f"{len(effective)} orders of this plan had an effect, and it must be one")
    trades = await trades_of(session, symbol, orders)
    sized = next(fact for fact in reversed(loaded.facts) if isinstance(fact, facts.Sized))
    position = await session.venue.position(symbol, sized.position.position_side)
    require_flat(position, trades)
    # From before the kill, so that the start of the interpreter counts as well.
    first_read_ms = pulse.first_read_at - killed_at
    if first_read_ms >= RESTART_LIMIT_MS:
        raise NotShown(
            f"{first_read_ms} ms from start to the first entry, and {RESTART_LIMIT_MS} is the limit"
        )
    return {
        "plan_id": asked.plan_id,
        "symbol": symbol,
        "killed_by": executor.how,
        "killed_after": "SENDING was durable and no answer was recorded",
        "start_to_first_entry_read_ms": first_read_ms,
        "kill_to_flat_ms": back_ms,
        "outcome": ended.outcome,
        "effective_orders": [placed.client_order_id for placed in effective],
        "position_after": position.amount,
        "epoch_before": None if before is None else before.epoch,
        "epoch_after": pulse.epoch,
        "records": [
            *hashes_of(loaded, facts.Sending),
            *hashes_of(loaded, facts.Resumed),
            *hashes_of(loaded, facts.Ended),
        ],
    }


async def _in_mid_send(session: Session, plan_id: str, outcome: asyncio.Task[CloseView]) -> facts.Sending:
    """The SENDING record as soon as it is durable; raises when the close ended before it could be seen."""
    while not outcome.done():
        loaded = await session.journal.load(plan_id)
        if loaded is not None and isinstance(loaded.facts[-1], facts.Sending):
            return loaded.facts[-1]
        await asyncio.sleep(0.005)
    raise NotShown(f"the close ended before it could be interrupted: {outcome.result().outcome}")


async def _new_pulse(session: Session, before: Pulse | None, killed_at: int) -> Pulse:
    """The new executor's own word on when it read its first entry, which may come after the close has ended."""
    give_up_at = session.monotonic() + RESTART_LIMIT_MS / 1000
    while True:
        pulse = await ask(session.wire, session.keys)
        is_new = pulse is not None and (before is None or pulse.epoch > before.epoch)
        if pulse is not None and is_new and pulse.started_at >= killed_at and pulse.first_read_at:
            return pulse
        if session.monotonic() >= give_up_at:
            raise NotShown(
                "the new executor has not read an entry"
                if is_new
                else "no new executor reported after the kill"
            )
        await asyncio.sleep(PULSE_POLL_S)
