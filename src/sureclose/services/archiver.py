"""The archiver: the lease holder moves finished closes from the log to segments on disk.

The file is written, named, read back and compared before the log lets anything go. A crash in between leaves a file
without an anchor, which counts for nothing; the next round begins again. Trouble here never stops a close.
"""

import asyncio
from collections.abc import Callable, Sequence

import structlog
from redis.exceptions import RedisError

from sureclose.fault_points import FaultPoint, reach
from sureclose.journal.archive import Archive, Leaving, NotAnchored
from sureclose.journal.lease import Lease
from sureclose.journal.record import ChainBroken
from sureclose.journal.segment import (
    Reading,
    SegmentUnreadable,
    Written,
    clear_temporary,
    put_in_place,
    write,
)
from sureclose.streams.wire import wait_set

log = structlog.get_logger()

LOOK_S = 1.0
RETRY_S = 10.0
"""After a failure: a full disk does not become free sooner."""


class Archiver:
    """``lease`` gives the lease while this process holds it; every script checks it again.

    While closes are under way (``busy``) it waits for a quiet moment, for as long as the log has room.
    """

    def __init__(
        self,
        archive: Archive,
        account: str,
        lease: Callable[[], Lease | None],
        *,
        busy: Callable[[], bool] = lambda: False,
        look_s: float = LOOK_S,
    ) -> None:
        self._archive = archive
        self._account = account
        self._lease = lease
        self._busy = busy
        self._look_s = look_s
        self._cleared: Lease | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Until ``stop``; to be supervised."""
        wait = self._look_s
        while not await wait_set(stop, wait):
            wait = self._look_s
            held = self._lease()
            if held is None:
                continue
            try:
                if await self.round(held):
                    wait = 0.0
            except (RedisError, NotAnchored) as error:
                log.warning("not_archived", error=str(error))
            except (OSError, ChainBroken, SegmentUnreadable) as error:
                log.critical(
                    "not_archived", error=str(error), remedy="finished closes stay in the log until then"
                )
                wait = RETRY_S

    async def round(self, held: Lease) -> int:
        """One segment, if there is enough for one; how many closes left the log."""
        if self._cleared != held:
            await asyncio.to_thread(clear_temporary, self._archive.folder)
            self._cleared = held
        closes = await self._archive.due(patient=self._busy())
        if not closes:
            return 0
        place = await self._archive.next_place()
        written = await asyncio.to_thread(self._write, place, closes)
        reach(FaultPoint.BEFORE_ANCHOR)
        await self._archive.anchor(held, written, place, closes)
        reach(FaultPoint.AFTER_ANCHOR)
        log.info("archived", segment=written.path.name, closes=written.closes, records=written.records)
        return written.closes

    def _write(self, place: tuple[int, str], closes: Sequence[Leaving]) -> Written:
        """In a thread: the file, durable under its name, and read back."""
        reach(FaultPoint.BEFORE_SEGMENT)
        stored = [leaving.stored for leaving in closes]
        written = write(self._archive.folder, self._account, *place, stored)
        reach(FaultPoint.AFTER_SEGMENT)
        put_in_place(written)
        reach(FaultPoint.AFTER_SEGMENT_NAMED)
        reading = Reading(written.path)
        if list(reading.closes()) != stored or reading.sha256 != written.sha256:
            raise SegmentUnreadable(f"{written.path} reads otherwise than it was written")
        return written
