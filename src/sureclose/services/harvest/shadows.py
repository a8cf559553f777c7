"""Policies that only watch: the same views, a book of their own, and a stream that nobody executes."""

from collections.abc import Callable

import msgspec

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

    async def watch(self, view: View, followed: Followed) -> None:
        """Ask it, and publish what it would have proposed. Raises what the log raises."""
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
