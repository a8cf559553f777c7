"""From a close's chain and the exchange's books to what an audit rests on: each order, with every link that leads to it."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Final

import msgspec

from sureclose.domain import facts
from sureclose.domain.actions import Closes, NeedsAmount, Trades, classify_action
from sureclose.domain.events import Decision, EntryRef
from sureclose.domain.market import OrderReport
from sureclose.domain.outcome import Outcome
from sureclose.domain.quantity import ZERO
from sureclose.domain.words import Verdict
from sureclose.journal.checking.audited import AuditedPlan, Link, LinkedEntry, Presence, TracedOrder
from sureclose.journal.checking.books import BookOrder, Books
from sureclose.journal.checking.case import Attempt, Case, Kept
from sureclose.journal.checking.rules_chain import is_its_own

_LINK_OF: Final = (Link.DECISION, Link.PLAN, Link.INTENT)
"""What the entries on the way of a decision are, from its own back to the wish."""


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """One order joined with its attempt; what is still to be asked is who reigned, and whether its entries are there."""

    case: Case
    attempt: Attempt
    admitted: facts.Admitted | None
    order: BookOrder
    books: Books

    @property
    def refs(self) -> tuple[EntryRef, ...]:
        """The entries that its decision came by, oldest first."""
        return () if self.admitted is None else (*self.admitted.decision.cause, self.admitted.entry)


def drafts(case: Case, books: Books) -> Iterator[Draft]:
    """The orders of a close that the exchange shows, each beside the decision in force when it was sent."""
    for attempt in case.attempts:
        sending = attempt.sending
        for order in books.named(sending.position.symbol, sending.client_order_id):
            yield Draft(
                case=case, attempt=attempt, admitted=_in_force(case, attempt.sent), order=order, books=books
            )


def _in_force(case: Case, sent: Kept) -> facts.Admitted | None:
    found: facts.Admitted | None = None
    for kept in case.kept:
        if kept.hash == sent.hash:
            break
        if isinstance(kept.body.fact, facts.Admitted):
            found = kept.body.fact
    return found


def links(refs: tuple[EntryRef, ...]) -> tuple[tuple[Link, EntryRef], ...]:
    """What each entry on the way is, oldest first; what came before the wish is the wish's own business."""
    return tuple(zip(_LINK_OF, reversed(refs), strict=False))[::-1]


def traced(
    draft: Draft, entries: tuple[LinkedEntry, ...], component: str, warrant: str, *, chain_broken: bool
) -> TracedOrder:
    """The order as an audit keeps it."""
    case, attempt, order = draft.case, draft.attempt, draft.order
    decision = None if draft.admitted is None else draft.admitted.decision
    sending, body = attempt.sending, attempt.sent.body
    trades = tuple(draft.books.fills(order.symbol, order.order_id))
    missing = [*_missing_entries(draft, entries), *_missing_links(draft, sum((t.qty for t in trades), ZERO))]
    if chain_broken:
        missing.append(f"{Link.JOURNAL}: the chain of its close is broken")
    if case.parked and not _settled_by(case):
        missing.append(f"{Link.JOURNAL}: its close is parked, and nobody has settled it")
    return TracedOrder(
        plan_id=case.plan_id,
        intent_id="" if decision is None else decision.intent_id,
        action="" if decision is None else decision.action,
        source="" if decision is None else decision.source,
        component=component,
        epoch=body.epoch,
        attempt=sending.attempt,
        sent_at=sending.timestamp,
        recorded_at=body.at,
        position=sending.position.amount,
        order=order,
        trades=trades,
        entries=entries,
        records=attempt.records,
        missing=tuple(missing),
        unapproved=_not_a_close(decision),
        unadmitted=_not_taken_up(case, attempt.sent),
        warrant=warrant,
        rebuilt=sending.rebuilt,
        under_way=case.unfinished and not chain_broken,
    )


def planned(case: Case, orders: tuple[TracedOrder, ...], *, chain_broken: bool) -> AuditedPlan:
    """The close as an audit keeps it."""
    outcome = last_outcome(case)
    records = tuple(kept.hash for kept in case.kept)
    return AuditedPlan(
        plan_id=case.plan_id,
        state=case.state or "",
        outcome="" if outcome is None else outcome.kind,
        settled_by=_settled_by(case),
        last_at=case.kept[-1].body.at if case.kept else 0,
        head=records[-1] if records else "",
        records=records,
        orders=sum(1 for order in orders if order.order.executed_qty),
        components=tuple(dict.fromkeys("" if order.rebuilt else order.component for order in orders)),
        whole=not chain_broken and all(order.whole for order in orders),
    )


def last_outcome(case: Case) -> Outcome | None:
    """The outcome that stands."""
    return next((outcome for _, outcome in reversed(list(case.endings))), None)


def _settled_by(case: Case) -> str:
    people = (kept.body.fact.actor for kept in case.kept if isinstance(kept.body.fact, facts.Resolved))
    return next(people, "")


# Question 1 --------------------------------------------------------------------------------------------------------


def _not_a_close(decision: Decision | None) -> str:
    """Why the decision is no approved close of an action that closes."""
    if decision is None:
        return "no decision was admitted before it"
    if decision.verdict is not Verdict.CLOSE or not decision.approved:
        return f"its decision is {decision.verdict}, approved={decision.approved}"
    action = classify_action(decision.action)
    if not isinstance(action, Closes | NeedsAmount | Trades):
        return f"the action {decision.action!r} closes nothing"
    amounts = decision.fraction, decision.quantity
    if amounts == (None, None):
        return f"its decision ({decision.action}) has no amount"
    if isinstance(action, Trades) and decision.quantity is None:
        return f"a reducing {decision.action} needs a quantity"
    return ""


# Question 5 --------------------------------------------------------------------------------------------------------


def _not_taken_up(case: Case, sent: Kept) -> str:
    """Why the reign that sent it had no decision of its own for it: neither admitted nor taken up in that epoch."""
    epoch = sent.body.epoch
    for kept in case.kept:
        if kept.hash == sent.hash:
            break
        fact = kept.body.fact
        admitted = isinstance(fact, facts.Admitted) and kept.body.epoch == epoch
        if admitted or (isinstance(fact, facts.Resumed) and fact.epoch == epoch):
            return ""
    return f"epoch {epoch} sent it, and had neither admitted its decision nor taken up its close"


# Question 4 --------------------------------------------------------------------------------------------------------


def _missing_entries(draft: Draft, entries: tuple[LinkedEntry, ...]) -> Iterator[str]:
    if draft.admitted is None:
        yield f"{Link.DECISION}: no decision was admitted before its SENDING record"
    for entry in entries:
        where = f"{entry.stream}@{entry.entry_id}"
        if entry.presence is Presence.ABSENT:
            yield f"{entry.link}: {where} is not in its stream, and was not trimmed"
        of_a_plan = entry.link is not Link.INTENT and entry.plan_id
        if of_a_plan and entry.plan_id != draft.case.plan_id:
            yield f"{entry.link}: {where} is about plan {entry.plan_id}"


def _missing_links(draft: Draft, filled: Decimal) -> Iterator[str]:
    case, order, sending = draft.case, draft.order, draft.attempt.sending
    own = sending.client_order_id
    if not is_its_own(own, case.account, case.plan_id, sending.attempt):
        yield f"{Link.CLIENT_ORDER_ID}: {own} is not that of attempt {sending.attempt} of its plan"
    if filled != order.executed_qty:
        yield f"{Link.TRADES}: the order executed {order.executed_qty}, and its trades at the venue sum to {filled}"
    if case.unfinished:
        return
    reports = [report for kept in case.kept for report in _reports(kept.body.fact)]
    if not any((one.client_order_id, one.order_id) == (own, order.order_id) for one in reports):
        yield f"{Link.ORDER_ID}: no record of its close names order {order.order_id}"
    recorded = (trade.quantity for trade, _ in case.trades.values() if trade.order_id == order.order_id)
    total = sum(recorded, ZERO)
    if total != order.executed_qty:
        yield f"{Link.TRADES}: the order executed {order.executed_qty}, and {total} is recorded"


def _reports(fact: facts.AnyFact) -> tuple[OrderReport, ...]:
    match fact:
        case facts.Seen() | facts.Filled():
            return (fact.order,)
        case facts.Resolved():
            return fact.orders
        case _:
            return ()


# Others' orders ----------------------------------------------------------------------------------------------------


def narrowed(books: Books, amounts: Mapping[tuple[str, str], Decimal], symbol: str) -> frozenset[int]:
    """Order ids whose trades made a position of the symbol smaller, walking back from what is open now.

    ``amounts`` is by symbol and position side, signed; what is not in it is flat.
    """
    walked: dict[str, Decimal] = {}
    found: set[int] = set()
    for trade in sorted(books.trades_of(symbol), key=lambda trade: (trade.time, trade.id), reverse=True):
        side = str(trade.position_side)
        after = walked.get(side, amounts.get((symbol, side), ZERO))
        before = after - trade.signed
        walked[side] = before
        if before * trade.signed < 0:
            found.add(trade.order_id)
    return frozenset(found)
