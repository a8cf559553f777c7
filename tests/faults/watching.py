"""One reader for many scenarios: of the exchange's books, and of what our streams say."""

import asyncio
import contextlib
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from typing import Any, Final, NamedTuple

from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from tests.acceptance.world import Fields, Records, World, eventually

BOOKS_EVERY_S: Final = 0.05
BLOCK_MS: Final = 200
_JOURNAL: Final = "sureclose:paper:main:journal"
_RESULTS: Final = "execution.result"


class Result(NamedTuple):
    """One entry of ``execution.result``; ``at`` is when the log took it, milliseconds."""

    at: int
    fields: Fields


class Watch:
    """Books are read at most every 50 ms, for all who wait; the streams are followed from their beginning.

    Without ``journal`` only the outcomes are, which is all that thousands of closes need.
    """

    def __init__(self, world: World, *, journal: bool = True) -> None:
        self._world = world
        self._streams = (_RESULTS, _JOURNAL) if journal else (_RESULTS,)
        self._asking: list[asyncio.Future[Records]] = []
        self._reader: asyncio.Task[None] | None = None
        self._results: defaultdict[str, list[Result]] = defaultdict(list)
        self._facts: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
        self._told = asyncio.Condition()

    # The exchange ----------------------------------------------------------------------------------------------------

    async def books(self) -> Records:
        """As they are after this call."""
        answer: asyncio.Future[Records] = asyncio.get_running_loop().create_future()
        self._asking.append(answer)
        if self._reader is None:
            self._reader = asyncio.create_task(self._read_books(), name="books")
        return await answer

    async def _read_books(self) -> None:
        while self._asking:
            asking, self._asking = self._asking, []
            try:
                found = await self._world.exchange.records()
            except Exception as error:  # noqa: BLE001 - not swallowed: all who wait get it
                for answer in asking:
                    answer.set_exception(error)
            else:
                for answer in asking:
                    if not answer.done():
                        answer.set_result(found)
            await asyncio.sleep(BOOKS_EVERY_S)
        self._reader = None

    async def until(self, what: str, holds: Callable[[Records], bool], seconds: float) -> None:
        """Wait until the books show it."""

        async def probe() -> bool | None:
            return holds(await self.books()) or None

        await eventually(what, probe, seconds)

    # Our streams -----------------------------------------------------------------------------------------------------

    def results(self, plan_id: str) -> list[Result]:
        """All that was published so far of the plan, or of the intent that it came from."""
        return list(self._results[plan_id])

    def facts(self, plan_id: str) -> list[dict[str, Any]]:
        """The plan's journal so far: each record's fact, with its time (``at``) and hash."""
        return list(self._facts[plan_id])

    async def outcome(self, plan_id: str, seconds: float) -> Result:
        """The first outcome of the plan."""
        try:
            async with asyncio.timeout(seconds), self._told:
                await self._told.wait_for(lambda: bool(self._results[plan_id]))
        except TimeoutError:
            known = [fact["fact"] for fact in self._facts[plan_id]]
            raise AssertionError(
                f"no outcome of plan {plan_id} within {seconds:g} s; journal: {known}"
            ) from None
        return self._results[plan_id][0]

    async def follow(self, stop: asyncio.Event) -> None:
        """Read on until told to stop: a read of the log that is cancelled may not end."""
        prefix = self._world.log.prefix
        after: Any = {prefix + name: "0" for name in self._streams}
        async with Redis.from_url(self._world.log.url, decode_responses=True) as client:
            while not stop.is_set():
                try:
                    found: Any = await client.xread(after, count=500, block=BLOCK_MS)
                except RedisTimeoutError:
                    # The loop stood still while other tests had the processor; by its ids the read loses nothing.
                    continue
                except RedisConnectionError:
                    # The log was killed, and is on its way back or missed by whoever waits for an outcome.
                    await asyncio.sleep(BLOCK_MS / 1000)
                    continue
                for name, entries in found or []:
                    for entry_id, fields in entries:
                        self._note(name.removeprefix(prefix), entry_id, fields)
                    after[name] = entries[-1][0]
                async with self._told:
                    self._told.notify_all()

    def _note(self, stream: str, entry_id: str, fields: Fields) -> None:
        if stream == _RESULTS:
            result = Result(int(entry_id.partition("-")[0]), fields)
            for name in {fields["plan_id"], fields.get("intent_id", "")}:
                self._results[name].append(result)
            return
        body = json.loads(fields["body"])
        self._facts[body["plan_id"]].append({**body["fact"], "at": body["at"], "hash": fields["hash"]})


@contextlib.asynccontextmanager
async def watching(world: World, *, journal: bool = True) -> AsyncIterator[Watch]:
    watch = Watch(world, journal=journal)
    stop = asyncio.Event()
    following = asyncio.create_task(watch.follow(stop), name="follow")
    try:
        yield watch
    finally:
        stop.set()
        await following
