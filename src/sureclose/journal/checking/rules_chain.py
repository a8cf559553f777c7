"""The chain of a close, and the order of its facts."""

from collections.abc import Iterator
from typing import Final

import msgspec

from sureclose.domain import facts
from sureclose.domain.close import (
    Concluded,
    Confirming,
    Done,
    InFlight,
    New,
    State,
    Tidying,
    Unknown,
    Waiting,
    Working,
    evolve,
)
from sureclose.domain.facts import AnyFact
from sureclose.domain.ids import CLIENT_ORDER_ID_LENGTH, digest
from sureclose.domain.outcome import OutcomeKind
from sureclose.journal.burnt import RETENTION_MS
from sureclose.journal.checking.case import Case, Kept, attempts_of
from sureclose.journal.checking.findings import Against, Finding, Rule, judged, unclear
from sureclose.journal.checking.stored import Stored
from sureclose.journal.record import Body, ChainBroken, Record

_JOURNAL = Against.JOURNAL


def read(stored: Stored, account: str, now: int) -> tuple[Case, list[Finding]]:
    """The close as far as it can be read, and what its chain says. ``now`` is when it was taken from the log (ms)."""
    problems: list[str] = [f"record {entry_id} is not in the log" for entry_id in stored.missing]
    problems += [f"record {entry_id} of this plan is not listed by its close" for entry_id in stored.strays]
    kept: list[Kept] = []
    previous = ""
    for number, (entry_id, record) in enumerate(stored.records, 1):
        try:
            body = _content(record)
        except ChainBroken as error:
            problems.append(f"record {number}: {error}")
        else:
            problems += _misplaced(record, body, number, previous, (account, stored.plan_id))
            kept.append(Kept(body, record.hash, entry_id))
        previous = record.hash
    doubts: list[Finding] = []
    if stored.head is None:
        last = kept[-1] if kept else None
        if _forgotten(last, now):
            what = "its head is not kept any more, so records may be missing at its end"
            doubts.append(unclear(Rule.CHAIN, _JOURNAL, stored.plan_id, what, previous))
        else:
            problems.append("its head is not stored, and should be")
    elif stored.head != previous:
        problems.append(f"it ends at {previous} and should end at {stored.head}")
    hashes = tuple(record.hash for _, record in stored.records)
    case = Case(
        plan_id=stored.plan_id,
        account=account,
        state=stored.state,
        kept=tuple(kept),
        attempts=attempts_of(kept),
        acknowledged=stored.acknowledged,
    )
    return case, [*judged(Rule.CHAIN, _JOURNAL, stored.plan_id, problems, *hashes), *doubts]


def _content(record: Record) -> Body:
    try:
        return record.read()
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ChainBroken(f"record {record.hash} can't be read: {error}") from error


def _misplaced(
    record: Record, body: Body, number: int, previous: str, whose: tuple[str, str]
) -> Iterator[str]:
    if (body.account, body.plan_id) != whose:
        yield f"record {number} is that of {body.account} {body.plan_id}, not of {' '.join(whose)}"
    if body.previous != previous or body.seq != number:
        yield f"record {number} follows {body.previous or 'nothing'} as number {body.seq}, not {previous or 'nothing'}"
    kind = type(body.fact).__name__.upper()
    if record.kind != kind:
        yield f"record {number} is called {record.kind} and is {kind}"


def _forgotten(last: Kept | None, now: int) -> bool:
    """Whether a finished close is so old that the log no longer keeps its head."""
    ended = last is not None and isinstance(last.body.fact, facts.Ended | facts.Resolved)
    return ended and last is not None and now - last.body.at > RETENTION_MS


# The order of facts ------------------------------------------------------------------------------------------------

_Open = Waiting | InFlight | Unknown | Working | Confirming | Tidying | Concluded
_NEWS: Final = (
    facts.Admitted,
    facts.Sized,
    facts.Sending,
    facts.NotSent,
    facts.Answered,
    facts.Seen,
    facts.Filled,
    facts.Dead,
    facts.Ended,
    facts.Resolved,
)
"""Facts that are recorded only when they change what a close amounts to; others may stand anywhere while it is open."""


def order_of_facts(case: Case) -> Iterator[Finding]:
    """Each fact must be one that can follow, and must change what the facts before it amount to."""
    state: State = New()
    for kept in case.kept:
        fact = kept.body.fact
        after = evolve(state, fact)
        kind = type(fact).__name__.upper()
        problems = [f"{kind} {problem}" for problem in _out_of_order(state, fact)]
        if not problems and after == state and isinstance(fact, _NEWS):
            problems = [f"{kind} says nothing new to a close that is {_named(state)}"]
        if isinstance(fact, facts.Admitted) and fact.decision.plan_id != case.plan_id:
            problems.append(f"ADMITTED is of plan {fact.decision.plan_id}")
        yield from judged(Rule.FACTS, _JOURNAL, case.plan_id, problems, kept.hash)
        state = after


def _named(state: State) -> str:
    return type(state).__name__.lower()


def _out_of_order(state: State, fact: AnyFact) -> Iterator[str]:
    if isinstance(state, New):
        if not isinstance(fact, facts.Admitted):
            yield "comes before ADMITTED"
        return
    if isinstance(state, Done):
        kind = state.ended.outcome.kind
        again = isinstance(fact, facts.Admitted) and kind is OutcomeKind.SKIPPED
        settled = isinstance(fact, facts.Resolved) and kind is OutcomeKind.PARKED
        if not again and not settled:
            yield f"comes after {state.ended.outcome}"
        return
    problem = _problem(state, fact)
    if problem:
        yield problem


def _problem(state: _Open, fact: AnyFact) -> str:
    """Why the fact can't follow in an open close; empty when it can. Facts that may stand anywhere are no problem."""
    named = _named(state)
    match fact:
        case facts.Admitted():
            return f"comes a second time to a close that is {named}"
        case facts.Resolved():
            return f"settles a close that is {named} and not parked"
        case facts.Sized() if not isinstance(state, Waiting | Confirming):
            return f"comes while the close is {named}"
        case facts.Sending():
            return _not_next(state, fact)
        case facts.NotSent() | facts.Answered() if not _in_flight(state, fact.attempt):
            return f"is about attempt {fact.attempt}, which is not in flight"
        case facts.Dead() if not (isinstance(state, Unknown) and state.sending.attempt == fact.attempt):
            return f"is about attempt {fact.attempt}, whose fate is not open"
        case facts.Filled() if not (
            isinstance(state, Working) and state.order.order_id == fact.order.order_id
        ):
            return f"is about order {fact.order.order_id}, which was not being worked"
        case facts.Ended() if not (
            isinstance(state, Waiting | Confirming) or fact.outcome.kind is OutcomeKind.PARKED
        ):
            return f"{fact.outcome} comes while the close is {named}"
        case _:
            return ""


def _in_flight(state: _Open, attempt: int) -> bool:
    return isinstance(state, InFlight) and state.sending.attempt == attempt


def _not_next(state: _Open, sending: facts.Sending) -> str:
    expected = state.progress.attempt + 1
    if not isinstance(state, Waiting):
        return f"{sending.attempt} comes while the close is {_named(state)}"
    if sending.rebuilt:
        # What came before it may be lost for good: refusals leave no order behind.
        return "" if sending.attempt >= expected else f"has number {sending.attempt}, and {expected} was next"
    if sending.attempt != expected:
        return f"has number {sending.attempt}, and {expected} was next"
    return "" if state.progress.sized is not None else f"{sending.attempt} comes before a sizing"


def is_its_own(client_order_id: str, account: str, plan_id: str, attempt: int) -> bool:
    """Whether the id is the one that this attempt must have, whatever its prefix is."""
    own = digest("order", account, plan_id, str(attempt))
    return any(
        client_order_id[start:] == own[: CLIENT_ORDER_ID_LENGTH - start]
        for start in range(len(client_order_id))
    )
