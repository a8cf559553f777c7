-- KEYS: close, journal, open, lease, flights, parked, entry stream, finished, used-up ids now and before, log, then
-- the three buckets of each claim on the intent, then the stream of each event.
-- ARGV: owner, epoch, head, plan id, state, retention in ms, group, records, entry ids (a count, then each), events (for
-- each of their keys: a count of fields and values, then each), the fields of the claims, how long they are known in ms, their
-- count, until when the decision is valid, field of the id, the time, what is known of the log.
local refused = lost(KEYS[11])
  or fenced(KEYS[4], ARGV[1], ARGV[2])
  or moved_on(KEYS[1], ARGV[3])
  or used_up(ARGV[3], KEYS[9], KEYS[10], ARGV[#ARGV - 2])
  or over(KEYS[1])
if refused then
  return { refused, '' }
end
must_be(KEYS[1], 'hash')
must_be(KEYS[3], 'zset')
must_be(KEYS[5], 'hash')
must_be(KEYS[6], 'zset')
must_be(KEYS[2], 'stream')
must_be(KEYS[7], 'stream')
must_be(KEYS[8], 'zset')
local at = 9 + 3 * tonumber(ARGV[8])
local entries = tonumber(ARGV[at])
local behind = at + entries + 1
for index = at + 1, behind - 1 do
  if not ARGV[index]:match('^%d+%-%d+$') then
    error({ err = 'ERR Invalid stream ID ' .. ARGV[index] })
  end
end
local claims = tonumber(ARGV[#ARGV - 4])
local events = 12 + 3 * claims
for index = 12, events - 1 do
  must_be(KEYS[index], 'hash')
end
check_events(events, behind)
-- First of the writes, for it can fail; in parts, for Lua passes only so many arguments.
for first = 1, entries, 1000 do
  redis.call('XACK', KEYS[7], ARGV[7], unpack(ARGV, at + first, at + math.min(first + 999, entries)))
end
record(KEYS[1], KEYS[2], ARGV[4], 8)
add_events(events, behind)
redis.call('HSET', KEYS[1], 'state', ARGV[5])
redis.call('ZREM', KEYS[3], ARGV[4])
if ARGV[5] == 'PARKED' then
  redis.call('ZADD', KEYS[6], ARGV[#ARGV - 1], ARGV[4])
  redis.call('ZREM', KEYS[8], ARGV[4])
else
  local now, valid_until = tonumber(ARGV[#ARGV - 1]), tonumber(ARGV[#ARGV - 3])
  finished(KEYS[1], KEYS[8], ARGV[4], ARGV[5], now, tonumber(ARGV[6]), valid_until)
end
for index = 1, claims do
  local first, field = 9 + 3 * index, ARGV[#ARGV - 6 - claims + index]
  -- A skip executed nothing, so another plan of the intent may go. After all else none may, whether an order was sent or not.
  if ARGV[5] == 'SKIPPED' then
    give_back(first, field, ARGV[4])
  elseif (claimed(first, field) or ARGV[4]) == ARGV[4] then
    claim(first, field, ARGV[4], ARGV[#ARGV - 5])
  end
end
local flights = redis.call('HGETALL', KEYS[5])
for index = 1, #flights, 2 do
  if flights[index + 1] == ARGV[4] then
    redis.call('HDEL', KEYS[5], flights[index])
  end
end
return written(KEYS[11])
