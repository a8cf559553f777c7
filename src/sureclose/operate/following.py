"""Following closes: one reader of the streams a process, and whoever waits is woken when there is something to look at."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Final

import structlog
from redis.exceptions import RedisError

from sureclose.operate.asking import Asked
from sureclose.operate.closes import CloseView, look
from sureclose.operate.session import Session
from sureclose.streams.groups import stream_info
from sureclose.streams.names import StreamName
from sureclose.streams.wire import Wire, pairs, wait_set

log = structlog.get_logger()

_RETRY_S: Final = 1.0
_COUNT: Final = 1_000
COMMAND_BLOCK_MS: Final = 100
"""How long a command may wait for its reader when it ends: reads are never cancelled."""
_STREAMS: Final = (StreamName.APPLY_RESULT, StreamName.EXECUTION_RESULT, StreamName.DEAD_LETTER)
_ABOUT: Final = (b"plan_id", b"intent_id", b"id", b"entry_id")
"""The fields by which an entry of those streams says what it is about."""


class Follower:
    """Reads results, dead letters, refusals and the journal while somebody waits. To be supervised; nothing is owed to who waits.

    Whoever comes first is woken once it reads, so that nothing falls between his look and its first read. While the log does
    not answer everybody is woken now and then: a look tells them what is wrong.
    """

    def __init__(self, session: Session, block_ms: int | None = None) -> None:
        self._session = session
        self._block_ms = block_ms or session.log.settings.block_ms
        self._waiting: dict[str, set[asyncio.Event]] = defaultdict(set)
        self._wanted = asyncio.Event()

    @contextmanager
    def waiting(self, *names: str) -> Iterator[asyncio.Event]:
        """An event that is set when something is said of a plan, intent or entry of those names.

        Look after entering, then wait, clear, and look again: so nothing is missed.
        """
        event = asyncio.Event()
        for name in names:
            self._waiting[name].add(event)
        self._wanted.set()
        try:
            yield event
        finally:
            for name in names:
                self._waiting[name].discard(event)
                if not self._waiting[name]:
                    del self._waiting[name]
            if not self._waiting:
                self._wanted.clear()

    @property
    def size(self) -> int:
        """How many names are waited for."""
        return len(self._waiting)

    async def run(self, stop: asyncio.Event) -> None:
        """Until ``stop``."""
        while not stop.is_set():
            await _either(self._wanted, stop)
            if stop.is_set():
                return
            try:
                await self._follow(stop)
            except (RedisError, OSError) as error:
                log.warning("following_failed", error=str(error))
                self._wake_all()
                await wait_set(stop, _RETRY_S)

    async def _follow(self, stop: asyncio.Event) -> None:
        session = self._session
        streams = [*map(session.streams.full, _STREAMS), session.keys.refused, session.keys.journal]
        async with session.log.reader() as client:
            wire: Wire = client
            since = {stream: await _last_id(wire, stream) for stream in streams}
            self._wake_all()
            while self._waiting and not stop.is_set():
                reply = await wire.execute_command(
                    b"XREAD",
                    b"COUNT",
                    _COUNT,
                    b"BLOCK",
                    self._block_ms,
                    b"STREAMS",
                    *since.keys(),
                    *since.values(),
                )
                for stream, entries in reply or ():
                    since[stream.decode()] = entries[-1][0].decode()
                    for _, flat in entries:
                        fields = pairs(flat)
                        for name in _ABOUT:
                            self._wake(fields.get(name, b"").decode(errors="replace"))

    def _wake(self, name: str) -> None:
        for event in self._waiting.get(name, ()):
            event.set()

    def _wake_all(self) -> None:
        for events in self._waiting.values():
            for event in events:
                event.set()


@asynccontextmanager
async def follower(session: Session) -> AsyncIterator[Follower]:
    """One of a command's own, until it leaves."""
    stop = asyncio.Event()
    found = Follower(session, block_ms=COMMAND_BLOCK_MS)
    running = asyncio.create_task(found.run(stop), name="following")
    try:
        yield found
    finally:
        stop.set()
        await running


async def follow(session: Session, found: Follower, asked: Asked) -> AsyncIterator[CloseView]:
    """The close as it is, and again whenever it is another one, until its state is final."""
    with found.waiting(asked.plan_id, asked.intent_id, asked.entry_id) as news:
        before = None
        while True:
            news.clear()
            view = await look(session, asked.intent_id)
            if view is not None and view != before:
                before = view
                yield view
                if view.final:
                    return
            await news.wait()


async def follow_all(
    session: Session, found: Follower, wishes: Sequence[Asked]
) -> AsyncIterator[tuple[Asked, CloseView]]:
    """The same of several at once, until all are final."""
    queue: asyncio.Queue[tuple[Asked, CloseView] | None] = asyncio.Queue()

    async def one(asked: Asked) -> None:
        async for view in follow(session, found, asked):
            queue.put_nowait((asked, view))

    async def all_of_them() -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for asked in wishes:
                    group.create_task(one(asked))
        finally:
            queue.put_nowait(None)

    following = asyncio.create_task(all_of_them(), name="following all")
    try:
        while (item := await queue.get()) is not None:
            yield item
        await following
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


async def _either(one: asyncio.Event, other: asyncio.Event) -> None:
    """Until one of the two is set."""
    waits = [asyncio.create_task(event.wait()) for event in (one, other)]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


async def _last_id(wire: Wire, stream: str) -> str:
    info = await stream_info(wire, stream)
    return "0-0" if info is None else info.last_id
