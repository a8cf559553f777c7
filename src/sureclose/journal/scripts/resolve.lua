-- KEYS: close, journal, parked, finished, log, then the stream of each event.
-- ARGV: head, plan id, time, records, then for each key from the sixth on a count of fields and values, and each, and
-- last what is known of the log. A parked close belongs to no process, so no lease stands before this; its state and its
-- chain do.
local refused = lost(KEYS[5]) or moved_on(KEYS[1], ARGV[1])
if refused then
  return { refused, '' }
end
if redis.call('HGET', KEYS[1], 'state') ~= 'PARKED' then
  return { 'STALE_HEAD', '' }
end
must_be(KEYS[2], 'stream')
must_be(KEYS[3], 'zset')
must_be(KEYS[4], 'zset')
local behind = 5 + 3 * tonumber(ARGV[4])
check_events(6, behind)
record(KEYS[1], KEYS[2], ARGV[2], 4)
add_events(6, behind)
redis.call('HSET', KEYS[1], 'state', 'DONE')
redis.call('ZADD', KEYS[4], ARGV[3], ARGV[2])
redis.call('ZREM', KEYS[3], ARGV[2])
return written(KEYS[5])
