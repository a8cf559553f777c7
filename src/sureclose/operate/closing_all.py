"""A person closes everything: one warrant and one close for each open position, and a fresh read of what is left."""

import asyncio
import secrets
from collections.abc import Callable, Sequence
from decimal import Decimal
from enum import StrEnum
from typing import Final

import msgspec

from sureclose.domain.close_state import CloseState
from sureclose.domain.market import Position
from sureclose.operate.asking import Asked, CloseRequest, ask_to_close, need_executor
from sureclose.operate.closes import CloseView
from sureclose.operate.following import Follower, follow_all, follower
from sureclose.operate.session import Session
from sureclose.venue.errors import VenueError

PANIC: Final = "EMERGENCY_SL_CLOSE"
"""The action that goes first where the venue's order limits bind."""

Progress = Callable[[str], None]


class State(StrEnum):
    """How one position stands in the end."""

    FLAT = "flat"
    REDUCED = "reduced"
    """By as much as was asked for."""
    OPEN = "open"
    UNKNOWN = "unknown"
    """The venue could not be read, or the close waits for a person."""
    WAITING = "waiting"
    """No outcome in time; the close goes on."""


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """One position, and what became of its close. Amounts are signed; ``left`` is ``None`` where it could not be read."""

    symbol: str
    position_side: str
    amount: str
    plan_id: str
    intent_id: str
    state: State
    outcome: str
    reason: str
    left: str | None


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for of each position."""

    actor: str
    reason: str
    fraction: Decimal = Decimal(1)
    action: str | None = None


async def close_all(
    session: Session, held: Sequence[Position], wish: Wish, *, seconds: float, said: Progress
) -> tuple[Ended, ...]:
    """Ask for every close at once, follow them for so long, then read what is left.

    Raises ``NoExecutor`` before anything was asked for, ``RedisError``.
    """
    await need_executor(session)
    async with follower(session) as found:
        asked = [
            (position, await _ask(session, position, wish, f"all-{secrets.token_hex(6)}"))
            for position in held
        ]
        for position, one in asked:
            said(f"{position.symbol} {position.position_side} {position.amount:f}: plan {one.plan_id}")
        views = await _followed(session, found, [one for _, one in asked], seconds, said)
    left = await _left(session, said)
    return tuple(_ended(position, one, views.get(one.plan_id), left, wish) for position, one in asked)


async def _ask(session: Session, position: Position, wish: Wish, intent_id: str) -> Asked:
    return await ask_to_close(
        session,
        CloseRequest(
            symbol=position.symbol,
            position_side=position.position_side,
            fraction=wish.fraction,
            intent_id=intent_id,
            actor=wish.actor,
            person=True,
            door="cli",
            reason=wish.reason,
            action=wish.action,
        ),
    )


async def _followed(
    session: Session, found: Follower, asked: Sequence[Asked], seconds: float, said: Progress
) -> dict[str, CloseView]:
    """The outcomes that came in time, by plan."""
    views: dict[str, CloseView] = {}
    try:
        async with asyncio.timeout(seconds):
            async for one, view in follow_all(session, found, asked):
                if view.final:
                    views[one.plan_id] = view
                    said(f"{view.symbol}: {line(view)}, {len(views)} of {len(asked)}")
    except TimeoutError:
        said(f"{len(asked) - len(views)} have no outcome within {seconds:g} s; they go on")
    return views


async def _left(session: Session, said: Progress) -> dict[tuple[str, str], Decimal] | None:
    """What is open now; ``None`` when the venue does not tell, which is not nothing."""
    try:
        held = await session.venue.positions()
    except VenueError as error:
        said(f"what is left can't be read: {error}")
        return None
    return {(one.symbol, str(one.position_side)): one.amount for one in held}


def _ended(
    position: Position,
    asked: Asked,
    view: CloseView | None,
    left: dict[tuple[str, str], Decimal] | None,
    wish: Wish,
) -> Ended:
    now = None if left is None else left.get((position.symbol, str(position.position_side)), Decimal(0))
    return Ended(
        symbol=position.symbol,
        position_side=position.position_side,
        amount=f"{position.amount:f}",
        plan_id=asked.plan_id,
        intent_id=asked.intent_id,
        state=_state(view, now, wish),
        outcome="" if view is None else view.outcome or str(view.state),
        reason="" if view is None else view.reason,
        left=None if now is None else f"{now:f}",
    )


def _state(view: CloseView | None, left: Decimal | None, wish: Wish) -> State:
    """Flat is the venue's word of after the close, and nothing else is."""
    if left is None:
        return State.UNKNOWN
    if not left:
        return State.FLAT
    if view is None:
        return State.WAITING
    if view.state is CloseState.PARKED:
        return State.UNKNOWN
    as_asked = view.state is CloseState.REDUCED and not view.reason
    return State.REDUCED if as_asked and wish.fraction < 1 else State.OPEN


def line(view: CloseView) -> str:
    """How far it is, and why."""
    word = view.outcome or str(view.state)
    return f"{word} ({view.reason})" if view.reason else word
