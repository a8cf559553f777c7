"""The journal in the log: append, gate and publish, each one script, each fenced by lease and chain."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import msgspec

from sureclose.domain.events import EntryRef
from sureclose.domain.facts import AnyFact, Ended, Resolved, Sending
from sureclose.domain.market import OrderReport
from sureclose.domain.outcome import OutcomeKind
from sureclose.fault_points import FaultPoint, reach
from sureclose.journal import scripts
from sureclose.journal.burnt import RETENTION_MS, Burnt, Shelf, order_shelf, plan_shelf
from sureclose.journal.chain import Announcement, Chain, Loaded
from sureclose.journal.claims import BUCKET_MS, Claim
from sureclose.journal.fence import Fence
from sureclose.journal.keys import Keys
from sureclose.journal.lease import Lease
from sureclose.journal.recall import recall
from sureclose.journal.record import ChainBroken, Head, Record, Writer, extend, verify
from sureclose.journal.verdict import Fenced, Passage, Verdict
from sureclose.streams.connection import COMMAND_CONNECTIONS
from sureclose.streams.script import Script
from sureclose.streams.wire import Wire

_LOADS_AT_ONCE: Final = COMMAND_CONNECTIONS - 8
"""Closes read back at once: a start on many open ones must leave connections for what they write."""

_adopt = scripts.load("adopt")
_append = scripts.load("append")
_gate = scripts.load("gate")
_permit = scripts.load("permit")
_publish = scripts.load("publish")
_resolve = scripts.load("resolve")


_FENCES: Final = frozenset(
    {Verdict.STALE_LEASE, Verdict.STALE_HEAD, Verdict.STALE_ATTEMPT, Verdict.BURNT, Verdict.LOG_LOST}
)
"""The words that mean: read it again. Of the others a close makes an outcome, or waits."""


class Journal:
    """The journal of one account. ``wall`` gives the log's milliseconds for the records' own times.

    ``fence`` is what the process knows of the log: by default what this journal has seen of it.
    """

    def __init__(self, wire: Wire, keys: Keys, wall: Callable[[], int], fence: Fence | None = None) -> None:
        self._wire = wire
        self._wall = wall
        self._fence = Fence() if fence is None else fence
        self._loading = asyncio.Semaphore(_LOADS_AT_ONCE)
        self.keys = keys

    async def load(self, plan_id: str) -> Loaded | None:
        """The records of a close, verified; ``None`` when the log has never heard of it."""
        async with self._loading:
            reach(FaultPoint.BEFORE_LOAD)
            loaded = await self._load(plan_id)
            reach(FaultPoint.AFTER_LOAD)
            return loaded

    async def _load(self, plan_id: str) -> Loaded | None:
        found = await recall(self._wire, self.keys, plan_id, self._wall())
        if found is None:
            return None
        if isinstance(found, Burnt):
            return Loaded(Head(), "DONE", (), (), found)
        head, records = found.head, [record for _, record in found.records]
        chain, bodies = verify(records)
        strange = next(
            (body for body in bodies if (body.account, body.plan_id) != self._whose(plan_id)), None
        )
        if strange is not None:
            raise ChainBroken(
                f"the records of plan {plan_id} are those of {strange.account} {strange.plan_id}"
            )
        if chain.hash != head:
            raise ChainBroken(f"the records of plan {plan_id} end at {chain.hash} and should end at {head}")
        hashes = tuple(record.hash for record in records)
        return Loaded(chain, found.state, tuple(bodies), hashes)

    def _whose(self, plan_id: str) -> tuple[str, str]:
        return self.keys.account, plan_id

    async def state(self, plan_id: str) -> str | None:
        """OPEN, SKIPPED, PARKED or DONE without reading the records; ``None`` when the close is unknown."""
        state = await self._wire.execute_command(b"HGET", self.keys.close(plan_id), "state")
        return None if state is None else state.decode()

    async def open_plans(self) -> list[str]:
        """The unfinished closes, oldest first."""
        plans = await self._wire.execute_command(b"ZRANGE", self.keys.open, 0, -1)
        return [plan.decode() for plan in plans]

    async def parked_plans(self) -> list[str]:
        """The closes that wait for a person, oldest first."""
        plans = await self._wire.execute_command(b"ZRANGE", self.keys.parked, 0, -1)
        return [plan.decode() for plan in plans]

    async def orphans(self) -> dict[str, OrderReport]:
        """By client order id, the orders of ours that the venue has and the log had lost."""
        reply = await self._wire.execute_command(b"HGETALL", self.keys.orphans)
        pairs = reply.items() if isinstance(reply, dict) else zip(reply[::2], reply[1::2], strict=True)
        return {name.decode(): msgspec.json.decode(order, type=OrderReport) for name, order in pairs}

    async def plan_of(self, client_order_id: str) -> str | None:
        """The plan that an order of ours belongs to, empty when its close is archived.

        ``None`` when the journal never sent one of that id.
        """
        plan = await self._wire.execute_command(b"GET", self.keys.order(client_order_id))
        if plan is not None:
            return str(plan.decode())
        # Asked in this order: it goes from there to the shelf, and never back.
        shelf = order_shelf(self.keys, client_order_id, self._wall())
        for bucket in (shelf.now, shelf.before):
            if await self._wire.execute_command(b"HEXISTS", bucket, shelf.field):
                return ""
        return None

    async def append(self, chain: Chain, lease: Lease) -> None:
        """Write what the chain holds unwritten; raises ``Fenced`` when it is another process's now."""
        if not chain.unwritten:
            return
        keys, shelf = self.keys, self._shelf(chain)
        head, args = self._records_args(chain, lease, ())
        reach(FaultPoint.BEFORE_RECORD)
        verdict = await self._call(
            _append,
            [
                keys.close(chain.plan_id),
                keys.journal,
                keys.open,
                keys.lease,
                keys.finished,
                shelf.now,
                shelf.before,
                keys.log,
            ],
            [lease.owner, lease.epoch, chain.head.hash, chain.plan_id, self._wall(), *args, shelf.field],
        )
        reach(FaultPoint.AFTER_RECORD)
        if verdict is not Verdict.OK:
            raise Fenced(verdict)
        self._written(chain, head)

    async def gate(
        self,
        chain: Chain,
        lease: Lease,
        *,
        component: str,
        warranted_intent: str,
        intent_id: str,
        sending: Sending,
    ) -> Passage:
        """Write what the chain holds and then ``sending``, if and only if the attempt may be sent now.

        One script checks lease and epoch, the chain, the attempt's number, the grant or a warrant for this plan, the freeze,
        single flight, and that no other plan of the intent was sent for this position. It can't check the venue's position or
        time. When it says no, nothing is written and the chain holds what it held.
        """
        keys, shelf, position = self.keys, self._shelf(chain), sending.position
        head, args = self._records_args(chain, lease, (sending,))
        claim = Claim(intent_id, position.symbol, position.position_side).where(keys, self._wall())
        reach(FaultPoint.BEFORE_GATE)
        passage = await self._ask(
            _gate,
            [
                keys.close(chain.plan_id),
                keys.journal,
                keys.open,
                keys.lease,
                keys.flights(position.symbol),
                keys.grant,
                keys.freeze,
                keys.warrant(warranted_intent),
                keys.order(sending.client_order_id),
                keys.finished,
                shelf.now,
                shelf.before,
                keys.log,
                keys.orphans,
                keys.safety,
                keys.safety_right(warranted_intent),
                *claim.buckets,
            ],
            [
                lease.owner,
                lease.epoch,
                chain.head.hash,
                chain.plan_id,
                self._wall(),
                sending.attempt,
                component,
                position.position_side,
                RETENTION_MS,
                claim.field,
                BUCKET_MS,
                *args,
                sending.client_order_id,
                shelf.field,
            ],
        )
        reach(FaultPoint.AFTER_GATE)
        self._said(passage.verdict, chain, head)
        return passage

    async def adopt(
        self, chain: Chain, lease: Lease, sending: Sending, known: Sequence[AnyFact], *, intent_id: str
    ) -> Verdict:
        """Write what the chain holds and then ``known``, which make an order that the log had lost an attempt again.

        ``known`` has ``sending`` in it. The order is no orphan any more then. No right is asked for: it was sent already.
        """
        keys, shelf, position = self.keys, self._shelf(chain), sending.position
        head, args = self._records_args(chain, lease, tuple(known))
        claim = Claim(intent_id, position.symbol, position.position_side).where(keys, self._wall())
        reach(FaultPoint.BEFORE_ADOPTION)
        verdict = await self._call(
            _adopt,
            [
                keys.close(chain.plan_id),
                keys.journal,
                keys.open,
                keys.lease,
                keys.flights(position.symbol),
                keys.order(sending.client_order_id),
                keys.finished,
                shelf.now,
                shelf.before,
                keys.log,
                keys.orphans,
                *claim.buckets,
            ],
            [
                lease.owner,
                lease.epoch,
                chain.head.hash,
                chain.plan_id,
                self._wall(),
                sending.attempt,
                position.position_side,
                RETENTION_MS,
                claim.field,
                BUCKET_MS,
                *args,
                sending.client_order_id,
                shelf.field,
            ],
        )
        reach(FaultPoint.AFTER_ADOPTION)
        return self._said(verdict, chain, head)

    async def permit(self, chain: Chain, lease: Lease, *, component: str, warranted_intent: str) -> Verdict:
        """Write what the chain holds, if and only if this close may act at the venue now: grant or warrant, and freeze.

        For what it does besides sending an order; the same fences as the gate's.
        """
        keys, shelf = self.keys, self._shelf(chain)
        head, args = self._records_args(chain, lease, ())
        reach(FaultPoint.BEFORE_PERMIT)
        verdict = await self._call(
            _permit,
            [
                keys.close(chain.plan_id),
                keys.journal,
                keys.open,
                keys.lease,
                keys.grant,
                keys.freeze,
                keys.warrant(warranted_intent),
                keys.finished,
                shelf.now,
                shelf.before,
                keys.log,
                keys.safety,
                keys.safety_right(warranted_intent),
            ],
            [
                lease.owner,
                lease.epoch,
                chain.head.hash,
                chain.plan_id,
                self._wall(),
                component,
                *args,
                shelf.field,
            ],
        )
        reach(FaultPoint.AFTER_PERMIT)
        return self._said(verdict, chain, head)

    async def publish(
        self,
        chain: Chain,
        lease: Lease,
        ended: Ended,
        *,
        symbol: str,
        group: str,
        entries: Sequence[EntryRef],
        announce: Callable[[str], Iterable[Announcement]],
        valid_until: int = 0,
        claims: Sequence[Claim] = (),
    ) -> None:
        """The outcome, its announcements and the acknowledgement of its entries, all or nothing.

        ``entries`` are of one stream. ``announce`` is told the hash of the last record, which is the evidence. A skip stays in
        the log until ``valid_until`` at least, when its decision is too old for everybody (the log's milliseconds). After it no other plan
        of the ``claims`` may be sent, but after a skip each may.
        """
        keys, shelf = self.keys, self._shelf(chain)
        head, args = self._records_args(chain, lease, (ended,))
        announcements = list(announce(head.hash))
        places = [claim.where(keys, self._wall()) for claim in claims]
        reach(FaultPoint.BEFORE_PUBLISH)
        verdict = await self._call(
            _publish,
            [
                keys.close(chain.plan_id),
                keys.journal,
                keys.open,
                keys.lease,
                keys.flights(symbol),
                keys.parked,
                entries[0].stream if entries else keys.journal,
                keys.finished,
                shelf.now,
                shelf.before,
                keys.log,
                *(bucket for place in places for bucket in place.buckets),
                *(announcement.stream for announcement in announcements),
            ],
            [
                lease.owner,
                lease.epoch,
                chain.head.hash,
                chain.plan_id,
                _ENDS.get(ended.outcome.kind, "DONE"),
                RETENTION_MS,
                group,
                *args,
                len(entries),
                *(entry.entry_id for entry in entries),
                *_flat(announcements),
                *(place.field for place in places),
                BUCKET_MS,
                len(places),
                valid_until,
                shelf.field,
                self._wall(),
            ],
        )
        reach(FaultPoint.AFTER_PUBLISH)
        if verdict is not Verdict.OK:
            raise Fenced(verdict)
        self._written(chain, head)

    async def resolve(
        self,
        plan_id: str,
        head: Head,
        resolved: Resolved,
        writer: Writer,
        announce: Callable[[str], Iterable[Announcement]],
    ) -> str:
        """A person's outcome in the place of PARKED; the hash of its record.

        Raises ``Fenced`` when the close is not parked any more.
        """
        after, records = extend(head, plan_id, [resolved], writer, self._wall())
        announcements = list(announce(after.hash))
        keys = self.keys
        verdict = await self._call(
            _resolve,
            [
                keys.close(plan_id),
                keys.journal,
                keys.parked,
                keys.finished,
                keys.log,
                *(one.stream for one in announcements),
            ],
            [head.hash, plan_id, self._wall(), *_counted(records), *_flat(announcements)],
        )
        if verdict is not Verdict.OK:
            raise Fenced(verdict)
        return after.hash

    def _shelf(self, chain: Chain) -> Shelf:
        return plan_shelf(self.keys, chain.plan_id, self._wall())

    def _records_args(
        self, chain: Chain, lease: Lease, more: tuple[AnyFact, ...]
    ) -> tuple[Head, list[bytes | str | int]]:
        writer = Writer(self.keys.account, lease.owner, lease.epoch)
        known = [*chain.unwritten, *more]
        head, records = extend(chain.head, chain.plan_id, known, writer, self._wall(), chain.noted_at)
        return head, _counted(records)

    def _said(self, verdict: Verdict, chain: Chain, head: Head) -> Verdict:
        """The word of a script that may also say no; raises ``Fenced`` where the close has to be read again."""
        if verdict in _FENCES:
            raise Fenced(verdict)
        if verdict is Verdict.OK:
            self._written(chain, head)
        return verdict

    def _written(self, chain: Chain, head: Head) -> None:
        chain.head = head
        chain.unwritten = []
        chain.noted_at = []

    async def _call(self, script: Script, keys: list[str], args: list[bytes | str | int]) -> Verdict:
        return (await self._ask(script, keys, args)).verdict

    async def _ask(self, script: Script, keys: list[str], args: list[bytes | str | int]) -> Passage:
        reply = await script.call(self._wire, keys, [*args, self._fence.token])
        assert isinstance(reply, list)
        verdict = Verdict(reply[0].decode())
        if verdict is Verdict.OK:
            self._fence.acknowledged(reply[2])
        return Passage(verdict, reply[1].decode())


_ENDS: Final = {OutcomeKind.SKIPPED: "SKIPPED", OutcomeKind.PARKED: "PARKED"}
"""The states that are not simply DONE: one burns no id, the other waits for a person."""


def _counted(records: Sequence[Record]) -> list[bytes | str | int]:
    args: list[bytes | str | int] = [len(records)]
    for record in records:
        args += [record.kind, record.body, record.hash]
    return args


def _flat(announcements: Iterable[Announcement]) -> list[bytes | str | int]:
    events: list[bytes | str | int] = []
    for announcement in announcements:
        events.append(2 * len(announcement.fields))
        events.extend(part for pair in announcement.fields.items() for part in pair)
    return events
