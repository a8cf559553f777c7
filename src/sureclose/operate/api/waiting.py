"""Waiting for a close: one look after the other, each when there is news of it."""

from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, contextmanager
from typing import Final

from sureclose.journal.asking import asked
from sureclose.operate.api.limits import FullHouse, Room
from sureclose.operate.api.problems import Kind, later
from sureclose.operate.closes import CloseView, look
from sureclose.operate.following import Follower
from sureclose.operate.session import Session
from sureclose.streams.wire import wait_set

_FULL_S: Final = 5.0
_GONE_S: Final = 1.0
"""How often it is looked whether somebody still waits."""


class Waiting:
    """Those that wait in this process, at one reader of the log."""

    def __init__(self, session: Session, follower: Follower, room: Room) -> None:
        self._session = session
        self._follower = follower
        self._room = room

    @contextmanager
    def seat(self) -> Iterator[None]:
        """Raises ``Problem`` when too many wait."""
        try:
            with self._room.seat():
                yield
        except FullHouse:
            raise later(
                Kind.TOO_MANY_WAITING,
                "http.most_waiting says how many may wait at once; ask without waiting",
                _FULL_S,
            ) from None

    async def looks(
        self, wanted: str, seconds: float, beat_s: float
    ) -> AsyncGenerator[CloseView | None, None]:
        """The close now and at each news of it, until it is final or the time is up; ``None`` at each beat without news.

        Ends without a look where nobody knows it. Raises what the log raises.
        """
        monotonic = self._session.monotonic
        until = monotonic() + seconds
        view = await look(self._session, wanted)
        if view is None:
            return
        if view.final or not seconds:
            yield view
            return
        record = await asked(self._session.wire, self._session.keys, wanted)
        names = {wanted, view.plan_id, "" if record is None else record.entry_id} - {""}
        with self._follower.waiting(*names) as news:
            while view is not None:
                news.clear()
                view = await look(self._session, wanted)
                if view is None:
                    return
                yield view
                if view.final:
                    return
                while not await wait_set(news, min(beat_s, until - monotonic())):
                    if monotonic() >= until:
                        return
                    yield None

    async def outcome(self, wanted: str, seconds: float, has_gone: Callable[[], bool]) -> CloseView | None:
        """The close when it is final, or as it is when the time is up. ``None`` where nobody knows it.

        Who has gone is waited for no longer, so that he keeps no place from anybody.
        """
        last = None
        async with aclosing(self.looks(wanted, seconds, _GONE_S)) as looks:
            async for view in looks:
                last = view or last
                if has_gone():
                    break
        return last
