"""The rules that protect: a loss and an age at which everything is closed, whatever else is known or not.

They stand before everything that may hold or lack data (incident 25), and each needs only its own: a loss is closed without
klines, an old position without any price.
"""

from typing import Final

from sureclose.domain.actions import ALL
from sureclose.domain.harvest.policy import Hold, NoDecision, Proposal, View
from sureclose.domain.harvest.risk import in_r
from sureclose.domain.harvest.seen import age_at_least, age_is_exact, age_unknown, hours, seen_r

HARD_LOSS: Final = "hard-loss"
MAX_AGE: Final = "max-age"


def hard_loss(view: View) -> Proposal | Hold | NoDecision:
    """Goes before other closes where the venue's order limits bind: a loss grows while it waits."""
    r = seen_r(view)
    if isinstance(r, NoDecision):
        return r
    limit = view.limits.hard_loss
    if r > -limit:
        return Hold(reason=f"{in_r(r)} R, hard loss at -{limit} R")
    reason = f"hard loss: {in_r(r)} R, limit -{limit} R"
    return Proposal(name=HARD_LOSS, action="EMERGENCY_SL_CLOSE", fraction=ALL, reason=reason)


def max_age(view: View) -> Proposal | Hold | NoDecision:
    """By the opening of the episode, never by the position's last change (incident 75)."""
    age, limit = age_at_least(view), view.limits.max_age
    if age >= limit:
        said = hours(age) if age_is_exact(view) else f"at least {hours(age)}"
        reason = f"maximum age: {said}, limit {hours(limit)}"
        return Proposal(name=MAX_AGE, action="TIME_STOP_EXIT", fraction=ALL, reason=reason)
    if not age_is_exact(view):
        return age_unknown(view)
    return Hold(reason=f"{hours(age)} old, maximum age {hours(limit)}")
