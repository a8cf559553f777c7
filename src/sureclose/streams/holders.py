"""Who holds what in a group, and whether he lives: a dead one's entries may be taken over, a living one's never."""

import re
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from sureclose.fault_points import FaultPoint, reach
from sureclose.streams.gone import gone_key
from sureclose.streams.groups import GroupInfo
from sureclose.streams.script import Script
from sureclose.streams.slots import MOST_SLOTS, slot_key
from sureclose.streams.wire import Wire
from sureclose.streams.zombies import REAP_IDLE_MS

DRAIN: Final = "backlog"
"""The role of who drains a backlog. Its names have slots of their own, so that it finds its own again."""

_NAME = re.compile(r"(.+)-([1-9][0-9]?)")

_TAKE_OVER = Script("""\
-- KEYS: stream, set of those that are gone, lease of the name, if it can have one. ARGV: group, us, the other, id after
-- which, count, milliseconds of silence. One script looks and takes: the other may just have come back, and what
-- somebody else has claimed meanwhile is not his any more. What is trimmed leaves the pending list here, so it is noted.
if KEYS[3] and redis.call('EXISTS', KEYS[3]) == 1 then return {} end
for _, facts in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
  local consumer = {}
  for n = 1, #facts, 2 do consumer[facts[n]] = facts[n + 1] end
  if consumer.name == ARGV[3] and consumer.idle < tonumber(ARGV[6]) then return {} end
end
local held = redis.call('XPENDING', KEYS[1], ARGV[1], '(' .. ARGV[4], '+', ARGV[5], ARGV[3])
if #held == 0 then return {} end
local ids = {}
for n = 1, #held do ids[n] = held[n][1] end
local taken, there = redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, unpack(ids)), {}
for n = 1, #taken do there[taken[n][1]] = true end
for n = 1, #ids do
  if not there[ids[n]] then redis.call('SADD', KEYS[2], ids[n]) end
end
return { ids[#ids], taken }
""")


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """One consumer. ``lives`` is by its leased name; without one, by when it was last heard."""

    name: str
    role: str
    """The first part of a slot's name; empty in any other."""
    pending: int
    idle_ms: int
    lives: bool
    slot: str = ""
    """The key of its lease, where a name can have one."""
    silence_ms: int
    """How long it must have been silent to be taken for dead."""


def drain_group(group: str) -> str:
    """Under what its drains take their slots."""
    return f"{group}:{DRAIN}"


async def holders(
    wire: Wire, prefix: str, info: GroupInfo, roles: Iterable[str], silence_ms: int = REAP_IDLE_MS
) -> list[Holder]:
    """The consumers of a group. ``roles`` are ours: their names are leased, and dead as soon as they are not.

    Any other name is dead after ``silence_ms``: it may belong to a program that leases nothing.
    """
    ours = {*roles, DRAIN}
    found = []
    for consumer in info.consumers:
        role, slot = _slot(prefix, info.group, consumer.name)
        leased = bool(slot) and await wire.execute_command(b"EXISTS", slot) == 1
        silence = 0 if role in ours else silence_ms
        found.append(
            Holder(
                name=consumer.name,
                role=role,
                pending=consumer.pending,
                idle_ms=consumer.idle_ms,
                lives=leased or consumer.idle_ms < silence,
                slot=slot,
                silence_ms=silence,
            )
        )
    return found


def _slot(prefix: str, group: str, name: str) -> tuple[str, str]:
    found = _NAME.fullmatch(name)
    if found is None or int(found[2]) > MOST_SLOTS:
        return "", ""
    within = drain_group(group) if found[1] == DRAIN else group
    return found[1], slot_key(prefix, within, int(found[2]))


async def take_over(
    wire: Wire, stream: str, group: str, holder: Holder, consumer: str, after: str, count: int
) -> tuple[str, list[Any]]:
    """A page of what a dead one holds, now ours: the last id looked at, empty at the end, and the entries as the wire has them.

    Those that were trimmed are not among them, and noted as ``streams.gone`` has it.
    """
    keys = [stream, gone_key(stream, group), *([holder.slot] if holder.slot else [])]
    args: list[bytes | str | int] = [group, consumer, holder.name, after, count, holder.silence_ms]
    reach(FaultPoint.BEFORE_CLAIM)
    reply: Any = await _TAKE_OVER.call(wire, keys, args)
    reach(FaultPoint.AFTER_CLAIM)
    return (reply[0].decode(), reply[1]) if reply else ("", [])
