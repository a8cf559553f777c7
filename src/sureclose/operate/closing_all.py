"""A person closes everything: one warrant and one close for each open position, and a fresh read of what is left."""

import asyncio
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from enum import StrEnum
from typing import Final

import msgspec
from redis.exceptions import RedisError

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
    everything: bool = False
    """Whether nothing at all is to be left, on whatever side."""


async def close_all(
    session: Session, held: Sequence[Position], wish: Wish, *, seconds: float, said: Progress
) -> tuple[Ended, ...]:
    """Ask for every close at once, follow them for so long, then read what is left.

    Whatever fails on the way, what is left is told. Raises ``NoExecutor``, ``RedisError`` before anything was asked for.
    """
    await need_executor(session)
    asked: list[tuple[Position, Asked | str]] = []
    views: dict[str, CloseView] = {}
    try:
        async with follower(session) as found:
            for position in held:
                one = await _ask(session, position, wish, f"all-{secrets.token_hex(6)}")
                asked.append((position, one))
                how = one if isinstance(one, str) else f"plan {one.plan_id}"
                said(f"{position.symbol} {position.position_side} {position.amount:f}: {how}")
            wishes = [one for _, one in asked if isinstance(one, Asked)]
            await _followed(session, found, wishes, seconds, said, views)
    except* (RedisError, OSError) as lost:
        said(f"the log does not answer, what was asked for goes on: {lost.exceptions[0]}")
    left = await _left(session, said)
    told = tuple(_ended(position, one, views, left, wish) for position, one in asked)
    return told + tuple(_opened_meanwhile(held, left, wish))


async def _ask(session: Session, position: Position, wish: Wish, intent_id: str) -> Asked | str:
    """One that can't be asked for keeps no other from it: then it is said why."""
    try:
        return await _asked(session, position, wish, intent_id)
    except RedisError as error:
        return f"not known to be taken in as --intent-id {intent_id}: {error}"
    except ValueError as error:
        return str(error)


async def _asked(session: Session, position: Position, wish: Wish, intent_id: str) -> Asked:
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
    session: Session,
    found: Follower,
    asked: Sequence[Asked],
    seconds: float,
    said: Progress,
    views: dict[str, CloseView],
) -> None:
    """Note the outcomes that come in time, by plan."""
    try:
        async with asyncio.timeout(seconds):
            async for one, view in follow_all(session, found, asked):
                if view.final:
                    views[one.plan_id] = view
                    said(f"{view.symbol}: {line(view)}, {len(views)} of {len(asked)}")
    except TimeoutError:
        said(f"{len(asked) - len(views)} have no outcome within {seconds:g} s; they go on")


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
    asked: Asked | str,
    views: Mapping[str, CloseView],
    left: dict[tuple[str, str], Decimal] | None,
    wish: Wish,
) -> Ended:
    now = None if left is None else left.get((position.symbol, str(position.position_side)), Decimal(0))
    if isinstance(asked, str):
        return Ended(
            symbol=position.symbol,
            position_side=position.position_side,
            amount=f"{position.amount:f}",
            plan_id="",
            intent_id="",
            state=State.UNKNOWN if now is None else State.OPEN if now else State.FLAT,
            outcome="",
            reason=asked,
            left=None if now is None else f"{now:f}",
        )
    view = views.get(asked.plan_id)
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


def _opened_meanwhile(
    held: Sequence[Position], left: dict[tuple[str, str], Decimal] | None, wish: Wish
) -> Iterator[Ended]:
    """Where all was to be flat, what nobody asked for because it was not there yet is told as well."""
    known = {(one.symbol, str(one.position_side)) for one in held}
    for (symbol, side), amount in (left or {}).items():
        if wish.everything and amount and (symbol, side) not in known:
            yield Ended(
                symbol=symbol,
                position_side=side,
                amount="0",
                plan_id="",
                intent_id="",
                state=State.OPEN,
                outcome="",
                reason="opened_meanwhile",
                left=f"{amount:f}",
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
