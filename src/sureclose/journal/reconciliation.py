"""The record of a comparison with the venue after a loss of the log, and the script that makes the log whole by it."""

from collections.abc import Mapping, Sequence

import msgspec

from sureclose.domain.market import OrderReport
from sureclose.journal import scripts
from sureclose.journal.keys import Keys
from sureclose.journal.lease import Lease
from sureclose.journal.verdict import Fenced, Verdict
from sureclose.streams.wire import Wire

_joined = scripts.load("joined")
_MOST_BEFORE = 16


class Reconciliation(msgspec.Struct, frozen=True, kw_only=True):
    """What was found. Times are milliseconds, ``at`` and ``detected_at`` by the venue's clock."""

    trigger: str
    worker: str
    epoch: int
    detected_at: int
    at: int
    since: int
    """From when on the venue's orders were read."""
    symbols: tuple[str, ...]
    orders: int
    """Orders of our prefix that the venue showed."""
    orphans: tuple[str, ...]
    """Client order ids of those that the log did not know."""


async def join(
    wire: Wire,
    keys: Keys,
    lease: Lease,
    *,
    identity: str,
    before: Sequence[str],
    run_id: str,
    found: Reconciliation,
    orphans: Sequence[OrderReport],
    events: str,
    event: Mapping[str, str],
) -> int:
    """Give the log its new identity and what it had lost of the venue's orders; returns its count of writes.

    Raises ``Fenced`` when the lease is gone.
    """
    facts = [part for order in orphans for part in (order.client_order_id, msgspec.json.encode(order))]
    reply = await _joined.call(
        wire,
        [keys.lease, keys.log, keys.orphans, keys.reconciliation, events],
        [
            lease.owner,
            lease.epoch,
            identity,
            " ".join(list(dict.fromkeys(before))[-_MOST_BEFORE:]),
            run_id,
            len(orphans),
            *facts,
            2,
            "found",
            msgspec.json.encode(found),
            *(part for pair in event.items() for part in pair),
        ],
    )
    assert isinstance(reply, list)
    verdict = Verdict(reply[0].decode())
    if verdict is not Verdict.OK:
        raise Fenced(verdict)
    written: int = reply[2]
    return written


async def last_found(wire: Wire, keys: Keys) -> Reconciliation | None:
    """What the last reconciliation found; ``None`` when there never was one."""
    found = await wire.execute_command(b"HGET", keys.reconciliation, "found")
    return None if found is None else msgspec.json.decode(found, type=Reconciliation)
