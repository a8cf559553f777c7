"""Wishes that were refused before they became a close: by a door, or by a stage that read them."""

from collections.abc import AsyncIterator
from typing import Any, Final

import msgspec

from sureclose.journal.keys import Keys
from sureclose.streams.wire import Wire, texts

MOST: Final = 10_000
"""Refusals that are kept, about: whoever floods a door or a stream must not fill the log."""
_PAGE: Final = 500


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """One wish that nothing came of, and why. ``at`` is the log's milliseconds.

    ``where`` is the door (``http``, ``hook:NAME``) or the stage; ``stream`` and ``entry_id`` are those of the entry that was
    refused, empty for a wish that never became one.
    """

    where: str
    reason: str
    at: int
    threshold: str = ""
    seen: str = ""
    remedy: str = ""
    actor: str = ""
    intent_id: str = ""
    plan_id: str = ""
    symbol: str = ""
    stream: str = ""
    entry_id: str = ""

    def fields(self) -> dict[str, str]:
        """As an entry of the log; what says nothing is left out."""
        return {name: str(value) for name, value in msgspec.to_builtins(self).items() if value}

    def is_about(self, wanted: str) -> bool:
        """Whether it is told when somebody asks for this intent, plan or entry."""
        return wanted in {self.intent_id, self.plan_id, self.entry_id}


async def record_refusal(wire: Wire, keys: Keys, refusal: Refusal) -> None:
    """Of a door. A stage publishes ``refusal.fields()`` to ``keys.refused`` together with its acknowledgement."""
    flat = [part for pair in refusal.fields().items() for part in pair]
    await wire.execute_command(b"XADD", keys.refused, b"MAXLEN", b"~", MOST, b"*", *flat)


async def refusals(wire: Wire, keys: Keys, wanted: str, since: int = 0) -> AsyncIterator[Refusal]:
    """Those about an intent, a plan or an entry, oldest first; ``since`` is the log's milliseconds."""
    start = str(since)
    while True:
        page: list[Any] = await wire.execute_command(b"XRANGE", keys.refused, start, b"+", b"COUNT", _PAGE)
        for _, flat in page:
            found = msgspec.convert(texts(flat), Refusal, strict=False)
            if found.is_about(wanted):
                yield found
        if len(page) < _PAGE:
            return
        start = "(" + page[-1][0].decode()
