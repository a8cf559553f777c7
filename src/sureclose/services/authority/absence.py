"""Whether nobody has held a valid lease for too long: whoever stops proving itself loses its authority."""

import msgspec

from sureclose.domain.authority import LastLease, absent_for
from sureclose.journal import lease
from sureclose.journal.keys import Keys
from sureclose.streams.report import read_started_at
from sureclose.streams.wire import Wire


class Absence(msgspec.Struct, frozen=True, kw_only=True):
    """Nobody holds a lease; ``last`` was the last one, and it has been over for ``ms`` milliseconds."""

    last: LastLease
    ms: int

    @property
    def reason(self) -> str:
        return (
            f"nobody has held a valid lease for {self.ms / 1000:.0f} s: the last was {self.last.component}'s"
        )


async def absence(wire: Wire, keys: Keys, now: int) -> Absence | None:
    """``None`` while somebody holds a lease, or nobody ever has. ``now`` is the log's time. Raises ``RedisError``."""
    last = await lease.last(wire, keys)
    if last is None or await lease.holder(wire, keys) is not None:
        return None
    return Absence(last=last, ms=absent_for(last, now, lease.TTL_MS, await read_started_at(wire, now)))
