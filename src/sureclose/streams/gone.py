"""Entries that were trimmed before anybody finished them: a claim takes them off the pending list, and tells it once.

So the claim notes them in the same script, and the note goes when the dead letter is there, in one script too: who dies
in between, or doesn't hear the answer, leaves a note to the next.
"""

from collections.abc import Sequence
from typing import Any

from sureclose.fault_points import FaultPoint, reach
from sureclose.streams.publish import Event
from sureclose.streams.script import Script
from sureclose.streams.wire import Wire

_CLAIM = Script("""\
local reply = redis.call('XAUTOCLAIM', KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4], 'COUNT', ARGV[5])
for _, gone in ipairs(reply[3]) do redis.call('SADD', KEYS[2], gone) end
return reply
""")
_TELL = Script("""\
if redis.call('SISMEMBER', KEYS[1], ARGV[1]) == 0 then return 0 end
redis.call('XADD', KEYS[2], '*', unpack(ARGV, 2))
return redis.call('SREM', KEYS[1], ARGV[1])
""")


def gone_key(stream: str, group: str) -> str:
    """The set of a group's entries that are gone and not told yet."""
    return f"{stream}:gone:{group}"


async def claim(
    wire: Wire, stream: str, group: str, consumer: str, min_idle_ms: int, after: str, count: int
) -> list[Any]:
    """XAUTOCLAIM, with the ids of those that are gone noted before they are answered."""
    keys = [stream, gone_key(stream, group)]
    reach(FaultPoint.BEFORE_CLAIM)
    reply: Any = await _CLAIM.call(wire, keys, [group, consumer, min_idle_ms, after, count])
    reach(FaultPoint.AFTER_CLAIM)
    return list(reply)


async def noted(wire: Wire, stream: str, group: str) -> list[bytes]:
    """Who is gone and not told yet."""
    return list(await wire.execute_command(b"SMEMBERS", gone_key(stream, group)))


async def tell(wire: Wire, stream: str, group: str, entry_id: str, letters: Sequence[Event]) -> bool:
    """The dead letter of an entry that is gone; False if it is there already, or was never noted."""
    (letter,) = letters
    flat = [string for field in letter.fields.items() for string in field]
    reach(FaultPoint.BEFORE_LETTER)
    told = await _TELL.call(wire, [gone_key(stream, group), letter.stream], [entry_id, *flat])
    reach(FaultPoint.AFTER_LETTER)
    return told == 1
