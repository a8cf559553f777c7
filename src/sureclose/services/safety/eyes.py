"""What the safety controller sees of the account: positions, marks, margin and the age of each position."""

from collections.abc import Callable
from typing import Protocol

import msgspec

from sureclose.domain.market import Position
from sureclose.domain.safety import Answer, Finding, Margin, episode_name, judge
from sureclose.services import sight
from sureclose.services.sight import Sight


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


class Eyes(Sight):
    """With the margin (weight 5), which one of the rules needs: 240 of the venue's 2,400 a minute in all."""

    def __init__(self, account: Account, monotonic: Callable[[], float]) -> None:
        super().__init__(account, monotonic)
        self._margins = account
        self._margin: Margin | None = None

    def forget(self) -> None:
        super().forget()
        self._margin = None

    async def _look_further(self, generation: int) -> None:
        margin = await self._margins.margin()
        if generation == self._generation:
            self._margin = margin

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
