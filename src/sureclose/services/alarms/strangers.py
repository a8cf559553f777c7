"""Orders that must not be: of our prefix and not in the journal (invariant I9), or not reducing (I5), or not ours at all."""

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

import structlog
from redis.exceptions import RedisError

from sureclose.domain.authority import Ground
from sureclose.domain.history import closed_by
from sureclose.domain.ids import plain
from sureclose.domain.market import OrderReport
from sureclose.journal.store import Journal
from sureclose.services.alarms.board import Alarms

log = structlog.get_logger()

_RETRY_S: Final = 1.0
_PATIENCE: Final = 30
"""How often a process that does not execute asks; then it is the business of the one that does."""


class Noted(Protocol):
    """Who takes what ends a grant."""

    def add(self, ground: Ground, subject: str, what: str) -> None: ...


class Strangers:
    """Asks the journal about every order of our prefix that no close here is waiting for.

    ``noted`` takes what ends a grant. ``exclusive`` says that nobody else may reduce a position, except the venue.
    """

    def __init__(
        self,
        journal: Journal,
        prefix: str,
        alarms: Alarms,
        noted: Noted,
        leads: Callable[[], bool] = lambda: True,
        *,
        exclusive: bool = False,
    ) -> None:
        self._journal = journal
        self._leads = leads
        self._noted = noted
        self._exclusive = exclusive
        self._prefix = prefix
        self._alarms = alarms
        self._seen: asyncio.Queue[OrderReport] = asyncio.Queue()

    def judge(self, order: OrderReport) -> None:
        """Any order of the account that the stream told of."""
        if order.client_order_id.startswith(self._prefix):
            if not order.reduces:
                what = (
                    f"order {order.client_order_id} in {order.symbol} carries our prefix and does not reduce"
                )
                self._noted.add(Ground.SCOPE_VIOLATED, order.symbol, what)
        elif self._exclusive and order.reduces and not closed_by(order):
            what = f"order {order.client_order_id} in {order.symbol} reduces and is not ours"
            self._noted.add(Ground.BREACH, order.symbol, what)
            self._alarms.breach(order.symbol, what, _facts(order))

    def see(self, order: OrderReport) -> None:
        """An order that the stream told of and no close under way here knows."""
        if order.client_order_id.startswith(self._prefix):
            self._seen.put_nowait(order)

    async def run(self, stop: asyncio.Event) -> None:
        """Look each of them up until ``stop``; to be supervised."""
        stopped = asyncio.create_task(stop.wait())
        try:
            while not stop.is_set():
                waiting = asyncio.create_task(self._seen.get())
                await asyncio.wait({waiting, stopped}, return_when=asyncio.FIRST_COMPLETED)
                if not waiting.done():
                    waiting.cancel()
                    return
                await self._look_up(waiting.result(), stopped)
        finally:
            stopped.cancel()

    async def _look_up(self, order: OrderReport, stopped: asyncio.Task[bool]) -> None:
        asked = 0
        while not stopped.done():
            try:
                plan = await self._journal.plan_of(order.client_order_id)
                lost = plan is None and order.client_order_id in await self._journal.orphans()
            except RedisError as error:
                log.warning("order_not_checked_yet", client_order_id=order.client_order_id, error=str(error))
                await asyncio.wait({stopped}, timeout=_RETRY_S)
                continue
            if plan is None and not self._leads() and asked < _PATIENCE:
                # The log may have lost it: who executes makes sure of that first.
                asked += 1
                await asyncio.wait({stopped}, timeout=_RETRY_S)
                continue
            if plan is None and not lost and self._leads():
                what = f"an order of our prefix in {order.symbol} is not in the journal"
                self._noted.add(Ground.BREACH, order.symbol, f"{what}: {order.client_order_id}")
                self._alarms.breach(order.symbol, what, _facts(order))
            return


def _facts(order: OrderReport) -> dict[str, str]:
    return {
        "client_order_id": order.client_order_id,
        "side": str(order.side),
        "order_id": str(order.order_id),
        "status": order.status,
        "executed_qty": plain(order.executed_qty),
    }
