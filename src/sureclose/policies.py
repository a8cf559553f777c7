"""What a policy of your own needs: the words that it answers with, and the check that tells whether it keeps the contract.

    from sureclose.policies import Hold, Judgement, Proposal, View

See docs/harvest.md.
"""

import threading
import time
from typing import Final

from sureclose.domain.harvest.contract import CLAUSES, Clause, Finding, check
from sureclose.domain.harvest.limits import Limits
from sureclose.domain.harvest.policy import (
    Condition,
    EpisodeState,
    Hold,
    Judgement,
    MarketState,
    NoDecision,
    Policy,
    Proposal,
    View,
)

__all__ = [
    "CLAUSES",
    "Clause",
    "Condition",
    "EpisodeState",
    "Finding",
    "Hold",
    "Judgement",
    "Limits",
    "MarketState",
    "NoDecision",
    "Policy",
    "Proposal",
    "View",
    "check_policy",
]

PATIENCE_S: Final = 60.0


def check_policy(policy: Policy, patience_s: float = PATIENCE_S) -> list[Finding]:
    """What the policy breaks of the contract of policies; an empty list is what you want. Needs no pytest and no exchange.

    A policy that has not answered everything after ``patience_s`` is left alone and counts as slow.
    """
    outcome: list[list[Finding] | Exception] = []

    def run() -> None:
        try:
            outcome.append(check(policy, time.thread_time))
        except Exception as error:  # noqa: BLE001 - raised again where the answer is waited for
            outcome.append(error)

    checking = threading.Thread(target=run, name="check-policy", daemon=True)
    checking.start()
    checking.join(patience_s)
    if not outcome:
        return [Finding(clause=Clause.SLOW, what=f"no end after {patience_s:.0f} s", count=1, view="")]
    found = outcome[0]
    if isinstance(found, Exception):
        raise found
    return found
