"""What others are told of a close that has come to its outcome."""

from sureclose.domain.close import Concluded, Done
from sureclose.domain.outcome import OutcomeKind, Report
from sureclose.domain.sameness import unfixed


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
        unlisted=progress.unlisted,
    )
