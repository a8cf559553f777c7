"""The trimmer: the lease holder keeps the streams bounded, and says which group stands in the way of that."""

import asyncio
from collections.abc import Callable, Mapping, Sequence

import structlog
from redis.exceptions import RedisError

from sureclose.streams.names import StreamName
from sureclose.streams.trim import AT_ONCE, trim
from sureclose.streams.wire import Wire, wait_set

log = structlog.get_logger()

TRIMMED = (
    StreamName.HARVEST_INTENT,
    StreamName.HARVEST_SHADOW,
    StreamName.APPLY_PLAN,
    StreamName.APPLY_RESULT,
    StreamName.EXECUTION_RESULT,
    StreamName.DEAD_LETTER,
)
"""``authority.events`` are evidence and stay; ``trade.intent`` is another program's to trim, unless we hand over on it."""
LOOK_S = 5.0


class Trimmer:
    """``leads`` says whether this process holds the lease. Trimming twice at once would do no harm, only work.

    ``readers`` gives the group of each stream without which nothing of it is trimmed: the leading path's, where two paths
    read one stream. What any other group has not finished stays as well, and is told.
    """

    def __init__(
        self,
        wire: Wire,
        streams: Sequence[str],
        keep: int,
        leads: Callable[[], bool],
        *,
        look_s: float = LOOK_S,
        readers: Callable[[], Mapping[str, str]] = dict,
    ) -> None:
        self._wire = wire
        self._streams = streams
        self._keep = keep
        self._leads = leads
        self._look_s = look_s
        self._readers = readers
        self._kept: dict[str, str] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Until ``stop``; to be supervised."""
        while not await wait_set(stop, self._look_s):
            for stream in self._streams:
                if not self._leads() or stop.is_set():
                    break
                try:
                    await self.round(stream)
                except RedisError as error:
                    log.warning("not_trimmed", stream=stream, error=str(error))

    async def round(self, stream: str) -> int:
        """One stream, down to what must stay; how many entries went."""
        gone = 0
        while True:
            found = await trim(self._wire, stream, self._keep, self._readers().get(stream, ""))
            gone += found.entries
            self._tell(stream, found.kept_by)
            if found.entries < AT_ONCE:
                return gone

    def _tell(self, stream: str, kept_by: str) -> None:
        """Once for each group that begins to stand in the way: a stream that nobody finishes only grows."""
        if kept_by and self._kept.get(stream) != kept_by:
            log.warning(
                "stream_grows",
                stream=stream,
                group=kept_by,
                remedy="the group has not finished what is older; start its reader, or destroy the group",
            )
        self._kept[stream] = kept_by
