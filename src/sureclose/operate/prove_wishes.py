"""Whose wish it is that ``prove`` follows: a person's, with a warrant; or harvest's own, once the price gives it a reason."""

import asyncio
from collections.abc import Iterator
from decimal import Decimal
from typing import Final, Protocol

import msgspec

from sureclose.journal.asking import Word, asked
from sureclose.operate.asking import Asked, CloseRequest, ask_to_close, need_executor, open_side
from sureclose.operate.paper_control import PaperControl
from sureclose.operate.prove_readings import NotShown
from sureclose.operate.session import Session
from sureclose.services.harvest.proposing import DOOR
from sureclose.streams.groups import stream_info
from sureclose.streams.wire import texts

PATIENCE_S: Final = 30.0
"""How long harvest may take to see the price, and to propose."""
_POLL_S: Final = 0.05
_PAST: Final = Decimal("1.2")
"""So many times the distance at which the hard loss fires, the price is moved away from the entry."""


class Wishes(Protocol):
    """Where the wish to close one symbol comes from; raises ``NotShown`` when it does not come."""

    async def ask(self, session: Session, symbol: str, intent_id: str, /) -> Asked: ...


class ByPerson(msgspec.Struct, frozen=True):
    """``actor`` says so, here and now."""

    actor: str

    async def ask(self, session: Session, symbol: str, intent_id: str, /) -> Asked:
        await need_executor(session)
        return await ask_to_close(
            session,
            CloseRequest(
                symbol=symbol,
                position_side=await open_side(session, symbol),
                intent_id=intent_id,
                actor=self.actor,
                person=True,
                door="prove",
                reason="prove",
            ),
        )


class ByHarvest(msgspec.Struct, frozen=True):
    """The paper price moves past the hard loss, which closes all of a position; what harvest then publishes is the wish.

    The simplest of its rules to provoke: it needs neither klines nor an age, and comes to flat.
    """

    control: PaperControl

    async def ask(self, session: Session, symbol: str, _intent_id: str, /) -> Asked:
        """Harvest names its wishes itself."""
        await need_executor(session)
        since = await _last(session)
        held = next((one for one in await session.venue.positions() if one.symbol == symbol), None)
        if held is None:
            raise NotShown(f"{symbol} has no open position")
        settings = session.harvest
        away = settings.hard_loss * settings.stop_distance_of(symbol) * _PAST
        share = 1 - away if held.amount > 0 else 1 + away
        await self.control.price(symbol, (held.entry_price * share).quantize(Decimal("0.01")))
        give_up_at = session.monotonic() + PATIENCE_S
        while session.monotonic() < give_up_at:
            page = await session.wire.execute_command(b"XRANGE", _stream(session), f"({since}", b"+")
            for found in _of_harvest(page, symbol):
                record = await asked(session.wire, session.keys, found)
                if record is not None:
                    return Asked(found, Word.ASKED, record)
            await asyncio.sleep(_POLL_S)
        raise NotShown(f"harvest proposed nothing about {symbol} within {PATIENCE_S:g} s; its log says why")


def _of_harvest(page: list[tuple[bytes, list[bytes]]], symbol: str) -> Iterator[str]:
    """The ids of its intents about the symbol."""
    for _, flat in page:
        fields = texts(flat)
        if fields.get("symbol") == symbol and fields.get("source", "").startswith(f"{DOOR}:"):
            yield fields["intent_id"]


async def _last(session: Session) -> str:
    info = await stream_info(session.wire, _stream(session))
    return "0-0" if info is None else info.last_id


def _stream(session: Session) -> str:
    return session.streams.full(session.streams.intents)
