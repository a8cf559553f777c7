"""What a dry run is fed with: the wishes and approvals of the real streams, copied to its own.

It reads without a group, so that nothing is taken from anybody, nothing stays pending, and no stream waits for it to be
trimmed. What was copied twice is one plan.
"""

import asyncio
from typing import Final

import msgspec
import structlog
from redis.exceptions import RedisError

from sureclose.domain.events import Decision, EntryRef, Intent, Plan
from sureclose.services.reading import Wiring
from sureclose.services.settings import StreamSettings
from sureclose.streams.clock import LogClock
from sureclose.streams.codec import decode
from sureclose.streams.connection import Log
from sureclose.streams.deadletter import dead_letter
from sureclose.streams.encode import encode_decision, encode_intent, encode_plan
from sureclose.streams.fields import Unreadable
from sureclose.streams.names import StreamName
from sureclose.streams.publish import Event
from sureclose.streams.wire import Wire, pairs, wait_set

log = structlog.get_logger()

_COUNT: Final = 200
_RETRY_S: Final = 1.0


class Feed:
    """Copies ``real`` streams to those of ``wiring``; where it stands is kept in ``place``, a hash.

    At the first start it begins ``reach_ms`` ago: what is older would be too old for a close.
    """

    def __init__(
        self,
        connection: Log,
        real: StreamSettings,
        wiring: Wiring,
        place: str,
        clock: LogClock,
        reach_ms: int,
    ) -> None:
        self._log = connection
        self._wire: Wire = connection.commands()
        names = (real.intents, StreamName.APPLY_PLAN, StreamName.APPLY_RESULT)
        self._real = {real.full(name): name for name in names}
        self._wiring = wiring
        self._place = place
        self._clock = clock
        self._reach_ms = reach_ms

    async def run(self, stop: asyncio.Event) -> None:
        """Until ``stop``; to be supervised. Faults of the log are waited out."""
        while not stop.is_set():
            try:
                await self._follow(stop)
            except (RedisError, OSError) as error:
                log.warning("dry_run_not_fed", error=str(error))
                await wait_set(stop, _RETRY_S)

    async def _follow(self, stop: asyncio.Event) -> None:
        async with self._log.reader() as client:
            reader: Wire = client
            since = {stream: await self._since(stream) for stream in self._real}
            while not stop.is_set():
                reply = await reader.execute_command(
                    b"XREAD",
                    b"COUNT",
                    _COUNT,
                    b"BLOCK",
                    self._log.settings.block_ms,
                    b"STREAMS",
                    *since.keys(),
                    *since.values(),
                )
                for name, entries in reply or ():
                    stream = name.decode()
                    for entry_id, flat in entries:
                        since[stream] = entry_id.decode()
                        await self._copy(EntryRef(stream, since[stream]), pairs(flat))
                    await self._wire.execute_command(b"HSET", self._place, stream, since[stream])

    async def _since(self, stream: str) -> str:
        kept = await self._wire.execute_command(b"HGET", self._place, stream)
        return str(max(0, self._clock.now() - self._reach_ms)) if kept is None else str(kept.decode())

    async def _copy(self, ref: EntryRef, fields: dict[bytes, bytes]) -> None:
        event = self._event(ref, fields)
        if event is not None:
            said = (part for pair in event.fields.items() for part in pair)
            await self._wire.execute_command(b"XADD", event.stream, b"*", *said)

    def _event(self, ref: EntryRef, fields: dict[bytes, bytes]) -> Event | None:
        """The same wish under the same ids, as old as it was; what is none is left out."""
        wiring, name, now = self._wiring, self._real[ref.stream], self._clock.moment()
        decoded = decode(name, ref, fields, now_ms=now.latest, rules=wiring.rules)
        match decoded:
            case Intent():
                told = msgspec.structs.replace(decoded, cause=(*decoded.cause, ref))
                return wiring.event(wiring.streams.intents, encode_intent(told, wiring.producer, now.now))
            case Plan():
                planned = msgspec.structs.replace(decoded, cause=(*decoded.cause, ref))
                return wiring.event(StreamName.APPLY_PLAN, encode_plan(planned, wiring.producer, now.now))
            case Decision():
                decided = msgspec.structs.replace(decoded, cause=(*decoded.cause, ref))
                return wiring.event(
                    StreamName.APPLY_RESULT, encode_decision(decided, wiring.producer, now.now)
                )
            case Unreadable():
                letter = dead_letter(ref, fields, decoded, wiring.producer, now.now)
                return wiring.event(StreamName.DEAD_LETTER, letter)
            case _:
                return None
