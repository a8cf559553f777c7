"""One environment reads the streams of a prefix at a time: paper, demo and live share groups there, and each other's entries.

Two that read one group would each be given half of the approvals, and acknowledge the other's as none of theirs.
"""

import asyncio
from typing import Final

import structlog
from redis.exceptions import RedisError

from sureclose.domain.words import Mode
from sureclose.journal import scripts
from sureclose.streams.wire import Wire, wait_set

log = structlog.get_logger()

LIFE_MS: Final = 6_000
RENEW_S: Final = 2.0

_hold = scripts.load("environment", fenced=False)


class EnvironmentTaken(Exception):
    """Another environment's processes read these streams now."""

    def __init__(self, mode: Mode, other: str, prefix: str) -> None:
        super().__init__(
            f"{prefix}* is read by processes of the environment {other}, and this is {mode}: give each environment a "
            "streams.prefix or a log of its own, or stop those first"
        )


class Environment:
    """The right of one environment to the streams, kept by whoever runs in it; it runs out by itself."""

    def __init__(self, wire: Wire, prefix: str, mode: Mode) -> None:
        self._wire = wire
        self._prefix = prefix
        self._mode = mode

    async def take(self) -> None:
        """Raises ``EnvironmentTaken``, and what the log raises."""
        key = f"{self._prefix}sureclose:environment"
        reply = await _hold.call(self._wire, [key], [str(self._mode), LIFE_MS])
        assert isinstance(reply, bytes)
        if reply.decode() != self._mode:
            raise EnvironmentTaken(self._mode, reply.decode(), self._prefix)

    async def await_turn(self, stop: asyncio.Event) -> None:
        """``take``, once the processes of another environment that have just ended let go: at most as long as that takes."""
        said = False
        for _ in range(LIFE_MS // 500 + 1):
            try:
                return await self.take()
            except EnvironmentTaken as error:
                if not said:
                    log.warning("environment_taken", error=str(error), waits_ms=LIFE_MS)
                said = True
                if await wait_set(stop, 0.5):
                    return None
        return await self.take()

    async def keep(self, stop: asyncio.Event) -> None:
        """Until ``stop``; to be supervised. Ends with ``EnvironmentTaken`` when another one came while the log was away."""
        while not await wait_set(stop, RENEW_S):
            try:
                await self.take()
            except RedisError as error:
                log.debug("environment_not_kept", error=str(error))
