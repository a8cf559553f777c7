"""Journals to verify: closes driven against a model venue, what was published of them, and the venue's books.

A forger here has everything: he changes any fact, computes the chain anew, and so only the rule itself can catch him.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, TypeVar

import msgspec

from sureclose.domain.close import Done, fold
from sureclose.domain.facts import Admitted, AnyFact, Ended, Fact, Resolved
from sureclose.domain.outcome import OutcomeKind
from sureclose.journal.checking import books
from sureclose.journal.checking.books import Books
from sureclose.journal.checking.case import Bounds
from sureclose.journal.checking.examination import Examination, Report
from sureclose.journal.checking.findings import Against, Check, Rule
from sureclose.journal.checking.stored import DONE, OPEN, STATES, Published, Results, Stored
from sureclose.journal.record import Head, Writer, extend
from tests.domain.drivers import History
from tests.domain.scripts import START, Fate, Reply, Script
from tests.domain.worlds import World

ACCOUNT = "paper:main"
WRITER = Writer(ACCOUNT, "worker", 1)
NOW = START + 3_600_000

_Fact = TypeVar("_Fact", bound=Fact)


def driven(script: Script | None = None) -> History:
    """A close from its decision to its outcome, undisturbed unless the script says otherwise."""
    return History(script or Script()).run()


LOST_THEN_FILLED = Script(fates=(Fate(arrives=False),))
"""The first request never arrives, is proven dead, and the second one fills."""
TWO_PARTS = Script(fates=(Fate(parts=(40,)),))
"""The first order ends with a part filled, and a second one closes the rest."""
UNANSWERED = Script(fates=(Fate(reply=Reply.LOST),))


def stored(
    known: Sequence[AnyFact],
    plan_id: str | None = None,
    *,
    state: str | None = None,
    place: int = START,
    writer: Writer = WRITER,
    **more: Any,
) -> Stored:
    """The facts as a close in the log, well chained, one record a millisecond from ``place`` on."""
    plan = plan_id or next((f.decision.plan_id for f in known if isinstance(f, Admitted)), "a-plan")
    times = range(place, place + len(known))
    head, records = extend(Head(), plan, known, writer, place, times)
    last = known[-1]
    if state is None:
        state = STATES.get(last.outcome.kind, DONE) if isinstance(last, Ended | Resolved) else OPEN
    ids = [f"{time}-0" for time in times]
    return Stored(
        plan_id=plan,
        head=head.hash,
        state=state,
        records=tuple(zip(ids, records, strict=True)),
        **more,
    )


def published(*closes: Stored) -> Results:
    """What the publish script writes beside each outcome."""
    found = {}
    for close in closes:
        reached: list[AnyFact] = []
        for entry_id, record in close.records:
            fact = record.read().fact
            reached.append(fact)
            if not isinstance(fact, Ended | Resolved):
                continue
            state = fold(reached)
            filled = state.progress.filled if isinstance(state, Done) else Decimal(0)
            executed = fact.outcome.kind in {OutcomeKind.FLAT, OutcomeKind.REDUCED} and bool(filled)
            found[record.hash] = Published(
                entry_id=entry_id,
                plan_id=close.plan_id,
                evidence=record.hash,
                outcome=fact.outcome.kind,
                executed=executed,
                filled_qty=filled,
            )
    return Results(since=0, by_evidence=found)


def examined(
    *closes: Stored,
    results: Results | None = None,
    books: Books | None = None,
    complete: bool = True,
    now: int = NOW,
) -> Report:
    examination = Examination(ACCOUNT, now, Bounds(), books, complete=complete)
    for close in closes:
        examination.add(close)
    examination.know(published(*closes) if results is None else results)
    return examination.report()


def check(report: Report, rule: Rule, against: Against = Against.JOURNAL) -> Check:
    return next(one for one in report.checks if (one.rule, one.against) == (rule, against))


def broken(report: Report) -> set[tuple[Rule, Against]]:
    """The checks with a violation."""
    return {(one.rule, one.against) for one in report.checks if one.violations}


def changed(
    known: Sequence[AnyFact], kind: type[_Fact], change: Callable[[_Fact], _Fact], which: int = 0
) -> list[AnyFact]:
    """The facts with one of a kind put otherwise: the first, or by its index."""
    places = [index for index, fact in enumerate(known) if isinstance(fact, kind)]
    forged: list[Any] = list(known)
    forged[places[which]] = change(forged[places[which]])
    return forged


def put(**more: Any) -> Callable[[Any], Any]:
    """A change of some fields."""
    return lambda struct: msgspec.structs.replace(struct, **more)


@dataclass
class Ledger:
    """The model venue's books in Binance's words, to be tampered with before they are read."""

    orders: list[dict[str, Any]] = field(default_factory=list)
    trades: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def of(cls, world: World) -> "Ledger":
        orders = [
            {
                "orderId": order.order_id,
                "clientOrderId": order.client_order_id,
                "symbol": last.symbol,
                "side": last.side,
                "positionSide": last.position_side,
                "reduceOnly": last.reduce_only,
                "type": last.order_type,
                "origQty": str(last.orig_qty),
                "executedQty": str(last.executed_qty),
                "status": last.status,
                "time": order.reports[0][0],
                "updateTime": last.update_time,
            }
            for order in world.orders.values()
            for _, last in order.reports[-1:]
        ]
        trades = [
            {
                "id": trade.trade_id,
                "orderId": trade.order_id,
                "symbol": trade.symbol,
                "side": trade.side,
                "positionSide": trade.position_side,
                "qty": str(trade.quantity),
                "price": str(trade.price),
                "time": trade.time,
            }
            for trade in world.trades
        ]
        return cls(orders, trades)

    @property
    def ours(self) -> list[dict[str, Any]]:
        return [order for order in self.orders if order["clientOrderId"].startswith("sc-")]

    def fills(self, order: dict[str, Any]) -> list[dict[str, Any]]:
        return [trade for trade in self.trades if trade["orderId"] == order["orderId"]]

    def read(self) -> Books:
        """As an account's whole records."""
        document = {"orders": self.orders, "trades": self.trades, "positions": []}
        return books.parse([json.dumps(document).encode()])
