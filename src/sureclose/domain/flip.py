"""Whether our own fills made a position go through zero, which no order that reduces can do."""

from sureclose.domain.outcome import Report
from sureclose.domain.quantity import ZERO


def flipped_by_us(report: Report) -> bool:
    """True only where nothing else explains it: others did not move the position the same way meanwhile.

    before + ours + others = after. Where others moved it towards and beyond zero as well, whose order crossed it can't be
    told from these numbers, and a venue that honours the reducing flag makes it theirs.
    """
    before, after = report.position_before, report.position_after
    if before is None or after is None or before * after >= 0:
        return False
    ours = -report.filled_qty if before > 0 else report.filled_qty
    others = after - before - ours
    return report.filled_qty > ZERO and others * before >= 0
