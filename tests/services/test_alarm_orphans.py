"""Orders that the log had lost and whose plan nothing tells."""

from sureclose.domain.market import OrderReport
from sureclose.services.alarms.alarm import AlarmKey, AlarmKind
from sureclose.services.alarms.orphans import PATIENCE_S, OrphanAlarms
from sureclose.streams.connection import Log
from tests.domain.test_rebuilding import order
from tests.services.alarming import World


async def test_an_order_without_a_plan_is_an_alarm_until_its_close_goes_on(log: Log, log_prefix: str) -> None:
    alarms = World(log.commands(), log_prefix).alarms("one")
    lost, now = order("3"), [0.0]
    orphans: dict[str, OrderReport] = {lost.client_order_id: lost}
    watch = OrphanAlarms(alarms, orphans, leads=lambda: True, monotonic=lambda: now[0])
    key = AlarmKey(AlarmKind.ORPHAN, lost.client_order_id)
    watch.look()
    assert key not in alarms.standing, "its approval may be read again in a moment"
    now[0] = PATIENCE_S
    watch.look()
    assert alarms.standing[key].facts["executed_qty"] == "3"
    # Another process goes on: it knows of the alarm from the log alone.
    del orphans[lost.client_order_id]
    OrphanAlarms(alarms, orphans, leads=lambda: True, monotonic=lambda: now[0]).look()
    assert key not in alarms.standing
