"""The one way in which a close is asked for: each wish is said once, whoever asks how often and through which door."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

import msgspec

from sureclose.domain.times import CLOCK_TOLERANCE_MS, LONGEST_EXPIRY_MS
from sureclose.journal import scripts
from sureclose.journal.keys import Keys
from sureclose.streams.wire import Wire, hash_texts

KEPT_MS: Final = 2 * LONGEST_EXPIRY_MS + CLOCK_TOLERANCE_MS
"""How long it is remembered what was asked for: longer than any intent lives. After that the plan's id is still used up."""

_ask = scripts.load("ask")


class Word(StrEnum):
    """What became of a wish."""

    ASKED = "ASKED"
    """It is said now, for the first time."""
    WARRANTED = "WARRANTED"
    """A machine had asked for it; now a person has as well, and it is said again with the warrant."""
    KNOWN = "KNOWN"
    """It was asked for already; nothing was written."""
    OTHER = "OTHER"
    """Something else was asked for under this id; nothing was written."""


class Saying(msgspec.Struct, frozen=True):
    """An entry to be: the full name of its stream, and its fields."""

    stream: str
    fields: Mapping[str, str]

    def flat(self) -> list[bytes | str | int]:
        return _counted(self.fields)


class Warrant(msgspec.Struct, frozen=True):
    """A person's right to the close that is asked for: how long it lasts, and what is said of it."""

    ms: int
    event: Saying


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What is remembered of a wish. ``entry_id`` is its intent's; times are the log's milliseconds."""

    plan_id: str
    symbol: str
    position_side: str
    action: str
    at: int
    expires_at: int
    door: str
    actor: str
    fraction: str = ""
    quantity: str = ""
    reason: str = ""
    said: str = ""
    """A digest of how it was asked for, where the door wants to tell one wording from another."""
    entry_id: str = ""
    warrant_at: int = 0
    """When a person's warrant was added; 0 where there is none."""


async def ask(
    wire: Wire, keys: Keys, intent_id: str, record: Record, intent: Saying, warrant: Warrant | None
) -> tuple[Word, Record]:
    """Record the wish and publish its intent in one step, with the person's warrant if there is one.

    Returns the record as it stands then: of a wish that is known, the one that was made first.
    """
    plain = {name: str(value) for name, value in msgspec.to_builtins(record).items() if value}
    name = [keys.asked(intent_id), intent.stream]
    args: list[bytes | str | int] = [
        record.plan_id,
        KEPT_MS,
        0 if warrant is None else warrant.ms,
        *_counted(plain),
        *intent.flat(),
    ]
    if warrant is not None:
        name += [keys.warrant(intent_id), warrant.event.stream]
        args += warrant.event.flat()
    reply = await _ask.call(wire, name, args)
    assert isinstance(reply, list)
    word, _, known = reply
    return Word(word.decode()), record_of(hash_texts(known)) if known else record


async def asked(wire: Wire, keys: Keys, intent_id: str) -> Record | None:
    """What was asked for under this id; ``None`` when nothing was, or so long ago that nobody may mean it."""
    found = hash_texts(await wire.execute_command(b"HGETALL", keys.asked(intent_id)))
    return record_of(found) if found else None


def record_of(fields: dict[str, str]) -> Record:
    """As it stands in the log."""
    return msgspec.convert(fields, Record, strict=False)


def _counted(fields: Mapping[str, str]) -> list[bytes | str | int]:
    return [2 * len(fields), *(part for pair in fields.items() for part in pair)]
