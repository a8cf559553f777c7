"""Trimming that loses nothing: no entry goes that some group has not read, or has read and not finished (incident 85)."""

from typing import Any, Final

import msgspec

from sureclose.streams.script import Script
from sureclose.streams.wire import Wire

AT_ONCE: Final = 100
"""Entries that one script looks at: the log stands still for it."""

# One script, so that no group can come in between what is asked and what is cut. XPENDING's second element is the oldest
# entry that was delivered and not acknowledged; what comes after a group's last delivered one is unread.
_TRIM = Script("""
-- KEYS: stream. ARGV: entries that stay in any case, entries that are looked at, the group that has to be there, if one.
-- Returns how many went, and the group that keeps the others, if one does.
local length = redis.call('XLEN', KEYS[1])
local surplus = math.min(length - tonumber(ARGV[1]), tonumber(ARGV[2]))
if surplus <= 0 then
  return { 0, '' }
end
local function parts(id)
  local ms, seq = id:match('^(%d+)-(%d+)$')
  return ms, seq
end
-- Ids are up to 64 bits and Lua counts to 53, so their digits are compared.
local function shorter(one, other)
  if #one ~= #other then
    return #one < #other
  end
  return one < other
end
local function before(one, other)
  local ms, seq = parts(one)
  local other_ms, other_seq = parts(other)
  if ms ~= other_ms then
    return shorter(ms, other_ms)
  end
  return shorter(seq, other_seq)
end
local entries = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', surplus + 1)
local first_kept, keeper, there = entries[#entries][1], '', ARGV[3] == ''
for _, facts in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
  local group = {}
  for index = 1, #facts, 2 do
    group[facts[index]] = facts[index + 1]
  end
  there = there or group['name'] == ARGV[3]
  local oldest = redis.call('XPENDING', KEYS[1], group['name'])[2]
  -- The last delivered entry itself is finished when nothing is pending, and stays all the same: it costs nothing.
  local unfinished = oldest or group['last-delivered-id']
  if before(unfinished, first_kept) then
    first_kept, keeper = unfinished, group['name']
  end
end
if not there then
  return { 0, ARGV[3] }
end
return { redis.call('XTRIM', KEYS[1], 'MINID', '=', first_kept), keeper }
""")


class Trimmed(msgspec.Struct, frozen=True):
    """How many entries went, and which group keeps those that should have gone, or nobody."""

    entries: int
    kept_by: str


async def trim(wire: Wire, stream: str, keep: int, reader: str = "") -> Trimmed:
    """Let the oldest entries go that are more than ``keep`` and that every group has finished; at most ``AT_ONCE``."""
    reply: Any = await _TRIM.call(wire, [stream], [keep, AT_ONCE, reader])
    entries, kept_by = reply
    return Trimmed(int(entries), kept_by.decode())
