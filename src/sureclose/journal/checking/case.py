"""A close as its whole chain tells it, laid out for the rules: its records, its attempts and what became of each."""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from enum import StrEnum

import msgspec

from sureclose.domain.facts import (
    Answer,
    Answered,
    Dead,
    Ended,
    Filled,
    NotSent,
    Resolved,
    Sending,
    Sized,
)
from sureclose.domain.market import Trade
from sureclose.domain.outcome import Outcome, OutcomeKind
from sureclose.journal.checking.stored import OPEN
from sureclose.journal.record import Body


class Kept(msgspec.Struct, frozen=True):
    """One record that is what it says it is: its content, its hash, its place in the log."""

    body: Body
    hash: str
    entry_id: str


class Fate(StrEnum):
    """What became of an attempt. Only ``OPEN`` may still have an effect."""

    OPEN = "open"
    NOT_SENT = "not sent"
    REFUSED = "refused"
    DEAD = "dead"
    FILLED = "ended at the venue"


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One SENDING, the target it was for, the record that first settled it, and that of its fills."""

    sent: Kept
    sending: Sending
    target: Decimal | None
    fate: Fate = Fate.OPEN
    settled: Kept | None = None
    filled: Kept | None = None

    @property
    def records(self) -> tuple[str, ...]:
        found = (self.sent, self.settled, self.filled)
        return tuple(dict.fromkeys(record.hash for record in found if record is not None))


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """The numbers of proof that a journal is held to; times in milliseconds.

    ``clock_error`` is how far a journalled timestamp may be ahead of the venue's clock (assumption A2).
    """

    prefix: str = "sc-"
    margin: int = 1_000
    spread: int = 1_000
    not_found: int = 3
    clock_error: int = 1_000


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One close with a whole chain, or as much of it as could be read."""

    plan_id: str
    account: str
    state: str | None
    kept: tuple[Kept, ...]
    attempts: tuple[Attempt, ...]
    acknowledged: bool | None = None

    @property
    def endings(self) -> Iterator[tuple[Kept, Outcome]]:
        """Each record that holds an outcome, oldest first."""
        for kept in self.kept:
            if isinstance(kept.body.fact, Ended | Resolved):
                yield kept, kept.body.fact.outcome

    @property
    def parked(self) -> bool:
        return any(outcome.kind is OutcomeKind.PARKED for _, outcome in self.endings)

    @property
    def unfinished(self) -> bool:
        return self.state is None or self.state == OPEN

    @property
    def trades(self) -> dict[int, tuple[Trade, str]]:
        """Every fill that is recorded, by its id, with the hash of the record."""
        found: dict[int, tuple[Trade, str]] = {}
        for kept in self.kept:
            if isinstance(kept.body.fact, Filled | Resolved):
                for trade in kept.body.fact.trades:
                    found.setdefault(trade.trade_id, (trade, kept.hash))
        return found

    @property
    def target(self) -> Decimal | None:
        """What the last attempt was for, filled parts included; nothing without an attempt."""
        return self.attempts[-1].target if self.attempts else None


def attempts_of(kept: Sequence[Kept]) -> tuple[Attempt, ...]:
    """The attempts in their order; the first record that settles one counts."""
    found: list[Attempt] = []
    sized: Sized | None = None
    for record in kept:
        fact = record.body.fact
        match fact:
            case Sized():
                sized = fact
            case Sending():
                target = None if sized is None else sized.target
                found.append(Attempt(sent=record, sending=fact, target=target))
            case NotSent():
                _settle(found, fact.attempt, Fate.NOT_SENT, record)
            case Answered() if fact.answer is Answer.REFUSED:
                _settle(found, fact.attempt, Fate.REFUSED, record)
            case Dead():
                _settle(found, fact.attempt, Fate.DEAD, record)
            case Filled():
                own = fact.order.client_order_id
                number = next((a.sending.attempt for a in found if a.sending.client_order_id == own), 0)
                _settle(found, number, Fate.FILLED, record)
            case _:
                pass
    return tuple(found)


def _settle(found: list[Attempt], number: int, fate: Fate, record: Kept) -> None:
    for index, attempt in enumerate(found):
        if attempt.sending.attempt == number:
            settled, filled = attempt.settled, attempt.filled
            if fate is Fate.FILLED and filled is None:
                filled = record
            found[index] = msgspec.structs.replace(
                attempt,
                fate=fate if settled is None else attempt.fate,
                settled=settled or record,
                filled=filled,
            )
