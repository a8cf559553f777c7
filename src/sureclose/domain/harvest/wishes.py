"""What became of what was proposed, and when it is proposed again: one wish at a time for each position.

A proposal whose close had an effect is never made again in its episode. One without any (skipped by a freeze or for want of
a grant, refused, or begun by nobody while it was valid) is made again while its cause stands, under a new number and so a new
name, each time after a longer pause.
"""

from enum import StrEnum
from typing import Final

import msgspec

from sureclose.domain.actions import ALL
from sureclose.domain.harvest.episodes import Followed, with_asked
from sureclose.domain.harvest.policy import Proposal
from sureclose.domain.ids import digest
from sureclose.domain.outcome import BELOW_STEP, OutcomeKind, Report
from sureclose.domain.times import CLOCK_TOLERANCE_MS

VALID_MS: Final = 60_000
"""How long a wish of harvest is good for. It is decided on prices of now, so it must not wait for long."""
SETTLED_MS: Final = CLOCK_TOLERANCE_MS + 10_000
"""So long after its end nobody can begin it any more: by the gate's rule, and by a clock that is off."""
FIRST_PAUSE_MS: Final = 60_000
LONGEST_PAUSE_MS: Final = 600_000
"""Between two tries of one proposal: it doubles from the first to the longest."""


ALL_OF_IT: Final = "all"
"""The amount of a wish that leaves nothing."""


class Fate(StrEnum):
    """What is known of a wish."""

    PENDING = "pending"
    """On its way or under way: nothing more is proposed for the position."""
    PARKED = "parked"
    """It waits for a person, who may take days: only another wish to close everything need not wait for it."""
    TAKEN = "taken"
    """It had an effect, or found nothing to close: it is not made again."""
    UNTAKEN = "untaken"
    """It is over and had no effect, or left some of what it was to close in full."""
    TOO_SMALL = "too_small"
    """Less than the smallest quantity that the venue trades, which no other try makes more: the next rung asks for its part as well."""


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """The last proposal that became an intent. Times are the log's milliseconds, amounts are decimals as texts."""

    name: str
    number: int
    """Which try of that name in the episode, from 1."""
    intent_id: str
    plan_id: str
    action: str
    amount: str
    """``all``, or how much."""
    at: int
    expires_at: int
    rung_before: int
    """What the ladder goes back to when nothing comes of it."""
    fate: Fate = Fate.PENDING
    outcome: str = ""
    ended_at: int = 0

    @property
    def is_full(self) -> bool:
        return self.amount == ALL_OF_IT

    @property
    def is_over(self) -> bool:
        return self.fate not in {Fate.PENDING, Fate.PARKED}

    @property
    def again_at(self) -> int:
        """When the same proposal may be made again; of one without effect."""
        pause = min(FIRST_PAUSE_MS << min(self.number - 1, 8), LONGEST_PAUSE_MS)
        return max(self.expires_at, self.ended_at + pause)


class Kept(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All that survives of one position: its episode, the last wish in it, and how often each was made."""

    followed: Followed
    wish: Wish | None = None
    tries: dict[str, int] = {}


_decoder: Final = msgspec.json.Decoder(Kept)


def encode(kept: Kept) -> bytes:
    """JSON; the same state is always the same bytes, for they are compared before they are replaced."""
    return msgspec.json.encode(kept, order="deterministic")


def decode(text: bytes) -> Kept:
    """The inverse of ``encode``; raises ``ValueError`` for what is no such state."""
    return _decoder.decode(text)


def amount_of(proposal: Proposal) -> str:
    """For people and for the book."""
    if proposal.quantity is not None:
        return f"{proposal.quantity:f}"
    return ALL_OF_IT if proposal.fraction == ALL else f"{proposal.fraction:f} of it"


def intent_id_of(account: str, policy: str, followed: Followed, name: str, number: int) -> str:
    """The name of one try: no clock and no chance, so that whoever makes it makes the same (``policy`` is the configured one)."""
    again = () if number == 1 else (str(number),)
    return digest(
        "harvest",
        account,
        policy,
        followed.symbol,
        followed.position_side,
        followed.episode.name,
        name,
        *again,
    )


def seen(kept: Kept | None, followed: Followed) -> Kept:
    """After the position was read again; another episode knows nothing of the wishes of the last."""
    if kept is None or kept.followed.episode.name != followed.episode.name:
        return Kept(followed=followed)
    return msgspec.structs.replace(kept, followed=followed)


def number_of(kept: Kept, name: str) -> int:
    """Which try of that proposal the next one is."""
    return kept.tries.get(name, 0) + 1


def why_not_now(kept: Kept, proposal: Proposal, now: int) -> str:
    """Why a proposal is not made now; empty when it is. ``now`` is the log's milliseconds."""
    name = proposal.name
    wish = kept.wish
    if wish is None or wish.fate in {Fate.TAKEN, Fate.TOO_SMALL}:
        return ""
    if wish.fate is Fate.PENDING:
        return f"{wish.name} is under way"
    if wish.fate is Fate.PARKED:
        protects = name != wish.name and amount_of(proposal) == ALL_OF_IT
        return "" if protects else f"{wish.name} is parked and waits for a person"
    if wish.name == name and now < wish.again_at:
        return (
            f"{name} had no effect ({wish.outcome}) and is made again in {(wish.again_at - now) / 1000:.0f} s"
        )
    return ""


def asked(kept: Kept, proposal: Proposal, wish: Wish) -> Kept:
    """After the proposal became an intent."""
    episode = with_asked(kept.followed.episode, proposal)
    return Kept(
        followed=msgspec.structs.replace(kept.followed, episode=episode),
        wish=wish,
        tries=kept.tries | {wish.name: wish.number},
    )


def ended(kept: Kept, fate: Fate, outcome: str, now: int) -> Kept:
    """After the wish had its end. Without effect its rung is not taken, and its name is free again where another try may help."""
    assert kept.wish is not None
    wish = msgspec.structs.replace(kept.wish, fate=fate, outcome=outcome, ended_at=now)
    if fate not in {Fate.UNTAKEN, Fate.TOO_SMALL}:
        return msgspec.structs.replace(kept, wish=wish)
    before = kept.followed.episode
    names = before.asked - {wish.name} if fate is Fate.UNTAKEN else before.asked
    episode = msgspec.structs.replace(before, rung=wish.rung_before, asked=names)
    followed = msgspec.structs.replace(kept.followed, episode=episode)
    return msgspec.structs.replace(kept, followed=followed, wish=wish)


def fate_of_report(wish: Wish, report: Report) -> Fate:
    """Of a close that has its outcome. A part counts as taken when anything of it was filled: it can't be closed twice."""
    match report.outcome.kind:
        case OutcomeKind.FLAT | OutcomeKind.ALREADY_FLAT:
            return Fate.TAKEN
        case OutcomeKind.PARKED:
            return Fate.PARKED
        case OutcomeKind.REFUSED if report.outcome.reason == BELOW_STEP and not wish.is_full:
            return Fate.TOO_SMALL
        case OutcomeKind.REDUCED | OutcomeKind.REFUSED | OutcomeKind.SKIPPED:
            return Fate.TAKEN if report.filled_qty and not wish.is_full else Fate.UNTAKEN


def fate_of_kind(wish: Wish, kind: OutcomeKind) -> Fate:
    """Of one that has left the log, of which only the kind is known: what may have had an effect had one."""
    if kind is OutcomeKind.REFUSED or (kind is OutcomeKind.REDUCED and wish.is_full):
        return Fate.UNTAKEN
    return Fate.TAKEN


def fate_unbegun(wish: Wish, now: int) -> Fate:
    """Of one that no executor has taken in."""
    return Fate.UNTAKEN if now > wish.expires_at + SETTLED_MS else Fate.PENDING
