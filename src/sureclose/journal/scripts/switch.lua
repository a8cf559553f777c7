-- KEYS: grant, freeze, authority events, log, lease, last lease. ARGV: the revision that was read, the owner and epoch of the
-- lease that is given up with it (both empty where nobody may hold one), a count of fields and values of the grant and each of
-- them, then the fields and values of the event. MOVED when the record is another one by now, HELD when the lease is another's.
local moved = superseded(KEYS[1], KEYS[2], KEYS[3], ARGV[1])
if moved then
  return moved
end
local lease = redis.call('HMGET', KEYS[5], 'owner', 'epoch')
if (lease[1] or '') ~= ARGV[2] or (lease[2] or '') ~= ARGV[3] then
  return 'HELD'
end
must_be(KEYS[4], 'hash')
must_be(KEYS[6], 'hash')
local size = tonumber(ARGV[4])
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], unpack(ARGV, 5, 4 + size))
redis.call('XADD', KEYS[3], '*', unpack(ARGV, 5 + size))
if lease[1] then
  if redis.call('HGET', KEYS[6], 'epoch') == ARGV[3] then
    redis.call('HSET', KEYS[6], 'dropped_at', now_ms())
  end
  redis.call('DEL', KEYS[5])
end
counted(KEYS[4])
return 'OK'
