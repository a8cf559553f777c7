"""Orders in our name that the journal never sent."""

import asyncio
from collections.abc import Mapping
from decimal import Decimal
from typing import cast

import msgspec

from sureclose.domain.authority import Ground
from sureclose.domain.market import OrderReport
from sureclose.domain.words import PositionSide, Side
from sureclose.journal.store import Journal
from sureclose.services.alarms.board import Alarms
from sureclose.services.alarms.strangers import Strangers
from sureclose.services.authority.findings import Findings
from sureclose.streams.connection import Log
from tests.journal.journals import Desk

STRANGE = OrderReport(
    order_id=7,
    client_order_id="sc-strange",
    symbol="BTCUSDT",
    side=Side.SELL,
    position_side=PositionSide.BOTH,
    status="FILLED",
    order_type="MARKET",
    reduce_only=True,
    orig_qty=Decimal(1),
    executed_qty=Decimal(1),
    update_time=2,
)


class Alarmed:
    """Takes breaches, and stops the watch after the last that is looked for."""

    def __init__(self) -> None:
        self.subjects: list[str] = []
        self.raised = asyncio.Event()

    def breach(self, subject: str, what: str, facts: Mapping[str, object]) -> None:
        self.subjects.append(f"{subject} {facts['client_order_id']}")
        self.raised.set()


async def test_an_order_of_our_prefix_that_the_journal_never_sent_is_a_breach(
    log: Log, log_prefix: str
) -> None:
    """I9. One that the journal sent is none, nor is one of another prefix."""
    desk = await Desk(log, log_prefix).open()
    await desk.gate(await desk.admit())
    alarms, stop = Alarmed(), asyncio.Event()
    found = Findings(lambda: 1)
    strangers = Strangers(desk.journal, "sc-", cast("Alarms", alarms), found)
    strangers.see(msgspec.structs.replace(STRANGE, client_order_id="sc-plan-1"))
    strangers.see(msgspec.structs.replace(STRANGE, client_order_id="web_1"))
    strangers.see(STRANGE)
    watching = asyncio.create_task(strangers.run(stop))
    async with asyncio.timeout(5):
        await alarms.raised.wait()
    stop.set()
    await watching
    assert alarms.subjects == ["BTCUSDT sc-strange"], "one alarm a symbol, however many orders there are"
    assert [(one.ground, one.subject) for one in found.all] == [(Ground.BREACH, "BTCUSDT")]


def _judged(*orders: OrderReport, exclusive: bool = False) -> list[Ground]:
    found = Findings(lambda: 1)
    alarms = cast("Alarms", Alarmed())
    strangers = Strangers(cast("Journal", None), "sc-", alarms, found, exclusive=exclusive)
    for order in orders:
        strangers.judge(order)
    return [one.ground for one in found.all]


def test_an_order_of_our_prefix_that_does_not_reduce_violates_the_scope() -> None:
    """Whether a close here waits for it or not; in hedge mode the side tells."""
    opens = msgspec.structs.replace(STRANGE, reduce_only=False)
    hedge = msgspec.structs.replace(STRANGE, position_side=PositionSide.LONG, reduce_only=False)
    assert _judged(STRANGE) == []
    assert _judged(opens) == [Ground.SCOPE_VIOLATED]
    assert _judged(hedge) == []
    assert _judged(msgspec.structs.replace(hedge, side=Side.BUY)) == [Ground.SCOPE_VIOLATED]
    assert _judged(msgspec.structs.replace(opens, client_order_id="web_1")) == []


def test_a_foreign_reducing_order_is_a_breach_only_where_exits_are_exclusive() -> None:
    """And the venue's own liquidation is nobody's order."""
    foreign = msgspec.structs.replace(STRANGE, client_order_id="web_1")
    assert _judged(foreign) == []
    assert _judged(foreign, exclusive=True) == [Ground.BREACH]
    assert _judged(msgspec.structs.replace(foreign, reduce_only=False), exclusive=True) == []
    assert _judged(msgspec.structs.replace(foreign, client_order_id="autoclose-1"), exclusive=True) == []
