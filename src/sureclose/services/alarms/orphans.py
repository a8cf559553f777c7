"""Orders of ours that the log had lost and of which no plan has come to light."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

from sureclose.domain.ids import plain
from sureclose.domain.market import OrderReport
from sureclose.services.alarms.alarm import AlarmKind
from sureclose.services.alarms.board import Alarms
from sureclose.streams.wire import wait_set

LOOK_S: Final = 1.0
PATIENCE_S: Final = 15.0
"""How long their plans may take to be read again from the log, before a person has to know."""
_REMEDY: Final = "publish the decision again, and its close goes on from this order; or see with `sureclose reconcile` what it did"


class OrphanAlarms:
    """``orphans`` are those of the present reign; ``leads`` says whether there is one."""

    def __init__(
        self,
        alarms: Alarms,
        orphans: Mapping[str, OrderReport],
        *,
        leads: Callable[[], bool],
        monotonic: Callable[[], float],
    ) -> None:
        self._alarms = alarms
        self._orphans = orphans
        self._leads = leads
        self._monotonic = monotonic
        self._since: dict[str, float] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Look every second until ``stop``; to be supervised."""
        while not await wait_set(stop, LOOK_S):
            if self._leads():
                self.look()

    def look(self) -> None:
        now = self._monotonic()
        for key in tuple(self._alarms.standing):
            if key.kind is AlarmKind.ORPHAN and key.subject not in self._orphans:
                self._alarms.clear(AlarmKind.ORPHAN, key.subject)
        self._since = {name: self._since.get(name, now) for name in self._orphans}
        for name, order in self._orphans.items():
            if now - self._since[name] < PATIENCE_S:
                continue
            self._alarms.raise_(
                AlarmKind.ORPHAN,
                name,
                f"the log had lost an order in {order.symbol}, and nothing says which plan it was for",
                _REMEDY,
                symbol=order.symbol,
                side=order.side,
                order_id=order.order_id,
                status=order.status,
                executed_qty=plain(order.executed_qty),
            )
