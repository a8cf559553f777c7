-- KEYS: lease, last lease. ARGV: owner, epoch. The first of the writes takes no memory, as in a renewal.
local holder = redis.call('HMGET', KEYS[1], 'owner', 'epoch')
if holder[1] == ARGV[1] and holder[2] == ARGV[2] then
  local last = redis.call('HGET', KEYS[2], 'epoch')
  local dropped = redis.call('DEL', KEYS[1])
  if last == ARGV[2] then
    redis.call('HSET', KEYS[2], 'dropped_at', now_ms())
  end
  return dropped
end
return 0
