"""What becomes of an entry that lay unread, and the account of many of them.

A stale entry ends SKIPPED. What could still be executed is never touched: the one rule of age is the executor's.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Final

import msgspec

from sureclose.domain.times import SPOKEN_AHEAD_MS

EXPIRED: Final = "expired"
"""The reason of what is older than anything that could be executed, and of an approval whose time is over."""
UNREADABLE: Final = "unreadable"
"""The reason of what is young and can't be understood: a dead letter tells the rest."""
PAYLOAD_LOST: Final = "payload_lost"
"""The reason of an entry that was trimmed while a consumer held it."""


class Class(StrEnum):
    """What an entry of a backlog is. The stale ones are told apart by what they say of themselves, uninterpreted."""

    FRESH_APPROVAL = "fresh_approval"
    """It may still be executed: left pending for the executor."""
    UNDER_WAY = "under_way"
    """Its close is open in the journal and goes on by itself: left pending."""
    STALE_APPROVAL = "stale_approval"
    NOT_APPROVED = "not_approved"
    """Its decision word, or its approval, says no."""
    CONFIRMATION = "confirmation"
    """It tells what was executed."""
    NOT_A_CLOSE = "not_a_close"
    STALE_WISH = "stale_wish"
    """Too old, and without a decision word: an intent, or an older producer's result."""
    UNREADABLE = "unreadable"
    PAYLOAD_LOST = "payload_lost"


_APPROVING: Final = frozenset({"CLOSE", "EXECUTE"})
_TRUE: Final = frozenset({"true", "1", "yes"})


def stale_class(word: str, executed: str) -> Class:
    """Of an entry that is too old for any word in it to matter."""
    if executed.strip().lower() in _TRUE:
        return Class.CONFIRMATION
    decision = word.strip().upper()
    if not decision:
        return Class.STALE_WISH
    return Class.STALE_APPROVAL if decision in _APPROVING else Class.NOT_APPROVED


def horizon(now: int, max_age: int) -> int:
    """Entries written before this can't be executed, whatever they say; in milliseconds, as ``now`` and ``max_age``.

    The codec refuses an entry that speaks of a time further behind its id, and ``max_age`` counts from then at the
    most. ``max_age`` alone would not do: an entry may carry a later ``expires_at``.
    """
    return now - SPOKEN_AHEAD_MS - max_age


MOST_WORDS: Final = 50
LONGEST_WORD: Final = 40
OTHER_WORDS: Final = "(others)"
"""Where a producer writes anything as its decision, the first few are enough to see it."""

AGES: Final[tuple[tuple[str, int], ...]] = (
    ("up to 1 minute", 60_000),
    ("up to 1 hour", 3_600_000),
    ("up to 1 day", 86_400_000),
    ("up to 1 week", 604_800_000),
)
OLDER: Final = "over 1 week"


def age_group(age: int) -> str:
    return next((name for name, limit in AGES if age <= limit), OLDER)


class Tally(msgspec.Struct):
    """How many of what, and since when. Flat: it grows with the number of kinds, not of entries."""

    entries: int = 0
    classes: Counter[str] = msgspec.field(default_factory=Counter)
    reasons: Counter[str] = msgspec.field(default_factory=Counter)
    words: Counter[str] = msgspec.field(default_factory=Counter)
    ages: Counter[str] = msgspec.field(default_factory=Counter)
    oldest: int | None = None
    newest: int | None = None

    def add(self, classes: Mapping[str, int], reasons: Mapping[str, int], words: Mapping[str, int]) -> None:
        self.entries += sum(classes.values())
        self.classes.update(classes)
        self.reasons.update(reasons)
        for word, times in words.items():
            short = word[:LONGEST_WORD]
            known = short in self.words or len(self.words) < MOST_WORDS
            self.words[short if known else OTHER_WORDS] += times

    def aged(self, written: Iterable[int], now: int) -> None:
        """``written`` are the times of the entries' ids."""
        for at in written:
            self.oldest = at if self.oldest is None else min(self.oldest, at)
            self.newest = at if self.newest is None else max(self.newest, at)
            self.ages[age_group(now - at)] += 1
