"""Each process says every few seconds which components it runs: who is gone is seen by their silence (incident 77)."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Final

import msgspec
import structlog
from redis.exceptions import RedisError

from sureclose.domain.components import Facts, Presence, component_of, scope_of
from sureclose.journal.keys import Keys
from sureclose.services import identity
from sureclose.streams.wire import Wire, pairs, wait_set

log = structlog.get_logger()

EVERY_S: Final = 5.0
KEPT_MS: Final = 7 * 24 * 3_600_000
MOST: Final = 300
"""Processes that are remembered: those that were silent the longest go first."""
PRUNE_S: Final = 3_600.0


class Registry:
    """The announcements of one process. ``wall`` gives the log's milliseconds, ``facts`` what is so here now."""

    def __init__(
        self,
        wire: Wire,
        keys: Keys,
        roles: Iterable[str],
        worker: str,
        *,
        started_at: int,
        facts: Callable[[str], Facts],
        wall: Callable[[], int],
        every_s: float = EVERY_S,
    ) -> None:
        self._wire = wire
        self._keys = keys
        self._roles = tuple(map(str, roles))
        self._worker = worker
        self._started_at = started_at
        self._facts = facts
        self._wall = wall
        self._every_s = every_s
        self._prune_due = 0
        self._fails = False

    async def run(self, stop: asyncio.Event) -> None:
        """Announce at once and until ``stop``; to be supervised."""
        while not stop.is_set():
            await self.announce()
            await wait_set(stop, self._every_s)

    async def announce(self, *, stopped: bool = False) -> None:
        """Say it once; with ``stopped``, for the last time. A log that is away hears it the next time."""
        now = self._wall()
        said = [self._presence(role, now, stopped=stopped) for role in self._roles]
        fields = [part for one in said for part in (one.name, msgspec.json.encode(one))]
        try:
            await self._wire.execute_command(b"HSET", self._keys.components, *fields)
            if now >= self._prune_due or await self._count() > MOST:
                await prune(self._wire, self._keys, now)
                self._prune_due = now + round(PRUNE_S * 1000)
        except (RedisError, OSError) as error:
            told = log.debug if self._fails else log.warning
            told("not_announced", error=str(error), remedy="it is said again every few seconds")
            self._fails = True
        else:
            self._fails = False

    def _presence(self, role: str, now: int, *, stopped: bool) -> Presence:
        component = component_of(role)
        producer = identity.producer(role)
        return Presence(
            component=component,
            scope=scope_of(component),
            version=producer.version,
            host=producer.host,
            pid=producer.pid,
            worker=self._worker,
            started_at=self._started_at,
            at=now,
            roles=self._roles,
            stopped_at=now if stopped else None,
            facts=Facts() if stopped else self._facts(role),
        )

    async def _count(self) -> int:
        return int(await self._wire.execute_command(b"HLEN", self._keys.components))


async def announced(wire: Wire, keys: Keys) -> tuple[Presence, ...]:
    """What everybody said last, the newest first. What this version can't read is passed over; raises ``RedisError``."""
    found = (one for one in (await _read(wire, keys)).values() if one is not None)
    return tuple(sorted(found, key=lambda one: (-one.at, one.name)))


async def prune(wire: Wire, keys: Keys, now: int) -> int:
    """Forget who was silent for a week, and the most silent beyond ``MOST``; how many. A living one is back in 5 s."""
    found = await _read(wire, keys)
    gone = surplus({name: 0 if one is None else one.at for name, one in found.items()}, now)
    if gone:
        await wire.execute_command(b"HDEL", keys.components, *gone)
    return len(gone)


def surplus(at: Mapping[bytes, int], now: int) -> list[bytes]:
    """The fields that go, of all with their times."""
    newest_first = sorted(at, key=lambda name: (-at[name], name))
    return [name for number, name in enumerate(newest_first) if number >= MOST or now - at[name] > KEPT_MS]


async def _read(wire: Wire, keys: Keys) -> dict[bytes, Presence | None]:
    """By field; None is one that can't be read, as of another version."""
    reply = await wire.execute_command(b"HGETALL", keys.components)
    found: dict[bytes, Presence | None] = {}
    for name, value in reply.items() if isinstance(reply, dict) else pairs(reply).items():
        try:
            found[name] = msgspec.json.decode(value, type=Presence)
        except msgspec.DecodeError as error:
            found[name] = None
            log.debug("presence_unreadable", name=name.decode(errors="replace"), why=str(error))
    return found
