"""What others are told of a close that has come to its outcome."""

import msgspec

from sureclose.domain.close import Concluded, Done, Progress
from sureclose.domain.ids import plain
from sureclose.domain.outcome import OutcomeKind, Report
from sureclose.domain.sameness import unfixed
from sureclose.domain.words import PositionSide


def report_of(concluded: Concluded | Done, evidence: str) -> Report:
    """The report; ``evidence`` is the hash of the close's last record.

    Executed is what the venue's trades say and a later position read confirmed: a close that ended otherwise was not.
    """
    progress, ended = concluded.progress, concluded.ended
    decision, after = progress.decision, ended.position_after
    sized = unfixed(progress).sized
    before = after if sized is None else sized.position
    clearing = () if progress.clearing is None else progress.clearing.orders
    confirmed = ended.outcome.kind in {OutcomeKind.FLAT, OutcomeKind.REDUCED}
    return Report(
        intent_id=decision.intent_id,
        plan_id=decision.plan_id,
        symbol=decision.symbol,
        position_side=decision.position_side,
        outcome=ended.outcome,
        executed=confirmed and bool(progress.filled),
        filled_qty=progress.filled,
        avg_price=progress.average_price,
        position_before=None if before is None else before.amount,
        position_after=None if after is None else after.amount,
        order_ids=progress.order_ids,
        client_order_ids=tuple(order.client_order_id for order in progress.orders),
        evidence=evidence,
        cancelled=tuple(order.client_order_id for order in (*progress.cleared, *clearing)),
        left=tuple(order.client_order_id for order in progress.left),
        would_send=_would_send(progress),
        unlisted=progress.unlisted,
    )


def _would_send(progress: Progress) -> str:
    """The parameters as the venue would have been given them, what was to be closed in all, and the gate's word.

    With ``BOTH`` they say that it reduces; in hedge mode its side does.
    """
    fact = progress.would_send
    if fact is None or progress.sized is None:
        return ""
    position = fact.position
    order = {
        "symbol": position.symbol,
        "side": str(fact.side),
        "positionSide": str(position.position_side),
        "type": "MARKET" if fact.limit_price is None else "LIMIT",
        "quantity": plain(fact.quantity),
        "newClientOrderId": fact.client_order_id,
    }
    if fact.limit_price is not None:
        order |= {"price": plain(fact.limit_price), "timeInForce": "IOC"}
    if position.position_side is PositionSide.BOTH:
        order["reduceOnly"] = "true"
    return msgspec.json.encode(
        order | {"target": plain(progress.sized.target), "gate": fact.gate or "open"}
    ).decode()
