"""The newest plans by the names that they can be asked for by: read once, and carried on from there."""

import asyncio
from typing import Any, Final

from sureclose.journal.asking import Record
from sureclose.streams.wire import Wire, id_key, texts

MOST: Final = 2_000
"""How many of the newest plans a wish is looked for in that came through no door."""
_PAGE: Final = 500


class NewestPlans:
    """Of one process. To ask for a name that nobody knows costs what was planned since the last time, and no more.

    Whoever may look may ask for any name as often as he likes, in the process that sends the orders.
    """

    def __init__(self) -> None:
        self._found: dict[str, Record] = {}
        self._last = b""
        self._reading = asyncio.Lock()

    async def find(self, wire: Wire, stream: str, wanted: str) -> Record | None:
        """The newest plan of that name, or of an intent of that name. Raises what the log raises."""
        async with self._reading:
            page = await self._since(wire, stream)
            for entry_id, flat in page:
                self._note(entry_id, texts(flat))
                self._last = entry_id
        return self._found.get(wanted)

    async def _since(self, wire: Wire, stream: str) -> list[Any]:
        if self._last:
            page: list[Any] = await wire.execute_command(
                b"XRANGE", stream, b"(" + self._last, b"+", b"COUNT", _PAGE
            )
            if len(page) < _PAGE:
                return page
        newest: list[Any] = await wire.execute_command(b"XREVRANGE", stream, b"+", b"-", b"COUNT", MOST)
        return newest[::-1]

    def _note(self, entry_id: bytes, fields: dict[str, str]) -> None:
        if "plan_id" not in fields:
            return
        record = Record(
            plan_id=fields["plan_id"],
            symbol=fields.get("symbol", ""),
            position_side=fields.get("position_side", ""),
            action=fields.get("action", ""),
            at=id_key(entry_id)[0],
            expires_at=0,
            door="stream",
            actor=fields.get("source", ""),
            fraction=fields.get("fraction", ""),
            quantity=fields.get("quantity", ""),
            entry_id=entry_id.decode(),
        )
        for name in {fields["plan_id"], fields.get("intent_id", "")} - {""}:
            self._found.pop(name, None)
            self._found[name] = record
        while len(self._found) > 2 * MOST:
            del self._found[next(iter(self._found))]
