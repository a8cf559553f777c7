"""The one way in which a stage finishes entries: acknowledge and publish in one script.

An entry's events are published only if its own XACK returned 1. Measured: in MULTI the XADD happens even when XACK
returns 0, so an entry that somebody else took over and finished would come out twice.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from sureclose.fault_points import FaultPoint, reach
from sureclose.streams.script import Script
from sureclose.streams.wire import Fields, Wire

MAX_STRINGS = 4000
"""Names and values of one event; Lua's stack ends near 8000."""
_ACK_PAGE = 1000

_FINISH = Script("""\
local group, p, k = ARGV[1], 3, 2
local seen = {}
local function check(key, command)
  if seen[key] then return nil end
  seen[key] = true
  local kind = redis.call('TYPE', key).ok
  if kind ~= 'none' and kind ~= 'stream' then
    return redis.error_reply('WRONGTYPE ' .. key .. ' is a ' .. kind .. ' and not a stream')
  end
  if command == 'XADD' and not redis.acl_check_cmd('XADD', key, '*', 'f', 'v') then
    return redis.error_reply('NOPERM no right to XADD ' .. key)
  end
end
local bad = check(KEYS[1], 'XACK')
if bad then return bad end
seen = {}
for entry = 1, tonumber(ARGV[2]) do
  if not ARGV[p] or not string.match(ARGV[p], '^%d+%-%d+$') then return redis.error_reply('ERR no entry id') end
  local events = tonumber(ARGV[p + 1])
  if not events then return redis.error_reply('ERR no number of events') end
  p = p + 2
  for event = 1, events do
    local strings = tonumber(ARGV[p])
    if not strings or strings < 2 or strings % 2 == 1 or strings > 4000 then
      return redis.error_reply('ERR an event has no fields or too many')
    end
    if not KEYS[k] then return redis.error_reply('ERR an event has no stream') end
    bad = check(KEYS[k], 'XADD')
    if bad then return bad end
    p, k = p + 1 + strings, k + 1
  end
end
if p ~= #ARGV + 1 or k ~= #KEYS + 1 then return redis.error_reply('ERR arguments and counts differ') end
p, k = 3, 2
local done = {}
for entry = 1, tonumber(ARGV[2]) do
  local mine = redis.call('XACK', KEYS[1], group, ARGV[p])
  local events = tonumber(ARGV[p + 1])
  p = p + 2
  for event = 1, events do
    local strings = tonumber(ARGV[p])
    if mine == 1 then redis.call('XADD', KEYS[k], '*', unpack(ARGV, p + 1, p + strings)) end
    p, k = p + 1 + strings, k + 1
  end
  done[entry] = mine
end
return done
""")


class Event(msgspec.Struct, frozen=True):
    """One entry to be: its stream's full name and its fields. What can't be an entry is refused here, not half-way."""

    stream: str
    fields: Fields

    @classmethod
    def of(cls, stream: str, fields: Mapping[str, str]) -> "Event":
        """An event of texts; what is no UTF-8 in them, such as a lone surrogate, is written as an escape."""
        return cls(stream, {_bytes(name): _bytes(value) for name, value in fields.items()})

    def __post_init__(self) -> None:
        if not self.stream:
            raise ValueError("an event needs a stream")
        if not self.fields:
            raise ValueError(f"an event for {self.stream} has no fields")
        if 2 * len(self.fields) > MAX_STRINGS:
            raise ValueError(
                f"an event for {self.stream} has {len(self.fields)} fields, {MAX_STRINGS // 2} is the most"
            )
        for name, value in self.fields.items():
            if not _both_bytes(name, value):
                raise TypeError(
                    f"an event for {self.stream} has a field that is not bytes: {name!r}={value!r}"
                )


def _both_bytes(name: object, value: object) -> bool:
    return isinstance(name, bytes) and isinstance(value, bytes)


def _bytes(text: str) -> bytes:
    return text.encode(errors="backslashreplace")


class Finish(msgspec.Struct, frozen=True):
    """An entry that is done, and what comes out of it; no events for one that ends here."""

    entry_id: str
    events: tuple[Event, ...] = ()


async def publish(wire: Wire, source: str, group: str, entry_id: str, events: Sequence[Event]) -> bool:
    """Acknowledge one entry and publish its events; False if it was finished by somebody else, then nothing is written.

    An exception other than the server's refusal leaves the outcome unknown: read the own pending entries again, and
    what is still there was not published.
    """
    return (await finish(wire, source, group, [Finish(entry_id, tuple(events))]))[0]


async def finish(wire: Wire, source: str, group: str, entries: Sequence[Finish]) -> list[bool]:
    """``publish`` for several entries at once, in their order; one script, one write to disk, all or nothing."""
    if not entries:
        return []
    keys = [source]
    args: list[bytes | str | int] = [group, len(entries)]
    for entry in entries:
        args += (entry.entry_id, len(entry.events))
        for event in entry.events:
            keys.append(event.stream)
            args.append(2 * len(event.fields))
            for field in event.fields.items():
                args += field
    reach(FaultPoint.BEFORE_FINISH)
    reply: Any = await _FINISH.call(wire, keys, args)
    reach(FaultPoint.AFTER_FINISH)
    return [mine == 1 for mine in reply]


async def acknowledge(wire: Wire, source: str, group: str, entry_ids: Sequence[str]) -> int:
    """Acknowledge entries of which nothing comes; returns how many were still pending."""
    acknowledged = 0
    for start in range(0, len(entry_ids), _ACK_PAGE):
        page = entry_ids[start : start + _ACK_PAGE]
        reach(FaultPoint.BEFORE_ACKNOWLEDGE)
        acknowledged += int(await wire.execute_command(b"XACK", source, group, *page))
        reach(FaultPoint.AFTER_ACKNOWLEDGE)
    return acknowledged
