"""A person closes everything: one warrant and one close for each open position, and a fresh read of what is left."""

import asyncio
import secrets
from collections.abc import Callable, Sequence
from decimal import Decimal
from enum import StrEnum
from typing import Final

import msgspec

from sureclose.domain.market import Position
from sureclose.domain.outcome import OutcomeKind
from sureclose.operate.human import Asked, News, Stage, ask_to_close, news_of_all
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
    token = secrets.token_hex(4)
    asked: dict[str, tuple[Position, Asked]] = {}
    for number, position in enumerate(held, 1):
        one = await ask_to_close(
            session,
            symbol=position.symbol,
            position_side=position.position_side,
            fraction=wish.fraction,
            intent_id=f"all-{token}-{number}",
            actor=wish.actor,
            reason=wish.reason,
            action=wish.action,
        )
        asked[one.plan_id] = position, one
        said(f"{position.symbol} {position.position_side} {position.amount:f}: plan {one.plan_id}")
    news: dict[str, News] = {}
    try:
        async with asyncio.timeout(seconds):
            async for one, told in news_of_all(session, [one for _, one in asked.values()]):
                if told.stage in {Stage.ENDED, Stage.STOPPED}:
                    news[one.plan_id] = told
                    said(f"{asked[one.plan_id][0].symbol}: {_line(told)}, {len(news)} of {len(asked)}")
    except TimeoutError:
        said(f"{len(asked) - len(news)} have no outcome within {seconds:g} s; they go on")
    left = await _left(session, said)
    return tuple(_ended(position, one, news.get(one.plan_id), left, wish) for position, one in asked.values())


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
    news: News | None,
    left: dict[tuple[str, str], Decimal] | None,
    wish: Wish,
) -> Ended:
    fields = {} if news is None else news.fields
    now = None if left is None else left.get((position.symbol, str(position.position_side)), Decimal(0))
    return Ended(
        symbol=position.symbol,
        position_side=position.position_side,
        amount=f"{position.amount:f}",
        plan_id=asked.plan_id,
        intent_id=asked.intent_id,
        state=_state(fields, now, wish, told=news is not None),
        outcome=fields.get("outcome", fields.get("decision", "")),
        reason=fields.get("reason", "") or fields.get("veto", ""),
        left=None if now is None else f"{now:f}",
    )


def _state(fields: dict[str, str], left: Decimal | None, wish: Wish, *, told: bool) -> State:
    """Flat is the venue's word of after the close, and nothing else is."""
    if left is None:
        return State.UNKNOWN
    if not left:
        return State.FLAT
    if not told:
        return State.WAITING
    if fields.get("outcome") == OutcomeKind.PARKED:
        return State.UNKNOWN
    as_asked = fields.get("outcome") == OutcomeKind.REDUCED and not fields.get("reason")
    return State.REDUCED if as_asked and wish.fraction < 1 else State.OPEN


def _line(news: News) -> str:
    reason = news.fields.get("reason") or news.fields.get("veto")
    word = news.fields.get("outcome") or news.fields.get("decision") or str(news.stage)
    return f"{word} ({reason})" if reason else word
