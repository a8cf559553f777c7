"""The invariants that only the exchange's own records can show: what we say of it against what it says."""

from collections.abc import Iterator
from decimal import Decimal
from itertools import pairwise

from sureclose.domain.close import Done, fold
from sureclose.domain.market import Trade
from sureclose.domain.outcome import OutcomeKind
from sureclose.domain.quantity import ZERO
from sureclose.journal.checking.books import BookOrder, Books, BookTrade
from sureclose.journal.checking.case import Attempt, Bounds, Case, Fate
from sureclose.journal.checking.findings import Against, Finding, Rule, judged, unclear

_EXCHANGE = Against.EXCHANGE


def orders_are_as_journalled(case: Case, books: Books, bounds: Bounds) -> Iterator[Finding]:
    """I1 and I5 for each order that carries the id of an attempt."""
    for attempt in case.attempts:
        found = _orders(attempt, books)
        for order in found:
            told = _told(order)
            differences = [f"{told} {problem}" for problem in _differs(attempt, order, bounds)]
            if len(found) > 1:
                differences.append(f"{told} is one of {len(found)} with that client order id")
            yield from judged(Rule.I1, _EXCHANGE, case.plan_id, differences, attempt.sent.hash)
            if not order.time and order.update_time > attempt.sending.deadline:
                what = f"{told} is not said when it was accepted, and its last change came after its window"
                yield unclear(Rule.I1, _EXCHANGE, case.plan_id, what, attempt.sent.hash)
            beyond = [f"{told} {problem}" for problem in _enlarges(attempt, order)]
            yield from judged(Rule.I5, _EXCHANGE, case.plan_id, beyond, attempt.sent.hash)


def _orders(attempt: Attempt, books: Books) -> list[BookOrder]:
    return books.named(attempt.sending.position.symbol, attempt.sending.client_order_id)


def _told(order: BookOrder) -> str:
    return f"order {order.order_id} ({order.client_order_id})"


def _differs(attempt: Attempt, order: BookOrder, bounds: Bounds) -> Iterator[str]:
    sending = attempt.sending
    if order.side is not sending.side:
        yield f"is a {order.side}, and SENDING says {sending.side}"
    # The venue may cut a reducing order down to what is left of the position when it arrives.
    if order.orig_qty > sending.quantity or not order.orig_qty:
        yield f"is for {order.orig_qty}, and SENDING says {sending.quantity}"
    if order.position_side is not sending.position.position_side:
        yield f"is for {order.position_side}, and SENDING says {sending.position.position_side}"
    kind = "MARKET" if sending.limit_price is None else "LIMIT"
    if order.type not in {"", kind}:
        yield f"is of type {order.type}, and SENDING says {kind}"
    # What came in time may be stamped a moment later (A3); for as long as that, proof of death waits.
    earliest, latest = sending.timestamp - bounds.clock_error, sending.deadline + bounds.margin
    # Where the time of acceptance is not told, it was not later than the last change.
    too_late = order.time > latest
    too_early = not sending.rebuilt and (order.time or order.update_time) < earliest
    if too_late or too_early:
        yield f"was accepted at {order.time or order.update_time}, outside of {earliest} to {latest}"


def _enlarges(attempt: Attempt, order: BookOrder) -> Iterator[str]:
    position = attempt.sending.position
    if not order.reduces:
        yield f"does not say that it reduces (reduceOnly={order.reduce_only}, {order.side} on {order.position_side})"
    if order.executed_qty > abs(position.amount):
        yield f"executed {order.executed_qty}, and {abs(position.amount)} was open"
    if order.executed_qty > order.orig_qty:
        yield f"executed {order.executed_qty} of {order.orig_qty}"


def followed_only_when_over(case: Case, books: Books) -> Iterator[Finding]:
    """I2: an attempt that another followed had ended at the exchange, and the journal knew how."""
    for first, then in pairwise(case.attempts):
        number = first.sending.attempt
        problems = []
        for order in _orders(first, books):
            # Of an attempt that was sent after the books were read, the one before may have ended after that too.
            shown = books.shows_order(order.symbol, then.sending.timestamp)
            if shown and not order.ended:
                problems.append(
                    f"{_told(order)} is {order.status}, and attempt {number} was followed by another"
                )
            if first.fate is not Fate.FILLED:
                problems.append(
                    f"attempt {number} was recorded as {first.fate}, followed by another, and is {_told(order)}"
                )
        yield from judged(Rule.I2, _EXCHANGE, case.plan_id, problems, *first.records, then.sent.hash)


def attempts_are_at_the_venue(case: Case, books: Books) -> Iterator[Finding]:
    """I9, from the journal's side: each attempt is an order at the exchange, or proven not to be one."""
    for attempt in case.attempts:
        sending = attempt.sending
        told = f"attempt {sending.attempt} ({sending.client_order_id})"
        found = _orders(attempt, books)
        problems: list[str] = []
        if found and attempt.fate not in {Fate.OPEN, Fate.FILLED} and attempt.filled is None:
            problems = [f"{told} is recorded as {attempt.fate}, and is {_told(order)}" for order in found]
        if not found and (attempt.filled is not None or attempt.fate is Fate.OPEN):
            excuse = _absent(case, attempt, books)
            if excuse:
                yield unclear(Rule.I9, _EXCHANGE, case.plan_id, f"{told} {excuse}", *attempt.records)
                continue
            said = "ended at the venue" if attempt.filled is not None else "sent"
            problems = [f"{told} is recorded as {said}, and the exchange has no such order"]
        yield from judged(Rule.I9, _EXCHANGE, case.plan_id, problems, *attempt.records)


def _absent(case: Case, attempt: Attempt, books: Books) -> str:
    """Why the order may be missing without a fault; empty when it may not."""
    if not books.shows_order(attempt.sending.position.symbol, attempt.sending.timestamp):
        return "is outside of what these records cover"
    if attempt.filled is not None:
        unfilled = not any(t.quantity for t, hash_ in case.trades.values() if hash_ == attempt.filled.hash)
        # An order that ended without a fill is forgotten after three days (Binance docs, order query).
        return "ended without a fill, which the venue forgets" if unfilled and not books.whole else ""
    if case.unfinished:
        return "is not settled yet"
    return "was given up for a person to settle" if case.parked else ""


def trades_are_the_venues(case: Case, books: Books) -> Iterator[Finding]:
    """I7: what is recorded as filled is filled, and nothing that was filled is missing in the record."""
    recorded = case.trades
    for trade, hash_ in recorded.values():
        theirs = books.trade(trade.symbol, trade.trade_id)
        if theirs is None and not books.shows_trade(trade.symbol, trade.time):
            what = f"trade {trade.trade_id} is outside of what these records cover"
            yield unclear(Rule.I7, _EXCHANGE, case.plan_id, what, hash_)
            continue
        yield from judged(Rule.I7, _EXCHANGE, case.plan_id, list(_not_theirs(trade, theirs)), hash_)
    if not _is_settled(case):
        return
    for attempt in case.attempts:
        for order in _orders(attempt, books):
            if not order.ended and not books.whole:
                what = f"{_told(order)} had not ended when these records were read"
                yield unclear(Rule.I7, _EXCHANGE, case.plan_id, what, *attempt.records)
                continue
            ours = sum(
                (trade.quantity for trade, _ in recorded.values() if trade.order_id == order.order_id), ZERO
            )
            problems = []
            if ours != order.executed_qty:
                problems.append(f"{_told(order)} executed {order.executed_qty}, and {ours} is recorded")
            unknown = [
                theirs.id for theirs in books.fills(order.symbol, order.order_id) if theirs.id not in recorded
            ]
            if unknown:
                problems.append(f"trades {unknown} of {_told(order)} are not recorded")
            yield from judged(Rule.I7, _EXCHANGE, case.plan_id, problems, *attempt.records)


def _not_theirs(trade: Trade, theirs: BookTrade | None) -> Iterator[str]:
    if theirs is None:
        yield f"trade {trade.trade_id} of {trade.quantity} is recorded, and the exchange has no such trade"
        return
    said = (trade.order_id, trade.side, trade.quantity, trade.price)
    seen = (theirs.order_id, theirs.side, theirs.qty, theirs.price)
    if said != seen:
        yield f"trade {trade.trade_id} is recorded as {_line(*said)}, and the exchange has {_line(*seen)}"


def _line(order_id: int, side: str, quantity: object, price: object) -> str:
    return f"{side} {quantity} at {price} of order {order_id}"


def _is_settled(case: Case) -> bool:
    """Whether the journal claims to know everything that was filled."""
    state = fold(kept.body.fact for kept in case.kept)
    return isinstance(state, Done) and state.ended.outcome.kind is not OutcomeKind.PARKED


def one_effect_at_the_venue(case: Case, books: Books) -> Iterator[Finding]:
    """All fills of all of a plan's own orders, by the exchange's word, against what the plan was for."""
    if case.target is None:
        return
    orders = [order for attempt in case.attempts for order in _orders(attempt, books)]
    filled = sum((_filled(order, books) for order in orders), ZERO)
    problems = (
        [f"the exchange filled {filled}, and the target was {case.target}"] if filled > case.target else []
    )
    hashes = [attempt.sent.hash for attempt in case.attempts]
    yield from judged(Rule.ONE_EFFECT, _EXCHANGE, case.plan_id, problems, *hashes)


def _filled(order: BookOrder, books: Books) -> Decimal:
    """The larger of what the order and its trades say: neither may be more than was asked for."""
    trades = sum((trade.qty for trade in books.fills(order.symbol, order.order_id)), ZERO)
    return max(trades, order.executed_qty)


def nobody_elses(books: Books, known: set[str], bounds: Bounds) -> Iterator[Finding]:
    """I9 and I1, from the exchange's side: an order with our prefix that no SENDING record of the account knows."""
    for order in books.orders:
        if not order.client_order_id.startswith(bounds.prefix) or order.client_order_id in known:
            continue
        what = f"{_told(order)} {order.side} {order.orig_qty} {order.symbol} carries our prefix and has no SENDING record"
        yield from judged(Rule.I1, _EXCHANGE, "", [what])
        yield from judged(Rule.I9, _EXCHANGE, "", [what])
