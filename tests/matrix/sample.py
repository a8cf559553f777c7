"""What ``make test`` plays of the matrix: every point once, and some pairs that are others each day."""

import asyncio
import os
import random
from datetime import UTC, datetime
from types import TracebackType
from typing import Final, Self

from tests.matrix.rows import pairs_of, singles
from tests.matrix.running import Crash, Played, Playground
from tests.matrix.stories import Story

SEED: Final = int(os.environ.get("SURECLOSE_MATRIX_SEED") or datetime.now(UTC).toordinal())
"""The number of the day, unless it is to be repeated."""
_PAIRS: Final = 12

_ONCE: Final[dict[str, tuple[Story, Crash]]] = {
    crash.point: (story, crash) for story, crash in reversed(tuple(singles()))
}
POINTS: Final = tuple(reversed(_ONCE))
"""With the first story of each."""
PAIRS: Final = tuple(f"pair {number} of {_PAIRS}" for number in range(1, _PAIRS + 1))


def chosen_by(name: object) -> bool:
    """Whether a test of that name is about a play."""
    return name in POINTS or name in PAIRS


class Plays:
    """Each play as a task, begun once. Leaving the block ends what is still under way."""

    def __init__(self, ground: Playground) -> None:
        self._ground = ground
        self._tasks: dict[str, asyncio.Task[Played]] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def begin(self, name: str) -> asyncio.Task[Played]:
        if name not in self._tasks:
            play = self._pair(name) if name in PAIRS else self._single(name)
            self._tasks[name] = asyncio.create_task(play, name=name)
        return self._tasks[name]

    async def _single(self, point: str) -> Played:
        story, crash = _ONCE[point]
        return await self._ground.play(story, (crash,))

    async def _pair(self, name: str) -> Played:
        """Which second points there are, the play of the first alone shows."""
        chance = random.Random(f"{SEED} {name}")
        single = await self.begin(chance.choice(POINTS))
        story, crashes = chance.choice(pairs_of(single))
        return await self._ground.play(story, crashes)
