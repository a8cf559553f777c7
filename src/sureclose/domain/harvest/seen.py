"""What the reference's rules read off a view, or the reason why it is not there."""

from decimal import Decimal

from sureclose.domain.harvest.policy import Condition, NoDecision, View
from sureclose.domain.harvest.risk import r_net

PRICES = (
    Condition.MARK_MISSING,
    Condition.MARK_STALE,
    Condition.MARK_ABSURD,
    Condition.ENTRY_PRICE_ABSURD,
)


def seen_r(view: View) -> Decimal | NoDecision:
    """R after costs, from prices that have passed the checks."""
    if view.mark is None:
        return view.doubt(*PRICES)
    entry, amount = view.position.entry_price, view.position.amount
    return r_net(entry, view.mark.price, amount, view.stop_distance, view.limits.cost)


def age_at_least(view: View) -> int:
    """How old the episode is at least, in milliseconds; 0 where nothing is known of its opening."""
    opened = view.episode.opened_at
    return 0 if opened is None else max(0, view.now - opened)


def age_is_exact(view: View) -> bool:
    return view.episode.opened_at is not None and view.episode.exact


def age_unknown(view: View) -> NoDecision:
    """Where the age decides and is not known."""
    known = age_at_least(view)
    what = f"it is at least {hours(known)} old" if known else "nothing says when it was opened"
    return NoDecision(Condition.AGE_UNKNOWN, f"{what}; the venue's trades do not reach back to its opening")


def hours(milliseconds: int) -> str:
    return f"{milliseconds / 3_600_000:.2f} h"
