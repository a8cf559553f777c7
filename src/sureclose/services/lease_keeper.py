"""The keeper of a lease: who can't renew it in time has lost it, whoever has it now."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog
from redis.exceptions import RedisError

from sureclose.journal import lease
from sureclose.journal.keys import Keys
from sureclose.journal.lease import Lease
from sureclose.streams.wire import Wire, wait_set

log = structlog.get_logger()

RENEW_S: Final = 1.0


async def keep_lease(
    wire: Wire,
    keys: Keys,
    held: Lease,
    over: asyncio.Event,
    done: asyncio.Event,
    monotonic: Callable[[], float],
    watch: Callable[[], Awaitable[str]],
    *,
    answered: Callable[[bool], None] = lambda _: None,
    every_s: float = RENEW_S,
) -> None:
    """Renew until ``done``; ``watch`` says after each renewal why the reign has to end, or nothing.

    When it is lost, or the reign is over, both events are set. ``answered`` is told whether the log answers, ``monotonic`` gives seconds.
    """
    renewed_at = monotonic()
    while not await wait_set(done, every_s):
        asked_at = monotonic()
        try:
            renewed = await lease.renew(wire, keys, held)
            answered(True)
            why = await watch() if renewed else "another process has it"
            if not why:
                renewed_at = asked_at
                continue
            lost = not renewed
        except (RedisError, OSError) as error:
            answered(False)
            if asked_at - renewed_at < lease.TTL_MS / 1000:
                continue
            why, lost = f"not renewed in time: {error}", True
        if lost:
            log.error("lease_lost", epoch=held.epoch, why=why)
        else:
            log.warning("reign_over", epoch=held.epoch, why=why)
        done.set()
        over.set()
