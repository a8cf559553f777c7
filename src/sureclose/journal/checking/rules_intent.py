"""One close for each intent at a position, over all closes: of two plans of an intent only one was sent."""

import sqlite3
from collections.abc import Iterator
from itertools import groupby

import msgspec

from sureclose.domain.facts import Admitted, Ended, Sending
from sureclose.domain.outcome import OutcomeKind
from sureclose.journal.checking.case import Case
from sureclose.journal.checking.findings import Against, Finding, Rule, judged
from sureclose.journal.checking.rules_flight import Place, sortable
from sureclose.journal.claims import RETENTION_MS
from sureclose.streams.wire import id_key


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """A plan that had an intent, from its first SENDING on, until an outcome that gave it back; ``None`` if none did.

    ``last`` is when it passed the gate last: a claim is known for so long behind that.
    """

    plan_id: str
    hash: str
    since: Place
    last: Place
    until: Place | None = None


class Intents:
    """All that had an intent, by account, intent, symbol and the venue's side; kept on disk, for there may be millions."""

    def __init__(self) -> None:
        self._kept = sqlite3.connect("")
        self._kept.execute("CREATE TABLE held (intent BLOB, since TEXT, held BLOB)")

    def add(self, case: Case) -> None:
        """Take down what one close held."""
        for intent, held in _holdings(case):
            name = msgspec.json.encode((case.account, *intent))
            row = name, sortable(held.since), msgspec.json.encode(held)
            self._kept.execute("INSERT INTO held VALUES (?, ?, ?)", row)

    def judge(self) -> Iterator[Finding]:
        """When a plan is sent, no other plan of its intent has been for that position, unless it was skipped before."""
        rows = self._kept.execute("SELECT intent, held FROM held ORDER BY intent, since, rowid")
        for name, group in groupby(rows, key=lambda row: row[0]):
            _, intent_id, symbol, side = msgspec.json.decode(name)
            before: list[Held] = []
            for held in (msgspec.json.decode(row[1], type=Held) for row in group):
                others = [one for one in before if one.plan_id != held.plan_id and _has_it(one, held)]
                problems = [
                    f"it was sent for {symbol} {side}, and so was {other.plan_id}, both of intent {intent_id}"
                    for other in others
                ]
                hashes = [other.hash for other in others]
                yield from judged(Rule.INTENT, Against.JOURNAL, held.plan_id, problems, held.hash, *hashes)
                before.append(held)


def _holdings(case: Case) -> list[tuple[tuple[str, str, str], Held]]:
    """What the close held, each with the intent, the symbol and the side."""
    held: dict[tuple[str, str, str], Held] = {}
    over: list[tuple[tuple[str, str, str], Held]] = []
    intent_id = ""
    for kept in case.kept:
        at, fact = id_key(kept.entry_id), kept.body.fact
        if isinstance(fact, Admitted):
            intent_id = fact.decision.intent_id
        elif isinstance(fact, Sending):
            name = intent_id, fact.position.symbol, str(fact.position.position_side)
            known = held.get(name)
            held[name] = (
                Held(plan_id=case.plan_id, hash=kept.hash, since=at, last=at)
                if known is None
                else msgspec.structs.replace(known, last=at)
            )
        elif isinstance(fact, Ended) and fact.outcome.kind is OutcomeKind.SKIPPED:
            over += [(name, msgspec.structs.replace(one, until=at)) for name, one in held.items()]
            held.clear()
    return [*over, *held.items()]


def _has_it(earlier: Held, then: Held) -> bool:
    """Whether the claim of the earlier one stood, and was known, when the other was sent."""
    if earlier.until is not None and earlier.until < then.since:
        return False
    return then.since[0] - earlier.last[0] < RETENTION_MS
