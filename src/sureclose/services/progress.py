"""One line every few seconds while closes are under way, so that a long queue is seen to move."""

import asyncio
from collections import Counter
from typing import Final

import structlog

from sureclose.services.engine import Engine
from sureclose.streams.wire import wait_set
from sureclose.venue.port import Venue

log = structlog.get_logger()

EVERY_S: Final = 5.0


async def say_progress(engine: Engine, venue: Venue, over: asyncio.Event) -> None:
    """How many closes are in which state, how many wait for an order slot, and how long the venue's limits hold them."""
    while not await wait_set(over, EVERY_S):
        states = Counter(type(closing.state).__name__.lower() for closing in engine.under_way)
        if states:
            log.info(
                "closes_under_way",
                closes=states.total(),
                states=", ".join(f"{state}:{count}" for state, count in sorted(states.items())),
                orders_queued=venue.order_queue,
                next_order_in_ms=venue.order_wait_ms(),
            )
