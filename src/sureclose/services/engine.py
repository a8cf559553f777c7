"""The close engine: all closes of this process, under one lease."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import structlog
from redis.exceptions import RedisError

from sureclose.domain.events import Decision, EntryRef
from sureclose.domain.market import OrderReport
from sureclose.journal.lease import Lease
from sureclose.journal.record import ChainBroken
from sureclose.journal.store import Fenced
from sureclose.services.closing import Closing, Tools
from sureclose.services.lanes import Lanes

log = structlog.get_logger()


class Engine:
    """Starts, joins and ends closes. ``acknowledge`` is for entries of closes that had ended before they came."""

    def __init__(
        self, tools: Tools, lease: Lease, acknowledge: Callable[[Sequence[EntryRef]], Awaitable[None]]
    ) -> None:
        self._tools = tools
        self._lease = lease
        self._acknowledge = acknowledge
        self._lanes = Lanes()
        self._closings: dict[str, Closing] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._held: set[EntryRef] = set()
        self.broken: dict[str, str] = {}
        """Closes that can't go on in this process, and why: they stay open in the journal, and health says so."""

    @property
    def size(self) -> int:
        """How many closes are under way."""
        return len(self._closings)

    @property
    def held(self) -> frozenset[str]:
        """The ids of the entries that closes under way will acknowledge with their outcome, and of those stuck here."""
        return frozenset(entry.entry_id for entry in self._held)

    async def resume(self) -> int:
        """Take up every close that the journal holds unfinished; the way from there is the normal one."""
        plans = [plan for plan in await self._tools.journal.open_plans() if plan not in self._closings]
        for plan_id in plans:
            self._start(Closing(self._tools, self._lease, plan_id, None))
        return len(plans)

    def admit(self, decision: Decision, entry: EntryRef) -> None:
        """Take in an approved decision. The same plan, delivered again, joins the close that is under way."""
        self._held.add(entry)
        closing = self._closings.get(decision.plan_id)
        if closing is None:
            self._start(Closing(self._tools, self._lease, decision.plan_id, (decision, entry)))
        elif entry not in closing.entries:
            closing.entries.append(entry)

    def tell(self, order: OrderReport) -> None:
        """News of an order from the user data stream; orders that are not of a close under way are nobody's news here."""
        if not order.client_order_id.startswith(self._tools.policy.client_order_id_prefix):
            return
        for closing in self._closings.values():
            if order.client_order_id in closing.client_order_ids:
                closing.tell(order)
                return

    async def drain(self, seconds: float) -> None:
        """Let what is under way finish; what has not by then stays open in the journal and is taken up again."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)
        await self.abandon()

    async def abandon(self) -> None:
        """Stop at once, without a trace: what is recorded is what is so, and no outcome is owed here any more."""
        for plan_id in (*self._closings, *self.broken):
            self._tools.witness.elsewhere(plan_id)
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _start(self, closing: Closing) -> None:
        self._closings[closing.plan_id] = closing
        task = asyncio.create_task(self._run(closing), name=f"close-{closing.plan_id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, closing: Closing) -> None:
        plan_id = closing.plan_id
        try:
            await closing.run(self._lanes)
        except Fenced as fenced:
            log.warning("close_fenced", plan_id=plan_id, why=str(fenced))
            self._tools.witness.elsewhere(plan_id)
        except ChainBroken as error:
            self._break(plan_id, str(error))
        except Exception as error:
            # One close's defect must not stop the others; it stays open, unacknowledged and visible.
            log.exception("close_broken", plan_id=plan_id)
            self._break(plan_id, f"{type(error).__name__}: {error}")
        else:
            await self._finish(closing)
            self._held.difference_update(closing.entries)
        finally:
            self._closings.pop(plan_id, None)

    def _break(self, plan_id: str, why: str) -> None:
        self.broken[plan_id] = why
        log.critical("close_stuck", plan_id=plan_id, why=why)

    async def _finish(self, closing: Closing) -> None:
        """Entries that came after the outcome had been published are duplicates of it."""
        late = [entry for entry in closing.entries if entry not in closing.acknowledged]
        if not late:
            return
        log.info("duplicate", plan_id=closing.plan_id, entries=len(late))
        try:
            await self._acknowledge(late)
        except RedisError as error:
            log.warning("duplicate_not_acknowledged", plan_id=closing.plan_id, error=str(error))
