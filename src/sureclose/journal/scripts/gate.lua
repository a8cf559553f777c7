-- KEYS: close, journal, open, lease, flights, grant, freeze, warrant, order, finished, used-up ids now and before, log,
-- orphans, the safety controller's arming and its right to this close, the three buckets of the intent's claim.
-- ARGV: owner, epoch, head, plan id, time, attempt, component, position side, retention in ms, field of the
-- claim and how long it is known in ms, records (the last of them is SENDING), client order id, field of the id, what is known of the log.
local refused = lost(KEYS[13])
  or fenced(KEYS[4], ARGV[1], ARGV[2])
  or moved_on(KEYS[1], ARGV[3])
  or used_up(ARGV[3], KEYS[11], KEYS[12], ARGV[#ARGV - 1])
  or over(KEYS[1])
if refused then
  return { refused, '' }
end
local attempt = tonumber(redis.call('HGET', KEYS[1], 'attempt') or '0')
if attempt + 1 ~= tonumber(ARGV[6]) then
  return { 'STALE_ATTEMPT', tostring(attempt) }
end
refused = forbidden(KEYS[8], KEYS[7], KEYS[6], ARGV[4], ARGV[7], KEYS[15], KEYS[16], ARGV[2])
if refused then
  return { refused, '' }
end
-- An id is used once: the order that bears this one may be of a history that the log has lost.
if redis.call('EXISTS', KEYS[9]) == 1 or redis.call('HEXISTS', KEYS[14], ARGV[#ARGV - 2]) == 1 then
  return { 'USED', '' }
end
must_be(KEYS[5], 'hash')
local flight = redis.call('HGET', KEYS[5], ARGV[8])
if flight and flight ~= ARGV[4] then
  return { 'BUSY', flight }
end
for index = 17, 19 do
  must_be(KEYS[index], 'hash')
end
-- Behind the flight: until another plan of the intent has its outcome, it may still give the intent back.
local other = claimed(17, ARGV[10])
if other and other ~= ARGV[4] then
  return { 'SAME_INTENT', other }
end
must_be(KEYS[1], 'hash')
must_be(KEYS[2], 'stream')
must_be(KEYS[3], 'zset')
must_be(KEYS[10], 'zset')
record(KEYS[1], KEYS[2], ARGV[4], 12)
opened(KEYS[1], KEYS[3], KEYS[10], ARGV[4], ARGV[5])
redis.call('HSET', KEYS[1], 'attempt', ARGV[6])
redis.call('HSET', KEYS[5], ARGV[8], ARGV[4])
redis.call('SET', KEYS[9], ARGV[4], 'PX', ARGV[9])
claim(17, ARGV[10], ARGV[4], ARGV[11])
return written(KEYS[13])
