"""The probe of an audit: an executor process beside what runs is killed and started again, and nothing must come of it."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Final

import msgspec

from sureclose.domain.market import OrderReport, Position, Trade
from sureclose.domain.quantity import ZERO
from sureclose.journal import lease
from sureclose.journal.checking.audited import Probe
from sureclose.operate.audit_venue import lines
from sureclose.operate.executor import ChildExecutor
from sureclose.operate.session import Session
from sureclose.operate.verify import Progress
from sureclose.venue.port import Purpose

START_S: Final = 30.0
"""How long an executor may take from its start until it asks for the lease."""
LEASE_S: Final = 10.0
"""How long it may take to get it: the one before runs out first."""
_POLL_S: Final = 0.1
_LOOKS: Final = 4
"""How often positions and trades that don't fit together are read again."""
_BETWEEN_S: Final = 1.0
_UP: Final = "listening"
"""What the log of a process says once it is up."""

_Place = tuple[str, str]


class ProbeFailed(Exception):
    """The probe could not be made; the message says why. The log of its process says more."""


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """What the venue showed at one time (venue milliseconds)."""

    at: int
    positions: tuple[Position, ...]


async def probe(session: Session, child: ChildExecutor, logfile: Path, progress: Progress) -> Probe:
    """Kill an executor of our own and start it again, between two looks at the venue.

    Raises ``ProbeFailed``, ``VenueError`` and ``RedisError``.
    """
    began_at = session.clock.now()
    before = await _snapshot(session)
    try:
        progress("probe: starting an executor beside what runs")
        await child.start()
        held = await _up(session, child, logfile, starts=1)
        killed = child.pid
        progress(f"probe: killing process {killed}, which {'holds the lease' if held else 'stands by'}")
        await child.kill_and_restart()
        await _up(session, child, logfile, starts=2)
    finally:
        await child.stop()
    orders, differences = await _differences(session, before)
    return Probe(
        began_at=began_at,
        ended_at=session.clock.now(),
        how=child.how,
        killed=killed,
        held_the_lease=held,
        positions=lines(before.positions),
        orders=orders,
        differences=differences,
    )


async def _up(session: Session, child: ChildExecutor, logfile: Path, starts: int) -> bool:
    """Wait until it asks for the lease, and has it or sees that somebody else does; whether it has it."""
    give_up_at = session.monotonic() + START_S
    while (await asyncio.to_thread(logfile.read_text, errors="replace")).count(_UP) < starts:
        if child.returncode is not None:
            raise ProbeFailed(f"the executor of the probe ended with {child.returncode}: see {logfile}")
        if session.monotonic() >= give_up_at:
            raise ProbeFailed(f"the executor of the probe was not up within {START_S:g} s: see {logfile}")
        await asyncio.sleep(_POLL_S)
    asked_at = session.monotonic()
    while session.monotonic() < asked_at + LEASE_S:
        holder = await lease.holder(session.wire, session.keys)
        if holder is not None and f":{child.pid}:" in holder.owner:
            return True
        if holder is not None and session.monotonic() >= asked_at + lease.TTL_MS / 1000:
            return False  # a dead process's lease would be over by now
        await asyncio.sleep(_POLL_S)
    raise ProbeFailed(f"nobody had the lease for {LEASE_S:g} s: see {logfile}")


# The venue ---------------------------------------------------------------------------------------------------------


async def _snapshot(session: Session) -> Snapshot:
    at = await session.venue.server_time()
    return Snapshot(at=at, positions=tuple(await session.venue.positions()))


async def _differences(session: Session, before: Snapshot) -> tuple[int, tuple[str, ...]]:
    """How many orders of ours there are since, and what changed that no journalled close and no other's trade explains."""
    for look in range(_LOOKS):
        after = await _snapshot(session)
        symbols = {
            *await session.venue.symbols_since(before.at, Purpose.OBSERVE),
            *(position.symbol for position in (*before.positions, *after.positions)),
        }
        orders: list[OrderReport] = []
        trades: list[Trade] = []
        for symbol in sorted(symbols):
            orders += await session.venue.orders_since(symbol, before.at, Purpose.OBSERVE)
            trades += await session.venue.trades_since(symbol, before.at, Purpose.OBSERVE)
        prefix = session.venue_settings.client_order_id_prefix
        ours = [order for order in orders if order.client_order_id.startswith(prefix)]
        strange = [
            f"order {order.order_id} ({order.client_order_id}) {order.side} {order.orig_qty:f} {order.symbol}"
            " came meanwhile, and no close of the journal sent it"
            for order in ours
            if await session.journal.plan_of(order.client_order_id) is None
        ]
        moved = unexplained(before.positions, after.positions, trades)
        if not moved or look + 1 == _LOOKS:
            return len(ours), (*strange, *moved)
        await asyncio.sleep(_BETWEEN_S)
    raise AssertionError("not reached")


def unexplained(
    before: Iterable[Position], after: Iterable[Position], trades: Iterable[Trade]
) -> tuple[str, ...]:
    """Positions that moved by something else than the trades between two reads of them."""
    was, now = _amounts(before), _amounts(after)
    since = {(one.symbol, str(one.position_side)): one.update_time for one in before}
    traded: defaultdict[_Place, Decimal] = defaultdict(lambda: ZERO)
    for trade in trades:
        place = trade.symbol, str(trade.position_side)
        if trade.time > since.get(place, 0):
            traded[place] += trade.signed
    return tuple(
        f"{' '.join(place)} moved from {was.get(place, ZERO):f} to {now.get(place, ZERO):f}, and its trades make"
        f" {traded[place]:f}"
        for place in sorted({*was, *now, *traded})
        if now.get(place, ZERO) - was.get(place, ZERO) != traded[place]
    )


def _amounts(positions: Iterable[Position]) -> Mapping[_Place, Decimal]:
    return {(one.symbol, str(one.position_side)): one.amount for one in positions}
