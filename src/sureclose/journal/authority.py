"""Grant and freeze as the log holds them; the gate reads the same keys."""

from collections.abc import Iterable, Mapping
from enum import StrEnum

from sureclose.domain.authority import Authority, LastLease
from sureclose.fault_points import FaultPoint, reach
from sureclose.journal import scripts
from sureclose.journal.keys import Keys
from sureclose.streams.wire import Wire, hash_texts

_standing = scripts.load("standing", fenced=False)
_change = scripts.load("change")


class Changed(StrEnum):
    """What became of a change."""

    OK = "OK"
    MOVED = "MOVED"
    """The record is another one by now: read it and think again."""
    HELD = "HELD"
    """Somebody holds the lease."""


async def standing(wire: Wire, keys: Keys) -> Authority:
    """The grant and the freeze as recorded."""
    found = await _standing.call(wire, [keys.grant, keys.freeze], [])
    assert isinstance(found, list)
    grant, freeze = map(hash_texts, found)
    return Authority.of(grant, freeze)


async def change(
    wire: Wire,
    keys: Keys,
    before: Authority,
    after: Authority,
    *,
    events: str,
    said: Iterable[Mapping[str, str]],
    absent: LastLease | None = None,
) -> Changed:
    """Put one record in the place of another, with what is said of it on ``events``, in one script.

    With ``absent`` only while nobody holds a lease and that one was the last.
    """
    args: list[bytes | str | int] = [before.revision, "" if absent is None else absent.epoch]
    for record in (after.grant, after.freeze, *said):
        args += [2 * len(record), *(part for pair in record.items() for part in pair)]
    reach(FaultPoint.BEFORE_CHANGE)
    reply = await _change.call(
        wire,
        [keys.grant, keys.freeze, events, keys.log, keys.lease, keys.leased],
        args,
    )
    reach(FaultPoint.AFTER_CHANGE)
    assert isinstance(reply, bytes)
    return Changed(reply.decode())
