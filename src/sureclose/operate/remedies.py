"""What a person can do about a close that did not come to what was asked for: one table, whoever asks."""

from typing import Final

from sureclose.domain.planning import SAME_INTENT

REMEDIES: Final = {
    "already_flat": "nothing is open there",
    "below_step": "the amount is below the symbol's smallest step; close more of it",
    "dry_run": "nothing: a dry run sends nothing; `sureclose run` without --dry-run executes",
    "expired": "it was not taken in before it expired; look at `sureclose doctor`, then ask anew",
    "frozen": "closing is frozen, and there was no warrant or it has run out; `sureclose authority show` tells why and the ways out, "
    "and a person's close passes",
    "not_authorised": "nobody who executes has the grant, and there was no warrant or it has run out; `sureclose authority show` tells "
    "who may, and a person's close passes",
    "other_side": "the position is on the other side; leave the side out, or name the one that it is on",
    "position_changed": "somebody else changed the position meanwhile; look at it, then close what is left",
    "position_reopened": "decide anew, on the position as it is now",
    "position_side_needed": "both sides are open; say which one is meant",
    SAME_INTENT: "nothing, if one close was meant: trace the plan that was sent; else give each wish an intent_id of its own",
    "unknown_symbol": "the venue lists no such symbol; write it as the venue does, such as ETHUSDT",
}
"""By the reason of a verdict or an outcome; doors, stages and dead letters say it themselves."""
