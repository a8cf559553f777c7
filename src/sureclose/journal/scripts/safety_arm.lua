-- KEYS: lease, freeze, arming, authority events. ARGV: when the freeze began that was seen, the arming's revision that was seen, a
-- count of fields and values of the new arming, each of them, then the fields and values of the event. Only under that freeze,
-- and only while nobody holds a lease.
must_be(KEYS[3], 'hash')
must_be(KEYS[4], 'stream')
if redis.call('EXISTS', KEYS[1]) == 1 then
  return 'HELD'
end
if redis.call('HGET', KEYS[2], 'at') ~= ARGV[1] then
  return 'NOT_FROZEN'
end
if (redis.call('HGET', KEYS[3], 'revision') or '0') ~= ARGV[2] then
  return 'MOVED'
end
local size = tonumber(ARGV[3])
redis.call('DEL', KEYS[3])
redis.call('HSET', KEYS[3], unpack(ARGV, 4, 3 + size))
redis.call('XADD', KEYS[4], '*', unpack(ARGV, 4 + size))
return 'OK'
