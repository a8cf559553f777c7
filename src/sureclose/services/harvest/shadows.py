"""Policies that only watch: the same views, a book of their own, and a stream that nobody executes."""

import asyncio
from collections.abc import Callable
from typing import Final

import msgspec
import structlog
from redis.exceptions import RedisError

from sureclose.domain.harvest.episodes import Followed, with_asked
from sureclose.domain.harvest.policy import Proposal, View
from sureclose.domain.harvest.wishes import intent_id_of
from sureclose.journal.asking import Saying
from sureclose.journal.harvest import HarvestBook, field_of
from sureclose.services.harvest.asker import Asker
from sureclose.services.harvest.proposing import intent_of
from sureclose.services.reading import Wiring
from sureclose.streams.encode import encode_shadow
from sureclose.streams.names import StreamName
from sureclose.streams.wire import wait_set

log = structlog.get_logger()

WAIT_S: Final = 0.5


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """What a policy has proposed in an episode. Nothing comes of it, so each is proposed once."""

    episode: str
    rung: int = 0
    asked: tuple[str, ...] = ()


class Shadow:
    """One policy. ``wall`` gives the log's milliseconds."""

    def __init__(
        self, asker: Asker, book: HarvestBook, wiring: Wiring, account: str, wall: Callable[[], int]
    ) -> None:
        self.asker = asker
        self._book = book
        self._wiring = wiring
        self._account = account
        self._wall = wall
        self._rows: dict[str, bytes] | None = None
        self._views: dict[str, tuple[View, Followed]] = {}
        self._news = asyncio.Event()

    def show(self, view: View, followed: Followed) -> None:
        """What the acting policy sees now; only the newest of each position counts."""
        self._views[field_of(followed.symbol, followed.position_side)] = (view, followed)
        self._news.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Ask it about what it was shown, until ``stop``: a task of its own, so that nobody waits for it. To be supervised."""
        while not stop.is_set():
            if not await wait_set(self._news, WAIT_S):
                continue
            self._news.clear()
            views, self._views = self._views, {}
            for view, followed in views.values():
                try:
                    await self._watch(view, followed)
                except (RedisError, OSError) as error:
                    self._rows = None
                    log.debug("harvest_shadow_not_published", policy=self.asker.name, error=str(error))

    async def _watch(self, view: View, followed: Followed) -> None:
        if self._rows is None:
            self._rows = await self._book.read()
        position = view.position
        field = field_of(position.symbol, str(position.position_side))
        shown = _shown(self._rows.get(field), view.episode.name)
        episode = msgspec.structs.replace(view.episode, rung=shown.rung, asked=frozenset(shown.asked))
        own = msgspec.structs.replace(view, episode=episode)
        answer = await self.asker.ask(field, own)
        if not isinstance(answer, Proposal):
            return
        after = with_asked(episode, answer)
        new = msgspec.json.encode(
            Shown(episode=episode.name, rung=after.rung, asked=tuple(sorted(after.asked)))
        )
        now, name = self._wall(), self.asker.name
        intent_id = intent_id_of(self._account, name, followed, answer.name, 1)
        intent = intent_of(answer, position, intent_id, name, now, self._wiring)
        entry = Saying(
            self._wiring.streams.full(StreamName.HARVEST_SHADOW),
            encode_shadow(intent, self._wiring.producer, now),
        )
        if await self._book.show(field, self._rows.get(field, b""), new, entry):
            self._rows[field] = new
        else:
            self._rows = None


def _shown(raw: bytes | None, episode: str) -> Shown:
    """Of this episode; another one's, or what another version wrote, is nothing."""
    try:
        found = None if raw is None else msgspec.json.decode(raw, type=Shown)
    except msgspec.DecodeError:
        found = None
    return found if found is not None and found.episode == episode else Shown(episode=episode)
