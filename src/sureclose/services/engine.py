"""The close engine: all closes of this process, under one lease."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol

import msgspec
import structlog
from redis.exceptions import RedisError

from sureclose.domain.close import New
from sureclose.domain.events import Decision, EntryRef
from sureclose.domain.market import OrderReport, Trade
from sureclose.domain.planning import same_age, same_close
from sureclose.journal.lease import Lease
from sureclose.journal.record import ChainBroken
from sureclose.journal.verdict import Fenced, Verdict
from sureclose.services.closing import Closing
from sureclose.services.lanes import Lanes
from sureclose.services.tools import Tools
from sureclose.streams.entry import Delivered, Entry
from sureclose.streams.fields import Unreadable

log = structlog.get_logger()

RESUMED_AT_ONCE: Final = 10
RESUME_S: Final = 0.02
"""So many closes are taken up, and the next when they have ended or that time is over: five hundred in a second, above
what one process can close."""


class Delivery(msgspec.Struct, frozen=True):
    """One entry of an approved decision."""

    decision: Decision
    entry: Entry


def carried(ref: EntryRef) -> Entry:
    """An entry that the journal told of, and that is not read again."""
    return Entry(ref, {b"carried": b"over"}, Delivered.OWN_PENDING)


class Desk(Protocol):
    """Where entries go that get no outcome of their own."""

    async def acknowledge(self, entries: Sequence[Entry]) -> None:
        """They say again what was closed already."""
        ...

    async def bury(self, entries: Sequence[Entry], why: Unreadable) -> None:
        """They ask for something else under the name of a close that was made: dead letters."""
        ...


class Engine:
    """Starts closes, keeps what is delivered again until the outcome is known, and says what becomes of it."""

    def __init__(
        self, tools: Tools, lease: Lease, desk: Desk, log_lost: Callable[[], None] = lambda: None
    ) -> None:
        self._tools = tools
        self._log_lost = log_lost
        self._lease = lease
        self._desk = desk
        self._lanes = Lanes()
        self._closings: dict[str, Closing] = {}
        self._by_order: dict[str, Closing] = {}
        self._deliveries: dict[str, list[Delivery]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._held: set[str] = set()
        self._resuming: asyncio.Task[None] | None = None
        self.broken: dict[str, str] = {}
        """Closes that can't go on in this process, and why: they stay open in the journal, and health says so."""

    @property
    def size(self) -> int:
        """How many closes are under way."""
        return len(self._closings)

    @property
    def busy(self) -> bool:
        """Whether closes are under way, or still to be taken up."""
        return bool(self._closings) or (self._resuming is not None and not self._resuming.done())

    @property
    def under_way(self) -> Iterable[Closing]:
        """The closes themselves."""
        return tuple(self._closings.values())

    @property
    def held(self) -> frozenset[str]:
        """The ids of the entries that wait here for an outcome, and of those of closes that are stuck."""
        return frozenset(self._held)

    async def resume(self) -> int:
        """Take up every close that the journal holds unfinished; the way from there is the normal one.

        They are begun a few at a time, oldest first: ten thousand of them must not keep the reader from the entry that
        waits. Returns how many there are.
        """
        plans = [plan for plan in await self._tools.journal.open_plans() if plan not in self._closings]
        await self._stop_resuming()
        self._resuming = asyncio.create_task(self._take_up(plans), name="resuming")
        return len(plans)

    async def _take_up(self, plans: Sequence[str]) -> None:
        for first in range(0, len(plans), RESUMED_AT_ONCE):
            some = [plan for plan in plans[first : first + RESUMED_AT_ONCE] if plan not in self._closings]
            tasks = [self._start(plan_id) for plan_id in some]
            if tasks:
                await asyncio.wait(tasks, timeout=RESUME_S)

    def admit(self, decision: Decision, entry: Entry) -> None:
        """Take in an approved decision. The same plan, delivered again, waits for the outcome of the first."""
        self._held.add(entry.ref.entry_id)
        self._deliveries.setdefault(decision.plan_id, []).append(Delivery(decision, entry))
        if decision.plan_id not in self._closings:
            self._start(decision.plan_id)

    def tell(self, order: OrderReport, trade: Trade | None = None) -> bool:
        """News of an order from the user data stream. Says whether it is of a close under way here."""
        closing = self._by_order.get(order.client_order_id)
        if closing is None:
            return False
        closing.tell(order, trade)
        return True

    @property
    def wishes(self) -> dict[str, Delivery]:
        """What is under way, as it was asked for: should the log lose it, it is not lost here."""
        found = {plan_id: deliveries[0] for plan_id, deliveries in self._deliveries.items() if deliveries}
        for plan_id, closing in self._closings.items():
            if plan_id not in found and closing.judged is not None and not isinstance(closing.state, New):
                found[plan_id] = Delivery(closing.decision, carried(closing.judged))
        return found

    async def drain(self, seconds: float) -> None:
        """Let what is under way finish; what has not by then stays open in the journal and is taken up again."""
        await self._stop_resuming()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)
        await self.abandon()

    async def abandon(self) -> None:
        """Stop at once, without a trace: what is recorded is what is so, and no outcome is owed here any more."""
        await self._stop_resuming()
        for plan_id in (*self._closings, *self.broken):
            self._tools.witness.elsewhere(plan_id)
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _stop_resuming(self) -> None:
        if self._resuming is not None:
            self._resuming.cancel()
            await asyncio.wait({self._resuming})

    def _start(self, plan_id: str) -> asyncio.Task[None]:
        deliveries = self._deliveries.get(plan_id)
        received = (deliveries[0].decision, deliveries[0].entry.ref) if deliveries else None
        self.broken.pop(plan_id, None)
        closing = Closing(self._tools, self._lease, plan_id, received, self._by_order)
        self._closings[plan_id] = closing
        task = asyncio.create_task(self._run(closing), name=f"close-{plan_id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _run(self, closing: Closing) -> None:
        plan_id = closing.plan_id
        try:
            await closing.run(self._lanes)
            del self._closings[plan_id]
            await self._finish(closing)
        except Fenced as fenced:
            log.warning("close_fenced", plan_id=plan_id, why=str(fenced))
            self._tools.witness.elsewhere(plan_id)
            if fenced.verdict is Verdict.LOG_LOST:
                if closing.judged is not None and not isinstance(closing.state, New):
                    wish = Delivery(closing.decision, carried(closing.judged))
                    self._deliveries.setdefault(plan_id, [wish])
                self._log_lost()
        except ChainBroken as error:
            self._break(plan_id, str(error))
        except Exception as error:
            # One close's defect must not stop the others; it stays open, unacknowledged and visible.
            log.exception("close_broken", plan_id=plan_id)
            self._break(plan_id, f"{type(error).__name__}: {error}")
        finally:
            for client_order_id in closing.client_order_ids:
                if self._by_order.get(client_order_id) is closing:
                    del self._by_order[client_order_id]
            if self._closings.get(plan_id) is closing:
                del self._closings[plan_id]

    def _break(self, plan_id: str, why: str) -> None:
        self.broken[plan_id] = why
        log.critical("close_stuck", plan_id=plan_id, why=why)

    async def _finish(self, closing: Closing) -> None:
        """What was delivered besides the entry that got the outcome.

        After a skip, which burns no id, a delivery of another age is begun anew. Else the same wish is a duplicate, and
        another wish under the same name is nothing that may vanish. The entry that got the outcome may come again as well,
        from a group that was made anew: then nothing but this acknowledges it.
        """
        plan_id = closing.plan_id
        deliveries = self._deliveries.pop(plan_id, [])
        ended = closing.judged if closing.published else None
        rest = [delivery for delivery in deliveries if delivery.entry.ref != ended]
        self._held -= {delivery.entry.ref.entry_id for delivery in deliveries}
        again = [d for d in rest if _made(closing, d.decision)]
        others = [d.entry for d in rest if not _made(closing, d.decision)]
        if closing.skipped:
            anew = [d for d in rest if not _heard(closing, d, made=d in again)]
            again, others = [d for d in rest if d not in anew], []
            self._held |= {delivery.entry.ref.entry_id for delivery in anew}
            if anew:
                self._deliveries[plan_id] = [*anew, *self._deliveries.pop(plan_id, [])]
                if plan_id not in self._closings:
                    self._start(plan_id)
        try:
            if again:
                log.info("duplicate", plan_id=plan_id, entries=len(again))
                await self._desk.acknowledge([delivery.entry for delivery in again])
            if others:
                log.warning("conflict", plan_id=plan_id, entries=len(others))
                await self._desk.bury(others, _conflict(plan_id))
        except RedisError as error:
            # They stay pending and are claimed again within a second.
            log.warning("duplicates_not_acknowledged", plan_id=plan_id, error=str(error))


def _made(closing: Closing, decision: Decision) -> bool:
    """Whether the decision asks for what was closed."""
    burnt = closing.burnt
    return burnt.is_for(decision) if burnt is not None else same_close(decision, closing.decision)


def _heard(closing: Closing, delivery: Delivery, *, made: bool) -> bool:
    """Whether the skip is this delivery's own outcome: it is the one that was skipped, or as old and asks for the same."""
    own = closing.spoke_for(delivery.decision, delivery.entry.ref)
    return own or (made and same_age(delivery.decision, closing.decision))


def _conflict(plan_id: str) -> Unreadable:
    return Unreadable(
        f"plan {plan_id} was closed already and was another close than this one",
        f"give each close a plan_id of its own; `sureclose trace {plan_id}` shows the one that was made",
    )
