"""Under which plans a wish is known: the streams, the journal and its segments, searched for an intent or an entry."""

from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

import msgspec

from sureclose.domain.events import EntryRef
from sureclose.domain.facts import Admitted
from sureclose.domain.ids import intent_id_for_entry
from sureclose.journal.asking import asked
from sureclose.journal.record import ChainBroken, Record
from sureclose.operate.session import Session
from sureclose.streams.fields import DoubtError, read_fields
from sureclose.streams.names import StreamName
from sureclose.streams.wire import pairs

SEARCHED: Final = 20_000
"""How many of the newest entries of a stream are searched."""
_PAGE: Final = 1_000
_PLANS: Final = (StreamName.APPLY_PLAN, StreamName.APPLY_RESULT, StreamName.EXECUTION_RESULT)
_WISHES: Final = frozenset({StreamName.HARVEST_INTENT, StreamName.TRADE_INTENT})
_READ: Final = (*_PLANS, *sorted(_WISHES))


class Names(msgspec.Struct, frozen=True):
    """What an entry calls itself; empty where it does not say."""

    intent_id: str = ""
    plan_id: str = ""


async def newest(
    session: Session, stream: str, needle: bytes = b""
) -> AsyncIterator[tuple[str, dict[bytes, bytes]]]:
    """The newest entries of a stream that have these bytes in a value, newest first."""
    end = "+"
    for _ in range(SEARCHED // _PAGE):
        page: list[Any] = await session.wire.execute_command(b"XREVRANGE", stream, end, b"-", b"COUNT", _PAGE)
        for entry_id, flat in page:
            if any(needle in value for value in flat[1::2]):
                yield entry_id.decode(), pairs(flat)
        if len(page) < _PAGE:
            return
        end = "(" + page[-1][0].decode()


def named(fields: dict[bytes, bytes]) -> Names:
    """The names in an entry of anybody, whatever its shape."""
    try:
        entry = read_fields(fields)
    except DoubtError:
        return Names()
    return Names(entry.recorded("intent_id"), entry.recorded("plan_id"))


async def plans_of(session: Session, intent_id: str) -> list[str]:
    """Every plan that an intent is known to have, each once; the archive is asked where the log knows none."""
    found: dict[str, None] = {}
    said = await asked(session.wire, session.keys, intent_id)
    if said is not None:
        found[said.plan_id] = None
    needle = intent_id.encode(errors="replace")
    for name in _PLANS:
        async for _, fields in newest(session, session.streams.full(name), needle):
            names = named(fields)
            if names.intent_id == intent_id and names.plan_id:
                found[names.plan_id] = None
    async for _, fields in newest(session, session.keys.journal, needle):
        record = Record(fields[b"kind"].decode(), fields[b"body"], fields[b"hash"].decode())
        found |= dict.fromkeys(_admitted(record, intent_id))
    if not found:
        async for plan_id in session.library.plans_of(intent_id):
            found[plan_id] = None
    return list(found)


def _admitted(record: Record, intent_id: str) -> Iterator[str]:
    try:
        body = record.read()
    except ChainBroken:
        return  # told by whoever tells of the plan
    if isinstance(body.fact, Admitted) and body.fact.decision.intent_id == intent_id:
        yield body.plan_id


async def entries(session: Session, entry_id: str) -> list[tuple[EntryRef, Names]]:
    """The entries of that id on the pipeline's streams, and what they are called."""
    found = []
    for name in _READ:
        stream = session.streams.full(name)
        page = await session.wire.execute_command(b"XRANGE", stream, entry_id, entry_id)
        for _, flat in page:
            names = named(pairs(flat))
            if name in _WISHES and not names.intent_id:
                names = Names(intent_id_for_entry(stream, entry_id), names.plan_id)
            found.append((EntryRef(stream, entry_id), names))
    return found
