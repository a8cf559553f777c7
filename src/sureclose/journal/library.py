"""The segments of an account as this host has them, held against their anchors."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from sureclose.domain.facts import Admitted
from sureclose.journal.anchors import Anchor, Anchored, anchors
from sureclose.journal.checking.stored import Shelved, Stored, Unreadable
from sureclose.journal.keys import Keys
from sureclose.journal.record import ChainBroken
from sureclose.journal.segment import Reading, SegmentUnreadable
from sureclose.streams.wire import Wire

_BATCH = 100
_UNANCHORED = "not anchored: a crash or a close that went on left it behind, or the log was set back since"


class Found(msgspec.Struct, frozen=True):
    """What the segments have of a plan, oldest first, and the segments that could not be looked into, and why."""

    closes: tuple[Stored, ...]
    absent: tuple[str, ...]


class Library:
    """``folder`` is where this host keeps the account's segments, ``host`` is its name."""

    def __init__(self, wire: Wire, keys: Keys, *, host: str, folder: Path) -> None:
        self._wire = wire
        self._keys = keys
        self._host = host
        self._folder = folder

    async def anchored(self) -> list[Anchored]:
        return await anchors(self._wire, self._keys)

    async def closes_of(self, plan_id: str) -> Found:
        """Every close that was made, or skipped, under this id; only the first line of most files is read."""
        anchored = await self.anchored()
        return await asyncio.to_thread(self._closes_of, plan_id, anchored)

    async def plans_of(self, intent_id: str) -> AsyncIterator[str]:
        """Every plan of this intent that was made or skipped; each file is read, and the few that have it are looked into."""
        for one in await self.anchored():
            for plan_id in await asyncio.to_thread(self._plans_of, intent_id, one):
                yield plan_id

    def _plans_of(self, intent_id: str, one: Anchored) -> list[str]:
        found: dict[str, None] = {}
        with suppress(ChainBroken, SegmentUnreadable, _Elsewhere):
            path = self._path(one.read())
            needle = msgspec.json.encode(intent_id)[1:-1]
            if b"\\" not in needle and needle not in path.read_bytes():
                return []
            for part in Reading(path).closes():
                for _, record in part.records if isinstance(part, Stored) else ():
                    body = record.read()
                    if isinstance(body.fact, Admitted) and body.fact.decision.intent_id == intent_id:
                        found[body.plan_id] = None
        return list(found)

    def _closes_of(self, plan_id: str, anchored: Sequence[Anchored]) -> Found:
        closes: list[Stored] = []
        absent: list[str] = []
        for one in anchored:
            try:
                anchor = one.read()
                close = Reading(self._path(anchor)).close_of(plan_id)
            except (ChainBroken, SegmentUnreadable) as error:
                absent.append(str(error))
            except _Elsewhere as elsewhere:
                absent.append(f"{elsewhere.anchor.where}: {elsewhere}")
            else:
                closes += [] if close is None else [close]
        return Found(tuple(closes), tuple(absent))

    async def all(
        self, anchored: Sequence[Anchored], since: int = 0
    ) -> AsyncIterator[Stored | Unreadable | Shelved]:
        """Every close of every segment; after those of one, what is to be said of it as a whole.

        Files that were last written before ``since`` (wall clock milliseconds) are left out: a close is older than its
        segment.
        """
        parts = self._all(anchored, since)
        while True:
            batch = await asyncio.to_thread(_some, parts)
            for part in batch:
                yield part
            if len(batch) < _BATCH:
                return

    def _all(self, anchored: Sequence[Anchored], since: int) -> Iterator[Stored | Unreadable | Shelved]:
        broken: list[str] = []
        previous = ""
        for number, one in enumerate(anchored, 1):
            try:
                anchor = one.read()
            except (ChainBroken, msgspec.DecodeError) as error:
                broken.append(f"that of segment {number} can't be read: {error}")
            else:
                if (anchor.account, anchor.number) != (self._keys.account, number):
                    broken.append(f"that of segment {number} is of {anchor.account} {anchor.number}")
                if anchor.previous != previous:
                    broken.append(f"that of segment {number} does not follow the one before it")
                yield from self._segment(anchor, since)
            previous = one.hash
        yield Shelved(where="the anchors", problems=tuple(broken))
        yield from self._unanchored(anchored)

    def _unanchored(self, anchored: Sequence[Anchored]) -> Iterator[Shelved]:
        """Files that the log does not know: told, for after a loss of the log they may be all that is left."""
        known = set()
        for one in anchored:
            with suppress(ChainBroken, msgspec.DecodeError):
                known.add(one.read().file)
        for path in sorted(self._folder.glob("*.jsonl")):
            if path.name not in known:
                yield Shelved(where=str(path), absent=_UNANCHORED)

    def _segment(self, anchor: Anchor, since: int) -> Iterator[Stored | Unreadable | Shelved]:
        try:
            path = self._path(anchor)
            if since and path.stat().st_mtime_ns < since * 1_000_000:
                return
            reading = Reading(path)
        except _Elsewhere as elsewhere:
            yield Shelved(where=anchor.where, absent=str(elsewhere))
        except SegmentUnreadable as error:
            yield Shelved(where=anchor.where, problems=(str(error),))
        else:
            yield from reading.closes()
            yield Shelved(where=anchor.where, problems=tuple(_differs(reading, anchor)))

    def _path(self, anchor: Anchor) -> Path:
        """Where the file is on this host; raises ``_Elsewhere`` or ``SegmentUnreadable``."""
        here = self._folder / anchor.file
        if here.exists():
            return here
        if anchor.host != self._host:
            raise _Elsewhere(anchor)
        there = Path(anchor.folder) / anchor.file
        if not there.exists():
            raise SegmentUnreadable(f"{there} is missing")
        return there


class _Elsewhere(Exception):
    """not on this host: run this there, or copy the file to the segments' folder here"""

    def __init__(self, anchor: Anchor) -> None:
        super().__init__(self.__doc__)
        self.anchor = anchor


def _differs(reading: Reading, anchor: Anchor) -> Iterator[str]:
    header = reading.header
    if (header.account, header.number, header.previous) != (anchor.account, anchor.number, anchor.previous):
        yield f"the file says that it is segment {header.number} of {header.account}"
    if reading.sha256 != anchor.sha256:
        yield f"its bytes hash to {reading.sha256}, and {anchor.sha256} was anchored"


def _some(parts: Iterator[Stored | Unreadable | Shelved]) -> list[Stored | Unreadable | Shelved]:
    return [part for part, _ in zip(parts, range(_BATCH), strict=False)]
