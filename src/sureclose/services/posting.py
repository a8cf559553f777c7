"""The one request of an attempt, and what comes back: by its answer, or by the stream should the answer fail to come."""

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

from sureclose.domain import steps
from sureclose.domain.events import Decision
from sureclose.domain.facts import Sending, Via
from sureclose.domain.market import OrderReport, Refusal
from sureclose.domain.outcome import Report
from sureclose.services.heard import Heard
from sureclose.venue.errors import Unanswered
from sureclose.venue.port import NotSent, ReducingOrder, Urgency, Venue

log = structlog.get_logger()

_PANIC: Final = frozenset({"EMERGENCY_SL_CLOSE"})
ANSWER_GRACE_S: Final = 0.25
"""How long the answer may lag behind the stream's word that the order has ended, before it is not waited for."""


def order_of(sending: Sending, recv_window: int) -> ReducingOrder:
    """The order that the record speaks of, as it goes out."""
    return ReducingOrder(
        symbol=sending.position.symbol,
        side=sending.side,
        position_side=sending.position.position_side,
        quantity=sending.quantity,
        client_order_id=sending.client_order_id,
        timestamp=sending.timestamp,
        recv_window=recv_window,
        limit_price=sending.limit_price,
    )


async def post(venue: Venue, order: ReducingOrder, heard: Heard, now: Callable[[], int]) -> steps.AnyEvent:
    """Send the order, exactly once, and say what is known of it then."""
    kept: list[OrderReport] = []
    posted = asyncio.create_task(venue.place(order))
    listening = asyncio.create_task(heard.end_of(order.client_order_id, kept))
    try:
        await asyncio.wait({posted, listening}, return_when=asyncio.FIRST_COMPLETED)
        if not posted.done():
            await asyncio.wait({posted}, timeout=ANSWER_GRACE_S)
        if posted.done() and (isinstance(posted.result(), OrderReport) or not listening.done()):
            kept += [listening.result()] if listening.done() else []
            return _event(posted.result(), now())
        return steps.OrderSeen(now=now(), order=listening.result(), via=Via.STREAM)
    finally:
        for task in (posted, listening):
            task.cancel()
        await asyncio.wait({posted, listening})
        heard.put_back(kept)


def _event(answer: OrderReport | Refusal | Unanswered | NotSent, now: int) -> steps.AnyEvent:
    match answer:
        case OrderReport():
            return steps.OrderSeen(now=now, order=answer, via=Via.ANSWER)
        case Refusal():
            return steps.Refused(now=now, refusal=answer)
        case Unanswered():
            return steps.Unanswered(
                now=now, reason=answer.reason, http_status=answer.http_status or 0, code=answer.code
            )
        case NotSent():
            return steps.Withheld(now=now, reason=answer.reason)


def answer_word(event: steps.AnyEvent) -> str:
    """The answer in a word: an order status, UNKNOWN, NOT_SENT or REFUSED, with the venue's code where there is one."""
    match event:
        case steps.OrderSeen():
            return event.order.status
        case steps.Refused():
            return f"REFUSED {event.refusal.code}"
        case steps.Unanswered(code=int()):
            return f"UNKNOWN {event.code}"
        case steps.Unanswered():
            return "UNKNOWN"
        case _:
            return "NOT_SENT"


def say_answer(plan_id: str, sending: Sending, event: steps.AnyEvent) -> str:
    """The line that each order leaves in the log of the process; returns the answer in a word."""
    status = answer_word(event)
    log.info(
        "order",
        plan_id=plan_id,
        symbol=sending.position.symbol,
        side=sending.side,
        quantity=format(sending.quantity, "f"),
        client_order_id=sending.client_order_id,
        order_id=event.order.order_id if isinstance(event, steps.OrderSeen) else None,
        status=status,
    )
    return status


def urgency_of(decision: Decision) -> Urgency:
    """Who goes first where the venue's order limits bind: what protects, then full closes, then parts."""
    if decision.action in _PANIC:
        return Urgency.PANIC
    return Urgency.FULL if decision.quantity is None and decision.fraction == 1 else Urgency.PARTIAL


def say_outcome(report: Report) -> None:
    """The line that ends a close."""
    after = report.position_after
    log.info(
        "closed",
        plan_id=report.plan_id,
        symbol=report.symbol,
        outcome=str(report.outcome),
        filled=format(report.filled_qty, "f"),
        position_after=None if after is None else format(after, "f"),
    )
