"""The lease: which process uses the grant now. Its epoch only grows, and every script checks it."""

from typing import Final

import msgspec

from sureclose.domain.authority import Component, LastLease
from sureclose.fault_points import FaultPoint, reach
from sureclose.journal import scripts
from sureclose.journal.keys import Keys
from sureclose.streams.wire import Wire, hash_texts

TTL_MS = 3_000
"""How long a lease outlives its last renewal: the longest pause of a holder that nobody notices."""

REIGNS_KEPT: Final = 10_000
"""How many leases are remembered: the record of starts and takeovers, some megabyte at most."""

_take = scripts.load("lease_take")
_renew = scripts.load("lease_renew")
_drop = scripts.load("lease_drop")


class Lease(msgspec.Struct, frozen=True):
    """A held lease. It is only worth what the scripts say: a paused holder may not know that it lost it."""

    owner: str
    epoch: int


async def take(
    wire: Wire,
    keys: Keys,
    owner: str,
    ttl_ms: int = TTL_MS,
    *,
    component: str = Component.EXECUTION_SERVICE,
    above: int = 0,
) -> Lease | None:
    """The lease with a new epoch, higher than ``above``, or ``None`` while another process holds it or another the grant.

    The safety controller's lease is no controller's: it proves nothing about the path.
    """
    controls = component != Component.SAFETY_CONTROLLER
    reach(FaultPoint.BEFORE_LEASE)
    epoch = await _take.call(
        wire,
        [keys.lease, keys.epoch, keys.leased, keys.reigns, keys.grant],
        [owner, ttl_ms, above, component, int(controls), REIGNS_KEPT],
    )
    assert isinstance(epoch, int)
    reach(FaultPoint.AFTER_LEASE)
    return Lease(owner, epoch) if epoch else None


async def renew(wire: Wire, keys: Keys, lease: Lease, ttl_ms: int = TTL_MS) -> bool:
    """Whether the lease is still held; if so, for another ``ttl_ms`` milliseconds."""
    reach(FaultPoint.BEFORE_RENEWAL)
    renewed = await _renew.call(wire, [keys.lease, keys.leased], [lease.owner, lease.epoch, ttl_ms])
    reach(FaultPoint.AFTER_RENEWAL)
    return bool(renewed)


async def drop(wire: Wire, keys: Keys, lease: Lease) -> None:
    """Give the lease up, so that the next process need not wait for it to run out."""
    reach(FaultPoint.BEFORE_DROP)
    await _drop.call(wire, [keys.lease, keys.leased], [lease.owner, lease.epoch])
    reach(FaultPoint.AFTER_DROP)


async def holder(wire: Wire, keys: Keys) -> Lease | None:
    """Who holds the lease now."""
    owner, epoch = await wire.execute_command(b"HMGET", keys.lease, "owner", "epoch")
    return Lease(owner.decode(), int(epoch)) if owner is not None else None


async def epoch(wire: Wire, keys: Keys) -> int:
    """The newest epoch that was given out, to whomever; 0 before the first."""
    return int(await wire.execute_command(b"GET", keys.epoch) or 0)


async def last(wire: Wire, keys: Keys) -> LastLease | None:
    """The last lease of a controller, held or not; ``None`` before the first."""
    found = hash_texts(await wire.execute_command(b"HGETALL", keys.leased))
    return LastLease.of(found) if found else None
