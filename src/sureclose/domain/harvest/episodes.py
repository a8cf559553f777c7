"""Episodes of positions: what begins one, what goes on, what ends it, as plain state that goes in and comes out.

An episode begins when a position leaves zero and ends when it is back there or on the other side. The account's trades say
so, by the one way there is (``domain/safety.py: episode``); nothing else ends one: a read that shows zero for a moment, a restart,
a gap in what was watched. As in ``domain/sameness.py``, a position is another one only on evidence that it went through zero.
"""

from collections.abc import Iterable
from decimal import Decimal
from typing import Final

import msgspec

from sureclose.domain.harvest.policy import EpisodeState, Proposal
from sureclose.domain.market import Position, Trade
from sureclose.domain.safety import Episode, Unclear, episode, episode_name


class Followed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One position as it was last seen, with its episode: all that has to survive a restart.

    ``amount`` is signed, and zero once it was seen flat: then the episode is over unless the trades deny it. ``open_at`` is a
    venue time at which it was open in this episode, the latest that is known.
    """

    symbol: str
    position_side: str
    amount: Decimal
    open_at: int
    episode: EpisodeState

    @property
    def is_open(self) -> bool:
        return self.amount != 0


_decoder: Final = msgspec.json.Decoder(Followed)


def encode(followed: Followed) -> bytes:
    """JSON; the same state is always the same bytes."""
    return msgspec.json.encode(followed, order="deterministic")


def decode(text: bytes | str) -> Followed:
    """The inverse of ``encode``; raises ``ValueError`` for what is no such state."""
    return _decoder.decode(text)


def look_back_from(before: Followed | None) -> int | None:
    """From when on ``follow`` needs every trade of the position; ``None`` where its opening has to be found."""
    return None if before is None else before.open_at


def unchanged(before: Followed | None, position: Position) -> bool:
    """Whether this read says nothing new, so that ``follow`` needs no trades."""
    if before is None or not before.is_open:
        return before is not None and position.amount == 0
    return before.amount == position.amount and position.update_time <= before.open_at


def follow(
    before: Followed | None, position: Position, trades: Iterable[Trade], since: int, now: int
) -> Followed | Unclear | None:
    """What is known after this read; ``None`` for a flat position that nothing was known of.

    ``trades`` are all of the account's in the position from ``since`` on, read after it; times in venue milliseconds. An
    ``Unclear`` answer changes nothing: what was known before stays known, and nothing is decided meanwhile.
    """
    if position.amount == 0:
        return None if before is None else msgspec.structs.replace(before, amount=position.amount)
    if before is not None and unchanged(before, position):
        return before
    found = episode(position, trades, now)
    if isinstance(found, Unclear) and found.passing:
        return found
    if before is None:
        return _begun(position, found)
    if since > before.open_at:
        return Unclear("its trades were not read back to when it was last seen", passing=True)
    if _is_reversed(before, position) or _is_later(found, before):
        return _begun(position, found)
    return _gone_on(before, position, found)


def with_asked(state: EpisodeState, proposal: Proposal) -> EpisodeState:
    """After a proposal was made: its name is taken, and its rung with all below it. A rung only grows."""
    return msgspec.structs.replace(
        state, rung=max(state.rung, proposal.rung or 0), asked=state.asked | {proposal.name}
    )


def _begun(position: Position, found: Episode | Unclear) -> Followed | Unclear:
    name = episode_name(position, found)
    if name is None:
        return Unclear("nothing names its episode yet", passing=True)
    shown = found if isinstance(found, Episode) else None
    return Followed(
        symbol=position.symbol,
        position_side=str(position.position_side),
        amount=position.amount,
        open_at=position.update_time if shown is None else max(position.update_time, shown.since),
        episode=EpisodeState(
            name=name,
            first_amount=position.amount,
            opened_at=None if shown is None else shown.since,
            exact=shown is not None and shown.exact,
        ),
    )


def _gone_on(before: Followed, position: Position, found: Episode | Unclear) -> Followed:
    """The same episode; trades that reach further back than those of before say more of its opening, and rename nothing."""
    state, latest = before.episode, max(before.open_at, position.update_time)
    if isinstance(found, Episode) and not state.exact:
        opened = found.since if state.opened_at is None else min(found.since, state.opened_at)
        state = msgspec.structs.replace(state, opened_at=opened, exact=found.exact)
    return msgspec.structs.replace(before, amount=position.amount, open_at=latest, episode=state)


def _is_reversed(before: Followed, position: Position) -> bool:
    """No position changes its sign without going through zero, shown or not."""
    return before.episode.first_amount * position.amount < 0


def _is_later(found: Episode | Unclear, before: Followed) -> bool:
    return isinstance(found, Episode) and found.exact and found.since > before.open_at
