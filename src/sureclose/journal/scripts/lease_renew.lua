-- KEYS: lease, last lease. ARGV: owner, epoch, time to live in ms. 1 when it is still this owner's.
local holder = redis.call('HMGET', KEYS[1], 'owner', 'epoch')
if holder[1] == ARGV[1] and holder[2] == ARGV[2] then
  if redis.call('HGET', KEYS[2], 'epoch') == ARGV[2] then
    redis.call('HSET', KEYS[2], 'renewed_at', now_ms())
  end
  return redis.call('PEXPIRE', KEYS[1], ARGV[3])
end
return 0
