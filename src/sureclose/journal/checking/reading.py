"""The whole journal of an account, read from the log while it may be written: close by close, in one pass."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec

from sureclose.domain.facts import Admitted, Ended, Resolved
from sureclose.journal.checking.stored import OPEN, Published, Results, Stored
from sureclose.journal.keys import Keys
from sureclose.journal.record import ChainBroken, Record
from sureclose.streams.groups import group_info, is_pending, stream_info
from sureclose.streams.wire import Wire, id_key, pairs, texts

_PAGE: Final = 1_000
_AT_ONCE: Final = 200
_OUTCOMES: Final = frozenset({Ended.__name__.upper(), Resolved.__name__.upper()})
"""Kinds of records after which a close may be whole."""

_Numbered = tuple[str, Record]
_Head = tuple[str | None, str | None, tuple[str, ...]]


class Reader:
    """Reads an account's closes. ``groups`` are those whose entries they come from, ``results`` is the full stream name.

    ``environment`` tells the account's own results from those of another one on the same streams. ``progress`` is told
    how many records have been read.
    """

    def __init__(
        self,
        wire: Wire,
        keys: Keys,
        *,
        groups: Sequence[str],
        results: str,
        environment: str,
        progress: Callable[[int], None],
    ) -> None:
        self._wire = wire
        self._keys = keys
        self._groups = groups
        self._results = results
        self._environment = environment
        self._progress = progress

    async def all(self) -> AsyncIterator[Stored]:
        """Every close, once. What is not finished yet is kept back until the end, so memory holds only that."""
        collected: defaultdict[str, list[_Numbered]] = defaultdict(list)
        told: set[str] = set()
        read = 0
        async for page in self._pages(self._keys.journal):
            ended = set()
            for entry_id, plan_id, record in map(_entry, page):
                collected[plan_id].append((entry_id, record))
                if record.kind in _OUTCOMES and plan_id not in told:
                    ended.add(plan_id)
            async for plan_id, head in self._heads(ended):
                if head[2] == tuple(entry_id for entry_id, _ in collected[plan_id]):
                    told.add(plan_id)
                    yield await self._stored(plan_id, head, collected.pop(plan_id))
            read += len(page)
            self._progress(read)
        async for plan_id, head in self._heads(collected):
            found = collected[plan_id]
            if plan_id in told and {entry_id for entry_id, _ in found} <= set(head[2]):
                continue  # written after the close was read, which was whole then
            yield await self._stored(plan_id, head, found)

    async def some(self, plan_ids: Sequence[str]) -> AsyncIterator[Stored]:
        """Those closes that there are, in that order."""
        async for plan_id, head in self._heads(dict.fromkeys(plan_ids)):
            if head[0] is not None:
                yield await self._stored(plan_id, head, [])

    async def results(self) -> Results:
        """The outcomes that are published now."""
        info = await stream_info(self._wire, self._results)
        since = None
        if info is not None and info.first_id is not None:
            whole = info.entries_added == info.length
            since = 0 if whole else id_key(info.first_id)[0]
        found: dict[str, Published] = {}
        async for page in self._pages(self._results):
            for entry_id, flat in page:
                fields = texts(flat)
                if fields.get("evidence") and fields.get("mode", self._environment) == self._environment:
                    found[fields["evidence"]] = _published(entry_id.decode(), fields)
        return Results(since=since, by_evidence=found)

    # Parts -----------------------------------------------------------------------------------------------------------

    async def _pages(self, stream: str) -> AsyncIterator[list[Any]]:
        start = "-"
        while True:
            page = await self._wire.execute_command(b"XRANGE", stream, start, b"+", b"COUNT", _PAGE)
            if page:
                yield page
                start = "(" + page[-1][0].decode()
            if len(page) < _PAGE:
                return

    async def _heads(self, plan_ids: Iterable[str]) -> AsyncIterator[tuple[str, _Head]]:
        for some in _batches(list(plan_ids)):
            heads = await asyncio.gather(*map(self._head, some))
            for found in zip(some, heads, strict=True):
                yield found

    async def _head(self, plan_id: str) -> _Head:
        key = self._keys.close(plan_id)
        reply = await self._wire.execute_command(b"HMGET", key, "head", "state", "records")
        head, state, ids = (None if value is None else value.decode() for value in reply)
        return head, state, tuple((ids or "").split())

    async def _stored(self, plan_id: str, head: _Head, found: list[_Numbered]) -> Stored:
        """The close in the order in which it lists its records; of one that lists none, as they stand in the log."""
        by_id = dict(found)
        hash_, state, listed = head
        if hash_ is None:
            listed = tuple(by_id)
        by_id |= await self._fetched([entry_id for entry_id in listed if entry_id not in by_id])
        records = tuple((entry_id, by_id[entry_id]) for entry_id in listed if entry_id in by_id)
        return Stored(
            plan_id=plan_id,
            head=hash_,
            state=state,
            records=records,
            missing=tuple(entry_id for entry_id in listed if entry_id not in by_id),
            strays=tuple(entry_id for entry_id in by_id if entry_id not in listed),
            acknowledged=await self._acknowledged(plan_id, head, records) if state == OPEN else None,
        )

    async def _fetched(self, entry_ids: Sequence[str]) -> dict[str, Record]:
        found: dict[str, Record] = {}
        for some in _batches(entry_ids):
            asked = (self._wire.execute_command(b"XRANGE", self._keys.journal, one, one) for one in some)
            for page in await asyncio.gather(*asked):
                found |= {entry_id: record for entry_id, _, record in map(_entry, page)}
        return found

    async def _acknowledged(self, plan_id: str, head: _Head, records: Sequence[_Numbered]) -> bool | None:
        """Whether the entry that an unfinished close came from is acknowledged, in any group; ``None`` where nobody can say.

        Who executes keeps it until the outcome is there, and so does who observes.
        """
        admitted = next((record for _, record in reversed(records) if record.kind == "ADMITTED"), None)
        if admitted is None:
            return None
        try:
            fact = admitted.read().fact
        except (ChainBroken, msgspec.DecodeError):
            return None
        if not isinstance(fact, Admitted):
            return None
        stream, entry_id = fact.entry.stream, fact.entry.entry_id
        done = [await self._done(stream, group, entry_id) for group in self._groups]
        if True not in done:
            return False if False in done else None
        # It may have ended between the questions.
        return True if await self._head(plan_id) == head else None

    async def _done(self, stream: str, group: str, entry_id: str) -> bool | None:
        """Whether the group is done with the entry; ``None`` when it was not given it."""
        found = await group_info(self._wire, stream, group)
        if found is None or id_key(found.last_delivered_id) < id_key(entry_id):
            return None
        return not await is_pending(self._wire, stream, group, entry_id)


def _batches(items: Sequence[str]) -> Iterator[Sequence[str]]:
    return (items[first : first + _AT_ONCE] for first in range(0, len(items), _AT_ONCE))


def _entry(entry: list[Any]) -> tuple[str, str, Record]:
    entry_id, flat = entry
    fields = pairs(flat)
    plan_id, kind, hash_ = (
        fields.get(name, b"").decode(errors="replace") for name in (b"plan_id", b"kind", b"hash")
    )
    return entry_id.decode(), plan_id, Record(kind, fields.get(b"body", b""), hash_)


def _published(entry_id: str, fields: dict[str, str]) -> Published:
    return Published(
        entry_id=entry_id,
        plan_id=fields.get("plan_id", ""),
        evidence=fields["evidence"],
        outcome=fields.get("outcome", ""),
        executed=fields.get("executed", "") == "True",
        filled_qty=_decimal(fields.get("filled_qty", "")),
    )


def _decimal(text: str) -> Decimal | None:
    try:
        return msgspec.convert(text, Decimal)
    except msgspec.ValidationError:
        return None
