"""Puts a view to a policy, and lets no answer out that no policy may give."""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from sureclose.domain.actions import AmountError, Closes, NeedsAmount, amount_of, classify_action
from sureclose.domain.harvest.policy import Condition, Hold, Judgement, NoDecision, Policy, Proposal, View
from sureclose.domain.harvest.prices import LEAST

NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
"""What proposals and policies may be called: the name is part of an intent's id and of tables."""

SCORE: Final = re.compile(r"R_net|profit_lock|kill_score|k_[a-z0-9_]{1,40}")
"""What scores may be called: they become fields of the intent, where ``payload`` or ``shadow`` would make another wish of it."""
LONGEST: Final = 1_000
"""Characters of a reason or a score."""
HIGHEST_RUNG: Final = 99

_CONDITIONS: Final = frozenset(Condition)


def ask(policy: Policy, view: View) -> Judgement:
    """The policy's answer; never raises, so that one position or one policy holds up no other (incident 25).

    A name that was asked for in this episode is a ``Hold``. What breaks the contract is dropped whole, with its reason: a
    proposal is never mended into one that was not made.
    """
    try:
        answer: Any = policy.judge(view)
        fault = fault_of(answer, view)
    except Exception as error:  # noqa: BLE001 - not swallowed: it is the answer
        return NoDecision(Condition.POLICY_FAILED, f"{policy.name} raised {type(error).__name__}: {error}")
    if fault:
        return NoDecision(Condition.POLICY_BROKE_CONTRACT, f"{policy.name}: {fault}")
    if isinstance(answer, Proposal) and answer.name in view.episode.asked:
        return Hold(reason=f"{answer.name} was asked for in this episode", scores=answer.scores)
    judgement: Judgement = answer
    return judgement


def fault_of(answer: Any, view: View) -> str:
    """Which rule of the contract an answer breaks; empty for none."""
    match answer:
        case NoDecision(condition=condition, why=why):
            return (
                ""
                if condition in _CONDITIONS and _is_text(why) and why
                else "no decision of no known condition, or without a why"
            )
        case Hold():
            return _told(answer.reason, answer.scores)
        case Proposal():
            return (
                _named(answer)
                or _amount(answer, view)
                or _rung(answer, view)
                or _told(answer.reason, answer.scores)
            )
        case _:
            return (
                f"it answered with a {type(answer).__name__}; a Proposal, a Hold or a NoDecision is asked for"
            )


def _named(proposal: Any) -> str:
    if not isinstance(proposal.name, str) or NAME.fullmatch(proposal.name) is None:
        return f"a proposal is named by 1 to 40 small letters, digits and dashes, not {proposal.name!r}"
    return ""


def _amount(proposal: Any, view: View) -> str:
    """Exactly one amount, a decimal, which the action agrees with, and not more than there is."""
    amounts = [amount for amount in (proposal.fraction, proposal.quantity) if amount is not None]
    if len(amounts) != 1:
        return f"{proposal.name} names {len(amounts)} amounts; a fraction or a quantity is asked for"
    amount = amounts[0]
    if not isinstance(amount, Decimal):
        return f"{proposal.name} has an amount that is a {type(amount).__name__}; Decimal is asked for"
    if not amount.is_finite() or amount < LEAST:
        return f"{proposal.name} is for {amount}"
    most = Decimal(1) if proposal.fraction is not None else abs(view.position.amount)
    if amount > most:
        return f"{proposal.name} is for {amount}, and there is {most}"
    action = proposal.action
    if not isinstance(action, str) or not isinstance(classify_action(action), Closes | NeedsAmount):
        return f"{proposal.name} has the action {action!r}, which says nothing of closing"
    try:
        both = amount_of(action, [] if proposal.fraction is None else [amount], proposal.quantity)
    except AmountError as error:
        return f"{proposal.name}: {error}"
    if both.fraction is not None and both.quantity is not None:
        return f"{proposal.name} is for a quantity, and {action} for {both.fraction} of the position"
    return ""


def _rung(proposal: Any, view: View) -> str:
    rung = proposal.rung
    if rung is None:
        return ""
    if type(rung) is not int or not 0 < rung <= HIGHEST_RUNG:
        return f"{proposal.name} takes a rung that is no number from 1 to {HIGHEST_RUNG}"
    return (
        ""
        if rung > view.episode.rung
        else f"{proposal.name} takes rung {rung}, and {view.episode.rung} is taken"
    )


def _told(reason: Any, scores: Any) -> str:
    if not _is_text(reason) or not reason:
        return f"an answer without a reason, of at most {LONGEST} characters of Unicode"
    if not isinstance(scores, Mapping) or not all(map(_is_text, scores.values())):
        return f"scores are texts by name, of at most {LONGEST} characters of Unicode"
    if strange := [name for name in scores if not isinstance(name, str) or SCORE.fullmatch(name) is None]:
        return f"a score is called R_net, profit_lock, kill_score or k_ and more, not {strange[0]!r}"
    return ""


def _is_text(found: Any) -> bool:
    """Whether it can be written and be read again: half of a surrogate pair can't."""
    if not isinstance(found, str) or len(found) > LONGEST:
        return False
    return not any("\ud800" <= letter <= "\udfff" for letter in found)
