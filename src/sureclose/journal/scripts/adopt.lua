-- KEYS: close, journal, open, lease, flights, order, finished, used-up ids now and before, log, orphans,
-- the three buckets of the intent's claim.
-- ARGV: owner, epoch, head, plan id, time, attempt, position side, retention in ms, field of the claim and how long it is
-- known in ms, records, client order id, field of the plan's id, what is known of the log. An order that the venue has and the log had lost becomes an attempt of its close
-- again. It was sent already, so no right to act stands before this; the flight does, for the order may still be open.
-- The intent is this plan's, unless another one has it already: then this one makes no further attempt.
local refused = lost(KEYS[10])
  or fenced(KEYS[4], ARGV[1], ARGV[2])
  or moved_on(KEYS[1], ARGV[3])
  or used_up(ARGV[3], KEYS[8], KEYS[9], ARGV[#ARGV - 1])
  or over(KEYS[1])
if refused then
  return { refused, '' }
end
local attempt = tonumber(redis.call('HGET', KEYS[1], 'attempt') or '0')
if tonumber(ARGV[6]) <= attempt then
  return { 'STALE_ATTEMPT', tostring(attempt) }
end
must_be(KEYS[5], 'hash')
local flight = redis.call('HGET', KEYS[5], ARGV[7])
if flight and flight ~= ARGV[4] then
  return { 'BUSY', flight }
end
must_be(KEYS[1], 'hash')
must_be(KEYS[2], 'stream')
must_be(KEYS[3], 'zset')
must_be(KEYS[7], 'zset')
for index = 11, 14 do
  must_be(KEYS[index], 'hash')
end
record(KEYS[1], KEYS[2], ARGV[4], 11)
opened(KEYS[1], KEYS[3], KEYS[7], ARGV[4], ARGV[5])
redis.call('HSET', KEYS[1], 'attempt', ARGV[6])
redis.call('HSET', KEYS[5], ARGV[7], ARGV[4])
redis.call('SET', KEYS[6], ARGV[4], 'PX', ARGV[8])
redis.call('HDEL', KEYS[11], ARGV[#ARGV - 2])
if (claimed(12, ARGV[9]) or ARGV[4]) == ARGV[4] then
  claim(12, ARGV[9], ARGV[4], ARGV[10])
end
return written(KEYS[10])
