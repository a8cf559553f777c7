"""Sorting the entries of a backlog: what is too old by its id, and what the codec says of the younger ones.

The age comes first and needs no interpretation: no entry from before the horizon can be executed, whatever it says
(``domain.backlog.horizon``). All younger ones are decoded by the one codec and judged by the one rule of age, so that
nothing is ended here that an executor would still execute.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from sureclose.domain.backlog import (
    EXPIRED,
    PAYLOAD_LOST,
    UNREADABLE,
    Class,
    horizon,
    stale_class,
)
from sureclose.domain.events import Decision, EntryRef, Intent, Plan
from sureclose.domain.planning import planned_id, too_old
from sureclose.domain.times import EARLIEST_MS
from sureclose.streams.clock import Moment
from sureclose.streams.codec import CodecRules, NotAClose, NotACloseReason, decode
from sureclose.streams.fields import Unreadable
from sureclose.streams.names import StreamName
from sureclose.streams.peek import NOTHING, Peek, Told
from sureclose.streams.wire import id_key, pairs

LOST: Final = Unreadable(
    PAYLOAD_LOST,
    "the payload was trimmed before anybody finished it: trim by MINID, below the group's oldest pending id",
)

_CLASSES: Final = {
    NotACloseReason.CONFIRMATION: Class.CONFIRMATION,
    NotACloseReason.ALREADY_EXECUTED: Class.CONFIRMATION,
    NotACloseReason.SKIP: Class.NOT_APPROVED,
    NotACloseReason.BLOCKED: Class.NOT_APPROVED,
    NotACloseReason.ERROR_VERDICT: Class.NOT_APPROVED,
    NotACloseReason.NOT_APPROVED: Class.NOT_APPROVED,
    NotACloseReason.EXECUTE_IS_NOT_APPROVAL: Class.NOT_APPROVED,
}
"""Every other reason is ``NOT_A_CLOSE``."""

_REFUSED: Final = frozenset(
    map(str, (NotACloseReason.SKIP, NotACloseReason.BLOCKED, NotACloseReason.ERROR_VERDICT))
)
"""What the decision word and ``executed`` settle by themselves."""
_MOST_REFUSED: Final = 64
_DIGITS: Final = 13
"""Of the milliseconds in an id, until the year 2286."""


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """An entry that may still be executed. Times are milliseconds; ``expires_at`` is when it ends by itself."""

    entry_id: str
    plan_id: str
    intent_id: str
    symbol: str
    action: str
    age: int
    expires_at: int
    state: str = ""
    """Of its close in the journal; empty when the journal never heard of it."""


class Letter(msgspec.Struct, frozen=True):
    """An entry that is young and can't be understood."""

    entry_id: str
    fields: dict[bytes, bytes]
    why: Unreadable


class Row(msgspec.Struct, frozen=True, array_like=True):
    """One entry that ends SKIPPED, as it is recorded."""

    entry_id: str
    plan_id: str
    symbol: str
    decision: str
    reason: str


class Sorted(msgspec.Struct):
    """What a batch comes to. ``rows`` and ``letters`` end, ``kept`` do not."""

    rows: list[tuple[str, str, str, str, str]] = msgspec.field(default_factory=list)
    """As ``Row`` has them; plain, for there are many."""
    kept: list[Kept] = msgspec.field(default_factory=list)
    letters: list[Letter] = msgspec.field(default_factory=list)
    classes: Counter[str] = msgspec.field(default_factory=Counter)
    reasons: Counter[str] = msgspec.field(default_factory=Counter)
    words: Counter[str] = msgspec.field(default_factory=Counter)


class Triage:
    """Of the entries of one stream, by what a reader of that stream would make of them. ``max_age`` in milliseconds."""

    def __init__(self, stream: str, name: StreamName, rules: CodecRules, max_age: int) -> None:
        self._stream = stream
        self._name = name
        self._rules = rules
        self._max_age = max_age
        self._peek = Peek()
        self._refused: dict[tuple[str, str], tuple[Class, str]] = {}
        """By decision word and executed, where these two settle it: what the codec said of the first such entry."""

    def sort(self, entries: Sequence[Any], at: Moment, under_way: frozenset[str] = frozenset()) -> Sorted:
        """Entries as the wire has them: an id, and names and values in turn, or nil where the payload is gone.

        ``under_way`` are the plans whose closes are open. It is asked of entries that somebody was given before.
        """
        found = Sorted()
        limit = str(self._horizon(at)).encode()
        assert len(limit) == _DIGITS
        if entries and not under_way and _all_before(entries, limit):
            self._end_all(found, entries)
            return found
        for entry_id, flat in entries:
            if not flat or under_way:
                self._judge(found, entry_id.decode(), flat, at, under_way)
            elif _before(entry_id, limit):
                self._end_all(found, [(entry_id, flat)])
            elif not self._end_refused(found, entry_id, flat):
                self._judge(found, entry_id.decode(), flat, at, under_way)
        return found

    def _end_refused(self, found: Sorted, entry_id: bytes, flat: list[bytes]) -> bool:
        """Whether a young entry was ended without being decoded, for the words of its verdict say no.

        The codec looks at these words first too. It might call one of them unreadable for what else stands in it.
        """
        plan_id, symbol, word, executed = self._peek(flat)
        said = self._refused.get((word, executed)) if self._peek.plain else None
        if said is None:
            return False
        kind, reason = said
        found.rows.append((entry_id.decode(), plan_id, symbol, word, reason))
        found.classes[kind] += 1
        found.reasons[reason] += 1
        found.words[word] += 1
        return True

    def _end_all(self, found: Sorted, entries: Sequence[Any]) -> None:
        """Those that are too old for anything in them to matter."""
        peek = self._peek
        said = [peek(flat) for _, flat in entries]
        found.rows += [
            (entry_id.decode(), plan_id, symbol, word, EXPIRED)
            for (entry_id, _), (plan_id, symbol, word, _) in zip(entries, said, strict=True)
        ]
        found.reasons[EXPIRED] += len(entries)
        for (word, executed), times in Counter([told[2:] for told in said]).items():
            kind = stale_class(word, executed)
            found.classes[kind] += times
            found.words[word] += times

    def _horizon(self, at: Moment) -> int:
        """By the clock that is furthest behind, should the log's have stepped: the executor bears with it too."""
        earliest = min(at.now, *(past.now for past in at.past)) if at.past else at.now
        return max(horizon(earliest, self._max_age), EARLIEST_MS)

    def _judge(
        self, found: Sorted, entry_id: str, flat: list[bytes] | None, at: Moment, under_way: frozenset[str]
    ) -> None:
        """One entry that is young, or was in somebody's hands."""
        told = self._peek(flat) if flat else NOTHING
        plan_id, symbol, word, _ = told
        plain = bool(flat) and self._peek.plain
        kind, reason, kept = self._said(entry_id, flat, told, at, under_way)
        if plain and reason in _REFUSED and len(self._refused) < _MOST_REFUSED:
            self._refused[word, told[3]] = kind, str(reason)
        found.classes[kind] += 1
        found.words[word] += 1
        if kept is not None:
            found.kept.append(kept)
            return
        if isinstance(reason, Unreadable):
            found.letters.append(Letter(entry_id, pairs(flat) if flat else {}, reason))
            ended = PAYLOAD_LOST if reason is LOST else UNREADABLE
        else:
            ended = reason
        found.reasons[ended] += 1
        found.rows.append((entry_id, plan_id, symbol, word, ended))

    def _said(
        self, entry_id: str, flat: list[bytes] | None, told: Told, at: Moment, under_way: frozenset[str]
    ) -> tuple[Class, str | Unreadable, Kept | None]:
        if not flat:
            return Class.PAYLOAD_LOST, LOST, None
        ref = EntryRef(self._stream, entry_id)
        decoded = decode(self._name, ref, pairs(flat), now_ms=at.latest, rules=self._rules)
        match decoded:
            case NotAClose(reason=why):
                return _CLASSES.get(why, Class.NOT_A_CLOSE), str(why), None
            case Unreadable():
                if EARLIEST_MS <= id_key(entry_id)[0] < self._horizon(at):
                    return stale_class(*told[2:]), EXPIRED, None
                return Class.UNREADABLE, decoded, None
            case Intent() | Plan() | Decision():
                now = at.by(decoded.origin_at)
                plan_id = planned_id(decoded) if isinstance(decoded, Intent) else decoded.plan_id
                kind = Class.UNDER_WAY if plan_id in under_way else Class.FRESH_APPROVAL
                if kind is Class.FRESH_APPROVAL and too_old(decoded, now, self._max_age):
                    return Class.STALE_APPROVAL, EXPIRED, None
                expires = decoded.expires_at
                return (
                    kind,
                    "",
                    Kept(
                        entry_id=entry_id,
                        plan_id=plan_id,
                        intent_id=decoded.intent_id,
                        symbol=decoded.symbol,
                        action=decoded.action,
                        age=now - decoded.origin_at,
                        expires_at=decoded.origin_at + self._max_age if expires is None else expires,
                    ),
                )


def _before(entry_id: bytes, limit: bytes) -> bool:
    """Of ids with as many digits the order of their bytes is that of their times."""
    return entry_id < limit and entry_id[_DIGITS : _DIGITS + 1] == b"-"


def _all_before(entries: Sequence[Any], limit: bytes) -> bool:
    """Ids ascend, so those between two of as many digits have as many too."""
    first, last = entries[0][0], entries[-1][0]
    return _before(first, limit) and _before(last, limit) and all(flat for _, flat in entries)
