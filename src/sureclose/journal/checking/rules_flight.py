"""I4 over all closes: at most one attempt in flight per account, symbol and side, at any time."""

import sqlite3
from collections.abc import Iterator
from itertools import groupby

import msgspec

from sureclose.journal.checking.case import Case
from sureclose.journal.checking.findings import Against, Finding, Rule, judged
from sureclose.streams.wire import id_key

Place = tuple[int, int]
"""Where a record stands in the log: the order of the log's own ids, which no worker's clock can turn around."""


class Flight(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt from its SENDING to what ended it; ``until`` is ``None`` while nothing has.

    ``closed_until`` is the venue time up to which it could still arrive although its close has ended (parked).
    """

    plan_id: str
    attempt: int
    hash: str
    timestamp: int
    since: Place
    until: Place | None
    closed_until: int = 0


class Flights:
    """All flights by account, symbol and the venue's side.

    Any two of them may be beside each other, however far apart their closes were read, so all are kept: on disk, in a
    database that goes away by itself, for there may be millions.
    """

    def __init__(self) -> None:
        self._kept = sqlite3.connect("")
        self._kept.execute("CREATE TABLE flights (position TEXT, since TEXT, flight BLOB)")

    def add(self, case: Case) -> None:
        ends = [id_key(kept.entry_id) for kept, _ in case.endings]
        for attempt in case.attempts:
            sending, position = attempt.sending, attempt.sending.position
            since = id_key(attempt.sent.entry_id)
            given_up = next((end for end in ends if end > since), None)
            flight = Flight(
                plan_id=case.plan_id,
                attempt=sending.attempt,
                hash=attempt.sent.hash,
                timestamp=sending.timestamp,
                since=since,
                until=given_up if attempt.settled is None else id_key(attempt.settled.entry_id),
                closed_until=sending.deadline if attempt.settled is None else 0,
            )
            where = f"{position.symbol} {position.position_side} {case.account}"
            row = where, sortable(since), msgspec.json.encode(flight)
            self._kept.execute("INSERT INTO flights VALUES (?, ?, ?)", row)

    def judge(self) -> Iterator[Finding]:
        """I4: when an attempt is sent, every earlier one of that position is over, whichever close it is of."""
        rows = self._kept.execute("SELECT position, flight FROM flights ORDER BY position, since, rowid")
        for position, flights in groupby(rows, key=lambda row: row[0]):
            symbol, side, *_ = position.split(" ")
            under_way: list[Flight] = []
            for flight in (msgspec.json.decode(row[1], type=Flight) for row in flights):
                under_way = [other for other in under_way if _may_act(other, flight)]
                beside = [other for other in under_way if other.plan_id != flight.plan_id]
                problems = [
                    f"attempt {flight.attempt} was sent for {symbol} {side} while attempt {other.attempt} of"
                    f" {other.plan_id} was in flight"
                    for other in beside
                ]
                hashes = [other.hash for other in beside]
                yield from judged(Rule.I4, Against.JOURNAL, flight.plan_id, problems, flight.hash, *hashes)
                under_way.append(flight)


def sortable(place: Place) -> str:
    """As text in the same order; parts of an entry id have up to twenty digits."""
    return f"{place[0]:020d}-{place[1]:020d}"


def _may_act(earlier: Flight, flight: Flight) -> bool:
    return earlier.until is None or earlier.until > flight.since or earlier.closed_until >= flight.timestamp
