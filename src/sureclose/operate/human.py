"""A person's close: an intent with a warrant for it, and the wait for its one terminal outcome."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from decimal import Decimal
from enum import StrEnum

import msgspec

from sureclose.domain.events import Intent
from sureclose.domain.ids import plan_id_for
from sureclose.domain.words import AgeSource, PositionSide
from sureclose.journal import authority, lease
from sureclose.operate.session import Session
from sureclose.services.authority.events import authority_event
from sureclose.streams.encode import encode_intent
from sureclose.streams.groups import stream_info
from sureclose.streams.names import StreamName
from sureclose.streams.wire import Wire, texts

VALID_MS = 60_000
"""How long a person's wish is good for, and with it the warrant."""
LEASE_PATIENCE_S = 10.0
"""How long to wait for an executor: the old one's lease has to run out before a new one can take it."""


class NoExecutor(Exception):
    """No executor runs on this log, so nothing was published. Start `sureclose run`, then repeat the close."""


class Asked(msgspec.Struct, frozen=True):
    """What was published: the ids, the intent's entry, and where to listen from."""

    intent_id: str
    plan_id: str
    entry_id: str
    since: dict[str, str]


class Stage(StrEnum):
    """How far a close has come, as far as the streams say."""

    PLANNED = "planned"
    DECIDED = "decided"
    STOPPED = "stopped"
    ENDED = "ended"


class News(msgspec.Struct, frozen=True):
    """One thing that the streams said about the plan."""

    stage: Stage
    fields: dict[str, str]


async def ask_to_close(
    session: Session,
    *,
    symbol: str,
    position_side: PositionSide,
    fraction: Decimal,
    intent_id: str,
    actor: str,
    reason: str,
    valid_ms: int = VALID_MS,
    action: str | None = None,
) -> Asked:
    """Publish the intent and its warrant in one step; ``action`` is one that closes all, where it is not to be worked out.

    Raises ``NoExecutor`` when nobody would execute it, ``ValueError`` when this intent was asked for already.
    """
    await _executor(session)
    now = session.clock.now()
    action = action or ("MANUAL_CLOSE" if fraction == 1 else "PARTIAL_CLOSE")
    plan_id = plan_id_for(intent_id, symbol, position_side, action, fraction, None)
    intent = Intent(
        intent_id=intent_id,
        symbol=symbol,
        position_side=position_side,
        action=action,
        fraction=fraction,
        quantity=None,
        origin_at=now,
        age_source=AgeSource.FIELD,
        expires_at=now + valid_ms,
        mode=session.mode,
        reason=reason,
        source=f"human:{actor}",
    )
    names = (StreamName.APPLY_PLAN, StreamName.APPLY_RESULT, StreamName.EXECUTION_RESULT)
    since = {
        session.streams.full(name): await _last_id(session, session.streams.full(name)) for name in names
    }
    warrant = {"intent_id": intent_id, "plan_id": plan_id, "actor": actor, "expires_at": str(now + valid_ms)}
    producer = session.wiring.producer
    entry_id = await authority.issue_warrant(
        session.wire,
        session.keys,
        intent_id=intent_id,
        plan_id=plan_id,
        ttl_ms=valid_ms,
        events=session.streams.full(StreamName.AUTHORITY_EVENTS),
        event=authority_event("WARRANT", warrant, producer, now, session.mode),
        intents=session.streams.full(session.streams.intents),
        intent=encode_intent(intent, producer, now),
    )
    if entry_id is None:
        raise ValueError(
            f"intent {intent_id} was asked for already; leave --intent-id out, or use another one"
        )
    return Asked(intent_id, plan_id, entry_id, since)


async def open_side(session: Session, symbol: str) -> PositionSide:
    """The side of the symbol that is open, or the first of two: in hedge mode each is a position of its own."""
    held = (one.position_side for one in await session.venue.positions() if one.symbol == symbol)
    return next(held, PositionSide.BOTH)


async def news_of(session: Session, asked: Asked) -> AsyncIterator[News]:
    """What the streams say about the plan, until it has ended or was stopped before execution."""
    async for _, news in news_of_all(session, [asked]):
        yield news


async def news_of_all(session: Session, wishes: Sequence[Asked]) -> AsyncIterator[tuple[Asked, News]]:
    """The same of several, until all have ended; the first of them was published first."""
    waiting = {asked.plan_id: asked for asked in wishes}
    async with session.log.reader() as client:
        reader: Wire = client
        since = dict(wishes[0].since)
        while waiting:
            streams = [*since.keys(), *since.values()]
            reply = await reader.execute_command(
                b"XREAD", b"COUNT", 100, b"BLOCK", session.log.settings.block_ms, b"STREAMS", *streams
            )
            for stream, entries in reply or ():
                for entry_id, flat in entries:
                    since[stream.decode()] = entry_id.decode()
                    fields = texts(flat)
                    asked = waiting.get(fields.get("plan_id", ""))
                    found = None if asked is None else _news(session, stream.decode(), fields)
                    if asked is None or found is None:
                        continue
                    yield asked, found
                    if found.stage in {Stage.ENDED, Stage.STOPPED}:
                        del waiting[asked.plan_id]


def _news(session: Session, stream: str, fields: dict[str, str]) -> News | None:
    if stream == session.streams.full(StreamName.EXECUTION_RESULT):
        return News(Stage.ENDED, fields)
    if stream == session.streams.full(StreamName.APPLY_PLAN):
        return News(Stage.PLANNED, fields)
    if fields.get("executed") == "True":
        return None
    return News(Stage.DECIDED if fields.get("approved") == "True" else Stage.STOPPED, fields)


async def _executor(session: Session) -> None:
    """The safety controller holds the lease for its own closes only: nobody else's are read by it."""
    give_up_at = session.monotonic() + LEASE_PATIENCE_S
    while True:
        held, last = (
            await lease.holder(session.wire, session.keys),
            await lease.last(session.wire, session.keys),
        )
        if held is not None and last is not None and held.owner == last.owner:
            return
        if session.monotonic() >= give_up_at:
            raise NoExecutor
        await asyncio.sleep(0.1)


async def _last_id(session: Session, stream: str) -> str:
    info = await stream_info(session.wire, stream)
    return "0-0" if info is None else info.last_id
