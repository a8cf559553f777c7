"""Consumers of dead processes leave a group when they hold nothing, and never before.

With process ids for names, as older consumers have them, each restart left one behind (incident 6: 34 of them). What
they hold is claimed first, by whoever reads; a consumer that is deleted takes its pending entries with it.
"""

from collections.abc import Mapping

from sureclose.streams.script import Script
from sureclose.streams.wire import Wire

REAP_IDLE_MS = 600_000
"""A living reader asks every second; who was silent for ten minutes comes back under a new name or the same."""

_REAP = Script("""\
local live = {}
for n = 2, #KEYS do
  if redis.call('EXISTS', KEYS[n]) == 1 then live[ARGV[n + 1]] = true end
end
local reaped = {}
if redis.call('EXISTS', KEYS[1]) == 0 then return reaped end
for _, facts in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
  local consumer = {}
  for n = 1, #facts, 2 do consumer[facts[n]] = facts[n + 1] end
  if consumer.pending == 0 and consumer.idle >= tonumber(ARGV[2]) and not live[consumer.name] then
    reaped[#reaped + 1] = consumer.name
  end
end
for _, name in ipairs(reaped) do redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], name) end
return reaped
""")


async def reap(
    wire: Wire, stream: str, group: str, slots: Mapping[str, str], *, idle_ms: int = REAP_IDLE_MS
) -> list[str]:
    """Take the empty ones that were silent for so long out of the group, in one script that looks; their names.

    ``slots`` are the leased names and the keys that hold them: a name that is leased now is never touched.
    """
    names = list(slots)
    reaped = await _REAP.call(wire, [stream, *(slots[name] for name in names)], [group, idle_ms, *names])
    assert isinstance(reaped, list)
    return [name.decode(errors="replace") for name in reaped]
