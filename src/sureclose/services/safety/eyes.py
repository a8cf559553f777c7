"""What the safety controller sees of the account: positions, marks, margin and the age of each position."""

from collections.abc import Callable
from typing import Protocol

import msgspec
import structlog

from sureclose.domain.market import Position
from sureclose.domain.safety import Answer, Episode, Finding, Margin, Unclear, episode_name, judge
from sureclose.services import sight
from sureclose.services.sight import Sight, look_back
from sureclose.venue.errors import VenueError

log = structlog.get_logger()


class Account(sight.Account, Protocol):
    """The venue, as far as the rules go. Each read raises ``VenueError`` rather than to answer for a failure."""

    async def margin(self) -> Margin: ...


class Watched(msgspec.Struct, frozen=True, kw_only=True):
    """One open position and what the rules say of it. ``episode`` is ``None`` while it can't be told from others."""

    position: Position
    findings: tuple[Finding, ...]
    episode: str | None

    @property
    def firing(self) -> tuple[Finding, ...]:
        return tuple(one for one in self.findings if one.answer is Answer.FIRES)


class _Known(msgspec.Struct, frozen=True):
    """An episode, and the position that it was worked out for."""

    position: Position
    since: Episode | Unclear

    def is_of(self, position: Position) -> bool:
        known = self.position
        return (known.amount, known.update_time) == (position.amount, position.update_time)


class Eyes(Sight):
    """With the margin (weight 5), which one of the rules needs: 240 of the venue's 2,400 a minute in all."""

    def __init__(self, account: Account, monotonic: Callable[[], float]) -> None:
        super().__init__(account, monotonic)
        self._margins = account
        self._margin: Margin | None = None
        self._episodes: dict[tuple[str, str], _Known] = {}

    def forget(self) -> None:
        super().forget()
        self._margin = None

    async def _look_further(self, generation: int) -> None:
        open_now = {(position.symbol, position.position_side) for position in self.positions}
        self._episodes = {key: known for key, known in self._episodes.items() if key in open_now}
        if not self.positions:
            return
        try:
            margin = await self._margins.margin()
            if generation == self._generation:
                self._margin = margin
        except VenueError as error:
            log.warning("safety_margin_unread", error=str(error))
        for position in self.positions:
            await self._look_back(position)

    async def _look_back(self, position: Position) -> None:
        """The age of its episode, worked out anew only when it changed: until then it can only grow."""
        key = (position.symbol, str(position.position_side))
        known = self._episodes.get(key)
        if known is not None and known.is_of(position) and not _open(known.since):
            return
        try:
            since = (await look_back(self._margins, position)).found
        except VenueError as error:
            since = Unclear(f"its trades can't be read: {error}", passing=True)
        self._episodes[key] = _Known(position, since)

    def since(self, position: Position) -> Episode | Unclear:
        """When its episode began, as far as that was worked out for it as it is now."""
        known = self._episodes.get((position.symbol, str(position.position_side)))
        if known is None or not known.is_of(position):
            return Unclear("its trades have not been read yet", passing=True)
        return known.since

    def judge(self) -> tuple[Watched, ...]:
        """What the rules say now of each position that is open."""
        clock = self._account.clock
        if not clock.measured:
            return ()
        now = clock.earliest()
        return tuple(self._watched(position, now) for position in self._positions)

    def _watched(self, position: Position, now: int) -> Watched:
        since = self.since(position)
        return Watched(
            position=position,
            findings=judge(position, self.mark(position.symbol), since, self._margin, now),
            episode=episode_name(position, since),
        )


def _open(since: Episode | Unclear) -> bool:
    return isinstance(since, Unclear) and since.passing
