"""Cancelling the account's resting orders for a close; whether it may, the log has said before."""

import asyncio
from collections.abc import Iterable

import structlog

from sureclose.domain.market import RestingOrder
from sureclose.fault_points import FaultPoint, reach
from sureclose.venue.errors import VenueError
from sureclose.venue.port import Venue

log = structlog.get_logger()


async def cancel(venue: Venue, orders: Iterable[RestingOrder], plan_id: str) -> None:
    """Ask for each once. What failed shows in the list that is read afterwards; each leaves a line in the log."""
    await asyncio.gather(*(_one(venue, order, plan_id) for order in orders))


async def _one(venue: Venue, order: RestingOrder, plan_id: str) -> None:
    told = {
        "plan_id": plan_id,
        "symbol": order.symbol,
        "client_order_id": order.client_order_id,
        "order_id": order.order_id,
        "order_type": order.order_type,
    }
    try:
        reach(FaultPoint.BEFORE_CANCEL)
        await venue.cancel(order)
        reach(FaultPoint.AFTER_CANCEL)
    except VenueError as error:
        log.warning("not_cancelled", **told, error=str(error), code=error.code)
    else:
        log.info("cancelled", **told)
