"""A journal on the real log for tests: one account, its closes, and the right to close them."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import msgspec

from sureclose.domain import facts
from sureclose.domain.events import Decision, EntryRef
from sureclose.domain.facts import AnyFact, Ended, Sending
from sureclose.domain.market import Position
from sureclose.domain.outcome import Outcome, OutcomeKind
from sureclose.domain.words import AgeSource, PositionSide, Side, Verdict
from sureclose.journal import lease
from sureclose.journal.chain import Announcement, Chain
from sureclose.journal.claims import Claim
from sureclose.journal.keys import Keys
from sureclose.journal.lease import Lease
from sureclose.journal.record import Head, Writer
from sureclose.journal.store import Journal
from sureclose.journal.verdict import Passage
from sureclose.journal.verdict import Verdict as Said
from sureclose.streams.connection import Log
from sureclose.streams.wire import Wire

SYMBOL = "BTCUSDT"
COMPONENT = "execution_service"
GROUP = "execution_service_exits"
NOW = 1_700_000_000_000
POSITION = Position(
    symbol=SYMBOL,
    position_side=PositionSide.BOTH,
    amount=Decimal(10),
    entry_price=Decimal(1),
    mark_price=Decimal(1),
    update_time=NOW,
    requested_at=NOW,
)


def admitted(plan_id: str = "plan") -> facts.Admitted:
    decision = Decision(
        intent_id=f"intent-{plan_id}",
        plan_id=plan_id,
        symbol=SYMBOL,
        position_side=PositionSide.BOTH,
        action="CLOSE",
        fraction=Decimal(1),
        quantity=None,
        origin_at=NOW,
        age_source=AgeSource.FIELD,
        verdict=Verdict.CLOSE,
        approved=True,
    )
    return facts.Admitted(decision=decision, entry=EntryRef("s", "1-0"))


def sending(attempt: int) -> Sending:
    return Sending(
        attempt=attempt,
        client_order_id=f"sc-{attempt}",
        side=Side.SELL,
        quantity=Decimal(1),
        timestamp=NOW,
        deadline=NOW + 2_000,
        position=POSITION,
    )


def ended(kind: OutcomeKind = OutcomeKind.FLAT) -> Ended:
    return Ended(outcome=Outcome(kind), position_after=POSITION)


def resolved(actor: str = "ann", kind: OutcomeKind = OutcomeKind.FLAT) -> facts.Resolved:
    return facts.Resolved(
        actor=actor,
        reason="looked at the venue",
        outcome=Outcome(kind, "settled by a person"),
        orders=(),
        trades=(),
        position=POSITION,
    )


class Desk:
    """What a process holds: a connection, the account's keys, and a lease when it has taken one."""

    def __init__(self, log: Log, prefix: str) -> None:
        self.wire: Wire = log.commands()
        self.prefix = prefix
        self.keys = Keys(prefix, "paper:main")
        self.journal = Journal(self.wire, self.keys, lambda: NOW)
        self.lease = Lease("nobody", 0)

    async def open(self, *, grant: bool = True, owner: str = "first") -> "Desk":
        """Take the lease, and the grant with it."""
        taken = await lease.take(self.wire, self.keys, owner, 60_000)
        assert taken is not None
        self.lease = taken
        if grant:
            await self.do("HSET", self.keys.grant, "component", COMPONENT)
        return self

    async def do(self, *command: bytes | str | int) -> Any:
        name, *rest = command
        return await self.wire.execute_command(str(name).encode(), *rest)

    async def gate(
        self,
        chain: Chain,
        attempt: int = 1,
        *,
        held: Lease | None = None,
        component: str = COMPONENT,
        symbol: str = SYMBOL,
        side: PositionSide = PositionSide.BOTH,
        before: Iterable[AnyFact] = (),
        client_order_id: str = "",
        intent_id: str = "",
    ) -> Said:
        """Whether the attempt may be sent; each plan is of an intent of its own, unless ``intent_id`` says another."""
        passage = await self.passage(
            chain,
            attempt,
            held=held,
            component=component,
            symbol=symbol,
            side=side,
            before=before,
            client_order_id=client_order_id,
            intent_id=intent_id,
        )
        return passage.verdict

    async def passage(
        self,
        chain: Chain,
        attempt: int = 1,
        *,
        held: Lease | None = None,
        component: str = COMPONENT,
        symbol: str = SYMBOL,
        side: PositionSide = PositionSide.BOTH,
        before: Iterable[AnyFact] = (),
        client_order_id: str = "",
        intent_id: str = "",
    ) -> Passage:
        """The gate's whole answer."""
        chain.unwritten += before
        passing = sending(attempt)
        passing = msgspec.structs.replace(passing, client_order_id=client_order_id or passing.client_order_id)
        at = msgspec.structs.replace(passing.position, symbol=symbol, position_side=side)
        return await self.journal.gate(
            chain,
            held or self.lease,
            component=component,
            warranted_intent=f"intent-{chain.plan_id}",
            intent_id=intent_id or f"intent-{chain.plan_id}",
            sending=msgspec.structs.replace(
                passing, position=at, client_order_id=f"sc-{chain.plan_id}-{attempt}"
            ),
        )

    async def adopt(
        self,
        chain: Chain,
        attempt: int,
        *,
        held: Lease | None = None,
        before: Iterable[AnyFact] = (),
        intent_id: str = "",
    ) -> Said:
        """An order that the log had lost, as an attempt."""
        chain.unwritten += before
        lost = msgspec.structs.replace(
            sending(attempt), client_order_id=f"sc-{chain.plan_id}-{attempt}", rebuilt=True
        )
        return await self.journal.adopt(
            chain, held or self.lease, lost, [lost], intent_id=intent_id or f"intent-{chain.plan_id}"
        )

    async def permit(
        self,
        chain: Chain,
        *,
        held: Lease | None = None,
        component: str = COMPONENT,
        before: Iterable[AnyFact] = (),
    ) -> Said:
        chain.unwritten += before
        return await self.journal.permit(
            chain, held or self.lease, component=component, warranted_intent=f"intent-{chain.plan_id}"
        )

    async def resolve(
        self, plan_id: str, head: Head, events: tuple[Announcement, ...] = (), actor: str = "ann"
    ) -> str:
        return await self.journal.resolve(
            plan_id,
            head,
            resolved(actor),
            Writer(self.keys.account, f"person:{actor}", 0),
            lambda evidence: [
                msgspec.structs.replace(event, fields=event.fields | {"evidence": evidence})
                for event in events
            ],
        )

    async def publish(
        self,
        chain: Chain,
        how: Ended | None = None,
        *,
        held: Lease | None = None,
        entries: tuple[EntryRef, ...] = (),
        events: tuple[Announcement, ...] = (),
        valid_until: int = 0,
        claims: tuple[Claim, ...] = (),
    ) -> None:
        await self.journal.publish(
            chain,
            held or self.lease,
            how or ended(),
            symbol=SYMBOL,
            group=GROUP,
            entries=entries,
            announce=lambda evidence: [
                msgspec.structs.replace(event, fields=event.fields | {"evidence": evidence})
                for event in events
            ],
            valid_until=valid_until,
            claims=claims,
        )

    async def admit(self, plan_id: str = "plan") -> Chain:
        chain = Chain(plan_id)
        chain.unwritten.append(admitted(plan_id))
        await self.journal.append(chain, self.lease)
        return chain

    async def finished_at(self, plan_id: str) -> int | None:
        """From when on the close may leave the log."""
        score = await self.do("ZSCORE", self.keys.finished, plan_id)
        return None if score is None else int(score)

    async def everything(self) -> dict[str, object]:
        """All that the log holds of this test, to show that nothing was written."""
        found: dict[str, object] = {}
        names = await self.do("KEYS", f"{self.prefix}*")
        for name in sorted(names):
            kind = (await self.do("TYPE", name)).decode()
            read = {
                "string": ("GET", name),
                "hash": ("HGETALL", name),
                "zset": ("ZRANGE", name, 0, -1, "WITHSCORES"),
                "stream": ("XRANGE", name, "-", "+"),
                "list": ("LRANGE", name, 0, -1),
            }[kind]
            value = await self.do(*read)
            found[name.decode()] = (
                sorted(map(repr, value.items())) if isinstance(value, dict) else repr(value)
            )
            if kind == "stream":
                found[name.decode() + " groups"] = repr(await self.do("XINFO", "GROUPS", name))
        return found
