"""The examination of a journal: every close in one pass, then what only all of them together can show."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Final

import msgspec

from sureclose.domain.facts import Ended, Filled, Resolved
from sureclose.domain.outcome import Outcome, OutcomeKind
from sureclose.domain.quantity import ZERO
from sureclose.journal.checking import rules_books, rules_chain, rules_close
from sureclose.journal.checking.books import BookOrder, Books
from sureclose.journal.checking.case import Bounds, Case
from sureclose.journal.checking.findings import (
    MEANINGS,
    Against,
    Check,
    Finding,
    Rule,
    Tally,
    Verdict,
    judged,
    unclear,
)
from sureclose.journal.checking.rules_flight import Flights
from sureclose.journal.checking.rules_intent import Intents
from sureclose.journal.checking.stored import DONE, Published, Results, Shelved, Stored, Unreadable

NO_BOOKS: Final = "not checked: give --trades"
NO_ORDERS: Final = "not checked: the records have no orders"
NO_TRADES: Final = "not checked: the records have no trades"
_CLOCKS_MS: Final = 60_000
"""How far the clock of a worker, which dates records, may be off the log's, which dates entries."""


class Foreign(msgspec.Struct, frozen=True, kw_only=True):
    """An order of somebody else on the account: told, and no violation."""

    order_id: int
    client_order_id: str
    symbol: str
    side: str
    executed_qty: str
    reduces: bool


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What an examination came to. ``ok`` means that nothing was violated, not that everything was checked."""

    ok: bool
    closes: int
    records: int
    checks: tuple[Check, ...]
    foreign: tuple[Foreign, ...]


class Looked(msgspec.Struct, frozen=True, kw_only=True):
    """A close as it was read, for whoever looks on; one whose chain is ``broken`` is as much of it as could be read."""

    case: Case
    broken: bool


class _Ending(msgspec.Struct, frozen=True, kw_only=True):
    """An outcome that must have been published."""

    plan_id: str
    hash: str
    at: int
    outcome: Outcome
    filled: Decimal
    latest: bool
    """Whether nothing can have come after it in the journal as it was read."""


class Examination:
    """Takes closes one by one and keeps little of each. ``now`` is when the journal was read, wall clock milliseconds.

    With ``complete`` all closes of the account are examined, so that an order of ours that none knows is nobody's. What
    was published becomes known after the closes of the log; those of segments are older than that.
    """

    def __init__(
        self, account: str, now: int, bounds: Bounds, books: Books | None, *, complete: bool
    ) -> None:
        self._account = account
        self._now = now
        self._bounds = bounds
        self._books = books
        self._complete = complete
        self._tally = Tally()
        self._flights = Flights()
        self._intents = Intents()
        self._endings: list[_Ending] = []
        self._results: Results | None = None
        self._outcomes = _Outcomes()
        self._long_ago = 0
        """Outcomes of segments that were published longer ago than can be looked up; counted, for they may be many."""
        self._client_order_ids: set[str] = set()
        self.closes = 0
        self.records = 0

    def add(self, stored: Stored) -> Looked:
        """Examine one close. What can't be read is a broken chain, and the other rules leave it alone."""
        self.closes += 1
        self.records += len(stored.records)
        case, chain = rules_chain.read(stored, self._account, self._now)
        if self._books is not None:
            self._client_order_ids.update(attempt.sending.client_order_id for attempt in case.attempts)
        self._tally.add(chain)
        if any(finding.verdict is Verdict.VIOLATED for finding in chain):
            self._tally.add(_left_alone(case, self._books))
            return Looked(case=case, broken=True)
        bounds = self._bounds
        self._tally.add(rules_chain.order_of_facts(case))
        self._tally.add(rules_close.sent_before_told(case))
        self._tally.add(rules_close.proof_between_sends(case, bounds))
        self._tally.add(rules_close.outcome_is_durable(case))
        self._tally.add(rules_close.reduces_what_was_read(case))
        self._tally.add(rules_close.approved_at_the_gate(case))
        self._tally.add(rules_close.executed_is_confirmed(case))
        self._tally.add(rules_close.one_effect(case))
        self._flights.add(case)
        self._intents.add(case)
        self._endings += _endings(case)
        if self._results is not None:
            self._forget(self._results)
            self._judge_endings(self._results)
        if self._books is not None:
            self._compare(case, self._books)
        return Looked(case=case, broken=False)

    def _compare(self, case: Case, books: Books) -> None:
        if books.has_orders:
            self._tally.add(rules_books.orders_are_as_journalled(case, books, self._bounds))
            self._tally.add(rules_books.followed_only_when_over(case, books))
            self._tally.add(rules_books.attempts_are_at_the_venue(case, books))
            self._tally.add(rules_books.one_effect_at_the_venue(case, books))
        if books.has_trades:
            self._tally.add(rules_books.trades_are_the_venues(case, books))

    def unreadable(self, part: Unreadable) -> None:
        """A part of an exported journal is damaged."""
        self._tally.add(judged(Rule.CHAIN, Against.JOURNAL, "", [f"{part.where} can't be read: {part.why}"]))

    def segment(self, part: Shelved) -> None:
        """One segment was looked at, after its closes."""
        if part.absent:
            self._tally.add([unclear(Rule.SEGMENTS, Against.JOURNAL, "", f"{part.where}: {part.absent}")])
        else:
            problems = [f"{part.where}: {problem}" for problem in part.problems]
            self._tally.add(judged(Rule.SEGMENTS, Against.JOURNAL, "", problems))
        self._complete = self._complete and not part.absent and not part.problems

    def know(self, results: Results | None) -> None:
        """What was published; read after the last close of the log, so that none of its outcomes is missing."""
        self._results = results
        if results is not None:
            self._judge_endings(results)

    def _forget(self, results: Results) -> None:
        here = [ending for ending in self._endings if not _long_ago(ending, results)]
        self._long_ago += len(self._endings) - len(here)
        self._endings = here

    def _judge_endings(self, results: Results) -> None:
        """At once, so that nothing is kept of a close of which nothing is published any more."""
        self._tally.add(_published(self._endings, results))
        self._outcomes.note(self._endings, results)
        self._endings.clear()

    def report(self) -> Report:
        """What was found."""
        self._tally.add(self._flights.judge())
        self._tally.add(self._intents.judge())
        self._tally.add(_published(self._endings, None))
        if self._long_ago:
            what = f"{self._long_ago} outcomes of segments were published longer ago than execution.result goes back"
            self._tally.add([unclear(Rule.I3, Against.JOURNAL, "", what)])
        if self._results is not None:
            self._tally.add(self._outcomes.claimed(self._results))
        books = self._books
        if books is not None and books.has_orders:
            self._tally.add(self._unknown_to_all(books))
        checks = self._tally.checks(_not_checked(books))
        return Report(
            ok=not any(check.violations for check in checks),
            closes=self.closes,
            records=self.records,
            checks=checks,
            foreign=tuple(self._foreign(books)),
        )

    def _unknown_to_all(self, books: Books) -> Iterator[Finding]:
        if self._complete:
            return rules_books.nobody_elses(books, self._client_order_ids, self._bounds)
        what = "not all closes were read, so orders of ours that no record knows are not looked for"
        return iter([unclear(Rule.I9, Against.EXCHANGE, "", what)])

    def _foreign(self, books: Books | None) -> Iterator[Foreign]:
        for order in books.orders if books is not None else ():
            if not order.client_order_id.startswith(self._bounds.prefix):
                yield _foreign(order)


def _foreign(order: BookOrder) -> Foreign:
    return Foreign(
        order_id=order.order_id,
        client_order_id=order.client_order_id,
        symbol=order.symbol,
        side=order.side,
        executed_qty=format(order.executed_qty, "f"),
        reduces=order.reduces,
    )


def _left_alone(case: Case, books: Books | None) -> Iterator[Finding]:
    for rule, against in MEANINGS:
        if rule is not Rule.CHAIN and (books is not None or against is Against.JOURNAL):
            yield unclear(rule, against, case.plan_id, "its chain is broken")


def _not_checked(books: Books | None) -> dict[tuple[Rule, Against], str]:
    """Why whole checks could not be made."""
    exchange = [key for key in MEANINGS if key[1] is Against.EXCHANGE]
    if books is None:
        return dict.fromkeys(exchange, NO_BOOKS)
    of_trades = {(Rule.I7, Against.EXCHANGE)}
    missing: dict[tuple[Rule, Against], str] = {}
    if not books.has_orders:
        missing |= dict.fromkeys((key for key in exchange if key not in of_trades), NO_ORDERS)
    if not books.has_trades:
        missing |= dict.fromkeys(of_trades, NO_TRADES)
    return missing


# What was published --------------------------------------------------------------------------------------------------


def _endings(case: Case) -> Iterator[_Ending]:
    last = case.kept[-1].hash
    fills: dict[int, Decimal] = {}
    for kept in case.kept:
        fact = kept.body.fact
        if isinstance(fact, Filled | Resolved):
            fills |= {trade.trade_id: trade.quantity for trade in fact.trades}
        if isinstance(fact, Ended | Resolved):
            yield _Ending(
                plan_id=case.plan_id,
                hash=kept.hash,
                at=kept.body.at,
                outcome=fact.outcome,
                filled=sum(fills.values(), ZERO),
                latest=kept.hash == last and case.state == DONE,
            )


def _long_ago(ending: _Ending, results: Results) -> bool:
    """Whether it is not published any more, and need not be."""
    if ending.hash in results.by_evidence:
        return False
    return results.since is None or ending.at - _CLOCKS_MS <= results.since


def _published(endings: list[_Ending], results: Results | None) -> Iterator[Finding]:
    """I3 and I7: each outcome was published in the words of its record."""
    for ending in endings:
        plan_id, hash_ = ending.plan_id, ending.hash
        if results is None:
            what = "not checked against execution.result: it is not in the file"
            yield unclear(Rule.I3, Against.JOURNAL, plan_id, what, hash_)
            continue
        said = results.by_evidence.get(hash_)
        if _long_ago(ending, results):
            what = f"{ending.outcome} was published longer ago than execution.result goes back"
            yield unclear(Rule.I3, Against.JOURNAL, plan_id, what, hash_)
            continue
        absent = (
            [] if said is not None else [f"{ending.outcome} is recorded and no execution.result names it"]
        )
        yield from judged(Rule.I3, Against.JOURNAL, plan_id, absent, hash_)
        if said is not None:
            yield from judged(Rule.I7, Against.JOURNAL, plan_id, list(_misreported(ending, said)), hash_)


def _misreported(ending: _Ending, said: Published) -> Iterator[str]:
    kind = ending.outcome.kind
    if said.outcome != kind:
        yield f"execution.result {said.entry_id} says {said.outcome}, and the record says {ending.outcome}"
    executed = kind in {OutcomeKind.FLAT, OutcomeKind.REDUCED} and bool(ending.filled)
    if said.executed is not executed:
        yield f"execution.result {said.entry_id} says executed={said.executed}, and the record says {executed}"
    if said.filled_qty not in {None, ending.filled}:
        yield f"execution.result {said.entry_id} says {said.filled_qty} was filled, and the record says {ending.filled}"


class _Outcomes:
    """The outcomes that what is published rests on, or should."""

    def __init__(self) -> None:
        self._known: set[str] = set()
        self._latest: dict[str, _Ending] = {}
        self._plans: frozenset[str] | None = None

    def note(self, endings: list[_Ending], results: Results) -> None:
        if self._plans is None:
            self._plans = frozenset(said.plan_id for said in results.by_evidence.values())
        self._known.update(ending.hash for ending in endings if ending.hash in results.by_evidence)
        found = (ending for ending in endings if ending.latest and ending.plan_id in self._plans)
        self._latest |= {ending.plan_id: ending for ending in found}

    def claimed(self, results: Results) -> Iterator[Finding]:
        """An entry that calls a finished plan executed rests on a record of it."""
        for said in results.by_evidence.values():
            ending = self._latest.get(said.plan_id)
            if ending is None or said.evidence in self._known or ending.outcome.kind is OutcomeKind.PARKED:
                continue
            problems = [
                f"execution.result {said.entry_id} says {said.outcome} and names {said.evidence}, which is no record"
            ]
            yield from judged(Rule.I7, Against.JOURNAL, said.plan_id, problems, ending.hash)
