"""Harvest's book in the log: what it knows of each position, and each proposal published together with it."""

from typing import Final

import msgspec

from sureclose.fault_points import FaultPoint, reach
from sureclose.journal import scripts
from sureclose.journal.asking import KEPT_MS, Record, Saying, record_of
from sureclose.journal.keys import Keys
from sureclose.streams.wire import Wire, hash_texts

_harvest = scripts.load("harvest")

MOVED: Final = "MOVED"
"""Another process has written there since it was read; nothing was written."""
KNOWN: Final = "KNOWN"
"""There is an intent under this id already; nothing was written."""
OK: Final = "OK"


def field_of(symbol: str, position_side: str) -> str:
    """Under which a position stands in the book."""
    return f"{symbol}|{position_side}"


class HarvestBook:
    """One policy's book: the acting one's, or with ``shadow`` that of a policy which only watches."""

    def __init__(self, wire: Wire, keys: Keys, shadow: str = "") -> None:
        self._wire = wire
        self._keys = keys
        self._name = keys.harvest_shadow(shadow) if shadow else keys.harvest

    async def read(self) -> dict[str, bytes]:
        """All of it, by field."""
        found = await self._wire.execute_command(b"HGETALL", self._name)
        pairs = found.items() if isinstance(found, dict) else zip(found[::2], found[1::2], strict=True)
        return {name.decode(): value for name, value in pairs}

    async def keep(self, field: str, read: bytes, now: bytes) -> bool:
        """Whether it was still as it was read, and is now as given."""
        word, _ = await self._call([], [field, read, now])
        return word == OK

    async def show(self, field: str, read: bytes, now: bytes, entry: Saying) -> bool:
        """The same, with an entry that is nobody's wish."""
        word, _ = await self._call([entry.stream], [field, read, now, *entry.flat()])
        return word == OK

    async def ask(
        self, field: str, read: bytes, now: bytes, intent_id: str, record: Record, intent: Saying
    ) -> tuple[str, Record]:
        """The same, with an intent that is said for the first time; else the word, and the record that is there."""
        fields = {name: str(value) for name, value in msgspec.to_builtins(record).items() if value}
        said = Saying("", fields).flat()
        reach(FaultPoint.BEFORE_PROPOSAL)
        word, known = await self._call(
            [intent.stream, self._keys.asked(intent_id)],
            [field, read, now, *intent.flat(), KEPT_MS, *said],
        )
        reach(FaultPoint.AFTER_PROPOSAL)
        return word, record_of(known) if known else record

    async def _call(self, streams: list[str], args: list[bytes | str | int]) -> tuple[str, dict[str, str]]:
        reply = await _harvest.call(self._wire, [self._name, self._keys.log, *streams], args)
        assert isinstance(reply, list)
        word, _, known = reply
        return word.decode(), hash_texts(known)

    async def keep_health(self, document: bytes) -> None:
        """What harvest says of itself now, for whoever asks."""
        await self._wire.execute_command(b"SET", self._keys.harvest_health, document)

    async def health(self) -> bytes | None:
        found = await self._wire.execute_command(b"GET", self._keys.harvest_health)
        assert found is None or isinstance(found, bytes)
        return found
