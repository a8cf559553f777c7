"""The profit ladder: at 2, 4 and 6 R so much of the position as first seen has been proposed in all."""

from decimal import Decimal
from typing import Final

import msgspec

from sureclose.domain.actions import PARTIAL_CLOSE
from sureclose.domain.harvest.policy import EpisodeState, Hold, NoDecision, Proposal, View
from sureclose.domain.harvest.risk import in_r
from sureclose.domain.harvest.seen import seen_r


class Rung(msgspec.Struct, frozen=True):
    """``taken`` is cumulative, of the position as first seen."""

    number: int
    at: Decimal
    """In R, after costs."""
    taken: Decimal


RUNGS: Final = (
    Rung(1, Decimal(2), Decimal("0.25")),
    Rung(2, Decimal(4), Decimal("0.50")),
    Rung(3, Decimal(6), Decimal("0.75")),
)
PROFIT_LOCK: Final = Decimal("1.5")
"""In R: from here on a stop would be moved behind the costs. It is told and proposes nothing, for nothing here moves stops."""


def rung_at(r: Decimal) -> int:
    """The highest rung that this much profit reaches, 0 for none."""
    return max((rung.number for rung in RUNGS if r >= rung.at), default=0)


def taken_by(rung: int) -> Decimal:
    """What has been proposed in all when this rung has been."""
    return max((one.taken for one in RUNGS if one.number <= rung), default=Decimal(0))


def quantity_of(reached: int, episode: EpisodeState) -> Decimal:
    """What this rung adds to the rungs before it, unsigned; a jump over rungs adds all of them."""
    return (taken_by(reached) - taken_by(episode.rung)) * abs(episode.first_amount)


def ladder(view: View) -> Proposal | Hold | NoDecision:
    """The highest rung reached, when it is above every rung proposed before: once each, and never back."""
    r = seen_r(view)
    if isinstance(r, NoDecision):
        return r
    reached = rung_at(r)
    if reached <= view.episode.rung:
        return Hold(reason=_where(r, view.episode.rung))
    quantity = min(quantity_of(reached, view.episode), abs(view.position.amount))
    return Proposal(
        name=f"rung-{reached}",
        action=PARTIAL_CLOSE,
        quantity=quantity,
        rung=reached,
        reason=f"rung {reached} of the ladder: {in_r(r)} R, limit {RUNGS[reached - 1].at} R",
    )


def _where(r: Decimal, rung: int) -> str:
    above = next((one for one in RUNGS if one.number > rung), None)
    return f"{in_r(r)} R, " + ("all rungs are taken" if above is None else f"next rung at {above.at} R")
