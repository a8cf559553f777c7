"""The last step of a switch: the grant moves and the lease is given up, in one script."""

from collections.abc import Mapping

from sureclose.domain.authority import Authority
from sureclose.fault_points import FaultPoint, reach
from sureclose.journal import scripts
from sureclose.journal.authority import Changed
from sureclose.journal.keys import Keys
from sureclose.journal.lease import Lease
from sureclose.streams.wire import Wire

_switch = scripts.load("switch")


async def move_grant(
    wire: Wire,
    keys: Keys,
    before: Authority,
    after: Authority,
    *,
    held: Lease | None,
    events: str,
    said: Mapping[str, str],
) -> Changed:
    """Put the moved grant in the place of ``before`` and give up ``held``; without a lease only while nobody has one.

    Between the two nobody could hold the grant and not the lease, or the lease and not the grant.
    """
    grant = [part for pair in after.grant.items() for part in pair]
    event = [part for pair in said.items() for part in pair]
    owner, epoch = ("", "") if held is None else (held.owner, str(held.epoch))
    reach(FaultPoint.BEFORE_SWITCH)
    reply = await _switch.call(
        wire,
        [keys.grant, keys.freeze, events, keys.log, keys.lease, keys.leased],
        [before.revision, owner, epoch, len(grant), *grant, *event],
    )
    reach(FaultPoint.AFTER_SWITCH)
    assert isinstance(reply, bytes)
    return Changed(reply.decode())
