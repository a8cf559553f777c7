"""The invariants that one close's own journal can show or break."""

from collections.abc import Iterator
from decimal import Decimal
from itertools import pairwise
from typing import Final

from sureclose.domain import facts
from sureclose.domain.close import Done, fold
from sureclose.domain.market import Position, Trade
from sureclose.domain.outcome import OutcomeKind
from sureclose.domain.quantity import ZERO
from sureclose.domain.words import Side, Verdict
from sureclose.journal.checking.case import Attempt, Bounds, Case, Fate, Kept
from sureclose.journal.checking.findings import Against, Finding, Rule, judged
from sureclose.journal.checking.rules_chain import is_its_own
from sureclose.journal.checking.stored import DONE, STATES

_JOURNAL = Against.JOURNAL
_UNDECIDED: Final = frozenset({-1000, -1006, -1007})
"""Codes that leave open whether the order was executed, whatever they came with (Binance docs, error codes)."""
_REQUEST_TIMEOUT: Final = 408
_EXECUTED: Final = frozenset({OutcomeKind.FLAT, OutcomeKind.REDUCED})
_WITHOUT_FILLS: Final = frozenset({OutcomeKind.ALREADY_FLAT, OutcomeKind.SKIPPED, OutcomeKind.REFUSED})


def sent_before_told(case: Case) -> Iterator[Finding]:
    """I1: whatever is said of an attempt comes after its SENDING, whose id belongs to it alone."""
    numbers: set[int] = set()
    ids: set[str] = set()
    for kept in case.kept:
        fact = kept.body.fact
        problems: list[str] = []
        match fact:
            case facts.Sending():
                own = fact.client_order_id
                if not is_its_own(own, case.account, case.plan_id, fact.attempt):
                    problems.append(f"client order id {own} is not that of attempt {fact.attempt}")
                numbers.add(fact.attempt)
                ids.add(own)
            case facts.NotSent() | facts.Answered() | facts.Dead():
                if fact.attempt not in numbers:
                    problems.append(f"attempt {fact.attempt} is told of, and was never journalled as sent")
            case facts.Seen() | facts.Filled():
                if fact.order.client_order_id not in ids:
                    problems.append(
                        f"order {fact.order.order_id} ({fact.order.client_order_id}) has no SENDING before it"
                    )
            case _:
                continue
        yield from judged(Rule.I1, _JOURNAL, case.plan_id, problems, kept.hash)


# I2 ----------------------------------------------------------------------------------------------------------------


def proof_between_sends(case: Case, bounds: Bounds) -> Iterator[Finding]:
    """I2: of every attempt that another follows there is a proof, recorded before the other was sent."""
    place = {kept.hash: index for index, kept in enumerate(case.kept)}
    for first, then in pairwise(case.attempts):
        between = case.kept[place[first.sent.hash] + 1 : place[then.sent.hash]]
        proofs = [(kept, _proof_of(first, kept.body.fact, bounds)) for kept in between]
        found = [(kept, problems) for kept, problems in proofs if problems is not None]
        number, following = first.sending.attempt, then.sending.attempt
        if not found:
            problems = [
                f"attempt {following} was sent with no proof that attempt {number} is filled, partial or dead"
            ]
        else:
            problems = [f"attempt {number}: {problem}" for _, wrong in found for problem in wrong]
        hashes = (first.sent.hash, *(kept.hash for kept, _ in found), then.sent.hash)
        yield from judged(Rule.I2, _JOURNAL, case.plan_id, problems, *hashes)


def _proof_of(attempt: Attempt, fact: facts.AnyFact, bounds: Bounds) -> list[str] | None:
    """What is wrong with the fact as a proof of the attempt's end; ``None`` when it is about something else."""
    sending = attempt.sending
    match fact:
        case facts.NotSent() if fact.attempt == sending.attempt:
            return []
        case facts.Answered() if fact.attempt == sending.attempt and fact.answer is facts.Answer.REFUSED:
            if fact.code in _UNDECIDED or fact.http_status == _REQUEST_TIMEOUT:
                return [f"the answer {fact.http_status} {fact.code} is no definite refusal"]
            return []
        case facts.Dead() if fact.attempt == sending.attempt:
            return list(_doubts(sending, fact, bounds))
        case facts.Filled() if fact.order.client_order_id == sending.client_order_id:
            return [] if fact.order.terminal else [f"order {fact.order.order_id} is {fact.order.status}"]
        case _:
            return None


def _doubts(sending: facts.Sending, dead: facts.Dead, bounds: Bounds) -> Iterator[str]:
    """What a proof of death lacks, by the numbers it gives itself."""
    spread = dead.last_not_found_at - dead.first_not_found_at
    open_until = sending.deadline + bounds.margin
    if dead.not_found < bounds.not_found:
        yield f"{dead.not_found} not-found answers, and {bounds.not_found} are needed"
    if spread < bounds.spread:
        yield f"its not-found answers lie {spread} ms apart, and {bounds.spread} ms are needed"
    if dead.first_not_found_at <= open_until:
        yield f"a not-found answer of {dead.first_not_found_at} counts, and the window was open until {open_until}"
    if dead.evidence_begun_at <= open_until:
        yield f"its evidence was begun at {dead.evidence_begun_at}, and the window was open until {open_until}"
    moved = dead.position.amount - sending.position.amount
    if moved != dead.foreign_moves:
        yield f"the position moved by {moved}, and others' orders explain {dead.foreign_moves}"


# I3 ----------------------------------------------------------------------------------------------------------------


def outcome_is_durable(case: Case) -> Iterator[Finding]:
    """I3, as far as the journal goes: what is finished ends with its outcome, what is not finished does not."""
    last = case.kept[-1]
    fact, problems = last.body.fact, []
    ended = isinstance(fact, facts.Ended | facts.Resolved)
    if case.state is not None and not case.unfinished:
        if not ended:
            problems.append(f"its state is {case.state} and its last record is {_kind(last)}, not an outcome")
        elif isinstance(fact, facts.Ended):
            if case.state != STATES.get(fact.outcome.kind, DONE):
                problems.append(f"its state is {case.state} and its outcome is {fact.outcome}")
        elif case.state != DONE:
            problems.append(f"its state is {case.state} although a person has settled it")
    elif case.state is not None and ended:
        problems.append(f"its state is {case.state} although its last record is an outcome")
    if case.unfinished and not ended and case.acknowledged:
        problems.append("its entry is acknowledged, and there is no outcome")
    yield from judged(Rule.I3, _JOURNAL, case.plan_id, problems, last.hash)


def _kind(kept: Kept) -> str:
    return type(kept.body.fact).__name__.upper()


# I5, I6 ------------------------------------------------------------------------------------------------------------


def reduces_what_was_read(case: Case) -> Iterator[Finding]:
    """I5: the side comes from the sign of the position that was read, and the quantity is not above it."""
    for attempt in case.attempts:
        sending = attempt.sending
        position = sending.position
        problems = []
        if sending.quantity <= 0 or sending.quantity > abs(position.amount):
            problems.append(f"attempt {sending.attempt} is for {sending.quantity} of {position.amount}")
        if position.amount and sending.side is not (Side.SELL if position.amount > 0 else Side.BUY):
            problems.append(
                f"attempt {sending.attempt} is a {sending.side} on a position of {position.amount}"
            )
        yield from judged(Rule.I5, _JOURNAL, case.plan_id, problems, attempt.sent.hash)


def approved_at_the_gate(case: Case) -> Iterator[Finding]:
    """I6: the decision that is in force at each SENDING is an approval of this position that had not expired."""
    admitted: Kept | None = None
    fates = {attempt.sent.hash: attempt.fate for attempt in case.attempts}
    for kept in case.kept:
        fact = kept.body.fact
        if isinstance(fact, facts.Admitted):
            admitted = kept
        if not isinstance(fact, facts.Sending):
            continue
        if admitted is None:
            problem = f"attempt {fact.attempt} was sent without a decision"
            yield from judged(Rule.I6, _JOURNAL, case.plan_id, [problem], kept.hash)
            continue
        decision = admitted.body.fact
        assert isinstance(decision, facts.Admitted)
        sent = fates[kept.hash] is not Fate.NOT_SENT
        problems = list(_not_approved(case, decision, kept, fact, sent=sent))
        yield from judged(Rule.I6, _JOURNAL, case.plan_id, problems, admitted.hash, kept.hash)


def _not_approved(
    case: Case, admitted: facts.Admitted, kept: Kept, sending: facts.Sending, *, sent: bool
) -> Iterator[str]:
    decision = admitted.decision
    if decision.verdict is not Verdict.CLOSE or not decision.approved:
        yield f"the decision is {decision.verdict}, approved={decision.approved}"
    if decision.symbol != sending.position.symbol:
        yield f"the decision is about {decision.symbol}, and {sending.position.symbol} was closed"
    environment = case.account.partition(":")[0]
    if decision.mode is not None and decision.mode != environment:
        yield f"the decision was made for {decision.mode}, and this is {environment}"
    # The gate's own look at the clock comes a moment before the record; the order may arrive a window later.
    window = sending.deadline - sending.timestamp
    expires_at = decision.expires_at
    if sent and not sending.rebuilt and expires_at is not None and kept.body.at > expires_at + window:
        yield f"attempt {sending.attempt} passed the gate at {kept.body.at}, and the approval expired at {expires_at}"


# I7 and one effect --------------------------------------------------------------------------------------------------


def executed_is_confirmed(case: Case) -> Iterator[Finding]:
    """I7: fills add up to their orders, and an outcome that says executed has them and a later position read."""
    reached: list[facts.AnyFact] = []
    for kept in case.kept:
        fact = kept.body.fact
        reached.append(fact)
        match fact:
            case facts.Filled():
                problems = list(_sums(fact))
            case facts.Ended() | facts.Resolved():
                state = fold(reached)
                if not isinstance(state, Done):
                    continue
                problems = list(_unconfirmed(state, fact))
            case _:
                continue
        yield from judged(Rule.I7, _JOURNAL, case.plan_id, problems, kept.hash)


def _sums(filled: facts.Filled) -> Iterator[str]:
    order = filled.order
    total = sum((trade.quantity for trade in filled.trades), ZERO)
    if total != order.executed_qty:
        yield f"order {order.order_id} executed {order.executed_qty}, and its trades sum to {total}"
    if len({trade.trade_id for trade in filled.trades}) != len(filled.trades):
        yield f"a trade of order {order.order_id} is counted twice"
    if not order.terminal:
        yield f"order {order.order_id} is {order.status}, which is no end"
    for trade in filled.trades:
        if (trade.order_id, trade.symbol, trade.side) != (order.order_id, order.symbol, order.side):
            yield f"trade {trade.trade_id} is not one of order {order.order_id}"


def _unconfirmed(state: Done, fact: facts.Ended | facts.Resolved) -> Iterator[str]:
    progress, outcome = state.progress, fact.outcome
    filled = progress.filled
    read = fact.position if isinstance(fact, facts.Resolved) else fact.position_after
    if outcome.kind in _WITHOUT_FILLS and filled:
        yield f"{outcome} although {filled} was filled"
    if outcome.kind is OutcomeKind.ALREADY_FLAT and (read is None or read.amount):
        yield f"{outcome} with a position of {None if read is None else read.amount}"
    if outcome.kind not in _EXECUTED:
        return
    if not filled:
        yield f"{outcome} without a fill"
    if read is None:
        yield f"{outcome} without a read of the position"
        return
    if (outcome.kind is OutcomeKind.FLAT) is not (read.amount == 0):
        yield f"{outcome} with a position of {read.amount}"
    if not _is_later(read, progress.trades):
        last = progress.last_fill_time
        yield f"the position was read at {read.requested_at} (as of {read.update_time}), the last fill is of {last}"
    target = None if progress.sized is None else progress.sized.target
    as_asked = outcome.kind is OutcomeKind.REDUCED and not outcome.reason
    if as_asked and isinstance(fact, facts.Ended) and filled != target:
        yield f"{outcome} with {filled} of {target} and no reason given"


def _is_later(read: Position, trades: tuple[Trade, ...]) -> bool:
    last = max((trade.time for trade in trades), default=0)
    timeless = read.amount == 0 and read.update_time == 0
    return read.requested_at >= last and (read.update_time >= last or timeless)


def one_effect(case: Case) -> Iterator[Finding]:
    """The recorded fills of a plan are no more than what its last attempt was for."""
    if case.target is None:
        return
    trades = case.trades.values()
    filled: Decimal = sum((trade.quantity for trade, _ in trades), ZERO)
    problems = [f"{filled} was filled of {case.target}"] if filled > case.target else []
    hashes = dict.fromkeys(hash_ for _, hash_ in trades)
    yield from judged(Rule.ONE_EFFECT, _JOURNAL, case.plan_id, problems, *hashes)
