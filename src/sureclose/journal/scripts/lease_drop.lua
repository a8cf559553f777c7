-- KEYS: lease, last lease. ARGV: owner, epoch.
local holder = redis.call('HMGET', KEYS[1], 'owner', 'epoch')
if holder[1] == ARGV[1] and holder[2] == ARGV[2] then
  if redis.call('HGET', KEYS[2], 'epoch') == ARGV[2] then
    redis.call('HSET', KEYS[2], 'dropped_at', now_ms())
  end
  return redis.call('DEL', KEYS[1])
end
return 0
