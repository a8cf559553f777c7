"""The producer: approved decisions on the stream, and the wait for their outcomes."""

import asyncio
import secrets
import time
from collections.abc import Callable, Sequence
from decimal import Decimal

import msgspec

from benchmarks.market import Held, Market
from benchmarks.sides import Side
from benchmarks.wire import LogConnection, packed
from sureclose.domain.events import Decision
from sureclose.domain.ids import client_order_id_for
from sureclose.domain.planning import APPROVED, planned_id
from sureclose.domain.words import AgeSource, Mode, PositionSide, Verdict
from sureclose.services.identity import producer
from sureclose.streams.encode import encode_decision

ACCOUNT = "paper:main"
OUTCOME_PATIENCE_S = 30.0
_BLOCK_MS = 1000
_MOST_ATTEMPTS = 5


class NotFlat(Exception):
    """A close of the bench did not end as it had to, so its times mean nothing."""


class Timed(msgspec.Struct, frozen=True):
    """One close, in wall clock nanoseconds of one machine."""

    plan_id: str
    decided_ns: int
    """Right before the XADD of the decision. Its end is no start: who reads it may be woken before who wrote it."""
    durable_ns: int
    """When the log's answer to it came in: the decision was on the stream and on disk."""
    sent_ns: int
    """When the exchange received the order."""
    flat_ns: int
    """When the outcome FLAT, itself durable, had reached a reader of the results."""
    stamps: tuple[int, ...] = ()
    """The floor's own, one a hop."""


class Burst(msgspec.Struct, frozen=True):
    """Many closes at once: from the first decision's write to the last outcome read."""

    closes: int
    seconds: float


class Producer:
    """Writes decisions to one side and reads its outcomes."""

    def __init__(self, side: Side, market: Market, writes: LogConnection, reads: LogConnection) -> None:
        self._side = side
        self._market = market
        self._writes = writes
        self._reads = reads
        self._after: str | bytes = "0"

    @classmethod
    async def open(cls, side: Side, market: Market, log_url: str) -> "Producer":
        return cls(side, market, await LogConnection.open(log_url), await LogConnection.open(log_url))

    def close(self) -> None:
        self._writes.close()
        self._reads.close()

    async def one_by_one(self, positions: Sequence[Held], pause_s: Callable[[], float]) -> list[Timed]:
        """One close after the other, each after a pause."""
        await self._market.put(positions)
        began, times = time.time_ns(), []
        for held in positions:
            await asyncio.sleep(pause_s())
            plan_id, command = self._decision(held)
            outcomes = asyncio.ensure_future(self._outcomes({plan_id}))
            await asyncio.sleep(0)
            decided_ns = time.time_ns()
            await self._writes.send(command)
            durable_ns = self._writes.heard_ns
            stamps = (await outcomes)[plan_id]
            times.append((plan_id, decided_ns, durable_ns, self._reads.heard_ns, stamps))
        sent = await self._sent({plan_id for plan_id, *_ in times}, began)
        return [
            Timed(plan_id, decided_ns, durable_ns, sent[plan_id], flat_ns, stamps)
            for plan_id, decided_ns, durable_ns, flat_ns, stamps in times
        ]

    async def steady(self, positions: Sequence[Held], every_s: float) -> dict[str, tuple[int, int]]:
        """One after the other at a steady pace, whatever becomes of those before: when each plan was decided, and sent.

        Raises ``NotFlat`` unless each was exactly one order and ended FLAT.
        """
        await self._market.put(positions)
        decided: dict[str, int] = {}
        began, at = time.time_ns(), time.monotonic()
        for held in positions:
            plan_id, command = self._decision(held)
            decided[plan_id] = time.time_ns()
            await self._writes.send(command)
            at += every_s
            await asyncio.sleep(at - time.monotonic())
        await self._outcomes(set(decided))
        sent = await self._sent(set(decided), began)
        return {plan_id: (decided[plan_id], sent[plan_id]) for plan_id in decided}

    async def at_once(self, positions: Sequence[Held]) -> Burst:
        """All of them in one write."""
        await self._market.put(positions)
        decisions = dict(map(self._decision, positions))
        began = time.time_ns()
        outcomes = asyncio.ensure_future(self._outcomes(set(decisions)))
        await asyncio.sleep(0)
        await asyncio.gather(*self._writes.send_all(list(decisions.values())))
        await outcomes
        seconds = (self._reads.heard_ns - began) / 1e9
        await self._sent(set(decisions), began)
        return Burst(len(decisions), seconds)

    def _decision(self, held: Held) -> tuple[str, bytes]:
        """The plan and the command that puts its approval on the stream."""
        now = time.time_ns() // 1_000_000
        decision = Decision(
            intent_id=f"bench-{secrets.token_hex(8)}",
            symbol=held.symbol,
            position_side=PositionSide.BOTH,
            action="CLOSE",
            fraction=Decimal(1),
            quantity=None,
            origin_at=now,
            age_source=AgeSource.FIELD,
            position_amt=Decimal(held.amount),
            mode=Mode.PAPER,
            reason="bench",
            source="bench",
            plan_id="",
            verdict=Verdict.CLOSE,
            approved=True,
            reason_codes=(APPROVED,),
        )
        decision = msgspec.structs.replace(decision, plan_id=planned_id(decision))
        fields = encode_decision(decision, producer("bench"), now)
        words = [part for pair in fields.items() for part in pair]
        return decision.plan_id, packed("XADD", self._side.decisions, "*", *words)

    async def _outcomes(self, awaited: set[str]) -> dict[str, tuple[int, ...]]:
        """Wait until all plans have ended; the stamps that came with each outcome."""
        found: dict[str, tuple[int, ...]] = {}
        give_up_ns = time.time_ns() + round(OUTCOME_PATIENCE_S * 1e9)
        while awaited - found.keys():
            if time.time_ns() > give_up_ns:
                raise NotFlat(f"{len(awaited) - len(found)} closes of {self._side.name} have no outcome")
            command = packed("XREAD", "BLOCK", _BLOCK_MS, "STREAMS", self._side.results, self._after)
            reply = await self._reads.send(command)
            for entry_id, flat in reply[0][1] if reply else ():
                self._after = entry_id
                fields = {
                    name.decode(): value.decode() for name, value in zip(flat[::2], flat[1::2], strict=True)
                }
                if fields["plan_id"] in awaited and fields["outcome"] != "FLAT":
                    raise NotFlat(f"a close of {self._side.name} ended {fields}")
                found[fields["plan_id"]] = tuple(map(int, fields.get("stamps", "").split()))
        return found

    async def _sent(self, plans: set[str], since_ns: int) -> dict[str, int]:
        """When the exchange received the one order of each plan; raises ``NotFlat`` when it was not one."""
        received = await self._market.orders(since_ns)
        mine = {id_: at for id_, at in received.items() if id_.startswith(self._side.order_prefix)}
        sent = {plan: [mine[id_] for id_ in self._order_ids(plan) if id_ in mine] for plan in plans}
        if len(mine) != len(plans) or any(len(times) != 1 for times in sent.values()):
            raise NotFlat(f"{len(plans)} closes of {self._side.name} made {len(mine)} orders, not one each")
        return {plan: times[0] for plan, times in sent.items()}

    def _order_ids(self, plan_id: str) -> list[str]:
        """What the order of a plan may be called: an attempt that was late at the gate is not sent, the next one is."""
        if self._side.hashes_ids:
            prefix, attempts = self._side.order_prefix, range(1, _MOST_ATTEMPTS + 1)
            return [client_order_id_for(prefix, ACCOUNT, plan_id, attempt) for attempt in attempts]
        return [self._side.order_prefix + plan_id]
